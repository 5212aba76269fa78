"""A presentation as the basis of evidence: whose it is, whether it covers a question, and its one use.

Asked by :class:`hub.ecerts.authorizations.bases.Bases`, for which a presentation is one more kind of authorization.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.engine import Connection

from adapters.contract import ShownKind
from hub.db import AuditEntry, Tx
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.refusals import basis_refused
from hub.ecerts.presentations import store
from hub.ecerts.presentations.model import PREFIX, Presented, State, standing
from hub.vault import Vault
from schemas.problems import HubProblem


def is_presentation(reference: str) -> bool:
    return reference.startswith(PREFIX)


def holder_context(presentation_id: str) -> str:
    return f"presentations:{presentation_id}"


def reference_context(presentation_id: str) -> str:
    return f"presentations:{presentation_id}:reference"


def standing_of(row: store.PresentationRow, now: datetime) -> State:
    return standing(
        kind=ShownKind(row.kind),
        state=State(row.state),
        owned_until=row.owned_until,
        expires_at=row.expires_at,
        use_until=row.use_until,
        used=row.used_at is not None,
        revoked=row.revoked_at is not None,
        now=now,
    )


def open_holder(vault: Vault, row: store.PresentationRow) -> m.Holder:
    return m.Holder.model_validate_json(vault.open(row.holder_sealed, holder_context(row.id)))


def holder_of(conn: Connection, vault: Vault, presentation_id: str, system_id: str, at: datetime) -> m.Holder | None:
    """Who showed the code, for the system that took it and while it may be used; else None."""
    row = _usable(conn, presentation_id, system_id, at)
    return None if row is None else open_holder(vault, row)


def covers(
    conn: Connection,
    presentation_id: str,
    *,
    holder_index: str,
    wanted: m.Wanted,
    case_reference: str,
    system_id: str,
    at: datetime,
) -> bool:
    """Whether this holder agreed to all that is wanted, by this system, for this case, and it was not used yet."""
    row = _usable(conn, presentation_id, system_id, at)
    if row is None or (row.holder_index, row.case_reference) != (holder_index, case_reference):
        return False
    return m.outside(m.Scope.model_validate_json(row.scope), wanted, system_id) is None


def _usable(conn: Connection, presentation_id: str, system_id: str, at: datetime) -> store.PresentationRow | None:
    row = store.presentation(conn, presentation_id)
    usable = row is not None and row.system_id == system_id and standing_of(row, at) is State.AUTHORIZED
    return row if usable else None


def use(
    tx: Tx, vault: Vault, references: Iterable[str], *, message_id: str, actor: str
) -> tuple[Presented, ...] | HubProblem:
    """All of them for one evidence request, in its own transaction; none if another message was quicker with one."""
    ids = sorted({one for one in references if is_presentation(one)})
    rows = [store.presentation(tx.conn, one, lock=True) for one in ids]
    taken = [row for row in rows if row is not None and row.reference_sealed is not None]
    free = [
        standing_of(row, tx.now) is State.AUTHORIZED or (row.used_as == message_id and row.revoked_at is None)
        for row in taken
    ]
    if len(taken) < len(ids) or not all(free):
        return basis_refused("presentation-used")
    found = []
    for row in taken:
        if row.reference_sealed is None or not store.use(tx.conn, row.id, message_id, tx.now):
            raise RuntimeError("a locked presentation was used by another")
        reference = vault.open(row.reference_sealed, reference_context(row.id)).decode()
        found.append(Presented(presentation_id=row.id, endpoint_id=row.endpoint_id, reference=reference))
        tx.audit.append(AuditEntry(actor, "presentation.use", row.id, "used"))
    return tuple(found)
