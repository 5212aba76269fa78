"""POST /v1/verifications over the wire: the verdict of documents that hold and that do not, and each refusal."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

import httpx
import pytest

from certs.keys import PrivateKey, SignatureAlgorithm
from certs.ofd.write import SignOptions, pack, sign_ofd, unpack, write_ecert
from certs.render import report_to_html, report_to_text
from hub.access.callers import KeyKind
from hub.db import Tx
from hub.ecerts import verifier as verifier_module
from hub.ecerts.check import opened
from hub.ecerts.fetchers import RevocationFetchers
from hub.ecerts.issuer import examine
from hub.ecerts.revocations import store
from hub.ecerts.revocations.index import identifier_index
from hub.ecerts.revocations.status import notices_of, with_status
from hub.ecerts.trust import TrustFolder
from hub.ecerts.verifier import EACH, Verifier
from hub.intake import assembly, verifications
from tests.delivering import VAULT
from tests.integration.intake_hub import OTHER_SYSTEM, HttpCaller, RunningHub, new_caller, running_hub
from tests.unit.certs.ofd_cases import FIELDS, NOW, world

LIMIT = 2 * 2**20
PATH = "/v1/verifications"
AT = (NOW + timedelta(minutes=1)).isoformat().replace("+00:00", "Z")


@dataclass
class Place:
    hub: RunningHub
    caller: HttpCaller

    def post(self, body: bytes, query: str = "", **headers: str) -> httpx.Response:
        sent = {"content-type": "application/octet-stream", **headers}
        return self.caller.send("POST", PATH + query, body, headers=sent)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    state = tmp_path_factory.mktemp("state")
    one = world()
    one.trust.save(state / "trust")
    (state / "issuers").mkdir()
    for n, cert in enumerate((one.authority.intermediate.cert, one.authority.signer.cert)):
        (state / "issuers" / f"{n}.crt").write_bytes(cert.der)
    (state / "crls").mkdir()
    for n, crl in enumerate(one.revocation.crls):
        (state / "crls" / f"{n}.crl").write_bytes(crl)
    with running_hub(state, max_body_kb=64) as hub:
        trust = TrustFolder(state, RevocationFetchers(state / "crls", frozenset()))
        verifier = Verifier(trust, "strict", notices_of(hub.db, VAULT))
        gate = assembly.create_gate(hub.settings, hub.db, hub.directory)
        hub.app.include_router(verifications.create_router(gate, hub.db, verifier, max_document=LIMIT))
        yield Place(hub, new_caller(hub))


def refused(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == code


def test_a_genuine_document_passes_and_an_altered_one_fails(place: Place) -> None:
    document = world().signed()
    answer = place.post(document, f"?at={AT.replace('+', '%2B')}")
    assert answer.status_code == 200, answer.text
    report = answer.json()
    assert (report["indication"], report["format"], report["policy"]) == ("PASSED", "ofd", "strict"), report
    assert report["axes"]["seal"] == "PASSED"
    assert answer.headers["cache-control"] == "no-store"
    entry = place.hub.entries("document.verify")[-1]
    assert (entry.outcome, entry.detail["sha256"]) == ("PASSED", report["digest_sha256"])

    told = place.post(_altered(document), f"?at={AT}").json()
    assert (told["indication"], told["sub_indication"]) == ("FAILED", "HASH_FAILURE")
    assert place.post(b"%PDF- no such thing").json()["indication"] == "FAILED"
    assert place.post(b"\x00\x01").json()["format"] == "unknown"


def _altered(document: bytes) -> bytes:
    """One letter of the content changed, the archive itself in order."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(document)) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(
                name, data.replace("姓名".encode(), "名姓".encode()) if name.endswith("Content.xml") else data
            )
    assert changed.getvalue() != document
    return changed.getvalue()


