"""What is known before anything is fetched: which document is whose, who issues it here, and on what ground it may be asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final, Protocol

from sqlalchemy.engine import Connection

from adapters.contract import EnrolmentQuery, PersonQuery, PresentedQuery
from hub.deliveries.model import Kind
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.bases import Bases, Basis
from hub.ecerts.catalogue import Catalogue
from hub.ecerts.entries import RECORDS, Evidence, Item, Role, Source, parse_evidence
from hub.ecerts.evidence.rules import EvidenceRules, load_rules
from hub.ecerts.expressions import Condition
from hub.ecerts.presentations.model import presentation_of
from hub.ecerts.solver import Known, Standing
from hub.logs import MASK, mask
from schemas.base import Canonical
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertQuery, UseCause
from schemas.evidence import AnswerForm, BasisKind, EvidenceHolder, EvidenceRequest
from schemas.problems import HubProblem

IDENTITY_CHECK, ID_CARD = "identity-check", "id-card"
HUB_NAME: Final = "教育政务互通枢纽"
_BASIS_WORDS: Final = {
    BasisKind.LAW: "引用",
    BasisKind.CONSENT: "持有人同意",
    BasisKind.AUTHORIZATION: "持有人授权",
}
KIND_OF_SERVICE: Final = {
    "ecert-library": Kind.EVIDENCE_ECERT,
    "identity": Kind.EVIDENCE_PERSON,
    "registry": Kind.EVIDENCE_ENROLMENT,
}
GUARDIANSHIP_NOT_SHOWN: Final = "guardianship-not-shown"
Grounds = Mapping[Evidence, Basis]  # on what each document may be asked for; those that are not in it may not


class Route(Protocol):
    @property
    def endpoint_id(self) -> str: ...

    @property
    def system_id(self) -> str: ...

    @property
    def system_name(self) -> str: ...


class Routes(Protocol):
    """Which endpoint serves a region (hub.cases.routing.Directory)."""

    def route(self, service: str, region: str) -> Route: ...

    def endpoint(self, endpoint_id: str) -> Route | None: ...


@dataclass(frozen=True, slots=True)
class Question:
    """One document as it is asked of its source."""

    document: Evidence
    endpoint_id: str
    kind: Kind
    holder: m.Holder
    body: Canonical  # EcertQuery, PersonQuery or EnrolmentQuery: what the answer is compared with
    presented: PresentedQuery | None = None  # the holder showed a code of the library: it is asked by that instead
    condition: Condition | None = None  # what a field inside the certificate must say for it to count

    @property
    def asked(self) -> Canonical:
        """What the source is asked."""
        return self.presented or self.body


def holder_of(holder: EvidenceHolder) -> m.Holder:
    """The same holder as authorizations know it; checked when the message came in."""
    return m.Holder.model_construct(name=holder.name, code_type=holder.code_type, code=holder.code)


def cited(request: EvidenceRequest, holder: EvidenceHolder) -> str | None:
    """The ground that the caller named for this holder, with any number that could be a person's and the holders' names masked."""
    reference = (holder.basis or request.basis).reference
    return None if reference is None else anonymous(request, reference)


def anonymous(request: EvidenceRequest, reference: str) -> str:
    """As it may be kept in clear."""
    text = mask(reference)
    for one in request.holders:
        text = text.replace(one.name, MASK)
    return text[:200]


def documents_of(item: Item) -> tuple[Evidence, ...]:
    """Every document that some alternative of some requirement names, once, in the order of the catalogue."""
    return _documents(tuple(requirement.evidence for requirement in item.requirements))


@lru_cache(maxsize=1024)
def _documents(expressions: tuple[str, ...]) -> tuple[Evidence, ...]:
    found = (document for one in expressions for part in parse_evidence(one) for document in sorted(part))
    return tuple(dict.fromkeys(found))


def by_role(request: EvidenceRequest) -> dict[str, EvidenceHolder]:
    """The holders by the word of their role, which is the same in the message and in the catalogue."""
    return {holder.role.value: holder for holder in request.holders}


@dataclass(frozen=True, slots=True)
class Found:
    """The basis of each document that has one, and why another has none where that is not simply that nobody allowed it."""

    grounds: dict[Evidence, Basis]
    refused: dict[Evidence, str]


def find_grounds(
    bases: Bases,
    conn: Connection,
    *,
    request: EvidenceRequest,
    item: Item,
    system_id: str,
    at: datetime,
) -> Found:
    """A record (evidence that is no certificate) needs one of its own. An identity check tells less than the ID card: what
    allows that of the same holder allows it. Any other record must be named in the scope of its holder's basis, or, for a child,
    of what its guardian gave on behalf of just this child: whoever the caller calls the guardian may be a stranger.
    """
    found: dict[Evidence, Basis] = {}
    refused: dict[Evidence, str] = {}
    wanted, holders = documents_of(item), by_role(request)

    def basis_of(holder: EvidenceHolder, types: tuple[str, ...], child: EvidenceHolder | None = None) -> Basis | None:
        return _basis(bases, conn, request, holder, item, system_id, at, types, child=child)

    for role, holder in holders.items():
        own = [one for one in wanted if role == one.role and one.type not in RECORDS]
        types = tuple(one.type for one in own)
        whole = basis_of(holder, types) if 0 < len(own) <= 20 else None
        for document in own:  # one basis for all, else whichever covers each
            one = whole or basis_of(holder, (document.type,))
            if one is not None:
                found[document] = one
    guardian = holders.get(Role.GUARDIAN)
    for document in wanted:
        holder_ = holders.get(document.role)
        if document.type not in RECORDS or holder_ is None:
            continue
        grounds = basis_of(holder_, (document.type,))
        if grounds is None and document.type == IDENTITY_CHECK:
            grounds = basis_of(holder_, (ID_CARD,))
        if grounds is None and guardian is not None and document.role is Role.APPLICANT:
            grounds = basis_of(guardian, (document.type,), holder_)
            if grounds is not None and grounds.kind is not BasisKind.LAW:
                grounds = replace(grounds, of=Role.GUARDIAN.value)
            elif grounds is None and basis_of(guardian, (document.type,)) is not None:
                refused[document] = GUARDIANSHIP_NOT_SHOWN
        if grounds is not None:
            found[document] = grounds
    return Found(found, refused)


def _basis(
    bases: Bases,
    conn: Connection,
    request: EvidenceRequest,
    holder: EvidenceHolder,
    item: Item,
    system_id: str,
    at: datetime,
    ecert_types_: tuple[str, ...],
    *,
    child: EvidenceHolder | None,
) -> Basis | None:
    basis = holder.basis or request.basis
    if basis.kind is BasisKind.LAW:
        # the catalogue says what the item's own legal basis is enough for; what the caller cites goes into the audit log
        # the document's own role: what the law covers of a guardian's is not the child's
        whose = Role((child or holder).role.value)
        covered = all(item.law_allows(Evidence(one, whose)) for one in ecert_types_)
        return Basis(BasisKind.LAW, f"{item.basic_code}@{item.version}") if covered else None
    return bases.find_basis(
        conn,
        holder=holder_of(holder),
        wanted=m.Wanted(ecert_types=ecert_types_, purpose=request.purpose, region=request.region, item=item.basic_code),
        system_id=system_id,
        at=at,
        authorization_id=basis.reference if basis.kind is BasisKind.AUTHORIZATION else None,
        consent=basis.reference if basis.kind is BasisKind.CONSENT else None,
        case_reference=request.case_reference,
        on_behalf_of=None if child is None else holder_of(child),
    )


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes questions of documents. Used by all threads."""

    rules: EvidenceRules
    routes: Routes

    def known(
        self, request: EvidenceRequest, item: Item, catalogue: Catalogue, found: Found, at: datetime
    ) -> tuple[dict[Evidence, Known], dict[Evidence, str]]:
        """How each document stands before anything is asked, and the endpoints of those that may be asked for."""
        known: dict[Evidence, Known] = {}
        endpoints: dict[Evidence, str] = {}
        holders = by_role(request)
        for document in documents_of(item):
            source = catalogue.source(document.type, request.region, at)
            count = self.field_count(request, document, source)
            if document.role not in holders:
                known[document] = Known(Standing.ASK_THE_PERSON, count, reason="holder-not-named")
            elif document not in found.grounds:
                reason = found.refused.get(document, "not-authorized")
                known[document] = Known(Standing.ASK_THE_PERSON, count, reason=reason)
            elif source is None:
                known[document] = Known(Standing.NO_SOURCE, count, reason="no-source")
            elif (endpoint_id := self.endpoint(source, request.region)) is None:
                known[document] = Known(Standing.NO_SOURCE, count, reason="no-route")
            else:
                known[document] = Known(Standing.AVAILABLE, count)
                endpoints[document] = endpoint_id
        return known, endpoints

    def field_count(self, request: EvidenceRequest, document: Evidence, source: Source | None) -> int:
        """How much a document would reveal: the purpose's fields if only those are handed out, else the source's."""
        if request.answer is AnswerForm.FIELDS:
            return len(self.rules.fields_of(request.purpose).get(document.type, ()))
        return len(source.fields) if source is not None else 1

    def endpoint(self, source: Source, region: str) -> str | None:
        """Which endpoint is asked here for what this source issues."""
        if source.endpoint is not None:
            return source.endpoint
        try:
            return self.routes.route(source.service, region).endpoint_id
        except HubProblem:
            return None


