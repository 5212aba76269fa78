"""Templates, and how times, ages, regions and the hub's words are shown to a person."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from hub.access.operators.store import SessionRow
from hub.cases.flow import Flow
from hub.console.facts import code_words, fact
from hub.console.texts import TEXTS, Language, text
from hub.console.words import WORDS, said, word
from hub.ecerts.evidence.rules import load_rules
from hub.working_days import SHANGHAI
from schemas.ecert_types import ecert_types
from schemas.regions import REGIONS

LANGUAGE_COOKIE = "hub_language"


class Pages:
    """Every page in the language of its reader."""

    def __init__(self, flows: Mapping[str, Flow]) -> None:
        self._flows = flows
        self._titles = _titles(flows.values())  # a name means the same in every flow
        self._templates = Environment(
            loader=PackageLoader("hub.console"), autoescape=select_autoescape(), undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters |= {"local": _local, "region": _region}
        self._templates.tests["moment"] = lambda value: isinstance(value, datetime)

    def page(
        self,
        request: Request,
        template: str,
        session: SessionRow | None,
        *,
        notice: str | None = None,
        status: int = 200,
        facts: Mapping[str, object] | None = None,
    ) -> Response:
        """``notice`` is a key of the texts; one in the query (after an act) is shown if it begins with ``notice-``."""
        language = language_of(request)
        told = request.query_params.get("notice", "")
        if notice is None and told.startswith("notice-") and told in TEXTS:
            notice = told
        html = self._templates.get_template(template).render(
            t=lambda key: text(key, language),
            code_words=lambda code: code_words(code, language),
            w=lambda family, value: word(family, str(value), language),
            age=lambda span: age(span, language),
            ecert_title=lambda document: _ecert_title(document, language),
            type_title=lambda code: _type_title(code, language),
            purpose_title=lambda purpose: _purpose_title(purpose, language),
            last_day=lambda limit_at: _last_day(limit_at, language),
            event_text=lambda data: self._facts_text(data, language),
            subject_title=lambda kind, name: self._subject_title(kind, name, language),
            title_of=lambda kind, name: self._title(kind, name, language),
            outcome_of=lambda action, value: _outcome(action, value, language),
            case_reason=lambda reason: self._case_reason(reason, language),
            flow_title=lambda key: self._flow_title(key, language),
            language=language,
            operator=session.operator if session else None,
            csrf=session.csrf if session else "",
            here=_here(request) if status == 200 else "/console",  # what was refused is not repeated
            notice=text(notice, language) if notice else None,
            bad_notice=notice in _BAD,
            **(facts or {}),
        )
        return HTMLResponse(html, status)

    def _flow_title(self, key: str, language: Language) -> str:
        flow = self._flows.get(key)
        return key if flow is None else flow.title_zh if language == "zh" else flow.title_en

    def _title(self, kind: str, name: str, language: Language) -> str:
        """Of a step or requirement."""
        pair = self._titles.get((kind, name))
        return name if pair is None else pair[0] if language == "zh" else pair[1]

    def _subject_title(self, kind: str, name: str, language: Language) -> str:
        """What a delivery is about: its kind's step or requirement."""
        title = self._title("step" if kind in ("step", "cancel") else "evidence", name, language)
        return _ecert_title(name, language) if title == name else title

    def _case_reason(self, reason: str, language: Language) -> str:
        """``evidence household: hash-failure`` and ``releasing-school: text`` with the names of the flow."""
        what, _, why = reason.partition(": ")
        if what.startswith("evidence "):
            return f"{self._title('evidence', what[9:], language)}: {word('code', why, language)}"
        if ("step", what) in self._titles:
            return f"{self._title('step', what, language)}: {word('step', why, language)}"
        return word("code", reason, language)

    def _facts_text(self, data: str, language: Language) -> str:
        """The facts of an event, or of an audit entry, that its row does not tell already."""
        shown = []
        for key, value in json.loads(data).items():
            if not value or key in ("caseId", "messageId", "state") or (key, value) == ("code", "delivered"):
                continue
            label = _LABELS.get(key, (key, key))[0 if language == "zh" else 1]
            shown.append(f"{label}: {self._fact(key, str(value), language)}")
        return " · ".join(shown)

    def _fact(self, key: str, value: str, language: Language) -> str:
        match key:
            case "reason" | "code" if (words := said(value, language)) is not None:
                return f"{words} ({value})"
            case "requirement":
                return self._title("evidence", value, language)
            case "step":
                return self._title("step", value, language)
            case "outcome":
                return word("step", value, language)
            case "flow":
                return self._flow_title(value, language)
            case "role":
                return text(value, language)
            case "purpose":
                return _purpose_title(value, language)
            case "region" if value in REGIONS:
                return _region(value)
            case "limitAt" | "before":
                return _limit_text(value, language)
        if (told := fact(key, value, language)) is not None:
            return told
        if key in ("code", "reason") and (meant := code_words(value, language)) != value:
            return f"{meant} {value}" if meant == text("peers-code", language) else meant
        if key in _DIGESTS and len(value) == 64:
            return value[:12] + "…"
        return self._case_reason(value, language)


