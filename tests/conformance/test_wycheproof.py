"""C2SP Wycheproof vectors against :class:`certs.keys.PublicKey`: every valid signature holds, no invalid one does."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from certs.errors import BadKey
from certs.keys import PublicKey, SignatureAlgorithm


class Suite(NamedTuple):
    """How a file of vectors is verified, and how many it has, so that none is lost unseen."""

    algorithm: SignatureAlgorithm
    raw: bool
    tests: int


SUITES = {
    "ecdsa_secp256r1_sha256_p1363_test": Suite(SignatureAlgorithm.ECDSA_P256_SHA256, True, 262),
    "ecdsa_secp256r1_sha256_test": Suite(SignatureAlgorithm.ECDSA_P256_SHA256, False, 484),
    "ecdsa_secp384r1_sha384_test": Suite(SignatureAlgorithm.ECDSA_P384_SHA384, False, 504),
    "ed25519_test": Suite(SignatureAlgorithm.ED25519, False, 151),
    "rsa_pss_2048_sha256_mgf1_32_test": Suite(SignatureAlgorithm.RSA_PSS_SHA256, False, 108),
    "rsa_signature_2048_sha256_test": Suite(SignatureAlgorithm.RSA_PKCS1_SHA256, False, 259),
}


@cache
def vectors(name: str) -> dict[str, Any]:
    folder = os.environ.get("HUB_CONFORMANCE_DIR")
    if not folder:
        pytest.skip("HUB_CONFORMANCE_DIR names no folder with the conformance data")
    return json.loads((Path(folder) / "wycheproof" / f"{name}.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", SUITES)
def test_vectors(name: str) -> None:
    suite, differ, count = SUITES[name], [], 0
    for group in vectors(name)["testGroups"]:
        key = PublicKey.from_spki_der(bytes.fromhex(group["publicKeyDer"]))
        for case in group["tests"]:
            count += 1
            holds = key.verify(suite.algorithm, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]), raw=suite.raw)
            # "acceptable" (PKCS #1 without the NULL parameter) may go either way; ours refuses
            if holds != (case["result"] == "valid"):
                differ.append((case["tcId"], case["result"], case["comment"]))
    assert differ == []
    assert count == suite.tests


@pytest.mark.parametrize("name", SUITES)
def test_no_vector_holds_with_an_algorithm_of_another_key(name: str) -> None:
    group = vectors(name)["testGroups"][0]
    key = PublicKey.from_spki_der(bytes.fromhex(group["publicKeyDer"]))
    with pytest.raises(BadKey):
        key.verify(SignatureAlgorithm.SM2_SM3, b"", bytes.fromhex(group["tests"][0]["sig"]))
