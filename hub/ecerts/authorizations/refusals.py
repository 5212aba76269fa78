"""Why a code or a ground is refused: where in the message, who must act, what is wrong, and the cure."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from hub.ecerts.refusal import Refusal, refused_for
from schemas.problems import AUTHORIZATION_CODE_REFUSED, EVIDENCE_BASIS_REFUSED, HubProblem, WhoActs

_CALLER, _APPLICANT = WhoActs.CALLER, WhoActs.APPLICANT
_CODE, _BASIS, _REFERENCE = "/code", "/basis", "/basis/reference"
_NEW_CODE: Final = ("请持有人出示新码", "have the holder show a new one")
_AS_ALLOWED: Final = ("按持有人授权的范围填写, 或请持有人按所需范围出示新码",
                      "ask within what was allowed, or have the holder show a code for what is needed")  # fmt: skip
LIBRARY: Final = "library-…"  # every word of the provincial library's own


# The reason words of ``authorization-code-refused``. docs/protocol/authorizations.md lists them; a test holds the two together.
CODE_REFUSALS: Final = MappingProxyType(
    {
        "malformed": Refusal(
            _CODE, _CALLER, "不是授权码 (长度或校验位)", "no code (its length or check digit)", "重新输入", "type it again"),
        "unknown": Refusal(
            _CODE, _APPLICANT, "没有此码, 或错误次数过多 (二者不作区分)",
            "no such code, or too many wrong attempts (not told apart)", *_NEW_CODE),
        "expired": Refusal(_CODE, _APPLICANT, "已过有效期", "its time has passed", *_NEW_CODE),
        "redeemed-already": Refusal(_CODE, _APPLICANT, "已核销或已提交过", "it was redeemed or handed over before", *_NEW_CODE),
        "revoked": Refusal(
            _CODE, _APPLICANT, "持有人已撤销", "the holder took it back", "请持有人重新授权", "have the holder authorize anew"),
        "scope-audience": Refusal(
            _CODE, _APPLICANT, "授权给其他系统", "authorized for another system",
            "请持有人为本系统出示新码", "have the holder show a code for this system"),
        "scope-ecert-types": Refusal(
            "/wanted/ecertTypes", _CALLER, "超出授权的证照类型", "types that were not authorized", *_AS_ALLOWED),
        "scope-purpose": Refusal("/wanted/purpose", _CALLER, "超出授权的用途", "a purpose that was not authorized", *_AS_ALLOWED),
        "scope-item": Refusal("/wanted/item", _CALLER, "超出授权的事项", "an item that was not authorized", *_AS_ALLOWED),
        "scope-region": Refusal("/wanted/region", _CALLER, "超出授权的区域", "a region that was not authorized", *_AS_ALLOWED),
        LIBRARY: Refusal(
            _CODE, _APPLICANT, "省证照库不接受此码, 原因词为证照库所给",
            "the library does not take it, by its own word", *_NEW_CODE),
    }
)  # fmt: skip

# The same of ``evidence-basis-refused``.
BASIS_REFUSALS: Final = MappingProxyType(
    {
        "no-consent": Refusal(
            _BASIS, _APPLICANT, "没有适用的长期同意", "no standing consent covers it",
            "请持有人登记同意, 或出示授权码", "have the holder register a consent or show a code"),
        "no-such-consent": Refusal(
            _REFERENCE, _CALLER, "所指同意不存在或不适用, 不以他份代替",
            "the consent that is named does not exist or does not cover it; no other is taken",
            "更正编号、用途或区域, 或不指明某一份", "correct its id, the purpose or the region, or name none"),
        "no-authorization": Refusal(
            _REFERENCE, _APPLICANT, "所引授权不存在、不适用、已撤销、已过期或已用过",
            "the authorization is unknown, does not cover it, was taken back, has ended or was used", *_NEW_CODE),
        "authorization-not-usable": Refusal(
            _REFERENCE, _APPLICANT, "省略了持有人, 而所引授权不存在、未获同意、已撤销、已过期或已用过",
            "the holder was left out, and the authorization is unknown, not agreed to, taken back, ended or used up", *_NEW_CODE),
        "presentation-used": Refusal(
            _REFERENCE, _APPLICANT, "此次亮证已用于另一取证", "another request has used this presentation", *_NEW_CODE),
        "consent-required": Refusal(
            "/basis/kind", _CALLER, "该事项须有持有人的同意或授权", "the item needs the holder's consent or authorization",
            "以同意或授权为依据", "use a consent or an authorization as basis"),
        "guardianship-not-shown": Refusal(
            "/others", _APPLICANT, "未证明是该未成年人的监护人", "not shown to be this child's guardian",
            "由学生本人授权, 或登记以 onBehalfOf 写明该学生的监护人同意; 学生须未满 18 周岁",
            "the student authorizes it, or a guardian's consent that names the child in onBehalfOf is registered; "
            "the child must be under 18"),
    }
)  # fmt: skip


def code_refused(word: str) -> HubProblem:
    """``authorization-code-refused`` with the word as its detail, and what it means as a fault; one of a library's own
    words means what LIBRARY does."""
    known = CODE_REFUSALS if word in CODE_REFUSALS else {word: CODE_REFUSALS[LIBRARY]}
    return refused_for(AUTHORIZATION_CODE_REFUSED, known, word)


def basis_refused(word: str) -> HubProblem:
    return refused_for(EVIDENCE_BASIS_REFUSED, BASIS_REFUSALS, word)
