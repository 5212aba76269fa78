"""Parties that took a step's message and have not decided are asked what became of it, where their product can be asked.

A decision that was told to nobody (the callback was lost, or the party never calls) would else leave its case waiting for ever.
The question is a delivery of its own, so that it takes its place, its turn and its retries as every call does; the answer is
recorded as the step's own would be. A party that does not know the message is sent it again, under the same idempotency key.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

from adapters.contract import TransferStep
from hub.cases import store
from hub.cases.progress import Rooms
from hub.db import Tx
from hub.deliveries import store as deliveries
from hub.deliveries.model import Kind, NewDelivery
from hub.ids import new_id

AT_ONCE: Final = 100  # questions of one commit
LONGEST: Final = timedelta(hours=6)  # between two questions of one step


def ask_parties(tx: Tx, rooms: Rooms, can_ask: Callable[[str], bool]) -> int:
    """A chore, safe on many nodes: ask where it is time. Gives how many were asked.

    The first time ``rooms.ask_after`` after the step opened, then after as long again as it has been open, up to LONGEST.
    """
    asked: list[NewDelivery] = []
    for step in store.steps_to_ask(tx.conn, tx.now, AT_ONCE):
        pause = min(LONGEST, max(rooms.ask_after, tx.now - step.opened_at))
        store.update_step(tx.conn, step.case_id, step.name, {"ask_at": tx.now + pause})
        # apart: one that fails holds up no other
        tx.apart(partial(_ask, tx, rooms, can_ask, step, asked), "step.ask", step.case_id)
    deliveries.enqueue(tx, rooms.vault, asked)
    return len(asked)


def _ask(tx: Tx, rooms: Rooms, can_ask: Callable[[str], bool], step: store.StepToAsk, asked: list[NewDelivery]) -> None:
    if not can_ask(step.adapter):
        store.update_step(tx.conn, step.case_id, step.name, {"ask_at": None})
    elif not deliveries.is_under_way(tx.conn, step.case_id, (Kind.STEP, Kind.ASK), step.name):
        sealed = deliveries.delivered_body(tx.conn, step.case_id, Kind.STEP, step.name)
        # none: the message is not there yet; one under way is seen by whoever is paged for its endpoint
        if sealed is not None:
            id_, body = sealed
            message = TransferStep.model_validate_json(rooms.vault.open(body, deliveries.body_context(id_)))
            asked.append(NewDelivery(step.endpoint_id, step.case_id, Kind.ASK, step.name, new_id("ask"), message))
