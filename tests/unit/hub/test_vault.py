"""The key ring as text and as a file, and the vault over it: what one key sealed opens while another seals."""

from __future__ import annotations

import base64
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.keyring import KeyFile, KeyRing, VaultError, key_id
from hub.vault import HEADER_BYTES, CipherName, Vault

A, B, C = bytes(32), b"\x01" * 32, b"\x02" * 32


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def test_one_bare_key_is_a_ring() -> None:
    ring = KeyRing.parse(f"{text(A)}\n")
    assert (ring.keys, ring.current, ring.root, ring.prepared) == ((A,), key_id(A), key_id(A), [])
    assert ring.to_text() == f"{text(A)}\n"


def test_the_word_current_marks_the_key_that_seals() -> None:
    ring = KeyRing.parse(f"{text(A)} {text(B)} current {text(C)}")
    assert (ring.current, ring.prepared, ring.root) == (key_id(B), [key_id(C)], key_id(A))


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=5, unique_by=key_id), st.data())
def test_a_ring_is_what_its_text_says(keys: list[bytes], data: st.DataObject) -> None:
    ring = KeyRing(tuple(keys), key_id(data.draw(st.sampled_from(keys))))
    assert KeyRing.parse(ring.to_text()) == ring
    assert KeyRing.parse(" ".join(ring.to_text().split())) == ring


@pytest.mark.parametrize(
    "wrong",
    ["", "current", "not base64!", "c2hvcnQ=", f"{text(A)} {text(A)}", f"current {text(A)}", "钥匙",
     f"{text(A)} current {text(B)} current"],
)  # fmt: skip
def test_what_is_no_ring_is_refused(wrong: str) -> None:
    with pytest.raises(VaultError):
        KeyRing.parse(wrong)


def test_only_an_old_key_is_forgotten() -> None:
    ring = KeyRing((A, B, C), key_id(C))
    assert ring.without(key_id(B)).keys == (A, C)
    for kept in (key_id(A), key_id(C), "00000000"):
        with pytest.raises(VaultError):
            ring.without(kept)


@pytest.mark.parametrize("cipher", ["aes-256-gcm", "sm4-gcm"])
def test_what_an_old_key_sealed_opens_and_the_current_one_seals(cipher: CipherName) -> None:
    before, after = Vault(A, cipher=cipher), Vault(KeyRing((A, B), key_id(B)), cipher=cipher)
    old, new = before.seal(b"old", "row:1"), after.seal(b"new", "row:1")
    assert (after.open(old, "row:1"), after.open(new, "row:1")) == (b"old", b"new")
    assert new[1:HEADER_BYTES].hex() == key_id(B)
    assert new[:HEADER_BYTES] == after.header
    with pytest.raises(VaultError):
        before.open(new, "row:1")
    with pytest.raises(VaultError):
        after.open(new[:1] + old[1:HEADER_BYTES] + new[HEADER_BYTES:], "row:1")  # the key is authenticated too
    with pytest.raises(VaultError):
        after.open(old, "row:2")


def test_indexes_audit_and_sessions_do_not_change_by_a_rotation() -> None:
    before, after = Vault(A), Vault(KeyRing((A, B), key_id(B)))
    assert before.index("value") == after.index("value") != Vault(B).index("value")
    assert (before.audit_key, before.session_key) == (after.audit_key, after.session_key)


@pytest.mark.parametrize("length", range(HEADER_BYTES + 12 + 17))
def test_a_value_that_was_cut_short_is_refused(length: int) -> None:
    vault = Vault(A)
    with pytest.raises(VaultError):
        vault.open(vault.seal(b"x", "row")[:length], "row")


class TestFile:
    def test_it_is_made_for_the_owner_alone(self, tmp_path: Path) -> None:
        file = KeyFile(tmp_path / "state" / "vault.key")
        assert file.read() == KeyFile(file.path).read()
        assert stat.S_IMODE(os.stat(file.path).st_mode) == 0o600

    def test_a_running_process_opens_what_a_newer_key_sealed(self, tmp_path: Path) -> None:
        path = tmp_path / "vault.key"
        running = Vault.load(KeyFile(path))
        ring = KeyFile(path).change(lambda old: old.with_new().using_newest())
        sealed = Vault.load(KeyFile(path)).seal(b"new", "row")
        assert running.open(sealed, "row") == b"new"
        assert running.ring == ring

    def test_a_running_process_seals_under_the_new_key_before_long(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "vault.key"
        running = Vault.load(KeyFile(path))
        ring = KeyFile(path).change(lambda old: old.with_new().using_newest())
        monkeypatch.setattr("hub.vault._LOOK_EVERY_S", 0.0)
        assert running.seal(b"x", "row")[1:HEADER_BYTES].hex() == ring.current

    def test_a_file_of_another_vault_is_not_taken(self, tmp_path: Path) -> None:
        path = tmp_path / "vault.key"
        running = Vault.load(KeyFile(path))
        before = running.ring
        path.write_text(text(C))
        with pytest.raises(VaultError):
            running.open(Vault(C).seal(b"x", "row"), "row")
        assert running.ring == before

    @pytest.mark.parametrize("content", ["", "half of a k", "\xff"])
    def test_a_damaged_file_does_not_stop_a_running_process(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "vault.key"
        running = Vault.load(KeyFile(path))
        sealed = running.seal(b"x", "row")
        path.write_text(content, encoding="latin-1")
        with pytest.raises(VaultError):
            running.open(Vault(C).seal(b"x", "row"), "row")
        assert running.open(sealed, "row") == b"x"
        with pytest.raises(VaultError):
            Vault.load(KeyFile(path))

    def test_of_many_changes_at_once_none_is_lost(self, tmp_path: Path) -> None:
        path = tmp_path / "vault.key"
        workers = [threading.Thread(target=KeyFile(path).change, args=(KeyRing.with_new,)) for _ in range(8)]
        KeyFile(path).read()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(KeyFile(path).read().keys) == 9
        assert [one.name for one in sorted(tmp_path.iterdir())] == ["vault.key", "vault.lock"]
