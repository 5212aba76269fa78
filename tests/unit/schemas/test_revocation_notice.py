"""The revocation notice: what it may say in clear."""

from __future__ import annotations

import pytest

from schemas.parsing import parse_json
from schemas.problems import HubProblem
from schemas.revocations import RevocationNotice

BODY = """{"messageId": "m-1", "identifiers": ["1.2.156.3005.2.x.y.z.001.L"], "reason": "annulled",
 "revokedAt": "2026-09-03T02:00:00Z", "source": "%s"}"""


@pytest.mark.parametrize(
    "source",
    [
        "关于撤销…（379802198809101290）…",
        "379802 19880910 1290 的学位",
        "３７９８０２１９８８０９１０１２９０",
        "张某 139-1234-5678",
    ],
)
def test_its_source_names_nobody(source: str) -> None:
    """Events carry it to every system that relied, and events hold no personal data."""
    with pytest.raises(HubProblem) as caught:
        parse_json(RevocationNotice, (BODY % source).encode())
    (fault,) = caught.value.faults
    assert (fault.path, fault.rule) == ("/source", "personal-number")
    assert fault.cure_zh
    assert fault.cure_en


@pytest.mark.parametrize(
    ("identifiers", "path", "rule", "cure"),
    [
        ("[]", "/identifiers", "missing", "at least 1 entries"),
        ('["x"]', "/identifiers/0", "wrong-format", "4 to 120 letters"),
    ],
)
def test_a_list_is_told_once_and_its_entries_in_words(identifiers: str, path: str, rule: str, cure: str) -> None:
    """A list that is too short only because its entries were refused is no list of a wrong type."""
    message = (BODY % "文 1").replace('["1.2.156.3005.2.x.y.z.001.L"]', identifiers)
    with pytest.raises(HubProblem) as caught:
        parse_json(RevocationNotice, message.encode())
    (fault,) = caught.value.faults
    assert (fault.path, fault.rule) == (path, rule)
    assert cure in (fault.cure_en or "")


def test_its_source_is_a_decision_by_its_number() -> None:
    assert parse_json(RevocationNotice, (BODY % "鲁教撤决〔2026〕4号").encode()).source == "鲁教撤决〔2026〕4号"
