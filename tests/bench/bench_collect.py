"""``python -m tests.bench.bench_collect [ROWS]``: one batch through checking, delivery to the local simulator, and reconciliation.

SQLite, one process; prints progress, seconds, and the resident memory of this process (which also drives the deliveries).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import psutil

from hub.audit.chain import AuditChain
from hub.db import Database
from hub.ecerts.collect.model import BatchState
from hub.migrate import upgrade
from tests.conftest import AUDIT_KEY
from tests.integration import collect_world
from tests.integration.collect_world import World, caller, table, values

MIB = 2**20


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    me = psutil.Process()
    with tempfile.TemporaryDirectory() as name, collect_world.start_library(Path(name)) as library:
        folder = Path(name)
        collect_world.trust_anchors(folder)
        url = f"sqlite:///{folder / 'hub.sqlite'}"
        upgrade(url)
        db = Database(url, chain_audit=AuditChain(AUDIT_KEY).append)
        db.write(lambda tx: collect_world.register(tx, folder, library.url))
        world = World(db, folder)
        batch_id = world.take(table([values(index) for index in range(rows)]))
        began, told = time.monotonic(), 0.0
        base = peak = me.memory_info().rss
        with world.worker():
            while (view := world.collections.view(caller(), batch_id)).state is not BatchState.DONE:
                peak = max(peak, me.memory_info().rss)
                if time.monotonic() - began >= told:
                    told += 15
                    print(
                        f"{time.monotonic() - began:6.1f} s  read {view.rows}  delivered {view.delivered}", flush=True
                    )
                time.sleep(0.3)
        took = time.monotonic() - began
        print(
            f"{rows} rows: {took:.1f} s, {rows / took:.0f}/s; memory {base / MIB:.0f} MiB before, {peak / MIB:.0f} MiB at most"
        )
        began = time.monotonic()
        (found,) = world.reconciler().run(actor="bench")
        print(
            f"reconciled {found.ours}/{found.theirs}, {len(found.differences)} differ: {time.monotonic() - began:.1f} s"
        )
        db.close()


if __name__ == "__main__":
    main()
