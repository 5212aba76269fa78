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


def test_its_source_is_a_decision_by_its_number() -> None:
    assert parse_json(RevocationNotice, (BODY % "鲁教撤决〔2026〕4号").encode()).source == "鲁教撤决〔2026〕4号"
