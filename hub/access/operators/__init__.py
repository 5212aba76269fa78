"""Who may use the console: three separated roles (等保三级), one-time links, passwords, sessions. No default password."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from hub.access.operators import store
from hub.access.operators.store import OperatorRow, SessionRow
from hub.access.operators.throttle import Throttle, TooManyTries
from hub.db import AuditEntry, Database, Tx
from hub.ids import new_id
from schemas.told import Told

LINK_LIFE = timedelta(hours=1)
SESSION_LIFE = timedelta(hours=8)  # whatever the operator does
IDLE_LIFE = timedelta(minutes=30)  # without a page or an act of the operator; the page's own refresh does not count
PASSWORD_LENGTH = 12
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**15, 8, 1  # 32 MiB, about 0.1 s


class Role(StrEnum):
    """MLPS 2.0 level 3: nobody holds two of these."""

    SYSTEM = "system-administrator"  # endpoints, deliveries, replay
    SECURITY = "security-administrator"  # systems, keys, rights, operators, trust
    AUDIT = "audit-administrator"  # reads the audit log, changes nothing


class OperatorError(Told):
    """What an operator asked cannot be done; the text says why."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A fresh session: the token goes into the cookie and nowhere else."""

    operator: OperatorRow
    token: str
    csrf: str


