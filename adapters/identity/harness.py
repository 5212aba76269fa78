"""This adapter, for the contract suite."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

from adapters import samples
from adapters.contract import (
    Adapter,
    Capability,
    Deadline,
    Health,
    LoginAssertion,
    LoginVerifier,
    PeerMisconfigured,
    PeerRefused,
    PersonAnswer,
    PersonQuery,
    PersonVerifier,
    RetryLater,
)
from adapters.harness import Call, Harness, Refusal, RoundTrip, Setup, write_key_pair
from adapters.identity import mapping
from adapters.identity.client import Identity
from adapters.identity.simulator import ISSUER
from adapters.json_wire import JsonObject, read_object, write_object
from adapters.population import family
from certs.jws import SM2_NAME, sign_jws
from certs.keys import PrivateKey, SignatureAlgorithm
from schemas.base import Canonical
from schemas.ecerts import PersonMatch

SECRET = "identity-secret-0815"  # noqa: S105 - the simulator's
APP_ID = "hub-sd"
KEY = PrivateKey.generate(SignatureAlgorithm.SM2_SM3)  # signs login assertions, in place of the service's own pages


def setup(folder: Path) -> Setup:
    _, public = write_key_pair(folder, "login", SignatureAlgorithm.SM2_SM3, KEY)
    return Setup(
        "adapters.identity.simulator",
        ("--app-id", APP_ID, "--app-secret", SECRET),
        settings={"app_id": APP_ID, "assertion_key_file": public, "assertion_issuer": ISSUER},
        secrets={"app_secret": SECRET},
    )


def login(name: str = samples.RARE_TEXT) -> LoginAssertion:
    one = family(samples.REGION, samples.STUDENT).guardian
    return LoginAssertion(
        subject="person-1",
        name=name,
        id_type="111",
        id_number=one.id_number,
        level="L3",
        asserted_at=samples.WHEN.replace(microsecond=0),
    )


def token(nonce: str, /, **claims: object) -> str:
    """A login assertion of now; ``claims`` replace its own."""
    now = int(time.time())
    own = {"iss": ISSUER, "aud": APP_ID, "iat": now, "exp": now + 120, "nonce": nonce}
    payload = write_object({**mapping.login_to_claims(login()), **own, **claims})
    return sign_jws(payload, KEY, SM2_NAME, headers={"typ": "JWT"})


def _probe(adapter: Adapter, _key: str, deadline: Deadline) -> Health:
    return adapter.probe(deadline)


def _person(adapter: Adapter, _key: str, deadline: Deadline) -> Canonical:
    return cast(PersonVerifier, adapter).verify_person(samples.person_query(), deadline)


def _login(adapter: Adapter, key: str, deadline: Deadline) -> Canonical:
    return cast(LoginVerifier, cast(Identity, adapter)).verify_login(token(key), key, deadline)


def _envelope(code: str, data: JsonObject | None = None) -> bytes:
    return write_object({"code": code, "msg": f"{samples.private()[0]}", "data": data})


HARNESS = Harness(
    setup=setup,
    calls=(
        Call("probe", Capability.PROBE, _probe),
        Call("verify-person", Capability.VERIFY_PERSON, _person),
        Call("verify-login", Capability.VERIFY_LOGIN, _login, uses_network=False),
    ),
    round_trips=(
        RoundTrip(
            "person",
            "person.json",
            (samples.person_query(samples.RARE_TEXT), samples.person_query()),
            lambda m: write_object(mapping.person_to_wire(cast(PersonQuery, m))),
            lambda b: mapping.person_from_wire(read_object(b)),
        ),
        RoundTrip(
            "answer",
            "answer.json",
            (PersonAnswer(match=PersonMatch.MATCHED, peer_reference="HY1"), PersonAnswer(match=PersonMatch.NOT_FOUND)),
            lambda m: write_object(mapping.answer_to_wire(cast(PersonAnswer, m))),
            lambda b: mapping.answer_from_wire(read_object(b)),
        ),
        RoundTrip(
            "login",
            "login.json",
            (login(),),
            lambda m: write_object(mapping.login_to_claims(cast(LoginAssertion, m))),
            lambda b: mapping.login_from_claims(read_object(b)),
        ),
    ),
    private=(*samples.private(), samples.RARE_TEXT, SECRET),
    refusals=(
        Refusal("not-admitted", "verify-person", _envelope("401"), PeerMisconfigured, "401"),
        Refusal("invalid", "verify-person", _envelope("400"), PeerRefused, "400"),
        Refusal("no-source", "verify-person", _envelope("503"), RetryLater, "503"),
        Refusal("unheard-of", "verify-person", _envelope("张三"), RetryLater, "code-unknown"),
        Refusal("no-result", "verify-person", _envelope("0", {"bdjg": "7"}), RetryLater, "answer-unreadable"),
        Refusal("no-data", "verify-person", _envelope("0"), RetryLater, "answer-unreadable"),
        Refusal("no-interface", "verify-person", b"<html>", PeerMisconfigured, "http-404", status=404),
    ),
)
