"""What revocation notices say of a certificate that was verified: its seal holds as well after the issuer took it back.

Its source is not asked: a report in which nothing is said of a notice says that as a note, and its verdict stays what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from certs.ofd.metadata import read_ecert_fields
from certs.ofd.package import OfdPackage
from certs.report import Axis, Finding, Indication, Note, Report, SubIndication
from hub.db import Database
from hub.ecerts.revocations import store
from hub.ecerts.revocations.index import identifier_index
from hub.logs import mask
from hub.vault import Vault
from hub.working_days import SHANGHAI
from schemas.revocations import RevocationReason

Notices = Callable[[str], store.NoticeRow | None]  # by a certificate's identifier
_CLAUSE: Final = "docs/protocol/revocations.md"
_NOT_ASKED: Final = Note(
    "status-not-asked",
    "未向证照库查询该证照的现行状态; 枢纽未收到(或已不再保存)其吊销、注销通知",
    "the library was not asked whether this certificate still holds; the hub has no notice (or none any more) that takes it back",
)


def notices_of(db: Database, vault: Vault) -> Notices:
    """The hub's own notices."""

    def find(identifier: str) -> store.NoticeRow | None:
        with db.read() as conn:
            return store.notice_of(conn, identifier_index(vault, identifier))

    return find


def with_status(report: Report, package: OfdPackage | None, notices: Notices, at: datetime) -> Report:
    """The report, with what notices say of the certificate. Its identifier counts only where a signature that holds covers it."""
    if package is None or report.indication is Indication.FAILED:
        return report  # of what is to be refused anyhow, nothing that stands inside is to be believed
    if report.axis(Axis.SIGNATURE) is not Indication.PASSED or report.axis(Axis.CONTENT) is not Indication.PASSED:
        return report
    identifier = read_ecert_fields(package).get("identifier")
    if identifier is None:
        return report
    notice = notices(identifier)
    if notice is None:
        return replace(report, notes=(*report.notes, _NOT_ASKED))
    since = notice.revoked_at.astimezone(SHANGHAI).date().isoformat()
    data = {
        "notice": notice.id,
        "revoked_at": notice.revoked_at.isoformat(),
        "reason": notice.reason,
        "source": mask(notice.source),
    }
    zh = f"证照自 {since} 起无效: 吊销、注销通知 {notice.id}, 依据: {data['source']}"
    en = f"the certificate holds no longer since {since}: notice {notice.id}, source: {data['source']}"
    if notice.revoked_at > at and notice.reason != RevocationReason.ANNULLED:  # what is annulled never held
        return replace(report, notes=(*report.notes, Note("revoked-later", zh, en, data)))
    finding = Finding(Axis.STATUS, Indication.FAILED, SubIndication.REVOKED, _CLAUSE, zh, en, data)
    return replace(report, findings=(*report.findings, finding))
