"""Batch files over a real wire, from senders that are slow, dead or recorded: none of them closes collecting on a node."""

from __future__ import annotations

import http.client
import json
import secrets
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import pytest

from hub.access.callers import Caller
from hub.ecerts.collect.model import BatchState, CollectionView, RowState
from hub.intake import assembly
from hub.intake import collect as intake
from hub.intake.cursors import Cursors
from tests.integration.intake_hub import OTHER_SYSTEM, HttpCaller, RunningHub, new_caller, running_hub

QUIET_S = 1.5
BODY = b"type,number\n" + b"x" * 100_000


@dataclass
class Taking:
    """In place of the room: it only says what it was handed."""

    folder: Path

    def nothing(self) -> None:
        """What is not asked here."""

    reports = rows = nothing

    def take_file(
        self, caller: Caller, message_id: str, region: str, form: str, file: IO[bytes], digest: str
    ) -> CollectionView:
        assert caller.nonces == ()
        counts = {state.value: 0 for state in RowState}
        return CollectionView.model_validate(
            {"id": "col_" + "0" * 26, "message_id": message_id, "state": BatchState.CHECKING, "reason": None, "rows": 0,
             "percent": 0, "received_at": datetime.now(UTC), "checked_at": None, "finished_at": None, "faults": [], **counts}
        )  # fmt: skip


@dataclass
class Place:
    hub: RunningHub
    caller: HttpCaller
    other: HttpCaller

    def begin(self, caller: HttpCaller, *, nonce: str | None = None) -> Sending:
        return Sending(self, caller, nonce or secrets.token_hex(12))


class Sending:
    """A head is sent, the body when it is told to."""

    def __init__(self, place: Place, caller: HttpCaller, nonce: str, head: dict[str, str] | None = None) -> None:
        self.path = "/v1/collections/batches?messageId=m-1&region=370102"
        media = {"content-type": "text/csv"}
        signed = caller.signed("POST", self.path, BODY, headers=media, nonce=nonce or None)
        self.head = head or {name: value for name, value in signed.headers.items() if name != "host"}
        self.connection = http.client.HTTPConnection(place.hub.url.removeprefix("http://"), timeout=30)
        self.connection.putrequest("POST", self.path)
        for name, value in self.head.items():
            self.connection.putheader(name, value)
        self.connection.endheaders()

    def answer(self) -> tuple[int, dict[str, Any]]:
        answer = self.connection.getresponse()
        return answer.status, json.load(answer)

    def finish(self) -> int:
        self.connection.send(BODY)
        return self.answer()[0]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(intake, "QUIET_S", QUIET_S)
    with running_hub(tmp_path / "state", caller_rate=0) as hub:
        gate = assembly.create_gate(hub.settings, hub.db, hub.directory)
        taking: Any = Taking(tmp_path / "spool")
        hub.app.include_router(intake.collect_router(gate, taking, Cursors(b"c" * 32), 4 << 20))
        yield Place(hub, new_caller(hub), new_caller(hub, OTHER_SYSTEM))


def test_two_that_send_nothing_leave_room_for_others(place: Place) -> None:
    quiet = [place.begin(place.caller) for _ in range(2)]
    time.sleep(0.4)
    status, told = place.begin(place.caller).answer()
    assert (status, told["code"]) == (503, "hub-busy")
    assert place.begin(place.other).finish() == 202
    for one in quiet:
        assert one.answer()[1]["code"] == "message-unreadable"
    assert place.begin(place.caller).finish() == 202


def test_a_byte_now_and_then_ends(place: Place) -> None:
    """Each part comes in time; all together are too slow."""
    dripping = place.begin(place.caller)
    began = time.monotonic()
    while not select.select([dripping.connection.sock], [], [], QUIET_S / 4)[0]:
        dripping.connection.send(b"t")
        assert time.monotonic() - began < 4 * QUIET_S
    assert dripping.answer()[1]["code"] == "message-unreadable"
    assert time.monotonic() - began < 3 * QUIET_S
    assert place.begin(place.caller).finish() == 202


def test_a_slow_but_steady_sender_is_taken(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    steady = place.begin(place.caller)
    for at in range(0, len(BODY), 20_000):
        steady.connection.send(BODY[at : at + 20_000])
        time.sleep(QUIET_S / 4)
    assert steady.answer()[0] == 202


def test_a_recorded_head_takes_no_place(place: Place) -> None:
    """It is told so before its body comes, also while the one that it was recorded of is still being sent."""
    first = place.begin(place.caller)
    time.sleep(0.4)
    again = Sending(place, place.caller, "", first.head)
    status, told = again.answer()
    assert (status, told["code"]) == (401, "message-replayed")
    assert first.finish() == 202
    status, told = Sending(place, place.caller, "", first.head).answer()
    assert (status, told["code"]) == (401, "message-replayed")
