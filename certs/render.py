"""A report for people (text, HTML) and for programs (JSON). Chinese is the default; ``language`` is ``zh`` or ``en``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Final

from certs.report import BEIJING, Axis, Finding, Indication, Report, Signer, SubIndication, worst

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "PASSED": ("通过", "PASSED"),
    "FAILED": ("不通过", "FAILED"),
    "INDETERMINATE": ("无法判定", "INDETERMINATE"),
    "result": ("结论", "Result"),
    "reason": ("原因", "Reason"),
    "format": ("格式", "format"),
    "verified_at": ("验证时间", "verified at"),
    "policy": ("策略", "policy"),
    "digest": ("文件摘要 SHA-256", "SHA-256 of the file"),
    "signer": ("签名人", "signer"),
    "issuer": ("证书签发者", "issuer"),
    "serial": ("证书序列号", "serial number"),
    "signed_at": ("签名时间", "signed at"),
    "algorithm": ("算法", "algorithm"),
    "seal": ("印章", "seal"),
    "signature_n": ("第 {} 个签名", "signature {}"),
    "document": ("整个文件", "the document"),
    "checked": ("检查项", "checked"),
    "finding": ("说明", "finding"),
    "clause": ("依据", "clause"),
    "note": ("提示", "note"),
}
AXES: Final[dict[Axis, tuple[str, str]]] = {
    Axis.FORMAT: ("格式", "format"),
    Axis.CONTENT: ("内容完整性", "content"),
    Axis.COVERAGE: ("签名覆盖范围", "coverage"),
    Axis.SIGNATURE: ("签名", "signature"),
    Axis.SEAL: ("印章", "seal"),
    Axis.PATH: ("证书链", "path"),
    Axis.REVOCATION: ("吊销状态", "revocation"),
    Axis.VALIDITY: ("有效期", "validity"),
    Axis.TIMESTAMP: ("时间戳", "timestamp"),
    Axis.POLICY: ("策略", "policy"),
    Axis.ISSUER: ("发证机关", "issuer of the certificate"),
    Axis.STATUS: ("证照状态", "status"),
}
# What the codes of ETSI EN 319 102-1 and our own mean; the console says them of files that were refused by the same words.
SUB_INDICATIONS: Final[dict[SubIndication, tuple[str, str]]] = {
    SubIndication.FORMAT_FAILURE: ("文件格式不符合标准", "the format is not as the standard says"),
    SubIndication.HASH_FAILURE: ("文件被改动，内容与签名不符", "altered, the content does not fit its signature"),
    SubIndication.SIG_CRYPTO_FAILURE: ("签名值不成立", "the signature does not hold"),
    SubIndication.REVOKED: ("已吊销", "revoked"),
    SubIndication.EXPIRED: ("已过有效期", "expired"),
    SubIndication.NOT_YET_VALID: ("尚未生效", "not valid yet"),
    SubIndication.SIG_CONSTRAINTS_FAILURE: ("签名不符合要求", "the signature is not of the kind that is due"),
    SubIndication.CHAIN_CONSTRAINTS_FAILURE: ("证书链不符合要求", "the certificate path breaks its constraints"),
    SubIndication.CERTIFICATE_CHAIN_GENERAL_FAILURE: ("证书链无法验证", "the certificate path cannot be validated"),
    SubIndication.CRYPTO_CONSTRAINTS_FAILURE: ("密码算法或密钥不符合要求", "an algorithm or key that is not allowed"),
    SubIndication.NO_CERTIFICATE_CHAIN_FOUND: ("找不到通向受信任根的证书链", "no path to a trusted anchor"),
    SubIndication.NO_SIGNING_CERTIFICATE_FOUND: ("找不到签名证书", "the signing certificate was not found"),
    SubIndication.REVOKED_NO_POE: (
        "证书已吊销，无法证明签名在此之前",
        "revoked, and nothing proves that it was signed before",
    ),
    SubIndication.OUT_OF_BOUNDS_NO_POE: (
        "证书不在有效期内，无法证明签名在有效期内",
        "not in force, and nothing proves that it was signed while it was",
    ),
    SubIndication.SIGNED_DATA_NOT_FOUND: ("找不到被签名的内容", "what was signed was not found"),
    SubIndication.TIMESTAMP_ORDER_FAILURE: ("时间戳先后次序不符", "timestamps are out of order"),
    SubIndication.POLICY_PROCESSING_ERROR: ("验证策略无法执行", "the policy could not be applied"),
    SubIndication.TRY_LATER: ("暂无法判定，请稍后再验", "cannot be told now, try later"),
    SubIndication.NOT_SIGNED: ("没有签名", "not signed"),
    SubIndication.UNCOVERED_CONTENT: ("有内容不在签名保护之内", "parts lie outside every signature"),
    SubIndication.SEALED_BY_ANOTHER: ("印章不是所载发证机关的", "not sealed by the issuer that it names"),
}
# Whose certificate a finding on a path is about, where one signature has two.
_WHOSE: Final = {"seal": ("签章人", "signer"), "seal-maker": ("制章人", "seal maker")}
_MARKS: Final = {Indication.PASSED: "✓", Indication.FAILED: "✗", Indication.INDETERMINATE: "?"}
# Facts of a finding that a person wants to see beside its text: names of files; after them comes what exactly is wrong.
_SHOWN_DATA: Final = ("changed", "missing", "files")


def report_to_json(report: Report) -> dict[str, object]:
    """Plain values for ``json.dumps``. Times are ISO 8601 in UTC; ``axes`` has the verdict of each axis that was judged."""
    sub = report.sub_indication
    by_axis: dict[Axis, list[Indication]] = {}
    for finding in report.findings:
        by_axis.setdefault(finding.axis, []).append(finding.indication)
    return {
        "format": report.format,
        "indication": report.indication.value,
        "sub_indication": sub.value if sub else None,
        "digest_sha256": report.digest_sha256,
        "verified_at": report.verified_at.isoformat(),
        "policy": report.policy,
        "axes": {axis.value: worst(by_axis[axis]).value for axis in Axis if axis in by_axis},
        "signers": [_signer_to_json(signer) for signer in report.signers],
        "findings": [
            {
                "axis": f.axis.value,
                "indication": f.indication.value,
                "sub_indication": f.sub_indication.value if f.sub_indication else None,
                "clause": f.clause,
                "detail_zh": f.detail_zh,
                "detail_en": f.detail_en,
                "data": dict(f.data),
                "signature": f.signature,
            }
            for f in report.findings
        ],
        "notes": [
            {"code": n.code, "detail_zh": n.detail_zh, "detail_en": n.detail_en, "data": dict(n.data)}
            for n in report.notes
        ],
    }


def _signer_to_json(signer: Signer) -> dict[str, object]:
    return {
        "subject": signer.subject,
        "issuer": signer.issuer,
        "serial": signer.serial,
        "fingerprint_sha256": signer.fingerprint_sha256,
        "signed_at": signer.signed_at.isoformat() if signer.signed_at else None,
        "algorithm": signer.algorithm,
        "seal_id": signer.seal_id,
        "seal_name": signer.seal_name,
        "owner": {"names": list(signer.owner.names), "codes": list(signer.owner.codes)} if signer.owner else None,
        "signature": signer.signature,
    }


def report_to_text(report: Report, *, language: str = "zh") -> str:
    """Some lines: the result and its reason, who signed, then one line a finding."""
    say = _speaker(language)
    lines = [f"{say('result')}: {_verdict(report, language)}"]
    lines.extend(f"  {label}: {value}" for label, value in _head(report, language))
    for signer in report.signers:
        lines.append(f"{say('signer')}: {signer.subject}")
        lines.extend(f"  {label}: {value}" for label, value in _signer_rows(signer, language))
    for title, findings in _grouped(report, language):
        lines.append(f"{title}:")
        for finding in findings:
            axis = _axis(finding, language)
            lines.append(f"  {_MARKS[finding.indication]} {axis}: {_detail(finding, language)} [{finding.clause}]")
    lines.extend(f"{say('note')}: {note}" for note in _notes(report, language))
    return "\n".join(lines)


def report_to_html(report: Report, *, language: str = "zh") -> str:
    """A fragment with classes ``report``, ``passed``, ``failed``, ``indeterminate``; everything in it is escaped."""
    say = _speaker(language)
    tag = "en" if language == "en" else "zh-CN"
    parts = [
        f'<section class="report {report.indication.value.lower()}" lang="{tag}">',
        f"<h2>{escape(say('result'))}: {escape(_verdict(report, language))}</h2><dl>",
        *(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in _head(report, language)),
        "</dl>",
    ]
    for signer in report.signers:
        rows = ((say("signer"), signer.subject), *_signer_rows(signer, language))
        parts.append("<dl>" + "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in rows) + "</dl>")
    head = "".join(f'<th scope="col">{escape(say(key))}</th>' for key in ("checked", "result", "finding", "clause"))
    for title, findings in _grouped(report, language):
        parts.append(f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>")
        for finding in findings:
            cells = (
                _axis(finding, language),
                say(finding.indication.value),
                _detail(finding, language),
                finding.clause,
            )
            row = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            parts.append(f'<tr class="{finding.indication.value.lower()}">{row}</tr>')
        parts.append("</tbody></table>")
    parts.extend(f'<p class="note">{escape(say("note"))}: {escape(note)}</p>' for note in _notes(report, language))
    parts.append("</section>")
    return "".join(parts)


def _speaker(language: str) -> Callable[[str], str]:
    """The words of one language."""
    column = 1 if language == "en" else 0
    return lambda key: _WORDS[key][column]


def _verdict(report: Report, language: str) -> str:
    verdict, sub = _speaker(language)(report.indication.value), report.sub_indication
    if sub is None:
        return verdict
    zh, en = SUB_INDICATIONS[sub]
    return f"{verdict}: {en} ({sub.value})" if language == "en" else f"{verdict}：{zh}（{sub.value}）"


def _head(report: Report, language: str) -> list[tuple[str, str]]:
    say = _speaker(language)
    decided = next((f for f in report.findings if f.indication is report.indication), None)
    reason = [(say("reason"), _detail(decided, language))] if decided and report.sub_indication else []
    return [
        *reason,
        (say("format"), report.format),
        (say("policy"), report.policy),
        (say("verified_at"), report.verified_at.astimezone(BEIJING).isoformat(sep=" ", timespec="seconds")),
        (say("digest"), report.digest_sha256),
    ]


def _signer_rows(signer: Signer, language: str) -> list[tuple[str, str]]:
    say = _speaker(language)
    signed_at = signer.signed_at.astimezone(BEIJING).isoformat(sep=" ", timespec="seconds") if signer.signed_at else ""
    rows = [
        (say("issuer"), signer.issuer),
        (say("serial"), signer.serial),
        (say("signed_at"), signed_at),
        (say("algorithm"), signer.algorithm),
        (say("seal"), " ".join(part for part in (signer.seal_name, signer.seal_id) if part)),
    ]
    return [(label, value) for label, value in rows if value]


def _notes(report: Report, language: str) -> list[str]:
    return [note.detail_en if language == "en" else note.detail_zh for note in report.notes]


def _grouped(report: Report, language: str) -> list[tuple[str, Sequence[Finding]]]:
    """Findings by signature in order, those about the whole document last."""
    say = _speaker(language)
    numbers = sorted({f.signature for f in report.findings if f.signature is not None})
    groups = [
        (say("signature_n").format(number + 1), [f for f in report.findings if f.signature == number])
        for number in numbers
    ]
    rest = [f for f in report.findings if f.signature is None]
    return [*groups, *([(say("document"), rest)] if rest else [])]


def _axis(finding: Finding, language: str) -> str:
    """The axis; of a certificate path also whose."""
    column = 1 if language == "en" else 0
    whose = _WHOSE.get(finding.data.get("purpose", ""))
    return AXES[finding.axis][column] + (f" ({whose[1]})" if whose and column else f"（{whose[0]}）" if whose else "")


def _detail(finding: Finding, language: str) -> str:
    detail, why = (finding.detail_en, "why") if language == "en" else (finding.detail_zh, "why_zh")
    names = [name for key in (*_SHOWN_DATA, why) for name in finding.data.get(key, "").split("\n") if name]
    stop = ": " if language == "en" else "："
    return detail + (stop + ", ".join(names) if names else "")
