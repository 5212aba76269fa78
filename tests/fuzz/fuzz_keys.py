"""Key files and policies of any bytes: a key, a policy, or our error."""

from __future__ import annotations

from contextlib import suppress

from certs.errors import BadConfiguration, BadKey
from certs.keys import PrivateKey, PublicKey, SignatureAlgorithm, load_pkcs12
from certs.policy import parse_policy
from certs.x509.signing_cert import SigningCert
from tests.fuzz.chains import world
from tests.fuzz.engine import run

_KEYS = [PrivateKey.generate(kind) for kind in (SignatureAlgorithm.SM2_SM3, SignatureAlgorithm.ECDSA_SHA256)]
SEEDS = [
    *(key.to_pem() for key in _KEYS),
    *(key.public_key.spki for key in _KEYS),
    world().leaf.cert.der,
    b'name = "mine"\nrevocation = "soft"\nuncovered_allowed = ["OFD.xml"]\nmax_revocation_age = "P1D"\n',
]


def one_input(data: bytes) -> None:
    for read in (PrivateKey.from_pem, PublicKey.from_spki_der, SigningCert.from_pem):
        with suppress(BadKey):
            read(data)
    with suppress(BadKey):
        PrivateKey.from_pem(data, "password")
    with suppress(BadKey):
        load_pkcs12(data, None)
    with suppress(BadConfiguration):
        parse_policy(data.decode("utf-8", "replace"))


if __name__ == "__main__":
    run(one_input, SEEDS)
