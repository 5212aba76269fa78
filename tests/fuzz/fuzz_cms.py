"""A signed message of any bytes is judged without an error, and other content never passes."""

from __future__ import annotations

from certs.cms.verify import verify_cms
from certs.issuing.messages import issue_timestamp, sign_message
from certs.policy import Policy
from certs.report import Indication
from certs.x509.revocation import RevocationSource
from tests.fuzz.chains import NOW, world
from tests.fuzz.engine import run

CONTENT = b"content"
SEEDS = [
    sign_message(CONTENT, world().leaf, signing_time=NOW, chain=[world().middle.cert]),
    sign_message(CONTENT, world().leaf, gb=True, attributes=False, chain=[world().middle.cert]),
    sign_message(CONTENT, world().leaf, detached=False, chain=[world().middle.cert]),
    sign_message(
        CONTENT,
        world().leaf,
        chain=[world().middle.cert],
        timestamp=lambda value: issue_timestamp(value, world().stamper, time=NOW),
    ),
]
POLICY = Policy(revocation="off")


def one_input(data: bytes) -> None:
    for content in (CONTENT, b"other", None):
        report = verify_cms(data, content, trust=world().trust, policy=POLICY, revocation=RevocationSource(), at=NOW)
        assert report.indication is not Indication.PASSED or content != b"other"


if __name__ == "__main__":
    run(one_input, SEEDS)
