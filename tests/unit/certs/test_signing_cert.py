"""Certificates as they are met: broken names and encoded defaults are read, what is no certificate is refused."""

from __future__ import annotations

import pytest

from certs import der
from certs.errors import BadKey
from certs.issuing.authority import encode_name, extension
from certs.keys import SignatureAlgorithm
from certs.pkcs8 import armour
from certs.x509.extensions import BASIC_CONSTRAINTS
from certs.x509.signing_cert import SigningCert, readable_name

from .ofd_cases import world

CN = der.encode_oid("2.5.4.3")


def name_of(tag: int, value: bytes) -> bytes:
    return der.tlv(der.SEQUENCE, der.tlv(der.SET, der.tlv(der.SEQUENCE, CN, der.tlv(tag, value))))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (encode_name({"C": "CN", "O": "教育局"}), "C=CN, O=教育局"),
        (name_of(der.UTF8_STRING, "教育".encode("gbk")), "CN=教育"),
        (name_of(der.PRINTABLE_STRING, "教育".encode()), "CN=教育"),
        (name_of(der.BMP_STRING, "教育".encode("utf-16-be")), "CN=教育"),
        (name_of(der.BMP_STRING, b"\xd8\x00x"), "CN=�x"[:4]),
        (name_of(der.UTF8_STRING, b"\xff\xff\xff"), "CN=�"),
        (name_of(der.UTF8_STRING, b"a\x00\x1b[31m"), "CN=a��[31m"),
        (b"\x30\x03\x31\x01\x30", ""),
        (b"", ""),
    ],
)
def test_names_are_read_as_well_as_they_can_be(name: bytes, expected: str) -> None:
    assert readable_name(name).startswith(expected[:3])
    if "�" not in expected or "[31m" in expected:
        assert readable_name(name) == expected


def test_a_certificate_of_ours() -> None:
    signer = world().authority.signer
    cert = SigningCert.from_pem(armour("CERTIFICATE", signer.cert.der))
    assert cert == signer.cert
    assert cert is SigningCert.from_der(signer.cert.der), "cached"
    assert (cert.version, cert.is_ca, world().authority.root.cert.is_ca) == (3, False, True)
    assert cert.authority_key_id == world().authority.intermediate.cert.subject_key_id
    issuer_key = world().authority.intermediate.cert.public_key
    assert issuer_key.verify(SignatureAlgorithm.SM2_SM3, cert.tbs, cert.signature)


def test_an_encoded_default_in_basic_constraints() -> None:
    """``cA FALSE`` written out is not DER, and is in real certificates."""
    odd = extension(BASIC_CONSTRAINTS, b"\x30\x03\x01\x01\x00", True)
    plain = extension(BASIC_CONSTRAINTS, b"\x30\x00", True)
    raw = world().authority.signer.cert.der
    tbs = der.read(raw, der.SEQUENCE).reader().take(der.SEQUENCE)
    assert plain in tbs.raw
    members = tbs.members()
    listed = der.read(members[-1].content, der.SEQUENCE).content.replace(plain, odd)
    new_tbs = der.tlv(der.SEQUENCE, *(m.raw for m in members[:-1]), der.tlv(0xA3, der.tlv(der.SEQUENCE, listed)))
    rest = b"".join(m.raw for m in der.read(raw, der.SEQUENCE).members()[1:])
    assert not SigningCert.from_der(der.tlv(der.SEQUENCE, new_tbs, rest)).is_ca


@pytest.mark.parametrize("cut", [0, 1, 4, 50, 200, -1])
def test_what_is_no_certificate(cut: int) -> None:
    raw = world().authority.signer.cert.der
    for data in (raw[:cut], raw[:cut] + b"\x00\x00", raw + b"\x00", bytes(70_000)):
        with pytest.raises(BadKey):
            SigningCert.from_der(data)


def test_every_octet_damaged() -> None:
    raw = world().authority.signer.cert.der
    for position in range(len(raw)):
        data = bytearray(raw)
        data[position] ^= 0xFF
        try:
            cert = SigningCert.from_der(bytes(data))
            _ = cert.subject_text, cert.is_ca, cert.subject_key_id, cert.authority_key_id
            _ = cert.public_key
        except BadKey:
            continue
