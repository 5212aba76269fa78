"""The identity service as a server: it knows the synthetic population, and whoever else stands in a file.

``python -m adapters.identity.simulator --app-id hub --app-secret secret``; faults: adapters/simulation.py. ``POST /login
{"idNumber", "audience", "nonce"}`` logs a person in and gives the assertion, as the service's own pages would; with ``"fault"``
(``expired``, ``signature``, ``issuer``) one that must be refused. ``POST /logout {"assertion"}`` ends that login.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request, Response

from adapters.contract import LoginAssertion, PersonAnswer
from adapters.identity import mapping
from adapters.identity.mapping import LoginStanding
from adapters.json_wire import JsonObject, maybe_text, read_object, text, write_object
from adapters.population import find_family
from adapters.simulation import Simulation, argument_parser, run
from certs.jws import ALGORITHMS, sign_jws
from certs.keys import PrivateKey, SignatureAlgorithm
from schemas.ecerts import PersonMatch

MAX_CLOCK_S: Final = 300
ISSUER: Final = "urn:simulated-identity-service"
LOGIN_S: Final = 120
LOGIN_FAULTS: Final = ("expired", "signature", "issuer")


@dataclass(frozen=True, slots=True)
class People:
    """Names by ID number: a file's first, then the synthetic population's."""

    listed: Mapping[str, str]
    seed: int

    @classmethod
    def of(cls, file: Path | None, seed: int) -> People:
        """``file`` is CSV with the columns ``name`` and ``id_number``."""
        if file is None:
            return cls({}, seed)
        with file.open(encoding="utf-8", newline="") as lines:
            return cls({row["id_number"]: row["name"] for row in csv.DictReader(lines)}, seed)

    def name_of(self, id_number: str) -> str | None:
        if id_number in self.listed:
            return self.listed[id_number]
        family = find_family(id_number, seed=self.seed)
        if family is None:
            return None
        return family.student.name if family.student.id_number == id_number else family.guardian.name


@dataclass(frozen=True, slots=True)
class Options:
    app_id: str
    app_secret: str
    people: People
    key: PrivateKey | None


def create_app(options: Options) -> FastAPI:
    app = FastAPI(openapi_url=None)
    asked = 0
    logins: dict[str, LoginStanding] = {}

    async def admitted(request: Request) -> JsonObject | Response:
        """The body of a call that the hub has signed; else the refusal."""
        body, when = await request.body(), request.headers.get("x-app-time", "")
        expected = mapping.call_signature(options.app_secret, when, body)
        known = hmac.compare_digest(request.headers.get("x-app-id", "").encode(), options.app_id.encode())
        signed = hmac.compare_digest(request.headers.get("x-app-signature", "").encode(), expected.encode())
        fresh = when.isascii() and when.isdigit() and abs(time.time() - int(when)) <= MAX_CLOCK_S
        if not (known and signed and fresh):
            return _answer(mapping.NOT_ADMITTED, "应用未授权")
        try:
            return read_object(body)
        except ValueError:
            return _answer(mapping.INVALID, "请求不是 JSON 对象")

    @app.post("/api/health")
    async def health(request: Request) -> Response:
        body = await admitted(request)
        return body if isinstance(body, Response) else _answer(mapping.OK, "正常", {"version": "2.0"})

    @app.post("/api/person/verify")
    async def verify(request: Request) -> Response:
        nonlocal asked
        body = await admitted(request)
        if isinstance(body, Response):
            return body
        try:
            query = mapping.person_from_wire(body)
        except ValueError as fault:
            return _answer(mapping.INVALID, str(fault))
        asked += 1
        name = options.people.name_of(query.id_number)
        match = PersonMatch.MATCHED if name == query.name else PersonMatch.MISMATCHED
        answer = PersonAnswer(
            match=match if name is not None else PersonMatch.NOT_FOUND, peer_reference=f"HY{asked:010d}"
        )
        return _answer(mapping.OK, "成功", mapping.answer_to_wire(answer))

    @app.post("/login")
    async def login(request: Request) -> Response:
        try:
            body = read_object(await request.body())
            id_number, audience, nonce = (text(body, name) for name in ("idNumber", "audience", "nonce"))
            wanted = maybe_text(body, "fault") or ""
        except ValueError as fault:
            return Response(str(fault), 400)
        name = options.people.name_of(id_number)
        if options.key is None or name is None or wanted not in ("", *LOGIN_FAULTS):
            return Response(status_code=404)
        person = LoginAssertion(
            subject=hashlib.sha256(id_number.encode()).hexdigest()[:32],
            name=name,
            id_type="111",
            id_number=id_number,
            level="L3",
            asserted_at=datetime.now(UTC),
        )
        claims = {
            **mapping.login_to_claims(person),
            "iss": "urn:somebody-else" if wanted == "issuer" else ISSUER,
            "aud": audience,
            "nonce": nonce,
            "exp": int(time.time()) + (-1 if wanted == "expired" else LOGIN_S),
        }
        key = PrivateKey.generate(SignatureAlgorithm.SM2_SM3) if wanted == "signature" else options.key
        algorithm = next(one for one, fitting in ALGORITHMS.items() if key.public_key.fits(fitting))
        token = sign_jws(write_object(claims), key, algorithm, headers={"typ": "JWT"})
        logins[token] = LoginStanding.IN_FORCE
        return Response(write_object({"assertion": token}), media_type="application/json")

    @app.post("/api/login/status")
    async def status(request: Request) -> Response:
        body = await admitted(request)
        if isinstance(body, Response):
            return body
        standing = logins.get(maybe_text(body, "assertion") or "", LoginStanding.UNKNOWN)
        return _answer(mapping.OK, "成功", {"dlzt": mapping.STANDINGS[standing]})

    @app.post("/logout")
    async def logout(request: Request) -> Response:
        try:
            assertion = text(read_object(await request.body()), "assertion")
        except ValueError as fault:
            return Response(str(fault), 400)
        if assertion not in logins:
            return Response(status_code=404)
        logins[assertion] = LoginStanding.ENDED
        return Response(status_code=204)

    return app


def fault_body() -> tuple[str, bytes]:
    """What this service answers when the police's database is away."""
    return "application/json", write_object({"code": mapping.BUSY, "msg": "上级库无响应", "data": None})


def _answer(code: str, message: str, data: JsonObject | None = None) -> Response:
    return Response(write_object({"code": code, "msg": message, "data": data}), media_type="application/json")


def main() -> None:
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--app-id", required=True)
    parser.add_argument("--app-secret", required=True)
    parser.add_argument("--population", type=Path, help="CSV with name,id_number: further people, or other names")
    parser.add_argument("--assertion-key-file", type=Path, help="PEM of the private key that signs login assertions")
    given = parser.parse_args()
    key = PrivateKey.from_pem(given.assertion_key_file.read_bytes()) if given.assertion_key_file else None
    options = Options(given.app_id, given.app_secret, People.of(given.population, given.seed), key)
    simulation = Simulation(given.journal, fault_body=fault_body)
    run(create_app(options), simulation, host=given.host, port=given.port, control_port=given.control_port)


if __name__ == "__main__":
    main()
