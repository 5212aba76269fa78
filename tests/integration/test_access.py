"""Callers, rights, keys and nonces, on both databases and over two nodes."""

from __future__ import annotations

import secrets
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from certs.keys import PrivateKey, SignatureAlgorithm
from hub import tables as t
from hub.access import registration, replay
from hub.access.callers import Caller, CallerDirectory, KeyKind, Method, Nonce, Service
from hub.access.key_files import KeyFileError, read_key_file
from hub.access.registration import RegistrationError
from hub.db import Database, Tx
from schemas.problems import ACCESS_DENIED, HubProblem


def http_key() -> bytes:
    return PrivateKey.generate(SignatureAlgorithm.ED25519).public_key.spki


def nonces(db: Database, *digests: str, minutes: int = 5) -> list[bool]:
    expires = db.clock() + timedelta(minutes=minutes)
    return db.write(lambda tx: replay.used(tx, [(Nonce(digest, expires),) for digest in digests]))


def test_a_nonce_is_good_once(database: Database) -> None:
    assert nonces(database, "a" * 64, "b" * 64) == [False, False]
    assert nonces(database, "b" * 64, "c" * 64) == [True, False]
    assert nonces(database, "d" * 64, "d" * 64) == [False, True]  # twice in one commit: one of them


def test_a_message_with_two_signatures_is_a_replay_if_either_is(database: Database) -> None:
    expires = database.clock() + timedelta(minutes=5)
    assert nonces(database, "a" * 64) == [False]
    pair = (Nonce("a" * 64, expires), Nonce("x" * 64, expires))
    assert database.write(lambda tx: replay.used(tx, [pair, (), (Nonce("y" * 64, expires),)])) == [True, False, False]


def test_a_nonce_of_a_message_that_was_not_committed_is_free(database: Database) -> None:
    def fail(tx: Tx) -> None:
        replay.used(tx, [(Nonce("f" * 64, tx.now + timedelta(minutes=5)),)])
        raise ValueError

    with pytest.raises(ValueError):
        database.write(fail)
    assert nonces(database, "f" * 64) == [False]


def test_old_nonces_are_forgotten_and_fresh_ones_kept(database: Database) -> None:
    nonces(database, "a" * 64, minutes=-1)
    nonces(database, "b" * 64)
    database.write(lambda tx: replay.purge(tx, [None]))
    with database.read() as conn:
        assert conn.execute(sa.select(t.nonces.c.digest)).scalars().all() == ["b" * 64]


def test_of_two_nodes_one_takes_the_message(database_url: str) -> None:
    nodes = [Database(database_url) for _ in range(2)]
    digests = [secrets.token_hex(32) for _ in range(40)]
    answers: list[list[bool]] = [[], []]

    def send(node: int) -> None:
        order = digests if node == 0 else digests[::-1]
        futures = [
            nodes[node].submit(replay.used, (Nonce(digest, nodes[node].clock() + timedelta(minutes=5)),))
            for digest in order
        ]
        found = dict(zip(order, [future.result(timeout=30) for future in futures], strict=True))
        answers[node] = [found[digest] for digest in digests]

    threads = [threading.Thread(target=send, args=(node,)) for node in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for node in nodes:
        node.close()
    assert [sorted(pair) for pair in zip(*answers, strict=True)] == [[False, True]] * len(digests)


@pytest.mark.parametrize(("granted", "asked", "allowed"), [
    ("370000", "370202", True), ("370200", "370202", True), ("370202", "370202", True), ("370200", "370200", True),
    ("370202", "370200", False), ("370100", "370202", False), ("370202", "370203", False),
    ("370000", "110101", False), ("110101", "110101", False), ("370000", "", False), ("370000", "3702", False),
])  # fmt: skip
def test_a_right_covers_its_region_and_those_below(granted: str, asked: str, allowed: bool) -> None:
    caller = Caller("s", "k", Method.TLS, frozenset({("transfer.submit", granted)}))
    assert caller.may(Service.TRANSFER_SUBMIT, asked) is allowed
    assert caller.may(Service.TRANSFER_QUERY, asked) is False
    if not allowed:
        with pytest.raises(HubProblem) as caught:
            caller.require(Service.TRANSFER_SUBMIT, asked)
        assert caught.value.kind is ACCESS_DENIED


def test_nothing_is_allowed_that_was_not_granted() -> None:
    caller = Caller("s", "k", Method.TLS)
    assert not any(caller.may(service, "370202") for service in Service)
    with pytest.raises(HubProblem):
        caller.require_somewhere(Service.TRANSFER_QUERY)


def test_a_change_is_seen_by_another_process_after_the_time_kept(database: Database) -> None:
    directory = CallerDirectory(database, keep_s=0.0)
    material = read_key_file(KeyKind.HTTP, http_key())
    database.write(lambda tx: registration.add_system(tx, "test", "qd", "青岛"))
    assert directory.key(KeyKind.HTTP, "k1") is None
    database.write(lambda tx: registration.add_key(tx, "test", "qd", material, key_id="k1"))
    key = directory.key(KeyKind.HTTP, "k1")
    assert key is not None
    assert directory.caller(key, Method.HTTP_SIGNATURE).rights == frozenset()
    database.write(lambda tx: registration.grant(tx, "test", "qd", ["evidence"], "370200"))
    assert directory.caller(key, Method.HTTP_SIGNATURE).rights == {("evidence", "370200")}
    database.write(lambda tx: registration.set_system_enabled(tx, "test", "qd", False))
    assert directory.key(KeyKind.HTTP, "k1") is None


def test_rotation_leaves_both_keys_good_for_a_while(database: Database) -> None:
    directory = CallerDirectory(database, keep_s=0.0)
    old, new = (read_key_file(KeyKind.HTTP, http_key()) for _ in range(2))
    database.write(lambda tx: registration.add_system(tx, "test", "qd", "青岛"))
    database.write(lambda tx: registration.add_key(tx, "test", "qd", old, key_id="old"))
    database.write(
        lambda tx: registration.rotate_key(tx, "test", "qd", "old", new, key_id="new", overlap=timedelta(days=3))
    )
    now = database.clock()
    key = directory.key(KeyKind.HTTP, "old")
    assert key is not None
    key.require_current(now + timedelta(days=2))
    with pytest.raises(HubProblem, match="key-expired"):
        key.require_current(now + timedelta(days=4))
    newer = directory.key(KeyKind.HTTP, "new")
    assert newer is not None
    newer.require_current(now + timedelta(days=400))


def test_a_key_cannot_be_two_systems(database: Database) -> None:
    material = read_key_file(KeyKind.HTTP, http_key())
    for system in ("a", "b"):
        database.write(lambda tx, system=system: registration.add_system(tx, "test", system, system))
    database.write(lambda tx: registration.add_key(tx, "test", "a", material))
    with pytest.raises(RegistrationError, match="belongs to a"):
        database.write(lambda tx: registration.add_key(tx, "test", "b", material))


@pytest.mark.parametrize("data", [
    b"", b"nothing", b"-----BEGIN PUBLIC KEY-----\n!!!\n-----END PUBLIC KEY-----",
    b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", b"\x30\x82\xff\xff", secrets.token_bytes(300),
])  # fmt: skip
@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_file_that_is_no_key_is_told_as_such(kind: KeyKind, data: bytes) -> None:
    with pytest.raises(KeyFileError):
        read_key_file(kind, data)
