"""An OCSP answer of any bytes never clears a certificate that its issuer says is revoked."""

from __future__ import annotations

from datetime import timedelta

from certs.issuing.ocsp import CertStatus, issue_ocsp_response
from certs.policy import Policy
from certs.report import Indication
from certs.x509.paths import validate_path
from certs.x509.revocation import RevocationSource
from tests.fuzz.chains import NOW, world
from tests.fuzz.engine import run

DAY = timedelta(days=1)
_ROOT_LIST = world().root.crl(this_update=NOW - DAY, next_update=NOW + DAY)


def _answer(status: CertStatus, *, include: bool) -> bytes:
    return issue_ocsp_response(
        world().leaf.cert,
        world().middle.cert,
        status,
        responder=world().middle,
        produced_at=NOW - DAY,
        this_update=NOW - DAY,
        next_update=NOW + DAY,
        include_responder=include,
    )


SEEDS = [_answer(CertStatus(False, NOW - DAY), include=True), _answer(CertStatus(False), include=False)]


def one_input(data: bytes) -> None:
    result = validate_path(
        world().leaf.cert,
        [world().middle.cert],
        trust=world().trust,
        purpose="seal",
        at=NOW,
        policy=Policy(),
        revocation=RevocationSource(crls=(_ROOT_LIST,), ocsp_responses=(data,)),
    )
    assert result.indication is not Indication.PASSED


if __name__ == "__main__":
    run(one_input, SEEDS)
