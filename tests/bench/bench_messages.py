"""Message signatures on one thread, each beside the floor that it cannot beat: the key operation alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from lxml import etree

from certs.http_signatures import ALGORITHMS, sign_request, verify_request
from certs.keys import SignatureAlgorithm
from certs.xml.dsig import verify_xml
from certs.xml.sign import sign_element
from certs.xml.wsse import verify_envelope
from certs.xml.wsse_sign import sign_envelope
from schemas.safe_xml import parse
from tests.unit.certs.messages import KeyKind, certificate_of, envelope, key_of, resolver

SECONDS = 1.0
NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
MAX_AGE = timedelta(minutes=5)


class Row(NamedTuple):
    """One line of the table; ``ratio`` is figure over floor."""

    name: str
    figure: float
    unit: str
    floor: float
    ratio: float


def rate(call: Callable[[], object], seconds: float = SECONDS) -> float:
    """Calls per second, best of three rounds, so that a busy neighbour does not count."""
    call()
    best = 0.0
    for _ in range(3):
        count, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds / 3:
            call()
            count += 1
        best = max(best, count / spent)
    return best


def message(size: int = 3072) -> etree._Element:
    """A SOAP message that has about ``size`` bytes once it is signed with RSA."""
    root = envelope()
    body = root[0][0]
    while len(etree.tostring(root)) < size - 2100:  # what an enveloped RSA signature with its certificate takes
        etree.SubElement(body, "{urn:test:transfer}evidence", kind="household").text = "1.2.156.3005.2"
    return root


def verifications() -> list[Row]:
    """Envelope and XML signature verification (parsing included), HTTP signatures, per kind of key."""
    rows: list[Row] = []
    kinds: tuple[tuple[KeyKind, SignatureAlgorithm], ...] = (
        ("rsa", SignatureAlgorithm.RSA_PKCS1_SHA256),
        ("p256", SignatureAlgorithm.ECDSA_SHA256),
        ("sm2", SignatureAlgorithm.SM2_SM3),
    )
    for kind, algorithm in kinds:
        key, certificate, known = key_of(kind), certificate_of(kind), resolver()
        signature = key.sign(algorithm, b"x" * 200, raw=True)
        floor = rate(lambda k=key, a=algorithm, s=signature: k.public_key.verify(a, b"x" * 200, s, raw=True))  # type: ignore[misc]
        soap = etree.tostring(sign_envelope(message(), key=key, certificate=certificate, created=NOW))
        figure = rate(lambda d=soap, r=known: verify_envelope(d, now=NOW, max_age=MAX_AGE, resolve_key=r))  # type: ignore[misc]
        rows.append(Row(f"verify_envelope {kind} {len(soap)} B", figure, "1/s", floor, figure / floor))
        document = message()
        sign_element(document, [], key=key, certificate=certificate)
        data = etree.tostring(document)
        figure = rate(lambda d=data, r=known: verify_xml(d, resolve_key=r))  # type: ignore[misc]
        rows.append(Row(f"verify_xml {kind} {len(data)} B", figure, "1/s", floor, figure / floor))
        rows.append(_http(kind, floor))
    return rows


def parsing() -> list[Row]:
    """The safe parser beside lxml alone."""
    data = etree.tostring(message())
    figure, floor = rate(lambda: parse(data)), rate(lambda: etree.fromstring(data))
    return [Row(f"safe_xml.parse {len(data)} B", figure, "1/s", floor, figure / floor)]


def _http(kind: KeyKind, floor: float) -> Row:
    key, body, url = key_of(kind), b'{"a":1}' * 200, "https://hub.example.cn/v1/transfers"
    headers = [("Content-Type", "application/json"), ("Host", "hub.example.cn"), ("User-Agent", "x"), ("Accept", "*/*")]
    name = "rsa-v1_5-sha256" if kind == "rsa" else next(n for n, a in ALGORITHMS.items() if key.public_key.fits(a))
    headers += sign_request(
        "POST", url, headers, body, key=key, key_id="k", created=NOW, nonce="n" * 22, algorithm=name
    ).items()
    public = key.public_key
    figure = rate(
        lambda: verify_request("POST", url, headers, body, now=NOW, max_age=MAX_AGE, resolve_key=lambda _: public)
    )
    return Row(f"verify_request {kind}", figure, "1/s", floor, figure / floor)


def rows() -> list[Row]:
    """Every row of this module."""
    return [*parsing(), *verifications()]


if __name__ == "__main__":
    for row in rows():
        print(f"{row.name:32} {row.figure:10,.0f} {row.unit}   floor {row.floor:10,.0f}   ratio {row.ratio:.3f}")
