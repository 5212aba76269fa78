"""Daily reconciliation: what the library holds against what we delivered, by count and digest of each bucket.

Only buckets that differ are listed entry by entry. What is under way is left out: it differs for a moment and is no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import cast

import structlog

from adapters.contract import (
    Adapter,
    Capability,
    CollectedAsker,
    CollectedEntry,
    CollectedQuery,
    Deadline,
    PeerMisconfigured,
    bucket_digest,
)
from hub.db import AuditEntry, Database, Tx
from hub.ecerts.collect import store
from hub.ecerts.collect.model import Difference, DifferenceKind, Reconciliation
from hub.vault import Vault
from schemas.ecert_types import ecert_types

CALL_S = 60.0
log = structlog.get_logger(__name__)
Ours = dict[str, tuple[store.CollectedRow, CollectedEntry]]  # by identifier


class Reconciler:
    """``adapter_of`` gives the adapter of an endpoint. Its four errors come out as they are."""

    def __init__(self, db: Database, vault: Vault, adapter_of: Callable[[str], Adapter]) -> None:
        self._db, self._vault, self._adapter_of = db, vault, adapter_of

    def run(self, *, repair: bool, actor: str) -> list[Reconciliation]:
        """Every library to which something was collected. ``repair``: what it lacks or has otherwise is sent once more."""
        with self._db.read() as conn:
            endpoints = store.library_endpoints(conn)
        return [self.of(endpoint_id, repair=repair, actor=actor) for endpoint_id in endpoints]

    def of(self, endpoint_id: str, *, repair: bool, actor: str) -> Reconciliation:
        adapter = self._adapter_of(endpoint_id)
        if Capability.COLLECTED not in adapter.manifest.capabilities:
            raise PeerMisconfigured("no-capability", Capability.COLLECTED.value)
        asker = cast(CollectedAsker, adapter)
        ours = theirs = 0
        differences: list[Difference] = []
        again: list[store.CollectedRow] = []
        for type_code in [kind.code for kind in ecert_types().values() if kind.collect]:
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
                    self._compare(asker, endpoint_id, type_code, bucket, held, differences, again)
            for bucket in sorted(empty):
                self._compare(asker, endpoint_id, type_code, bucket, {}, differences, again)

        def write(tx: Tx) -> None:
            if repair and again:
                store.send_again(tx.conn, again)
            detail = {"ours": str(ours), "theirs": str(theirs), "differences": str(len(differences)),
                      "repaired": str(len(again) if repair else 0)}  # fmt: skip
            word = "differs" if differences else "agrees"
            tx.audit.append(AuditEntry(actor, "collect.reconcile", endpoint_id, word, detail))

        self._db.write(write)
        if differences:
            log.warning("collected certificates differ", endpoint=endpoint_id, differences=len(differences))
        return Reconciliation(
            endpoint_id=endpoint_id,
            ours=ours,
            theirs=theirs,
            differences=tuple(differences),
            repaired=len(again) if repair else 0,
        )

    def _buckets(self, endpoint_id: str, type_code: str) -> Iterator[tuple[str, Ours]]:
        with self._db.read() as conn:
            for bucket, rows in groupby(store.collected_of(conn, endpoint_id, type_code), key=lambda row: row.bucket):
                held: Ours = {}
                for row in rows:
                    sealed = self._vault.open(row.identifier_sealed, f"collected:{row.identifier_index}")
                    identifier = sealed.decode()
                    held[identifier] = (
                        row,
                        CollectedEntry(identifier=identifier, digest=row.digest, standing=row.standing),
                    )
                yield bucket, held

    def _compare(
        self,
        asker: CollectedAsker,
        endpoint_id: str,
        type_code: str,
        bucket: str,
        held: Ours,
        differences: list[Difference],
        again: list[store.CollectedRow],
    ) -> None:
        query = CollectedQuery(type_code=type_code, bucket=bucket)
        theirs = {one.identifier: one for one in asker.collected(query, Deadline.after(CALL_S)).entries}
        indexes = {name: self._vault.index(f"collected:{name}") for name in held.keys() | theirs.keys()}
        with self._db.read() as conn:
            moving = store.under_way(conn, endpoint_id, list(indexes.values()))
        for identifier in sorted(indexes):
            mine, other = held.get(identifier), theirs.get(identifier)
            kind = _difference(mine[1] if mine is not None else None, other)
            if kind is None or indexes[identifier] in moving:
                continue
            differences.append(Difference(type_code=type_code, identifier=identifier, kind=kind))
            if mine is not None:
                again.append(mine[0])


def _difference(mine: CollectedEntry | None, other: CollectedEntry | None) -> DifferenceKind | None:
    if mine is None:
        return None if other is None else DifferenceKind.SURPLUS
    if other is None:
        return DifferenceKind.MISSING
    if mine.standing != other.standing:
        return DifferenceKind.STANDING
    return None if mine.digest == other.digest else DifferenceKind.DIGEST
