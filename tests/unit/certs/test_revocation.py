"""CRLs and OCSP of every key kind: fresh and stale, by the right and the wrong signer, hard and soft, before and after."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from certs.der import Malformed
from certs.issuing.authority import Identity, extension, new_root
from certs.issuing.ocsp import CertStatus, issue_ocsp_response
from certs.keys import SignatureAlgorithm
from certs.policy import Policy
from certs.report import Axis, Finding, Indication, SubIndication
from certs.trust import TrustStore
from certs.x509 import extensions
from certs.x509.crl import MAX_CRL_BYTES, Reason, parse_crl
from certs.x509.ocsp import parse_response
from certs.x509.path_checks import OCSP_SIGNING
from certs.x509.paths import PathResult, validate_path
from certs.x509.revocation import RevocationSource

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGIN, END = NOW - timedelta(days=100), NOW + timedelta(days=1000)
DAY = timedelta(days=1)
KINDS = (SignatureAlgorithm.SM2_SM3, SignatureAlgorithm.RSA_PKCS1_SHA256, SignatureAlgorithm.ECDSA_SHA256)
HARD, SOFT = Policy(), Policy(name="soft", revocation="soft")


@dataclass(frozen=True)
class World:
    root: Identity
    middle: Identity
    leaf: Identity

    def lists(self, *, revoked: dict[int, tuple[datetime, int]] | None = None) -> tuple[bytes, bytes]:
        """Good CRLs of both issuers, the leaf's with these entries."""
        return self.root_list(), self.middle.crl(revoked, this_update=NOW - DAY, next_update=NOW + DAY)

    def root_list(self) -> bytes:
        return self.root.crl(this_update=NOW - DAY, next_update=NOW + DAY)


def world(kind: SignatureAlgorithm = SignatureAlgorithm.ECDSA_SHA256) -> World:
    root = new_root("root", kind, not_before=BEGIN, not_after=END)
    middle = root.issue("middle", ca=True)
    return World(root, middle, middle.issue("leaf", ocsp_urls=["http://ocsp.invalid"]))


def judge(
    made: World,
    source: RevocationSource,
    *,
    policy: Policy = HARD,
    at: datetime = NOW,
    now: datetime = NOW,
    proven: bool = False,
    pool: Sequence[Identity] = (),
) -> PathResult:
    return validate_path(
        made.leaf.cert,
        [made.middle.cert, *(one.cert for one in pool)],
        trust=TrustStore.of([made.root.cert], ["seal"], NOW),
        purpose="seal",
        at=at,
        now=now,
        policy=policy,
        revocation=source,
        proven_time=proven,
    )


def revocation(result: PathResult) -> Finding:
    found = [f for f in result.findings if f.axis is Axis.REVOCATION]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("kind", KINDS)
def test_good_and_revoked_by_crl(kind: SignatureAlgorithm) -> None:
    made = world(kind)
    assert judge(made, RevocationSource(crls=made.lists())).indication is Indication.PASSED
    entries = {made.leaf.cert.serial: (NOW - DAY, int(Reason.KEY_COMPROMISE))}
    found = revocation(judge(made, RevocationSource(crls=made.lists(revoked=entries))))
    assert (found.indication, found.sub_indication) == (Indication.FAILED, SubIndication.REVOKED)
    assert found.data["reason"] == "key_compromise"
    assert found.data["revoked_at"] == "2026-02-28T12:00:00Z"


def test_the_revoked_issuer_revokes_the_path() -> None:
    made = world()
    revoked = made.root.crl({made.middle.cert.serial: (NOW - DAY, 2)}, this_update=NOW - DAY, next_update=NOW + DAY)
    found = revocation(judge(made, RevocationSource(crls=(revoked, made.lists()[1]))))
    assert found.sub_indication is SubIndication.REVOKED
    assert found.data["position"] == "1"


def test_no_information_is_try_later_unless_the_policy_is_soft_or_off() -> None:
    made = world()
    found = judge(made, RevocationSource())
    assert found.indication is Indication.INDETERMINATE
    assert {f.sub_indication for f in found.findings if f.axis is Axis.REVOCATION} == {SubIndication.TRY_LATER}
    soft = judge(made, RevocationSource(), policy=SOFT)
    assert soft.indication is Indication.PASSED
    assert any("cannot be told" in f.detail_en for f in soft.findings), "a soft pass is noted"
    assert judge(made, RevocationSource(), policy=Policy(revocation="off")).indication is Indication.PASSED


def test_revoked_fails_under_the_soft_policy_too() -> None:
    made = world()
    lists = made.lists(revoked={made.leaf.cert.serial: (NOW - DAY, 1)})
    assert judge(made, RevocationSource(crls=lists), policy=SOFT).indication is Indication.FAILED


