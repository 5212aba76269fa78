"""What the caller is answered, made of the rows: the same rows give the same answer, now and whenever it is read again."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic_core import from_json

from adapters.contract import EcertDocument
from certs.jws import sign_jws
from certs.keys import PrivateKey
from hub.ecerts.authorizations.bases import Basis
from hub.ecerts.catalogue import Catalogue
from hub.ecerts.entries import Evidence, Item
from hub.ecerts.evidence import judging, store
from hub.ecerts.evidence.file import EvidenceFile, handed_out
from hub.ecerts.evidence.gaps import changed_at, requirement_view
from hub.ecerts.evidence.planning import Grounds, Planner, by_word
from hub.ecerts.evidence.rests import Opened, rests_on
from hub.ecerts.evidence.rules import EvidenceRules
from hub.ecerts.notices import ExtensionNotices
from hub.ecerts.presentations.model import FiledRequest
from hub.ecerts.solver import Known, RequirementAnswer, RequirementState, Standing
from hub.ecerts.validity import end_of
from hub.vault import Vault
from hub.working_days import SHANGHAI
from schemas.evidence import (
    AnswerForm,
    BasisKind,
    DocumentView,
    EvidenceAnswer,
    EvidenceCaseState,
    FieldsView,
    NoticeView,
)

KEY_ID: Final = "exchange-hub"  # what partners know the hub's http key as
PREDICATE_TYPE: Final = "evidence-predicate+jws"
_FINAL_NO: Final = frozenset({Standing.NO_MATCH, Standing.REVOKED, Standing.EXPIRED, Standing.SUSPENDED})
_NO_REASON: Final = "sealed-by-another"  # the file is whole, and known not to be its issuer's


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, with its JSON as it is sent: made once, and the audit log has the digest of just that."""

    answer: EvidenceAnswer
    body: bytes

    @classmethod
    def of(cls, answer: EvidenceAnswer) -> Answered:
        return cls(answer, answer.model_dump_json(by_alias=True, exclude_none=True).encode())

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


def request_context(request_id: str) -> str:
    return f"evidence_requests:{request_id}"


def document_context(request_id: str, document: Evidence) -> str:
    return f"evidence_documents:{request_id}:{document}"


def grounds_to_json(grounds: Grounds) -> str:
    return json.dumps(
        {
            str(document): [one.kind.value, one.reference, *([one.of] if one.of else [])]
            for document, one in grounds.items()
        }
    )


def _grounds_from_json(text: str, words: Mapping[str, Evidence]) -> dict[Evidence, Basis]:
    found = json.loads(text).items()
    return {words[word]: Basis(BasisKind(kind), *rest) for word, (kind, *rest) in found if word in words}


def asked_item(catalogue: Catalogue, code: str, at: datetime, version: int | None, documents: set[str]) -> Item | None:
    """The definition that a request was asked under, which must have just the documents of its rows.

    The day does not tell: a later version may have taken effect on it. Without a version (asked before they were kept) the newest
    that fits.
    """
    for item in catalogue.item_versions(code, at):
        if version in (None, item.version) and by_word(item).keys() == documents:
            return item
    return None


