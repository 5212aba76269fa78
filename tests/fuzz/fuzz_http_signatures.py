"""verify_request: whatever stands in the three headers, the answer is the signed message or our error."""

from __future__ import annotations

from datetime import timedelta

from certs.errors import MessageRefused
from certs.http.signatures import sign_request, verify_request
from tests.fuzz.engine import run
from tests.unit.certs.messages import NOW, key_of

URL, BODY = "https://hub.example.cn/v1/transfers?a=b", b'{"a":1}'
NAMES = ("Signature-Input", "Signature", "Content-Digest")
KEY = key_of("ed25519")
VALID = sign_request("POST", URL, [], BODY, key=KEY, key_id="k", created=NOW, nonce="n")
SEEDS = ["\n".join(VALID[name] for name in NAMES).encode()]
KNOWN = {"k": KEY.public_key}


def one_input(data: bytes) -> None:
    values = data.decode("latin-1").split("\n")
    headers = list(zip(NAMES, values, strict=False))
    try:
        signed = verify_request(
            "POST", URL, headers, BODY, now=NOW, max_age=timedelta(minutes=5), resolve_key=KNOWN.get
        )
    except MessageRefused:
        return
    assert (signed.key_id, signed.nonce) == ("k", "n")


if __name__ == "__main__":
    run(one_input, SEEDS)
