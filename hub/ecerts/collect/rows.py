"""From a raw row and its file to the row that is written: judged, its seal verified, sealed. Reads and writes no database."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.contract import CollectedEcert, EcertDocument
from hub.ecerts.catalogue import shanghai_day
from hub.ecerts.check import EcertChecker
from hub.ecerts.collect import store
from hub.ecerts.collect.cells import RawRow
from hub.ecerts.collect.faults import fault
from hub.ecerts.collect.model import CollectionAccepted, RowFault, RowState
from hub.ecerts.collect.records import Judged, Record, digest_of_record, judge
from hub.vault import Vault
from schemas.ecerts import EcertMetadata, EcertQuery, EcertStatus, UseCause
from schemas.transfers import EvidenceState


def record_context(batch_id: str, row: int) -> str:
    """What a row's record is sealed under."""
    return f"collect_rows:{batch_id}:{row}"


def identifier_context(batch_id: str, row: int) -> str:
    """What a row's identifier is sealed under."""
    return f"collect_rows:{batch_id}:{row}:identifier"


def open_record(vault: Vault, batch_id: str, row: int, sealed: bytes) -> Record:
    return Record.model_validate_json(vault.open(sealed, record_context(batch_id, row)))


def seal_identifier(vault: Vault, batch_id: str, row: int, metadata: EcertMetadata | None) -> bytes | None:
    """None of a row whose identifier could not be told."""
    if metadata is None:
        return None
    return vault.seal(str(metadata.identifier).encode(), identifier_context(batch_id, row))


def faults_from(row: int, text: str | None) -> tuple[RowFault, ...]:
    """As they are kept."""
    return tuple(RowFault.model_validate({**one, "row": row}) for one in json.loads(text or "[]"))


AWAITED = "file-indeterminate-try-later"
AGAIN_FIRST, AGAIN_MOST = timedelta(minutes=1), timedelta(hours=1)


def faults_text(faults: Sequence[RowFault]) -> str | None:
    """As they are kept with a row: they hold no values."""
    told = [one.model_dump(mode="json", exclude={"row"}) for one in faults]
    return json.dumps(told, ensure_ascii=False) if told else None


def look_again(came_at: datetime, now: datetime) -> datetime:
    """When a pending document is verified next: after as long as it has been waiting, within bounds."""
    return now + min(max(now - came_at, AGAIN_FIRST), AGAIN_MOST)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands: what of its batch stands on it too."""

    batch_id: str
    endpoint_id: str
    system_id: str
    came_at: datetime


@dataclass(frozen=True, slots=True)
class Made:
    values: store.Values
    state: RowState
    judged: Judged
    faults: tuple[RowFault, ...]
    index: str | None

    def accepted(self, batch_id: str) -> CollectionAccepted:
        metadata = self.judged.metadata
        return CollectionAccepted(
            id=batch_id,
            state=self.state,
            identifier=metadata.identifier if metadata is not None else None,
            assigned=metadata is not None and self.judged.assigned,
            faults=self.faults,
        )


@dataclass(frozen=True, slots=True)
class Opinion:
    """Of a document. ``rule``: why it may not be relied on for what its row says; ``awaited``: it may be, later."""

    rule: str | None = None
    awaited: bool = False


@dataclass(frozen=True, slots=True)
class RowMaker:
    """``clock`` says as of when seals are verified, and which day is in the future."""

    vault: Vault
    checker: EcertChecker
    clock: Callable[[], datetime]

    def index(self, identifier: str) -> str:
        """The keyed hash under which a certificate is found."""
        return self.vault.index(f"collected:{identifier}")

    def make(self, place: Place, raw: RawRow, content: bytes | None, file_rule: str | None = None) -> Made:
        """``file_rule``: why the file that the row names is not there."""
        judged = judge(raw.number, raw.cells, raw.faults, today=shanghai_day(self.clock()), told=raw.told)
        faults = list(judged.faults)
        if file_rule is not None:
            faults.append(fault(raw.number, "file", file_rule))
        ecert, awaited = None, False
        if judged.metadata is not None and not any(one.blocking for one in faults):
            opinion = self.verify(judged.metadata, content) if content is not None else Opinion()
            awaited = opinion.awaited
            if opinion.rule is not None:
                faults.append(fault(raw.number, "file", opinion.rule, blocking=not awaited))
            if opinion.rule is None or awaited:
                ecert = CollectedEcert(
                    action=judged.action,
                    metadata=judged.metadata,
                    digest=digest_of_record(judged.metadata, content),
                    content=base64.b64encode(content) if content is not None else None,
                )
        state = RowState.FAULTY if ecert is None else RowState.PENDING if awaited else RowState.WAITING
        return self._made(place, raw, judged, tuple(faults), ecert, state)

    def doubled(self, place: Place, raw: RawRow, made: Made, first: int) -> Made:
        """The same certificate once more in one batch, after row ``first``: which of the two is meant cannot be told."""
        told = fault(raw.number, "", "doubled", more=f" (第 {first} 行)", more_en=f" (row {first})")
        faults = (*made.faults, told)
        return self._made(place, raw, made.judged, faults, None, RowState.FAULTY)

    def _made(
        self,
        place: Place,
        raw: RawRow,
        judged: Judged,
        faults: tuple[RowFault, ...],
        ecert: CollectedEcert | None,
        state: RowState,
    ) -> Made:
        index = self.index(str(ecert.metadata.identifier)) if ecert is not None else None
        record = Record(raw=dict(raw.cells), ecert=ecert)
        context = record_context(place.batch_id, raw.number)
        metadata = judged.metadata
        values: store.Values = {
            "batch_id": place.batch_id,
            "row": raw.number,
            "state": state.value,
            "endpoint_id": place.endpoint_id,
            "system_id": place.system_id,
            "came_at": place.came_at,
            "due_at": look_again(place.came_at, self.clock()) if state is RowState.PENDING else None,
            "identifier_index": index,
            "faults": faults_text(faults),
            "record_sealed": self.vault.seal(record.model_dump_json().encode(), context),
            "identifier_sealed": seal_identifier(self.vault, place.batch_id, raw.number, metadata),
            "assigned": metadata is not None and judged.assigned,
        }
        return Made(values, state, judged, faults, index)

    def verify(self, metadata: EcertMetadata, content: bytes) -> Opinion:
        document = EcertDocument(
            content=content, media_type="application/ofd", metadata=metadata, status=EcertStatus.VALID
        )
        cause = UseCause(case_id="", item_code=None, item_name="", purpose="collect", system_name="", legal_basis="")
        query = EcertQuery(
            type_code=metadata.type_code,
            holder_code=metadata.holder_code or "",
            holder_code_type=metadata.holder_code_type or "",
            holder_name=metadata.holder_name or "",
            number=metadata.number,
            use_cause=cause,
        )
        verdict = self.checker.check(document, query, self.clock())
        if verdict.state is EvidenceState.SATISFIED:
            return Opinion()
        return Opinion(f"file-{verdict.reason or 'refused'}", awaited=verdict.retry)
