"""The pages of the evidence service say what its messages and words are: the example, the states, the reasons."""

from __future__ import annotations

import json
from pathlib import Path

from schemas.evidence import EvidenceAnswer

PAGES = Path(__file__).parents[3] / "docs" / "protocol"


def test_the_complete_example_is_an_answer_as_it_is_sent() -> None:
    text = (PAGES / "evidence-service.md").read_text(encoding="utf-8")
    example = text.split("```json\n", 1)[1].split("```", 1)[0]
    answer = EvidenceAnswer.model_validate_json(example)
    assert json.loads(answer.model_dump_json(by_alias=True, exclude_none=True)) == json.loads(example)
