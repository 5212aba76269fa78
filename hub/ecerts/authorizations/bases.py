"""The basis on which a holder's data may be asked for, found in the asker's own transaction; and what the data was used for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Final

from sqlalchemy import Table
from sqlalchemy.engine import Connection, RowMapping

from hub import tables as t
from hub.db import Tx
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations import store
from hub.ecerts.authorizations.words import OUTCOMES
from hub.ecerts.catalogue import shanghai_day
from hub.ecerts.evidence.rules import Purpose
from hub.ecerts.presentations import basis as presented
from hub.ecerts.presentations.model import Presented
from hub.ids import new_id
from hub.vault import Vault
from schemas.evidence import BasisKind
from schemas.problems import HubProblem

WITHDRAWN: Final = "withdrawn"  # the holder took it back
ENDED: Final = "basis-ended"  # its time, or that of its use, is over
LAPSED: Final = frozenset({WITHDRAWN, ENDED})
_KEPT: Final = (  # of a use, as it is; what the words mean is filled in where it is listed
    "at", "system_id", "basis_reference", "case_id", "purpose", "ecert_type", "outcome", "form", "digest", "cited", "times",
)  # fmt: skip
_kept: Final = attrgetter(*_KEPT)
SAME_FOR: Final = timedelta(days=1)  # so long a refusal that comes again is no new one in the holder's list


@dataclass(frozen=True, slots=True)
class Basis:
    """Why a holder's data may be asked for: what the audit log and the holder's list of uses say."""

    kind: BasisKind
    reference: str
    of: str | None = (
        None  # the role of whose it is, where that is not the document's own holder: a guardian's, for a child
    )


def _table_of(basis: Basis) -> Table:
    if basis.kind is BasisKind.CONSENT:
        return t.consents
    return t.presentations if presented.is_presentation(basis.reference) else t.authorizations


class Bases:
    """What the evidence service asks of authorizations, consents and presentations."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def holder_index(self, holder: m.Holder) -> str:
        """The keyed hash under which everything of a holder is found."""
        return self._vault.index(f"holder:{holder.index_text}")

    def on_behalf_index(self, scope: m.Scope) -> str | None:
        """The same of the child for whom a scope's holder allows it."""
        return None if scope.on_behalf_of is None else self.holder_index(scope.on_behalf_of)

    def holder_of(self, conn: Connection, authorization_id: str, system_id: str, at: datetime) -> m.Holder | None:
        """Whose authorization it is, for the system that redeemed it and while it may be used; else None."""
        if presented.is_presentation(authorization_id):
            return presented.holder_of(conn, self._vault, authorization_id, system_id, at)
        row = store.authorization(conn, authorization_id)
        return open_holder(self._vault, row) if row is not None and _in_use(row, system_id, at) else None

    def find_basis(
        self,
        conn: Connection,
        *,
        holder: m.Holder,
        wanted: m.Wanted,
        system_id: str,
        at: datetime,
        authorization_id: str | None = None,
        case_reference: str = "",
        consent: str | None = None,
        on_behalf_of: m.Holder | None = None,
    ) -> Basis | None:
        """On what ``system_id`` may ask for all that is wanted: the authorization named, else a standing consent.

        None: the person must be asked. An authorization that is named and does not hold is not replaced by anything else, nor
        is ``consent``, the id of a consent or the reference under which it was registered. ``on_behalf_of``: the data are this
        child's, ``holder`` says to be its guardian. That is shown only where what the holder gave names the child, and only
        while the child is under age.
        """
        index, child = self.holder_index(holder), None
        if on_behalf_of is not None:
            if not m.is_minor(on_behalf_of, shanghai_day(at)):
                return None
            child = self.holder_index(on_behalf_of)
        if authorization_id is not None and presented.is_presentation(authorization_id):
            covered = child is None and presented.covers(
                conn, authorization_id, holder_index=index, wanted=wanted, case_reference=case_reference,
                system_id=system_id, at=at,
            )  # fmt: skip
            return Basis(BasisKind.AUTHORIZATION, authorization_id) if covered else None
        if authorization_id is not None:
            row = store.authorization(conn, authorization_id)
            if row is None or row.holder_index != index or not _in_use(row, system_id, at):
                return None
            scope = m.Scope.model_validate_json(row.scope)
            covered = child in (None, row.on_behalf_index) and m.outside(scope, wanted, system_id) is None
            return Basis(BasisKind.AUTHORIZATION, row.id) if covered else None
        for one in store.consents_of(conn, index, at):
            named = (consent is None or consent in (one.id, one.reference)) and child in (None, one.on_behalf_index)
            if named and m.outside(m.Scope.model_validate_json(one.scope), wanted, system_id) is None:
                return Basis(BasisKind.CONSENT, one.id)
        return None

    def lapsed(self, conn: Connection, bases: Iterable[Basis], at: datetime, *, lock: bool) -> dict[str, str]:
        """Which of them do not stand any more, and by what word; the law stands. ``lock``: none is taken back before the commit."""
        by_table: dict[Table, set[str]] = {}
        for basis in bases:
            if basis.kind is not BasisKind.LAW:
                by_table.setdefault(_table_of(basis), set()).add(basis.reference)
        found: dict[str, str] = {}
        for table, ids in sorted(by_table.items(), key=lambda one: one[0].name):  # locked in one order on every node
            known = store.ends(conn, table, ids, lock=lock)
            for reference in ids:
                end = known.get(reference)
                if end is None or end.until is None or at >= end.until:
                    found[reference] = ENDED
                if end is not None and end.revoked:
                    found[reference] = WITHDRAWN
        return found

    def use_presentations(
        self, tx: Tx, bases: Iterable[Basis], *, message_id: str, system_id: str
    ) -> tuple[Presented, ...] | HubProblem:
        """The presentations among the bases, for this one message; HubProblem if another message was quicker with one."""
        references = [basis.reference for basis in bases if basis.kind is BasisKind.AUTHORIZATION]
        return presented.use(tx, self._vault, references, message_id=message_id, actor=f"system:{system_id}")

    def record_uses(self, tx: Tx, uses: Sequence[tuple[str, m.DataUse]]) -> None:
        """(holder's index, use), in the transaction that commits the answer, refused ones too."""
        rows: list[store.Values] = []
        for index, use in uses:
            id_, child = new_id("use"), use.on_behalf_of
            values: store.Values = dict(zip(_KEPT, _kept(use), strict=True))
            values["basis"] = use.basis.value
            values["item_code"] = use.item
            values["fields"] = None if use.fields is None else json.dumps(use.fields)
            values["on_behalf_sealed"] = None if child is None else self._vault.seal(child.encode(), use_context(id_))
            values["id"], values["holder_index"] = id_, index
            rows.append(values)
        store.add_uses(tx.conn, rows)

    def record_refusal(self, tx: Tx, holder_index: str, use: m.DataUse) -> None:
        """For the holder to see; one that comes again within a while is counted at the first."""
        same: store.Values = {
            "system_id": use.system_id, "basis": use.basis.value, "purpose": use.purpose, "item_code": use.item,
            "outcome": use.outcome, "cited": use.cited,
        }  # fmt: skip
        if not store.repeat_use(tx.conn, holder_index, same, tx.now - SAME_FOR):
            self.record_uses(tx, [(holder_index, use)])


