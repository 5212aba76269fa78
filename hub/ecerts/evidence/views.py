"""What the caller is answered, made of the rows: the same rows give the same answer, now and whenever it is read again."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from pydantic_core import from_json

from adapters.contract import EcertDocument
from certs.jws import sign_jws
from certs.keys import PrivateKey
from hub.ecerts.authorizations.bases import Basis
from hub.ecerts.authorizations.model import BasisKind
from hub.ecerts.catalogue import Catalogue
from hub.ecerts.entries import Evidence, Item, Requirement
from hub.ecerts.evidence import judging, store
from hub.ecerts.evidence.planning import Grounds, Planner, by_word
from hub.ecerts.evidence.rules import EvidenceRules
from hub.ecerts.evidence.words import words_of
from hub.ecerts.notices import ExtensionNotices
from hub.ecerts.presentations.model import FiledRequest
from hub.ecerts.solver import WHO_ACTS, Known, Plan, RequirementAnswer, RequirementState, Standing, solve
from hub.ecerts.validity import end_of
from hub.vault import Vault
from hub.working_days import SHANGHAI
from schemas.evidence import (
    AnswerForm,
    DocumentView,
    EvidenceAnswer,
    EvidenceCaseState,
    EvidenceRequest,
    FieldsView,
    MissingView,
    NoticeView,
    RequirementView,
)

KEY_ID: Final = "exchange-hub"  # what partners know the hub's http key as
PREDICATE_TYPE: Final = "evidence-predicate+jws"
_FINAL_NO: Final = frozenset({Standing.NO_MATCH, Standing.REVOKED, Standing.EXPIRED})


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


@dataclass(frozen=True)
class EvidenceFile:
    """One request as it stands, opened."""

    row: store.RequestRow
    request: EvidenceRequest
    item: Item
    grounds: Grounds
    documents: Mapping[Evidence, store.DocumentRow]
    known: Mapping[Evidence, Known]
    opened: Mapping[Evidence, judging.Held] = field(default_factory=dict)  # what is sealed in rows, where it is at hand

    @cached_property
    def plan(self) -> Plan:
        return solve(self.item.requirements, self.known)

    def with_row(self, row: store.RequestRow) -> EvidenceFile:
        """The same documents, and so the same plan."""
        changed = replace(self, row=row)
        changed.__dict__["plan"] = self.plan
        return changed

    @property
    def endpoints(self) -> dict[Evidence, str]:
        return {document: row.endpoint_id for document, row in self.documents.items() if row.endpoint_id is not None}


def request_context(request_id: str) -> str:
    return f"evidence_requests:{request_id}"


def document_context(request_id: str, document: Evidence) -> str:
    return f"evidence_documents:{request_id}:{document}"


def grounds_to_json(grounds: Grounds) -> str:
    return json.dumps({str(document): [basis.kind.value, basis.reference] for document, basis in grounds.items()})


def _grounds_from_json(text: str, words: Mapping[str, Evidence]) -> dict[Evidence, Basis]:
    found = json.loads(text).items()
    return {words[word]: Basis(BasisKind(kind), reference) for word, (kind, reference) in found if word in words}


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
        return EvidenceAnswer(
            id=row.id,
            message_id=row.message_id,
            state=state,
            complete=plan.complete,
            asked_at=row.asked_at,
            answered_at=row.answered_at,
            requirements=tuple(_requirement(file, one) for one in plan.answers),
            notices=self._notices(file, used),
            documents=self._documents(file, whole) if form is AnswerForm.DOCUMENTS else None,
            fields=self._fields(file, parts) if form is AnswerForm.FIELDS or parts else None,
            predicate=row.predicate if form is AnswerForm.PREDICATE else None,
        )

    def _notices(self, file: EvidenceFile, used: Sequence[Evidence]) -> tuple[NoticeView, ...] | None:
        """What the answer rests on beside the documents; absent where it rests on none."""
        found = tuple(
            NoticeView(number=one.id, title=one.title, source=one.source, deemed_valid_until=one.deemed_valid_until)
            for one in self.notices.published(_numbers(file, used))
        )
        return found or None

    def _documents(self, file: EvidenceFile, used: Sequence[Evidence]) -> tuple[DocumentView, ...]:
        found = []
        for document in used:
            row, answer = file.documents[document], self._open_document(file, document)
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

    def _fields(self, file: EvidenceFile, used: Sequence[Evidence]) -> tuple[FieldsView, ...]:
        allowed = self.rules.fields_of(file.row.purpose)
        found = []
        for document in used:
            row, answer = file.documents[document], self._open_document(file, document)
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
                )
            )
        return tuple(found)

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
        for document in used:
            held = self._open_document(file, document)
            if isinstance(held, EcertDocument) and file.known[document].notice is None:
                last = end_of(judging.fields_of(held), held.metadata)
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
            "requirements": {one.name: _yes_or_no(one) for one in plan.answers},
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


def handed_out(plan: Plan) -> list[Evidence]:
    """The documents of requirements that are satisfied; of an alternative that is not whole nothing leaves the hub."""
    found = (d for one in plan.answers if one.state is RequirementState.SATISFIED for d in one.by)
    return list(dict.fromkeys(found))


def _numbers(file: EvidenceFile, used: Sequence[Evidence]) -> set[str]:
    return {notice for document in used if (notice := file.known[document].notice)}


def _requirement(file: EvidenceFile, one: RequirementAnswer) -> RequirementView:
    rule = next(requirement for requirement in file.item.requirements if requirement.name == one.name)
    missing: tuple[MissingView, ...] = ()
    if one.state is not RequirementState.SATISFIED:
        missing = (
            _being_asked(file, rule) or tuple(_gap(file, gap.evidence) for gap in one.missing) or _revoked(file, rule)
        )
    return RequirementView(
        name=one.name,
        title_zh=rule.title_zh,
        title_en=rule.title_en,
        required=one.required,
        satisfied=one.state is RequirementState.SATISFIED,
        by=tuple(str(document) for document in one.by) if one.state is RequirementState.SATISFIED else (),
        notices=one.notices,
        missing=missing,
    )


def _revoked(file: EvidenceFile, rule: Requirement) -> tuple[MissingView, ...]:
    """What it rested on until a notice came; an alternative that was never asked for is asked for by a new request."""
    named = dict.fromkeys(document for documents in rule.alternatives for document in sorted(documents))
    return tuple(_gap(file, one) for one in named if file.known[one].standing is Standing.REVOKED)


def _being_asked(file: EvidenceFile, rule: Requirement) -> tuple[MissingView, ...]:
    """The gaps of an alternative that will be whole if what is being asked for comes; empty if there is none."""
    for documents in rule.alternatives:
        rows = {document: file.documents.get(document) for document in sorted(documents)}
        gaps = [d for d in rows if file.known[d].standing not in (Standing.HELD, Standing.DEEMED_VALID)]
        if gaps and all((row := rows[document]) is not None and row.followed_up for document in gaps):
            return tuple(_gap(file, document) for document in gaps)
    return ()


def _gap(file: EvidenceFile, document: Evidence) -> MissingView:
    known, row = file.known[document], file.documents.get(document)
    followed_up = row is not None and row.followed_up
    zh, en = words_of(known.standing, followed_up=followed_up)
    return MissingView(
        document=str(document),
        state=known.standing.value,
        reason=known.reason,
        who_acts=WHO_ACTS[known.standing].value,
        message_zh=zh,
        message_en=en,
        followed_up=followed_up,
    )


def _yes_or_no(one: RequirementAnswer) -> str:
    """No only where every gap is a certain no; what is merely not known is unknown."""
    if one.state is RequirementState.SATISFIED:
        return "yes"
    return "no" if one.missing and all(gap.standing in _FINAL_NO for gap in one.missing) else "unknown"
