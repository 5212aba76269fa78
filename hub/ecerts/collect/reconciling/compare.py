"""Daily reconciliation: what the library holds against what we delivered, by count and digest of each bucket.

Only buckets that differ are listed entry by entry. What is under way is left out: it differs for a moment and is no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import groupby
from typing import Final, cast

import structlog

from adapters.contract import (
    Adapter,
    AdapterError,
    Capability,
    CollectedAsker,
    CollectedEntry,
    CollectedQuery,
    Deadline,
    PeerMisconfigured,
    bucket_digest,
    bucket_of,
)
from hub.db import AuditEntry, Database, Tx
from hub.ecerts.collect import store
from hub.ecerts.collect.model import Difference, DifferenceCure, DifferenceKind, Reconciliation, Repair
from hub.ecerts.collect.reconciling import store as found
from hub.ecerts.collect.reconciling.repair import repair
from hub.vault import Vault
from schemas.ecert_types import ecert_types

CALL_S: Final = 60.0
DAILY: Final = timedelta(days=1)
AFTER_ERROR: Final = timedelta(hours=1)
REPAIRED_AT_ONCE: Final = 100
log = structlog.get_logger(__name__)
Ours = dict[str, tuple[store.CollectedRow, CollectedEntry]]  # by identifier


class Reconciler:
    """``adapter_of`` gives the adapter of an endpoint. What is found is kept until it is repaired or found anew."""

    def __init__(self, db: Database, vault: Vault, adapter_of: Callable[[str], Adapter]) -> None:
        self._db, self._vault, self._adapter_of = db, vault, adapter_of

    def daily(self, actor: str) -> list[Reconciliation]:
        """A chore, at any node and as often as it likes: libraries whose day is over, each by one node."""
        with self._db.read() as conn:
            endpoints = found.libraries(conn)
        due = [
            endpoint_id
            for endpoint_id in endpoints
            if self._db.write(lambda tx, id_=endpoint_id: found.claim(tx.conn, id_, tx.now, tx.now + DAILY))  # type: ignore[misc]
        ]
        return [self.of(endpoint_id, actor=actor) for endpoint_id in due]

    def run(self, *, actor: str) -> list[Reconciliation]:
        """Every library to which something was collected, now."""
        with self._db.read() as conn:
            endpoints = found.libraries(conn)
        return [self.of(endpoint_id, actor=actor) for endpoint_id in endpoints]

    def of(self, endpoint_id: str, *, actor: str) -> Reconciliation:
        """A library that does not answer is asked again in an hour; ``error`` says why, and what was found before stays."""
        try:
            ours, theirs, rows = self._compare_all(endpoint_id)
        except AdapterError as error:
            code = error.code[:100]

            def failed(tx: Tx) -> None:
                values: store.Values = {"endpoint_id": endpoint_id, "due_at": tx.now + AFTER_ERROR, "error": code}
                found.put_reconciliation(tx.conn, values)  # the figures before it stay, as the differences do
                tx.audit.append(AuditEntry(actor, "collect.reconcile", endpoint_id, "failed", {"code": code}))

            self._db.write(failed)
            return Reconciliation(endpoint_id=endpoint_id, error=code)

        def write(tx: Tx) -> None:
            found.replace_differences(tx.conn, endpoint_id, rows)
            found.put_reconciliation(
                tx.conn,
                {"endpoint_id": endpoint_id, "due_at": tx.now + DAILY, "ended_at": tx.now, "ours": ours, "theirs": theirs,
                 "differences": len(rows), "error": None},
            )  # fmt: skip
            detail = {"ours": str(ours), "theirs": str(theirs), "differences": str(len(rows))}
            word = "differs" if rows else "agrees"
            tx.audit.append(AuditEntry(actor, "collect.reconcile", endpoint_id, word, detail))

        self._db.write(write)
        if rows:
            log.warning("collected certificates differ", endpoint=endpoint_id, differences=len(rows))
        return Reconciliation(
            endpoint_id=endpoint_id, ours=ours, theirs=theirs, differences=tuple(self.listed(endpoint_id, len(rows)))
        )

    def listed(self, endpoint_id: str, limit: int) -> Iterator[Difference]:
        """What was found and is not repaired, at most ``limit``."""
        with self._db.read() as conn:
            rows = found.differences(conn, endpoint_id, "", limit)
            last = rows[-1].identifier_index if rows else ""
            repaired = found.handed_in(conn, endpoint_id, last)
            sendable = found.sendable(conn, endpoint_id, last)
        for row in rows:
            identifier = self._vault.open(row.identifier_sealed, f"collected:{row.identifier_index}").decode()
            repair_id = row.batch_id if row.identifier_index in repaired else None
            batch_id, number = repaired.get(row.identifier_index, (row.batch_id, row.row)) or (None, None)
            kind = DifferenceKind(row.kind)
            cure = _cure(kind, sendable=row.identifier_index in sendable)
            yield Difference(type_code=row.type_code, identifier=identifier, kind=kind, cure=cure, system=row.system_id,
                             collection=batch_id, row=number, repair=repair_id)  # fmt: skip

    def repair(self, endpoint_id: str, *, adopt: bool, actor: str) -> Repair:
        """Send again what the library lacks or has otherwise; ``adopt``: take what only it has into our account."""
        done, after = Repair(), ""
        while True:
            step = self._db.write(
                lambda tx, at=after: repair(
                    tx, self._vault, endpoint_id, at, REPAIRED_AT_ONCE, adopt=adopt, actor=actor
                )  # type: ignore[misc]
            )
            if step is None:
                return done
            after = step.last
            done = Repair(sent=done.sent + step.sent, adopted=done.adopted + step.adopted, gone=done.gone + step.gone,
                          left=done.left + step.left)  # fmt: skip

    # --- comparing ------------------------------------------------------------------------------------------------------

    def _compare_all(self, endpoint_id: str) -> tuple[int, int, list[store.Values]]:
        """(ours, theirs, differences), of the types that are collected and of those that were."""
        adapter = self._adapter_of(endpoint_id)
        if Capability.COLLECTED not in adapter.manifest.capabilities:
            raise PeerMisconfigured("no-capability", Capability.COLLECTED.value)
        asker = cast(CollectedAsker, adapter)
        ours = theirs = 0
        differences: list[store.Values] = []
        with self._db.read() as conn:
            codes = found.type_codes(conn, endpoint_id)
        for type_code in dict.fromkeys([*(kind.code for kind in ecert_types().values() if kind.collect), *codes]):
            answer = asker.collected(CollectedQuery(type_code=type_code), Deadline.after(CALL_S))
            their_sums = {one.bucket: one for one in answer.buckets}
            theirs += sum(one.count for one in answer.buckets)
            empty = set(their_sums)
            for bucket, held in self._buckets(endpoint_id, type_code):
                empty.discard(bucket)
                ours += len(held)
                sums = their_sums.get(bucket)
                entries = [entry for _, entry in held.values()]
                if sums is None or (sums.count, sums.digest) != (len(entries), bucket_digest(entries)):
                    differences += self._compare(asker, endpoint_id, type_code, bucket, held)
            for bucket in sorted(empty):
                differences += self._compare(asker, endpoint_id, type_code, bucket, {})
        return ours, theirs, differences

    def _buckets(self, endpoint_id: str, type_code: str) -> Iterator[tuple[str, Ours]]:
        with self._db.read() as conn:
            for bucket, rows in groupby(store.collected_of(conn, endpoint_id, type_code), key=lambda row: row.bucket):
                held: Ours = {}
                for row in rows:
                    sealed = self._vault.open(row.identifier_sealed, f"collected:{row.identifier_index}")
                    identifier = sealed.decode()
                    entry = CollectedEntry(identifier=identifier, digest=row.digest, standing=row.standing)
                    held[identifier] = (row, entry)
                yield bucket, held

    def _compare(
        self, asker: CollectedAsker, endpoint_id: str, type_code: str, bucket: str, held: Ours
    ) -> list[store.Values]:
        query = CollectedQuery(type_code=type_code, bucket=bucket)
        entries = asker.collected(query, Deadline.after(CALL_S)).entries
        theirs = {one.identifier: one for one in entries if bucket_of(one.identifier) == bucket}
        indexes = {name: self._vault.index(f"collected:{name}") for name in held.keys() | theirs.keys()}
        with self._db.read() as conn:
            moving = store.under_way(conn, endpoint_id, list(indexes.values()))
        rows: list[store.Values] = []
        for identifier in sorted(indexes):
            mine, other = held.get(identifier), theirs.get(identifier)
            kind = _difference(mine[1] if mine is not None else None, other)
            index = indexes[identifier]
            if kind is None or index in moving:
                continue
            source = mine[0] if mine is not None else None
            rows.append(
                {"endpoint_id": endpoint_id, "identifier_index": index, "type_code": type_code, "kind": kind.value,
                 "system_id": source.system_id if source else None, "batch_id": source.batch_id if source else None,
                 "row": source.row if source else None, "digest": other.digest[:64] if other else None,
                 "standing": other.standing[:16] if other else None,
                 "identifier_sealed": self._vault.seal(identifier.encode(), f"collected:{index}")}
            )  # fmt: skip
        return rows


def _difference(mine: CollectedEntry | None, other: CollectedEntry | None) -> DifferenceKind | None:
    if mine is None:
        return None if other is None else DifferenceKind.SURPLUS
    if other is None:
        return DifferenceKind.MISSING
    if mine.standing != other.standing:
        return DifferenceKind.STANDING
    return None if mine.digest == other.digest else DifferenceKind.DIGEST


def _cure(kind: DifferenceKind, *, sendable: bool) -> DifferenceCure:
    if kind is DifferenceKind.SURPLUS:
        return DifferenceCure.ADOPT
    return DifferenceCure.SEND_AGAIN if sendable else DifferenceCure.HAND_IN_AGAIN
