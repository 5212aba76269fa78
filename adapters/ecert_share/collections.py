"""What the simulated library was given by CertCollect/push (unconfirmed: see library.PUSH), kept in the simulator's journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adapters.contract import CollectAction, CollectedEntry, bucket_digest, bucket_of
from adapters.ecert_share.mapping import Json, collected_from_wire
from adapters.simulation import Simulation
from schemas.numbers import TYPE_CODE

MAX_BATCH: Final = 500
_FIELD_EMPTY, _BAD_VALUE, _NOT_FOUND, _BAD_TYPE = 12, 102, 10, 113


class Refusal(Exception):
    """The operation ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class Collections:
    """By type and identifier: the digest and standing that were pushed last."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._held: dict[str, dict[str, CollectedEntry]] = {}  # type code -> identifier -> entry
        self._receipts: dict[str, dict[str, Json]] = {}
        simulation.on_forget += [self._held.clear, self._receipts.clear]
        for line in simulation.journal.read():
            if line.get("kind") == "collected":
                self._put(line["type"], CollectedEntry(**line["entry"]))
            elif line.get("kind") == "collect-receipt":
                self._receipts[line["key"]] = line["receipt"]

    def push(self, data: Mapping[str, Json], _files_url: str) -> Json:
        """Each record by itself; the same batchNo again gets the same receipt and changes nothing."""
        key, records = data.get("batchNo"), data.get("certData")
        if not isinstance(key, str) or not key:
            raise Refusal(_FIELD_EMPTY)
        if not isinstance(records, list) or not 0 < len(records) <= MAX_BATCH:
            raise Refusal(_BAD_VALUE)
        if key in self._receipts:
            return self._receipts[key]
        failures: list[Json] = []
        for record in records:
            identifier, status = self._take(record)
            if status:
                failures.append({"certificateIdentifier": identifier, "status": status})
        receipt: dict[str, Json] = {"receiptNo": f"R{len(self._receipts) + 1:08d}", "failures": failures}
        self._receipts[key] = receipt
        self._simulation.journal.append({"kind": "collect-receipt", "key": key, "receipt": receipt})
        self._simulation.effect(key)
        return receipt

    def _take(self, record: Json) -> tuple[str, int]:
        """The identifier, and why it is not taken (0: it is)."""
        named = str(record.get("certificateIdentifier", "")) if isinstance(record, Mapping) else ""
        try:
            ecert = collected_from_wire(record if isinstance(record, Mapping) else {})
        except ValueError:
            return named, _BAD_VALUE
        if ecert.metadata.identifier is None:
            return named, _FIELD_EMPTY
        type_code = ecert.metadata.type_code
        if not TYPE_CODE.matches(type_code):
            return named, _BAD_TYPE
        if ecert.action is CollectAction.REVOKE and named not in self._held.get(type_code, {}):
            return named, _NOT_FOUND
        standing = "revoked" if ecert.action is CollectAction.REVOKE else "valid"
        entry = CollectedEntry(identifier=named, digest=ecert.digest, standing=standing)
        self._put(type_code, entry)
        self._simulation.journal.append(
            {"kind": "collected", "type": type_code, "entry": entry.model_dump(by_alias=False)}
        )
        return named, 0

    def _put(self, type_code: str, entry: CollectedEntry) -> None:
        self._held.setdefault(type_code, {})[entry.identifier] = entry

    def summary(self, data: Mapping[str, Json], _files_url: str) -> Json:
        """Sums of the buckets, or the entries of one."""
        type_code, wanted = data.get("certTypeCode"), data.get("bucket")
        if not isinstance(type_code, str) or not type_code:
            raise Refusal(_FIELD_EMPTY)
        buckets: dict[str, list[CollectedEntry]] = {}
        for entry in self._held.get(type_code, {}).values():
            buckets.setdefault(bucket_of(entry.identifier), []).append(entry)
        if isinstance(wanted, str):
            return {"entries": [one.model_dump() for one in buckets.get(wanted, [])]}
        return {
            "buckets": [
                {"bucket": name, "count": len(entries), "digest": bucket_digest(entries)}
                for name, entries in sorted(buckets.items())
            ]
        }
