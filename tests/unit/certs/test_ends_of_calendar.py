"""Whatever time a caller names, a document is judged: both ends of the calendar, over every format."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from certs.issuing.messages import issue_timestamp, sign_message
from certs.keys import SignatureAlgorithm
from certs.policy import Policy
from certs.report import Indication, Report
from certs.verify import Fetchers, verify
from certs.x509.revocation import RevocationSource
from certs.xml.wsse_sign import sign_envelope
from tests.fuzz.chains import NOW, world
from tests.unit.certs import ofd_cases
from tests.unit.certs.messages import envelope
from tests.unit.certs.pdfs import blank, embed

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
POLICIES = (
    Policy(revocation="off"),
    Policy(revocation="soft"),
    Policy(max_revocation_age=timedelta(days=7)),
    Policy(accept_claimed_time=False),
)


def _stamp(value: bytes) -> bytes:
    return issue_timestamp(value, world().stamper, time=NOW)


def _ofd() -> bytes:
    return ofd_cases.world().signed()


def _cms() -> bytes:
    return sign_message(b"content", world().leaf, timestamp=_stamp)


def _pdf() -> bytes:
    signed = embed(blank(), lambda content: sign_message(content, world().leaf), "one")
    return embed(signed, _stamp, "two", "/ETSI.RFC3161")


def _xml() -> bytes:
    leaf = world().leaf
    return etree.tostring(sign_envelope(envelope(), key=leaf.key, certificate=leaf.cert.der, created=NOW))


def _jws() -> bytes:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    head = {"alg": "ES256", "x5c": [base64.b64encode(one.cert.der).decode() for one in (world().leaf, world().middle)]}
    text = f"{part(json.dumps(head).encode())}.{part(b'content')}"
    return f"{text}.{part(world().leaf.key.sign(SignatureAlgorithm.ECDSA_SHA256, text.encode(), raw=True))}".encode()


FORMATS: dict[str, Callable[[], bytes]] = {"ofd": _ofd, "cms": _cms, "pdf": _pdf, "xml": _xml, "jws": _jws}


@cache
def document(kind: str) -> bytes:
    return FORMATS[kind]()


def judge(kind: str, at: datetime, policy: Policy) -> Report:
    trust, crls = world().trust, RevocationSource()
    if kind == "ofd":
        one = ofd_cases.world()
        trust, crls = one.trust, one.revocation
    return verify(document(kind), policy=policy, at=at, trust=trust, fetchers=Fetchers(crls))


@pytest.mark.parametrize("kind", FORMATS)
@given(
    at=st.datetimes(timezones=st.just(UTC))
    | st.timedeltas(timedelta(), timedelta(minutes=10)).map(lambda before: LAST - before)
    | st.timedeltas(timedelta(), timedelta(minutes=10)).map(lambda after: FIRST + after),
    policy=st.sampled_from(POLICIES),
)
@example(at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), policy=Policy())
@example(at=LAST, policy=Policy(max_revocation_age=timedelta(days=7)))
@example(at=FIRST, policy=Policy())
@example(at=FIRST, policy=Policy(max_revocation_age=timedelta(days=7)))
@settings(max_examples=25, deadline=None)
def test_every_time_has_a_report(kind: str, at: datetime, policy: Policy) -> None:
    report = judge(kind, at, policy)
    assert report.format == kind
    assert (report.indication is Indication.PASSED) <= (FIRST < at < LAST)