def certificate(serial: str) -> tuple[bytes, str]:
    """A sealed certificate with an identifier inside."""
    identifier = f"1.2.156.3005.2.11100000000013338W905.11370102000000000X.{serial}.001.L"
    plain = write_ecert(FIELDS | {"identifier": identifier}, ["x"], title="学位证书", created=NOW, doc_id="1" * 32)
    return sign_ofd(plain, world().authority.signer, SignOptions(seal=world().seal()), at=NOW), identifier


def test_a_trusted_seal_that_is_not_the_issuers_is_told_with_the_law(place: Place) -> None:
    w = world()
    school = w.authority.intermediate.issue({"C": "CN", "O": "示例学校"})
    plain = write_ecert(FIELDS, ["x"], title="学位证书", created=NOW, doc_id="2" * 32)
    told = place.post(sign_ofd(plain, school, SignOptions(seal=w.seal(signers=(school,))), at=NOW), f"?at={AT}").json()
    assert (told["indication"], told["sub_indication"]) == ("FAILED", "SEALED_BY_ANOTHER")
    assert {axis for axis, verdict in told["axes"].items() if verdict != "PASSED"} == {"issuer"}
    assert told["signers"][0]["owner"] == {"names": ["示例学校"], "codes": []}
    (finding,) = [one for one in told["findings"] if one["axis"] == "issuer"]
    assert finding["data"]["owner"] == "示例学校"
    assert finding["data"]["issuer"] == FIELDS["issuer_name"]
    assert "电子签名法 13" in finding["clause"]

    own = place.post(certificate("C001")[0], f"?at={AT}").json()
    assert own["axes"]["issuer"] == "PASSED"
    letter = write_ecert({"number": "1"}, ["x"], title="信函", created=NOW, doc_id="3" * 32)
    signed = sign_ofd(letter, school, SignOptions(seal=w.seal(signers=(school,))), at=NOW)
    told = place.post(signed, f"?at={AT}").json()
    assert told["indication"] == "PASSED"
    assert "issuer" not in told["axes"]  # it names none


def notify(place: Place, identifier: str, *, since: timedelta = timedelta(), reason: str = "revoked") -> str:
    notice = f"rev_{identifier[-12:]}"
    row = store.NoticeRow(notice, None, None, "d", reason, "鲁教撤决〔2026〕4号", NOW + since, NOW, "{}")

    def write(tx: Tx) -> None:
        store.add_notice(tx.conn, row)
        store.remember(tx.conn, [identifier_index(VAULT, identifier.lower())], notice, NOW + timedelta(days=180))

    place.hub.db.write(write)
    return notice


def test_a_certificate_that_a_notice_names_is_not_called_good(place: Place) -> None:
    document, identifier = certificate("A001")
    before = place.post(document, f"?at={AT}").json()
    assert before["indication"] == "PASSED"
    assert "status" not in before["axes"]
    (note,) = before["notes"]  # data, and no verdict
    assert note["code"] == "status-not-asked"
    notice = notify(place, identifier)
    after = place.post(document, f"?at={AT}").json()
    assert (after["indication"], after["sub_indication"]) == ("FAILED", "REVOKED")
    assert after["axes"] == before["axes"] | {"status": "FAILED"}
    (finding,) = [one for one in after["findings"] if one["axis"] == "status"]
    assert finding["data"] == {"notice": notice, "revoked_at": NOW.isoformat(), "reason": "revoked",
                               "source": "鲁教撤决〔2026〕4号"}  # fmt: skip
    assert notice in finding["detail_zh"]
    assert notice in finding["detail_en"]
    assert place.hub.entries("document.verify")[-1].outcome == "FAILED"


@pytest.mark.parametrize(("reason", "verdict"), [("revoked", "PASSED"), ("annulled", "FAILED")])
def test_as_of_a_time_before_it_was_revoked(place: Place, reason: str, verdict: str) -> None:
    """What is annulled should never have been issued; what is revoked held until then."""
    document, identifier = certificate(f"B{reason[:3].upper()}")
    notify(place, identifier, since=timedelta(hours=1), reason=reason)
    told = place.post(document, f"?at={AT}").json()
    assert told["indication"] == verdict
    assert [note["code"] for note in told["notes"]] == (["revoked-later"] if verdict == "PASSED" else [])