def questions(
    request: EvidenceRequest,
    item: Item,
    grounds: Grounds,
    endpoints: Mapping[Evidence, str],
    documents: Iterable[Evidence],
) -> dict[Evidence, Question]:
    """What is asked of the source of each document."""
    asked, holders = {}, by_role(request)
    for document in documents:
        holder = holders.get(document.role)
        if holder is None or document not in grounds or document not in endpoints:
            raise ValueError(f"{document} may not be asked for")
        kind = KIND_OF_SERVICE[RECORDS.get(document.type, "ecert-library")]
        body = _body(kind, request, item, document, holder, grounds[document])
        presented = None
        shown = presentation_of(request, grounds[document].reference)
        if shown is not None and isinstance(body, EcertQuery):
            kind = Kind.EVIDENCE_PRESENTED
            presented = PresentedQuery(reference=shown.reference, type_code=body.type_code, use_cause=body.use_cause)
        condition = item.conditions.get(document)
        asked[document] = Question(document, endpoints[document], kind, holder_of(holder), body, presented, condition)
    return asked


def at_their_libraries(
    endpoints: Mapping[Evidence, str], grounds: Grounds, request: EvidenceRequest
) -> dict[Evidence, str]:
    """Presentations are good at the library where they were begun, whichever serves the region by now."""
    found = dict(endpoints)
    for document in endpoints:
        shown = presentation_of(request, grounds[document].reference)
        if shown is not None and document.type not in RECORDS:
            found[document] = shown.endpoint_id
    return found


