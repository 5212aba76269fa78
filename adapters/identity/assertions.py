"""A login assertion: a signed JWS (RFC 7515) whose claims must be for us, for this login, and for now."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapters.contract import LoginAssertion, PeerRefused
from adapters.identity import mapping
from adapters.json_wire import JsonObject, Unfit, read_object, text
from certs.errors import MessageRefused
from certs.jws import check_jws
from certs.keys import PublicKey

MAX_AGE: Final = timedelta(minutes=5)
MAX_SKEW: Final = timedelta(seconds=60)
MAX_LENGTH: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class AssertionRules:
    """Whose assertions are taken, and for whom they must be made."""

    key: PublicKey
    issuer: str
    audience: str


def check_assertion(token: str, rules: AssertionRules, *, nonce: str, now: datetime) -> LoginAssertion:
    """Who has logged in; PeerRefused with a code ``assertion-…`` if any step fails.

    1. the signature, by the registered key alone        2. issuer and audience
    3. the time: issued and not yet expired              4. the nonce of this very login
    5. the person: subject, name and a number of its type
    """
    if len(token) > MAX_LENGTH:
        raise PeerRefused("assertion-malformed", "too long")
    try:
        claims = read_object(check_jws(token, rules.key).payload)  # 1
        _check_parties(claims, rules)  # 2
        _check_times(claims, now)  # 3
        if not nonce or not hmac.compare_digest(text(claims, "nonce").encode(), nonce.encode()):  # 4
            raise PeerRefused("assertion-nonce", "made for another login")
        return mapping.login_from_claims(claims)  # 5
    except MessageRefused as refused:
        malformed = refused.reason == "jws-malformed"
        raise PeerRefused("assertion-malformed" if malformed else "assertion-signature", refused.reason) from None
    except Unfit as fault:
        raise PeerRefused("assertion-malformed", str(fault)) from None


def _check_parties(claims: JsonObject, rules: AssertionRules) -> None:
    if text(claims, "iss") != rules.issuer:
        raise PeerRefused("assertion-issuer")
    audience = claims.get("aud")  # RFC 7519, 4.1.3: one text or a list
    named = audience if isinstance(audience, list) else [audience]
    if rules.audience not in named:
        raise PeerRefused("assertion-audience")


def _check_times(claims: JsonObject, now: datetime) -> None:
    issued, expires = mapping.seconds(claims, "iat"), mapping.seconds(claims, "exp")
    if issued > now + MAX_SKEW or ("nbf" in claims and mapping.seconds(claims, "nbf") > now + MAX_SKEW):
        raise PeerRefused("assertion-future")
    if expires <= now or issued < now - MAX_AGE:
        raise PeerRefused("assertion-expired")
