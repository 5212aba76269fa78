"""No resident ID number comes out of the logs, whoever writes it and however; and every line stays JSON."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from hub import logs
from hub.config import Settings

NUMBERS = st.from_regex(r"\A[1-9][0-9]{16}[0-9Xx]\Z")
AROUND = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@pytest.fixture(scope="module")
def written() -> Iterator[io.StringIO]:
    kept = sys.stderr, sys.excepthook
    buffer = io.StringIO()
    sys.stderr = buffer
    logs.configure(Settings(log_level="debug"))
    yield buffer
    sys.stderr, sys.excepthook = kept
    structlog.reset_defaults()
    logging.basicConfig(force=True)


def line(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def check(text: str) -> None:
    assert not re.search(r"\d{17}", text), text
    for one in text.rstrip("\n").split("\n"):
        json.loads(one)


@given(number=NUMBERS, before=AROUND, after=AROUND)
def test_no_id_number_comes_out_of_an_event(written: io.StringIO, number: str, before: str, after: str) -> None:
    value = before + number + after
    log = structlog.get_logger("test")
    log.info(value, plain=value, deep={"a": [value]}, raw=value.encode(), number=int(number[:17]))
    log.error("x", **{"k" + number: 1})
    check(line(written))


@given(number=NUMBERS, before=AROUND, after=AROUND)
def test_none_comes_out_of_a_librarys_record_or_an_exception(
    written: io.StringIO, number: str, before: str, after: str
) -> None:
    value = before + number + after
    library = logging.getLogger("some.library")
    try:
        raise ValueError(value)
    except ValueError as error:
        library.exception("failed for %s", value)
        structlog.get_logger("test").exception("failed", value=value)
        sys.excepthook(type(error), error, error.__traceback__)
    text = line(written)
    check(text)
    assert text.count('"ValueError"') == 3  # its kind is told, its text is not


@pytest.mark.parametrize(
    "told",
    [
        "身份证379802 197309071270 电话13912345678",
        "379802-19730907-127X",
        "３７９８０２１９７３０９０７１２７０",
        "+86 139-1234-5678",
        "手机１３９１２３４５６７８",
    ],
)
def test_numbers_with_gaps_and_mobile_numbers_are_masked(written: io.StringIO, told: str) -> None:
    digits = re.compile(r"\d[\d \-]{8,}")
    assert not digits.search(logs.mask(told)), logs.mask(told)
    structlog.get_logger("test").info(told, deep={"size": 13912345678, "list": [15000000000, 0.13912345678]})
    text = line(written)
    json.loads(text)
    assert told not in text
    assert "13912345678}" not in text


def test_what_is_no_id_number_stays(written: io.StringIO) -> None:
    structlog.get_logger("test").info("ok", case="case_01k3zq8m5v7e2r9t4w6x0y1a3b", school="2137000001", port=8700,
                                       at="2026-09-03 02:05:00.123456", size=1234567890)  # fmt: skip
    text = line(written)
    assert "case_01k3zq8m5v7e2r9t4w6x0y1a3b" in text
    assert "2137000001" in text
    assert "2026-09-03 02:05:00.123456" in text
    assert "1234567890" in text


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    kept = sys.stderr, sys.excepthook
    try:
        for broken in (Full(), io.StringIO()):
            sys.stderr = broken
            logs.configure(Settings())
            if not isinstance(broken, Full):
                broken.close()
            structlog.get_logger("one").warning("goes on")
    finally:
        sys.stderr, sys.excepthook = kept
        structlog.reset_defaults()
        logging.basicConfig(force=True)
