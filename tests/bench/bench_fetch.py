"""E-certificates fetched from the library (a simulator, its own process) and verified, as for a case; beside fetching alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from adapters.contract import Deadline, EcertFetcher
from adapters.ecert_share.harness import query
from adapters.ecert_share.simulator import endpoint
from adapters.registry import create
from adapters.simulator_process import SimulatorProcess
from certs.policy import load_policy
from certs.trust import Anchor, TrustStore
from certs.verify import Fetchers
from certs.x509.signing_cert import SigningCert
from hub.ecerts.check import EcertChecker
from hub.ecerts.fetchers import RevocationFetchers
from hub.ecerts.trust import read_issuers
from schemas.transfers import EvidenceState
from tests.bench.bench_hub import Size, latencies
from tests.bench.table import Result

THREADS = 4
CALL_S = 10.0


def fetch_rows(size: Size) -> list[Result]:
    """Token, SM2-encrypted query, link, download; then seal, paths, revocation, state and content, by the strict policy."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        folder = Path(name)
        given = ["--keys", str(folder / "library"), "--export-anchors", str(folder / "anchors")]
        with SimulatorProcess("adapters.ecert_share.simulator", given) as library:
            source = cast(EcertFetcher, create("ecert_share", endpoint(library.url, folder / "library")))
            checker = _checker(folder / "anchors")

            def fetch() -> None:
                source.fetch_ecert(query(), Deadline.after(CALL_S))

            def fetch_and_verify() -> None:
                document = source.fetch_ecert(query(), Deadline.after(CALL_S))
                verdict = checker.check(document, query(), datetime.now(UTC))
                if verdict.state is not EvidenceState.SATISFIED:
                    raise RuntimeError(f"the document was refused: {verdict.reason}")

            fetch_and_verify()  # the first one is sealed by the library, and everything is loaded
            bare = _repeat(fetch, size.seconds)
            taken = _repeat(fetch_and_verify, size.seconds)
    rate = len(taken) / size.seconds
    result = Result(
        f"fetched and verified, {THREADS} threads; floor: fetched", rate, "1/s", floor=len(bare) / size.seconds
    )
    return [latencies(result, taken)]


def _checker(anchors: Path) -> EcertChecker:
    """Trusts the library's root; its lists and its issuer's certificate are at hand."""
    root = SigningCert.from_pem((anchors / "root.pem").read_bytes())
    trust = TrustStore().with_anchor(Anchor(root, frozenset({"seal", "seal-maker"}), datetime.now(UTC), label="bench"))
    for folder, names in (("issuers", "issuing.pem"), ("crls", "*.crl")):
        (anchors / folder).mkdir()
        for file in list(anchors.glob(names)):
            file.rename(anchors / folder / file.name)
    fetchers = Fetchers(RevocationFetchers(anchors / "crls", frozenset()).source(), read_issuers(anchors / "issuers"))
    return EcertChecker(lambda: trust, load_policy("strict"), lambda: fetchers)


def _repeat(call: Callable[[], None], seconds: float) -> list[float]:
    """Over THREADS threads for so long; gives how long each call took."""
    end = time.perf_counter() + seconds

    def work() -> list[float]:
        taken = []
        while (begin := time.perf_counter()) < end:
            call()
            taken.append(time.perf_counter() - begin)
        return taken

    with ThreadPoolExecutor(THREADS) as pool:
        return [one for future in [pool.submit(work) for _ in range(THREADS)] for one in future.result()]
