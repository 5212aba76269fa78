"""The page of message signatures lists every refusal word of the code, and no other."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
SOURCES = [ROOT / "schemas/safe_xml.py", *(ROOT / "certs/http").glob("*.py"), *(ROOT / "certs/xml").glob("*.py")]
PAGE = (ROOT / "docs/protocol/message-signatures.md").read_text()


def test_every_reason_word_is_documented_and_no_other() -> None:
    code = "\n".join(path.read_text() for path in SOURCES)
    raised = set(re.findall(r'(?:MessageRefused|UnsafeXml)\(\s*"([a-z0-9-]+)"', code))
    table = PAGE.split("## 拒绝原因")[1].split("## 从程序里用")[0]
    listed = {
        word for line in table.splitlines() if line.startswith("| `") for word in re.findall(r"`([a-z0-9-]+)`", line)
    }
    assert len(raised) > 40
    assert listed == raised


def test_every_algorithm_name_is_documented() -> None:
    from certs.http.signatures import ALGORITHMS

    assert all(f"`{name}`" in PAGE for name in ALGORITHMS)