def test_only_what_a_signature_that_holds_covers_is_looked_up(place: Place) -> None:
    document, identifier = certificate("C001")
    notify(place, identifier)
    altered = place.post(_spoilt(document), f"?at={AT}").json()
    assert altered["sub_indication"] == "HASH_FAILURE"
    assert "status" not in altered["axes"]
    assert altered["notes"] == []
    plain = write_ecert(FIELDS | {"identifier": identifier}, ["x"], title="x", created=NOW, doc_id="1" * 32)
    unsigned = place.post(plain, f"?at={AT}").json()
    assert "status" not in unsigned["axes"]
    assert world().verify(document).notes == ()


def test_people_are_told_too(place: Place) -> None:
    """The console's page and the text are made of the same report."""
    document, identifier = certificate("D001")
    notices = notices_of(place.hub.db, VAULT)
    package, at = opened(document), NOW + timedelta(minutes=1)
    report = with_status(world().verify(document), package, notices, at)
    assert "未向证照库查询" in report_to_html(report)
    assert "was not asked" in report_to_text(report, language="en")
    notice = notify(place, identifier)
    html = report_to_html(with_status(world().verify(document), package, notices, at))
    assert "证照状态" in html
    assert notice in html
    assert "不通过" in html


def _spoilt(document: bytes) -> bytes:
    members = unpack(document)
    members["Doc_0/Document.xml"] += b" "
    return pack(members)


def test_what_is_asked_in_the_query(place: Place) -> None:
    document = world().signed()
    assert place.post(document, f"?policy=field&at={AT}").json()["policy"] == "field"
    for query in ("?policy=../../etc/passwd", "?policy=x.toml", "?policy=strict&policy=field", "?at=yesterday",
                  "?at=2026-09-01T09:00:00", "?at=0001-01-01T00:00:00%2B23:59", "?other=1"):  # fmt: skip
        refused(place.post(document, query), 422, "message-invalid")


def test_the_ends_of_the_calendar_are_times_too(place: Place) -> None:
    for at in ("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
        answer = place.post(world().signed(), f"?at={at}")
        assert (answer.status_code, answer.json()["indication"] == "PASSED") == (200, False), answer.text
    for at in ("9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00%2B08:00"):  # there is no such time
        refused(place.post(world().signed(), f"?at={at}"), 422, "message-invalid")


def test_each_refusal(place: Place) -> None:
    refused(place.post(b""), 422, "message-invalid")
    refused(place.post(b"x", **{"content-type": "application/json"}), 415, "media-type-refused")
    refused(place.post(b"x", **{"content-encoding": "gzip"}), 415, "media-type-refused")
    refused(httpx.post(place.hub.url + PATH, content=b"x", headers={"content-type": "application/octet-stream"}), 401,
            "caller-unknown")  # fmt: skip
    refused(place.post(bytes(LIMIT + 1)), 413, "message-too-large")
    assert place.post(bytes(LIMIT)).status_code == 200


def test_the_right_is_needed(place: Place) -> None:
    key = PrivateKey.generate(SignatureAlgorithm.ED25519)
    stranger = HttpCaller(
        place.hub, key, place.hub.register("no-rights", KeyKind.HTTP, key.public_key.spki, rights=False)
    )
    answer = stranger.send("POST", PATH, b"x", headers={"content-type": "application/octet-stream"})
    refused(answer, 403, "access-denied")


def test_a_recorded_request_cannot_be_sent_again(place: Place) -> None:
    request = place.caller.signed("POST", PATH, b"doc", headers={"content-type": "application/octet-stream"})
    assert place.caller.client.send(request).status_code == 200
    refused(place.caller.client.send(request), 401, "message-replayed")


def test_nobody_unknown_has_a_large_body_read(place: Place) -> None:
    """Refused by the head alone: not one byte of the body was sent."""
    large = bytes(LIMIT)
    signed = place.caller.signed("POST", PATH, large, headers={"content-type": "application/octet-stream"})
    head = {name: value for name, value in signed.headers.items() if name != "host"}
    unsigned = {name: value for name, value in head.items() if not name.startswith("signature")}
    without_digest = {name: value for name, value in head.items() if name != "content-digest"}
    key = PrivateKey.generate(SignatureAlgorithm.ED25519)
    key_id = place.hub.register("no-rights-either", KeyKind.HTTP, key.public_key.spki, rights=False)
    stranger = HttpCaller(place.hub, key, key_id).signed(
        "POST", PATH, large, headers={"content-type": head["content-type"]}
    )
    for headers, status, code in (
        (unsigned, 401, "caller-unknown"),
        (head | {"content-digest": f"sha-256=:{'A' * 43}=:"}, 401, "signature-refused"),
        (without_digest, 401, "signature-refused"),
        (dict(stranger.headers), 403, "access-denied"),
    ):
        connection = http.client.HTTPConnection(place.hub.url.removeprefix("http://"), timeout=10)
        connection.request("POST", PATH, headers=headers)
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["code"]) == (status, code)
        connection.close()
    other = place.caller.client.post(place.hub.url + PATH, content=bytes(LIMIT - 1) + b"x", headers=head)
    refused(other, 401, "signature-refused")