def _body(
    kind: Kind, request: EvidenceRequest, item: Item, document: Evidence, holder: EvidenceHolder, basis: Basis
) -> Canonical:
    if kind is Kind.EVIDENCE_PERSON:
        return PersonQuery(
            name=holder.name,
            id_type=holder.code_type,
            id_number=holder.code,
            case_id=request.case_reference,
            purpose=item.title_zh,
        )
    if kind is Kind.EVIDENCE_ENROLMENT:
        number = holder.enrolment_number or f"G{holder.code}"
        return EnrolmentQuery(enrolment_number=number, id_number=holder.code, case_id=request.case_reference)
    giver = by_role(request).get(basis.of or document.role)
    purpose = load_rules().purpose.get(request.purpose)
    return EcertQuery(
        type_code=ecert_types()[document.type].code,
        holder_code=holder.code,
        holder_code_type=holder.code_type,
        holder_name=holder.name,
        use_cause=UseCause(
            case_id=request.case_reference,
            item_code=request.item_code,
            item_name=item.title_zh,
            purpose=request.purpose if purpose is None else purpose.title_zh,
            system_name=HUB_NAME,
            legal_basis=legal_basis(item, basis, None if giver is None else cited(request, giver)),
        ),
    )


def legal_basis(item: Item, basis: Basis, reference: str | None) -> str:
    """Why the source may answer, in words: what the item rests on, and what was cited or whose word it is."""
    word, reference = _BASIS_WORDS[basis.kind], reference or basis.reference
    return item.legal_basis if reference.startswith(item.basic_code) else f"{item.legal_basis}; {word} {reference}"


def by_word(item: Item) -> dict[str, Evidence]:
    """Documents by the word that the database and the answers use."""
    return {str(document): document for document in documents_of(item)}
