"""An endpoint's breaker and health after calls: those of deliveries, and those that somebody waits for (evidence).

Both are told here, in the transaction that commits what came of the call, so that all nodes and all rooms see one picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import Connection

from adapters.contract import AdapterError, PeerMisconfigured, PeerRefused, RetryLater
from hub import tables as t
from hub.db import AuditEntry, Tx
from hub.deliveries.breaker import Breaker, BreakerPolicy, Effect, Health, Sign, after
from hub.deliveries.retry import retry_after
from hub.prepared import in_list, listed

OK_EVERY: Final = timedelta(seconds=10)  # a healthy endpoint's row is not rewritten at every answer
log = structlog.get_logger(__name__)
e = t.endpoints
_HEALTH = [e.c[name] for name in Health.__dataclass_fields__]
_OF = sa.select(e.c.id, *_HEALTH).order_by(e.c.id)
_HEALTHS = in_list(lambda ids: _OF.where(e.c.id.in_(ids)))
_HEALTHS_LOCKED = in_list(lambda ids: _OF.where(e.c.id.in_(ids)).with_for_update(key_share=True))


def sign_of(error: AdapterError) -> Sign:
    """What a call that ended in ``error`` says of its endpoint."""
    match error:
        case PeerRefused(code=code):
            return Sign(Effect.WELL, code)
        case PeerMisconfigured(code=code):
            return Sign(Effect.MISCONFIGURED, code)
        case RetryLater(code=code, retry_after_s=seconds) if seconds is not None and seconds > 0:
            return Sign(Effect.WAIT, code, retry_after(seconds))
    return Sign(Effect.FAILED, error.code)


def note(tx: Tx, signs: Mapping[str, Sequence[Sign]], policy: BreakerPolicy, node: str) -> None:
    """``signs`` by endpoint. One update for each endpoint whose health changes, none for those that stay well."""
    told = {id_: [sign for sign in all_ if sign.effect is not Effect.NONE] for id_, all_ in signs.items()}
    asked = [id_ for id_, all_ in told.items() if all_]
    changing = [id_ for id_, before in _healths(tx.conn, asked).items() if _is_news(before, told[id_], tx)]
    for id_, before in _healths(tx.conn, changing, lock=True).items():
        health = before
        for sign in told[id_]:
            health = after(health, sign, policy, tx.now)
        values = {name: getattr(health, name) for name in Health.__dataclass_fields__}
        tx.conn.execute(sa.update(e).where(e.c.id == id_).values({**values, "breaker": health.breaker.value}))
        _tell(tx, id_, before, health, node)


def _tell(tx: Tx, endpoint_id: str, before: Health, health: Health, node: str) -> None:
    """An outage is logged once, and the recovery once."""
    detail = {"code": health.last_error or ""}
    if before.paused_at is None and health.paused_at is not None:
        tx.audit.append(AuditEntry(f"node:{node}", "endpoint.pause", endpoint_id, "misconfigured", detail))
        _log_after(tx, "endpoint paused: somebody must mend it", endpoint_id, health.last_error)
    if before.ill_since is None and health.ill_since is not None and health.paused_at is None:
        _log_after(tx, "endpoint does not answer", endpoint_id, health.last_error)
    if before.breaker is Breaker.CLOSED and health.breaker is Breaker.OPEN:
        tx.audit.append(AuditEntry(f"node:{node}", "endpoint.breaker", endpoint_id, "open", detail))
        _log_after(tx, "endpoint's breaker is open", endpoint_id, health.last_error)
    if before.breaker is not Breaker.CLOSED and health.breaker is Breaker.CLOSED:
        tx.audit.append(AuditEntry(f"node:{node}", "endpoint.breaker", endpoint_id, "closed"))
    if before.ill_since is not None and health.ill_since is None:
        _log_after(tx, "endpoint answers again", endpoint_id, None)


def _healths(conn: Connection, ids: Iterable[str], *, lock: bool = False) -> dict[str, Health]:
    wanted = sorted(ids)
    if not wanted:
        return {}
    found = {}
    for id_, *values in (_HEALTHS_LOCKED if lock else _HEALTHS)(len(wanted)).rows(conn, **listed(wanted)):
        health = Health(*values)
        found[id_] = replace(health, breaker=Breaker(health.breaker))
    return found


def _is_news(health: Health, signs: Sequence[Sign], tx: Tx) -> bool:
    if any(sign.effect is not Effect.WELL for sign in signs):
        return True
    is_well = health.breaker is Breaker.CLOSED and health.failures == 0 and health.ill_since is None
    return not is_well or health.last_ok_at is None or tx.now - health.last_ok_at >= OK_EVERY


def _log_after(tx: Tx, text: str, endpoint_id: str, code: str | None) -> None:
    tx.after_commit.append(lambda: log.warning(text, endpoint=endpoint_id, code=code))
