"""verify_envelope: a mutated message is refused with our error, or its Body is the one that was signed."""

from __future__ import annotations

from datetime import timedelta

from lxml import etree

from certs.errors import MessageRefused
from certs.xml.wsse import verify_envelope
from tests.fuzz.engine import run
from tests.unit.certs.messages import NOW, resolver, signed_bytes

SEEDS = [signed_bytes()]


def body(message: bytes) -> bytes:
    signed = verify_envelope(message, now=NOW, max_age=timedelta(minutes=5), resolve_key=resolver())
    return etree.tostring(signed.body, method="c14n", exclusive=True, with_comments=False)


BODY = body(SEEDS[0])


def one_input(data: bytes) -> None:
    try:
        found = body(data)
    except MessageRefused:
        return
    assert found == BODY


if __name__ == "__main__":
    run(one_input, SEEDS)
