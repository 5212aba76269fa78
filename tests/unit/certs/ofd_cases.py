"""Documents and a trust store for the OFD tests: made once, by our own authority, at a fixed time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from certs.issuing.authority import Identity, SealAuthority
from certs.keys import SignatureAlgorithm
from certs.ofd.seal_write import Picture, Structure, make_seal
from certs.ofd.seals import Seal
from certs.ofd.verify import verify_ofd
from certs.ofd.write import SignOptions, sign_ofd, write_ecert
from certs.policy import Policy
from certs.report import Axis, Finding, Report
from certs.trust import TrustStore
from certs.x509.revocation import RevocationSource

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FIELDS = {
    "type_code": "11100000000013127D001",
    "type_name": "居民身份证",
    "number": "370102201001010018",
    "holder_name": "张<三>&",
    "holder_code": "370102201001010018",
    "issuer_name": "济南市公安局",
    "issuer_code": "11370100004188571A",
    "KZ_CSRQ": "2010-01-01",
}


@dataclass(frozen=True)
class World:
    """An authority whose root is trusted, and CRLs that say that nobody is revoked."""

    authority: SealAuthority
    trust: TrustStore
    revocation: RevocationSource

    def seal(
        self,
        structure: Structure = "v4",
        *,
        signers: tuple[Identity, ...] = (),
        digests: bool = False,
        **changes: object,
    ) -> Seal:
        values: dict[str, object] = {
            "name": "济南市公安局电子印章",
            "seal_id": "37010000000001",
            "picture": Picture("PNG", b"\x89PNG not looked at"),
            "valid_from": NOW - timedelta(hours=20),
            "valid_to": NOW + timedelta(days=365),
        }
        certs = [signer.cert for signer in signers or (self.authority.signer,)]
        return make_seal(
            self.authority.seal_maker,
            certs,
            structure=structure,
            list_digests=digests,
            **(values | changes),  # type: ignore[arg-type]
        )

    def signed(self, options: SignOptions | None = None, signer: Identity | None = None, at: datetime = NOW) -> bytes:
        options = options or SignOptions(seal=self.seal())
        return sign_ofd(unsigned(), signer or self.authority.signer, options, at=at)

    def verify(self, document: bytes, policy: Policy | None = None, at: datetime = NOW, **changes: object) -> Report:
        values: dict[str, object] = {
            "trust": self.trust,
            "revocation": self.revocation,
            "extra_certs": (self.authority.intermediate.cert, self.authority.signer.cert),
        }
        return verify_ofd(document, at=at, policy=policy or Policy(), **(values | changes))  # type: ignore[arg-type]


@lru_cache(maxsize=4)
def world(algorithm: SignatureAlgorithm = SignatureAlgorithm.SM2_SM3) -> World:
    authority = SealAuthority.create(NOW, algorithm, signer_name=FIELDS["issuer_name"])
    trust = TrustStore.of([authority.root.cert], ["seal", "seal-maker"], NOW)
    return World(authority, trust, revocation(authority))


def revocation(authority: SealAuthority, revoked: dict[int, tuple[datetime, int]] | None = None) -> RevocationSource:
    begin, end = NOW - timedelta(hours=1), NOW + timedelta(days=7)
    lists = (
        authority.root.crl(this_update=begin, next_update=end),
        authority.intermediate.crl(revoked, this_update=begin, next_update=end),
    )
    return RevocationSource(crls=lists)


def unsigned(padding: int = 0) -> bytes:
    lines = [f"姓名：{FIELDS['holder_name']}", "签发机关：济南市公安局"]
    return write_ecert(FIELDS, lines, title="居民身份证", created=NOW, doc_id="0" * 32, padding=padding)


def on(report: Report, axis: Axis) -> list[Finding]:
    return [finding for finding in report.findings if finding.axis is axis]
