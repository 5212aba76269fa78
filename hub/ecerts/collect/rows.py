"""From a raw row and its file to the row that is written: judged, its seal verified, sealed. Reads and writes no database."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapters.contract import CollectedEcert, EcertDocument
from hub.ecerts.check import EcertChecker
from hub.ecerts.collect import store
from hub.ecerts.collect.files import RawRow
from hub.ecerts.collect.model import CollectionAccepted, RowFault, RowState
from hub.ecerts.collect.records import Judged, Record, digest_of_record, judge
from hub.vault import Vault
from schemas.ecerts import EcertMetadata, EcertQuery, EcertStatus, UseCause
from schemas.transfers import EvidenceState

_FILE_FAULTS: Final = {
    "file-missing": ("压缩包中没有此文件, 或文件过大", "the zip has no such file, or it is too large"),
    "file-without-zip": ("只有 zip 批次可以附文件", "only a zip batch has files"),
    "doubled": ("同一批次中已有此证照", "this certificate stands in the batch already"),
}


def record_context(batch_id: str, row: int) -> str:
    """What a row's record is sealed under."""
    return f"collect_rows:{batch_id}:{row}"


def faults_from(row: int, text: str | None) -> tuple[RowFault, ...]:
    """As they are kept."""
    return tuple(RowFault.model_validate({**one, "row": row}) for one in json.loads(text or "[]"))


def file_fault(row: int, rule: str, *, column: str = "file") -> RowFault:
    zh, en = _FILE_FAULTS.get(rule, ("版式文件验证未通过", "the document was not verified"))
    return RowFault(row=row, column=column, rule=rule, blocking=True, reason_zh=zh, reason_en=en)


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
class RowMaker:
    """``clock`` says as of when seals are verified."""

    vault: Vault
    checker: EcertChecker
    clock: Callable[[], datetime]

    def index(self, identifier: str) -> str:
        """The keyed hash under which a certificate is found."""
        return self.vault.index(f"collected:{identifier}")

    def make(
        self, batch_id: str, endpoint_id: str, raw: RawRow, content: bytes | None, file_rule: str | None = None
    ) -> Made:
        """``file_rule``: why the file that the row names is not there."""
        judged = judge(raw.number, raw.cells, raw.faults)
        faults = list(judged.faults)
        if file_rule is not None:
            faults.append(file_fault(raw.number, file_rule))
        ecert = None
        if judged.metadata is not None and not any(fault.blocking for fault in faults):
            reason = self._verify(judged.metadata, content) if content is not None else None
            if reason is not None:
                faults.append(file_fault(raw.number, f"file-{reason}"))
            else:
                ecert = CollectedEcert(
                    action=judged.action,
                    metadata=judged.metadata,
                    digest=digest_of_record(judged.metadata, content),
                    content=base64.b64encode(content) if content is not None else None,
                )
        return self._made(batch_id, endpoint_id, raw, judged, tuple(faults), ecert)

    def doubled(self, batch_id: str, endpoint_id: str, raw: RawRow, made: Made) -> Made:
        """The same certificate once more in one batch: which of the two is meant cannot be told."""
        faults = (*made.faults, file_fault(raw.number, "doubled", column=""))
        return self._made(batch_id, endpoint_id, raw, made.judged, faults, None)

    def _made(
        self,
        batch_id: str,
        endpoint_id: str,
        raw: RawRow,
        judged: Judged,
        faults: tuple[RowFault, ...],
        ecert: CollectedEcert | None,
    ) -> Made:
        state = RowState.FAULTY if ecert is None else RowState.WAITING
        index = self.index(str(ecert.metadata.identifier)) if ecert is not None else None
        record = Record(raw=dict(raw.cells), ecert=ecert)
        told = [fault.model_dump(mode="json", exclude={"row"}) for fault in faults]
        values: store.Values = {
            "batch_id": batch_id,
            "row": raw.number,
            "state": state.value,
            "endpoint_id": endpoint_id,
            "identifier_index": index,
            "faults": json.dumps(told, ensure_ascii=False) if told else None,
            "record_sealed": self.vault.seal(record.model_dump_json().encode(), record_context(batch_id, raw.number)),
        }
        return Made(values, state, judged, faults, index)

    def _verify(self, metadata: EcertMetadata, content: bytes) -> str | None:
        """The reason word if the file may not be relied on for what the row says."""
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
        return None if verdict.state is EvidenceState.SATISFIED else verdict.reason or "refused"
