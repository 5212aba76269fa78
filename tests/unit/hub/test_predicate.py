"""What the signed predicate says of a requirement: no only where none of its alternatives can be whole any more."""

from __future__ import annotations

from typing import cast

import pytest

from hub.ecerts.entries import Item, Requirement, parse_evidence
from hub.ecerts.evidence.file import EvidenceFile
from hub.ecerts.evidence.store import RequestRow
from hub.ecerts.evidence.views import yes_or_no
from hub.ecerts.solver import Known, Standing
from schemas.evidence import EvidenceRequest

HELD, NONE, EXPIRED, REVOKED = Standing.HELD, Standing.NO_MATCH, Standing.EXPIRED, Standing.REVOKED
UNTOLD = (Standing.NOT_VERIFIED, Standing.UNREACHABLE, Standing.PENDING, Standing.ASK_THE_PERSON, Standing.NO_SOURCE)


def said(evidence: str, *standings: Standing) -> str:
    """Of a requirement, by how its documents stand, in the order in which they are written."""
    rule = Requirement(name="one", title_zh="一", title_en="one", evidence=evidence)
    item = Item.model_construct(requirements=(rule,))
    words = [word.strip() for part in evidence.split("|") for word in part.split("+")]
    documents = [next(iter(parse_evidence(word)[0])) for word in words]
    known = {document: Known(standing) for document, standing in zip(documents, standings, strict=True)}
    row, request = cast(RequestRow, None), cast(EvidenceRequest, None)
    file = EvidenceFile(row, request, item, {}, {}, known)
    return yes_or_no(file, file.plan.answers[0])


@pytest.mark.parametrize("decided", [NONE, EXPIRED, REVOKED, Standing.SUSPENDED])
@pytest.mark.parametrize("open_", [*UNTOLD, Standing.AVAILABLE])
def test_one_alternative_that_is_not_decided_leaves_it_unknown(decided: Standing, open_: Standing) -> None:
    assert said("degree | diploma", decided, open_) == "unknown"
    assert said("degree | diploma", open_, decided) == "unknown"


def test_it_is_no_where_each_alternative_is_decided_against() -> None:
    assert said("degree | diploma", EXPIRED, REVOKED) == "no"
    assert said("degree", NONE) == "no"
    assert said("degree", Standing.NOT_VERIFIED) == "unknown"


def test_one_document_decides_against_a_whole_alternative() -> None:
    for other in (HELD, *UNTOLD):
        assert said("degree + id-card", REVOKED, other) == "no"
    assert said("degree + id-card | diploma", REVOKED, HELD, Standing.UNREACHABLE) == "unknown"
    assert said("degree + id-card | diploma", REVOKED, HELD, NONE) == "no"


def test_it_is_yes_where_one_alternative_is_whole() -> None:
    assert said("degree | diploma", REVOKED, HELD) == "yes"
