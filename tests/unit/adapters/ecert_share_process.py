"""The provincial library as a process of its own, its adapter, and what is asked of it in tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.contract import Deadline
from adapters.ecert_share import simulator
from adapters.ecert_share.client import EcertShare
from adapters.population import Family
from adapters.simulator_process import SimulatorProcess
from schemas.ecert_types import ecert_types
from schemas.ecerts import EcertQuery, UseCause

MODULE = "adapters.ecert_share.simulator"
REGION = "370202"
TITLE = ecert_types()["real-estate-title"].code
CAUSE = UseCause(
    case_id="01J9ZQ3N6W4Q7C2M8KXB5TVE1R",
    item_code=None,
    item_name="跨县（市、区）转学",
    purpose="跨县（市、区）转学: 不动产权证书",
    system_name="教育政务互通枢纽",
    legal_basis="TY-2026-88",
)


def soon() -> Deadline:
    return Deadline.after(10)


def query(of: Family, key: str = "real-estate-title", **changes: object) -> EcertQuery:
    asked = EcertQuery(
        type_code=ecert_types()[key].code,
        holder_code=of.guardian.id_number,
        holder_code_type=of.guardian.id_type,
        holder_name=of.guardian.name,
        use_cause=CAUSE,
    )
    return asked.model_copy(update=changes)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="module")
def library(keys: Path) -> Iterator[SimulatorProcess]:
    arguments = ["--keys", str(keys), "--export-anchors", str(keys / "anchors"), "--authorize-after", "0.3"]
    with SimulatorProcess(MODULE, arguments) as process:
        yield process


@pytest.fixture
def adapter(library: SimulatorProcess, keys: Path) -> Iterator[EcertShare]:
    library.fail("none")
    made = EcertShare(simulator.endpoint(library.url, keys))
    yield made
    made.close()
