"""NIST PKITS (Public Key Interoperability Test Suite, 1.0.1 with the 2011 certificates) against ``validate_path``.

The certificates and CRLs come from the PyPI package ``cryptography_vectors``. ``data/pkits.json`` is the table of cases of
NIST's document, sections 4.1 to 4.16 with the sub-tests of the policy sections: number, target, settings, result; ``because``
is our reason for a refusal, held once against what each case is named for, so that none is refused for another. Every CA
certificate and every CRL of the suite is handed to every case, so that path building and CRL selection are tested too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cryptography_vectors
import pytest

from certs.der import Malformed
from certs.errors import BadKey
from certs.policy import Policy
from certs.report import Indication
from certs.trust import TrustStore
from certs.x509.crl import parse_crl
from certs.x509.names import normalised
from certs.x509.path_policies import PolicyInputs
from certs.x509.paths import PathResult, validate_path
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert

SUITE = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
CASES = json.loads((Path(__file__).parent / "data" / "pkits.json").read_text())
AT = datetime(2015, 6, 1, tzinfo=UTC)

# NIST altered the last octet of these; that also made their signature a BIT STRING of no whole octets, so our strict
# reader refuses them as a whole. No case may rest on one of them being read.
UNREADABLE = {"BadSignedCACert.crt", "InvalidDSASignatureTest6EE.crt", "BadCRLSignatureCACRL.crl"}

# Cases whose result differs from NIST's document, each with the reason. Nothing that NIST calls invalid may stand here.
EXPECTED_TO_DIFFER = {
    "4.1.4": "DSA is refused by policy (no DSA in GM/T 0010, nor in our algorithms)",
    "4.1.5": "DSA is refused by policy",
}


class Suite(NamedTuple):
    """Everything in the suite, read once."""

    trust: TrustStore
    pool: tuple[SigningCert, ...]
    crls: dict[object, list[bytes]]


@cache
def suite() -> Suite:
    anchor = SigningCert.from_der((SUITE / "certs" / "TrustAnchorRootCertificate.crt").read_bytes())
    pool = []
    for path in sorted((SUITE / "certs").glob("*Cert.crt")):
        if path.name not in UNREADABLE:
            pool.append(SigningCert.from_der(path.read_bytes()))
    crls: dict[object, list[bytes]] = {}
    for path in sorted((SUITE / "crls").glob("*.crl")):
        raw = path.read_bytes()
        if path.name not in UNREADABLE:
            crls.setdefault(normalised(parse_crl(raw).issuer), []).append(raw)
    return Suite(TrustStore.of([anchor], ["message"], AT), tuple(pool), crls)


def lists_of(issuer: bytes, urls: Sequence[str]) -> list[bytes]:
    return suite().crls.get(normalised(issuer), [])


def run(case: dict[str, object]) -> PathResult:
    target = SigningCert.from_der((SUITE / "certs" / f"{case['target']}.crt").read_bytes())
    policies = case.get("policies", [])
    assert isinstance(policies, list)
    return validate_path(
        target,
        suite().pool,
        trust=suite().trust,
        purpose="message",
        at=AT,
        policy=Policy(),
        revocation=RevocationSource(crl=lists_of),
        inputs=PolicyInputs(
            initial=frozenset(policies),
            require_explicit=bool(case.get("explicit_policy")),
            inhibit_mapping=bool(case.get("inhibit_mapping")),
            inhibit_any=bool(case.get("inhibit_any")),
        ),
    )


@pytest.mark.parametrize("case", CASES, ids=[case["test"] for case in CASES])
def test_pkits(case: dict[str, object]) -> None:
    if f"{case['target']}.crt" in UNREADABLE:
        assert not case["valid"]
        with pytest.raises(BadKey):
            run(case)
        return
    result = run(case)
    passed = result.indication is Indication.PASSED
    if case["test"] in EXPECTED_TO_DIFFER:
        assert case["valid"], "only a valid case may be refused on purpose"
        assert not passed, "this no longer differs: take it off the list"
        return
    if not case["valid"]:
        assert case["because"] in {f.sub_indication for f in result.findings if f.indication is not Indication.PASSED}
    assert passed == case["valid"], [
        f"{f.indication} {f.sub_indication} {f.detail_en} {f.data}" for f in result.findings
    ]


@pytest.mark.parametrize("name", sorted(UNREADABLE))
def test_altered_signatures_are_refused_as_malformed(name: str) -> None:
    raw = next(SUITE.rglob(name)).read_bytes()
    with pytest.raises((BadKey, Malformed)):
        parse_crl(raw) if name.endswith(".crl") else SigningCert.from_der(raw)


def test_the_table_is_whole() -> None:
    """224 tests of NIST's sections 4.1-4.16, some with sub-tests; every end-entity certificate of the suite is used."""
    sections = Counter(tuple(case["test"].split(".")[:2]) for case in CASES)
    numbers = {".".join(case["test"].split(".")[:3]) for case in CASES}
    assert len(sections) == 16
    assert len(numbers) == 224
    assert {case["target"] for case in CASES} == {path.stem for path in (SUITE / "certs").glob("*EE.crt")}
