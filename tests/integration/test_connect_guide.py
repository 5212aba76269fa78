"""docs/how-to/connect-a-system.md: its scripts are run as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.ecert_share.simulator import endpoint as library_endpoint
from adapters.registry import manifest
from hub.access import registration
from hub.access.callers import KeyKind, Service
from hub.access.endpoints import EndpointSpec, add_endpoint
from hub.access.key_files import read_key_file
from hub.access.parties_file import PartiesFile
from hub.config import Settings
from hub.db import Tx
from hub.opening import open_database, open_vault
from tests.bench.hub_process import hub_serve
from tests.databases import free_port
from tests.integration.collect_world import running_library
from tests.integration.intake_hub import SYSTEM, RunningHub, running_hub, transfer

DOCS = Path(__file__).parents[2] / "docs"
GUIDE = (DOCS / "how-to" / "connect-a-system.md").read_text(encoding="utf-8")


def blocks(language: str, page: str = GUIDE) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


TRY, REGISTER, SIGNED, EXAMPLE, SUBMIT, FOLLOW, MAY_COLLECT, HAND_IN, MAY_ASK, ASK = blocks("bash")
(MAKE_KEY, MAKE_CERTIFICATE), (PYTHON, ZEEP), (BATCH,) = blocks("sh"), blocks("python"), blocks("csv")
PLUGIN = next(
    block
    for block in blocks("python", (DOCS / "protocol" / "message-signatures.md").read_text(encoding="utf-8"))
    if "SignaturePlugin" in block
)


NEEDS_CURL = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None, reason="needs bash and curl"
)


NEEDS_OPENSSL = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="the guide makes its key with the openssl command line"
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture
def key(tmp_path: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("the guide makes its key with the openssl command line, which is not here")
    subprocess.run(["sh", "-ec", MAKE_KEY], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "key.pub.pem"


@pytest.fixture
def folder(hub: RunningHub, key: Path, tmp_path: Path) -> Path:
    hub.register(SYSTEM, KeyKind.HTTP, key.read_bytes(), key_id=tmp_path.name)
    (tmp_path / "transfer.json").write_text(json.dumps(transfer(), ensure_ascii=False), encoding="utf-8")
    return tmp_path


def run(hub: RunningHub, folder: Path, *command: str) -> str:
    return run_against(hub.url, folder, *command)


def run_against(url: str, folder: Path, *command: str) -> str:
    environment = {**os.environ, "HUB": url, "KEYID": folder.name, "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


FIRST_REQUEST = "\n".join((MAKE_KEY, REGISTER, "export KEYID=qd-2026", SIGNED, EXAMPLE, SUBMIT, FOLLOW))


def first_request(folder: Path, before: str, then: str = "") -> list[dict[str, Any]]:
    """The guide from ``before`` on, as a developer types it; gives all answers: the case, no longer open, is the second."""
    script = f"trap 'kill $(jobs -p) 2> kill.err || :' EXIT\n{before}\n{FIRST_REQUEST}\n{then}"
    known = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "no_proxy": "127.0.0.1"}
    done = subprocess.run(["bash", "-ec", script], cwd=folder, env={**os.environ, **known},
                          capture_output=True, text=True, timeout=180, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@NEEDS_CURL
@NEEDS_OPENSSL
def test_the_first_request_at_a_hub_of_ones_own_with_simulators(tmp_path: Path) -> None:
    """Section 0 b and what follows, on free ports, by one caller with the rights that the page gives it: the example ends
    completed, a batch says how its rows stand, and certificates come by one call."""
    settings = Settings(state_dir=tmp_path / "state", port=free_port())
    folder = tmp_path / "docs" / "how-to" / "simulators"
    shutil.copytree(DOCS / "how-to" / "simulators", folder)
    ports = {old: str(free_port()) for old in ("7102", "7202", "7301", "7401")}
    for file in (folder / "start.sh", folder / "parties.toml"):
        text = file.read_text(encoding="utf-8")
        assert all(old in text for old in ports)
        file.write_text(re.sub("|".join(ports), lambda found: ports[found[0]], text), encoding="utf-8")
    wait = "sleep 3\n"  # the running hub sees a right within seconds, as the page says
    then = f"cat > batch.csv << 'END'\n{BATCH}END\n{MAY_COLLECT}{wait}{HAND_IN}{MAY_ASK}{wait}{ASK}"
    with hub_serve(settings):
        answers = first_request(tmp_path, TRY.replace("http://127.0.0.1:8700", settings.effective_public_url), then)
    assert answers[1]["state"] == "completed", answers[1]
    rows, consent, evidence = answers[-3:]
    assert [row["state"] for row in rows["items"]] == ["delivered", "faulty"]
    assert consent["consentId"]
    assert evidence["complete"] is True, evidence


@NEEDS_CURL
def test_the_curl_script(hub: RunningHub, folder: Path) -> None:
    output = run(hub, folder, "bash", "-ec", SIGNED + SUBMIT)
    assert " 202 " in output.splitlines()[0]
    assert "location: " in output.lower()


def test_the_python_script(hub: RunningHub, folder: Path) -> None:
    output = run(hub, folder, sys.executable, "-c", PYTHON)
    assert output.startswith("202 ")
    assert "'state': 'open'" in output


@pytest.fixture
def soap_folder(hub: RunningHub, folder: Path) -> Path:
    subprocess.run(["sh", "-ec", MAKE_CERTIFICATE], cwd=folder, check=True, capture_output=True)
    hub.register(SYSTEM, KeyKind.WSSE, (folder / "signing.crt").read_bytes())
    return folder


def test_the_zeep_program_sees_answers_and_faults(hub: RunningHub, soap_folder: Path) -> None:
    """The hub does not sign its answers here, which is the default: stock zeep's own ``verify`` would hide them."""
    taken, viewed = run(hub, soap_folder, sys.executable, "-c", ZEEP).splitlines()
    assert taken.startswith("case_")
    assert viewed == f"{taken} open"
    message = {**transfer(), "receiving": {**transfer()["receiving"], "region": "370102", "schoolCode": "x"}}
    (soap_folder / "transfer.json").write_text(json.dumps(message), encoding="utf-8")
    refused = run(hub, soap_folder, sys.executable, "-c", ZEEP)
    assert refused.startswith("message-invalid\n")
    assert "receiving/schoolCode" in refused


