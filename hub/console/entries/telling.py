"""Columns that no table has: what a row's own columns and its neighbours come to, as of now."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection, RowMapping

from adapters.contract.questions import ShownKind
from hub.console.entries.model import Around, Values
from hub.ecerts.authorizations.model import code_state
from hub.ecerts.catalogue import shanghai_day
from hub.ecerts.entries import Item
from hub.ecerts.evidence import store as evidence_store
from hub.ecerts.evidence.planning import by_word
from hub.ecerts.evidence.views import asked_item
from hub.ecerts.presentations import model as presentations
from hub.ecerts.solver import Known, RequirementState, Standing, solve
from schemas.evidence import EvidenceCaseState


@dataclass(frozen=True, slots=True)
class Answer:
    """How much of what an item must have is answered: ``complete``, ``partial`` or ``none``."""

    word: str
    met: int
    required: int


def authorization(conn: Connection, rows: list[RowMapping], around: Around) -> list[Values]:
    return [
        {
            "state": code_state(
                attempts=row["attempts"], expires_at=row["expires_at"], redeemed=row["redeemed_at"] is not None,
                revoked=row["revoked_at"] is not None, now=around.now,
            ).value
        }
        for row in rows
    ]  # fmt: skip


def consent(conn: Connection, rows: list[RowMapping], around: Around) -> list[Values]:
    return [{"state": _consent(row, around.now)} for row in rows]


def _consent(row: RowMapping, now: datetime) -> str:
    if row["revoked_at"] is not None:
        return "withdrawn"
    if row["given_at"] > now:
        return "ahead"
    return "in-force" if row["ends_at"] > now else "expired"


def presentation(conn: Connection, rows: list[RowMapping], around: Around) -> list[Values]:
    return [
        {
            "state": presentations.standing(
                kind=ShownKind(row["kind"]), state=presentations.State(row["state"]), owned_until=row["owned_until"],
                expires_at=row["expires_at"], use_until=row["use_until"], used=row["used_at"] is not None,
                revoked=row["revoked_at"] is not None, now=around.now,
            ).value
        }
        for row in rows
    ]  # fmt: skip


def notice(conn: Connection, rows: list[RowMapping], around: Around) -> list[Values]:
    """Read as it was written, not judged anew: a type that was taken out of the configuration since is listed too."""
    today = shanghai_day(around.now).isoformat()
    return [_notice(json.loads(row["definition"]), row["withdrawn_at"] is not None, today) for row in rows]


def _notice(said: dict[str, str], withdrawn: bool, today: str) -> Values:
    state = "in-force"
    if withdrawn:
        state = "withdrawn"
    elif said["issuedOn"] > today:
        state = "ahead"
    elif said["deemedValidUntil"] < today:
        state = "ended"
    return {
        "state": state,
        "title": said["title"],
        "document": said["ecertType"],
        "region": said["region"],
        "issued_on": said["issuedOn"],
        "ran_out": f"{said['expiredFrom']} – {said['expiredUntil']}",
        "deemed_valid_until": said["deemedValidUntil"],
        "source": said["source"],
    }


def evidence(conn: Connection, rows: list[RowMapping], around: Around) -> list[Values]:
    """Whether an answer is complete, told from the standings of its documents by the rule that the answer itself is made by."""
    documents = evidence_store.standings(conn, [row["id"] for row in rows])
    told: list[Values] = []
    for row in rows:
        names = {name for name, _ in documents.get(row["id"], ())}
        item = asked_item(around.catalogue, row["item_code"], row["asked_at"], row["item_version"], names)
        item = item or around.catalogue.item(row["item_code"], row["asked_at"])  # as well as can be told
        if row["state"] == EvidenceCaseState.OPEN.value or item is None:
            told.append({"answer": None})
        else:
            told.append({"answer": _answer(item, documents.get(row["id"], ()))})
    return told


def _answer(item: Item, documents: Iterable[tuple[str, str]]) -> Answer:
    words = by_word(item)
    known = {words[name]: Known(Standing(standing)) for name, standing in documents if name in words}
    required = [one.state for one in solve(item.requirements, known).answers if one.required]
    met = required.count(RequirementState.SATISFIED)
    word = "complete" if met == len(required) else "partial" if met else "none"
    return Answer(word, met, len(required))
