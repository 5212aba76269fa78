"""Everything that rests sealed in the database, whatever room it belongs to: under which key, and put under another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.vault import HEADER_BYTES

MAX_BATCH_BYTES: Final = 8 << 20
_UNIQUE_BYTES: Final = HEADER_BYTES + 12  # header and nonce: no two sealed values share them

# Which context each sealed column is authenticated with; the names in braces are of its table's primary key.
CONTEXTS: Final[Mapping[str, str]] = {
    "authorizations.holder_sealed": "authorizations:{id}",
    "cases.payload_sealed": "cases:{id}",
    "collect_batches.faults_sealed": "collect_batches:{id}",
    "collect_files.part_sealed": "collect_files:{batch_id}:{part}",
    "collect_rows.identifier_sealed": "collect_rows:{batch_id}:{row}:identifier",
    "collect_rows.record_sealed": "collect_rows:{batch_id}:{row}",
    "collected.identifier_sealed": "collected:{identifier_index}",
    "data_uses.on_behalf_sealed": "data_uses:{id}",
    "deliveries.body_sealed": "deliveries:{id}",
    "differences.identifier_sealed": "collected:{identifier_index}",
    "endpoints.secrets_sealed": "endpoints:{id}",
    "evidence.content_sealed": "evidence:{case_id}:{requirement}",
    "evidence.summary_sealed": "evidence:{case_id}:{requirement}:summary",
    "evidence_documents.document_sealed": "evidence_documents:{request_id}:{document}",
    "evidence_requests.request_sealed": "evidence_requests:{id}",
    "kept_ecerts.document_sealed": "kept_ecerts:{holder_index}:{type_code}",
    "presentations.holder_sealed": "presentations:{id}",
    "presentations.reference_sealed": "presentations:{id}:reference",
}


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One sealed column, and how to find its rows."""

    name: str  # table.column

    @property
    def column(self) -> sa.Column[bytes]:
        table, _, column = self.name.partition(".")
        return t.metadata.tables[table].c[column]

    @property
    def key(self) -> tuple[sa.Column[object], ...]:
        return tuple(self.column.table.primary_key.columns)

    def context(self, key: Sequence[object]) -> str:
        return CONTEXTS[self.name].format(**{column.name: value for column, value in zip(self.key, key, strict=True)})


COLUMNS: Final = tuple(SealedColumn(name) for name in CONTEXTS)


@dataclass(frozen=True, slots=True)
class SealedValue:
    key: tuple[object, ...]  # the row's primary key
    sealed: bytes


def counts(conn: Connection, column: SealedColumn) -> dict[bytes, int]:
    """How many values rest under each header (cipher and key)."""
    start = _start(column, HEADER_BYTES).label("start")
    number = sa.func.count().label("number")
    found = conn.execute(sa.select(start, number).where(column.column.is_not(None)).group_by(start))
    return {bytes(row.start): row.number for row in found}


def resting_otherwise(
    conn: Connection, column: SealedColumn, header: bytes, after: Sequence[object], limit: int
) -> list[SealedValue]:
    """The next values that do not begin with the header, in the order of the primary key, from behind the key ``after``."""
    statement = sa.select(*column.key, column.column.label("sealed")).where(_start(column, HEADER_BYTES) != header)
    if after:
        place = [sa.literal(value, part.type) for value, part in zip(after, column.key, strict=True)]
        statement = statement.where(sa.tuple_(*column.key) > sa.tuple_(*place))
    found: list[SealedValue] = []
    size = 0
    for row in conn.execute(statement.order_by(*column.key).limit(limit).execution_options(yield_per=8)):
        found.append(SealedValue(tuple(row[:-1]), bytes(row.sealed)))
        size += len(found[-1].sealed)
        if size > MAX_BATCH_BYTES:
            break
    return found


def replace(conn: Connection, column: SealedColumn, old: SealedValue, sealed: bytes) -> bool:
    """False if the value is another by now: whoever wrote it sealed it anew."""
    same_row = [part == value for part, value in zip(column.key, old.key, strict=True)]
    same_value = _start(column, _UNIQUE_BYTES) == old.sealed[:_UNIQUE_BYTES]
    statement = sa.update(column.column.table).where(*same_row, same_value).values({column.column.name: sealed})
    return conn.execute(statement).rowcount == 1


def _start(column: SealedColumn, size: int) -> sa.ColumnElement[bytes]:
    return sa.func.substr(column.column, 1, size, type_=sa.LargeBinary())
