"""The error tree: every problem that a caller can meet, with one stable code, who must act, and the cure.

REST renders a problem as RFC 9457 ``application/problem+json`` with ``type`` = ``urn:exchange-hub:problem:<code>``;
SOAP renders the same as a typed fault. docs/protocol/errors.md lists them all and a test holds the two together.
Texts never quote a value that may be personal: they name the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class WhoActs(StrEnum):
    """Who can mend it."""

    CALLER = "caller"  # the developer of the calling system
    APPLICANT = "applicant"  # the person whose case it is
    PEER = "peer"  # the operator of the system behind an endpoint
    ADMINISTRATOR = "administrator"  # ours


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """One row of the error tree. ``retryable`` means: the same message, sent again later, may succeed."""

    code: str
    status: int
    who: WhoActs
    retryable: bool
    title_zh: str
    title_en: str
    cure_zh: str
    cure_en: str


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One fault in a message: where it is, what is wrong, and the cure.

    ``path`` is the XPath by local names (SOAP) or a JSON pointer (REST); ``line`` and ``column`` are 1-based (of JSON, only what
    cannot be read has them). ``rule`` is the stable word of docs/protocol/fields.md.
    """

    path: str
    reason_zh: str
    reason_en: str
    line: int | None = None
    column: int | None = None
    cure_zh: str | None = None
    cure_en: str | None = None
    rule: str | None = None


class HubProblem(Exception):
    """A refusal that is told to the caller: the kind, a detail without personal data, and faults by field.

    ``detail`` is the same in every language: a stable word, a name, an id. A sentence is ``said`` (zh, en) and is told after it.
    """

    def __init__(
        self,
        kind: ProblemKind,
        detail: str = "",
        said: tuple[str, str] = ("", ""),
        *,
        faults: Sequence[FieldFault] = (),
        retry_after_s: int | None = None,
        who: WhoActs | None = None,
    ) -> None:
        self.detail_zh, self.detail_en = (": ".join(part for part in (detail, text) if part) for text in said)
        super().__init__(f"{kind.code}: {self.detail_en}" if self.detail_en else kind.code)
        self.kind = kind
        self.detail = detail
        self.faults = tuple(faults)
        self.retry_after_s = retry_after_s
        self.who = who or kind.who  # where the detail tells more of who can mend it


KINDS: dict[str, ProblemKind] = {}


def _kind(
    code: str, status: int, who: WhoActs, retryable: bool, *, zh: tuple[str, str], en: tuple[str, str]
) -> ProblemKind:
    kind = ProblemKind(code, status, who, retryable, zh[0], en[0], zh[1], en[1])
    if code in KINDS:
        raise ValueError(f"problem code {code} is defined twice")
    KINDS[code] = kind
    return kind


_CALLER, _APPLICANT, _PEER, _ADMIN = WhoActs.CALLER, WhoActs.APPLICANT, WhoActs.PEER, WhoActs.ADMINISTRATOR

# What the message looks like
MESSAGE_UNREADABLE = _kind(
    "message-unreadable", 400, _CALLER, False,
    zh=("报文无法解析", "按所给行号检查报文是否为完整、编码正确的 JSON 或 XML"),
    en=("The message cannot be read",
        "Check at the given line that the message is complete JSON or XML in the declared encoding"),
)  # fmt: skip
MESSAGE_INVALID = _kind(
    "message-invalid", 422, _CALLER, False,
    zh=("报文不符合规范", "按 faults 中的路径和原因逐项更正后, 用新的 messageId 重新提交"),
    en=("The message breaks the schema", "Correct each fault at its path, then send again with a new messageId"),
)  # fmt: skip
MESSAGE_TOO_LARGE = _kind(
    "message-too-large", 413, _CALLER, False,
    zh=("报文过大或嵌套过深", "减小报文; 上限见协议文档"),
    en=("The message is too large or too deep", "Make it smaller; the protocol page states the limits"),
)  # fmt: skip
DOCTYPE_REFUSED = _kind(
    "doctype-refused", 400, _CALLER, False,
    zh=("不接受 DOCTYPE", "去掉 DOCTYPE 声明与实体"),
    en=("A DOCTYPE is not accepted", "Remove the DOCTYPE declaration and its entities"),
)  # fmt: skip
MEDIA_TYPE_REFUSED = _kind(
    "media-type-refused", 415, _CALLER, False,
    zh=("不支持的内容类型",
        "使用 detail 列出的类型; 未列出时 REST 使用 application/json, SOAP 1.1 使用 text/xml, "
        "SOAP 1.2 使用 application/soap+xml"),
    en=("This media type is not served",
        "Use one that the detail lists; where it lists none: application/json for REST, text/xml for SOAP 1.1, "
        "application/soap+xml for SOAP 1.2"),
)  # fmt: skip
OPERATION_UNKNOWN = _kind(
    "operation-unknown", 404, _CALLER, False,
    zh=("没有此操作", "对照 WSDL 或 OpenAPI 检查操作名与地址"),
    en=("There is no such operation", "Check the operation and the address against the WSDL or OpenAPI"),
)  # fmt: skip
METHOD_NOT_ALLOWED = _kind(
    "method-not-allowed", 405, _CALLER, False,
    zh=("此地址不支持该方法", "对照 OpenAPI 检查请求方法"),
    en=("This address does not serve this method", "Check the method against the OpenAPI"),
)  # fmt: skip

