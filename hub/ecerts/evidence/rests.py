"""On what an answer rests, for whoever must show it: the item, and of each document its ground, source and verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from adapters.contract import EcertDocument
from certs.report import Axis
from hub.ecerts.entries import Evidence
from hub.ecerts.evidence import judging
from hub.ecerts.evidence.file import EvidenceFile
from hub.ecerts.evidence.planning import Routes, by_role, cited
from schemas.evidence import BasisKind, RestsOnBasis, RestsOnDocument, RestsOnSource, RestsView

Opened = Mapping[Evidence, judging.Held | None]  # what is handed out, and what is sealed of it


def rests_on(file: EvidenceFile, held: Opened, routes: Routes) -> RestsView:
    """No personal data: the predicate says it too."""
    row, item = file.row, file.item
    return RestsView(
        item=f"{item.basic_code}@{item.version}",
        legal_basis=item.legal_basis,
        region=row.region,
        purpose=row.purpose,
        case_reference=row.case_reference,
        documents=tuple(_document(file, document, one, routes) for document, one in held.items()),
    )


def _document(file: EvidenceFile, document: Evidence, held: judging.Held | None, routes: Routes) -> RestsOnDocument:
    row, basis, holder = file.documents[document], file.grounds[document], by_role(file.request).get(document.role)
    source = routes.endpoint(row.endpoint_id) if row.endpoint_id is not None else None
    report: Mapping[str, Any] = from_json(row.report) if row.report else {}
    return RestsOnDocument(
        document=str(document),
        basis=RestsOnBasis(
            kind=BasisKind(basis.kind.value),
            reference=basis.reference,
            cited=cited(file.request, holder) if holder is not None else None,
        ),
        source=RestsOnSource(system=source.system_id, name=source.system_name) if source is not None else None,
        status=held.status.value if isinstance(held, EcertDocument) else None,
        status_asked_at=row.checked_at,  # judged as soon as the source had answered, a kept document's status too
        indication=report.get("indication"),
        policy=report.get("policy"),
        sealing_rule=_sealing_rule(report),
    )


def _sealing_rule(report: Mapping[str, Any]) -> str | None:
    """None where the seal is the issuer's own."""
    for finding in report.get("findings", ()):
        if finding["axis"] == Axis.ISSUER.value and "source" in finding["data"]:
            return f"{finding['data']['source']} ({finding['data']['version']})"
    return None
