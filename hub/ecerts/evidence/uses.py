"""What the holders see of a request in their lists of uses: who asked for what, on whose word, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.bases import Bases
from hub.ecerts.evidence.file import EvidenceFile, handed_out
from hub.ecerts.evidence.planning import Question, by_role, cited, documents_of, holder_of
from schemas.evidence import AnswerForm, EvidenceAnswer

Shown = tuple[AnswerForm, tuple[str, ...] | None]


def uses_of(
    bases: Bases, file: EvidenceFile, answer: EvidenceAnswer, asked: Iterable[Question], at: datetime
) -> list[tuple[str, m.DataUse]]:
    """(holder's index, use): one for each document; of a child's record, one more for the guardian who allowed it."""
    uses, order, holders = [], documents_of(file.item), by_role(file.request)
    shown = _shown(file, answer)
    for question in sorted(asked, key=lambda one: order.index(one.document)):
        document = question.document
        row, basis = file.documents[document], file.grounds[document]
        form, fields = shown.get(str(document), (None, None))
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
            form=None if form is None else form.value,
            fields=fields,
            digest=row.content_sha256 if form is AnswerForm.DOCUMENTS else None,
            cited=None if giver is None else cited(file.request, giver),
            on_behalf_of=None if basis.of is None else question.holder.name,
        )
        uses.append((bases.holder_index(question.holder), use))
        if basis.of is not None and giver is not None:
            uses.append((bases.holder_index(holder_of(giver)), use))
    return uses


def _shown(file: EvidenceFile, answer: EvidenceAnswer) -> dict[str, Shown]:
    """What of each document left the hub, as the answer has it: the file, these fields, or only that it is there."""
    if answer.predicate is not None:
        return {str(document): (AnswerForm.PREDICATE, None) for document in handed_out(file.plan)}
    fields: dict[str, Shown] = {one.document: (AnswerForm.FIELDS, tuple(one.fields)) for one in answer.fields or ()}
    return fields | {one.document: (AnswerForm.DOCUMENTS, None) for one in answer.documents or ()}
