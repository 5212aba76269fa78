"""A TOML file that cannot be read is told in both languages, with its path and place, by the error of whoever asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.told import Told
from schemas.toml_file import read_toml


class Refused(Told):
    pass


@pytest.mark.parametrize(
    ("content", "zh", "en"),
    [
        (None, "无法读取", "cannot be read"),
        ('owner = "某大学"'.encode("gb18030"), "不是 UTF-8 编码的 TOML", "no TOML in UTF-8"),
        (b"a = 1\nb = = 2", "line 2", "line 2"),
    ],
)
def test_what_cannot_be_read_is_told(content: bytes | None, zh: str, en: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Refused) as caught:
        read_toml(path, Refused)
    assert caught.value.zh.startswith(str(path))
    assert zh in caught.value.zh
    assert en in caught.value.en


def test_what_can_be_read_is_given(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('title = "某大学"', encoding="utf-8")
    assert read_toml(tmp_path / "rules.toml", Refused) == {"title": "某大学"}
