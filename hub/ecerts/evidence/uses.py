"""What the holders see of a request in their lists of uses: who asked for what, on whose word, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.bases import Bases
from hub.ecerts.evidence.planning import Question, by_role, cited, documents_of, holder_of
from hub.ecerts.evidence.views import EvidenceFile


def uses_of(bases: Bases, file: EvidenceFile, asked: Iterable[Question], at: datetime) -> list[tuple[str, m.DataUse]]:
    """(holder's index, use): one for each document; of a child's record, one more for the guardian who allowed it."""
    uses, order, holders = [], documents_of(file.item), by_role(file.request)
    for question in sorted(asked, key=lambda one: order.index(one.document)):
        document = question.document
        row, basis = file.documents[document], file.grounds[document]
        giver = holders.get(basis.of or document.role)
        use = m.DataUse(
            at=at,
            system_id=file.row.system_id,
            basis=basis.kind,
            basis_reference=basis.reference,
            case_id=file.row.case_reference,
            purpose=file.row.purpose,
            ecert_type=document.type,
            outcome=row.standing,
            item=file.row.item_code,
            digest=row.content_sha256,
            cited=None if giver is None else cited(file.request, giver),
            on_behalf_of=None if basis.of is None else question.holder.name,
        )
        uses.append((bases.holder_index(question.holder), use))
        if basis.of is not None and giver is not None:
            uses.append((bases.holder_index(holder_of(giver)), use))
    return uses
