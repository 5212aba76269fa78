"""The composition root: every room gets what it needs, once, in the order in which rooms stand on each other."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog
from fastapi import FastAPI
from fastapi.responses import RedirectResponse, Response

from adapters.registry import create, manifest
from certs import sm2
from certs.keys import PrivateKey
from certs.policy import load_policy
from certs.x509.signing_cert import SigningCert
from hub.access.callers import CallerDirectory
from hub.access.operators import Operators
from hub.audit.chain import write_anchor
from hub.cases.asking import ask_parties
from hub.cases.flow import load_flows
from hub.cases.limits import flag_limits, recompute_provisional
from hub.cases.outcomes import outcome_handlers
from hub.cases.progress import Rooms
from hub.cases.revoked import tell_cases
from hub.cases.routing import Directory
from hub.cases.service import CaseService
from hub.config import Settings
from hub.console.differences import differences_router
from hub.console.routes import Console, console_router, static_files
from hub.console.verifying import verify_router
from hub.db import Database
from hub.deliveries.adapters import AdapterCache
from hub.deliveries.breaker import BreakerPolicy
from hub.deliveries.dispatch import Dispatcher
from hub.deliveries.model import Handlers
from hub.ecerts.authorizations.service import Authorizations
from hub.ecerts.check import EcertChecker
from hub.ecerts.collect.assembly import CollectParts, collect_parts
from hub.ecerts.collect.purging import purge
from hub.ecerts.collect.reconciling.compare import Reconciler
from hub.ecerts.collect.revoked import notices_by
from hub.ecerts.evidence.assembly import EvidenceParts, evidence_parts
from hub.ecerts.evidence.revoking import Revocations
from hub.ecerts.evidence.rules import load_rules
from hub.ecerts.items.service import ItemCatalogue
from hub.ecerts.logins.service import Logins
from hub.ecerts.revocations.status import notices_of
from hub.ecerts.sealing import SealingRules, load_sealing
from hub.ecerts.trust import TrustFolder
from hub.ecerts.verifier import Verifier
from hub.health.metrics import Metrics
from hub.health.probes import Prober
from hub.health.routes import health_router
from hub.housekeeping import Chore, Housekeeping
from hub.intake import verifications
from hub.intake.assembly import create_gate, install_intake
from hub.intake.collect import collect_router
from hub.intake.cursors import Cursors
from hub.intake.ecert_rest import ecert_router
from hub.intake.evidence import TAG as EVIDENCE_TAG
from hub.intake.evidence import evidence_router
from hub.intake.presentations_rest import presentations_router
from hub.intake.revocations_rest import revocations_router
from hub.intake.soap import AnswerSigner
from hub.keeping.purging import Keeping
from hub.keeping.purging import purge as purge_kept
from hub.opening import open_database, open_vault
from hub.own_keys import OwnKeys
from hub.vault import Vault

LIMITS_EVERY_S = 10.0
ANCHOR_EVERY_S = 300.0
HOURLY_S = 3_600.0
DAILY_S = 86_400.0
FIRST_S = 60.0  # after the start: what is due once in a while is due soon, or a hub that restarts often never does it
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CaseRooms:
    """Cases, and what hears of their deliveries."""

    rooms: Rooms
    handlers: Handlers
    trust: TrustFolder
    sealing: SealingRules
    evidence: EvidenceParts
    collect: CollectParts


def case_rooms(settings: Settings, db: Database, vault: Vault) -> CaseRooms:
    trust = TrustFolder.of(settings)
    sealing = load_sealing(settings.sealing)
    checker = EcertChecker(trust.store, load_policy(settings.policy), trust.fetchers, sealing)
    rooms = Rooms(vault, load_flows(settings.flows_dir), Directory(db), timedelta(seconds=settings.ask_after_s))
    http_key = OwnKeys.ensure(settings.state_dir).http
    evidence = evidence_parts(db, vault, rooms.directory, checker, http_key, tell_cases=tell_cases(rooms))
    collect = collect_parts(
        db, vault, rooms.directory, checker, settings.state_dir / "collect", settings.node,
        lease=timedelta(seconds=settings.lease_s), give_up=timedelta(days=settings.collect_pending_days),
        revoked=notices_by(evidence.follow_ups),
    )  # fmt: skip
    handlers = {**outcome_handlers(db, rooms, checker), **evidence.handlers, **collect.handlers}
    return CaseRooms(rooms, handlers, trust, sealing, evidence, collect)


class Hub:
    """One node: what it is made of. ``app`` is what uvicorn serves; ``start`` and ``stop`` are for the process around it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        sm2.select_backend(settings.sm2_backend)
        self.vault = open_vault(settings)
        self.db = open_database(settings, self.vault)
        self.keys = OwnKeys.ensure(settings.state_dir)

        cases = case_rooms(settings, self.db, self.vault)
        self.rooms, handlers = cases.rooms, cases.handlers
        self.adapters = AdapterCache(self.vault, create)
        self.dispatcher = Dispatcher.from_settings(settings, self.db, self.vault, handlers, self.adapters)
        self.prober = Prober(self.db, self.dispatcher.adapter_of, settings.probe_interval_s)
        breaker = BreakerPolicy(settings.breaker_failures, settings.breaker_open_s)
        self.evidence = cases.evidence.service(self.adapters, breaker=breaker, node=settings.node)
        self.presentations = cases.evidence.presentations(self.adapters, breaker=breaker, node=settings.node)
        self.revocations = Revocations(self.db, cases.evidence.follow_ups)
        self.collect = cases.collect
        self.reconciler = Reconciler(self.db, self.vault, self.dispatcher.adapter_of)
        self.items, self.authorizations = ItemCatalogue(self.db), Authorizations(self.db, self.vault)
        self.logins = Logins(self.db, self.vault, self.rooms.directory, self.adapters)
        self.operators = Operators(self.db)
        self.metrics = Metrics(self.db)
        self.housekeeping = Housekeeping(
            [
                Chore("limits", LIMITS_EVERY_S, lambda: self.db.write(functools.partial(flag_limits, self.rooms))),
                Chore("ask", min(LIMITS_EVERY_S, settings.ask_after_s), self._ask_parties),
                Chore("calendar", DAILY_S, lambda: self.db.write(functools.partial(recompute_provisional, self.rooms))),
                Chore("evidence", LIMITS_EVERY_S, self.evidence.keep_house),
                Chore("evidence-purge", HOURLY_S, self.evidence.purge),
                Chore("revocations-purge", HOURLY_S, self.revocations.purge),
                Chore("authorizations-purge", HOURLY_S, self.authorizations.purge),
                Chore("presentations", LIMITS_EVERY_S, self.presentations.keep_house),
                Chore("presentations-purge", HOURLY_S, self.presentations.purge),
                Chore("logins-purge", HOURLY_S, self.logins.purge),
                Chore("keeping", HOURLY_S, self._purge_kept, waits_s=FIRST_S),
                Chore("collect-purge", HOURLY_S, self._purge_collected, waits_s=FIRST_S),
                Chore("collect-reconcile", HOURLY_S, self._reconcile, waits_s=FIRST_S),
                Chore("anchor", ANCHOR_EVERY_S, self._anchor, waits_s=ANCHOR_EVERY_S),
            ]
        )

        self.app = FastAPI(
            title="教育政务互通枢纽 exchange-hub", version="1", docs_url=None, redoc_url=None, lifespan=self._lifespan
        )
        self.app.include_router(health_router(self.db, self.metrics))
        if settings.role == "worker":
            return
        gate = create_gate(settings, self.db, CallerDirectory(self.db), self.metrics.observe)
        install_intake(self.app, gate, settings, self.vault, CaseService(self.db, self.rooms), self._answer_signer())
        self.app.include_router(evidence_router(gate, self.evidence))
        self.app.include_router(revocations_router(gate, self.revocations, EVIDENCE_TAG))
        self.app.include_router(presentations_router(gate, self.presentations))
        largest_batch = settings.max_batch_mb * 2**20
        self.app.include_router(
            collect_router(gate, self.collect.collections, Cursors(self.vault.session_key), largest_batch)
        )
        cursors = Cursors(self.vault.session_key)
        self.app.include_router(ecert_router(gate, self.items, self.authorizations, self.logins, cursors))
        verifier = Verifier(cases.trust, settings.policy, notices_of(self.db, self.vault), cases.sealing)
        largest = settings.max_document_mb * 2**20
        self.app.include_router(verifications.create_router(gate, self.db, verifier, max_document=largest))
        console = Console(
            self.db, self.rooms, handlers, self.operators, self.prober, self.items,
            public_url=settings.effective_public_url,
        )  # fmt: skip
        self.app.include_router(console_router(console))
        self.app.include_router(differences_router(console, self.db, self.reconciler))
        self.app.include_router(verify_router(console, self.db, verifier, max_document=largest))
        self.app.mount("/console/static", static_files())
        for typed in ("/", "/console/"):
            self.app.add_api_route(typed, _to_console, include_in_schema=False)

    def start(self) -> None:
        """Begin to deliver, to probe and to keep house, as the role says."""
        if self.settings.role != "api":
            self.dispatcher.start()
            self.prober.start()
            self.collect.worker.start()
        self.housekeeping.start()
        log.info("started", role=self.settings.role, node=self.settings.node, sm2=sm2.backend_name())

    def stop(self) -> None:
        """Let running attempts end, then close; what is not done is found by the next start."""
        self.prober.stop()
        self.housekeeping.stop()
        self.collect.worker.stop()
        self.dispatcher.stop()
        self.evidence.close()
        self.presentations.close()
        self.db.close()
        self.adapters.close()
        log.info("stopped", node=self.settings.node)

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(self.start)
        yield
        await asyncio.to_thread(self.stop)

    def _ask_parties(self) -> None:
        self.db.write(lambda tx: ask_parties(tx, self.rooms, lambda adapter: manifest(adapter).status_query))

    def _reconcile(self) -> None:
        self.reconciler.daily(f"node:{self.settings.node}")

    def _purge_collected(self) -> None:
        purge(self.db, timedelta(days=self.settings.collect_keep_days), f"node:{self.settings.node}")

    def _purge_kept(self) -> None:
        settings, times = self.settings, load_rules().times
        keeping = Keeping(
            bodies=timedelta(days=settings.body_keep_days),
            attempts=timedelta(days=settings.attempt_keep_days),
            events=timedelta(days=settings.event_keep_days),
            requests=timedelta(seconds=times.request_keep_s),
            uses=timedelta(seconds=times.uses_keep_s),
        )
        purge_kept(self.db, keeping, f"node:{settings.node}")

    def _anchor(self) -> None:
        with self.db.read() as conn:
            write_anchor(conn, self.settings.state_dir / "audit-anchors.log")

    def _answer_signer(self) -> AnswerSigner | None:
        if not self.settings.sign_answers:
            return None
        key = PrivateKey.from_pem(self.keys.wsse.read_bytes())
        certificate = SigningCert.from_pem(self.keys.wsse_certificate.read_bytes())
        return AnswerSigner(key, certificate.der, self.db.clock)


async def _to_console() -> Response:
    return RedirectResponse("/console")
