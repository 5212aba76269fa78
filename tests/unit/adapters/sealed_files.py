"""What the hub would say of a file that a simulated library sealed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from certs.policy import load_policy
from certs.report import Indication, SubIndication
from certs.trust import TrustStore
from certs.verify import Fetchers, verify
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert


def judge(content: bytes, keys: Path) -> tuple[Indication, SubIndication | None]:
    anchors = keys / "anchors"
    trusted = [SigningCert.from_pem((anchors / f"{name}.pem").read_bytes()) for name in ("root", "issuing")]
    lists = [path.read_bytes() for path in anchors.glob("*.crl")]
    now = datetime.now(UTC)
    report = verify(
        content,
        policy=load_policy("strict"),
        at=now,
        trust=TrustStore.of(trusted, ["seal", "seal-maker"], now),
        fetchers=Fetchers(RevocationSource(crl=lambda _issuer, _urls: lists)),
    )
    return report.indication, report.sub_indication