def test_a_recorded_head_of_a_large_body_takes_no_place(place: Place) -> None:
    """It is told so before its body comes, also while the one that it was recorded of is still being sent."""
    large = bytes(LIMIT)
    signed = place.caller.signed("POST", PATH, large, headers={"content-type": "application/octet-stream"})

    def begun() -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(place.hub.url.removeprefix("http://"), timeout=10)
        connection.putrequest("POST", PATH)
        for name, value in signed.headers.items():
            if name != "host":
                connection.putheader(name, value)
        connection.endheaders()
        return connection

    first = begun()
    time.sleep(0.4)
    again = begun().getresponse()
    assert (again.status, json.load(again)["code"]) == (401, "message-replayed")
    first.send(large)
    assert first.getresponse().status == 200
    late = begun().getresponse()
    assert (late.status, json.load(late)["code"]) == (401, "message-replayed")


def test_one_caller_s_files_hold_up_nobody_else(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of slow files as many are taken as one caller has places; the others are refused at once, and reads go on meanwhile."""
    go = threading.Event()

    def slow(document: bytes, *given: object, **how: object) -> object:
        go.wait(20)
        return examine(document, *given, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(verifier_module, "examine", slow)
    other = new_caller(place.hub, OTHER_SYSTEM)
    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(place.post, b"x") for _ in range(12)]
        end = time.monotonic() + 15
        while sum(one.done() for one in asked) < 12 - EACH:
            assert time.monotonic() < end
            time.sleep(0.01)
        for one in asked:
            if one.done():
                refused(one.result(), 503, "hub-busy")
        for _ in range(4):
            began = time.monotonic()
            assert place.caller.send("GET", "/v1/transfers").status_code == 200
            assert time.monotonic() - began < 2
        waits = pool.submit(other.send, "POST", PATH, b"x", headers={"content-type": "application/octet-stream"})
        time.sleep(0.3)
        assert not waits.done()  # it has a place in the queue
        go.set()
        assert waits.result().status_code == 200
    assert sorted(one.result().status_code for one in asked) == [200] * EACH + [503] * (12 - EACH)


def test_it_is_described(place: Place) -> None:
    place.hub.app.openapi_schema = None
    document = place.hub.app.openapi()
    operation = document["paths"][PATH]["post"]
    assert operation["operationId"] == "VerifyDocument"
    assert operation["requestBody"]["content"]["application/octet-stream"]["schema"]["format"] == "binary"
    report = place.post(b"\x00").json()
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(report) == set(schema["properties"])
    for finding in report["findings"]:
        assert set(finding) == set(schema["properties"]["findings"]["items"]["properties"])
    json.dumps(document)
