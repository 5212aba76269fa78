"""The values of an audit entry's facts, and codes, as a person reads them: in words, and times as of Asia/Shanghai."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from hub.console.texts import Language, text
from hub.console.words import WORDS, word
from hub.working_days import SHANGHAI
from schemas.ecert_types import ecert_types

FACT_WORDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "right": {  # hub.access.callers.Service
        "transfer.submit": ("提交转学申请", "submit transfers"),
        "transfer.query": ("查询办件", "query cases"),
        "transfer.decide": ("提交办理意见", "decide steps"),
        "verification": ("验证文件", "have documents verified"),
        "evidence": ("证照应用", "fetch evidence"),
        "ecert.collect": ("证照归集", "hand in certificates"),
        "ecert.revoke": ("证照吊销通知", "send revocation notices"),
        "authorization.issue": ("生成授权码", "issue authorization codes"),
        "authorization.redeem": ("使用授权码", "redeem authorization codes"),
        "authorization.vouch": ("代为证明持有人身份", "vouch for holders"),
    },
    "key-kind": {  # hub.access.registration: kinds of a system's keys
        "http": ("HTTP 报文签名", "HTTP message signature"),
        "wsse": ("WS-Security 签名", "WS-Security signature"),
        "tls": ("TLS 客户端证书", "TLS client certificate"),
    },
    "answer-form": {  # schemas.evidence.AnswerForm
        "fields": ("字段", "fields"),
        "documents": ("证照文件", "documents"),
        "predicate": ("结论", "predicate"),
    },
    "basis": {  # schemas.evidence.BasisKind
        "consent": ("持有人同意", "consent"),
        "authorization": ("持有人授权", "authorization"),
        "law": ("法定依据", "legal basis"),
    },
    "setting": {  # columns of an endpoint that hub endpoints set changes
        "base_url": ("地址", "address"),
        "settings": ("设置", "settings"),
        "secrets_sealed": ("密钥", "secrets"),
        "max_concurrency": ("并发上限", "calls at once"),
        "timeout_s": ("超时", "timeout"),
        "service_hours": ("服务时段", "service hours"),
    },
}
_FAMILIES: Final = {  # of a fact, the words that its value may be
    "service": (FACT_WORDS["right"], WORDS["service"]),
    "kind": (WORDS["kind"], WORDS["shown-kind"], FACT_WORDS["key-kind"]),
    "answer": (FACT_WORDS["answer-form"],),
    "form": (WORDS["form"],),
}
_PEERS_CODE: Final = re.compile(r"[A-Z0-9][A-Z0-9._-]*")  # ours are small letters
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")


def fact(key: str, value: str, language: Language) -> str | None:
    """None where the value is a name, a number or an id, and stands for itself."""
    for family in _FAMILIES.get(key, ()):
        if value in family:
            return _in(family[value], language)
    if _MOMENT.match(value):
        return _moment(value)
    comma = "、" if language == "zh" else ", "
    match key:
        case "changed":
            return comma.join(_in(FACT_WORDS["setting"].get(one, (one, one)), language) for one in value.split(","))
        case "types" | "type":
            return comma.join(_type(one, language) for one in value.split())
        case "basis":
            kind, colon, reference = value.partition(":")
            return f"{_in(FACT_WORDS['basis'].get(kind, (kind, kind)), language)}{colon}{reference}"
    return None


def code_words(code: str, language: Language) -> str:
    """What went wrong, in words; a peer's own code, which nobody here has words for, is called so."""
    if code in WORDS["code"]:
        return word("code", code, language)
    if code in WORDS["entry-reason"]:
        return word("entry-reason", code, language)
    if code.startswith("bug-"):
        return text("a-bug", language)
    return text("peers-code", language) if _PEERS_CODE.fullmatch(code) else code


def _in(pair: tuple[str, str], language: Language) -> str:
    return pair[0] if language == "zh" else pair[1]


def _type(key: str, language: Language) -> str:
    kind = ecert_types().get(key)
    return key if kind is None else kind.title_zh if language == "zh" else kind.title_en


def _moment(value: str) -> str:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return value
    return value if at.tzinfo is None else at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")
