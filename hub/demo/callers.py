"""Callers as municipal systems are: one speaks REST and signs by RFC 9421, one speaks SOAP from the WSDL alone with WS-Security."""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import requests
import zeep
import zeep.exceptions

from certs.http.signatures import sign_request
from certs.x509.signing_cert import SigningCert
from certs.xml.key_info import KnownCertificates
from certs.xml.zeep_plugin import SignaturePlugin
from hub.demo.cast import APP_ID, Cast, Party
from hub.demo.scenario import LIXIA
from hub.own_keys import OwnKeys
from schemas.transfers import Guardian, TransferRequest

TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """``code`` is a problem's code where the message was refused; ``case_id`` where it was taken."""

    case_id: str | None
    code: str | None = None


class RestCaller:
    """REST with HTTP message signatures; used by several threads."""

    def __init__(self, hub_url: str, party: Party) -> None:
        self._url = hub_url
        self._party = party
        self._local = threading.local()

    def submit(self, request: TransferRequest) -> Answer:
        status, body = self._call(
            "POST", "/v1/transfers", request.model_dump_json(by_alias=True, exclude_none=True).encode()
        )
        return Answer(body["caseId"]) if status == 202 else Answer(None, str(body.get("code")))

    def withdraw(self, case_id: str, message_id: str) -> Answer:
        body = json.dumps({"messageId": message_id, "reason": "家长改变主意"}).encode()
        status, answer = self._call("POST", f"/v1/transfers/{case_id}/withdrawal", body)
        return Answer(case_id) if status == 200 else Answer(None, str(answer.get("code")))

    def query(self, case_id: str) -> dict[str, Any]:
        """The view of a case."""
        return self._call("GET", f"/v1/transfers/{case_id}")[1]

    def cases(self) -> dict[str, str]:
        """State by case id, of all cases that this system submitted or takes part in."""
        found: dict[str, str] = {}
        path = "/v1/transfers?limit=100"
        while True:
            _, page = self._call("GET", path)
            found |= {item["caseId"]: item["state"] for item in page["items"]}
            if not page.get("nextCursor"):
                return found
            path = f"/v1/transfers?limit=100&cursor={page['nextCursor']}"

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Any signed POST: status and JSON."""
        return self._call("POST", path, json.dumps(body).encode())

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Any signed GET: status and JSON."""
        return self._call("GET", path)

    def _call(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        url = self._url + path
        headers = {"Content-Type": "application/json"} if body else {}
        headers |= sign_request(
            method, url, headers.items(), body, key=self._party.http_key, key_id=self._party.key_id,
            created=datetime.now(UTC), nonce=secrets.token_urlsafe(16),
        )  # fmt: skip
        if not hasattr(self._local, "session"):
            self._local.session = _session()
        answer = self._local.session.request(method, url, data=body or None, headers=headers, timeout=TIMEOUT_S)
        return answer.status_code, cast("dict[str, Any]", answer.json())


class LoginPage:
    """The identity service's own page, as a person sees it who is sent there by a portal or an app."""

    def __init__(self, cast_: Cast) -> None:
        self._url = cast_.simulators["identity"].url + "/login"

    def log_in(self, portal: RestCaller, person: Guardian, region: str = LIXIA) -> dict[str, str]:
        """The portal gets a nonce of the hub, the person logs in with it: ``login`` of the message that follows."""
        _, begun = portal.post("/v1/logins", {"region": region})
        nonce = str(begun["nonce"])
        told = {"idNumber": person.id_number, "audience": APP_ID, "nonce": nonce}
        answer = _session().post(self._url, json=told, timeout=TIMEOUT_S)
        return {"nonce": nonce, "assertion": str(answer.json()["assertion"])}


class SoapCaller:
    """A stock zeep client of the hub's own WSDL."""

    def __init__(self, hub_url: str, party: Party, own: OwnKeys) -> None:
        if party.wsse_key is None:
            raise ValueError(f"{party.id} has no key for SOAP")
        hub = KnownCertificates([SigningCert.from_pem(own.wsse_certificate.read_bytes()).der])
        plugin = SignaturePlugin(party.wsse_key, party.wsse_cert, hub)
        transport = zeep.Transport(session=_session(), timeout=TIMEOUT_S, operation_timeout=TIMEOUT_S)  # type: ignore[no-untyped-call]
        self._client: Any = zeep.Client(f"{hub_url}/soap/v1/exchange?wsdl", wsse=plugin, transport=transport)  # type: ignore[no-untyped-call]

    def submit(self, request: TransferRequest) -> Answer:
        try:
            answer = self._client.service.SubmitTransfer(**request.model_dump(by_alias=True, exclude_none=True))
        except zeep.exceptions.Fault as fault:
            code = fault.detail.findtext(".//{*}code") if fault.detail is not None else None
            return Answer(None, code or str(fault.code))
        return Answer(str(answer.caseId))


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session
