"""Templates, and how times, ages, regions and the hub's words are shown to a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from hub.access.operators.store import SessionRow
from hub.cases.flow import Flow
from hub.console.texts import TEXTS, Language, text
from hub.console.words import word
from hub.working_days import SHANGHAI
from schemas.regions import REGIONS

LANGUAGE_COOKIE = "hub_language"
Titles = Mapping[tuple[str, str], tuple[str, str]]  # (evidence | step, name) → (zh, en)


class Pages:
    """Every page in the language of its reader."""

    def __init__(self, flows: Mapping[str, Flow]) -> None:
        self._flows = flows
        self._templates = Environment(
            loader=PackageLoader("hub.console"), autoescape=select_autoescape(), undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._templates.filters |= {"local": _local, "region": _region}

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
            w=lambda family, value: word(family, str(value), language),
            age=lambda span: age(span, language),
            event_text=lambda data: _facts_text(data, language),
            event_facts=lambda flow, data: _facts_text(data, language, self._titles(flow)),
            title_of=lambda flow, kind, name: self._title(flow, kind, name, language),
            case_reason=lambda flow, reason: self._case_reason(flow, reason, language),
            flow_title=lambda key: self._flow_title(key, language),
            language=language,
            operator=session.operator if session else None,
            csrf=session.csrf if session else "",
            here=_here(request),
            notice=text(notice, language) if notice else None,
            bad_notice=notice in _BAD,
            **(facts or {}),
        )
        return HTMLResponse(html, status)

    def _flow_title(self, key: str, language: Language) -> str:
        flow = self._flows.get(key)
        return key if flow is None else flow.title_zh if language == "zh" else flow.title_en

    def _title(self, key: str, kind: str, name: str, language: Language) -> str:
        """Of a step or requirement of a flow."""
        pair = self._titles(key).get((kind, name))
        return name if pair is None else pair[0] if language == "zh" else pair[1]

    def _titles(self, key: str) -> Titles:
        flow = self._flows.get(key)
        if flow is None:
            return {}
        steps = [step for group in flow.group for step in group.step]
        return {("evidence", need.requirement): (need.title_zh, need.title_en) for need in flow.evidence} | {
            ("step", step.name): (step.title_zh, step.title_en) for step in steps
        }

    def _case_reason(self, key: str, reason: str, language: Language) -> str:
        """``evidence household: hash-failure`` and ``releasing-school: text`` with the names of the flow."""
        what, _, why = reason.partition(": ")
        if what.startswith("evidence "):
            return f"{self._title(key, 'evidence', what[9:], language)}: {word('code', why, language)}"
        return f"{self._title(key, 'step', what, language)}: {why}" if why else reason


_BAD = frozenset({"notice-too-late", "notice-reason", "notice-ill", "notice-nothing", "sign-in-refused", "denied",
                  "session-over", "too-many-tries", "no-personal", "verify-missing", "verify-too-large",
                  "verify-bad-time", "verify-busy"})  # fmt: skip


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


def _local(moment: datetime, pattern: str = "%m-%d %H:%M") -> str:
    return moment.astimezone(SHANGHAI).strftime(pattern)


def _region(code: str) -> str:
    return REGIONS.get(code).name


_LABELS = {"step": ("步骤", "step"), "requirement": ("材料", "evidence"), "reason": ("原因", "reason"), "code": ("原因", "code"),
           "outcome": ("结果", "outcome"), "limitAt": ("时限", "limit"), "case": ("办件", "case"), "attempt": ("第几次", "attempt"),
           "operation": ("操作", "operation"), "address": ("地址", "address"), "system": ("系统", "system"),
           "region": ("区域", "region"), "endpoint": ("端点", "endpoint"), "count": ("次数", "count"),
           "policy": ("策略", "policy"), "format": ("格式", "format"), "role": ("角色", "role")}  # fmt: skip
_FAMILIES = {"outcome": "step", "kind": "kind"}


def _facts_text(data: str, language: Language, titles: Titles | None = None) -> str:
    """The facts of an event, or of an audit entry, that its row does not tell already. ``titles``: those of its flow."""
    column = 0 if language == "zh" else 1
    shown = []
    for key, value in json.loads(data).items():
        if not value or key in ("caseId", "messageId", "state"):
            continue
        kind = "evidence" if key == "requirement" else "step"
        title = (titles or {}).get((kind, value)) if key in ("requirement", "step") else None
        said = title[column] if title else word(_FAMILIES.get(key, "code"), str(value), language)
        shown.append(f"{_LABELS.get(key, (key, key))[column]}: {said}")
    return " · ".join(shown)
