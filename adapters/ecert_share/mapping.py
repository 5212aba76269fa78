"""Canonical ↔ wire of the Shandong e-certificate sharing interface (domain page §2). Pure functions and tables.

What does not fit raises ``ValueError``; the text never quotes the peer's data.
"""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import Final, cast

from adapters.contract import (
    CollectAction,
    CollectedAnswer,
    CollectedEcert,
    CollectReceipt,
    CollectRefusal,
    PresentationState,
)
from schemas.ecerts import EcertMetadata, EcertQuery, EcertStatus, UseCause

Json = str | int | float | bool | None | Mapping[str, "Json"] | Sequence["Json"]
Record = Mapping[str, Json]

# --- status codes (statuses.toml) ---------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """What the hub makes of a status."""

    OK = "ok"
    REFUSED = "refused"
    RETRY = "retry"
    MISCONFIGURED = "misconfigured"


@dataclass(frozen=True, slots=True)
class Status:
    """One row of statuses.toml."""

    code: int
    outcome: Outcome
    word: str
    zh: str


_Table = Mapping[str, str]
_FILE: Final = tomllib.loads((files("adapters.ecert_share") / "statuses.toml").read_text(encoding="utf-8"))
STATUSES: Final[Mapping[int, Status]] = {
    int(code): Status(int(code), Outcome(row["outcome"]), row["word"], row["zh"])
    for code, row in cast(Mapping[str, _Table], _FILE["status"]).items()
}
STANDINGS: Final = {code: EcertStatus(word) for code, word in cast(_Table, _FILE["standing"]).items()}
NO_STANDINGS: Final = cast(_Table, _FILE["no_standing"])
_AUTHORIZATIONS: Final = cast(_Table, _FILE["authorization"])
AUTHENTICATION_FAILED: Final = 11


def status_of(code: int) -> Status:
    """The row of ``code``; a code that is in no table is theirs to explain: asked again, and suspended in the end."""
    return STATUSES.get(code) or Status(code, Outcome.RETRY, f"status-{code}", "未知状态码")


def authorization_state(code: Json) -> PresentationState:
    """verifyStatus 1 not yet, 2 authorized, everything else failed."""
    return PresentationState(_AUTHORIZATIONS.get(str(code), "failed"))


# --- metadata -----------------------------------------------------------------------------------------------------------

# canonical name, English dialect, pinyin dialect, and what else is read for it
METADATA: Final = (
    ("identifier", "certificateIdentifier", "ZZBS"),
    ("type_code", "certificateType", "ZZLXDM"),
    ("type_name", "certificateName", "ZZMC"),
    ("number", "certificateNumber", "ZZBH"),
    ("holder_name", "certificateHolder", "CZZT"),
    ("holder_code", "certificateHolderCode", "CZZTDM"),
    ("holder_code_type", "certificateHolderType", "CZZTDMLXDM"),
    ("issuer_name", "issueDept", "ZZBFJG"),
    ("issuer_code", "issueDeptCode", "ZZBFJGDM", "issueCode"),
    ("issued_on", "issueDate", "ZZBFRQ"),
    ("valid_from", "certificateValidateStart", "ZZYXQQSRQ"),
    ("valid_until", "certificateValidateEnd", "ZZYXQJZRQ"),
)
STATUS_FIELD: Final = "certificateStatus"
_KNOWN: Final = {wire for _, *wires in METADATA for wire in wires} | {STATUS_FIELD}


def metadata_from_wire(record: Record) -> EcertMetadata:
    """Either dialect, even mixed. Values stay as they came; every other field is kept under its own name in ``extra``."""
    values: dict[str, str] = {}
    for name, *wires in METADATA:
        found = next((text for wire in wires if (text := _text(record.get(wire)))), None)
        if found is not None:
            values[name] = found
    if "type_code" not in values:
        raise ValueError("a certificate without its type")
    extra = {key: text for key, value in record.items() if key not in _KNOWN and (text := _text(value))}
    return EcertMetadata.model_validate({**values, "extra": extra})


def metadata_to_wire(metadata: EcertMetadata, *, pinyin: bool = False) -> dict[str, str]:
    """The record as the library tells it (for the simulator, and for collecting)."""
    values = metadata.model_dump(by_alias=False)
    column = 2 if pinyin else 1
    named = {row[column]: str(values[row[0]]) for row in METADATA if values[row[0]] is not None}
    return {**metadata.extra, **named}


def standing_from_wire(record: Record) -> EcertStatus:
    """certificateStatus of a queried record. Without one, status 0 of the reply means that it is valid."""
    code = _text(record.get(STATUS_FIELD))
    return EcertStatus.VALID if code is None else STANDINGS.get(code, EcertStatus.UNKNOWN)


