"""The SQL of authorizations, standing consents and uses of data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import Connection

from hub import tables as t
from hub.prepared import Prepared, in_list, insert_many, insert_new, listed

Values = dict[str, object]


@dataclass(slots=True)
class AuthorizationRow:
    id: str
    locator_hash: str
    code_hash: str
    issued_by: str
    holder_index: str
    on_behalf_index: str | None
    scope: str  # JSON
    expires_at: datetime
    use_s: int
    attempts: int
    redeemed_at: datetime | None
    redeemed_by: str | None
    redeemed_as: str | None
    use_until: datetime | None
    revoked_at: datetime | None
    assurance: str | None
    holder_sealed: bytes

    @property
    def owner(self) -> str:
        """The system that may take it back for its holder."""
        return self.issued_by


@dataclass(frozen=True, slots=True)
class ConsentRow:
    id: str
    registered_by: str
    holder_index: str
    on_behalf_index: str | None
    scope: str  # JSON
    reference: str
    given_at: datetime
    ends_at: datetime
    revoked_at: datetime | None
    login_id: str | None

    @property
    def owner(self) -> str:
        """The system that may take it back for its holder."""
        return self.registered_by


_AUTHORIZATION = [t.authorizations.c[name] for name in AuthorizationRow.__dataclass_fields__]
_CONSENT = [t.consents.c[name] for name in ConsentRow.__dataclass_fields__]


# --- authorizations -------------------------------------------------------------------------------------------------------


def add_authorization(conn: Connection, values: Values) -> bool:
    return bool(insert_new(conn, t.authorizations, [values]))


def remove_authorization(conn: Connection, authorization_id: str) -> None:
    conn.execute(sa.delete(t.authorizations).where(t.authorizations.c.id == authorization_id))


def by_locator(conn: Connection, hashes: Iterable[str]) -> dict[str, AuthorizationRow]:
    """By locator hash, locked until the commit, in one order, so that two nodes that redeem several do not wait for each other."""
    a = t.authorizations
    query = (
        sa.select(*_AUTHORIZATION).where(a.c.locator_hash.in_(sorted(set(hashes)))).order_by(a.c.id).with_for_update()
    )
    return {row.locator_hash: AuthorizationRow(**row._mapping) for row in conn.execute(query)}


def authorization(conn: Connection, authorization_id: str, *, lock: bool = False) -> AuthorizationRow | None:
    query = sa.select(*_AUTHORIZATION).where(t.authorizations.c.id == authorization_id)
    row = conn.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else AuthorizationRow(**row._mapping)


def redeem(conn: Connection, authorization_id: str, values: Values) -> bool:
    """Whether this call redeemed it: whatever else went wrong, at most one ever does."""
    a = t.authorizations
    untouched = (a.c.id == authorization_id, a.c.redeemed_at.is_(None), a.c.revoked_at.is_(None))
    return conn.execute(sa.update(a).where(*untouched).values(values)).rowcount == 1


def count_attempt(conn: Connection, authorization_id: str) -> None:
    a = t.authorizations
    conn.execute(sa.update(a).where(a.c.id == authorization_id).values(attempts=a.c.attempts + 1))


def revoke(conn: Connection, table: sa.Table, row_id: str, at: datetime) -> None:
    conn.execute(sa.update(table).where(table.c.id == row_id, table.c.revoked_at.is_(None)).values(revoked_at=at))


def purge_authorizations(conn: Connection, now: datetime) -> int:
    return conn.execute(sa.delete(t.authorizations).where(t.authorizations.c.purge_at < now)).rowcount


def live_codes(conn: Connection, holders: Iterable[str], now: datetime) -> dict[str, tuple[int, datetime]]:
    """How many codes of each holder could be redeemed now, and when the first of them ends."""
    a = t.authorizations
    live = (
        a.c.holder_index.in_(sorted(set(holders))),
        a.c.expires_at > now,
        a.c.redeemed_at.is_(None),
        a.c.revoked_at.is_(None),
    )
    query = (
        sa.select(a.c.holder_index, sa.func.count(), sa.func.min(a.c.expires_at))
        .where(*live)
        .group_by(a.c.holder_index)
    )
    return {row[0]: (row[1], row[2]) for row in conn.execute(query)}


# --- wrong codes ----------------------------------------------------------------------------------------------------------


def wrong_codes_since(conn: Connection, systems: Iterable[str], bucket: int) -> dict[str, int]:
    w = t.wrong_codes.c
    query = sa.select(w.system_id, sa.func.sum(w.codes)).where(w.system_id.in_(sorted(systems)), w.bucket >= bucket)
    return {row[0]: int(row[1]) for row in conn.execute(query.group_by(w.system_id))}


def add_wrong_code(conn: Connection, system_id: str, bucket: int) -> None:
    insert = sqlite_insert if conn.dialect.name == "sqlite" else postgresql_insert
    w = t.wrong_codes
    statement = insert(w).values(system_id=system_id, bucket=bucket, codes=1)
    one_more = {"codes": w.c.codes + 1}
    conn.execute(statement.on_conflict_do_update(index_elements=["system_id", "bucket"], set_=one_more))


def oldest_wrong_code(conn: Connection, system_id: str, bucket: int) -> int:
    """The first bucket from this one on in which the caller tried one; this one if there is none."""
    w = t.wrong_codes.c
    query = sa.select(sa.func.min(w.bucket)).where(w.system_id == system_id, w.bucket >= bucket)
    found: int | None = conn.execute(query).scalar_one()
    return bucket if found is None else found


def one_more_guess(conn: Connection, system_id: str, after: datetime) -> bool:
    """Count it where the caller was throttled until then or later: whether it goes on with what was told already."""
    g = t.guessing_callers
    lasting = sa.update(g).where(g.c.system_id == system_id, g.c.until > after)
    return conn.execute(lasting.values(codes=g.c.codes + 1)).rowcount == 1


def prolong_guessing(conn: Connection, system_id: str, until: datetime) -> None:
    g = t.guessing_callers
    conn.execute(sa.update(g).where(g.c.system_id == system_id).values(until=until))


def note_guessing(conn: Connection, system_id: str, values: Values) -> None:
    """For the console and the metrics, in the place of what was told of this caller before."""
    insert = sqlite_insert if conn.dialect.name == "sqlite" else postgresql_insert
    statement = insert(t.guessing_callers).values(system_id=system_id, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["system_id"], set_=values))


def forget_wrong_codes(conn: Connection, bucket: int, ended_before: datetime) -> None:
    """Counts that matter no more, and who was let in again so long ago."""
    conn.execute(sa.delete(t.wrong_codes).where(t.wrong_codes.c.bucket < bucket))
    conn.execute(sa.delete(t.guessing_callers).where(t.guessing_callers.c.until < ended_before))


# --- consents -------------------------------------------------------------------------------------------------------------


def add_consent(conn: Connection, values: Values) -> bool:
    return bool(insert_new(conn, t.consents, [values]))


def consent(conn: Connection, consent_id: str) -> ConsentRow | None:
    row = conn.execute(sa.select(*_CONSENT).where(t.consents.c.id == consent_id)).one_or_none()
    return None if row is None else ConsentRow(**row._mapping)


def consent_by_reference(conn: Connection, system_id: str, reference: str) -> ConsentRow | None:
    c = t.consents.c
    row = conn.execute(sa.select(*_CONSENT).where(c.registered_by == system_id, c.reference == reference)).one_or_none()
    return None if row is None else ConsentRow(**row._mapping)


c = t.consents.c
_CONSENTS_OF = Prepared(
    sa.select(*_CONSENT)
    .where(
        c.holder_index == sa.bindparam("holder"),
        c.revoked_at.is_(None),
        c.given_at <= sa.bindparam("at"),
        c.ends_at > sa.bindparam("at"),
    )
    .order_by(c.id)
)


def consents_of(conn: Connection, holder_index: str, at: datetime) -> list[ConsentRow]:
    """Those in force, the oldest first."""
    return [ConsentRow(*row) for row in _CONSENTS_OF.rows(conn, holder=holder_index, at=at)]


# --- what a basis may still be -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class End:
    """Until when something may be the basis of a question, and whether its holder took it back before."""

    until: datetime | None
    revoked: bool


def _ends(table: sa.Table, until: str, *, lock: bool) -> Callable[[int], Prepared]:
    c = table.c

    def write(ids: Sequence[sa.BindParameter[str]]) -> sa.Select[Any]:
        query = sa.select(c.id, c[until], c.revoked_at).where(c.id.in_(ids)).order_by(c.id)
        return query.with_for_update(read=True) if lock else query

    return in_list(write)


_ENDS = {
    (table.name, lock): _ends(table, until, lock=lock)
    for table, until in ((t.consents, "ends_at"), (t.authorizations, "use_until"), (t.presentations, "use_until"))
    for lock in (False, True)
}


def ends(conn: Connection, table: sa.Table, ids: Collection[str], *, lock: bool) -> dict[str, End]:
    """By id. Locked, whoever takes one back waits until what rests on it is committed."""
    if not ids:
        return {}
    rows = _ENDS[table.name, lock](len(ids)).rows(conn, **listed(sorted(ids)))
    return {id_: End(until, revoked_at is not None) for id_, until, revoked_at in rows}


# --- uses -----------------------------------------------------------------------------------------------------------------


def add_uses(conn: Connection, rows: Sequence[Values]) -> None:
    insert_many(conn, t.data_uses, rows)


def repeat_use(conn: Connection, holder_index: str, values: Values, since: datetime) -> bool:
    """Whether the same was written of the holder since: then it counts once more there. ``values``: what makes it the same."""
    u = t.data_uses
    same = [u.c[name].is_not_distinct_from(value) for name, value in values.items()]
    last = sa.select(sa.func.max(u.c.id)).where(u.c.holder_index == holder_index, u.c.at > since, *same)
    changed = conn.execute(sa.update(u).where(u.c.id == last.scalar_subquery()).values(times=u.c.times + 1))
    return changed.rowcount == 1


def uses_of(conn: Connection, holder_index: str, *, before: str | None, limit: int) -> list[sa.RowMapping]:
    """Newest first; ids sort by time."""
    u = t.data_uses
    query = (
        sa.select(u, t.systems.c.name.label("system_name"))
        .join(t.systems, t.systems.c.id == u.c.system_id, isouter=True)
        .where(u.c.holder_index == holder_index)
        .order_by(u.c.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(u.c.id < before)
    return [row._mapping for row in conn.execute(query)]
