"""How a holder was identified: by a login that the hub verified, or by the word of a system that may vouch for its users.

Who vouches is data: the right ``authorization.vouch`` of (system, region). Without it and without a login nothing is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hub.access.callers import Caller, Service
from hub.db import Tx
from hub.ecerts.logins import store
from hub.ecerts.logins.model import refused
from schemas.problems import LOGIN_REQUIRED, FieldFault, HubProblem

_WHERE: Final = FieldFault(
    "/login", "缺少持有人的登录", "the holder's login is missing",
    cure_zh="用 POST /v1/logins 取 nonce, 请本人登录后交回断言",
    cure_en="get a nonce by POST /v1/logins, have the holder log in, and hand in the assertion",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class VerifiedLogin:
    """A login whose assertion held. ``person`` is whom it was compared with; it is used by :func:`take`, once."""

    login_id: str
    level: str  # of assurance, as the identity service names it
    person: str = field(repr=False)  # type and number, as hub.ecerts.authorizations.model.Holder.index_text


@dataclass(frozen=True, slots=True)
class Identified:
    """For the row, the audit log, and what a counter is told. ``login`` is None where the caller vouches."""

    login: VerifiedLogin | None

    @property
    def columns(self) -> dict[str, str | None]:
        one = self.login
        return {"login_id": one.login_id if one else None, "assurance": one.level if one else None}

    @property
    def detail(self) -> dict[str, str]:
        one = self.login
        return {"identified": "vouched"} if one is None else {"identified": one.login_id, "level": one.level}


def identified(caller: Caller, person: str, login: VerifiedLogin | None, region: str | None) -> Identified:
    """HubProblem(LOGIN_REQUIRED) where there is no login and the caller may not vouch in ``region`` (None: anywhere)."""
    if login is not None:
        if login.person != person:
            raise RuntimeError("a login was verified for another holder than the one that is served")
        return Identified(login)
    vouches = (
        caller.may_somewhere(Service.AUTHORIZATION_VOUCH)
        if region is None
        else caller.may(Service.AUTHORIZATION_VOUCH, region)
    )
    if not vouches:
        raise HubProblem(LOGIN_REQUIRED, faults=[_WHERE])
    return Identified(None)


def take(tx: Tx, one: Identified, used_for: str) -> HubProblem | None:
    """Use the login up, in the transaction of what it is used for; the problem if it was used or has run out meanwhile."""
    login = one.login
    if login is None or store.take(tx.conn, login.login_id, tx.now, used_for=used_for, level=login.level):
        return None
    row = store.login(tx.conn, login.login_id)
    if row is None:
        return refused("login-unknown")
    return refused("login-used" if row.used_at is not None else "login-expired")
