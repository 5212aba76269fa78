"""schemathesis over the whole OpenAPI of a running hub, with a caller who signs and has every right: no answer is a 5xx."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from requests.auth import AuthBase
from schemathesis.generation import GenerationMode

from certs.http.signatures import sign_request
from certs.keys import PrivateKey, SignatureAlgorithm
from hub.access import registration
from hub.access.callers import KeyKind, Service
from hub.access.key_files import read_key_file
from hub.access.tls_auth import server_options
from hub.app import Hub
from hub.config import Settings
from hub.db import Tx
from tests.integration.intake_hub import SYSTEM, register_parties
from tests.integration.ports import free_port

KEY = PrivateKey.generate(SignatureAlgorithm.ECDSA_P256_SHA256)


class Signed(AuthBase):
    """Signs whatever is about to be sent."""

    def __init__(self, key_id: str) -> None:
        self._key_id = key_id

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        kept = [(name, value) for name, value in request.headers.items() if name.lower() in ("content-type",)]
        added = sign_request(
            request.method or "GET", request.url or "", kept, body, key=KEY, key_id=self._key_id,
            created=datetime.now(UTC), nonce=secrets.token_hex(12),
        )  # fmt: skip
        request.headers.update(added)
        return request


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Signed]]:
    """(the hub's address, a caller with every right)."""
    given = Settings(
        state_dir=tmp_path_factory.mktemp("fuzzed"), port=free_port(), caller_rate=0, role="api", log_level="error"
    )
    hub = Hub(given)

    def write(tx: Tx) -> str:
        register_parties(tx, hub.vault)
        registration.grant(tx, "test", SYSTEM, [service.value for service in Service], "370000")
        return registration.add_key(tx, "test", SYSTEM, read_key_file(KeyKind.HTTP, KEY.public_key.spki))

    key_id = hub.db.write(write)
    server = uvicorn.Server(uvicorn.Config(hub.app, log_level="error", **server_options(given)))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield given.effective_public_url, Signed(key_id)
    server.should_exit = True
    thread.join()


@pytest.mark.timeout(600)
def test_no_input_is_a_fault_of_ours(caller: tuple[str, Signed]) -> None:
    """Every operation of the document, each with inputs that fit it and inputs that do not."""
    url, signed = caller
    document = requests.get(f"{url}/openapi.json", timeout=20).json()
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 5
    for operation in operations:
        for mode in GenerationMode:

            @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: schemathesis.Case) -> None:
                answer = case.call(base_url=url, auth=signed, timeout=20)
                assert answer.status_code < 500, (case.method, case.path, answer.status_code, answer.content)
                if answer.status_code >= 400:
                    assert answer.headers["content-type"][0].startswith("application/problem+json")

            try:
                ask()
            except Unsatisfiable:  # nothing can be wrong about an operation without parameters
                assert mode is GenerationMode.NEGATIVE


def test_no_operation_takes_a_query_parameter_that_it_does_not_document(caller: tuple[str, Signed]) -> None:
    url, signed = caller
    paths = requests.get(f"{url}/openapi.json", timeout=20).json()["paths"]
    operations = [(method, path, one) for path, methods in paths.items() for method, one in methods.items()]
    assert len(operations) > 15
    for method, path, operation in operations:
        media = next(iter(operation.get("requestBody", {}).get("content", {})), None)
        answer = requests.request(
            method, url + path.replace("{", "").replace("}", "") + "?foo=1&370102201503070012=1&foo=2",
            data=b"{}" if media else None, headers={"Content-Type": media} if media else {}, auth=signed, timeout=20,
        )  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (422, "message-invalid"), (path, answer.text)
        told = {(fault["path"], fault["rule"]) for fault in answer.json()["faults"]}
        assert {("query:foo", "unknown-field"), ("query:?", "unknown-field")} <= told
        assert "422" in operation["responses"], path


def test_the_caller_is_really_known(caller: tuple[str, Signed]) -> None:
    """Else the test above would only ever see refused signatures."""
    assert requests.get(f"{caller[0]}/v1/transfers", auth=caller[1], timeout=20).status_code == 200
