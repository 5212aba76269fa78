"""The basis on which a holder's data may be asked for, found in the asker's own transaction; and what the data was used for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.engine import Connection

from hub.db import Tx
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations import store
from hub.ecerts.entries import Item
from hub.ecerts.presentations import basis as presented
from hub.ecerts.presentations.model import Presented
from hub.ids import new_id
from hub.vault import Vault
from schemas.problems import HubProblem

SAME_FOR: Final = timedelta(days=1)  # so long a refusal that comes again is no new one in the holder's list


@dataclass(frozen=True, slots=True)
class Basis:
    """Why a holder's data may be asked for: what the audit log and the holder's list of uses say."""

    kind: m.BasisKind
    reference: str


class Bases:
    """What the evidence service asks of authorizations, consents and presentations."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def holder_index(self, holder: m.Holder) -> str:
        """The keyed hash under which everything of a holder is found."""
        return self._vault.index(f"holder:{holder.index_text}")

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
        item: Item | None = None,
        case_reference: str = "",
        consent: str | None = None,
    ) -> Basis | None:
        """On what ``system_id`` may ask for all that is wanted: the authorization named, else a standing consent, else the law.

        None: the person must be asked. An authorization that is named and does not hold is not replaced by anything else, nor
        is ``consent``, the id of a consent or the reference under which it was registered.
        """
        index = self.holder_index(holder)
        if authorization_id is not None and presented.is_presentation(authorization_id):
            covered = presented.covers(
                conn, authorization_id, holder_index=index, wanted=wanted, case_reference=case_reference,
                system_id=system_id, at=at,
            )  # fmt: skip
            return Basis(m.BasisKind.AUTHORIZATION, authorization_id) if covered else None
        if authorization_id is not None:
            row = store.authorization(conn, authorization_id)
            if row is None or row.holder_index != index or not _in_use(row, system_id, at):
                return None
            covered = m.outside(m.Scope.model_validate_json(row.scope), wanted, system_id) is None
            return Basis(m.BasisKind.AUTHORIZATION, row.id) if covered else None
        for one in store.consents_of(conn, index, at):
            named = consent is None or consent in (one.id, one.reference)
            if named and m.outside(m.Scope.model_validate_json(one.scope), wanted, system_id) is None:
                return Basis(m.BasisKind.CONSENT, one.id)
        if item is not None and not item.requires_consent and wanted.item == item.basic_code:
            return Basis(m.BasisKind.LAW, f"{item.basic_code}@{item.version}")
        return None

    def use_presentations(
        self, tx: Tx, bases: Iterable[Basis], *, message_id: str, system_id: str
    ) -> tuple[Presented, ...] | HubProblem:
        """The presentations among the bases, for this one message; HubProblem if another message was quicker with one."""
        references = [basis.reference for basis in bases if basis.kind is m.BasisKind.AUTHORIZATION]
        return presented.use(tx, self._vault, references, message_id=message_id, actor=f"system:{system_id}")

    def record_uses(self, tx: Tx, uses: Sequence[tuple[str, m.DataUse]]) -> None:
        """(holder's index, use), in the transaction that commits the answer, refused ones too."""
        rows: list[store.Values] = []
        for index, use in uses:
            values: store.Values = dict(use)
            values["item_code"] = values.pop("item")
            rows.append({**values, "basis": use.basis.value, "id": new_id("use"), "holder_index": index})
        store.add_uses(tx.conn, rows)

    def record_refusal(self, tx: Tx, holder_index: str, use: m.DataUse) -> None:
        """For the holder to see; one that comes again within a while is counted at the first."""
        same: store.Values = {
            "system_id": use.system_id, "basis": use.basis.value, "purpose": use.purpose, "item_code": use.item,
            "outcome": use.outcome, "cited": use.cited,
        }  # fmt: skip
        if not store.repeat_use(tx.conn, holder_index, same, tx.now - SAME_FOR):
            self.record_uses(tx, [(holder_index, use)])


def open_holder(vault: Vault, row: store.AuthorizationRow) -> m.Holder:
    return m.Holder.model_validate_json(vault.open(row.holder_sealed, f"authorizations:{row.id}"))


def _in_use(row: store.AuthorizationRow, system_id: str, at: datetime) -> bool:
    return row.revoked_at is None and row.redeemed_by == system_id and row.use_until is not None and at < row.use_until