@pytest.mark.parametrize(
    ("offset", "fresh"),
    [(timedelta(seconds=-1), True), (timedelta(), True), (timedelta(seconds=1), False)],
)
def test_a_list_is_fresh_until_next_update(offset: timedelta, fresh: bool) -> None:
    made = world()
    at = NOW + DAY + offset
    found = judge(made, RevocationSource(crls=made.lists()), at=at, now=at)
    assert found.indication is (Indication.PASSED if fresh else Indication.INDETERMINATE)


def test_a_list_from_the_future_and_an_old_one_by_policy_do_not_count() -> None:
    made = world()
    early = NOW - DAY - timedelta(minutes=6)
    assert judge(made, RevocationSource(crls=made.lists()), at=early, now=early).indication is Indication.INDETERMINATE
    young = replace(HARD, max_revocation_age=timedelta(hours=23))
    assert judge(made, RevocationSource(crls=made.lists()), policy=young).indication is Indication.INDETERMINATE
    old = replace(HARD, max_revocation_age=timedelta(hours=24))
    assert judge(made, RevocationSource(crls=made.lists()), policy=old).indication is Indication.PASSED


@pytest.mark.parametrize(
    ("revoked_at", "proven", "expected"),
    [
        (NOW - 2 * DAY - timedelta(seconds=1), False, (Indication.FAILED, SubIndication.REVOKED)),
        (NOW - 2 * DAY, False, (Indication.FAILED, SubIndication.REVOKED)),
        (NOW - 2 * DAY, True, (Indication.FAILED, SubIndication.REVOKED)),
        (NOW - 2 * DAY + timedelta(seconds=1), False, (Indication.INDETERMINATE, SubIndication.REVOKED_NO_POE)),
        (NOW - 2 * DAY + timedelta(seconds=1), True, (Indication.PASSED, None)),
    ],
)
def test_revoked_before_and_after_the_signature(
    revoked_at: datetime, proven: bool, expected: tuple[Indication, SubIndication | None]
) -> None:
    made = world()
    lists = made.lists(revoked={made.leaf.cert.serial: (revoked_at, 1)})
    found = revocation(judge(made, RevocationSource(crls=lists), at=NOW - 2 * DAY, proven=proven))
    assert (found.indication, found.sub_indication) == expected


def test_a_list_by_the_wrong_signer_does_not_count() -> None:
    made, other = world(), world()
    forged = other.middle.crl(this_update=NOW - DAY, next_update=NOW + DAY)
    assert judge(made, RevocationSource(crls=(made.root_list(), forged))).indication is Indication.INDETERMINATE
    # of the right name, with a certificate from the right root, but without the right to sign lists
    namesake = made.root.issue("middle", ca=False)
    signed = namesake.crl(this_update=NOW - DAY, next_update=NOW + DAY)
    source = RevocationSource(crls=(made.root_list(), signed))
    assert judge(made, source, pool=[namesake]).indication is Indication.INDETERMINATE


def test_a_list_that_an_expired_certificate_may_have_left_does_not_count() -> None:
    root = new_root("root", not_before=BEGIN, not_after=END)
    middle = root.issue("middle", ca=True)
    made = World(root, middle, middle.issue("leaf", not_after=NOW - 2 * DAY))
    found = judge(made, RevocationSource(crls=made.lists()), at=NOW - 3 * DAY)
    assert found.indication is Indication.INDETERMINATE


def test_crls_are_bounded_and_malformed_ones_are_noted() -> None:
    with pytest.raises(Malformed, match="above"):
        parse_crl(b"\x30" + bytes(MAX_CRL_BYTES))
    made = world()
    found = judge(made, RevocationSource(crls=(b"junk", *made.lists())))
    assert found.indication is Indication.PASSED
    assert "CRL" in judge(made, RevocationSource(crls=(b"junk",))).findings[-1].data["why"]


def test_lists_are_fetched_from_the_urls_of_the_certificate() -> None:
    root = new_root("root", not_before=BEGIN, not_after=END)
    middle = root.issue("middle", ca=True)
    made = World(root, middle, middle.issue("leaf", crl_urls=["http://crl.invalid/a"]))
    asked: list[tuple[str, ...]] = []

    def fetch(issuer: bytes, urls: Sequence[str]) -> list[bytes]:
        asked.append(tuple(urls))
        return list(made.lists())

    assert judge(made, RevocationSource(crl=fetch)).indication is Indication.PASSED
    assert ("http://crl.invalid/a",) in asked


# --- OCSP ---


