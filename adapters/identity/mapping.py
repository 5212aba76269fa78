"""Canonical ↔ wire of the identity service: the name-and-number check, and the claims of a login assertion.

Pure functions; what does not fit raises ValueError.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from cryptography.hazmat.primitives import hashes, hmac

from adapters.contract import LoginAssertion, PersonAnswer, PersonQuery
from adapters.json_wire import JsonObject, Unfit, checked, decode, maybe_text, text
from schemas.ecerts import PersonMatch
from schemas.numbers import check_id_number
from schemas.rules import FieldError


class LoginStanding(StrEnum):
    """What has become of a login since its assertion was signed."""

    IN_FORCE = "in-force"
    ENDED = "ended"  # the person has logged out, or was logged out
    UNKNOWN = "unknown"  # not a login of this service


OK, NOT_ADMITTED, BUSY, INVALID = "0", "401", "503", "400"  # code of the envelope
STANDINGS: Final = MappingProxyType({LoginStanding.IN_FORCE: "1", LoginStanding.ENDED: "2", LoginStanding.UNKNOWN: "3"})
MATCHES: Final = MappingProxyType({PersonMatch.MATCHED: "1", PersonMatch.MISMATCHED: "2", PersonMatch.NOT_FOUND: "3"})


def person_to_wire(query: PersonQuery) -> JsonObject:
    return {
        "xm": query.name,
        "zjlx": query.id_type,
        "zjhm": query.id_number,
        "ywbz": query.case_id,
        "yt": query.purpose,
    }


def person_from_wire(record: JsonObject) -> PersonQuery:
    return checked(
        PersonQuery,
        {
            "name": text(record, "xm"),
            "id_type": text(record, "zjlx"),
            "id_number": text(record, "zjhm"),
            "case_id": text(record, "ywbz"),
            "purpose": text(record, "yt"),
        },
    )


def answer_to_wire(answer: PersonAnswer) -> JsonObject:
    return {"bdjg": MATCHES[answer.match], "lsh": answer.peer_reference}


def answer_from_wire(data: JsonObject) -> PersonAnswer:
    return PersonAnswer(match=decode(MATCHES, data, "bdjg"), peer_reference=maybe_text(data, "lsh"))


def call_signature(secret: str, timestamp: str, body: bytes) -> str:
    """X-App-Signature: HMAC-SM3 in hex over the time, a line feed and the body."""
    mac = hmac.HMAC(secret.encode(), hashes.SM3())
    mac.update(timestamp.encode() + b"\n" + body)
    return mac.finalize().hex()


def login_standing(data: JsonObject) -> LoginStanding:
    """How the service says that a login stands now."""
    return decode(STANDINGS, data, "dlzt")


def login_to_claims(login: LoginAssertion) -> JsonObject:
    """The part of the claims that tells the person."""
    return {
        "sub": login.subject,
        "iat": int(login.asserted_at.timestamp()),
        "name": login.name,
        "idType": login.id_type,
        "idNumber": login.id_number,
        "level": login.level,
    }


def login_from_claims(claims: JsonObject) -> LoginAssertion:
    id_type, id_number, subject = text(claims, "idType"), text(claims, "idNumber"), text(claims, "sub")
    try:
        id_number = check_id_number(id_type, id_number)
    except FieldError:
        raise Unfit("idNumber: not a number of its type") from None
    if not subject:
        raise Unfit("sub: empty")
    return checked(
        LoginAssertion,
        {
            "subject": subject,
            "name": text(claims, "name"),
            "id_type": id_type,
            "id_number": id_number,
            "level": text(claims, "level"),
            "asserted_at": seconds(claims, "iat"),
        },
    )


def seconds(claims: JsonObject, name: str) -> datetime:
    """A NumericDate (RFC 7519, 2)."""
    value = claims.get(name)
    if (
        isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 32_503_680_000
    ):  # the year 3000
        raise Unfit(f"{name}: seconds since 1970 are expected")
    return datetime.fromtimestamp(value, UTC)
