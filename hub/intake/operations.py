"""The one canonical path behind REST and SOAP: a known caller and a canonical message in, a canonical answer out."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from hub.access.callers import Caller, Service
from schemas.base import Canonical
from schemas.problems import CASE_UNKNOWN, HubProblem
from schemas.transfers import (
    CaseState,
    Decision,
    TransferAccepted,
    TransferRequest,
    TransferView,
    WithdrawalRequest,
)

if TYPE_CHECKING:
    from hub.cases.service import CaseService

A = TypeVar("A")

_CASE_ID = re.compile(r"case_[0-9a-hjkmnp-tv-z]{26}")


class Operations:
    """Reads run in a thread; writes are queued at once and awaited until their commit."""

    def __init__(self, cases: CaseService) -> None:
        self._cases = cases

    async def submit_transfer(self, caller: Caller, request: TransferRequest) -> TransferAccepted:
        return await asyncio.wrap_future(self._cases.submit_transfer(caller, request, digest=digest_of(request)))

    async def query_transfer(self, caller: Caller, case_id: str) -> TransferView:
        caller.require_somewhere(Service.TRANSFER_QUERY)
        return await asyncio.to_thread(self._cases.query_transfer, caller, _case_id(case_id))

    async def list_transfers(
        self, caller: Caller, *, before: str | None, limit: int, state: CaseState | None
    ) -> tuple[list[TransferView], str | None]:
        """A page, newest first, and the case id before which the next one starts (None at the end)."""
        caller.require_somewhere(Service.TRANSFER_QUERY)
        return await asyncio.to_thread(self._cases.list_transfers, caller, before=before, limit=limit, state=state)

    async def withdraw_transfer(self, caller: Caller, request: WithdrawalRequest) -> TransferView:
        _case_id(request.case_id)

        def submit() -> Future[TransferView]:
            return self._cases.withdraw(caller, request, digest=digest_of(request))

        return await asyncio.wrap_future(await asyncio.to_thread(submit))

    async def submit_decision(self, caller: Caller, decision: Decision) -> TransferView:
        _case_id(decision.case_id)

        def submit() -> Future[TransferView]:
            return self._cases.decide(caller, decision, digest=digest_of(decision))

        return await asyncio.wrap_future(await asyncio.to_thread(submit))


def digest_of(message: Canonical) -> str:
    """SHA-256 of the canonical JSON of a message: keys sorted, absent fields left out; alike for REST and SOAP."""
    canonical = message.model_dump(mode="json", by_alias=True, exclude_none=True)
    text = json.dumps(canonical, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _case_id(text: str) -> str:
    """What cannot be a case id is not asked of the database."""
    if not _CASE_ID.fullmatch(text):
        raise HubProblem(CASE_UNKNOWN)
    return text
