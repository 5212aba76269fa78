"""The figures of README.md in this folder are those of the tables."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.conformance.test_pkits import CASES
from tests.conformance.test_wycheproof import SUITES
from tests.conformance.test_xmldsig_suites import EXPECTED, VERIFY

PAGE = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")


def test_figures() -> None:
    refused = Counter(outcome for outcome in EXPECTED.values() if outcome != "verifies")
    assert f"{len(EXPECTED)} files | {len(VERIFY)} verify | {refused.total()} refused" in PAGE
    assert f"{sum(suite.tests for suite in SUITES.values()):,} vectors in {len(SUITES)} files" in PAGE
    assert f"{len(CASES)} cases" in PAGE
    assert dict(re.findall(r"\| `([a-z0-9-]+)` \| (\d+) \|", PAGE)) == {word: str(n) for word, n in refused.items()}
