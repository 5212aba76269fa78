"""The trust store on disk and as a value."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.errors import BadConfiguration
from certs.issuing.authority import Identity, new_root
from certs.trust import INDEX, Anchor, TrustStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def root(name: str = "root", *, days: int = 3650) -> Identity:
    return new_root(name, not_before=NOW - timedelta(days=10), not_after=NOW + timedelta(days=days))


def anchor(one: Identity, *purposes: str, expires_at: datetime | None = None) -> Anchor:
    return Anchor(one.cert, frozenset(purposes or ("seal",)), NOW, expires_at, "省级根")


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    store = TrustStore().with_anchor(anchor(root(), "seal", "message", expires_at=NOW + timedelta(days=9)))
    store.save(tmp_path)
    assert TrustStore.load(tmp_path) == store
    fingerprint = store.anchors[0].fingerprint
    store.without(fingerprint[:8]).save(tmp_path)
    assert TrustStore.load(tmp_path) == TrustStore()
    assert [p.name for p in tmp_path.iterdir()] == [INDEX]


def test_an_empty_folder_is_an_empty_store(tmp_path: Path) -> None:
    assert TrustStore.load(tmp_path) == TrustStore()


def test_an_exchanged_certificate_makes_the_store_unusable(tmp_path: Path) -> None:
    TrustStore().with_anchor(anchor(root())).save(tmp_path)
    file = next(tmp_path.glob("*.der"))
    file.write_bytes(root().cert.der)
    with pytest.raises(BadConfiguration, match="SHA-256 differs"):
        TrustStore.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"purposes": ["everything"]}, "unknown purpose"),
        ({"purposes": ["ocsp"]}, "unknown purpose"),
        ({"purposes": []}, "purposes"),
        ({"file": "../other.der"}, "file"),
        ({"file": "absent.der"}, "cannot be read"),
        ({"added_at": "2026-01-01T00:00:00"}, "added_at"),
        ({"sha256": "00"}, "sha256"),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_index_says_where(tmp_path: Path, change: dict[str, object], words: str) -> None:
    TrustStore().with_anchor(anchor(root())).save(tmp_path)
    index = json.loads((tmp_path / INDEX).read_text())
    index["anchors"][0].update(change)
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(BadConfiguration, match=words):
        TrustStore.load(tmp_path)


def test_junk_is_bad_configuration(tmp_path: Path) -> None:
    TrustStore().with_anchor(anchor(root())).save(tmp_path)
    next(tmp_path.glob("*.der")).write_bytes(b"junk")
    with pytest.raises(BadConfiguration, match="not a certificate"):
        TrustStore.load(tmp_path)
    (tmp_path / INDEX).write_bytes(b"\xff{")
    with pytest.raises(BadConfiguration, match=INDEX):
        TrustStore.load(tmp_path)


def test_purposes_and_ends_of_trust_bind() -> None:
    end = NOW + timedelta(days=1)
    store = TrustStore().with_anchor(anchor(root(), "seal", expires_at=end))
    assert len(store.for_purpose("seal", end)) == 1
    assert store.for_purpose("seal", end + timedelta(seconds=1)) == ()
    assert store.for_purpose("tls", NOW) == ()
    with pytest.raises(BadConfiguration):
        store.with_anchor(anchor(root(), "crl"))


def test_adding_twice_replaces_and_removing_needs_one_match() -> None:
    one = root()
    store = TrustStore().with_anchor(anchor(one, "seal")).with_anchor(anchor(one, "tls"))
    assert [a.purposes for a in store.anchors] == [frozenset({"tls"})]
    for prefix in ("", one.cert.fingerprint[:7], "0" * 64):
        with pytest.raises(BadConfiguration):
            store.without(prefix)
    assert store.without(one.cert.fingerprint.upper()).anchors == ()


def test_check_tells_each_problem(tmp_path: Path) -> None:
    soon, later = root("soon", days=30), root("later")
    again = later.issue("x", ca=True)
    twin = Identity(
        later.key, new_root("later", not_before=NOW, not_after=NOW + timedelta(days=99), key=later.key).cert
    )
    store = TrustStore()
    for one in (soon, later, twin, again):
        store = store.with_anchor(anchor(one))
    store.save(tmp_path)
    (tmp_path / "stray.pem").write_bytes(b"-----BEGIN")
    loaded = TrustStore.load(tmp_path)
    assert {(p.kind, p.fingerprint) for p in loaded.check(NOW)} == {
        ("expiring", soon.cert.fingerprint),
        ("duplicate", twin.cert.fingerprint),
        ("stray", ""),
    }
    kinds = {p.kind for p in loaded.check(NOW + timedelta(days=31)) if p.fingerprint == soon.cert.fingerprint}
    assert kinds == {"expired"}
    assert "not-yet-valid" in {p.kind for p in loaded.check(NOW - timedelta(days=11))}
    ended = TrustStore().with_anchor(anchor(later, expires_at=NOW))
    assert {p.kind for p in ended.check(NOW + timedelta(seconds=1))} == {"trust-ended"}
