"""Emergency extension notices: a class of e-certificates that ran out is deemed valid until a published day (domain page, 1).

A notice is data with a source; every answer that rests on one names it. It is not changed but withdrawn and issued anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from datetime import date, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints, model_validator

from hub.db import AuditEntry, Database, Tx
from hub.ecerts import store
from hub.ecerts.catalogue import shanghai_day
from schemas import rules
from schemas.base import Canonical
from schemas.ecert_types import ecert_types
from schemas.fields import ShortText, Text
from schemas.regions import REGIONS
from schemas.rules import FieldError
from schemas.told import Told

KEEP_S: Final = 2.0  # a new notice is seen by every node after this long


def _known_type(key: str) -> str:
    if key not in ecert_types():
        known = ", ".join(ecert_types())
        raise FieldError(rules.NOT_IN_LIST, note=(known, known))
    return key


def _known_region(code: str) -> str:
    if code not in REGIONS:
        raise FieldError(rules.REGION_UNKNOWN)
    return code


class Notice(Canonical):
    """``id`` is the notice's own number (文号). All days are days in Asia/Shanghai, the last ones included."""

    id: Annotated[ShortText, StringConstraints(max_length=64)]
    title: ShortText
    source: Text  # where it was published
    ecert_type: Annotated[str, AfterValidator(_known_type)]
    region: Annotated[str, AfterValidator(_known_region)]  # covers the regions below it
    issued_on: date
    expired_from: date  # certificates whose last day of validity lies from here …
    expired_until: date  # … to here
    deemed_valid_until: date

    @model_validator(mode="after")
    def _days_in_order(self) -> Notice:
        if not self.expired_from <= self.expired_until:
            note = ("不早于到期范围的首日", "not before the first day of those that ran out")
            raise FieldError(rules.OUT_OF_RANGE, field="expiredUntil", note=note)
        if not max(self.expired_from, self.issued_on) <= self.deemed_valid_until:
            note = (
                "不早于公布日和到期范围的首日",
                "not before the day of issue, nor before the first day of those that ran out",
            )
            raise FieldError(rules.OUT_OF_RANGE, field="deemedValidUntil", note=note)
        return self

    def covers(self, ecert_type: str, region: str, expired_on: date, day: date) -> bool:
        """Whether a certificate of this type and region, whose last day was ``expired_on``, is deemed valid on ``day``."""
        return (
            self.ecert_type == ecert_type
            and REGIONS.covers(self.region, region)
            and self.expired_from <= expired_on <= self.expired_until
            and self.issued_on <= day <= self.deemed_valid_until
        )


class NoticeError(Told):
    """What an administrator asked for cannot be done; the text says why."""


def deemed_valid(
    notices: Iterable[Notice], ecert_type: str, region: str, expired_on: date, at: datetime
) -> Notice | None:
    """The notice that holds longest of those that cover the certificate at ``at`` (aware); None if there is none."""
    day = shanghai_day(at)
    covering = [notice for notice in notices if notice.covers(ecert_type, region, expired_on, day)]
    return max(covering, key=lambda notice: (notice.deemed_valid_until, notice.id), default=None)


class ExtensionNotices:
    """The notices in force, read from the database and kept for some seconds; shared by every thread."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._notices: tuple[Notice, ...] = ()
        self._published: dict[str, Notice] = {}

    def deemed_valid(self, ecert_type: str, region: str, expired_on: date, at: datetime) -> str | None:
        """The number of the notice by which a certificate that ran out is deemed valid, or None."""
        found = deemed_valid(self.current(), ecert_type, region, expired_on, at)
        return None if found is None else found.id

    def cover(self, ecert_type: str, region: str, at: datetime) -> bool:
        """Whether some notice may deem certificates of this type valid at ``at``, whenever they ran out."""
        day = shanghai_day(at)
        return any(
            one.ecert_type == ecert_type
            and REGIONS.covers(one.region, region)
            and one.issued_on <= day <= one.deemed_valid_until
            for one in self.current()
        )

    def published(self, ids: Collection[str]) -> list[Notice]:
        """Those with these numbers, by number; also withdrawn ones: an answer that rested on one goes on naming it."""
        if not self._published.keys() >= set(ids):  # a notice never changes, and its number is never given again
            with self._db.read() as conn:
                self._published = {row.id: Notice.model_validate_json(row.definition) for row in store.notices(conn)}
        return [self._published[id_] for id_ in sorted(set(ids))]

    def current(self) -> tuple[Notice, ...]:
        """Those that were not withdrawn, by number."""
        if time.monotonic() - self._read_at >= KEEP_S:
            with self._lock:
                if time.monotonic() - self._read_at >= KEEP_S:
                    with self._db.read() as conn:
                        rows = store.notices(conn)
                    self._notices = tuple(
                        Notice.model_validate_json(row.definition) for row in rows if row.withdrawn_at is None
                    )
                    self._read_at = time.monotonic()
        return self._notices

    def forget(self) -> None:
        """Read again at the next question."""
        self._read_at = float("-inf")


def add(tx: Tx, actor: str, notice: Notice) -> None:
    """NoticeError if the number is taken."""
    if not store.add_notice(tx.conn, notice.id, notice.model_dump_json(), tx.now, actor):
        raise NoticeError(f"已有文号为 {notice.id} 的公告", f"there is a notice {notice.id} already")
    detail = {"type": notice.ecert_type, "region": notice.region, "until": notice.deemed_valid_until.isoformat()}
    tx.audit.append(AuditEntry(actor, "notice.add", notice.id, "added", detail))


def withdraw(tx: Tx, actor: str, notice_id: str) -> None:
    """NoticeError if there is no such notice in force."""
    if not store.withdraw_notice(tx.conn, notice_id, tx.now):
        raise NoticeError(f"没有文号为 {notice_id} 的有效公告", f"no notice {notice_id} is in force")
    tx.audit.append(AuditEntry(actor, "notice.withdraw", notice_id, "withdrawn"))
