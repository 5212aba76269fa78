"""SigningCert and validate_path: any bytes are a certificate or BadKey, and the path of one is judged without an error."""

from __future__ import annotations

from certs.errors import BadKey
from certs.policy import Policy
from certs.report import Indication
from certs.x509.paths import validate_path
from certs.x509.revocation import RevocationSource
from certs.x509.signing_cert import SigningCert
from tests.fuzz.chains import NOW, world
from tests.fuzz.engine import run

SEEDS = [world().leaf.cert.der, world().middle.cert.der, world().root.cert.der, world().stamper.cert.der]
POLICY = Policy(revocation="soft")


def one_input(data: bytes) -> None:
    try:
        cert = SigningCert.from_der(data)
    except BadKey:
        return
    assert isinstance(cert.subject_text, str)
    for intermediates in ([world().middle.cert], [cert, world().middle.cert]):
        result = validate_path(
            cert if len(intermediates) == 1 else world().leaf.cert,
            intermediates,
            trust=world().trust,
            purpose="seal",
            at=NOW,
            policy=POLICY,
            revocation=RevocationSource(),
        )
        if result.indication is Indication.PASSED:
            # ECDSA signatures have a twin (r, n - s), so a certificate that holds may differ in its signature alone
            assert result.chain[0].tbs in {SigningCert.from_der(seed).tbs for seed in SEEDS}


if __name__ == "__main__":
    run(one_input, SEEDS)
