"""The REST intake over the wire: what is accepted, and each refusal by its exact code (docs/protocol/use-cases.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from certs.keys import SignatureAlgorithm
from hub.access import registration
from hub.db import DatabaseBusy, Tx
from tests.integration.intake_hub import OTHER_SYSTEM, HttpCaller, RunningHub, new_caller, running_hub, transfer


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("state"), max_body_kb=64) as running:
        yield running


@pytest.fixture(scope="module")
def caller(hub: RunningHub) -> HttpCaller:
    return new_caller(hub)


def refused(response: httpx.Response, status: int, code: str, word: str = "") -> dict[str, object]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["code"] == code
    assert body["type"] == f"urn:exchange-hub:problem:{code}"
    assert body["status"] == status
    assert str(body.get("detail", "")).startswith(word)
    return body


@pytest.mark.parametrize("algorithm", [
    SignatureAlgorithm.ECDSA_P256_SHA256, SignatureAlgorithm.RSA_PKCS1_SHA256, SignatureAlgorithm.ED25519,
    SignatureAlgorithm.SM2_SM3,
])  # fmt: skip
def test_a_transfer_is_taken_with_every_kind_of_key(hub: RunningHub, algorithm: SignatureAlgorithm) -> None:
    caller = new_caller(hub, f"sys-{algorithm.value}", algorithm)
    response = caller.send("POST", "/v1/transfers", transfer())
    assert response.status_code == 202, response.text
    answer = response.json()
    assert response.headers["location"] == f"{hub.url}/v1/transfers/{answer['caseId']}"
    shown = caller.send("GET", f"/v1/transfers/{answer['caseId']}")
    assert shown.status_code == 200
    assert shown.json()["caseId"] == answer["caseId"]


def test_the_same_message_gets_the_same_answer_and_another_is_a_conflict(caller: HttpCaller) -> None:
    message = transfer()
    first, second = caller.send("POST", "/v1/transfers", message), caller.send("POST", "/v1/transfers", message)
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    refused(caller.send("POST", "/v1/transfers", {**message, "reason": "另一原因"}), 409, "message-id-conflict")


def test_a_replayed_signature_is_refused(hub: RunningHub, caller: HttpCaller) -> None:
    body = json.dumps(transfer()).encode()
    request = caller.signed("POST", "/v1/transfers", body)
    assert caller.client.send(request).status_code == 202
    again = caller.client.build_request("POST", request.url, content=body, headers=request.headers)
    refused(caller.client.send(again), 401, "message-replayed")
    query = caller.signed("GET", "/v1/transfers")
    assert caller.client.send(query).status_code == 200
    refused(
        caller.client.send(caller.client.build_request("GET", query.url, headers=query.headers)),
        401,
        "message-replayed",
    )


def test_identity_refusals(hub: RunningHub, caller: HttpCaller) -> None:
    body = b"{}"
    json_type = {"content-type": "application/json"}
    refused(
        httpx.post(f"{hub.url}/v1/transfers", content=body, headers=json_type),
        401,
        "caller-unknown",
        "identity-missing",
    )
    stranger = HttpCaller(hub, caller.key, "nobody-knows-me")
    refused(stranger.send("POST", "/v1/transfers", body), 401, "caller-unknown", "key-unknown")
    old = datetime.now(UTC) - timedelta(minutes=10)
    told = refused(caller.send("POST", "/v1/transfers", body, created=old), 401, "signature-refused", "signature-stale")
    assert told["detail"] == "signature-stale: 早于 300 秒前"
    ahead = datetime.now(UTC) + timedelta(minutes=10)
    refused(caller.send("POST", "/v1/transfers", body, created=ahead), 401, "signature-refused", "signature-future")
    request = caller.signed("POST", "/v1/transfers", body)
    altered = caller.client.build_request("POST", request.url, content=b"[]", headers=request.headers)
    refused(caller.client.send(altered), 401, "signature-refused", "digest-mismatch")
    elsewhere = caller.client.build_request("POST", f"{hub.url}/v1/decisions", content=body, headers=request.headers)
    refused(caller.client.send(elsewhere), 401, "signature-refused", "signature-invalid")


def test_a_right_is_needed_and_covers_the_regions_below(hub: RunningHub) -> None:
    limited = new_caller(hub, "limited")

    def only_jinan(tx: Tx) -> None:
        for right in registration.store.rights(tx.conn, "limited"):
            registration.revoke_right(tx, "test", "limited", right.service, right.region)
        registration.grant(tx, "test", "limited", ["transfer.submit"], "370100")

    hub.db.write(only_jinan)
    hub.directory.forget()
    refused(limited.send("POST", "/v1/transfers", transfer()), 403, "access-denied", "transfer.submit 370202")
    message = transfer()
    message["receiving"] = {**message["receiving"], "region": "370103"}
    message["messageId"] = "jinan-1"
    assert limited.send("POST", "/v1/transfers", message).status_code == 202
    refused(limited.send("GET", "/v1/transfers"), 403, "access-denied", "transfer.query")


def test_message_refusals(caller: HttpCaller) -> None:
    post = "/v1/transfers"
    refused(caller.send("POST", post, b"{"), 400, "message-unreadable")
    refused(caller.send("POST", post, b"\xff\xfe"), 400, "message-unreadable")
    refused(caller.send("POST", post, b"[" * 300 + b"]" * 300), 413, "message-too-large")
    refused(caller.send("POST", post, b" " * 70_000), 413, "message-too-large", "至多")
    text = caller.send("POST", post, b"{}", headers={"content-type": "text/plain"})
    refused(text, 415, "media-type-refused")
    broken = transfer(student={**transfer()["student"], "idNumber": "370102201503070013"})
    body = refused(caller.send("POST", post, broken), 422, "message-invalid")
    faults = body["faults"]
    assert isinstance(faults, list)
    assert {fault["path"] for fault in faults} == {"/student/idNumber"}
    assert "370102201503070013" not in str(body)


def test_no_such_address_or_method(hub: RunningHub) -> None:
    refused(httpx.get(f"{hub.url}/v1/nothing"), 404, "operation-unknown")
    refused(httpx.post(f"{hub.url}/transfers", json={}), 404, "operation-unknown")  # /v1 was forgotten
    response = httpx.delete(f"{hub.url}/v1/transfers")
    refused(response, 405, "method-not-allowed")
    assert response.headers["allow"]


@pytest.mark.parametrize(
    "path",
    ["/v1/transfers/", "/v1/transfers/case_1/", "/v1/decisions/", "/soap/v1/exchange/", "/soap/v1/exchange/?wsdl"],
)
def test_a_trailing_slash_is_another_address(hub: RunningHub, caller: HttpCaller, path: str) -> None:
    """A redirect would be followed with a signature over the address before it, and refused as signature-invalid."""
    for method in ("GET", "POST"):
        refused(caller.send(method, path), 404, "operation-unknown")
        refused(httpx.request(method, hub.url + path), 404, "operation-unknown")


@pytest.mark.parametrize("charset", ["GB18030", '"gbk"', "utf-16"])
def test_a_charset_other_than_utf_8_is_told(caller: HttpCaller, charset: str) -> None:
    headers = {"content-type": f"application/json; charset={charset}"}
    told = refused(caller.send("POST", "/v1/transfers", b"{}", headers=headers), 415, "media-type-refused", "charset: ")
    assert "utf-8" in str(told["detail"])
    assert isinstance(told["faults"], list)
    (fault,) = told["faults"]
    assert (fault["path"], fault["rule"]) == ("header:content-type", "encoding")
    assert 'encoding="GB18030"' in fault["cure"]
    for good in ("utf-8", '"UTF-8"'):
        headers = {"content-type": f"application/json; charset={good}"}
        refused(caller.send("POST", "/v1/transfers", b"{}", headers=headers), 422, "message-invalid")


def test_pages_follow_a_cursor_that_nobody_can_make(hub: RunningHub, caller: HttpCaller) -> None:
    for _ in range(5):
        assert caller.send("POST", "/v1/transfers", transfer()).status_code == 202
    seen: list[str] = []
    path = "/v1/transfers?limit=2"
    while True:
        page = caller.send("GET", path)
        assert page.status_code == 200, page.text
        seen += [item["caseId"] for item in page.json()["items"]]
        if "nextCursor" not in page.json():
            break
        cursor = page.json()["nextCursor"]
        path = f"/v1/transfers?limit=2&cursor={cursor}"
    assert len(seen) == len(set(seen)) >= 5
    refused(caller.send("GET", f"/v1/transfers?cursor={cursor[:-3]}abc"), 400, "page-cursor-invalid")
    refused(caller.send("GET", f"/v1/transfers?state=open&cursor={cursor}"), 400, "page-cursor-invalid")
    stranger = new_caller(hub, OTHER_SYSTEM)
    refused(stranger.send("GET", f"/v1/transfers?cursor={cursor}"), 400, "page-cursor-invalid")
    refused(caller.send("GET", "/v1/transfers?limit=0"), 422, "message-invalid")
    refused(caller.send("GET", "/v1/transfers?state=lost"), 422, "message-invalid")
    several = refused(caller.send("GET", "/v1/transfers?pages=3&limit=1&limit=2"), 422, "message-invalid")
    assert isinstance(several["faults"], list)
    assert [(fault["path"], fault["rule"]) for fault in several["faults"]] == [
        ("query:pages", "unknown-field"),
        ("query:limit", "duplicate-field"),
    ]
    assert "cursor、limit、state" in several["faults"][0]["cure"]


def test_case_ids_that_cannot_be_are_unknown(caller: HttpCaller) -> None:
    for case_id in ("nothing", "case_%00", "x" * 5000, "case_0"):
        refused(caller.send("GET", f"/v1/transfers/{case_id}"), 404, "case-unknown")
        withdrawal = {"messageId": "w-1", "reason": "x"}
        refused(caller.send("POST", f"/v1/transfers/{case_id}/withdrawal", withdrawal), 404, "case-unknown")


def test_a_problem_speaks_the_callers_language_and_is_found_in_the_audit_log(
    hub: RunningHub, caller: HttpCaller
) -> None:
    chinese = caller.send("GET", "/v1/transfers/nothing").json()
    headers = {"accept-language": "en-GB, zh;q=0.3"}
    english = caller.send("GET", "/v1/transfers/nothing", headers=headers).json()
    assert chinese["title"] == "没有此办件"
    assert english["title"] == "There is no such case"
    entries = {entry.object: entry for entry in hub.entries()}
    entry = entries[english["problemId"]]
    assert (entry.actor, entry.outcome) == ("system:qd-registry", "case-unknown")
    assert entry.detail["operation"] == "QueryTransfer"


def test_a_bug_is_told_as_such_and_quotes_nothing(
    hub: RunningHub, caller: HttpCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("370102201503070012")

    monkeypatch.setattr(hub.cases, "submit_transfer", broken)
    response = caller.send("POST", "/v1/transfers", transfer())
    refused(response, 500, "hub-fault")
    assert response.headers["retry-after"]
    assert "370102201503070012" not in response.text


def test_a_busy_database_is_told_with_retry_after(
    hub: RunningHub, caller: HttpCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise DatabaseBusy("full")

    monkeypatch.setattr(hub.cases, "submit_transfer", busy)
    response = caller.send("POST", "/v1/transfers", transfer())
    refused(response, 503, "hub-busy")
    assert response.headers["retry-after"] == "2"


def test_one_caller_cannot_take_everything(tmp_path: Path) -> None:
    with running_hub(tmp_path, caller_rate=1, caller_burst=3) as hub:
        caller, other = new_caller(hub), new_caller(hub, OTHER_SYSTEM)
        answers = [caller.send("POST", "/v1/transfers", transfer()) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert other.send("POST", "/v1/transfers", transfer()).status_code == 202


def test_a_revoked_key_is_unknown(hub: RunningHub) -> None:
    caller = new_caller(hub, "leaver")
    assert caller.send("GET", "/v1/transfers").status_code == 200
    hub.db.write(lambda tx: registration.revoke_key(tx, "test", "leaver", caller.key_id))
    hub.directory.forget()
    refused(caller.send("GET", "/v1/transfers"), 401, "caller-unknown", "key-unknown")


def test_anonymous_refusals_cannot_fill_the_audit_log(tmp_path: Path) -> None:
    with running_hub(tmp_path) as hub, httpx.Client() as client:
        for _ in range(300):
            assert client.get(f"{hub.url}/v1/transfers").status_code == 401
        assert 120 <= len(hub.entries()) <= 140


def test_openapi_says_what_is_served(hub: RunningHub) -> None:
    document = httpx.get(f"{hub.url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    operations = {
        operation["operationId"]: operation for path in document["paths"].values() for operation in path.values()
    }
    assert set(operations) == {"SubmitTransfer", "ListTransfers", "QueryTransfer", "WithdrawTransfer", "SubmitDecision"}
    schemas = document["components"]["schemas"]
    assert schemas["TransferRequest"]["additionalProperties"] is False
    assert {"messageId", "student", "consent"} <= set(schemas["TransferRequest"]["required"])
    submit = operations["SubmitTransfer"]
    assert submit["responses"]["422"]["content"]["application/problem+json"]["schema"] == {
        "$ref": "#/components/schemas/Problem"
    }
    assert set(document["components"]["securitySchemes"]) == {"mutualTLS", "httpSignature"}


def test_a_transfer_that_cannot_be_true_opens_no_case(caller: HttpCaller) -> None:
    """Every fault at once, each with field and cure, in the caller's language; mended, the same message is taken."""
    given = datetime.now(UTC) - timedelta(days=1)
    consent = {"givenAt": given.isoformat(), "reference": "c-1"}
    message = transfer(consent=consent, submittedAt=(given - timedelta(hours=1)).isoformat())
    wrong = {**message, "releasing": {**message["releasing"], "grade": 10}}
    for language, cure in (("zh", "先取得同意"), ("en", "obtain the consent first")):
        response = caller.send(
            "POST", "/v1/transfers", wrong, headers={"content-type": "application/json", "accept-language": language}
        )
        body = refused(response, 422, "message-invalid")
        faults = body["faults"]
        assert isinstance(faults, list)
        assert [(one["path"], one["rule"]) for one in faults] == [
            ("/consent/givenAt", "consent-after-submission"),
            ("/releasing/grade", "grade-not-in-stage"),
        ]
        assert cure in faults[0]["cure"]
    mended = message | {"submittedAt": given.isoformat()}
    assert caller.send("POST", "/v1/transfers", mended).status_code == 202
