"""A token of any text is refused with our error, or carries the payload that was signed."""

from __future__ import annotations

from certs.errors import MessageRefused
from certs.jws import check_jws, sign_jws, verify_jws
from certs.policy import Policy
from certs.x509.revocation import RevocationSource
from tests.fuzz.chains import NOW, world
from tests.fuzz.engine import run

PAYLOAD = b'{"a":1}'
_KEY = world().leaf.key
SEEDS = [
    sign_jws(PAYLOAD, _KEY, "ES256", headers={"kid": "a"}).encode(),
    sign_jws(PAYLOAD, _KEY, "ES256", headers={}, detached=True).encode(),
]


def one_input(data: bytes) -> None:
    token = data.decode("utf-8", "surrogateescape")
    for payload in (None, PAYLOAD, b"other"):
        try:
            found = check_jws(token, _KEY.public_key, payload=payload)
        except MessageRefused:
            continue
        assert found.payload == PAYLOAD
    verify_jws(token, trust=world().trust, policy=Policy(), revocation=RevocationSource(), at=NOW)


if __name__ == "__main__":
    run(one_input, SEEDS)
