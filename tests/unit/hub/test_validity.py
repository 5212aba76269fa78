"""The validity that a certificate states: a day, for ever, or not to be read, which is never taken for one of the others."""

from __future__ import annotations

import contextlib
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.ecerts.validity import Unreadable, Validity, read_day, validity
from schemas.ecerts import EcertMetadata

NOW = datetime(2026, 9, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2020-12-31", "20201231", "2020/12/31", "2020.12.31", "2020年12月31日", "2020年12月31日止",
        "2020-12-31止", "2020-12-31 23:59:59",
        "2020-12-31T23:59:59", "20201231235959", "202012312359", "2020-12-31 23:59", "2020-12-31T23:59:59+08:00",
        "2020-12-31T15:59:59Z", "2020-12-31T23:59:59.000", " 2020-12-31 ", "２０２０－１２－３１",
        "2020年12月31日 23时59分59秒", "2020年12月31日截止",
    ],
)  # fmt: skip
def test_a_day_is_read_however_it_is_written(text: str) -> None:
    assert read_day(text) == date(2020, 12, 31)


@pytest.mark.parametrize("text", ["", " ", "长期", "永久", "长期有效", "永久有效", "无固定期限"])
def test_for_ever(text: str) -> None:
    assert read_day(text) is None


@pytest.mark.parametrize(
    "text",
    ["见背面", "2020-13-01", "2020-02-30", "2020", "2020-12", "2026111", "31.12.2020",
     "2020-12-31至2030-12-31", "9999", "long", "/", "--", "2020-12-31 25",
     "1609430399", "0000-00-00"],
)  # fmt: skip
def test_what_cannot_be_read_is_told_from_for_ever(text: str) -> None:
    with pytest.raises(Unreadable):
        read_day(text)


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}"))
def test_whatever_is_written_has_one_of_three_outcomes(text: str) -> None:
    with contextlib.suppress(Unreadable):
        read_day(text)


@pytest.mark.parametrize("text", ["9999-12-31", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59"])
def test_the_ends_of_the_calendar(text: str) -> None:
    assert str(read_day(text)) == text[:10]


@pytest.mark.parametrize(
    ("begins", "ends", "found"),
    [
        ("", "", Validity.IN_FORCE),
        ("2026-09-01", "2026-09-01", Validity.IN_FORCE),
        ("2026-09-02", "", Validity.NOT_YET),
        ("2030-01-01", "长期", Validity.NOT_YET),
        ("", "2026-08-31", Validity.ENDED),
        ("", "见背面", Validity.UNREADABLE),
        ("见背面", "2030-01-01", Validity.UNREADABLE),
    ],
)
def test_a_certificate_holds_from_its_first_day_to_its_last(begins: str, ends: str, found: Validity) -> None:
    metadata = EcertMetadata(type_code="t", valid_from=begins, valid_until=ends)
    assert validity({}, metadata, NOW) is found
    sealed = {"valid_from": begins, "valid_until": ends}
    assert validity(sealed, EcertMetadata(type_code="t"), NOW) is found
    # what is sealed counts, whatever the interface says
    assert (
        validity({"valid_until": "2020-01-01"}, metadata.model_copy(update={"valid_from": ""}), NOW) is Validity.ENDED
    )
