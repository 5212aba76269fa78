"""What the fuzz targets of X.509 and signed messages start from: one small world of real certificates and messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from certs.issuing.authority import Identity, new_root
from certs.keys import SignatureAlgorithm
from certs.trust import TrustStore
from certs.x509.path_checks import TIME_STAMPING

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class World:
    """A root, an issuing CA, a signer with every extension that has an issuer's URL, and a timestamp authority."""

    root: Identity
    middle: Identity
    leaf: Identity
    stamper: Identity

    @property
    def trust(self) -> TrustStore:
        """Trusts the root for everything that the targets ask."""
        return TrustStore.of([self.root.cert], ["seal", "message", "timestamp"], NOW)


@cache
def world(kind: SignatureAlgorithm = SignatureAlgorithm.ECDSA_SHA256) -> World:
    """ECDSA by default, because it is fast and a fuzzer wants many runs."""
    root = new_root("root", kind, not_before=NOW - timedelta(days=9), not_after=NOW + timedelta(days=99))
    middle = root.issue({"C": "CN", "O": "签发"}, ca=True)
    leaf = middle.issue({"C": "CN", "CN": "教育局"}, crl_urls=["http://c.invalid"], ocsp_urls=["http://o.invalid"])
    return World(root, middle, leaf, root.issue("tsa", extended=[TIME_STAMPING], extended_critical=True))