_BAD = frozenset({"notice-too-late", "notice-reason", "notice-ill", "notice-misconfigured", "notice-nothing",
                  "sign-in-refused", "denied", "session-over", "too-many-tries", "no-personal", "verify-missing",
                  "verify-too-large", "verify-bad-time", "verify-busy"})  # fmt: skip


def _outcome(action: str, value: str, language: Language) -> tuple[str, bool]:
    """Of an audit entry, in words; and whether it is a code that is looked up elsewhere, and so stands beside them."""
    if action == "evidence.follow-up":  # how the document stands: "suspended" is no delivery's
        return word("standing", value, language), False
    if value in WORDS["outcome"]:
        return word("outcome", value, language), False
    if (words := said(value, language)) is not None:
        return words, True
    if value in WORDS["entry-state"]:
        return word("entry-state", value, language), False
    return code_words(value, language), value in WORDS["code"] or value in WORDS["entry-reason"]


def language_of(request: Request) -> Language:
    return "en" if request.cookies.get(LANGUAGE_COOKIE) == "en" else "zh"


def local_address(address: str) -> str:
    """Where to go back to: a page of the console, whatever was asked for."""
    safe = address.startswith("/console") and "//" not in address and "\\" not in address and address.isprintable()
    return address if safe and address[8:9] in ("", "/", "?") else "/console"


def age(span: timedelta, language: Language) -> str:
    """Roughly, in one unit: 40 秒, 12 分钟, 5 小时, 3 天."""
    seconds = max(0, int(span.total_seconds()))
    for size, limit, zh, en in ((1, 120, "秒", "s"), (60, 7200, "分钟", "min"), (3600, 172_800, "小时", "h")):
        if seconds < limit:
            return f"{seconds // size} {zh if language == 'zh' else en}"
    return f"{seconds // 86_400} {'天' if language == 'zh' else 'd'}"


def _here(request: Request) -> str:
    """This page's own address, for forms that come back to it; without the notice of an act."""
    if request.method != "GET" or request.url.path.startswith("/console/link"):
        return "/console"
    kept = "&".join(part for part in request.url.query.split("&") if part and not part.startswith("notice="))
    path = "/console" if request.url.path == "/console/live" else request.url.path
    return f"{path}?{kept}" if kept else path


