"""Sealed OFD documents: what passes, and for every way to break one, the axis and the reason that say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from certs import der, sm2
from certs.errors import BadConfiguration
from certs.issuing.authority import SealAuthority
from certs.issuing.messages import issue_timestamp
from certs.keys import SignatureAlgorithm
from certs.ofd.seal_write import Structure
from certs.ofd.write import SignOptions, pack, sign_ofd, unpack
from certs.policy import Policy, load_policy
from certs.report import Axis, Indication, Report, SubIndication
from certs.trust import TrustStore

from .ofd_cases import NOW, on, revocation, unsigned, world

PASSED, FAILED, INDETERMINATE = Indication.PASSED, Indication.FAILED, Indication.INDETERMINATE
Sub = SubIndication
VALUE, SIGNATURE, LIST = (
    "Doc_0/Signs/Sign_0/SignedValue.dat",
    "Doc_0/Signs/Sign_0/Signature.xml",
    "Doc_0/Signs/Signatures.xml",
)


def judged(report: Report, axis: Axis) -> set[tuple[Indication, SubIndication | None]]:
    return {(finding.indication, finding.sub_indication) for finding in on(report, axis)}


def options(kind: str) -> SignOptions:
    w = world()
    middle = (w.authority.intermediate.cert,)
    return {
        "v1": SignOptions(seal=w.seal("v1")),
        "v4": SignOptions(seal=w.seal("v4")),
        "v4-digests": SignOptions(seal=w.seal("v4", digests=True)),
        "v5": SignOptions(seal=w.seal("v5")),
        "with-esl": SignOptions(seal=w.seal("v4"), separate_seal=True),
        "locked": SignOptions(seal=w.seal("v4"), lock=True),
        "gb35275": SignOptions(gb35275=True, certs=middle),
        "bare": SignOptions(),
    }[kind]


KINDS = ["v1", "v4", "v4-digests", "v5", "with-esl", "locked", "gb35275", "bare"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_signature_passes(kind: str) -> None:
    report = world().verify(world().signed(options(kind)))
    assert report.indication is PASSED, report.sub_indication
    assert [s.fingerprint_sha256 for s in report.signers] == [world().authority.signer.cert.fingerprint]
    for axis in (Axis.FORMAT, Axis.CONTENT, Axis.COVERAGE, Axis.SIGNATURE, Axis.PATH, Axis.VALIDITY, Axis.REVOCATION):
        assert report.axis(axis) is PASSED, axis
    assert (report.axis(Axis.SEAL) is PASSED) == (kind not in {"gb35275", "bare"})


@pytest.mark.parametrize("algorithm", [SignatureAlgorithm.RSA_PKCS1_SHA256, SignatureAlgorithm.ECDSA_SHA256])
@pytest.mark.parametrize("structure", ["v1", "v4", "v5"])
def test_signers_with_other_keys(algorithm: SignatureAlgorithm, structure: str) -> None:
    w = world(algorithm)
    report = w.verify(w.signed(SignOptions(seal=w.seal(structure))))  # type: ignore[arg-type]
    assert report.indication is PASSED
    assert report.signers[0].algorithm == str(algorithm)


@pytest.mark.parametrize("kind", KINDS)
def test_each_covered_file_altered_or_removed(kind: str) -> None:
    document = world().signed(options(kind))
    members = unpack(document)
    covered = [name for name in members if name not in {VALUE, SIGNATURE, LIST}] + ([LIST] if kind == "locked" else [])
    assert len(covered) >= 6
    for name in covered:
        changed = members | {name: members[name].replace(b"ofd:", b"ofd:", 1)[:-1] + b"\n>"}
        report = world().verify(pack(changed))
        assert report.indication is FAILED, name
        assert (FAILED, Sub.HASH_FAILURE) in judged(report, Axis.CONTENT) or report.axis(Axis.FORMAT) is FAILED, name
        if name not in {"OFD.xml", LIST, "Doc_0/Signs/Sign_0/Seal.esl"}:
            assert report.axis(Axis.SIGNATURE) is PASSED, "the seal is still good: only the digests tell"
            found = next(f for f in on(report, Axis.CONTENT) if f.indication is FAILED)
            assert found.data["changed"] == name
        if name not in {"OFD.xml", LIST}:
            removed = {other: content for other, content in members.items() if other != name}
            report = world().verify(pack(removed))
            assert report.indication is FAILED, name


@pytest.mark.parametrize("kind", ["v1", "v4", "v5", "gb35275", "bare"])
def test_signature_file_altered(kind: str) -> None:
    members = unpack(world().signed(options(kind)))
    members[SIGNATURE] = members[SIGNATURE].replace(b'Company="exchange-hub"', b'Company="exchange-hug"')
    report = world().verify(pack(members))
    assert report.indication is (INDETERMINATE if kind == "bare" else FAILED)
    if kind == "bare":
        assert report.sub_indication is Sub.NO_SIGNING_CERTIFICATE_FOUND
    else:
        assert report.sub_indication is Sub.HASH_FAILURE


@pytest.mark.parametrize("kind", ["v1", "v4", "v5", "gb35275", "bare"])
def test_no_bit_of_the_signature_value_may_change(kind: str) -> None:
    """Every 7th bit, so that over the run each bit position of an octet is met."""
    members = unpack(world().signed(options(kind)))
    value = members[VALUE]
    step = 7 if len(value) < 200 else 97
    # of a message only the signed attributes and the value at its end are protected, not the wrapper (RFC 5652, 5.4)
    start = len(value) - 72 if kind == "gb35275" else 0
    for bit in range(start * 8, len(value) * 8, step):
        altered = bytearray(value)
        altered[bit // 8] ^= 1 << bit % 8
        report = world().verify(pack(members | {VALUE: bytes(altered)}))
        assert report.indication is not PASSED, f"bit {bit} of {kind}"


def swap(value: bytes, old: bytes, new: bytes) -> bytes:
    assert value.count(old) >= 1
    return value.replace(old, new, 1)


def resigned(kind: str, change: Callable[[bytes], bytes]) -> bytes:
    """The document with TBS_Sign changed inside and signed again by the right signer (v4)."""
    members = unpack(world().signed(options(kind)))
    reader = der.read(members[VALUE], der.SEQUENCE).reader()
    tbs, rest = change(reader.take().raw), [reader.take().raw, reader.take().raw]
    signature = der.tlv(der.BIT_STRING, b"\x00" + world().authority.signer.sign(tbs))
    members[VALUE] = der.tlv(der.SEQUENCE, tbs, *rest, signature)
    return pack(members)


def test_a_seal_that_its_maker_did_not_make_so() -> None:
    """The signer, who may sign, changes the seal's name: step 5 tells."""
    name = "济南市公安局".encode()
    document = resigned("v4", lambda tbs: swap(tbs, name, "济南市财政局".encode()))
    report = world().verify(document)
    assert judged(report, Axis.SEAL) == {(FAILED, Sub.SIG_CRYPTO_FAILURE), (PASSED, None)}
    assert report.axis(Axis.SIGNATURE) is PASSED