# Who is calling
CALLER_UNKNOWN = _kind(
    "caller-unknown", 401, _CALLER, False,
    zh=("无法确认调用方身份", "用已登记的客户端证书或密钥建立连接或签名; 未登记的请与管理员联系"),
    en=("The caller is not known",
        "Connect or sign with a registered certificate or key; ask the administrator to register it"),
)  # fmt: skip
SIGNATURE_REFUSED = _kind(
    "signature-refused", 401, _CALLER, False,
    zh=("签名验证未通过", "按 detail 中的原因词查阅协议文档“报文签名”一节"),
    en=("The signature was refused",
        "Look up the reason word of the detail in the protocol page on message signatures"),
)  # fmt: skip
MESSAGE_REPLAYED = _kind(
    "message-replayed", 401, _CALLER, False,
    zh=("同一签名已使用过", "重新签名(新的 nonce 与时间)后再发送"),
    en=("This signature was used before", "Sign again with a new nonce and time"),
)  # fmt: skip
ACCESS_DENIED = _kind(
    "access-denied", 403, _ADMIN, False,
    zh=("没有此项服务或此区域的权限", "请管理员用 hub systems grant 授予 (系统, 服务, 区域) 权限"),
    en=("No right to this service in this region",
        "Ask the administrator to grant (system, service, region) with hub systems grant"),
)  # fmt: skip
RATE_LIMITED = _kind(
    "rate-limited", 429, _CALLER, True,
    zh=("请求过于频繁", "按 Retry-After 所示秒数后重试"),
    en=("Too many requests", "Try again after the seconds that Retry-After says"),
)  # fmt: skip

