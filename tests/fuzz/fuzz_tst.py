"""A timestamp token of any bytes is judged without an error, and over other data never passes."""

from __future__ import annotations

from certs.cms.timestamps import verify_timestamp
from certs.issuing.messages import issue_timestamp
from certs.policy import Policy
from certs.report import Indication
from certs.x509.revocation import RevocationSource
from tests.fuzz.chains import NOW, world
from tests.fuzz.engine import run

SEEDS = [issue_timestamp(b"stamped", world().stamper, time=NOW)]
POLICY = Policy(revocation="off")


def one_input(data: bytes) -> None:
    for stamped in (b"stamped", b"other"):
        result = verify_timestamp(
            data, stamped, trust=world().trust, policy=POLICY, revocation=RevocationSource(), now=NOW
        )
        if result.indication is Indication.PASSED:
            assert stamped == b"stamped"
            assert result.time == NOW


if __name__ == "__main__":
    run(one_input, SEEDS)
