"""The delivery path, killed with -9 at each write boundary, against a real registry that does not recognise a repeated key.

Afterwards: all that was acknowledged is there and delivered, the registry saw one business effect for each key, what follows from
an outcome happened once, and the audit log is whole.
"""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from adapters.simulator_process import SimulatorProcess
from hub import tables as t
from hub.audit.chain import AuditChain, verify_chain
from hub.db import Database
from tests.conftest import AUDIT_KEY
from tests.delivering import VAULT, add_endpoints
from tests.integration import killing

CHILD = "tests.integration.delivery_child"
BOUNDARIES = 6  # commits of one life: enqueue, claim and outcome, in the order in which they happen to fall


def run_child(url: str, prefix: str, count: int, kill: dict[str, str]) -> tuple[set[str], bool]:
    """(keys that were acknowledged, whether it was killed)."""
    process = killing.start(CHILD, [url, prefix, str(count)], environment=kill)
    printed = process.communicate(timeout=60)
    assert killing.was_killed(process) or process.returncode == 0
    return {line.removeprefix("ack ") for line in printed.splitlines() if line.startswith("ack ")}, killing.was_killed(
        process
    )


@pytest.mark.timeout(300)
def test_killed_at_every_write_boundary(database_url: str) -> None:
    db = Database(database_url, chain_audit=AuditChain(AUDIT_KEY).append)
    arguments = ["--token", "secret", "--region", "370102"]
    with SimulatorProcess("adapters.county_rest.simulator", arguments) as county:
        for name in ("county-a", "county-b"):  # add_endpoints numbers them: ENDPOINTS
            sealed = VAULT.seal(json.dumps({"access_token": "secret"}).encode(), f"endpoints:{name}0")
            add_endpoints(db, 1, prefix=name, adapter="county_rest", base_url=county.url, timeout_s=1, max_concurrency=2,
                          secrets_sealed=sealed)  # fmt: skip
        acknowledged: set[str] = set()
        kills = 0
        for number in range(1, BOUNDARIES + 1):
            for when in ("before", "after"):
                acked, killed = run_child(
                    database_url, f"{when}{number}", 12, killing.killed_at("before" if when == "before" else "after", number)
                )  # fmt: skip
                acknowledged |= acked
                kills += killed
        acked, killed = run_child(database_url, "last", 3, {})
        acknowledged |= acked
        effects = county.effects()
    assert not killed
    assert kills == 2 * BOUNDARIES
    with db.read() as conn:
        rows = {row.idempotency_key: row for row in conn.execute(sa.select(t.deliveries))}
        events = conn.execute(sa.select(sa.func.count()).select_from(t.events)).scalar_one()
        report = verify_chain(conn, AUDIT_KEY)
        doubtful = conn.execute(
            sa.select(sa.func.count()).where(t.attempts.c.outcome == "lease-lost")
        ).scalar_one()  # fmt: skip
    db.close()
    assert acknowledged <= rows.keys()  # nothing acknowledged is lost
    assert {row.state for row in rows.values()} == {"delivered"}
    assert effects.keys() == rows.keys()  # nothing was sent that was not committed first
    assert set(effects.values()) == {1}  # and nothing twice
    assert events == len(rows)
    assert report.faults == ()
    assert doubtful > 0, "no kill fell between sending and recording: the test did not test that"