# What the message asks
MESSAGE_ID_CONFLICT = _kind(
    "message-id-conflict", 409, _CALLER, False,
    zh=("messageId 已用于内容不同的报文", "内容有变时使用新的 messageId; 重发时内容须与原报文相同"),
    en=("This messageId was used for a different message",
        "Use a new messageId for new content; a repeated message has the same content"),
)  # fmt: skip
CASE_UNKNOWN = _kind(
    "case-unknown", 404, _CALLER, False,
    zh=("没有此办件", "检查办件编号; 只能查询本系统提交或参与的办件"),
    en=("There is no such case",
        "Check the case id; only cases that your system submitted or takes part in can be seen"),
)  # fmt: skip
CASE_CLOSED = _kind(
    "case-closed", 409, _CALLER, False,
    zh=("办件已结束", "查询办件状态; 已结束的办件不再接受办理意见或撤回"),
    en=("The case has ended", "Query the case; an ended case takes no decision and no withdrawal"),
)  # fmt: skip
CASE_OPEN_ALREADY = _kind(
    "case-open-already", 409, _CALLER, False,
    zh=("该学生已有在办的转学", "等待在办的办件结束, 或先撤回"),
    en=("A transfer of this student is open already", "Wait until the open case ends, or withdraw it first"),
)  # fmt: skip
WITHDRAWAL_TOO_LATE = _kind(
    "withdrawal-too-late", 409, _CALLER, False,
    zh=("学籍已开始变更, 不能撤回", "如需恢复, 另行发起一次转学"),
    en=("The record has begun to move; withdrawal is too late", "Start another transfer to move back"),
)  # fmt: skip
DECISION_WRONG_PARTY = _kind(
    "decision-wrong-party", 403, _CALLER, False,
    zh=("办理意见不是由该步骤的办理方提交", "检查办件编号与步骤; 只有该步骤的办理方可以提交意见"),
    en=("The decision is not by the party of this step", "Check the case id and the step; only its party may decide"),
)  # fmt: skip
DECISION_NOT_AWAITED = _kind(
    "decision-not-awaited", 409, _CALLER, False,
    zh=("该步骤未在等待办理意见", "查询办件状态; 步骤尚未开始或已结束"),
    en=("This step awaits no decision", "Query the case; the step has not opened yet or has been decided"),
)  # fmt: skip
DECISION_CONTRADICTS = _kind(
    "decision-contradicts", 409, _CALLER, False,
    zh=("该步骤已有不同的办理意见", "已生效的意见不能更改; 如有差错请联系管理员"),
    en=("The step has another decision already",
        "A decision in force cannot be changed; contact the administrator about a mistake"),
)  # fmt: skip
NO_ROUTE = _kind(
    "no-route", 422, _ADMIN, True,
    zh=("该区域没有登记办理此项服务的系统", "请管理员用 hub endpoints add 登记该区域的系统"),
    en=("No endpoint is registered for this service and region",
        "Ask the administrator to register one with hub endpoints add"),
)  # fmt: skip
FLOW_NOT_APPLICABLE = _kind(
    "flow-not-applicable", 422, _CALLER, False,
    zh=("没有适用于此申请的办理流程", "检查转入、转出学校与区域; 跨省转学暂不受理"),
    en=("No flow fits this request",
        "Check the receiving and releasing school and region; transfers across provinces are not taken yet"),
)  # fmt: skip
PAGE_CURSOR_INVALID = _kind(
    "page-cursor-invalid", 400, _CALLER, False,
    zh=("分页游标无效", "从第一页重新查询, 游标原样传回"),
    en=("The page cursor is invalid", "Start at the first page and pass the cursor back unchanged"),
)  # fmt: skip

# E-certificates: items, authorizations, consents
ITEM_UNKNOWN = _kind(
    "item-unknown", 404, _CALLER, False,
    zh=("事项目录中没有此事项", "检查事项编码(基本编码 12 位、实施编码 31 位或办理项编码 33 位)与日期"),
    en=("The item catalogue has no such item", "Check the code (12, 31 or 33 characters) and the day"),
)  # fmt: skip
AUTHORIZATION_UNKNOWN = _kind(
    "authorization-unknown", 404, _CALLER, False,
    zh=("没有此授权、同意或亮证", "检查编号与持有人; 只能查询、撤销本系统为该持有人登记的"),
    en=("There is no such authorization, consent or presentation",
        "Check the id and the holder; only those that your system registered for this holder can be seen and revoked"),
)  # fmt: skip
AUTHORIZATION_CODE_REFUSED = _kind(
    "authorization-code-refused", 403, _APPLICANT, False,
    zh=("授权码未被接受", "按 detail 中的原因词处理; 一般请持有人重新出示新的授权码"),
    en=("The authorization code was not accepted",
        "Act by the reason word of the detail; as a rule the holder shows a new code"),
)  # fmt: skip
AUTHORIZATION_THROTTLED = _kind(
    "authorization-throttled", 429, _CALLER, True,
    zh=("授权码过多或输错过多, 已暂缓", "按 detail 中的原因词处理, 在 Retry-After 所示秒数后重试; 疑似试码会通知管理员"),
    en=("Too many authorization codes, or too many wrong ones",
        "Act by the reason word of the detail and try again after the seconds that Retry-After says; what looks like guessing is "
        "told to the administrator"),
)  # fmt: skip
CONSENT_CONFLICT = _kind(
    "consent-conflict", 409, _CALLER, False,
    zh=("该同意编号已登记过内容不同、已撤销或已期满的同意", "内容有变时撤销原同意; 用新的 reference 登记"),
    en=("This reference was registered for a different consent, or for one that was taken back or has ended",
        "Revoke the former consent if it has changed, and register the new one under a new reference"),
)  # fmt: skip

