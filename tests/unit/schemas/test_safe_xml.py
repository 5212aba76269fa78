"""The one XML parser: what it refuses, with which word, and that it never raises anything else."""

from __future__ import annotations

import re
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import safe_xml
from schemas.rules import RULES, Step
from schemas.safe_xml import UnsafeXml, XmlLimits, parse

BOMB = b"""<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>"""
REFUSED = {
    "empty": (b"", "xml-malformed"),
    "not xml": (b"{}", "xml-malformed"),
    "unclosed": (b"<a>", "xml-malformed"),
    "two roots": (b"<a/><b/>", "xml-malformed"),
    "undeclared prefix": (b"<a><p:b/></a>", "xml-malformed"),
    "attribute twice": (b'<a b="1" b="2"/>', "xml-malformed"),
    "null byte": (b"<a>\x00</a>", "xml-malformed"),
    "external entity": (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>', "xml-doctype"),
    "entity bomb": (BOMB, "xml-doctype"),
    "doctype after comment and PI": (b'<?xml version="1.0"?>\n<!-- <a> --><?x ?>\n<!DOCTYPE a><a/>', "xml-doctype"),
    "doctype in UTF-16": ("\ufeff<!DOCTYPE a><a/>".encode("utf-16-le"), "xml-doctype"),
    "doctype in GB18030": ('<?xml version="1.0" encoding="GB18030"?><!DOCTYPE a><a/>'.encode("gb18030"), "xml-doctype"),
    "doctype inside": (b"<a><!DOCTYPE a></a>", "xml-malformed"),
    "undefined entity": (b"<a>&nbsp;</a>", "xml-malformed"),
    "not its encoding": (b"<a>\xc4\xe3</a>", "xml-encoding"),
    "unknown encoding": (b'<?xml version="1.0" encoding="UTF-7"?><a/>', "xml-encoding"),
    "EBCDIC": ('<?xml version="1.0"?><a/>'.encode("cp500"), "xml-encoding"),
    "deeper than libxml2 goes": (b"<a>" * 4000 + b"</a>" * 4000, "xml-too-deep"),
    "deeper than the limit": (b"<a>" * 65 + b"</a>" * 65, "xml-too-deep"),
    "many elements": (b"<a>" + b"<b/>" * 100_001 + b"</a>", "xml-too-many-elements"),
    "many attributes": (b"<a " + b" ".join(b'b%d=""' % i for i in range(257)) + b"/>", "xml-too-many-attributes"),
    "many namespaces": (
        b"<a " + b" ".join(b'xmlns:p%d="u"' % i for i in range(2001)) + b"/>",
        "xml-too-many-namespaces",
    ),
    "too large": (b"<a>" + b" " * (8 * 1024 * 1024) + b"</a>", "xml-too-large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_word(name: str) -> None:
    data, reason = REFUSED[name]
    with pytest.raises(UnsafeXml) as caught:
        parse(data)
    assert caught.value.reason == reason


@pytest.mark.parametrize("encoding", ["UTF-8", "GB18030", "GBK", "gb2312", "UTF-16"])
def test_every_encoding_of_the_field_keeps_rare_characters(encoding: str) -> None:
    codec = {"GBK": "gb18030", "gb2312": "gb18030"}.get(encoding, encoding)
    data = f'<?xml version="1.0" encoding="{encoding}"?>\n<姓名>𠮷㐂䶮</姓名>'.encode(codec)
    root = parse(data)
    assert (root.tag, root.text) == ("姓名", "𠮷㐂䶮")


@pytest.mark.parametrize(
    "data",
    [
        "<a>\n<b>张</b>\n<c>王</c></a>".encode("gb18030").replace("张".encode("gb18030"), b""),
        '<?xml version="1.0" encoding="GB18030"?>\n<a>张\n'.encode("gb18030") + b"\xff</a>",
        "\ufeff<a>\n张\n".encode("utf-16-le") + b"\x00\xd8<\x00",
        b'<?xml version="1.0" encoding="US-ASCII"?>\n<a>\n\xc4</a>',
    ],
)
def test_bytes_of_another_encoding_are_told_with_their_line(data: bytes) -> None:
    with pytest.raises(UnsafeXml) as caught:
        parse(data)
    assert (caught.value.reason, caught.value.line) == ("xml-encoding", 3)


def test_every_reason_is_a_rule_with_its_cure() -> None:
    code = Path(safe_xml.__file__).read_text(encoding="utf-8")
    raised = set(re.findall(r'UnsafeXml\(\s*"([a-z-]+)"', code))
    assert len(raised) == 8
    assert raised <= {code for code, rule in RULES.items() if rule.step is Step.TEXT}


def test_byte_order_mark() -> None:
    assert parse("\ufeff<a>张</a>".encode()).text == "张"


def test_depth_at_the_limit_is_accepted() -> None:
    assert parse(b"<a>" * 64 + b"</a>" * 64).tag == "a"
    with pytest.raises(UnsafeXml):
        parse(b"<a><b/></a>", limits=XmlLimits(max_depth=1))


def test_a_comment_cannot_split_a_value() -> None:
    assert parse(b"<id>3701<!-- -->02</id>").text == "370102"


def test_an_error_names_the_line_and_never_quotes_the_document() -> None:
    with pytest.raises(UnsafeXml) as caught:
        parse(b"<a>\n<xm>secret</xm>\n<secret></a>")
    assert caught.value.line == 3
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [BOMB, b"<a>" + b"<b/>" * 1_000_000 + b"</a>", b"<!--" + b"<!---->" * 500_000 + b"<a/>"]
)
def test_refusal_spends_little_memory(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(UnsafeXml):
        parse(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(data) + 1_000_000


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="<>!-?[]&;a:x'\"= ", max_size=80).map(str.encode)))
def test_only_our_error_leaves(data: bytes) -> None:
    with suppress(UnsafeXml):
        parse(data)