def _titles(flows: Iterable[Flow]) -> dict[tuple[str, str], tuple[str, str]]:
    """By (evidence | step, name), the title in both languages."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for flow in flows:
        found |= {("evidence", need.requirement): (need.title_zh, need.title_en) for need in flow.evidence}
        found |= {("step", step.name): (step.title_zh, step.title_en) for group in flow.group for step in group.step}
    return found


def _ecert_title(document: str, language: Language) -> str:
    """``degree`` or ``id-card@guardian[KZ_ZZ=…]``, by the name of its type, or of the record that it is, and of the field."""
    document, _, condition = document.partition("[")
    name, _, role = document.partition("@")
    kind = ecert_types().get(name)
    title = word("document", name, language) if kind is None else kind.title_zh if language == "zh" else kind.title_en
    title = f"{title} ({word('holder-role', role, language)})" if role else title
    if not condition:
        return title
    field, _, accepted = condition.rstrip("]").partition("=")
    named = load_rules().field_titles.get(field, (field, field))[0 if language == "zh" else 1]
    return f"{title} [{named}: {accepted.replace('|', '、' if language == 'zh' else ', ')}]"


def _type_title(code: str, language: Language) -> str:
    """Of an e-certificate type, by its code; the code itself of a type that was taken out of the configuration."""
    kind = next((one for one in ecert_types().values() if one.code == code), None)
    return code if kind is None else kind.title_zh if language == "zh" else kind.title_en


def _purpose_title(purpose: str, language: Language) -> str:
    found = load_rules().purpose.get(purpose)
    return purpose if found is None else found.title_zh if language == "zh" else found.title_en


def _limit_text(iso: str, language: Language) -> str:
    try:
        return _last_day(datetime.fromisoformat(iso), language)
    except ValueError:
        return iso


def _last_day(limit_at: datetime, language: Language) -> str:
    """A limit is the first moment that is too late: people are told the last day that it covers."""
    day = _local(limit_at - timedelta(microseconds=1), "%Y-%m-%d")
    return f"{day} 止" if language == "zh" else f"until the end of {day}"


def _local(moment: datetime, pattern: str = "%m-%d %H:%M") -> str:
    return moment.astimezone(SHANGHAI).strftime(pattern)


def _region(code: str) -> str:
    return REGIONS.get(code).name


_LABELS = {"step": ("步骤", "step"), "requirement": ("材料", "evidence"), "reason": ("原因", "reason"), "code": ("原因", "code"),
           "outcome": ("结果", "outcome"), "limitAt": ("时限", "limit"), "case": ("办件", "case"), "attempt": ("第几次", "attempt"),
           "operation": ("操作", "operation"), "address": ("地址", "address"), "system": ("系统", "system"),
           "region": ("区域", "region"), "endpoint": ("端点", "endpoint"), "count": ("次数", "count"),
           "policy": ("策略", "policy"), "format": ("格式", "format"), "role": ("角色", "role"),
           "kind": ("类型", "kind"), "flow": ("流程", "flow"),
           "digest": ("摘要", "digest"), "sha256": ("摘要", "SHA-256"), "fingerprint": ("指纹", "fingerprint"),
           "service": ("服务", "service"), "adapter": ("适配器", "adapter"), "key": ("密钥", "key"), "name": ("名称", "name"),
           "changed": ("变更", "changed"), "type": ("类型", "type"), "about": ("对象", "about"), "item": ("事项", "item"),
           "answer": ("答复形式", "answer"), "basis": ("依据", "basis"), "purpose": ("用途", "purpose"),
           "subject": ("持有人索引", "holder's index"), "reused": ("沿用", "reused"), "satisfied": ("已满足", "satisfied"),
           "current": ("当前密钥", "current key"), "resealed": ("重新加密", "sealed anew"),
           "unreadable": ("无法解密", "unreadable"), "follows": ("后续", "follows"), "notice": ("通知", "notice"),
           "notices": ("公告", "notices"), "form": ("格式", "format"), "rows": ("行数", "rows"), "to": ("至第几行", "to row"),
           "taken": ("接收", "taken"), "delivered": ("送达", "delivered"), "refused": ("被拒绝", "refused"),
           "faulty": ("有差错", "faulty"), "differences": ("差异", "differences"), "ours": ("本方", "ours"),
           "theirs": ("库方", "theirs"), "adopted": ("认可", "adopted"), "gone": ("已清除", "purged"), "left": ("剩余", "left"),
           "answers": ("涉及答复", "answers"), "cases": ("涉及办件", "cases"), "certificates": ("证照数", "certificates"),
           "dropped": ("作废缓存", "kept copies dropped"), "told": ("已通知系统", "systems told"), "until": ("至", "until"),
           "document": ("证照", "document"), "types": ("证照类型", "types"), "cited": ("所引依据", "cited"),
           "source": ("依据", "source"), "revokedAt": ("失效时间", "revoked at"),
           "attempts": ("试错次数", "failed tries"), "holder": ("持有人索引", "holder's index"),
           "codes": ("错误授权码", "wrong codes"),
           "subjects": ("持有人数", "holders"), "window": ("时窗(秒)", "window (s)"), "identified": ("登录", "login"),
           "level": ("登录等级", "level of login"), "added": ("新增", "added"), "replaced": ("替换", "replaced"),
           "parts": ("文件块", "parts"), "old": ("原密钥", "old key"), "new": ("新密钥", "new key"),
           "oldUntil": ("原密钥用至", "old key until"), "purposes": ("用途", "purposes")}  # fmt: skip
_DIGESTS = ("digest", "sha256", "fingerprint")
