"""Clients that know nothing but the WSDL: zeep, and Node's "soap" package where Node and the package are there.

The Node test needs ``npm install soap`` in some folder and HUB_NODE_MODULES naming its node_modules.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import zeep
from zeep.exceptions import Fault

from certs.errors import MessageRefused
from certs.issuing.authority import Identity
from certs.x509.signing_cert import SigningCert
from certs.xml.key_info import KeyReference, SigningKey
from certs.xml.zeep_plugin import SignaturePlugin
from hub.access.callers import KeyKind
from tests.integration.intake_hub import RunningHub, issue, pem, running_hub, transfer


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("state"), sign_answers=True) as running:
        yield running


@pytest.fixture(scope="module")
def partner(hub: RunningHub) -> Identity:
    identity = issue("青岛学籍系统")
    hub.register("qd-registry", KeyKind.WSSE, pem(identity))
    return identity


def presented(reference: KeyReference) -> SigningKey | None:
    """Trust on first sight: the test only wants to know that the hub's answer is signed by what it presents."""
    if reference.certificate is None:
        return None
    return SigningKey(SigningCert.from_der(reference.certificate).public_key, reference.certificate)


def zeep_client(hub: RunningHub, partner: Identity, port: str) -> Any:
    plugin = SignaturePlugin(partner.key, partner.cert.der, resolve_key=presented)
    client = zeep.Client(f"{hub.url}/soap/v1/exchange?wsdl", wsse=plugin, port_name=port)
    return client.service


@pytest.mark.parametrize("port", ["ExchangeSoap11Port", "ExchangeSoap12Port"])
def test_zeep_from_the_wsdl_alone(hub: RunningHub, partner: Identity, port: str) -> None:
    service = zeep_client(hub, partner, port)
    message = transfer()
    accepted = service.SubmitTransfer(**message)
    assert accepted.messageId == message["messageId"]
    assert accepted.limitAt > datetime.now(UTC) + timedelta(days=10)
    again = service.SubmitTransfer(**message)
    assert again.caseId == accepted.caseId
    view = service.QueryTransfer(caseId=accepted.caseId)
    assert view.state == "open"
    assert len(view.steps) >= 3
    withdrawn = service.WithdrawTransfer(
        messageId=message["messageId"] + "-w", caseId=accepted.caseId, reason="家庭计划有变"
    )
    assert withdrawn.state == "withdrawn"


def test_zeep_gets_a_typed_fault(hub: RunningHub, partner: Identity) -> None:
    service = zeep_client(hub, partner, "ExchangeSoap11Port")
    with pytest.raises(Fault) as caught:
        service.QueryTransfer(caseId="case_00000000000000000000000000")
    assert caught.value.code == "soap:Client"
    assert caught.value.message.startswith("没有此办件")
    assert caught.value.detail is not None
    assert caught.value.detail.findtext(".//{*}code") == "case-unknown"


def test_zeep_without_a_signature_is_refused(hub: RunningHub) -> None:
    client = zeep.Client(f"{hub.url}/soap/v1/exchange?wsdl", port_name="ExchangeSoap11Port")
    with pytest.raises(Fault) as caught:
        client.service.SubmitTransfer(**transfer())
    assert caught.value.detail.findtext(".//{*}code") == "caller-unknown"


def test_zeep_refuses_an_answer_that_is_not_the_hubs(hub: RunningHub, partner: Identity) -> None:
    plugin = SignaturePlugin(partner.key, partner.cert.der, resolve_key=lambda reference: None)
    client = zeep.Client(f"{hub.url}/soap/v1/exchange?wsdl", wsse=plugin)
    with pytest.raises(MessageRefused, match="key-unknown"):
        client.service.SubmitTransfer(**transfer())


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_node_soap_from_the_wsdl_alone(hub: RunningHub, partner: Identity, tmp_path: Path, version: str) -> None:
    node, modules = shutil.which("node"), os.environ.get("HUB_NODE_MODULES")
    if node is None or modules is None:
        pytest.skip("needs node, and HUB_NODE_MODULES naming a node_modules folder that holds the soap package")
    (tmp_path / "key.pem").write_bytes(partner.key.to_pem())
    (tmp_path / "cert.pem").write_bytes(pem(partner))
    (tmp_path / "request.json").write_text(json.dumps(transfer()), encoding="utf-8")
    script = Path(__file__).with_name("soap_client.js")
    done = subprocess.run(
        [node, str(script), f"{hub.url}/soap/v1/exchange?wsdl", str(tmp_path / "key.pem"), str(tmp_path / "cert.pem"),
         version, str(tmp_path / "request.json")],
        env={"NODE_PATH": modules, "PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["accepted"]["caseId"] == answer["view"]["caseId"]
    assert answer["fault"]["code"] == "case-unknown"
