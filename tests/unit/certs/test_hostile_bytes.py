"""Mutations of good certificates, lists, answers, tokens and documents: only our errors come out, and nothing wrong passes.

The same targets are run for longer, and guided by coverage, by ``make fuzz``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs import der
from tests.fuzz import fuzz_pdf

TARGETS = [
    import_module(f"tests.fuzz.{path.stem}") for path in sorted(Path(fuzz_pdf.__file__).parent.glob("fuzz_*.py"))
]
SLOW = {"fuzz_pdf": 40, "fuzz_ofd": 100, "fuzz_seal": 100}


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A seed with up to four octets set, cut out or doubled."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at : at + draw(st.integers(1, 40))]
            case 2:
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case _:
                data[at:at] = draw(st.binary(max_size=12))
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__.rsplit("_", 1)[-1])
def test_only_our_errors_come_out(target: ModuleType) -> None:
    few = SLOW.get(target.__name__.rsplit(".", 1)[-1], 200)

    @settings(max_examples=few, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(mutated(target.SEEDS))
    def judge(data: bytes) -> None:
        target.one_input(data)

    judge()
    for seed in target.SEEDS:
        target.one_input(seed)


@given(st.binary(max_size=64))
def test_der_reads_or_says_malformed(data: bytes) -> None:
    try:
        element = der.read(data)
    except der.Malformed:
        return
    assert element.raw == data
    assert der.tlv(element.tag, element.content) == data, "what is read is the only way to write it"


@given(st.integers(-(2**200), 2**200))
def test_integers_come_back(value: int) -> None:
    assert der.read(der.encode_integer(value), der.INTEGER).integer() == value


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=8), st.integers(0, 39), st.integers(0, 2))
def test_object_identifiers_come_back(arcs: list[int], second: int, first: int) -> None:
    dotted = ".".join(map(str, (first, second, *arcs)))
    assert der.read(der.encode_oid(dotted), der.OID).oid() == dotted


@pytest.mark.parametrize(
    ("tag", "text", "good"),
    [
        (der.UTC_TIME, "491231235959Z", "2049-12-31T23:59:59+00:00"),
        (der.UTC_TIME, "500101000000Z", "1950-01-01T00:00:00+00:00"),
        (der.UTC_TIME, "2601010000Z", "2026-01-01T00:00:00+00:00"),
        (der.GENERALIZED_TIME, "20500101000000Z", "2050-01-01T00:00:00+00:00"),
        (der.GENERALIZED_TIME, "20260101000000.5Z", "2026-01-01T00:00:00.500000+00:00"),
        (der.GENERALIZED_TIME, "20260101000000", None),
        (der.UTC_TIME, "260230000000Z", None),
        (der.UTC_TIME, "260101000060Z", None),
        (der.UTC_TIME, "260101000000+0800", None),
        (der.OCTET_STRING, "260101000000Z", None),
    ],
)
def test_times(tag: int, text: str, good: str | None) -> None:
    if good is None:
        with pytest.raises(der.Malformed):
            der.decode_time(tag, text.encode())
    else:
        assert der.decode_time(tag, text.encode()).isoformat() == good


def test_streams_nested_without_end_are_refused() -> None:
    with pytest.raises(der.Malformed):
        der.ber_to_der(b"\x30\x80" * 100_000)
    with pytest.raises(der.Malformed):
        der.ber_to_der(b"\x24\x80\x04\x01a\x04\x01b\x00\x00" + b"x")
    assert der.ber_to_der(b"\x24\x80\x04\x01a\x04\x01b\x00\x00") == b"\x04\x02ab"
