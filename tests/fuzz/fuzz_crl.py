"""A CRL of any bytes never clears a certificate that the only good list revokes."""

from __future__ import annotations

from datetime import timedelta

from certs.policy import Policy
from certs.report import Indication
from certs.x509.paths import validate_path
from certs.x509.revocation import RevocationSource
from tests.fuzz.chains import NOW, world
from tests.fuzz.engine import run

DAY = timedelta(days=1)
_ENTRIES = {world().leaf.cert.serial: (NOW - DAY, 1)}
_ROOT_LIST = world().root.crl(this_update=NOW - DAY, next_update=NOW + DAY)
SEEDS = [world().middle.crl(_ENTRIES, this_update=NOW - DAY, next_update=NOW + DAY)]


def one_input(data: bytes) -> None:
    result = validate_path(
        world().leaf.cert,
        [world().middle.cert],
        trust=world().trust,
        purpose="seal",
        at=NOW,
        policy=Policy(),
        revocation=RevocationSource(crls=(_ROOT_LIST, data)),
    )
    assert result.indication is not Indication.PASSED


if __name__ == "__main__":
    run(one_input, SEEDS)