def test_seal_file_that_is_not_the_seal_inside() -> None:
    w = world()
    other = w.seal("v4", seal_id="37010000000002")
    document = sign_ofd(unsigned(), w.authority.signer, SignOptions(seal=w.seal("v4"), separate_seal=True), at=NOW)
    members = unpack(document)
    esl = "Doc_0/Signs/Sign_0/Seal.esl"
    members[esl] = other.raw
    assert w.verify(pack(members)).indication is FAILED
    # even if the signature does not cover it
    bare = sign_ofd(
        unsigned(),
        w.authority.signer,
        SignOptions(seal=w.seal("v4"), separate_seal=True, uncovered=frozenset({esl})),
        at=NOW,
    )
    assert w.verify(bare).indication is PASSED
    report = w.verify(pack(unpack(bare) | {esl: other.raw}))
    assert (FAILED, Sub.SIG_CONSTRAINTS_FAILURE) in judged(report, Axis.SEAL)
    gone = {name: content for name, content in unpack(bare).items() if name != esl}
    assert w.verify(pack(gone)).indication is PASSED, "Seal.esl is often absent"


@pytest.mark.parametrize("digests", [False, True])
def test_a_signer_who_may_not_use_the_seal(digests: bool) -> None:
    w = world()
    stranger = w.authority.intermediate.issue("另一单位")
    report = w.verify(w.signed(SignOptions(seal=w.seal("v4", digests=digests)), signer=stranger))
    assert (FAILED, Sub.SIG_CONSTRAINTS_FAILURE) in judged(report, Axis.SEAL)
    assert report.axis(Axis.SIGNATURE) is PASSED


