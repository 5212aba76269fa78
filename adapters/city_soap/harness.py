"""This adapter, for the contract suite. Answers that are signed stand in its unit tests: a signature cannot be canned."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar, cast

from lxml import etree

from adapters import samples
from adapters.city_soap import mapping, simulator, soap
from adapters.city_soap.mapping import Wire
from adapters.contract import (
    DeliveryStatus,
    OutcomeUnknown,
    PeerMisconfigured,
    Receipt,
    RetryLater,
    StatusAnswer,
)
from adapters.harness import Harness, Refusal, RoundTrip, Setup
from adapters.registry_calls import STEPS_AND_ENROLMENT
from certs.issuing.authority import new_root
from certs.keys import SignatureAlgorithm
from certs.pkcs8 import armour
from schemas.base import Canonical
from schemas.ecerts import EnrolmentRecord
from schemas.safe_xml import UnsafeXml, parse
from schemas.transfers import Decision

C = TypeVar("C", bound=Canonical)
CITY: Final = "370100"
_OK: Final = {"lsh": "key-1", "jgm": "0000"}


def setup(folder: Path) -> Setup:
    now = datetime.now(UTC)
    for name in ("hub", "city"):
        begin, end = now - timedelta(days=1), now + timedelta(days=30)
        made = new_root(name, SignatureAlgorithm.RSA_PKCS1_SHA256, not_before=begin, not_after=end)
        (folder / f"{name}.cert.pem").write_bytes(armour("CERTIFICATE", made.cert.der))
        (folder / f"{name}.key.pem").write_bytes(made.key.to_pem())
    files = ("--key-file", "city.key.pem", "--cert-file", "city.cert.pem", "--hub-cert-file", "hub.cert.pem")
    return Setup(
        "adapters.city_soap.simulator",
        ("--region", CITY, "--decide-after", "0.3", *(str(folder / f) if "." in f else f for f in files)),
        settings={
            "signing_key_file": str(folder / "hub.key.pem"),
            "signing_cert_file": str(folder / "hub.cert.pem"),
            "peer_certs_file": str(folder / "city.cert.pem"),
        },
        base_path=simulator.PATH,
    )


def _body(message: bytes) -> etree._Element:
    try:
        body = parse(message).find(f"{{{soap.SOAP}}}Body")
    except UnsafeXml as error:
        raise ValueError(str(error)) from None
    if body is None:
        raise ValueError("no soap:Body")
    return body


def _request(
    operation: str, samples_: tuple[C, ...], out: Callable[[C], Wire], back: Callable[[Wire], Canonical], fixture: str
) -> RoundTrip:
    """A message that the hub writes by zeep and the city reads without it."""
    return RoundTrip(
        operation,
        fixture,
        samples_,
        lambda m: soap.serialize(soap.request_envelope(operation, out(cast(C, m))), "gb18030"),
        lambda b: back(soap.request_record(_body(b))[1]),
    )


def _reply(
    name: str, operation: str, samples_: tuple[C, ...], out: Callable[[C], Wire], back: Callable[[Wire], Canonical]
) -> RoundTrip:
    """A message that the city writes and the hub reads by zeep."""
    return RoundTrip(
        name,
        f"{name}.xml",
        samples_,
        lambda m: soap.serialize(soap.reply_envelope(operation, out(cast(C, m))), "utf-8"),
        lambda b: back(soap.reply_record(operation, _body(b))),
    )


def _status_record(answer: StatusAnswer) -> Wire:
    decision = mapping.decision_to_wire(answer.decision) if answer.decision else None
    return {**_OK, "blztm": mapping.STATUSES[answer.status], "slbh": answer.peer_reference, "blyj": decision}


def _decision_record(decision: Decision) -> Wire:
    return {**_OK, "blyj": mapping.decision_to_wire(decision)}


def _receipt_record(receipt: Receipt) -> Wire:
    return {**_OK, "slbh": receipt.peer_reference}


def _enrolment_record(record: EnrolmentRecord) -> Wire:
    return {"jgm": "0000", "xjxx": mapping.enrolment_to_wire(record)}


def _enrolment_back(reply: Wire) -> EnrolmentRecord:
    return mapping.enrolment_from_wire(cast(Wire, reply["xjxx"]))


_UNSIGNED: Final = soap.serialize(soap.reply_envelope("TuisongZhuanxue", _OK), "utf-8")
_UNSIGNED_FAULT: Final = soap.serialize(soap.fault_envelope("1001", samples.private()[0], ours=False), "utf-8")

HARNESS = Harness(
    setup=setup,
    calls=STEPS_AND_ENROLMENT,
    round_trips=(
        _request(
            "TuisongZhuanxue",
            (samples.full_step("key-1"), samples.step("key-1")),
            mapping.step_to_wire,
            mapping.step_from_wire,
            "step.xml",
        ),
        _request(
            "ZuofeiHuanjie",
            (samples.cancelled("key-1"),),
            mapping.cancelled_to_wire,
            mapping.cancelled_from_wire,
            "cancellation.xml",
        ),
        _request(
            "HuoquXueji",
            (samples.enrolment_query(),),
            mapping.enrolment_query_to_wire,
            mapping.enrolment_query_from_wire,
            "enrolment-query.xml",
        ),
        _reply(
            "decision",
            "TuisongZhuanxue",
            (samples.decision(refused=True), samples.decision()),
            _decision_record,
            mapping.answer_from_wire,
        ),
        _reply(
            "receipt",
            "TuisongZhuanxue",
            (Receipt(peer_reference="SL37010000000001"), Receipt()),
            _receipt_record,
            mapping.answer_from_wire,
        ),
        _reply(
            "status",
            "ChaxunZhuangtai",
            (
                StatusAnswer(status=DeliveryStatus.DECIDED, peer_reference="SL1", decision=samples.decision()),
                StatusAnswer(status=DeliveryStatus.RECEIVED, peer_reference="SL1"),
                StatusAnswer(status=DeliveryStatus.UNKNOWN),
            ),
            _status_record,
            mapping.status_from_wire,
        ),
        _reply("record", "HuoquXueji", (samples.record(), samples.bare_record()), _enrolment_record, _enrolment_back),
    ),
    private=samples.private(),
    message=samples.step,
    refusals=(
        Refusal("unsigned", "deliver-step", _UNSIGNED, PeerMisconfigured, "answer-not-signed-by-peer"),
        Refusal("unsigned-fault", "deliver-step", _UNSIGNED_FAULT, OutcomeUnknown, "http-500", status=500),
        Refusal("unsigned-fault-query", "fetch-enrolment", _UNSIGNED_FAULT, RetryLater, "http-500", status=500),
        Refusal("no-interface", "deliver-step", b"<html/>", PeerMisconfigured, "http-404", status=404),
        Refusal("a-page", "deliver-step", b"<html/>", OutcomeUnknown, "answer-unreadable"),
    ),
)
