"""OFD files that somebody else's software made: read from HUB_OFD_SAMPLES, or from ``ofd`` beside HUB_CONFORMANCE_DIR.

The table says what each known sample must come out as without any trust anchor. A file that is not in it must at least be
answered.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.digests import digest
from certs.errors import CertsError
from certs.ofd.metadata import read_ecert_fields
from certs.ofd.seal_verify import algorithm_of
from certs.ofd.seals import parse_seal, parse_seal_signature
from certs.ofd.verify import verify_ofd
from certs.policy import Policy, load_policy
from certs.render import report_to_html, report_to_text
from certs.report import Axis, Indication, SubIndication
from certs.trust import TrustStore
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert

AT = datetime(2026, 10, 1, tzinfo=UTC)
PASSED, FAILED, UNSURE = Indication.PASSED, Indication.FAILED, Indication.INDETERMINATE
Sub = SubIndication
# name -> reason of the whole; verdict on content, signature, seal
EXPECTED = {
    "signed_sesv4_ride.ofd": (Sub.NO_CERTIFICATE_CHAIN_FOUND, PASSED, PASSED, PASSED),
    "signed_sesv4_allprotected.ofd": (Sub.NO_CERTIFICATE_CHAIN_FOUND, PASSED, PASSED, PASSED),
    "signed_sesv4_sealesl.ofd": (Sub.EXPIRED, PASSED, PASSED, PASSED),  # sealed years after its seal had expired
    "signed_type_sign_bare_sm2.ofd": (Sub.NO_SIGNING_CERTIFICATE_FOUND, PASSED, UNSURE, None),
    "tampered_document_xml.ofd": (Sub.HASH_FAILURE, FAILED, PASSED, PASSED),
    "unsigned.ofd": (Sub.NOT_SIGNED, None, UNSURE, None),
}
STRUCTURES = {"UserV1.esl": "v1", "UserV4.esl": "v4", "UserV5.esl": "v5", "UserV5_ts.esl": "v5"}


def folder() -> Path:
    named, suites = os.environ.get("HUB_OFD_SAMPLES"), os.environ.get("HUB_CONFORMANCE_DIR")
    if not named and not suites:
        pytest.skip("neither HUB_OFD_SAMPLES nor HUB_CONFORMANCE_DIR is set")
    found = Path(named) if named else Path(suites or "").parent / "ofd"
    if not found.is_dir():
        pytest.skip("no folder of OFD samples there")
    return found


def test_samples() -> None:
    files = sorted(folder().rglob("*.ofd"))
    assert files
    for file in files:
        data = file.read_bytes()
        for policy in (Policy(), load_policy("field")):
            report = verify_ofd(data, at=AT, trust=TrustStore(), policy=policy, revocation=RevocationSource())
            assert report.indication is not PASSED, "nothing is trusted here"
            report_to_text(report)
            report_to_html(report, language="en")
            read_ecert_fields(data)
        if file.name in EXPECTED:
            found = (report.sub_indication, *(report.axis(axis) for axis in (Axis.CONTENT, Axis.SIGNATURE, Axis.SEAL)))
            assert found == EXPECTED[file.name], file.name


def test_seals() -> None:
    files = sorted(folder().rglob("*.esl"))
    assert files
    for file in files:
        seal = parse_seal(file.read_bytes())
        if file.name in STRUCTURES:
            assert seal.structure == STRUCTURES[file.name]
        algorithm = algorithm_of(seal.algorithm_oid)
        assert algorithm is not None
        maker = SigningCert.from_der(seal.maker_cert)
        assert maker.public_key.verify(algorithm, seal.signed, seal.signature), file.name


def test_seal_signatures() -> None:
    files = sorted(folder().rglob("*.dat"))
    assert files
    for file in files:
        try:
            value = parse_seal_signature(file.read_bytes())
        except CertsError as error:
            pytest.fail(f"{file.name}: {error}")
        signer = SigningCert.from_der(value.cert)
        algorithm = algorithm_of(value.algorithm_oid)
        assert algorithm is not None
        assert signer.public_key.verify(algorithm, value.tbs, value.signature), file.name
        assert len(value.data_hash) == len(digest("sm3", b""))