def test_two_signatures() -> None:
    w = world()
    once = w.signed(options("v4"))
    twice = sign_ofd(once, w.authority.signer, options("v5"), at=NOW)
    report = w.verify(twice)
    assert report.indication is PASSED
    assert len(report.signers) == 2


def test_a_later_signature_breaks_one_that_covers_the_list_and_the_report_says_so() -> None:
    w = world()
    report = w.verify(sign_ofd(w.signed(options("locked")), w.authority.signer, options("v4"), at=NOW))
    broken = next(f for f in report.findings if f.indication is FAILED)
    assert (broken.signature, broken.sub_indication, broken.data["cause"]) == (0, Sub.HASH_FAILURE, "later-signature")
    assert all(f.indication is PASSED for f in report.findings if f.signature == 1)


def test_a_stranger_adds_a_signature() -> None:
    """The first one is good, but the document as a whole is not: somebody unknown signed it too."""
    w = world()
    stranger = SealAuthority.create(NOW)
    added = sign_ofd(w.signed(options("v4")), stranger.signer, SignOptions(gb35275=True), at=NOW)
    assert w.verify(added).indication is not PASSED


@pytest.mark.parametrize(
    ("left_out", "policy", "expected"),
    [
        ({"OFD.xml"}, Policy(), INDETERMINATE),
        ({"OFD.xml"}, load_policy("field"), PASSED),
        ({"Doc_0/Pages/Page_0/Content.xml"}, Policy(), INDETERMINATE),
        ({"Doc_0/Pages/Page_0/Content.xml"}, load_policy("field"), INDETERMINATE),
        ({"Doc_0/Pages/Page_0/Content.xml"}, Policy(uncovered=FAILED), FAILED),
        ({"Doc_0/Pages/Page_0/Content.xml"}, Policy(uncovered=PASSED), PASSED),
        ({"OFD.xml", "Doc_0/Document.xml"}, Policy(uncovered_allowed=("*",)), INDETERMINATE),
    ],
)
def test_files_that_no_signature_covers(left_out: set[str], policy: Policy, expected: Indication) -> None:
    w = world()
    document = w.signed(SignOptions(seal=w.seal(), uncovered=frozenset(left_out)))
    report = w.verify(document, policy)
    assert report.indication is expected
    assert report.axis(Axis.COVERAGE) is expected
    finding = on(report, Axis.COVERAGE)[0]
    assert left_out & set(finding.data["files"].split("\n")), "reported whatever the policy says"


def test_a_file_slipped_into_the_archive() -> None:
    members = unpack(world().signed()) | {"Doc_0/Pages/Page_1/Content.xml": b"<x/>"}
    report = world().verify(pack(members))
    assert (INDETERMINATE, Sub.UNCOVERED_CONTENT) in judged(report, Axis.COVERAGE)


def test_a_template_as_document_root_under_the_field_policy() -> None:
    """OFD.xml and templates may be uncovered there, so a forged OFD.xml could lead to a forged template as the document."""
    w = world()
    document = w.signed(SignOptions(seal=w.seal(), uncovered=frozenset({"OFD.xml"})))
    members = unpack(document)
    members["OFD.xml"] = members["OFD.xml"].replace(b"Doc_0/Document.xml", b"Doc_0/Tpls/Document.xml")
    members["Doc_0/Tpls/Document.xml"] = members["Doc_0/Document.xml"]
    assert w.verify(document, load_policy("field")).indication is PASSED
    assert w.verify(pack(members), load_policy("field")).axis(Axis.COVERAGE) is INDETERMINATE


def test_time() -> None:
    w = world()
    year = timedelta(days=366)
    # an expired seal
    old = w.signed(SignOptions(seal=w.seal(valid_to=NOW - timedelta(hours=1))))
    assert (FAILED, Sub.EXPIRED) in judged(w.verify(old), Axis.VALIDITY)
    early = w.signed(SignOptions(seal=w.seal(valid_from=NOW + timedelta(hours=1))))
    assert (FAILED, Sub.NOT_YET_VALID) in judged(w.verify(early), Axis.VALIDITY)
    # signed in the future
    future = w.signed(at=NOW + timedelta(days=2))
    assert (FAILED, Sub.NOT_YET_VALID) in judged(w.verify(future), Axis.VALIDITY)
    # long after: the claimed time counts, unless the policy says otherwise
    document = w.signed()
    soft = Policy(revocation="off")
    late = NOW + 20 * year
    assert w.verify(document, soft, late).indication is PASSED
    assert (FAILED, Sub.EXPIRED) in judged(
        w.verify(document, replace(soft, accept_claimed_time=False), late), Axis.VALIDITY
    )


