"""Message signatures on one thread, each beside the floor that it cannot beat: the key operation alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from lxml import etree

from certs.http.signatures import ALGORITHMS, sign_request, verify_request
from certs.keys import PrivateKey, SignatureAlgorithm
from certs.xml.dsig import verify_xml
from certs.xml.key_info import KnownCertificates
from certs.xml.sign import sign_element
from certs.xml.wsse import verify_envelope
from certs.xml.wsse_sign import sign_envelope
from schemas.safe_xml import parse
from tests.unit.certs.messages import KeyKind, certificate_of, envelope, key_of, resolver

SECONDS = 1.0
SLICE = 0.02
NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
MAX_AGE = timedelta(minutes=5)


class Row(NamedTuple):
    """One line of the table; ``ratio`` is figure over floor."""

    name: str
    figure: float
    unit: str
    floor: float
    ratio: float


def row(name: str, floor: Callable[[], object], figure: Callable[[], object], seconds: float = 2 * SECONDS) -> Row:
    """Calls per second of both, each the best of short slices that take turns: a busy neighbour slows neither or both.

    Seconds are those that this thread was given, as in ``openssl speed``: nothing here waits for anything.
    """
    best = [0.0, 0.0]
    for call in (floor, figure):
        call()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for which, call in enumerate((floor, figure)):
            count, start = 0, time.thread_time()
            while (spent := time.thread_time() - start) < SLICE:
                call()
                count += 1
            best[which] = max(best[which], count / spent)
    return Row(name, best[1], "1/s", best[0], best[1] / best[0])


def show(found: Iterable[Row]) -> None:
    """The table for a person."""
    for one in found:
        print(
            f"{one.name:<52} {one.figure:>9,.0f} {one.unit}   floor {one.floor:>9,.0f}   ratio {one.ratio:.2f}",
            flush=True,
        )


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
        soap = etree.tostring(sign_envelope(message(), key=key, certificate=certificate, created=NOW))
        document = message()
        sign_element(document, [], key=key, certificate=certificate)
        data = etree.tostring(document)

        def bare(
            key: PrivateKey = key, algorithm: SignatureAlgorithm = algorithm, signature: bytes = signature
        ) -> None:
            key.public_key.verify(algorithm, b"x" * 200, signature, raw=True)

        def soap_once(soap: bytes = soap, known: KnownCertificates = known) -> None:
            verify_envelope(soap, now=NOW, max_age=MAX_AGE, resolve_key=known)

        def xml_once(data: bytes = data, known: KnownCertificates = known) -> None:
            verify_xml(data, resolve_key=known)

        rows.append(row(f"verify_envelope {kind} {len(soap)} B", bare, soap_once))
        rows.append(row(f"verify_xml {kind} {len(data)} B", bare, xml_once))
        rows.append(row(f"verify_request {kind}", bare, _http(kind)))
    return rows


def parsing() -> list[Row]:
    """The safe parser beside lxml alone."""
    data = etree.tostring(message())
    return [row(f"safe_xml.parse {len(data)} B", lambda: etree.fromstring(data), lambda: parse(data))]


def _http(kind: KeyKind) -> Callable[[], object]:
    key, body, url = key_of(kind), b'{"a":1}' * 200, "https://hub.example.cn/v1/transfers"
    headers = [("Content-Type", "application/json"), ("Host", "hub.example.cn"), ("User-Agent", "x"), ("Accept", "*/*")]
    name = "rsa-v1_5-sha256" if kind == "rsa" else next(n for n, a in ALGORITHMS.items() if key.public_key.fits(a))
    headers += sign_request(
        "POST", url, headers, body, key=key, key_id="k", created=NOW, nonce="n" * 22, algorithm=name
    ).items()
    public = key.public_key
    return lambda: verify_request("POST", url, headers, body, now=NOW, max_age=MAX_AGE, resolve_key=lambda _: public)


def rows() -> list[Row]:
    """Every row of this module."""
    return [*parsing(), *verifications()]


def run() -> list[dict[str, object]]:
    """All rows as plain values: name, figure, unit, floor, ratio."""
    return [found._asdict() for found in rows()]


if __name__ == "__main__":
    show(rows())
