"""A PDF of any bytes gives a report, never an error."""

from __future__ import annotations

from certs.issuing.messages import sign_message
from certs.pdf import verify_pdf
from certs.policy import Policy
from certs.report import Report
from certs.x509.revocation import RevocationSource
from tests.fuzz.chains import NOW, world
from tests.fuzz.engine import run
from tests.unit.certs.pdfs import blank, embed

_SIGNED = embed(blank(), lambda content: sign_message(content, world().leaf, chain=[world().middle.cert]), "one")
SEEDS = [_SIGNED, blank(), embed(_SIGNED, lambda content: sign_message(content, world().leaf, gb=True), "two")]


def one_input(data: bytes) -> None:
    report = verify_pdf(data, trust=world().trust, policy=Policy(), revocation=RevocationSource(), at=NOW)
    assert isinstance(report, Report)


if __name__ == "__main__":
    run(one_input, SEEDS)
