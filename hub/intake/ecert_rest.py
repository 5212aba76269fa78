"""Everything of e-certificates that is asked over REST, for the composition root."""

from __future__ import annotations

from fastapi import APIRouter

from hub.ecerts.authorizations.service import Authorizations
from hub.ecerts.items.service import ItemCatalogue
from hub.intake.authorizations_rest import authorizations_router
from hub.intake.cursors import Cursors
from hub.intake.gate import Gate
from hub.intake.items_rest import items_router


def ecert_router(gate: Gate, items: ItemCatalogue, authorizations: Authorizations, cursors: Cursors) -> APIRouter:
    """The item catalogue (public), and authorizations, consents and uses (signed)."""
    router = APIRouter()
    router.include_router(items_router(gate, items, cursors))
    router.include_router(authorizations_router(gate, authorizations, cursors))
    return router