def stamping(at: datetime, serial: int = 1) -> tuple[Callable[[bytes], bytes], TrustStore]:
    """A timestamp authority under our root, and a store that trusts the root for timestamps too."""
    w = world()
    authority = w.authority.intermediate.issue(
        "时间戳", extended=("1.3.6.1.5.5.7.3.8",), extended_critical=True, not_after=NOW + timedelta(days=9000)
    )
    trust = TrustStore.of([w.authority.root.cert], ["seal", "seal-maker", "timestamp"], NOW)
    return (lambda data: issue_timestamp(data, authority, time=at, serial=serial)), trust


@pytest.mark.parametrize("structure", ["v1", "v4", "v5"])
def test_timestamps(structure: Structure) -> None:
    w = world()
    stamp, trust = stamping(NOW)
    document = w.signed(SignOptions(seal=w.seal(structure), timestamp=stamp))
    report = w.verify(document, trust=trust)
    assert report.indication is PASSED
    assert report.axis(Axis.TIMESTAMP) is PASSED
    assert w.verify(document).axis(Axis.TIMESTAMP) is INDETERMINATE, "the authority is not trusted for timestamps"
    # a key that was revoked later had signed before: only a timestamp can prove it
    late = NOW + timedelta(days=1)
    lists = revocation(w.authority, {w.authority.signer.cert.serial: (NOW + timedelta(hours=1), 1)})
    later = w.verify(document, at=late, trust=trust, revocation=lists)
    without = w.verify(w.signed(), at=late, trust=trust, revocation=lists)
    assert without.sub_indication is Sub.REVOKED_NO_POE
    assert later.indication is (INDETERMINATE if structure == "v1" else PASSED), "v1 stamps the file, not the signature"


def test_timestamps_that_do_not_hold() -> None:
    w = world()
    stamp, trust = stamping(NOW)
    other = w.verify(w.signed(SignOptions(seal=w.seal(), timestamp=lambda _: stamp(b"something else"))), trust=trust)
    assert judged(other, Axis.TIMESTAMP) == {(FAILED, Sub.HASH_FAILURE)}
    junk = w.verify(w.signed(SignOptions(seal=w.seal(), timestamp=lambda _: b"junk")), trust=trust)
    assert judged(junk, Axis.TIMESTAMP) == {(FAILED, Sub.FORMAT_FAILURE)}
    early, trust = stamping(NOW - timedelta(hours=2))
    order = w.verify(w.signed(SignOptions(seal=w.seal(), timestamp=early)), trust=trust)
    assert (INDETERMINATE, Sub.TIMESTAMP_ORDER_FAILURE) in judged(order, Axis.TIMESTAMP)
    # the seal's own timestamp (v5)
    for give, expected in ((stamp, PASSED), (lambda _: b"\x01\x02\x03", FAILED)):
        sealed = w.signed(SignOptions(seal=w.seal("v5", timestamp=give)))
        assert w.verify(sealed, trust=trust).axis(Axis.TIMESTAMP) is expected


def test_trust_and_revocation() -> None:
    w = world()
    document = w.signed()
    nobody = w.verify(document, trust=TrustStore())
    assert (nobody.indication, nobody.sub_indication) == (INDETERMINATE, Sub.NO_CERTIFICATE_CHAIN_FOUND)
    assert nobody.axis(Axis.VALIDITY) is PASSED, "told even without a chain"
    # trusted to sign, not to make seals
    half = TrustStore.of([w.authority.root.cert], ["seal"], NOW)
    assert w.verify(document, trust=half).indication is INDETERMINATE
    unknown = w.verify(document, revocation=type(w.revocation)())
    assert (unknown.indication, unknown.sub_indication) == (INDETERMINATE, Sub.TRY_LATER)
    assert w.verify(document, load_policy("field"), revocation=type(w.revocation)()).indication is PASSED
    for identity in (w.authority.signer, w.authority.seal_maker):
        lists = revocation(w.authority, {identity.cert.serial: (NOW - timedelta(days=2), 1)})
        report = w.verify(document, revocation=lists)
        assert (report.indication, report.sub_indication) == (FAILED, Sub.REVOKED)