LOGIN_REQUIRED = _kind(
    "login-required", 403, _CALLER, False,
    zh=("须有持有人的登录", "用 POST /v1/logins 取 nonce, 请持有人在身份认证服务登录, 将断言放入 login; "
        "自行核验持有人的系统由管理员授予 authorization.vouch"),
    en=("The holder must be logged in",
        "Get a nonce by POST /v1/logins, have the holder log in at the identity service, and put the assertion into login; a "
        "system that identifies holders itself is granted authorization.vouch by the administrator"),
)  # fmt: skip
LOGIN_REFUSED = _kind(
    "login-refused", 403, _APPLICANT, False,
    zh=("持有人的登录未被接受", "按 detail 中的原因词与 faults 处理; 一般请持有人重新登录"),
    en=("The holder's login was not accepted",
        "Act by the reason word of the detail and by the faults; as a rule the holder logs in again"),
)  # fmt: skip
IDENTITY_UNAVAILABLE = _kind(
    "identity-unavailable", 503, _PEER, True,
    zh=("身份认证服务暂不可用, 登录未能核验", "按 Retry-After 所示秒数后用同一登录重试; 登录未被使用"),
    en=("The identity service cannot be asked; the login was not verified",
        "Try again with the same login after the seconds that Retry-After says; the login was not used up"),
)  # fmt: skip

# The evidence service
EVIDENCE_UNKNOWN = _kind(
    "evidence-unknown", 404, _CALLER, False,
    zh=("没有此取证", "检查取证编号; 只能查询本系统发起的取证"),
    en=("There is no such evidence request", "Check the id; only requests of your own system can be seen"),
)  # fmt: skip
EVIDENCE_BASIS_REFUSED = _kind(
    "evidence-basis-refused", 403, _APPLICANT, False,
    zh=("取证依据不成立", "按 detail 中的原因词处理: 请持有人授权或同意; 只有事项目录注明无需同意的事项可以法律依据取证"),
    en=("The basis of the evidence request does not hold",
        "Act by the reason word of the detail: have the holder authorize or consent; a clause is a basis only for items whose "
        "catalogue entry needs no consent"),
)  # fmt: skip
EVIDENCE_PURPOSE_REFUSED = _kind(
    "evidence-purpose-refused", 403, _ADMIN, False,
    zh=("用途未为本系统登记, 或不是该事项的用途",
        "detail 为 not-of-this-item 的, 改用事项目录为该事项列出的用途; 其余请管理员用 hub evidence allow 登记用途"),
    en=("The purpose is not registered for this system, or not one of the item's",
        "Where the detail is not-of-this-item, use a purpose that the catalogue lists for the item; else ask the administrator to "
        "register it with hub evidence allow"),
)  # fmt: skip
EVIDENCE_THROTTLED = _kind(
    "evidence-throttled", 429, _CALLER, True,
    zh=("取证过多, 已暂缓", "按 detail 中的原因词处理, 在 Retry-After 所示秒数后重试; 疑似批量查询会通知管理员"),
    en=("Too much evidence asked for",
        "Act by the reason word of the detail and try again after the seconds that Retry-After says; what looks like enumeration "
        "is told to the administrator"),
)  # fmt: skip

# Collecting
COLLECTION_UNKNOWN = _kind(
    "collection-unknown", 404, _CALLER, False,
    zh=("没有此归集批次", "检查批次编号; 只能查询本系统提交的归集"),
    en=("There is no such collection", "Check the id; only collections of your own system can be seen"),
)  # fmt: skip

# What we are
HUB_BUSY = _kind(
    "hub-busy", 503, _CALLER, True,
    zh=("枢纽繁忙, 报文未受理", "按 Retry-After 所示秒数后用同一 messageId 重发"),
    en=("The hub is busy; the message was not taken",
        "Send again with the same messageId after the seconds that Retry-After says"),
)  # fmt: skip
HUB_FAULT = _kind(
    "hub-fault", 500, _ADMIN, True,
    zh=("枢纽内部错误, 报文未受理", "用同一 messageId 稍后重发; 把 problem 编号告诉管理员"),
    en=("An internal fault; the message was not taken",
        "Send again later with the same messageId; tell the administrator the problem id"),
)  # fmt: skip