@dataclass(frozen=True, slots=True)
class Views:
    """Used by all threads."""

    vault: Vault
    rules: EvidenceRules
    planner: Planner
    key: PrivateKey
    notices: ExtensionNotices

    def open(
        self, row: store.RequestRow, documents: Sequence[store.DocumentRow], catalogue: Catalogue
    ) -> EvidenceFile | None:
        """None if what was sealed of it has been dropped, or its item as it was asked for is not in the catalogue."""
        names = {one.document for one in documents}
        item = asked_item(catalogue, row.item_code, row.asked_at, row.item_version, names)
        if row.request_sealed is None or item is None:
            return None
        request = FiledRequest.model_validate_json(self.vault.open(row.request_sealed, request_context(row.id)))
        words = by_word(item)
        rows = {words[one.document]: one for one in documents}
        known = {}
        for document, one in rows.items():
            source = catalogue.source(document.type, row.region, row.asked_at)
            count = self.planner.field_count(request, document, source)
            known[document] = Known(Standing(one.standing), count, one.notice, one.reason)
        return EvidenceFile(row, request, item, _grounds_from_json(row.grounds, words), rows, known)

    def relied_until(self, row: store.RequestRow) -> datetime:
        """Until when the caller relies on what it was handed out; a purpose that is registered no longer counts as run out."""
        purpose = self.rules.purpose.get(row.purpose)
        days = purpose.relied_days if purpose is not None else 0
        return (row.answered_at or row.asked_at) + timedelta(days=days)

    # --- the answer -----------------------------------------------------------------------------------------------------

    def answer(self, file: EvidenceFile) -> EvidenceAnswer:
        row, form, plan = file.row, file.request.answer, file.plan
        state = EvidenceCaseState(row.state)
        if state is EvidenceCaseState.OPEN:
            return EvidenceAnswer(
                id=row.id, message_id=row.message_id, state=state, complete=False, asked_at=row.asked_at
            )
        used = handed_out(plan)
        may_leave = self.rules.documents_of(row.purpose)
        whole = [one for one in used if one.type in may_leave]
        parts = [one for one in used if one not in whole] if form is AnswerForm.DOCUMENTS else []
        parts = used if form is AnswerForm.FIELDS else parts
        held = self._held(file, used)
        return EvidenceAnswer(
            id=row.id,
            message_id=row.message_id,
            state=state,
            complete=plan.complete,
            asked_at=row.asked_at,
            answered_at=row.answered_at,
            changed_at=changed_at(file),
            rests=rests_on(file, held, self.planner.routes),
            requirements=tuple(requirement_view(file, one) for one in plan.answers),
            notices=self._notices(file, used),
            documents=self._documents(file, whole, held) if form is AnswerForm.DOCUMENTS else None,
            fields=self._fields(file, parts, held) if form is AnswerForm.FIELDS or parts else None,
            predicate=row.predicate if form is AnswerForm.PREDICATE else None,
        )

    def _notices(self, file: EvidenceFile, used: Sequence[Evidence]) -> tuple[NoticeView, ...] | None:
        """What the answer rests on beside the documents; absent where it rests on none."""
        found = tuple(
            NoticeView(number=one.id, title=one.title, source=one.source, deemed_valid_until=one.deemed_valid_until)
            for one in self.notices.published(_numbers(file, used))
        )
        return found or None

    def _documents(self, file: EvidenceFile, used: Sequence[Evidence], held: Opened) -> tuple[DocumentView, ...]:
        found = []
        for document in used:
            row, answer = file.documents[document], held[document]
            if not isinstance(answer, EcertDocument) or row.checked_at is None or row.content_sha256 is None:
                continue  # a record has no file: that it holds is what the requirement says
            found.append(
                DocumentView(
                    document=str(document),
                    type_code=answer.metadata.type_code,
                    media_type=answer.media_type,
                    content=base64.b64encode(answer.content).decode("ascii"),
                    sha256=row.content_sha256,
                    status=answer.status.value,
                    verified_at=row.checked_at,
                    notice=row.notice,
                    report=from_json(row.report or "{}"),
                )
            )
        return tuple(found)

    def _fields(self, file: EvidenceFile, used: Sequence[Evidence], held: Opened) -> tuple[FieldsView, ...]:
        allowed = self.rules.fields_of(file.row.purpose)
        found = []
        for document in used:
            row, answer = file.documents[document], held[document]
            if answer is None or row.checked_at is None:
                continue
            values = judging.fields_of(answer)
            seen = {name: values[name] for name in allowed.get(document.type, ()) if name in values}
            found.append(
                FieldsView(
                    document=str(document),
                    type_code=judging.type_code_of(document.type),
                    sha256=row.content_sha256,
                    verified_at=row.checked_at,
                    notice=row.notice,
                    fields=seen,
                    dates=judging.days_of(seen) or None,
                )
            )
        return tuple(found)

    def _held(self, file: EvidenceFile, used: Sequence[Evidence]) -> Opened:
        """What is handed out, each opened once."""
        return {document: self._open_document(file, document) for document in used}

    def _open_document(self, file: EvidenceFile, document: Evidence) -> judging.Held | None:
        sealed = file.documents[document].document_sealed
        if sealed is None:
            return None
        if (held := file.opened.get(document)) is not None:
            return held
        return judging.from_bytes(self.vault.open(sealed, document_context(file.row.id, document)))

    # --- yes or no ------------------------------------------------------------------------------------------------------

    def predicate(self, file: EvidenceFile, at: datetime) -> str | None:
        """Signed: which requirements are met and which certificates are held, for this request of this caller; nothing else."""
        if file.request.answer is not AnswerForm.PREDICATE:
            return None
        plan = file.plan
        until = at + timedelta(seconds=self.rules.times.predicate_s)
        used = handed_out(plan)
        notices = self.notices.published(_numbers(file, used))
        ends = [one.deemed_valid_until for one in notices]
        held = self._held(file, used)
        for document, one in held.items():
            if isinstance(one, EcertDocument) and file.known[document].notice is None:
                last = end_of(judging.fields_of(one), one.metadata)
                ends += [last] if last else []
        for day in ends:  # nobody may rely on it longer than on what it rests on
            until = min(until, datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=SHANGHAI))
        statement: dict[str, object] = {
            "iss": KEY_ID,
            "aud": file.row.system_id,
            "jti": file.row.id,
            "iat": int(at.timestamp()),
            "exp": int(until.timestamp()),
            "request": file.row.digest,  # SHA-256 of the message: whom it is about, without saying it
            "case": file.row.case_reference,
            "item": file.row.item_code,
            "rests": rests_on(file, held, self.planner.routes).model_dump(
                mode="json", by_alias=True, exclude_none=True
            ),
            "requirements": {one.name: yes_or_no(file, one) for one in plan.answers},
            "holds": {
                str(document): {"answer": "yes", "type": judging.type_code_of(document.type) or document.type}
                | ({"notice": notice} if (notice := file.known[document].notice) else {})
                for document in used
            },
        }
        if notices:
            statement["notices"] = {one.id: one.source for one in notices}
        payload = json.dumps(statement, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        return sign_jws(payload, self.key, "ES256", headers={"kid": KEY_ID, "typ": PREDICATE_TYPE})


def _numbers(file: EvidenceFile, used: Sequence[Evidence]) -> set[str]:
    return {notice for document in used if (notice := file.known[document].notice)}


def yes_or_no(file: EvidenceFile, one: RequirementAnswer) -> str:
    """No only where none of the alternatives can be whole any more: each has a document that certainly does not count. What is
    merely not known, or was not asked for, is unknown."""
    if one.state is RequirementState.SATISFIED:
        return "yes"
    rule = next(requirement for requirement in file.item.requirements if requirement.name == one.name)
    decided = (any(_certain_no(file.known[document]) for document in part) for part in rule.alternatives)
    return "no" if all(decided) else "unknown"


def _certain_no(known: Known) -> bool:
    return known.standing in _FINAL_NO or known.reason == _NO_REASON
