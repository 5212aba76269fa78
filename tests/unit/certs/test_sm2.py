"""SM2 on both backends: known answers, other software's signatures, and everything that must not hold."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import der, sm2
from certs.errors import BadConfiguration, BadKey, DecryptionFailed
from certs.sm2.encoding import N, P

BACKENDS = []
for _name in ("libcrypto", "gmssl"):
    try:
        sm2.select_backend(_name)
        BACKENDS.append(_name)
    except BadConfiguration:
        pass  # this machine has none; the other one is tested
KEY = bytes(31) + b"\x07"
MESSAGE = "转学申请".encode() * 20


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return sm2.select_backend(request.param)


def test_gmssl_is_always_there() -> None:
    assert "gmssl" in BACKENDS


def test_sm3_of_the_standard() -> None:
    assert (
        sm2.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    )  # GB/T 32905, A.1


def test_round_trip(backend: str) -> None:
    key = sm2.generate()
    public = sm2.public_key(key)
    signature = sm2.sign(key, MESSAGE)
    assert sm2.verify(public, MESSAGE, signature)
    assert sm2.verify(sm2.SPKI_PREFIX + public, MESSAGE, signature)
    assert not sm2.verify(public, MESSAGE + b"x", signature)
    assert not sm2.verify(public, MESSAGE, signature, b"another user")
    assert not sm2.verify(sm2.public_key(sm2.generate()), MESSAGE, signature)
    assert sm2.verify(public, b"", sm2.sign(key, b""))
    assert sm2.verify(public, b"m", sm2.sign(key, b"m", b"me"), b"me")
    sm2.self_test()


@pytest.mark.parametrize("order", ["C1C3C2", "C1C2C3"])
@pytest.mark.parametrize("size", [1, 31, 32, 33, 255, 256, 5000])
def test_encryption(backend: str, order: sm2.Order, size: int) -> None:
    public = sm2.public_key(KEY)
    plaintext = bytes(range(251)) * (size // 251 + 1)
    ciphertext = sm2.encrypt(public, plaintext[:size], order)
    assert ciphertext[0] == 4
    assert len(ciphertext) == 65 + 32 + size
    assert sm2.decrypt(KEY, ciphertext, order) == plaintext[:size]


@pytest.mark.parametrize("size", [3, 300])
def test_ciphertexts_of_one_backend_are_read_by_the_other(size: int) -> None:
    made = {}
    for name in BACKENDS:
        sm2.select_backend(name)
        made[name] = sm2.encrypt(sm2.public_key(KEY), b"p" * size, "C1C2C3")
    for name in BACKENDS:
        sm2.select_backend(name)
        assert all(sm2.decrypt(KEY, ciphertext, "C1C2C3") == b"p" * size for ciphertext in made.values())


@pytest.mark.parametrize("size", [20, 300])
def test_altered_ciphertexts(backend: str, size: int) -> None:
    ciphertext = sm2.encrypt(sm2.public_key(KEY), b"p" * size)
    for position in (0, 1, 40, 64, 65, 96, 97, len(ciphertext) - 1):
        altered = bytearray(ciphertext)
        altered[position] ^= 1
        with pytest.raises(DecryptionFailed):
            sm2.decrypt(KEY, bytes(altered))
    for short in (b"", ciphertext[:64], ciphertext[:97], ciphertext[:-1]):
        with pytest.raises(DecryptionFailed):
            sm2.decrypt(KEY, short)
    with pytest.raises(DecryptionFailed):
        sm2.decrypt(sm2.generate(), ciphertext)
    with pytest.raises(DecryptionFailed):
        sm2.decrypt(KEY, ciphertext, "C1C2C3")


def encodings(signature: bytes) -> dict[str, bytes]:
    """The same r and s in forms that are not strict DER, and numbers out of range."""
    r, s = (member.integer() for member in der.read(signature, der.SEQUENCE).members())

    def pair(first: bytes, second: bytes) -> bytes:
        return der.tlv(der.SEQUENCE, first, second)

    one, other = der.encode_integer(r), der.encode_integer(s)
    return {
        "empty": b"",
        "trailing octet": signature + b"\x00",
        "trailing in the sequence": pair(one, other + b"\x05\x00"),
        "long length": b"\x30\x81" + signature[1:],
        "padded integer": pair(b"\x02" + bytes((one[1] + 1,)) + b"\x00" + one[2:], other),
        "r negative": pair(der.encode_integer(-r), other),
        "r zero": pair(der.encode_integer(0), other),
        "s zero": pair(one, der.encode_integer(0)),
        "r = n": pair(der.encode_integer(N), other),
        "s = n": pair(one, der.encode_integer(N)),
        "r + n": pair(der.encode_integer(r + N), other),
        "s + n": pair(one, der.encode_integer(s + N)),
        "swapped": pair(other, one),
        "s missing": der.tlv(der.SEQUENCE, one),
        "a set": b"\x31" + signature[1:],
        "raw": sm2.signature_to_raw(signature),
        "s = n - s": pair(one, der.encode_integer(N - s)),
    }


@pytest.mark.parametrize("case", sorted(encodings(sm2.sign(KEY, MESSAGE))))
def test_only_strict_der_holds(backend: str, case: str) -> None:
    signature = sm2.sign(KEY, MESSAGE)
    assert not sm2.verify(sm2.public_key(KEY), MESSAGE, encodings(signature)[case])


def test_every_flipped_bit_is_refused() -> None:
    sm2.select_backend(BACKENDS[0])
    signature, public = sm2.sign(KEY, MESSAGE), sm2.public_key(KEY)
    for bit in range(len(signature) * 8):
        altered = bytearray(signature)
        altered[bit // 8] ^= 1 << bit % 8
        assert not sm2.verify(public, MESSAGE, bytes(altered)), bit


@given(st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(data: bytes) -> None:
    assert not sm2.verify(sm2.public_key(KEY), MESSAGE, data)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        bytes(65),
        b"\x04" + bytes(64),
        b"\x02" + bytes(32),
        b"\x04" + P.to_bytes(32, "big") + bytes(32),
        b"\x04" + b"\x11" * 64,
        sm2.SPKI_PREFIX,
        sm2.SPKI_PREFIX + b"\x04" + b"\x11" * 64,
    ],
)
def test_bad_public_keys(backend: str, key: bytes) -> None:
    with pytest.raises(BadKey):
        sm2.verify(key, b"", sm2.sign(KEY, b""))
    with pytest.raises(BadKey):
        sm2.encrypt(key, b"x")


@pytest.mark.parametrize("key", [b"", bytes(32), b"\x01" * 31, N.to_bytes(32, "big"), (N - 1).to_bytes(32, "big")])
def test_bad_private_keys(key: bytes) -> None:
    for use in (lambda: sm2.sign(key, b""), lambda: sm2.public_key(key), lambda: sm2.decrypt(key, bytes(120))):
        with pytest.raises(BadKey):
            use()


def test_a_library_that_is_none() -> None:
    with pytest.raises(BadConfiguration):
        sm2.select_backend("libcrypto", library="libnothing.so.9")
    assert sm2.backend_name() in BACKENDS


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's stderr can be turned away")
def test_gmssl_prints_nothing_for_a_bad_signature(capfd: pytest.CaptureFixture[str]) -> None:
    sm2.select_backend("gmssl")
    assert not sm2.verify(sm2.public_key(KEY), b"other", sm2.sign(KEY, MESSAGE))
    with pytest.raises(DecryptionFailed):
        sm2.decrypt(sm2.generate(), sm2.encrypt(sm2.public_key(KEY), b"x"))
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no OpenSSL command line")
def test_signatures_of_the_openssl_command_line(backend: str, tmp_path: Path) -> None:
    def run(*command: str) -> None:
        subprocess.run(["openssl", *command], cwd=tmp_path, check=True, capture_output=True)

    identity = ("-rawin", "-digest", "sm3", "-pkeyopt", "distid:1234567812345678")
    run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", "k.pem")
    run("pkey", "-in", "k.pem", "-pubout", "-outform", "DER", "-out", "p.der")
    public = (tmp_path / "p.der").read_bytes()
    for number in range(5):
        message = bytes((number,)) * number * 100
        (tmp_path / "m").write_bytes(message or b"-")
        run("pkeyutl", "-sign", "-inkey", "k.pem", *identity, "-in", "m", "-out", "s")
        signature = (tmp_path / "s").read_bytes()
        assert sm2.verify(public, message or b"-", signature)
        assert not sm2.verify(public, b"other", signature)
    # and the other way round
    from certs.keys import PrivateKey, SignatureAlgorithm

    key = PrivateKey.from_pem((tmp_path / "k.pem").read_bytes())
    (tmp_path / "s").write_bytes(key.sign(SignatureAlgorithm.SM2_SM3, b"ours"))
    (tmp_path / "m").write_bytes(b"ours")
    run("pkeyutl", "-verify", "-inkey", "k.pem", *identity, "-in", "m", "-sigfile", "s")
