"""RFC 3161 tokens that ``openssl ts`` made: RSA and ECDSA authorities, other digests, and what must not hold."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs import der
from certs.cms.timestamps import TimestampResult, verify_timestamp
from certs.policy import Policy
from certs.report import Indication, SubIndication
from certs.trust import TrustStore
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert

OPENSSL = shutil.which("openssl")
pytestmark = pytest.mark.skipif(OPENSSL is None, reason="the OpenSSL command line is not installed")
CONFIG = """
[tsa]
default_tsa = one
[one]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha384, sha512
ess_cert_id_alg = sha256
[usage]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[req]
distinguished_name = dn
[dn]
"""
KEYS = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
}


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run([str(OPENSSL), *arguments], cwd=folder, check=True, capture_output=True)


def token(folder: Path, kind: str, digest: str = "sha256") -> tuple[bytes, SigningCert]:
    """A token over ``data``, and the root that its authority's certificate is from."""
    (folder / "ts.cnf").write_text(CONFIG)
    (folder / "serial").write_text("01\n")
    (folder / "data").write_bytes(b"stamped")
    for name in ("root", "tsa"):
        openssl(folder, "genpkey", *KEYS[kind], "-out", f"{name}.key")
    openssl(folder, "req", "-x509", "-key", "root.key", "-subj", "/CN=root", "-days", "30", "-out", "root.pem")
    openssl(folder, "req", "-new", "-key", "tsa.key", "-subj", "/CN=tsa", "-out", "tsa.csr", "-config", "ts.cnf")
    signing = ["-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "20"]
    openssl(folder, "x509", *signing, "-extfile", "ts.cnf", "-extensions", "usage", "-out", "tsa.pem")
    openssl(folder, "ts", "-query", "-data", "data", f"-{digest}", "-cert", "-out", "query")
    reply = ["-reply", "-config", "ts.cnf", "-queryfile", "query", "-signer", "tsa.pem", "-inkey", "tsa.key"]
    openssl(folder, "ts", *reply, "-token_out", "-out", "token")
    return (folder / "token").read_bytes(), SigningCert.from_pem((folder / "root.pem").read_bytes())


def judge(value: bytes, root: SigningCert, data: bytes = b"stamped") -> TimestampResult:
    now = datetime.now(UTC) + timedelta(seconds=2)
    trust = TrustStore.of([root], ["timestamp"], now)
    return verify_timestamp(
        value, data, trust=trust, policy=Policy(revocation="off"), revocation=RevocationSource(), now=now
    )


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_tokens_of_openssl_hold(tmp_path: Path, kind: str, digest: str) -> None:
    value, root = token(tmp_path, kind, digest)
    result = judge(value, root)
    assert result.indication is Indication.PASSED, result.findings
    assert result.time is not None
    assert abs(result.time - datetime.now(UTC)) < timedelta(minutes=2)


def test_other_data_another_root_and_an_altered_token(tmp_path: Path) -> None:
    value, root = token(tmp_path, "p256")
    other = judge(value, root, b"other")
    assert SubIndication.HASH_FAILURE in {finding.sub_indication for finding in other.findings}
    (tmp_path / "second").mkdir()
    _, stranger = token(tmp_path / "second", "p256")
    result = judge(value, stranger)  # of the same name, and of another key
    assert result.indication is Indication.INDETERMINATE
    assert SubIndication.NO_CERTIFICATE_CHAIN_FOUND in {finding.sub_indication for finding in result.findings}
    assert judge(value[:-1] + bytes((value[-1] ^ 1,)), root).indication is Indication.FAILED
    assert judge(der.tlv(der.SEQUENCE, value), root).indication is Indication.FAILED
