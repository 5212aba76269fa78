"""The widest rows that the console's lists may have: every column has a value, ids and names are as long as they come."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from hub import tables as t
from hub.db import Tx
from hub.demo.stage import Stage
from hub.ids import new_id
from hub.opening import open_database, open_vault

SYSTEM, LIBRARY, ITEM = "huangdao", "ecert-library", "11370871MB0370871U4370105003001"


def fill(stage: Stage) -> None:
    """One row more of each."""
    db = open_database(stage.settings, open_vault(stage.settings))
    db.write(_write)
    db.close()


def _write(tx: Tx) -> None:
    at, kept = tx.now, tx.now + timedelta(days=1)
    asked = {"system_id": SYSTEM, "message_id": new_id("widest-message")}
    held = {"holder_index": "i", "scope": "{}", "holder_sealed": b"x", "use_s": 60, "use_until": at, "revoked_at": at,
            "expires_at": at, "purge_at": kept}  # fmt: skip
    rows: dict[sa.Table, dict[str, object]] = {
        t.evidence_requests: {
            **asked, "id": new_id("evd"), "digest": "d", "subject_index": "i", "item_code": ITEM, "region": "370211",
            "case_reference": "c", "purpose": "teacher-qualification", "state": "answered", "asked_at": at, "answered_at": at,
            "owned_until": at, "owner": "o", "purge_at": kept, "grounds": "{}"},
        t.collect_batches: {
            **asked, "id": new_id("col"), "digest": "d", "region": "370211", "endpoint_id": LIBRARY, "form": "repair", "node": "n",
            "state": "unreadable", "reason": "zip-needs-one-table", "rows_read": 200_000, "next_row": 1, "percent": 100,
            "received_at": at, "finished_at": at},
        t.presentations: {
            **asked, **held, "id": new_id("pres"), "message_hash": "h", "code_hash": new_id("h"), "kind": "authorization-code",
            "endpoint_id": LIBRARY, "case_reference": "c", "state": "denied", "reason": "denied-by-holder", "begun_at": at,
            "owner": "o", "owned_until": at, "used_at": at},
        t.authorizations: {
            **held, "id": new_id("auth"), "locator_hash": new_id("h"), "code_hash": "h", "issued_by": SYSTEM, "issued_at": at,
            "attempts": 5, "redeemed_at": at, "redeemed_by": SYSTEM},
        t.consents: {
            "id": new_id("cons"), "registered_by": SYSTEM, "holder_index": "i", "scope": "{}", "reference": new_id("r"),
            "given_at": at, "ends_at": kept, "revoked_at": at},
    }  # fmt: skip
    for table, values in rows.items():
        tx.conn.execute(sa.insert(table).values(values))
