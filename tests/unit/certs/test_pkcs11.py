"""Keys in a token: SoftHSM (Debian: softhsm2) stands for one; the verifier is our own, OpenSSL stands behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from certs.errors import BadConfiguration, BadKey
from certs.issuing.authority import Identity, new_root
from certs.jws import check_jws, sign_jws
from certs.keys import PrivateKey, SignatureAlgorithm
from certs.pkcs11 import TokenKey
from certs.xml.dsig import verify_xml
from certs.xml.key_info import KnownCertificates
from certs.xml.sign import sign_element
from tests.fuzz.chains import NOW

A = SignatureAlgorithm
PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
MODULE = os.environ.get("SOFTHSM2_MODULE") or next((place for place in PLACES if Path(place).exists()), "")
PIN = "1234"

pytestmark = pytest.mark.skipif(
    not MODULE or not shutil.which("softhsm2-util"), reason="SoftHSM is not installed (softhsm2)"
)
KINDS = {"rsa": A.RSA_PKCS1_SHA256, "p256": A.ECDSA_P256_SHA256, "p384": A.ECDSA_P384_SHA384}
FITTING = {
    "rsa": [A.RSA_PKCS1_SHA256, A.RSA_PKCS1_SHA384, A.RSA_PKCS1_SHA512, A.RSA_PSS_SHA256, A.RSA_PSS_SHA512],
    "p256": [A.ECDSA_P256_SHA256, A.ECDSA_SHA256, A.ECDSA_SHA384],
    "p384": [A.ECDSA_P384_SHA384, A.ECDSA_SHA384],
}


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Identity]:
    """A token with three keys, each with its certificate outside. One token for the module: SoftHSM reads its settings once."""
    folder = tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    run("--init-token", "--free", "--label", "hub", "--so-pin", PIN, "--pin", PIN)
    found = {}
    for number, (name, algorithm) in enumerate(KINDS.items(), 1):
        key = PrivateKey.generate(algorithm)
        (folder / f"{name}.pem").write_bytes(key.to_pem())
        imported = ["--import", str(folder / f"{name}.pem"), "--token", "hub", "--label", name, "--id", f"0{number}"]
        run(*imported, "--pin", PIN)
        found[name] = new_root(name, algorithm, key=key, not_before=NOW, not_after=NOW + timedelta(days=9))
    return found


def run(*arguments: str) -> None:
    subprocess.run(["softhsm2-util", "--module", MODULE, *arguments], check=True, capture_output=True)


@contextmanager
def opened(identities: dict[str, Identity], name: str, **changes: str) -> Iterator[TokenKey]:
    values = {"module": MODULE, "token": "hub", "pin": PIN, "label": name} | changes
    key = TokenKey.open(values.pop("module"), certificate=identities[name].cert.der, **values)
    yield key
    key.close()


@pytest.mark.parametrize(("name", "algorithm"), [(n, a) for n, found in FITTING.items() for a in found])
@pytest.mark.parametrize("raw", [False, True])
def test_what_the_token_signs_holds(
    identities: dict[str, Identity], name: str, algorithm: SignatureAlgorithm, raw: bool
) -> None:
    with opened(identities, name) as key:
        signature = key.sign(algorithm, "互通".encode(), raw=raw)
    assert key.public_key.verify(algorithm, "互通".encode(), signature, raw=raw)
    assert not key.public_key.verify(algorithm, b"other", signature, raw=raw)


def test_it_signs_wherever_a_key_does(identities: dict[str, Identity]) -> None:
    with opened(identities, "p256") as key, opened(identities, "rsa") as other:  # two keys of one token in one process
        token = sign_jws(b"{}", key, "ES256", headers={"kid": "hub"})
        assert check_jws(token, key.public_key).payload == b"{}"
        root = etree.fromstring("<a/>")
        sign_element(root, [], key=other, certificate=identities["rsa"].cert.der)
        known = KnownCertificates([identities["rsa"].cert.der])
        assert verify_xml(etree.tostring(root), resolve_key=known).algorithm is A.RSA_PKCS1_SHA256


def test_many_threads_share_one_key(identities: dict[str, Identity]) -> None:
    with opened(identities, "p256") as key, ThreadPoolExecutor(4) as pool:
        messages = [b"%d" % number for number in range(40)]
        signatures = list(pool.map(lambda message: key.sign(A.ECDSA_SHA256, message), messages))
    assert all(key.public_key.verify(A.ECDSA_SHA256, m, s) for m, s in zip(messages, signatures, strict=True))


def test_a_closed_session_says_so(identities: dict[str, Identity]) -> None:
    with opened(identities, "p256") as key:
        pass
    with pytest.raises(BadConfiguration, match="did not sign"):
        key.sign(A.ECDSA_SHA256, b"x")


@pytest.mark.parametrize(
    "changes",
    [{"module": "/nonexistent.so"}, {"token": "other"}, {"pin": "0000"}, {"label": "nothing"}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_cannot_be_used_is_bad_configuration(identities: dict[str, Identity], changes: dict[str, str]) -> None:
    with pytest.raises(BadConfiguration) as caught, opened(identities, "rsa", **changes):
        pass
    assert PIN not in str(caught.value)


@pytest.mark.parametrize("label", ["p256", "p384"])
def test_the_key_must_be_that_of_the_certificate(identities: dict[str, Identity], label: str) -> None:
    with pytest.raises(BadKey, match="certificate"), opened(identities, "rsa", label=label):
        pass


def test_algorithms_that_do_not_fit(identities: dict[str, Identity]) -> None:
    with opened(identities, "rsa") as key:
        for algorithm in (A.ECDSA_SHA256, A.SM2_SM3, A.RSA_PKCS1_SHA1, A.ED25519):
            with pytest.raises(BadKey):
                key.sign(algorithm, b"x")


def test_sm2_certificates_are_refused_with_words() -> None:
    root = new_root("sm2", A.SM2_SM3, not_before=NOW, not_after=NOW + timedelta(days=9))
    with pytest.raises(BadKey, match="RSA or ECDSA"):
        TokenKey.open(MODULE, token="hub", pin=PIN, label="x", certificate=root.cert.der)
