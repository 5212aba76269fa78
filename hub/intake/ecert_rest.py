"""Everything of e-certificates that is asked over REST, for the composition root."""

from __future__ import annotations

from fastapi import APIRouter

from hub.ecerts.authorizations.service import Authorizations
from hub.ecerts.items.service import ItemCatalogue
from hub.ecerts.logins.service import Logins
from hub.intake.authorizations_rest import TAG, authorizations_router
from hub.intake.cursors import Cursors
from hub.intake.gate import Gate
from hub.intake.items_rest import items_router
from hub.intake.logins_rest import LoginDesk, logins_router


def ecert_router(
    gate: Gate, items: ItemCatalogue, authorizations: Authorizations, logins: Logins, cursors: Cursors
) -> APIRouter:
    """The item catalogue (public), and logins, authorizations, consents and uses (signed)."""
    router = APIRouter()
    router.include_router(items_router(gate, items, cursors))
    router.include_router(logins_router(gate, logins, TAG))
    router.include_router(authorizations_router(gate, authorizations, LoginDesk(logins), cursors))
    return router