def test_bare_signatures_name_nobody() -> None:
    w = world()
    document = w.signed(options("bare"))
    report = w.verify(document, extra_certs=())
    assert (report.indication, report.sub_indication) == (INDETERMINATE, Sub.NO_SIGNING_CERTIFICATE_FOUND)
    assert report.axis(Axis.CONTENT) is PASSED
    other = world().authority.intermediate.issue("别人")
    assert w.verify(document, extra_certs=(other.cert,)).axis(Axis.SIGNATURE) is INDETERMINATE


def test_a_seal_where_the_policy_asks_for_one() -> None:
    w = world()
    policy = Policy(require_seal=True)
    assert w.verify(w.signed(), policy).indication is PASSED
    report = w.verify(w.signed(options("gb35275")), policy)
    assert judged(report, Axis.POLICY) == {(INDETERMINATE, Sub.SIG_CONSTRAINTS_FAILURE)}


def test_a_plain_signature_that_is_listed_as_a_seal() -> None:
    members = unpack(world().signed(options("gb35275")))
    for new in (b'Type="Seal"', b""):
        changed = members | {LIST: members[LIST].replace(b'Type="Sign"', new)}
        assert (FAILED, Sub.FORMAT_FAILURE) in judged(world().verify(pack(changed)), Axis.SEAL)


def test_algorithms_that_the_policy_leaves_out() -> None:
    only_rsa = Policy(algorithms=frozenset({SignatureAlgorithm.RSA_PKCS1_SHA256}))
    report = world().verify(world().signed(), only_rsa)
    assert report.axis(Axis.SIGNATURE) is INDETERMINATE
    assert (INDETERMINATE, Sub.CRYPTO_CONSTRAINTS_FAILURE) in judged(report, Axis.SIGNATURE)


@pytest.mark.parametrize("method", ["MD5", "SHA1", "CRC", ""])
def test_weak_digests_do_not_count(method: str) -> None:
    members = unpack(world().signed())
    members[SIGNATURE] = members[SIGNATURE].replace(
        b'CheckMethod="1.2.156.10197.1.401"', f'CheckMethod="{method}"'.encode()
    )
    report = world().verify(pack(members))
    assert (INDETERMINATE, Sub.CRYPTO_CONSTRAINTS_FAILURE) in judged(report, Axis.CONTENT)


def test_unsigned_and_stripped() -> None:
    report = world().verify(unsigned())
    assert (report.indication, report.sub_indication) == (INDETERMINATE, Sub.NOT_SIGNED)
    members = unpack(world().signed())
    members[LIST] = members[LIST][: members[LIST].index(b"<ofd:Signature ID")] + b"</ofd:Signatures>"
    assert world().verify(pack(members)).sub_indication is Sub.NOT_SIGNED


def test_the_namespace_without_2016() -> None:
    w = world()
    members = unpack(unsigned())
    old = {n: c.replace(b"http://www.ofdspec.org/2016", b"http://www.ofdspec.org") for n, c in members.items()}
    assert w.verify(sign_ofd(pack(old), w.authority.signer, options("v4"), at=NOW)).indication is PASSED


def test_references_without_their_leading_slash() -> None:
    """Some makers write paths from the root so; a file put where the standard's own reading leads must not stand in."""
    w = world()
    members = unpack(w.signed(options("bare")))
    members[SIGNATURE] = members[SIGNATURE].replace(b'FileRef="/', b'FileRef="')
    members[VALUE] = w.authority.signer.sign(members[SIGNATURE])
    assert w.verify(pack(members)).indication is PASSED
    page = "Doc_0/Pages/Page_0/Content.xml"
    members[f"Doc_0/Signs/Sign_0/{page}"], members[page] = members[page], members[page] + b" "
    report = w.verify(pack(members))
    assert (INDETERMINATE, Sub.UNCOVERED_CONTENT) in judged(report, Axis.COVERAGE)


def test_both_backends_agree() -> None:
    document = world().signed()
    members = unpack(document)
    forged = pack(members | {VALUE: swap(members[VALUE], b"20260302080000Z", b"20260302080001Z")})
    verdicts = []
    for name in ("libcrypto", "gmssl"):
        try:
            sm2.select_backend(name)  # type: ignore[arg-type]
        except BadConfiguration:  # this machine has no libcrypto
            continue
        verdicts.append((world().verify(document).indication, world().verify(forged).indication))
    assert set(verdicts) == {(PASSED, FAILED)}
