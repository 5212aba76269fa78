"""Whose a certificate is: names and credit codes as authorities write them, and what is none."""

from __future__ import annotations

import pytest

from certs import der
from certs.issuing.authority import encode_name, extension
from certs.report import Owner
from certs.x509.owners import owner_of
from certs.x509.signing_cert import SigningCert
from tests.unit.certs.ofd_cases import world

OFFICE = "济南市公安局"
CODE = "11370100004188571A"  # its check character is wrong
GOOD = "11370800MB28559184"


def issued(subject: dict[str, str] | str, *extensions: bytes) -> SigningCert:
    return world().authority.intermediate.issue(subject, extra_extensions=extensions).cert


def stated(oid: str, value: bytes) -> bytes:
    return extension(oid, value, False)


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ({"C": "CN", "O": OFFICE, "CN": "电子证照专用"}, (OFFICE, "电子证照专用")),
        ({"C": "CN", "O": OFFICE, "CN": OFFICE}, (OFFICE,)),
        ({"CN": OFFICE}, (OFFICE,)),
        ({"OU": OFFICE}, ()),
        ("", ()),
    ],
)
def test_names_are_the_subjects_o_and_cn(subject: dict[str, str] | str, names: tuple[str, ...]) -> None:
    assert owner_of(issued(subject)) == Owner(names)


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("1.2.156.10260.4.4", der.tlv(der.PRINTABLE_STRING, GOOD.encode())),  # GM/T 0015-2023
        ("1.2.156.10260.4.1.4", der.tlv(der.UTF8_STRING, GOOD.encode())),  # GM/T 0015-2012
        ("1.2.156.10260.4.1.4", der.tlv(der.SEQUENCE, der.tlv(der.IA5_STRING, GOOD.encode()))),
        ("1.2.156.10260.4.1.4", GOOD.encode()),  # bare
    ],
)
def test_the_code_stands_in_an_extension(oid: str, value: bytes) -> None:
    assert owner_of(issued(OFFICE, stated(oid, value))) == Owner((OFFICE,), (GOOD,))


@pytest.mark.parametrize(
    ("oid", "value"),
    [
        ("1.2.156.10260.4.4", der.tlv(der.PRINTABLE_STRING, CODE.encode())),
        ("1.2.156.10260.4.4", der.tlv(der.PRINTABLE_STRING, (GOOD + "1").encode())),
        ("1.2.156.10260.4.1.1", der.tlv(der.PRINTABLE_STRING, GOOD.encode())),  # where a person's number stands
        ("1.2.156.10260.4.4", b"\xff\x00"),
    ],
)
def test_what_is_no_code_is_not_there(oid: str, value: bytes) -> None:
    assert owner_of(issued(OFFICE, stated(oid, value))).codes == ()


@pytest.mark.parametrize(("oid", "text"), [("2.5.4.97", f"NTRCN-{GOOD}"), ("2.5.4.5", GOOD)])
def test_the_code_stands_in_the_subject(oid: str, text: str) -> None:
    said = der.tlv(der.SEQUENCE, der.encode_oid(oid), der.tlv(der.PRINTABLE_STRING, text.encode()))
    names = der.read(encode_name({"O": OFFICE}), der.SEQUENCE).content
    cert = issued(OFFICE)
    object.__setattr__(cert, "subject", der.tlv(der.SEQUENCE, names, der.tlv(der.SET, said)))
    owner_of.cache_clear()
    assert owner_of(cert) == Owner((OFFICE,), (GOOD,))


def test_a_name_that_breaks_off_is_read_so_far() -> None:
    cert = issued(OFFICE)
    object.__setattr__(cert, "subject", b"\x30\x05\x31\x80")
    owner_of.cache_clear()
    assert owner_of(cert) == Owner(())
