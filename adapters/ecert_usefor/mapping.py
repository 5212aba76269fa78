"""Canonical ↔ wire of the UseFor dialect (domain page §2, last paragraph). Names are seen; paths and codes are unconfirmed.

Pure functions. What does not fit raises ValueError, whose text names fields and quotes nothing.
"""

from __future__ import annotations

import base64
import binascii
from types import MappingProxyType
from typing import Final

from adapters.json_wire import JsonObject, Unfit, decode, maybe_text, part, text
from schemas.ecerts import EcertMetadata, EcertQuery, EcertStatus

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


def query_to_wire(query: EcertQuery, *, org_name: str, username: str, business_code: str) -> JsonObject:
    """Why it is asked for stands in five fields of its own, not in a JSON text as elsewhere."""
    cause = query.use_cause
    wire = {
        "CertificateType": query.type_code,
        "CertificateHolderCode": query.holder_code,
        "CertificateHolderType": str(query.holder_code_type),
        "UseFor": " ".join((cause.case_id, cause.purpose, cause.legal_basis)),
        "orgName": org_name,
        "username": username,
        "itemName": cause.item_name,
        "itemCode": cause.item_code or "",
        "businessCode": business_code,
    }
    return {**wire, "CertificateNumber": query.number} if query.number else wire


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


def content_from_wire(record: JsonObject) -> bytes:
    try:
        return base64.b64decode(text(record, "FileData"), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit("FileData: no base64") from None
