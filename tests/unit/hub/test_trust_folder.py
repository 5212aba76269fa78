"""The trust folder of a running hub: what changed is seen by every thread at once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from certs.errors import BadConfiguration
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


@pytest.mark.parametrize("fault", [OSError(24, "Too many open files"), BadConfiguration("不可用", "unusable")])
def test_what_could_not_be_read_once_is_read_again_though_nothing_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """Else an anchor that was removed stays trusted until somebody touches the folder again."""
    folder = TrustFolder.of(Settings(state_dir=tmp_path))
    monkeypatch.setattr(trust, "LOOK_EVERY_S", 0.0)
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "note").touch()
    before, new, faults = folder._store, TrustStore(), [fault]

    def load(_: Path) -> TrustStore:
        if faults:
            raise faults.pop()
        return new

    monkeypatch.setattr(TrustStore, "load", load)
    assert folder.store() is before
    assert folder.store() is new


def test_a_file_that_vanishes_while_the_folder_is_looked_at_stops_no_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that is written beside its place and renamed."""
    folder = TrustFolder.of(Settings(state_dir=tmp_path))
    monkeypatch.setattr(trust, "LOOK_EVERY_S", 0.0)
    (tmp_path / "issuers").mkdir()
    (tmp_path / "issuers" / ".new").symlink_to(tmp_path / "gone")
    assert folder.store() is folder.store()
    assert folder.fetchers().certs == ()
