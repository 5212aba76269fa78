"""Whose seal a certificate bears: its issuer's own, somebody's whom the rules let seal for it, or another's.

A trusted seal says that its owner sealed the file, and of nobody else: a school's seal does not make a university's diploma.
The owner is told by the signer's certificate (:mod:`certs.x509.owners`), the issuer by what the document states under that seal.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Final

from certs.ofd.metadata import read_ecert_fields
from certs.ofd.package import OfdPackage, listed_signatures, read_signature
from certs.policy import Policy
from certs.report import Axis, Finding, Indication, Owner, Report, Signer, SubIndication
from certs.trust import TrustStore
from certs.verify import Fetchers, verify
from certs.x509.names import folded
from hub.ecerts.catalogue import shanghai_day
from hub.ecerts.sealing import Issuer, SealingRules
from hub.logs import mask
from schemas.numbers import check_credit_code
from schemas.rules import FieldError

# 电子印章管理办法 21: 谁所有、谁控制, 谁签章、谁负责; 电子签名法 13 (1), (2): the key is the signatory's alone
_CLAUSE: Final = "国办发〔2025〕33号 21; 电子签名法 13"
_SHOWN: Final = 100  # characters of a name
# whose seal it is can be said only where all of this holds
_NEEDED: Final = frozenset({Axis.SIGNATURE, Axis.CONTENT, Axis.PATH})


@dataclass(frozen=True, slots=True)
class Examined:
    """``inside``: what the document states; nothing where it is not known whose seal it bears."""

    report: Report
    inside: Mapping[str, str]


def examine(
    document: bytes,
    package: OfdPackage | None,
    *,
    policy: Policy,
    at: datetime,
    trust: TrustStore,
    fetchers: Fetchers,
    sealing: SealingRules,
) -> Examined:
    """The verification of a file, with whose seal it bears. ``package``: the file, opened, if it is an OFD."""
    report = verify(document, policy=policy, at=at, trust=trust, fetchers=fetchers, package=package)
    if package is None or not report.signers or any(report.axis(axis) is not Indication.PASSED for axis in _NEEDED):
        return Examined(report, {})
    inside = read_ecert_fields(package)
    issuer = issuer_of(inside)
    if issuer is not None:
        finding = _judge(report, package, inside, issuer, sealing, policy)
        report = replace(report, findings=(*report.findings, finding))
    return Examined(report, inside)


def _can_be_told(report: Report) -> bool:
    judged = {finding.axis for finding in report.findings}
    doubtful = {finding.axis for finding in report.findings if finding.indication is not Indication.PASSED}
    return judged >= _NEEDED and _NEEDED.isdisjoint(doubtful)


def _judge(
    report: Report,
    package: OfdPackage,
    inside: Mapping[str, str],
    issuer: Issuer,
    sealing: SealingRules,
    policy: Policy,
) -> Finding:
    counting, others = list[tuple[Signer, Finding]](), list[Signer]()
    for signer in report.signers:
        day = shanghai_day(signer.signed_at or report.verified_at)
        found = _counts(signer, issuer, inside.get("type_code"), day, sealing)
        if found is None:
            others.append(signer)
        else:
            counting.append((signer, found))
    if not counting:
        return _another(others, issuer)
    # another seal may stand beside the issuer's, but all that the document states and shows must stand under the issuer's
    if others:
        theirs = {signer.signature for signer, _ in counting if signer.signature is not None}
        if _shown_by_others(package, theirs, policy) or read_ecert_fields(package, signatures=theirs) != inside:
            return _in_part(others, issuer)
    return counting[0][1]


def _shown_by_others(package: OfdPackage, theirs: Collection[int], policy: Policy) -> frozenset[str]:
    """Files under other signatures alone, but for those that signatures consist of and those that may lie outside every one."""
    listed = listed_signatures(package)
    files = [read_signature(package, entry.name) for entry in listed]
    parts = {name for one in files for name in (one.name, one.value_name, one.seal_name)}
    parts |= {entry.list_name for entry in listed}
    under_theirs = {one.name for index in theirs for one in files[index].references}
    named = {one.name for index, file in enumerate(files) if index not in theirs for one in file.references}
    return frozenset(name for name in named - under_theirs - parts if not policy.may_be_uncovered(name))


def _counts(signer: Signer, issuer: Issuer, type_code: str | None, day: date, sealing: SealingRules) -> Finding | None:
    """Why this seal counts for the issuer, or None."""
    owner = signer.owner or Owner(())
    if by := is_owner(owner, issuer):
        zh, en = "印章属于证照所载的发证机关", "the seal is that of the issuer that the document names"
        return _finding(signer, issuer, None, zh, en, by=by)
    rule = sealing.letting(owner, issuer, type_code, day)
    if rule is None:
        return None
    zh = f"印章不属于证照所载的发证机关, 依规定代其签章: {rule.source}"
    en = f"the seal is not that of the issuer that the document names; its owner may seal for it: {rule.source}"
    return _finding(signer, issuer, None, zh, en, by="rule", source=rule.source, version=sealing.version)


def issuer_of(inside: Mapping[str, str]) -> Issuer | None:
    """Whom the document names; None where it names nobody."""
    name, code = inside.get("issuer_name"), inside.get("issuer_code")
    if name is None and code is None:
        return None
    return Issuer(name, _credit_code((code or "").upper()))


@lru_cache(maxsize=1024)  # the issuers of most certificates are the same few
def _credit_code(text: str) -> str | None:
    try:
        return check_credit_code(text)
    except FieldError:
        return None


def is_owner(owner: Owner, issuer: Issuer) -> str | None:
    """By what the seal is the issuer's own (``code`` or ``name``), or None. Codes count before names: where both sides
    have one, names no longer matter."""
    if owner.codes and issuer.code is not None:
        return "code" if issuer.code in owner.codes else None
    named = issuer.name is not None and folded(issuer.name) in {folded(name) for name in owner.names}
    return "name" if named else None


def _another(others: Sequence[Signer], issuer: Issuer) -> Finding:
    seal, named = _names(others, issuer)
    zh = f"印章属于“{seal}”, 不属于证照所载的发证机关“{named}”, 也没有规定准其代章"
    en = f"the seal is that of “{seal}”, not of the issuer that the document names, “{named}”, and no rule lets it seal for it"
    return _finding(others[0], issuer, SubIndication.SEALED_BY_ANOTHER, zh, en)


def _in_part(others: Sequence[Signer], issuer: Issuer) -> Finding:
    seal, named = _names(others, issuer)
    zh = f"证照内容有一部分只在“{seal}”的印章之下, 不在发证机关“{named}”的印章之下"
    en = f"part of the document stands under the seal of “{seal}” alone, not under that of its issuer, “{named}”"
    return _finding(others[0], issuer, SubIndication.SEALED_BY_ANOTHER, zh, en)


def _names(others: Sequence[Signer], issuer: Issuer) -> tuple[str, str]:
    facts = _facts(others[0], issuer)
    return facts.get("owner") or facts.get("owner_code") or "?", facts.get("issuer") or facts.get("issuer_code") or "?"


def _finding(signer: Signer, issuer: Issuer, sub: SubIndication | None, zh: str, en: str, **data: str) -> Finding:
    verdict = Indication.FAILED if sub else Indication.PASSED
    return Finding(Axis.ISSUER, verdict, sub, _CLAUSE, zh, en, {**data, **_facts(signer, issuer)}, signer.signature)


def _facts(signer: Signer, issuer: Issuer) -> dict[str, str]:
    owner = signer.owner or Owner(())
    facts = {
        "owner": mask(", ".join(owner.names))[:_SHOWN],
        "owner_code": ", ".join(owner.codes)[:_SHOWN],
        "seal_name": mask(signer.seal_name or "")[:_SHOWN],
        "issuer": mask(issuer.name or "")[:_SHOWN],
        "issuer_code": issuer.code or "",
    }
    return {name: value for name, value in facts.items() if value}