def answer(
    made: World,
    status: CertStatus,
    responder: Identity,
    *,
    this_update: datetime = NOW - DAY,
    next_update: datetime | None = NOW + DAY,
    include: bool = False,
) -> RevocationSource:
    raw = issue_ocsp_response(
        made.leaf.cert,
        made.middle.cert,
        status,
        responder=responder,
        produced_at=this_update,
        this_update=this_update,
        next_update=next_update,
        include_responder=include,
    )
    return RevocationSource(ocsp=lambda request, urls: [raw] if urls else [], crls=(made.root_list(),))


@pytest.mark.parametrize("kind", KINDS)
def test_good_and_revoked_by_ocsp(kind: SignatureAlgorithm) -> None:
    made = world(kind)
    assert judge(made, answer(made, CertStatus(True), made.middle)).indication is Indication.PASSED
    status = CertStatus(False, NOW - DAY, Reason.SUPERSEDED)
    found = revocation(judge(made, answer(made, status, made.middle)))
    assert (found.sub_indication, found.data["by"], found.data["reason"]) == (
        SubIndication.REVOKED,
        "ocsp",
        "superseded",
    )


def test_unknown_to_the_responder_is_undetermined() -> None:
    made = world()
    assert judge(made, answer(made, CertStatus(False), made.middle)).indication is Indication.INDETERMINATE


@pytest.mark.parametrize(
    ("extended", "no_check", "good"),
    [((OCSP_SIGNING,), True, True), ((), True, False), ((OCSP_SIGNING,), False, False)],
)
def test_a_delegated_responder_needs_its_usage_and_a_status(
    extended: tuple[str, ...], no_check: bool, good: bool
) -> None:
    made = world()
    extra = [extension(extensions.OCSP_NO_CHECK, b"\x05\x00", False)] if no_check else []
    responder = made.middle.issue("responder", extended=extended, extra_extensions=extra)
    source = answer(made, CertStatus(True), responder, include=True)
    assert judge(made, source).indication is (Indication.PASSED if good else Indication.INDETERMINATE)


def test_a_responder_of_another_issuer_is_not_authorised() -> None:
    made = world()
    extra = [extension(extensions.OCSP_NO_CHECK, b"\x05\x00", False)]
    responder = made.root.issue("responder", extended=[OCSP_SIGNING], extra_extensions=extra)
    found = judge(made, answer(made, CertStatus(True), responder, include=True))
    assert found.indication is Indication.INDETERMINATE
    assert "not authorised" in found.findings[-1].data["why"]


def test_stale_ocsp_falls_back_to_the_list() -> None:
    made = world()
    stale = answer(made, CertStatus(True), made.middle, next_update=NOW - timedelta(seconds=1))
    assert judge(made, stale).indication is Indication.INDETERMINATE
    assert judge(made, replace(stale, crls=made.lists())).indication is Indication.PASSED


def test_an_altered_answer_does_not_hold() -> None:
    made = world()
    source = answer(made, CertStatus(True), made.middle)
    assert source.ocsp is not None
    raw = bytearray(next(iter(source.ocsp(b"", ["u"]))))
    good = parse_response(bytes(raw))
    position = bytes(raw).index(good.tbs) + len(good.tbs) - 5
    raw[position] ^= 1
    altered = replace(source, ocsp=None, ocsp_responses=(bytes(raw),))
    assert judge(made, altered).indication is Indication.INDETERMINATE


def test_a_broken_responder_certificate_is_noted() -> None:
    """Found by fuzzing: what stands where the responder's certificate should be is no certificate."""
    made = world()
    extra = [extension(extensions.OCSP_NO_CHECK, b"\x05\x00", False)]
    responder = made.middle.issue("responder", extended=[OCSP_SIGNING], extra_extensions=extra)
    source = answer(made, CertStatus(True), responder, include=True)
    assert source.ocsp is not None
    raw = next(iter(source.ocsp(b"", ["u"])))
    cert = responder.cert.der
    broken = raw.replace(cert, cert[:4] + b"\x31" + cert[5:])
    found = judge(made, replace(source, ocsp=None, ocsp_responses=(broken,)))
    assert found.indication is Indication.INDETERMINATE
    assert "not a certificate" in found.findings[-1].data["why"]


def test_a_long_list_is_searched_in_bounded_time() -> None:
    made = world()
    entries = {2**100 + number: (NOW - DAY, 1) for number in range(50_000)}
    raw = made.middle.crl(entries, this_update=NOW - DAY, next_update=NOW + DAY)
    begin = time.perf_counter()
    crl = parse_crl(raw)
    assert crl.find(made.middle.cert.subject, 2**100 + 49_999) is not None
    assert crl.find(made.middle.cert.subject, 5) is None
    assert time.perf_counter() - begin < 2


