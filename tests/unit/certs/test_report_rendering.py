"""Reports for people and programs: complete, in both languages, and safe to show."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from certs.errors import BadConfiguration
from certs.ofd.write import SignOptions, pack, unpack
from certs.policy import NAMED, Policy, load_policy, parse_policy
from certs.render import AXES, SUB_INDICATIONS, report_to_html, report_to_json, report_to_text
from certs.report import Axis, Indication, Report, SubIndication
from certs.verify import Fetchers, verify
from certs.x509.revocation import RevocationSource

from .ofd_cases import NOW, World, world


def test_json_has_everything() -> None:
    report = world().verify(world().signed())
    value = json.loads(json.dumps(report_to_json(report)))
    assert (value["indication"], value["sub_indication"], value["format"]) == ("PASSED", None, "ofd")
    assert len(value["findings"]) == len(report.findings)
    assert value["axes"]["seal"] == "PASSED"
    assert value["signers"][0]["seal_id"] == "37010000000001"


@pytest.mark.parametrize(("language", "word", "reason"), [("zh", "不通过", "被改动"), ("en", "FAILED", "altered")])
def test_texts(language: str, word: str, reason: str) -> None:
    members = unpack(world().signed())
    members["Doc_0/Document.xml"] += b" "
    report = world().verify(pack(members))
    for text in (report_to_text(report, language=language), report_to_html(report, language=language)):
        assert word in text
        assert reason in text
        assert "Doc_0/Document.xml" in text
        assert "2026-03-02 16:00:00+08:00" in text, "times of people are Beijing time"


REASONS = {  # what a report says beside a finding, in each language
    "no archive": (
        lambda w: w.verify(b"PK\x03\x04 no archive"),
        "OFD 文件格式错误：不是 ZIP 压缩包",
        "the OFD file is malformed: not a ZIP archive",
    ),
    "a value that is none": (
        lambda w: w.verify(pack({n: b"0" if n.endswith(".dat") else d for n, d in unpack(w.signed()).items()})),
        "签名值格式错误：元素不完整",
        "the signature value is malformed: an element is cut off",
    ),
    "XML that is none": (
        lambda w: w.verify(pack({n: b"<a>" if n == "OFD.xml" else d for n, d in unpack(w.signed()).items()})),
        "OFD 文件格式错误：OFD.xml：不是格式良好的 XML",
        "the OFD file is malformed: OFD.xml: xml-malformed",
    ),
    "a list that is none": (
        lambda w: w.verify(w.signed(), revocation=RevocationSource(crls=(b"0",))),
        "是否被吊销：CRL：元素不完整",
        "is revoked cannot be told: CRL: an element is cut off",
    ),
    "an XML document": (
        lambda w: _judged(w, b"<!DOCTYPE a><a/>"),
        "XML 无法读取：含有 DOCTYPE",
        "the XML cannot be read: xml-doctype",
    ),
    "a signature in XML": (
        lambda w: _judged(w, b'<a xmlns:d="http://www.w3.org/2000/09/xmldsig#"><d:Signature/></a>'),
        "：签名格式不正确",
        ": signature-malformed",
    ),
    "a message": (
        lambda w: _judged(w, b"0\x03\x02\x01"),
        "签名消息格式错误：元素不完整",
        "malformed: an element is cut off",
    ),
    "a PDF": (
        lambda w: _judged(w, b"%PDF-1.7"),
        "PDF 无法读取：结构错误（",
        "the PDF cannot be read: ",
    ),
    "a JWS": (
        lambda w: _judged(w, b"e30.e30.AA"),
        "JWS 被拒绝：JWS 格式不正确",
        "jws-malformed",
    ),
}


def _judged(w: World, document: bytes) -> Report:
    return verify(document, policy=Policy(), at=NOW, trust=w.trust, fetchers=Fetchers())


@pytest.mark.parametrize("name", REASONS)
def test_a_reason_is_told_in_the_language_of_the_report(name: str) -> None:
    judge, zh, en = REASONS[name]
    report = judge(world())
    for render in (report_to_text, report_to_html):
        chinese, english = render(report), render(report, language="en")
        assert (zh in chinese, en in english) == (True, True), f"{chinese}\n{english}"
        assert (zh in english, en in chinese) == (False, False), f"{chinese}\n{english}"
    for data in (finding.data for finding in report.findings if "why" in finding.data):
        assert data["why"].isascii(), "programs go by it"
        assert data["why_zh"]


def test_html_escapes_what_the_document_brings() -> None:
    w = world()
    evil = "<script>alert(1)</script>"
    signer = w.authority.intermediate.issue({"CN": evil, "O": "&amp;"})
    document = w.signed(SignOptions(seal=w.seal(name=evil, signers=(signer,))), signer=signer)
    slipped = pack(unpack(document) | {"<img src=x>": b""})
    html = report_to_html(w.verify(slipped))
    assert evil not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_a_verdict_is_no_truth_value() -> None:
    report = world().verify(world().signed())
    with pytest.raises(TypeError):
        bool(report)
    with pytest.raises(TypeError):
        bool(report.indication)


def test_every_axis_has_words() -> None:
    assert set(AXES) == set(Axis)


def test_every_sub_indication_has_words() -> None:
    assert set(SUB_INDICATIONS) == set(SubIndication)
    page = (Path(__file__).parents[3] / "docs" / "verification.md").read_text(encoding="utf-8")
    for sub, (zh, en) in SUB_INDICATIONS.items():
        assert re.search("[\u4e00-\u9fff]", zh)
        assert en.isascii()
        assert f"| `{sub.value}` | {zh} | {en} |" in page


def test_the_heading_says_the_reason_in_words_and_its_code() -> None:
    report = world().verify(b"PK\x03\x04 no archive")
    assert report_to_text(report).splitlines()[0] == "结论: 不通过：文件格式不符合标准（FORMAT_FAILURE）"
    assert "<h2>结论: 不通过：文件格式不符合标准（FORMAT_FAILURE）</h2>" in report_to_html(report)
    assert (
        report_to_text(report, language="en").splitlines()[0]
        == "Result: FAILED: the format is not as the standard says (FORMAT_FAILURE)"
    )
    assert report_to_text(world().verify(world().signed())).splitlines()[0] == "结论: 通过"


def test_named_policies() -> None:
    assert load_policy("strict") == Policy()
    assert {load_policy(name).name for name in NAMED} == set(NAMED)
    assert load_policy("field").may_be_uncovered("OFD.xml")
    assert not load_policy("field").may_be_uncovered("Doc_0/Pages/Page_0/Content.xml")


@pytest.mark.parametrize(
    "text", ["x =", "unknown = 1", 'revocation = "sometimes"', 'algorithms = ["md5"]', "min_rsa_bits = []"]
)
def test_bad_policies(text: str) -> None:
    with pytest.raises(BadConfiguration):
        parse_policy(text)


@pytest.mark.parametrize("name", ["nothing", "missing.toml", ""])
def test_policies_that_are_not_there(name: str) -> None:
    with pytest.raises(BadConfiguration):
        load_policy(name)


def test_a_policy_of_ones_own() -> None:
    policy = parse_policy('name = "own"\nuncovered = "FAILED"\nmax_revocation_age = "P2D"\nrequire_seal = true')
    assert (policy.uncovered, policy.max_revocation_age and policy.max_revocation_age.days) == (Indication.FAILED, 2)


def test_paths_say_whose_certificate_they_are_about() -> None:
    report = world().verify(world().signed())
    for language, words in (
        ("zh", ("证书链（签章人）", "证书链（制章人）")),
        ("en", ("path (signer)", "path (seal maker)")),
    ):
        for shown in (report_to_text(report, language=language), report_to_html(report, language=language)):
            assert all(word in shown for word in words)
    certificates = {f.data["purpose"]: f.data.get("anchor") for f in report.findings if f.axis is Axis.PATH}
    assert set(certificates) == {"seal", "seal-maker"}
    revoked = world().verify(world().signed(), revocation=RevocationSource())
    named = [(f.data["purpose"], f.data["certificate"]) for f in revoked.findings if f.axis is Axis.REVOCATION]
    authority = world().authority  # both the certificate and what it is for
    assert ("seal", authority.signer.cert.fingerprint) in named
    assert ("seal-maker", authority.seal_maker.cert.fingerprint) in named
