"""Cases on a real database, with the outcomes of deliveries handed in by the test instead of by a worker."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from adapters.contract import EcertDocument, PersonAnswer
from adapters.population import family, transfer
from certs.issuing.authority import SealAuthority
from certs.ofd.seal_write import Picture, make_seal
from certs.ofd.write import SignOptions, sign_ofd, write_ecert
from certs.policy import Policy
from certs.trust import Anchor, TrustStore
from certs.verify import Fetchers
from hub import tables as t
from hub.access.callers import Caller, Method, Service
from hub.cases import store
from hub.cases.flow import Flow, load_flows
from hub.cases.outcomes import outcome_handlers
from hub.cases.progress import Rooms
from hub.cases.routing import Directory
from hub.cases.service import CaseService
from hub.db import Database, Tx
from hub.deliveries.model import Finished, Kind, State
from hub.ecerts.check import EcertChecker
from hub.intake.operations import digest_of
from hub.vault import Vault
from schemas.base import Canonical
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertMetadata, EcertStatus, PersonMatch
from schemas.transfers import (
    Decision,
    DecisionOutcome,
    TransferAccepted,
    TransferRequest,
    TransferView,
    WithdrawalRequest,
)

LIXIA, ZHANGQIU, SHINAN = "370102", "370114", "370202"
BEGIN = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # a Monday, ten in the morning in Jinan
AUTHORITY = SealAuthority.create(BEGIN)
SEAL = make_seal(
    AUTHORITY.seal_maker,
    [AUTHORITY.signer.cert],
    name="演示教育局专用章",
    seal_id="37010000000001",
    picture=Picture("PNG", b"picture"),
    valid_from=BEGIN - timedelta(days=1),
    valid_to=BEGIN + timedelta(days=3650),
)
_numbers = itertools.count(1)


@dataclass
class World:
    """A hub without intake and workers: systems ``source`` (Jinan), ``shinan`` (Qingdao), their registries and the sources."""

    db: Database
    vault: Vault = field(default_factory=lambda: Vault(bytes(32)))
    now: datetime = BEGIN
    flows: Mapping[str, Flow] = field(default_factory=load_flows)

    def __post_init__(self) -> None:
        self.db.write(self._register)
        self.rooms = Rooms(self.vault, self.flows, Directory(self.db))
        trust = TrustStore().with_anchor(Anchor(AUTHORITY.root.cert, frozenset({"seal", "seal-maker"}), BEGIN))
        fetchers = Fetchers(certs=(AUTHORITY.intermediate.cert,))
        checker = EcertChecker(lambda: trust, Policy(revocation="off"), lambda: fetchers)
        self.handlers = outcome_handlers(self.db, self.rooms, checker)
        self.cases = CaseService(self.db, self.rooms)

    def _register(self, tx: Tx) -> None:
        for system in ("source", "shinan", "province", "stranger"):
            tx.conn.execute(sa.insert(t.systems).values(id=system, name=system, created_at=tx.now))
        for id_, system, service, region in (
            ("jinan-registry", "source", "registry", "370100"),
            ("shinan-registry", "shinan", "registry", SHINAN),
            ("identity", "province", "identity", "370000"),
            ("library", "province", "ecert-library", "370000"),
            ("monitor", "province", "events", "370000"),
        ):
            tx.conn.execute(
                sa.insert(t.endpoints).values(
                    id=id_, system_id=system, adapter="x", service=service, region=region, base_url="http://127.0.0.1:1",
                    max_concurrency=4, timeout_s=5, created_at=tx.now,
                )
            )  # fmt: skip
        tx.conn.execute(
            sa.insert(t.subscriptions).values(
                id="sub", endpoint_id="monitor", event_type="case.*", region="370000", source_only=False
            )
        )

    # --- what callers do ------------------------------------------------------------------------------------------------

    @staticmethod
    def caller(system: str, *services: Service, region: str = "370000") -> Caller:
        rights = frozenset((service.value, region) for service in services or tuple(Service))
        return Caller(system, f"{system}-key", Method.HTTP_SIGNATURE, rights)

    def request(self, releasing: str = LIXIA, receiving: str = LIXIA) -> TransferRequest:
        number = next(_numbers)
        index = number // 4 * 20 + number % 4  # those of every 20 that may transfer
        return transfer(f"m-{number}", releasing, index, receiving, submitted_at=self.now)

    def submit(self, request: TransferRequest, system: str = "source") -> TransferAccepted:
        return self.cases.submit_transfer(self.caller(system), request, digest=digest_of(request)).result()

    def withdraw(self, case_id: str, system: str = "source") -> TransferView:
        request = WithdrawalRequest(message_id=f"w-{next(_numbers)}", case_id=case_id, reason="不转了")
        return self.cases.withdraw(self.caller(system), request, digest=digest_of(request)).result()

    def decision(self, case_id: str, step: str, outcome: DecisionOutcome = DecisionOutcome.APPROVED) -> Decision:
        return Decision(
            message_id=f"d-{next(_numbers)}", case_id=case_id, step=step, outcome=outcome, reason="同意",
            decided_at=self.now, decided_by="某区教育局",
        )  # fmt: skip

    def decide(self, decision: Decision, system: str) -> TransferView:
        return self.cases.decide(self.caller(system), decision, digest=digest_of(decision)).result()

    def view(self, case_id: str, system: str = "source") -> TransferView:
        return self.cases.query_transfer(self.caller(system), case_id)

    # --- what workers do ------------------------------------------------------------------------------------------------

    def finish(self, case_id: str, kind: Kind, subject: str, answer: Canonical | None, **how: object) -> None:
        """One delivery ends: with an answer, or as ``state`` with ``code``."""
        result = self.handlers[kind].prepare(case_id, subject, answer) if answer is not None else None
        state = how.get("state", State.DELIVERED)
        assert isinstance(state, State)
        done = Finished("dlv_test", "any", case_id, kind, subject, state, str(how.get("code", state.value)), result)
        self.db.write(lambda tx: self.handlers[kind].record(tx, [done]))

    def evidence(self, case_id: str, request: TransferRequest, *, but: Sequence[str] = ()) -> None:
        """Every source answers well, but those named."""
        for requirement in ("student-identity", "guardian-identity"):
            if requirement not in but:
                self.finish(case_id, Kind.PERSON, requirement, PersonAnswer(match=PersonMatch.MATCHED))
        for requirement, key in (("household", "household-register"), ("residence-title", "real-estate-title")):
            if requirement not in but:
                self.finish(case_id, Kind.ECERT, requirement, self.document(request, key))
        if "enrolment-record" not in but:
            moving = request.student
            record = family(request.releasing.region, self._index(request)).record
            assert record.id_number == moving.id_number
            self.finish(case_id, Kind.ENROLMENT, "enrolment-record", record)

    @staticmethod
    def _index(request: TransferRequest) -> int:
        number = int(request.message_id.removeprefix("m-"))
        return number // 4 * 20 + number % 4

    def document(self, request: TransferRequest, key: str, **changes: str) -> EcertDocument:
        """A sealed certificate of the guardian; ``changes`` are made before it is sealed."""
        kind = ecert_types()[key]
        fields = {
            "type_code": kind.code,
            "type_name": kind.title_zh,
            "number": "鲁(2020)第0001号",
            "holder_name": request.guardian.name,
            "holder_code": request.guardian.id_number,
            "holder_code_type": "111",
            "issuer_name": "演示教育局",
            "issuer_code": "11370000000000000X",
        }
        stated = EcertMetadata(type_code=kind.code, number=fields["number"], issuer_code=fields["issuer_code"])
        unsigned = write_ecert(fields | changes, ["演示"], title=kind.title_zh, created=self.now, doc_id="0" * 32)
        sealed = sign_ofd(unsigned, AUTHORITY.signer, SignOptions(seal=SEAL), at=self.now)
        return EcertDocument(content=sealed, media_type="application/ofd", metadata=stated, status=EcertStatus.VALID)

    def to_waiting(self, releasing: str = LIXIA, receiving: str = LIXIA) -> tuple[str, TransferRequest]:
        """A case with all its evidence: its first step is open."""
        request = self.request(releasing, receiving)
        case_id = self.submit(request).case_id
        self.evidence(case_id, request)
        return case_id, request

    # --- what stands in the database ------------------------------------------------------------------------------------

    def deliveries(self, case_id: str) -> dict[tuple[str, str], str]:
        """(kind, subject) -> state."""
        d = t.deliveries
        with self.db.read() as conn:
            rows = conn.execute(sa.select(d.c.kind, d.c.subject, d.c.state).where(d.c.case_id == case_id))
            return {(row.kind, row.subject): row.state for row in rows}

    def events(self, case_id: str) -> list[str]:
        with self.db.read() as conn:
            return [type_ for type_, _, _ in store.events_of(conn, case_id)]

    def later(self, **span: float) -> None:
        self.now += timedelta(**span)