class Operators:
    """Every act is audited; a token or password is never stored in clear and never logged."""

    def __init__(self, db: Database, throttle: Throttle | None = None) -> None:
        self._db = db
        self._throttle = throttle or Throttle()
        self._hashing = threading.Semaphore(2)  # each takes 32 MiB: a flood of guesses must not take all memory

    def add(self, name: str, role: Role, *, by: str) -> str:
        """Add an operator; gives the token of a one-time link."""

        def act(tx: Tx) -> str:
            if store.find_operator(tx.conn, name) is not None:
                raise OperatorError(f"已有用户 {name}, 请换一个用户名", f"{name} exists already: choose another name")
            row = OperatorRow(new_id("opr"), name, role.value, None, tx.now, None)
            store.insert_operator(tx.conn, row)
            tx.audit.append(AuditEntry(by, "operator.add", row.id, "added", {"role": role.value}))
            return self._link(tx, row, by)

        return self._db.write(act)

    def first_links(self) -> dict[Role, str]:
        """On an empty database: one operator for each role, and the token of a one-time link for each."""
        with self._db.read() as conn:
            if store.count_operators(conn):
                return {}
        return {role: self.add(role.value, role, by="node:first-start") for role in Role}

    def link(self, name: str, *, by: str) -> str:
        """The token of another one-time link for an operator who is locked out."""

        def act(tx: Tx) -> str:
            row = store.find_operator(tx.conn, name)
            if row is None or row.disabled_at is not None:
                raise OperatorError(
                    f"没有用户 {name}, 或已停用; hub operators list 列出全部",
                    f"{name} is unknown or disabled; hub operators list shows all",
                )
            return self._link(tx, row, by)

        return self._db.write(act)

    def disable(self, name: str, *, by: str) -> None:
        """End an operator's sessions and links for good."""

        def act(tx: Tx) -> None:
            row = store.find_operator(tx.conn, name)
            if row is None:
                raise OperatorError(
                    f"没有用户 {name}; hub operators list 列出全部", f"{name} is unknown; hub operators list shows all"
                )
            store.disable(tx.conn, row.id, tx.now)
            tx.audit.append(AuditEntry(by, "operator.disable", row.id, "disabled"))

        self._db.write(act)

    def list(self) -> list[OperatorRow]:
        with self._db.read() as conn:
            return store.list_operators(conn)

    def sign_in_by_link(self, token: str) -> SignedIn | None:
        """None if the link is unknown, used, or over."""

        def act(tx: Tx) -> SignedIn | None:
            row = store.use_link(tx.conn, _hash(token), tx.now)
            if row is not None:
                tx.audit.append(AuditEntry(f"operator:{row.id}", "operator.sign-in", "link", "signed-in"))
                return self._session(tx, row)
            if self._told_of_refused_link():
                tx.audit.append(AuditEntry("operator:?", "operator.sign-in", "link", "refused"))
            return None

        return self._db.write(act)

    def _told_of_refused_link(self) -> bool:
        """Tokens cannot be guessed, so links are never throttled; but a flood of guesses must not fill the audit log."""
        try:
            self._throttle.begin("a one-time link", known=False)
        except TooManyTries as many:
            return many.first
        return True

    def sign_in_by_password(self, name: str, password: str) -> SignedIn | None:
        """None if name and password do not fit; takes as long either way. TooManyTries without looking at the password."""
        with self._db.read() as conn:
            row = store.find_operator(conn, name)
        actor = f"operator:{row.id if row else '?'}"
        try:
            self._throttle.begin(name, known=row is not None)
        except TooManyTries as many:
            if many.first:  # once, not for every guess of a flood
                entry = AuditEntry(actor, "operator.sign-in", "password", "throttled")
                self._db.write(lambda tx: tx.audit.append(entry))
            raise
        with self._hashing:
            fits = _password_fits(password, row.password_hash if row and row.password_hash else _NOBODY)
        allowed = row if row and fits and row.password_hash and row.disabled_at is None else None
        if allowed:
            self._throttle.forgive(name)

        def act(tx: Tx) -> SignedIn | None:
            outcome = "signed-in" if allowed else "refused"
            tx.audit.append(AuditEntry(actor, "operator.sign-in", "password", outcome))
            return self._session(tx, allowed) if allowed else None

        return self._db.write(act)

    def set_password(self, operator: OperatorRow, password: str, *, token: str) -> None:
        """Ends every other session and link of the operator. OperatorError if it is too short."""
        if len(password) < PASSWORD_LENGTH:
            raise OperatorError(
                f"密码至少 {PASSWORD_LENGTH} 个字符", f"a password has at least {PASSWORD_LENGTH} characters"
            )
        with self._hashing:
            hashed = _hash_password(password)

        def act(tx: Tx) -> None:
            store.set_password(tx.conn, operator.id, hashed)
            store.end_others(tx.conn, operator.id, _hash(token), tx.now)
            tx.audit.append(AuditEntry(f"operator:{operator.id}", "operator.set-password", operator.id, "set"))

        self._db.write(act)

    def session(self, token: str, *, active: bool = True) -> SessionRow | None:
        """The session, if it is neither over nor idle for too long. ``active``: the operator did something, it lives on."""
        now = self._db.clock()
        with self._db.read() as conn:
            found = store.find_session(conn, _hash(token), now)
        if found is not None and active:
            until = min(found.created_at + SESSION_LIFE, now + IDLE_LIFE)
            if until - found.expires_at > timedelta(minutes=1):
                self._db.write(lambda tx: store.extend_session(tx.conn, _hash(token), until))
        return found

    def sign_out(self, token: str) -> None:
        def act(tx: Tx) -> None:
            found = store.find_session(tx.conn, _hash(token), tx.now)
            if found is not None:
                store.delete_session(tx.conn, _hash(token))
                actor = f"operator:{found.operator.id}"
                tx.audit.append(AuditEntry(actor, "operator.sign-out", found.operator.id, "signed-out"))

        self._db.write(act)

    def _link(self, tx: Tx, row: OperatorRow, by: str) -> str:
        token = secrets.token_urlsafe(32)
        store.insert_link(tx.conn, _hash(token), row.id, tx.now + LINK_LIFE)
        tx.audit.append(AuditEntry(by, "operator.link", row.id, "made"))
        return token

    def _session(self, tx: Tx, row: OperatorRow) -> SignedIn:
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        store.insert_session(tx.conn, _hash(token), row.id, csrf, tx.now, tx.now + IDLE_LIFE)
        return SignedIn(row, token, csrf)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _hash_password(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_scrypt(password, salt).hex()}"


def _password_fits(password: str, stored: str) -> bool:
    _, salt, digest = stored.split("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)), bytes.fromhex(digest))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P, maxmem=64 << 20, dklen=32
    )


_NOBODY = f"scrypt${'00' * 16}${'00' * 32}"