def records_from_wire(data: Json) -> tuple[Record, ...]:
    """Certificates of a query: one record or a list of them."""
    found = data if isinstance(data, list) else [data]
    if not all(isinstance(one, dict) for one in found):
        raise ValueError("no certificate record")
    return tuple(cast(Sequence[Record], found))


def _text(value: Json) -> str | None:
    if isinstance(value, str):
        return value or None
    if value is None or isinstance(value, bool | Mapping | Sequence):
        return None
    return str(value)


# --- requests -----------------------------------------------------------------------------------------------------------


def holder_query_to_wire(query: EcertQuery, call_category: str) -> dict[str, str]:
    """``data`` of queryCertInfoByHolderCode and downloadUrlsByHolderCode."""
    wire = {
        "holderCode": query.holder_code,
        "holderTypeCode": str(query.holder_code_type),
        "certTypeCode": query.type_code,
        "useCause": use_cause_to_wire(query.use_cause, call_category),
    }
    return {**wire, "certNo": query.number} if query.number else wire


USE_CAUSE_LIMIT: Final = 200  # characters of the whole JSON string


def use_cause_to_wire(cause: UseCause, call_category: str) -> str:
    """useCause: a JSON string of up to five fields, at most 200 characters in all.

    The field names alone take more than half of that, so what matters least is cut first, and a field with nothing in it
    is left out. The item code and the case number, by which the library's audit finds our case again, are never cut: if
    even they do not fit, ValueError.
    """
    parts = {  # in the order of cutting; the item's name goes first because its code says the same
        "item": cause.item_name,
        "category": call_category,
        "basis": cause.legal_basis,
        "purpose": cause.purpose,
        "system": cause.system_name,
    }
    text = _use_cause(cause, parts)
    for name in tuple(parts):
        while parts[name] and len(text) > USE_CAUSE_LIMIT:
            parts[name] = parts[name][: USE_CAUSE_LIMIT - len(text)].rstrip()
            text = _use_cause(cause, parts)
    if len(text) > USE_CAUSE_LIMIT:
        raise ValueError("useCause: the item code and the case number do not fit into 200 characters")
    return text


def _use_cause(cause: UseCause, parts: Mapping[str, str]) -> str:
    fields = {
        "certificateSystemName": parts["system"],
        "certificateCallCategory": parts["category"],
        "certificateMatterName": parts["item"],
        "certificateEventCode": cause.item_code or "",
        "certificateCopyCause": " ".join(part for part in (cause.case_id, parts["purpose"], parts["basis"]) if part),
    }
    present = {name: value for name, value in fields.items() if value}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":"))


# --- collecting (unconfirmed, see library.PUSH) -----------------------------------------------------------------------------


def collected_to_wire(ecert: CollectedEcert) -> dict[str, str]:
    """One record of CertCollect/push: the metadata, what was done, the digest and the file."""
    record = {**metadata_to_wire(ecert.metadata), "collectAction": ecert.action.value, "collectDigest": ecert.digest}
    if ecert.content is not None:
        record["content"] = base64.b64encode(ecert.content).decode("ascii")
    return record


def collected_from_wire(record: Record) -> CollectedEcert:
    """The other way, for the simulator and the round trip. ValueError if it is none."""
    own = ("collectAction", "collectDigest", "content")
    action, found, content = (_text(record.get(name)) for name in own)
    if found is None:
        raise ValueError("a collected record without its digest")
    return CollectedEcert(
        action=CollectAction(action or ""),
        metadata=metadata_from_wire({name: value for name, value in record.items() if name not in own}),
        digest=found,
        content=content.encode() if content is not None else None,  # base64, which the model decodes
    )


def receipt_from_wire(data: Json) -> CollectReceipt:
    """data of CertCollect/push: receiptNo, and failures[] of certificateIdentifier and status."""
    if not isinstance(data, Mapping) or not (number := _text(data.get("receiptNo"))):
        raise ValueError("no receiptNo")
    failures = data.get("failures") or []
    refused = []
    for failure in failures if isinstance(failures, list) else [failures]:
        identifier = _text(failure.get("certificateIdentifier")) if isinstance(failure, Mapping) else None
        code = _text(failure.get("status")) if isinstance(failure, Mapping) else None
        if identifier is None or code is None or not code.isascii() or not code.isdigit() or len(code) > 6:
            raise ValueError("a failure without certificateIdentifier or status")
        refused.append(CollectRefusal(identifier=identifier, code=status_of(int(code)).word))
    return CollectReceipt(peer_reference=number, refused=tuple(refused))


def collected_answer_from_wire(data: Json) -> CollectedAnswer:
    """data of CertCollect/summary: buckets[] or entries[]."""
    if not isinstance(data, Mapping):
        raise ValueError("no object")  # noqa: TRY004  as everything here that does not fit
    return CollectedAnswer.model_validate({name: data[name] for name in ("buckets", "entries") if name in data})
