"""Canonical ↔ wire of the UseFor dialect (domain page §2, last paragraph). Names are seen; paths and codes are unconfirmed.

Pure functions. What does not fit raises ValueError, whose text names fields and quotes nothing.
"""

from __future__ import annotations

import base64
import binascii
from types import MappingProxyType
from typing import Final

from adapters.contract import PresentationRequest, PresentationState, PresentedQuery
from adapters.json_wire import JsonObject, Unfit, decode, maybe_text, part, text
from schemas.ecerts import EcertMetadata, EcertQuery, EcertStatus, UseCause

OK: Final = "0"
REFUSED: Final = MappingProxyType(  # code of the answer -> the word for what the library will not do
    {
        "1001": "not-found",
        "1002": "no-permission",
        "1003": "type-unpublished",
        "1004": "restricted",
        "1005": "bad-value",
        "1101": "not-found",  # auth_code is nobody's
        "1102": "expired",  # auth_code ran out
        "1103": "code-used",
    }
)
MISCONFIGURED: Final = MappingProxyType({"2001": "authentication-failed", "2002": "service-not-provided"})
FIELDS: Final = (
    ("identifier", "CertificateID"),
    ("type_code", "CertificateType"),
    ("type_name", "CertificateName"),
    ("number", "CertificateNumber"),
    ("holder_name", "CertificateHolder"),
    ("holder_code", "CertificateHolderCode"),
    ("holder_code_type", "CertificateHolderType"),
    ("issuer_name", "IssueOrgName"),
    ("issuer_code", "IssueOrgCode"),
    ("issued_on", "IssueDate"),
    ("valid_from", "ValidBegin"),
    ("valid_until", "ValidEnd"),
)
STATUSES: Final = MappingProxyType(
    {
        EcertStatus.VALID: "1",
        EcertStatus.REVOKED: "2",
        EcertStatus.EXPIRED: "3",
        EcertStatus.SUSPENDED: "4",
        EcertStatus.NOT_ACTIVATED: "0",
    }
)
AUTHORIZATIONS: Final = MappingProxyType(
    {PresentationState.PENDING: "0", PresentationState.AUTHORIZED: "1", PresentationState.FAILED: "2"}
)


def caller_to_wire(*, org_name: str, username: str, business_code: str) -> JsonObject:
    """Who asks: the same in every question."""
    return {"orgName": org_name, "username": username, "businessCode": business_code}


def cause_to_wire(cause: UseCause) -> JsonObject:
    """Why it is asked for stands in fields of its own, not in a JSON text as elsewhere."""
    return {
        "UseFor": " ".join((cause.case_id, cause.purpose, cause.legal_basis)),
        "itemName": cause.item_name,
        "itemCode": cause.item_code or "",
    }


def query_to_wire(query: EcertQuery) -> JsonObject:
    wire = {
        "CertificateType": query.type_code,
        "CertificateHolderCode": query.holder_code,
        "CertificateHolderType": str(query.holder_code_type),
        **cause_to_wire(query.use_cause),
    }
    return {**wire, "CertificateNumber": query.number} if query.number else wire


def presentation_to_wire(request: PresentationRequest) -> JsonObject:
    """An authorization code with what it is used for. ``identity_number`` is not sent: the code says whose it is."""
    cause = request.use_cause
    return {
        "auth_code": request.shown_code,
        "service_item_code": cause.item_code or "",
        "biz_num": cause.case_id,
        "CertificateType": ",".join(request.type_codes),
        **cause_to_wire(cause),
    }


def presented_to_wire(query: PresentedQuery) -> JsonObject:
    return {"AuthID": query.reference, "CertificateType": query.type_code, **cause_to_wire(query.use_cause)}


def metadata_to_wire(metadata: EcertMetadata) -> JsonObject:
    values = metadata.model_dump(by_alias=False)
    named = {wire: values[name] for name, wire in FIELDS if values[name] is not None}
    return {**named, "Extend": dict(metadata.extra)}


def metadata_from_wire(record: JsonObject) -> EcertMetadata:
    values = {name: found for name, wire in FIELDS if (found := maybe_text(record, wire)) is not None}
    extend = part(record, "Extend")
    text(record, "CertificateType")
    return EcertMetadata.model_validate({**values, "extra": {name: text(extend, name) for name in extend}})


def status_from_wire(record: JsonObject) -> EcertStatus:
    return decode(STATUSES, record, "CertificateStatus")


def authorization_from_wire(record: JsonObject) -> PresentationState:
    return decode(AUTHORIZATIONS, record, "AuthStatus")


def content_from_wire(record: JsonObject) -> bytes:
    try:
        return base64.b64decode(text(record, "FileData"), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit("FileData: no base64") from None
