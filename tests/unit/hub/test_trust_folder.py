"""The trust folder of a running hub: what changed is seen by every thread at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from certs.trust import TrustStore
from hub.config import Settings
from hub.ecerts import trust
from hub.ecerts.trust import TrustFolder


def test_no_thread_judges_by_the_old_store_while_another_reads_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pieces of evidence of one case are verified side by side: the first after a change must not be judged by two stores."""
    folder = TrustFolder.of(Settings(state_dir=tmp_path))
    monkeypatch.setattr(trust, "LOOK_EVERY_S", 0.2)
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "note").touch()
    new, reading, go_on = TrustStore(), threading.Event(), threading.Event()

    def load(_: Path) -> TrustStore:
        reading.set()
        assert go_on.wait(5)
        return new

    monkeypatch.setattr(TrustStore, "load", load)
    seen: list[TrustStore] = []
    threads = [threading.Thread(target=lambda: seen.append(folder.store())) for _ in range(2)]
    threading.Event().wait(0.25)
    threads[0].start()
    assert reading.wait(5)
    threads[1].start()
    threads[1].join(0.1)
    go_on.set()
    for thread in threads:
        thread.join()
    assert [one is new for one in seen] == [True, True]
