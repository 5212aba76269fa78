"""JWS: every algorithm, detached, and the confusions that must be refused; joserfc is the other side."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jwk, jws

from certs.errors import BadKey, MessageRefused
from certs.issuing.authority import new_root
from certs.jws import ALGORITHMS, SM2_NAME, check_jws, sign_jws, verify_jws
from certs.keys import PrivateKey, SignatureAlgorithm
from certs.policy import Policy
from certs.report import Indication, SubIndication
from certs.trust import TrustStore
from certs.x509.revocation import RevocationSource

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAYLOAD = '{"收":"到"}'.encode()
KEYS = {name: PrivateKey.generate(algorithm, rsa_bits=2048) for name, algorithm in ALGORITHMS.items()}


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("detached", [False, True])
def test_what_we_sign_we_verify(name: str, detached: bool) -> None:
    token = sign_jws(PAYLOAD, KEYS[name], name, headers={"kid": "a"}, detached=detached)
    found = check_jws(token, KEYS[name].public_key, payload=PAYLOAD if detached else None)
    assert (found.payload, found.algorithm, found.key_id) == (PAYLOAD, name, "a")
    with pytest.raises(MessageRefused, match="signature-invalid"):
        check_jws(
            token,
            PrivateKey.generate(ALGORITHMS[name], rsa_bits=2048).public_key,
            payload=PAYLOAD if detached else None,
        )


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != SM2_NAME])
def test_joserfc_and_we_agree(name: str) -> None:
    kind = {"R": "RSA", "P": "RSA"}.get(name[0]) or ("OKP" if name == "EdDSA" else "EC")
    theirs = jwk.import_key(KEYS[name].to_pem(), kind)  # type: ignore[call-overload]
    token = jws.serialize_compact({"alg": name}, PAYLOAD, theirs, [name])
    assert check_jws(token, KEYS[name].public_key).payload == PAYLOAD
    assert jws.deserialize_compact(sign_jws(PAYLOAD, KEYS[name], name, headers={}), theirs, [name]).payload == PAYLOAD


def test_none_and_shared_secrets_are_refused() -> None:
    key = KEYS["RS256"].public_key
    none = f"{part({'alg': 'none'})}.{part(PAYLOAD)}."
    signed = f"{part({'alg': 'HS256'})}.{part(PAYLOAD)}"
    secret = f"{signed}.{part(hmac.digest(key.spki, signed.encode(), 'sha256'))}"
    for token in (none, none.replace("none", "None"), secret):
        with pytest.raises(MessageRefused, match=r"algorithm-unsupported|jws-malformed"):
            check_jws(token, key)


def test_the_key_decides_the_algorithm() -> None:
    token = sign_jws(PAYLOAD, KEYS["ES256"], "ES256", headers={})
    for name in ("RS256", "ES384", SM2_NAME, "EdDSA"):
        with pytest.raises(MessageRefused, match="algorithm-mismatch"):
            check_jws(token, KEYS[name].public_key)
    with pytest.raises(BadKey):
        sign_jws(PAYLOAD, KEYS["ES256"], "RS256", headers={})


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d",
        "é.b.c",
        f"{part([])}.{part(PAYLOAD)}.AA",
        f"{part(7)}.{part(PAYLOAD)}.AA",
        f"{part({})}.{part(PAYLOAD)}.AA",
        f"{part({'alg': 7})}.{part(PAYLOAD)}.AA",
        f"{part({'alg': []})}.{part(PAYLOAD)}.AA",
        f"{part({'alg': 'ES256', 'crit': ['x'], 'x': 1})}.{part(PAYLOAD)}.AA",
        f"{part({'alg': 'ES256', 'x5c': 'no'})}.{part(PAYLOAD)}.AA",
        f"{part(b'[' * 20000)}.{part(PAYLOAD)}.AA",
        f"{part({'alg': 'ES256'})}.{'A' * 6_000_000}.AA",
    ],
    ids=range(14),
)
def test_junk_is_refused_by_our_error(token: str) -> None:
    with pytest.raises(MessageRefused):
        check_jws(token, KEYS["ES256"].public_key)


def test_altered_payload_and_signature_are_refused() -> None:
    token = sign_jws(PAYLOAD, KEYS["ES256"], "ES256", headers={})
    head, _, signature = token.split(".")
    for altered in (
        f"{head}.{part(b'other')}.{signature}",
        f"{head}.{part(PAYLOAD)}.{signature[:-4]}AAAA",
        f"{head}.{part(PAYLOAD)}.",
    ):
        with pytest.raises(MessageRefused, match="signature-invalid"):
            check_jws(altered, KEYS["ES256"].public_key)
    with pytest.raises(MessageRefused):
        check_jws(token, KEYS["ES256"].public_key, payload=b"other")


@pytest.mark.parametrize("name", ["ES256", SM2_NAME])
def test_a_jws_with_its_chain_is_judged_by_the_trust_store(name: str) -> None:
    kind = ALGORITHMS[name] if name == SM2_NAME else SignatureAlgorithm.ECDSA_SHA256
    root = new_root("root", kind, not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=9))
    leaf = root.issue("leaf")
    head = {"alg": name, "x5c": [base64.b64encode(leaf.cert.der).decode()]}
    signed = f"{part(head)}.{part(PAYLOAD)}"
    token = f"{signed}.{part(leaf.key.sign(ALGORITHMS[name], signed.encode(), raw=True))}"

    def judge(token: str, trust: TrustStore) -> tuple[Indication, SubIndication | None]:
        policy = Policy(revocation="off")
        report = verify_jws(token, trust=trust, policy=policy, revocation=RevocationSource(), at=NOW)
        return report.indication, report.sub_indication

    trust = TrustStore.of([root.cert], ["message"], NOW)
    assert judge(token, trust)[0] is Indication.PASSED
    assert judge(token, TrustStore()) == (Indication.INDETERMINATE, SubIndication.NO_CERTIFICATE_CHAIN_FOUND)
    assert judge(token[:-8] + "AAAAAAAA", trust) == (Indication.FAILED, SubIndication.SIG_CRYPTO_FAILURE)
    assert judge("junk", trust) == (Indication.FAILED, SubIndication.FORMAT_FAILURE)
    assert judge(sign_jws(PAYLOAD, leaf.key, name, headers={}), trust)[0] is Indication.FAILED