def use_context(use_id: str) -> str:
    """What the child's name in a use is sealed under."""
    return f"data_uses:{use_id}"


def use_of(vault: Vault, row: RowMapping, purposes: Mapping[str, Purpose]) -> m.DataUse:
    """A use as its holder reads it, with what its words mean."""
    values = {name: row[name] for name in row if name in m.DataUse.model_fields}
    sealed = row["on_behalf_sealed"]
    child = None if sealed is None else vault.open(sealed, use_context(row["id"])).decode()
    purpose, (zh, en) = purposes.get(row["purpose"]), OUTCOMES.get(row["outcome"], (None, None))
    told = {
        "item": row["item_code"],
        "on_behalf_of": child,
        "fields": None if row["fields"] is None else json.loads(row["fields"]),
        "purpose_zh": purpose and purpose.title_zh,
        "purpose_en": purpose and purpose.title_en,
        "outcome_zh": zh,
        "outcome_en": en,
    }
    return m.DataUse(**{**values, **told})


def open_holder(vault: Vault, row: store.AuthorizationRow) -> m.Holder:
    return m.Holder.model_validate_json(vault.open(row.holder_sealed, f"authorizations:{row.id}"))


def _in_use(row: store.AuthorizationRow, system_id: str, at: datetime) -> bool:
    return row.revoked_at is None and row.redeemed_by == system_id and row.use_until is not None and at < row.use_until
