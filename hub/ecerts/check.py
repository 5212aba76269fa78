"""May this document be relied on, for this question? Its signatures, its state at the source, and what stands inside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from adapters.contract import EcertDocument
from certs.der import Malformed
from certs.ofd.package import OfdPackage
from certs.policy import Policy
from certs.report import Indication, Report, SubIndication
from certs.trust import TrustStore
from certs.verify import Fetchers, format_of
from hub.ecerts.issuer import examine, issuer_of
from hub.ecerts.sealing import SealingRules, shipped
from schemas.ecerts import EcertQuery, EcertStatus
from schemas.transfers import EvidenceState


@dataclass(frozen=True, slots=True)
class EcertVerdict:
    """``reason`` is a stable word (docs/protocol/evidence.md); ``retry`` where only time or a reachable source is missing.

    ``inside``: the fields sealed in the file, where the check came to read them.
    """

    state: EvidenceState
    reason: str | None
    report: Report
    retry: bool = False
    inside: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EcertChecker:
    """Holds what verification needs; the trust store and the fetchers are asked for anew at each check."""

    trust: Callable[[], TrustStore]
    policy: Policy
    fetchers: Callable[[], Fetchers]
    sealing: SealingRules = field(default_factory=shipped)

    def check(self, document: EcertDocument, query: EcertQuery, at: datetime) -> EcertVerdict:
        examined = examine(
            document.content,
            opened(document.content),
            policy=self.policy,
            at=at,
            trust=self.trust(),
            fetchers=self.fetchers(),
            sealing=self.sealing,
        )
        report, inside = examined.report, examined.inside
        # 1. the seal and its signatures, and that it is the issuer's: only PASSED and FAILED are final
        if report.indication is Indication.FAILED:
            return EcertVerdict(EvidenceState.REFUSED, _word(report.sub_indication), report)
        if report.indication is Indication.INDETERMINATE:
            retry = report.sub_indication is SubIndication.TRY_LATER
            return EcertVerdict(
                EvidenceState.REFUSED, f"indeterminate-{_word(report.sub_indication)}", report, retry=retry
            )
        # 2. the state at the source: a seal stays valid when a certificate is revoked
        if document.status is not EcertStatus.VALID:
            return EcertVerdict(EvidenceState.REFUSED, f"status-{document.status.value}", report)
        # 3. what stands inside, against what was asked: a valid signature over somebody else's document
        for reason, found, asked in _comparisons(inside, document, query):
            if found is None:
                return EcertVerdict(EvidenceState.REFUSED, f"{reason}-missing", report, inside=inside)
            if found != asked:
                return EcertVerdict(EvidenceState.REFUSED, f"{reason}-mismatch", report, inside=inside)
        if issuer_of(inside) is None:  # whose seal it must bear cannot be told
            return EcertVerdict(EvidenceState.REFUSED, "issuer-missing", report, inside=inside)
        return EcertVerdict(EvidenceState.SATISFIED, None, report, inside=inside)


def opened(content: bytes) -> OfdPackage | None:
    """None: no OFD (though an archive may hang at its end), or a malformed one, of which the verification says why."""
    try:
        return OfdPackage.open(content) if format_of(content) == "ofd" else None
    except Malformed:
        return None


def _comparisons(
    inside: Mapping[str, str], document: EcertDocument, query: EcertQuery
) -> list[tuple[str, str | None, str]]:
    compared = [
        ("holder", inside.get("holder_name"), query.holder_name),
        ("holder-code", inside.get("holder_code"), query.holder_code),
        ("type", inside.get("type_code"), query.type_code),
    ]
    # the number and the issuer: as asked, else as the source's interface said
    if number := query.number or document.metadata.number:
        compared.append(("number", inside.get("number"), number))
    if document.metadata.issuer_code:
        compared.append(("issuer", inside.get("issuer_code"), document.metadata.issuer_code))
    return compared


def _word(sub: SubIndication | None) -> str:
    return (sub.value if sub is not None else "unknown").lower().replace("_", "-")