@pytest.mark.parametrize(
    ("entry", "malformed"),
    [(b"\x30\x00", False), (b"\x30\x02\x02\x00", False), (b"\x02\x01\x05", False), (b"\x30\x03\x02\x01\x05", True)],
)
def test_entries_that_are_none_are_nobody_or_malformed(entry: bytes, malformed: bool) -> None:
    made = world()
    raw = made.middle.crl({5: (NOW, 1)}, this_update=NOW - DAY, next_update=NOW + DAY)
    crl = replace(parse_crl(raw), entries_content=entry)
    if malformed:
        with pytest.raises(Malformed):
            crl.find(made.middle.cert.subject, 5)
    else:
        assert crl.find(made.middle.cert.subject, 5) is None


# --- several lists and answers, all in force ---


def earlier_and_later(made: World, first: int | None, then: int | None) -> tuple[bytes, bytes]:
    """Two lists of the leaf's issuer, a day apart; each with the leaf on it for a reason, or not."""

    def one(reason: int | None, days: int) -> bytes:
        entries = {made.leaf.cert.serial: (NOW - 3 * DAY, reason)} if reason is not None else None
        return made.middle.crl(entries, this_update=NOW - days * DAY, next_update=NOW + DAY)

    return one(first, 2), one(then, 1)


def raw_answer(made: World, status: CertStatus, this_update: datetime) -> bytes:
    source = answer(made, status, made.middle, this_update=this_update)
    assert source.ocsp is not None
    (raw,) = source.ocsp(b"", ["u"])
    return raw


HOLD, COMPROMISED = int(Reason.CERTIFICATE_HOLD), int(Reason.KEY_COMPROMISE)
BOTH_IN_FORCE = [
    (None, COMPROMISED, Indication.FAILED),
    (COMPROMISED, None, Indication.FAILED),  # nothing takes it back
    (HOLD, COMPROMISED, Indication.FAILED),
    (None, HOLD, Indication.FAILED),
    (HOLD, None, Indication.PASSED),  # the hold has ended
    (None, None, Indication.PASSED),
]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("embedded", ["both", "earlier", "later", "none"])
@pytest.mark.parametrize(("first", "then", "indication"), BOTH_IN_FORCE)
def test_every_list_is_heard_whoever_brings_it_and_in_whatever_order(
    first: int | None, then: int | None, indication: Indication, embedded: str, newest_first: bool
) -> None:
    """A document may carry any list of the past that is still in force: it cannot silence the one that revokes."""
    made = world()
    earlier, later = earlier_and_later(made, first, then)
    inside = {"both": [earlier, later], "earlier": [earlier], "later": [later], "none": []}[embedded]
    ours = [made.root_list(), *(one for one in (earlier, later) if one not in inside)]
    if newest_first:
        inside, ours = inside[::-1], ours[::-1]
    found = judge(made, RevocationSource(crl=lambda issuer, urls: ours, crls=tuple(inside)))
    assert found.indication is indication


@pytest.mark.parametrize("listed_first", [False, True])
@pytest.mark.parametrize(("reason", "answered", "indication"), [
    (COMPROMISED, NOW - 2 * DAY, Indication.FAILED),
    (COMPROMISED, NOW - DAY / 2, Indication.FAILED),
    (HOLD, NOW - 2 * DAY, Indication.FAILED),
    (HOLD, NOW - DAY / 2, Indication.PASSED),
])  # fmt: skip
def test_a_good_answer_does_not_silence_a_list(
    reason: int, answered: datetime, indication: Indication, listed_first: bool
) -> None:
    made = world()
    lists = made.lists(revoked={made.leaf.cert.serial: (NOW - 3 * DAY, reason)})  # of a day ago
    good = raw_answer(made, CertStatus(True), answered)
    inside = RevocationSource(crls=lists, ocsp_responses=(good,))
    asked = RevocationSource(crls=lists, ocsp=lambda request, urls: [good])
    assert judge(made, asked if listed_first else inside).indication is indication


def test_a_document_cannot_crowd_out_what_the_hub_has() -> None:
    made = world()
    old = [
        made.middle.crl(None, this_update=NOW - DAY - timedelta(minutes=n), next_update=NOW + DAY) for n in range(70)
    ]
    revoked = made.lists(revoked={made.leaf.cert.serial: (NOW - DAY, COMPROMISED)})
    source = RevocationSource(crl=lambda issuer, urls: revoked, crls=(*old, made.root_list()))
    assert judge(made, source).indication is Indication.FAILED
    good = tuple(raw_answer(made, CertStatus(True), NOW - timedelta(minutes=n)) for n in range(1, 12))
    ours = raw_answer(made, CertStatus(False, NOW - DAY, Reason.SUPERSEDED), NOW - DAY)
    source = RevocationSource(ocsp=lambda request, urls: [ours], ocsp_responses=good, crls=(made.root_list(),))
    assert judge(made, source).indication is Indication.FAILED
