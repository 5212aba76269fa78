"""OFD files that somebody made to hurt: every one gets a report, none an exception, none much memory or time."""

from __future__ import annotations

import io
import random
import struct
import time
import zipfile

import pytest

from certs.der import Malformed
from certs.ofd.metadata import read_ecert_fields
from certs.ofd.package import OfdLimits, OfdPackage, resolve
from certs.ofd.seals import parse_seal, parse_seal_signature, parse_time
from certs.ofd.write import SignOptions, pack, sign_ofd, unpack
from certs.policy import Policy
from certs.report import Axis, Indication, SubIndication
from certs.trust import TrustStore
from certs.verify import Fetchers, format_of, verify

from .ofd_cases import FIELDS, NOW, on, unsigned, world

VALUE, SIGNATURE, LIST = (
    "Doc_0/Signs/Sign_0/SignedValue.dat",
    "Doc_0/Signs/Sign_0/Signature.xml",
    "Doc_0/Signs/Signatures.xml",
)
INDEX = b'<OFD xmlns="http://www.ofdspec.org/2016"><DocBody><DocRoot>D</DocRoot>%s</DocBody></OFD>'


def archive(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def encrypted() -> bytes:
    data = bytearray(unsigned())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = data.find(mark)
        while position >= 0:
            data[position + flags] |= 1
            position = data.find(mark, position + 4)
    return bytes(data)


def bad_crc() -> bytes:
    data = bytearray(unsigned())
    position = data.find(b"PK\x01\x02")
    data[position + 16] ^= 1
    return bytes(data)


LIST_OF = b'<Signatures xmlns="http://www.ofdspec.org/2016">%s</Signatures>'
MANY = b"".join(b'<Signature ID="%d" BaseLoc="S%d.xml"/>' % (n, n) for n in range(40))
SIGNED_INDEX = ("OFD.xml", INDEX % b"<Signatures>L.xml</Signatures>")
HOSTILE = {
    "nothing": b"",
    "no archive": b"PK\x03\x04",
    "empty archive": archive(),
    "no index": archive(("a", b"")),
    "cut off": unsigned()[:-30],
    "garbage inside": unsigned()[:40] + b"\xff" * 200 + unsigned()[240:],
    "encrypted": encrypted(),
    "wrong crc": bad_crc(),
    "traversal": archive(("OFD.xml", INDEX % b""), ("../../etc/passwd", b"")),
    "traversal by backslash": archive(("OFD.xml", INDEX % b""), ("..\\x", b"")),
    "drive": archive(("OFD.xml", INDEX % b""), ("C:/x", b"")),
    "control character": archive(("OFD.xml", INDEX % b""), ("a\nb", b"")),
    "long name": archive(("OFD.xml", INDEX % b""), ("a" * 600, b"")),
    "zip bomb": archive(("OFD.xml", b" " * 9_000_000)),
    "doctype": archive(("OFD.xml", b'<!DOCTYPE x [<!ENTITY a "b">]>' + INDEX % b"")),
    "external entity": archive(("OFD.xml", b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + INDEX % b"")),
    "deep": archive(("OFD.xml", b"<a>" * 5000 + b"</a>" * 5000)),
    "another root": archive(("OFD.xml", b"<Document/>")),
    "no document": archive(("OFD.xml", b'<OFD xmlns="http://www.ofdspec.org/2016"/>')),
    "two lists": archive(("OFD.xml", INDEX % b"<Signatures>a</Signatures><Signatures>b</Signatures>")),
    "list outside": archive(("OFD.xml", INDEX % b"<Signatures>../L.xml</Signatures>")),
    "list missing": archive(SIGNED_INDEX),
    "list is something else": archive(SIGNED_INDEX, ("L.xml", b"<Document/>")),
    "too many signatures": archive(SIGNED_INDEX, ("L.xml", LIST_OF % MANY)),
    "one signature twice": archive(SIGNED_INDEX, ("L.xml", LIST_OF % (b'<Signature BaseLoc="S.xml"/>' * 2))),
    "signature missing": archive(SIGNED_INDEX, ("L.xml", LIST_OF % b'<Signature BaseLoc="S.xml"/>')),
    "signature without location": archive(SIGNED_INDEX, ("L.xml", LIST_OF % b"<Signature/>")),
    "not utf-8": archive(("OFD.xml", b"\xff\xfe<")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_containers(name: str) -> None:
    began = time.monotonic()
    report = world().verify(HOSTILE[name])
    assert time.monotonic() - began < 1
    assert report.indication is Indication.FAILED
    assert report.sub_indication is SubIndication.FORMAT_FAILURE
    assert read_ecert_fields(HOSTILE[name]) == {}


BROKEN_PARTS = {
    "value missing": lambda m: m.pop(VALUE),
    "value empty": lambda m: m.update({VALUE: b""}),
    "value is text": lambda m: m.update({VALUE: b"hello"}),
    "value cut": lambda m: m.update({VALUE: m[VALUE][:-5]}),
    "value with a tail": lambda m: m.update({VALUE: m[VALUE] + b"\x00"}),
    "value of an empty sequence": lambda m: m.update({VALUE: b"\x30\x00"}),
    "value nested": lambda m: m.update({VALUE: b"\x30\x80" * 500}),
    "no references": lambda m: m.update({SIGNATURE: m[SIGNATURE].replace(b"ofd:Reference ", b"ofd:Other ")}),
    "check value no base64": lambda m: m.update(
        {SIGNATURE: m[SIGNATURE].replace(b"<ofd:CheckValue>", b"<ofd:CheckValue>*")}
    ),
    "reference outside": lambda m: m.update(
        {SIGNATURE: m[SIGNATURE].replace(b'FileRef="/OFD.xml"', b'FileRef="../../../../x"')}
    ),
    "signature doctype": lambda m: m.update({SIGNATURE: b"<!DOCTYPE a>" + m[SIGNATURE].split(b"?>", 1)[1]}),
    "no signed value": lambda m: m.update({SIGNATURE: m[SIGNATURE].replace(b"ofd:SignedValue", b"ofd:Else")}),
}


@pytest.mark.parametrize("name", BROKEN_PARTS)
def test_broken_signature_parts(name: str) -> None:
    members = unpack(world().signed())
    BROKEN_PARTS[name](members)
    report = world().verify(pack(members))
    assert report.indication is Indication.FAILED
    assert any(f.sub_indication is SubIndication.FORMAT_FAILURE for f in on(report, Axis.FORMAT))


def test_many_members_and_large_ones() -> None:
    small = OfdLimits(max_members=3, max_member=10_000, max_total=15_000, max_archive=20_000)
    for data in (
        archive(*((f"f{n}", b"") for n in range(4))),
        archive(("OFD.xml", INDEX % b""), ("a", b"x" * 9000), ("b", b"x" * 9000)),
        b"\x00" * 20_001,
    ):
        with pytest.raises(Malformed):
            OfdPackage.open(data, small)
    package = OfdPackage.open(archive(("OFD.xml", INDEX % b""), ("a", b"x" * 10_001)), small)
    with pytest.raises(Malformed):
        package.read("a")


def test_a_directory_that_lies_about_the_size() -> None:
    data = bytearray(archive(("OFD.xml", b" " * 500_000)))
    for mark, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        position = data.find(mark)
        data[position + offset : position + offset + 4] = struct.pack("<I", 100)
    assert world().verify(bytes(data)).sub_indication is SubIndication.FORMAT_FAILURE


def test_one_large_file_that_is_referenced_thousands_of_times() -> None:
    """It is unpacked and digested once: 5,000 times 4 MB would take minutes."""
    w = world()
    members = unpack(unsigned()) | {"Doc_0/Res/large.bin": random.Random(1).randbytes(4_000_000)}
    members = unpack(sign_ofd(pack(members), w.authority.signer, SignOptions(), at=NOW))
    start = members[SIGNATURE].index(b'<ofd:Reference FileRef="/Doc_0/Res/large.bin"')
    end = members[SIGNATURE].index(b"</ofd:Reference>", start) + len(b"</ofd:Reference>")
    members[SIGNATURE] = members[SIGNATURE].replace(members[SIGNATURE][start:end], members[SIGNATURE][start:end] * 5000)
    members[VALUE] = w.authority.signer.sign(members[SIGNATURE])
    document = pack(members)
    began = time.monotonic()
    assert w.verify(document).indication is Indication.PASSED
    assert time.monotonic() - began < 10


def test_duplicate_members() -> None:
    members = list(unpack(world().signed()).items())
    name, content = "Doc_0/Pages/Page_0/Content.xml", dict(members)["Doc_0/Pages/Page_0/Content.xml"]
    with pytest.warns(UserWarning, match="Duplicate name"):
        same = archive(*members, (name, content))
    report = world().verify(same)
    assert report.indication is Indication.PASSED
    assert on(report, Axis.FORMAT)[0].data["duplicates"] == name
    with pytest.warns(UserWarning, match="Duplicate name"):
        shadowed, hidden = archive((name, b"forged"), *members), archive(*members, (name, b"forged"))
    assert world().verify(shadowed).axis(Axis.FORMAT) is Indication.INDETERMINATE, "readers differ on which one counts"
    assert world().verify(hidden).indication is Indication.FAILED


def test_names_in_gbk_without_a_flag() -> None:
    """Old packers write file names in the system's code page; the document must still be readable."""
    data = archive(("OFD.xml", INDEX % b""), ("AAAA.txt", b"text")).replace(b"AAAA", "附件".encode("gbk"))
    assert OfdPackage.open(data).read("附件.txt") == b"text"


@pytest.mark.parametrize("seed", range(6))
def test_random_damage_never_raises(seed: int) -> None:
    rng = random.Random(seed)
    members = unpack(world().signed())
    for _ in range(60):
        changed = dict(members)
        for name in rng.sample(sorted(changed), 2):
            data = bytearray(changed[name])
            for _ in range(rng.randint(1, 6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            if rng.random() < 0.3:
                del data[rng.randrange(len(data)) :]
            changed[name] = bytes(data)
        report = world().verify(pack(changed))
        assert report.indication is not Indication.PASSED
        read_ecert_fields(pack(changed))
    whole = world().signed()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        world().verify(bytes(data))
        read_ecert_fields(bytes(data))


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x00", b"\x30\x03\x30\x01\x00", b"\x30\x82\xff\xff" + bytes(20), bytes(100)]
)
def test_bytes_that_are_no_seal(data: bytes) -> None:
    for parse in (parse_seal, parse_seal_signature):
        with pytest.raises(Malformed):
            parse(data)


@pytest.mark.parametrize(
    "text", ["", "2026", "20261301000000Z", "20260230000000Z", "2026-01-01", "99991231235959-2359", "x" * 50]
)
def test_bad_times(text: str) -> None:
    with pytest.raises(Malformed):
        parse_time(text)


def test_times_without_a_zone_are_beijing_time() -> None:
    assert parse_time("20260302160000") == parse_time("20260302080000Z") == parse_time("20260302160000+0800") == NOW


@pytest.mark.parametrize(
    ("base", "location", "expected"),
    [
        ("Doc_0/Signs/Signatures.xml", "/Doc_0/x", "Doc_0/x"),
        ("Doc_0/Signs/Signatures.xml", "Sign_0/x", "Doc_0/Signs/Sign_0/x"),
        ("Doc_0/Signs/Signatures.xml", "../x", "Doc_0/x"),
        ("OFD.xml", "./Doc_0//x ", "Doc_0/x"),
    ],
)
def test_locations(base: str, location: str, expected: str) -> None:
    assert resolve(base, location) == expected


def test_metadata_is_read_from_covered_files_only() -> None:
    w = world()
    assert read_ecert_fields(unsigned()) == FIELDS
    assert read_ecert_fields(w.signed()) == FIELDS
    forged = unpack(w.signed(SignOptions(seal=w.seal(), uncovered=frozenset({"OFD.xml"}))))
    forged["OFD.xml"] = forged["OFD.xml"].replace("张".encode(), "李".encode())
    assert read_ecert_fields(pack(forged)) == FIELDS, "OFD.xml is outside the signature: the attachment alone speaks"
    attached = unpack(w.signed(SignOptions(seal=w.seal(), uncovered=frozenset({"Doc_0/Attachs/metadata.xml"}))))
    attached["Doc_0/Attachs/metadata.xml"] = b"<a><CZZT>x</CZZT></a>"
    assert read_ecert_fields(pack(attached)) == FIELDS


def test_metadata_that_contradicts_itself_is_missing() -> None:
    members = unpack(unsigned())
    members["OFD.xml"] = members["OFD.xml"].replace("张".encode(), "李".encode())
    fields = read_ecert_fields(pack(members))
    assert "holder_name" not in fields
    assert fields["number"] == FIELDS["number"]


def test_metadata_of_two_documents_in_one_file() -> None:
    members = unpack(unsigned())
    index = members["OFD.xml"]
    body = index[index.index(b"<ofd:DocBody>") : index.index(b"</ofd:OFD>")]
    members["OFD.xml"] = index.replace(body, body * 2)
    assert read_ecert_fields(pack(members)) == {}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (unsigned(), "ofd"),
        (b"%PDF-1.7", "pdf"),
        (b"\x30\x80", "cms"),
        (b"-----BEGIN CMS-----", "cms"),
        (b"eyJh.eyJh.AA", "jws"),
        (b"<a/>", "xml"),
        (b"", "unknown"),
        (b"MZ", "unknown"),
    ],
)
def test_the_front_door_answers_for_anything(data: bytes, kind: str) -> None:
    assert format_of(data) == kind
    report = verify(data, policy=Policy(), at=NOW, trust=TrustStore(), fetchers=Fetchers())
    assert report.indication is not Indication.PASSED
    assert report.format == kind
