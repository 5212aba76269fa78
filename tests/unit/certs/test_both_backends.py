"""What uses SM2, on both backends: made on one, judged on the other, and the other way round."""

from __future__ import annotations

from datetime import timedelta

import pytest
from lxml import etree

from certs import keys, sm2
from certs.cms.verify import verify_cms
from certs.errors import BadConfiguration, BadKey
from certs.issuing.messages import issue_timestamp, sign_message
from certs.jws import check_jws, sign_jws
from certs.keys import SignatureAlgorithm
from certs.ofd.seal_write import Structure
from certs.ofd.write import SignOptions
from certs.policy import Policy
from certs.report import Indication
from certs.trust import TrustStore
from certs.x509.revocation import RevocationSource
from certs.xml.wsse import verify_envelope
from certs.xml.wsse_sign import sign_envelope
from tests.fuzz.chains import NOW as THEN
from tests.fuzz.chains import world as chains
from tests.unit.certs import messages, ofd_cases

SM2 = SignatureAlgorithm.SM2_SM3
POLICY = Policy(revocation="off")
WAYS: list[tuple[sm2.BackendName, sm2.BackendName]] = [
    ("gmssl", "gmssl"),
    ("libcrypto", "gmssl"),
    ("gmssl", "libcrypto"),
    ("libcrypto", "libcrypto"),
]


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest) -> tuple[sm2.BackendName, sm2.BackendName]:
    found: tuple[sm2.BackendName, sm2.BackendName] = request.param
    for name in found:
        try:
            sm2.select_backend(name)
        except BadConfiguration as error:
            pytest.skip(f"this machine has no {name}: {error}")
    sm2.select_backend(found[0])
    return found


def judge_on(name: sm2.BackendName) -> None:
    assert sm2.select_backend(name) == name
    keys.forget_answers()


@pytest.mark.parametrize("structure", ["v1", "v4", "v5"])
def test_sealed_documents(way: tuple[sm2.BackendName, sm2.BackendName], structure: Structure) -> None:
    w = ofd_cases.world()
    document = w.signed(SignOptions(seal=w.seal(structure)))
    judge_on(way[1])
    assert w.verify(document).indication is Indication.PASSED
    stranger = ofd_cases.World(chains_authority(), w.trust, w.revocation)
    assert w.verify(stranger.signed(SignOptions(seal=stranger.seal(structure)))).indication is Indication.INDETERMINATE


def chains_authority() -> ofd_cases.SealAuthority:
    return ofd_cases.SealAuthority.create(ofd_cases.NOW, SM2)


@pytest.mark.parametrize("gb", [True, False])
def test_messages_with_timestamps(way: tuple[sm2.BackendName, sm2.BackendName], gb: bool) -> None:
    w = chains(SM2)
    stamped = sign_message(
        b"content",
        w.leaf,
        gb=gb,
        chain=[w.middle.cert],
        timestamp=lambda value: issue_timestamp(value, w.stamper, time=THEN),
    )
    judge_on(way[1])
    given = {"trust": w.trust, "policy": POLICY, "revocation": RevocationSource(), "at": THEN}
    assert verify_cms(stamped, b"content", **given).indication is Indication.PASSED
    assert verify_cms(stamped, b"altered", **given).indication is Indication.FAILED


def test_soap_and_jws(way: tuple[sm2.BackendName, sm2.BackendName]) -> None:
    key, certificate = messages.key_of("sm2"), messages.certificate_of("sm2")
    soap = etree.tostring(sign_envelope(messages.envelope(), key=key, certificate=certificate, created=messages.NOW))
    token = sign_jws(b"{}", key, "SM2SM3", headers={})
    judge_on(way[1])
    verify_envelope(soap, now=messages.NOW, max_age=timedelta(minutes=5), resolve_key=messages.resolver())
    assert check_jws(token, key.public_key).payload == b"{}"


def test_user_ids_and_lists(way: tuple[sm2.BackendName, sm2.BackendName]) -> None:
    key = sm2.generate()
    users = (b"1234567812345678", b"a", b"ALICE123@YAHOO.COM", "教育局".encode(), b"x" * sm2.MAX_USER_ID)
    made = {user: sm2.sign(key, b"m", user) for user in users}
    w = ofd_cases.world()
    revoked = ofd_cases.revocation(w.authority, {w.authority.signer.cert.serial: (ofd_cases.NOW, 1)})
    judge_on(way[1])
    for user, signature in made.items():
        assert [sm2.verify(sm2.public_key(key), b"m", signature, other) for other in users] == [
            other == user for other in users
        ]
    for user in (b"", b"x" * (sm2.MAX_USER_ID + 1)):  # where the two would differ
        with pytest.raises(BadKey):
            sm2.verify(sm2.public_key(key), b"m", made[b"a"], user)
        with pytest.raises(BadKey):
            sm2.sign(key, b"m", user)
    document = w.signed()
    assert w.verify(document, revocation=revoked).indication is Indication.FAILED
    assert w.verify(document, trust=TrustStore()).indication is Indication.INDETERMINATE
