"""Logins of holders in canonical form, and the reasons for which one does not count."""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from hub.ecerts.refusal import Refusal, refused_for
from schemas.base import Canonical
from schemas.fields import RegionCode, UtcDatetime
from schemas.problems import LOGIN_REFUSED, HubProblem, WhoActs

LOGIN_S: Final = 600  # from the nonce to the act: time for a person to log in with a face or a text message
MAX_ASSERTION: Final = 16 * 1024


class LoginRequest(Canonical):
    """A person is about to log in at the identity service of ``region`` (that of the scope, if one follows)."""

    region: RegionCode


class LoginBegun(Canonical):
    """``nonce`` goes into the login at the identity service and comes back with its assertion, once, until ``expiresAt``."""

    login_id: str
    nonce: str
    expires_at: UtcDatetime


class LoginProof(Canonical):
    """The nonce of the hub, and what the identity service said of who logged in with it."""

    nonce: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$"), Field(repr=False)]
    assertion: Annotated[str, StringConstraints(min_length=1, max_length=MAX_ASSERTION), Field(repr=False)]


_CALLER, _APPLICANT, _ADMINISTRATOR = WhoActs.CALLER, WhoActs.APPLICANT, WhoActs.ADMINISTRATOR
_AGAIN: Final = ("请本人重新登录", "have the holder log in again")
_NONCE, _ASSERTION = "/login/nonce", "/login/assertion"
_SETUP: Final = (
    "与身份认证服务核对应用标识与签发方登记",
    "compare application id and issuer with what the identity service registered",
)

# The reason words of ``login-refused``. docs/protocol/authorizations.md lists them; a test holds the two together.
REASONS: Final = MappingProxyType(
    {
        "login-unknown": Refusal(
            _NONCE, _CALLER, "不是枢纽发给本系统的 nonce, 或已清除", "no nonce that the hub gave to this system, or long gone",
            "用 POST /v1/logins 取新的 nonce 后请本人登录", "get a nonce by POST /v1/logins, then have the holder log in"),
        "login-expired": Refusal(_NONCE, _APPLICANT, "此次登录已超过有效期", "the time of this login has passed", *_AGAIN),
        "login-used": Refusal(_NONCE, _APPLICANT, "此次登录已用于一项操作", "this login was used for an act already", *_AGAIN),
        "login-region": Refusal(
            "/scope/region", _CALLER, "登录所在的身份认证服务不管辖此区域",
            "this region has another identity service than the login",
            "按授权范围的区域取 nonce", "get the nonce for the region of the scope"),
        "assertion-malformed": Refusal(
            _ASSERTION, _CALLER, "断言无法解析", "the assertion cannot be read",
            "原样转交身份认证服务签发的断言", "pass on what the identity service issued, unchanged"),
        "assertion-signature": Refusal(
            _ASSERTION, _CALLER, "断言签名验证未通过", "the signature of the assertion does not hold",
            "原样转交身份认证服务签发的断言", "pass on what the identity service issued, unchanged"),
        "assertion-issuer": Refusal(
            _ASSERTION, _ADMINISTRATOR, "断言不是由登记的身份认证服务签发", "another issuer than the registered", *_SETUP),
        "assertion-audience": Refusal(
            _ASSERTION, _ADMINISTRATOR, "断言不是为枢纽签发的", "the assertion is not for the hub", *_SETUP),
        "assertion-expired": Refusal(_ASSERTION, _APPLICANT, "断言已过期", "the assertion has expired", *_AGAIN),
        "assertion-future": Refusal(
            _ASSERTION, _APPLICANT, "断言尚未生效", "the assertion is of the future",
            "检查时钟后请本人重新登录", "check the clocks, then have the holder log in again"),
        "assertion-nonce": Refusal(_ASSERTION, _APPLICANT, "断言属于另一次登录", "the assertion is of another login", *_AGAIN),
        "assertion-ended": Refusal(_ASSERTION, _APPLICANT, "本人已退出登录", "the person has logged out since", *_AGAIN),
        "assertion-refused": Refusal(
            _ASSERTION, _APPLICANT, "身份认证服务不认可此断言", "the identity service does not stand by it", *_AGAIN),
        "subject-code-type": Refusal(
            "/holder/codeType", _APPLICANT, "与登录者的证件类型不同", "the person who logged in has another type of document",
            "由持有人本人登录", "the holder is the one who must log in"),
        "subject-code": Refusal(
            "/holder/code", _APPLICANT, "与登录者的证件号码不同", "the person who logged in has another number",
            "由持有人本人登录", "the holder is the one who must log in"),
        "subject-name": Refusal(
            "/holder/name", _CALLER, "与登录者的姓名不同", "the person who logged in has another name",
            "按登录者的实名填写", "write the name as it was verified at the login"),
    }
)  # fmt: skip


def refused(*words: str) -> HubProblem:
    """``login-refused`` with the first word as its detail and a fault for each."""
    return refused_for(LOGIN_REFUSED, REASONS, *words)
