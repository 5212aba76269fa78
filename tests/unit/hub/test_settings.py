"""Settings that cannot work are refused when they are read, not by what fails for them afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from hub.config import LONGEST_DAYS, Settings

DAYS = [name for name in Settings.model_fields if name.endswith("_days")]


@pytest.mark.parametrize("name", DAYS)
def test_so_many_days_ago_there_was_a_day(name: str) -> None:
    longest = getattr(Settings.model_validate({name: LONGEST_DAYS}), name)
    assert datetime(2020, 1, 1, tzinfo=UTC) - timedelta(days=longest)
    with pytest.raises(ValidationError, match=name):
        Settings.model_validate({name: 999_999})
