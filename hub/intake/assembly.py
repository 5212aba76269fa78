"""Intake put together: what an app needs to take messages in."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fastapi import FastAPI

from hub.access.callers import CallerDirectory
from hub.access.identity import Identifier
from hub.access.tls_auth import PeerCertificates
from hub.config import Settings
from hub.db import Database
from hub.intake import rest, soap
from hub.intake.cursors import Cursors
from hub.intake.gate import Gate, Observer
from hub.intake.limits import RateLimiter
from hub.intake.operations import Operations
from hub.intake.refusals import RefusalLog
from hub.intake.soap import AnswerSigner
from hub.vault import Vault

if TYPE_CHECKING:
    from hub.cases.service import CaseService


def create_gate(settings: Settings, db: Database, directory: CallerDirectory, observe: Observer | None = None) -> Gate:
    """The gate as the settings say; other rooms that take signed messages (verification, evidence) use the same one."""
    return Gate(
        identifier=Identifier(directory, max_age=timedelta(seconds=settings.message_age_s)),
        peers=PeerCertificates(proxy_header=settings.trusted_proxy_header, trusted_proxies=settings.trusted_proxies),
        db=db,
        refusals=RefusalLog(db),
        limiter=RateLimiter(settings.caller_rate, settings.caller_burst),
        max_body=settings.max_body_kb * 1024,
        public_url=settings.public_url,
        observe=observe,
    )


def install_intake(
    app: FastAPI, gate: Gate, settings: Settings, vault: Vault, cases: CaseService, signer: AnswerSigner | None = None
) -> None:
    """REST, SOAP, their contracts and their problems, on ``app``."""
    operations = Operations(cases)
    app.include_router(rest.create_router(gate, operations, Cursors(vault.session_key)))
    app.include_router(soap.create_router(gate, operations, public_url=settings.effective_public_url, signer=signer))
    rest.describe(app)
    rest.install_problems(app, gate)
