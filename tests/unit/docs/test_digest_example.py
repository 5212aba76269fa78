"""The worked example of the digest in a predicate, as the page has it: a partner's programmer can follow it to the letter."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from hub.intake.operations import digest_of
from schemas.evidence import EvidenceRequest
from schemas.parsing import parse_json

PAGE = Path(__file__).parents[3] / "docs" / "protocol" / "evidence-service.md"
DEFAULTS = {"deadlineS": 10, "others": []}
OF_A_HOLDER = {"kind": "person", "role": "applicant", "codeType": "111"}


def example() -> tuple[str, str, str]:
    """The message as sent, its canonical JSON, the digest."""
    text = PAGE.read_text(encoding="utf-8").split("### 请求摘要", 1)[1]
    message, canonical = re.findall(r"```json\n(.*?)\n```", text, re.DOTALL)[:2]
    (digest,) = re.findall(r"`request` = `([0-9a-f]{64})`", text)
    return message, canonical, digest


def test_the_hub_has_the_digest_of_the_example() -> None:
    message, _, digest = example()
    assert digest_of(parse_json(EvidenceRequest, message.encode())) == digest


def test_the_rules_of_the_page_lead_to_it_without_the_hub() -> None:
    message, canonical, digest = example()
    sent = DEFAULTS | json.loads(message)
    sent["subject"] = OF_A_HOLDER | sent["subject"]
    assert json.dumps(sent, sort_keys=True, ensure_ascii=False, separators=(",", ":")) == canonical
    assert hashlib.sha256(canonical.encode()).hexdigest() == digest
    assert hashlib.sha256(message.encode()).hexdigest() != digest


def test_what_is_null_or_stands_in_another_order_or_case_is_the_same() -> None:
    message, _, digest = example()
    values = {**json.loads(message), "callback": None, "deadlineS": 10}
    again = json.dumps(dict(reversed(list(values.items()))))
    assert digest_of(parse_json(EvidenceRequest, again.encode())) == digest
    subjects = ({"name": "某", "code": code} for code in ("37010219900101001x", "37010219900101001X"))
    one, other = (parse_json(EvidenceRequest, json.dumps({**values, "subject": who}).encode()) for who in subjects)
    assert digest_of(one) == digest_of(other)