@pytest.mark.parametrize("signs", [False, True])
def test_the_plugin_as_its_page_shows_it(
    hub: RunningHub, soap_folder: Path, tmp_path_factory: pytest.TempPathFactory, signs: bool
) -> None:
    """Against a hub that does not sign its answers, and one that does."""
    submit = "\nprint(client.service.SubmitTransfer(**__import__('json').load(open('transfer.json'))).caseId)"
    if not signs:
        assert run(hub, soap_folder, sys.executable, "-c", PLUGIN + submit).startswith("case_")
        return
    with running_hub(tmp_path_factory.mktemp("signing"), sign_answers=True) as signing:
        signing.register(SYSTEM, KeyKind.WSSE, (soap_folder / "signing.crt").read_bytes())
        assert run(signing, soap_folder, sys.executable, "-c", PLUGIN + submit).startswith("case_")


@NEEDS_CURL
def test_the_curl_script_that_hands_in_a_batch(key: Path, tmp_path: Path) -> None:
    """Against ``hub serve`` in a process of its own and the simulated library: one row is delivered, the other says its fault."""
    settings = Settings(state_dir=tmp_path / "state", port=free_port(), probe_interval_s=0)
    with running_library(tmp_path) as library:
        vault = open_vault(settings)
        db = open_database(settings, vault)
        known = library_endpoint(library.process.url, tmp_path / "library")
        spec = EndpointSpec("library", "province", "ecert_share", "ecert-library", "370000", known.base_url,
                            dict(known.settings), dict(known.secrets))  # fmt: skip

        def register(tx: Tx) -> None:
            for system_id in ("province", "jszg"):
                registration.add_system(tx, "test", system_id, system_id)
            registration.grant(tx, "test", "jszg", [Service.ECERT_COLLECT], "370102")
            material = read_key_file(KeyKind.HTTP, key.read_bytes())
            registration.add_key(tx, "test", "jszg", material, key_id=tmp_path.name)
            add_endpoint(tx, "test", vault, manifest("ecert_share"), spec, lease_s=settings.lease_s)

        db.write(register)
        db.close()
        (tmp_path / "batch.csv").write_text(BATCH, encoding="utf-8")
        with hub_serve(settings):
            output = run_against(settings.effective_public_url, tmp_path, "bash", "-ec", SIGNED + HAND_IN)
    assert [line.split()[1] for line in output.splitlines() if line.startswith("HTTP/")] == ["202", "200", "200", "200"]
    taken, progress, faults, rows = (json.loads(line) for line in output.splitlines() if line.startswith("{"))
    assert (taken["messageId"], progress["id"]) == ("jszg-20260901-01", taken["id"])
    assert (progress["state"], progress["rows"], progress["delivered"], progress["faulty"]) == ("done", 2, 1, 1)
    (row,) = faults["items"]
    assert [(one["row"], one["column"], one["rule"]) for one in row["faults"]] == [(3, "holderName", "missing")]
    told = [(one["row"], one["state"], one["assigned"], "identifier" in one) for one in rows["items"]]
    assert told == [(2, "delivered", True, True), (3, "faulty", False, False)]


def test_the_example_of_a_parties_file_is_one() -> None:
    page = (DOCS / "operations" / "parties.md").read_text(encoding="utf-8")
    found = re.search(r"```toml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    parties = PartiesFile.model_validate(tomllib.loads(found[1]))
    assert (len(parties.system), len(parties.endpoint)) == (1, 1)
