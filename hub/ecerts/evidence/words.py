"""What a missing document means, and who must act, as a person reads it: Chinese, then English.

By the reason where it says more than the standing does: an altered file, a misspelt name and an anchor that nobody has added all
leave a file that may not be relied on, and each is somebody else's to mend. docs/protocol/evidence.md has the same words.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hub.ecerts.evidence.rules import load_rules
from hub.ecerts.expressions import CONDITION_MISSING, CONDITION_UNMET, Condition
from hub.ecerts.solver import WHO_ACTS, Standing
from hub.ecerts.validity import Validity
from schemas.problems import WhoActs


class Said(NamedTuple):
    who: WhoActs
    zh: str
    en: str


_CALLER, _APPLICANT, _PEER, _ADMIN = WhoActs.CALLER, WhoActs.APPLICANT, WhoActs.PEER, WhoActs.ADMINISTRATOR
_CHECK: Final = "请申请人核对姓名、证件号码; 所填无误的, 请发证单位核查"
_CHECK_EN: Final = "the applicant checks name and number; if they are right, the issuer looks into it"

_OF_STANDING: Final = {
    Standing.NO_MATCH: (
        "来源没有此证照: 请申请人核对姓名与证件号码, 或另行提交",
        "the source has none: the applicant checks name and number, or hands it in",
    ),
    Standing.ASK_THE_PERSON: (
        "需本人授权或提交: 请申请人办理",
        "the person must authorize it or hand it in: the applicant acts",
    ),
    Standing.PENDING: ("发证单位尚不能答复: 请发证单位处理", "the issuer cannot answer yet: the issuer acts"),
    Standing.UNREACHABLE: ("发证单位暂无应答: 请发证单位恢复服务", "the issuer does not answer: the issuer acts"),
    Standing.REVOKED: (
        "证照已吊销或注销: 请申请人向发证机关办理",
        "it was revoked: the applicant turns to the office that issued it",
    ),
    Standing.EXPIRED: (
        "证照已过期, 且无延期公告: 请申请人换发",
        "it ran out, and no notice extends it: the applicant renews it",
    ),
    Standing.SUSPENDED: (
        "证照已暂停效力, 不得采用, 纸质件亦同: 请持证人向发证机关办理",
        "it is suspended and may not be relied on, on paper neither: its holder turns to the office that issued it",
    ),
    Standing.NOT_VERIFIED: (
        "证照文件不可信, 不得采用: 请发证单位核查",
        "the file may not be relied on: the issuer looks into it",
    ),
    Standing.NO_SOURCE: (
        "本区域没有登记来源: 请枢纽管理员登记",
        "no source is registered here: the hub's administrator registers one",
    ),
}


def _altered(zh: str, en: str) -> Said:
    return Said(_PEER, f"{zh}, 不得采用: 请发证单位核查", f"{en}: it may not be relied on, the issuer looks into it")


def _sign_anew(zh: str, en: str) -> Said:
    return Said(_PEER, f"{zh}, 不得采用: 请发证单位重新签章", f"{en}: it may not be relied on, the issuer signs anew")


def _untold(zh: str, en: str) -> Said:
    return Said(
        _PEER, f"证照文件未载明{zh}, 不得采用: 请发证单位补正", f"the file does not say its {en}: the issuer mends it"
    )


def _trust(zh: str, en: str) -> Said:
    return Said(
        _ADMIN, f"{zh}, 无法判定: 请枢纽管理员处理", f"{en}, so it cannot be told: the hub's administrator acts"
    )


def _at_the_issuer(zh: str, en: str) -> Said:
    return Said(_APPLICANT, f"{zh}: 请申请人向发证机关办理", f"{en}: the applicant turns to the office that issued it")


def _at_the_school(zh: str, en: str) -> Said:
    return Said(
        _APPLICANT, f"{zh}, 现不能转学: 请申请人向就读学校办理", f"{en}, no transfer now: the applicant asks the school"
    )


OF_REASON: Final = {
    # whose document it is: what was asked for is not what stands in it
    "holder-mismatch": Said(
        _APPLICANT, f"证照所载姓名(名称)与所填不一致: {_CHECK}", f"it bears another name: {_CHECK_EN}"
    ),
    "holder-code-mismatch": Said(
        _APPLICANT,
        f"证照所载证件号码与所填不一致: {_CHECK}",
        f"it bears another person's or body's number: {_CHECK_EN}",
    ),
    "number-mismatch": Said(
        _APPLICANT, f"证照所载证照号码与所查不一致: {_CHECK}", f"it bears another certificate number: {_CHECK_EN}"
    ),
    "issuer-mismatch": _altered("文件所载发证机关与来源所报不一致", "its issuer is not the one that the source named"),
    "type-mismatch": _altered("文件所载证照类型与来源所报不一致", "its type is not the one that was asked for"),
    "holder-missing": _untold("持证人", "holder"),
    "holder-code-missing": _untold("持证人证件号码", "holder's number"),
    "number-missing": _untold("证照号码", "number"),
    "issuer-missing": _untold("发证机关", "issuer"),
    "type-missing": _untold("证照类型", "type"),
    # the file and its signatures
    "hash-failure": _altered("签章后被改动", "it was altered after it was sealed"),
    "sig-crypto-failure": _altered("签名不成立, 视为签章后被改动", "a signature in it does not hold"),
    "sig-constraints-failure": _altered("签章不符合规范", "its seal or signature is not as it must be"),
    "signed-data-not-found": _altered("签名所指的内容不在文件内", "what was signed is not in the file"),
    "timestamp-order-failure": _altered("时间戳先后矛盾", "its timestamps contradict each other"),
    "uncovered-content": _altered("有内容未被签章覆盖", "part of it lies outside every signature"),
    "format-failure": _altered("文件格式不符合标准", "it is not the file that it claims to be"),
    "not-signed": _sign_anew("文件没有签章", "it bears no signature"),
    "crypto-constraints-failure": _sign_anew("签名算法强度不足", "it is signed by a weak algorithm"),
    "revoked": _sign_anew("签章所用证书已被吊销", "the signer's certificate was revoked"),
    "revoked-no-poe": _sign_anew(
        "证书已被吊销, 且不能证明签章在先", "the signer's certificate was revoked, perhaps before"
    ),
    "expired": _sign_anew("签章时证书或印章已过有效期", "the signer's certificate or the seal had run out"),
    "not-yet-valid": _sign_anew(
        "签章时证书或印章尚未生效", "the signer's certificate or the seal was not in force yet"
    ),
    "out-of-bounds-no-poe": _sign_anew("不能证明签章时证书有效", "nothing proves that the certificate was in force"),
    "sealed-by-another": Said(
        _PEER,
        "印章不是证照所载发证机关的, 也没有规定准其代章(《电子印章管理办法》第二十一条: 谁签章、谁负责), 不得采用: "
        "请发证机关用自己的印章重新签章",
        "its seal is trusted, but it is not that of the issuer that it names, and no rule lets its owner seal for that issuer "
        "(Measures on Electronic Seals, article 21): it may not be relied on, the issuer seals it anew with its own seal",
    ),
    # what the hub trusts, and what it can reach
    "no-certificate-chain-found": _trust(
        "签章证书不能追溯到枢纽信任的根证书", "its signer leads to no anchor that the hub trusts"
    ),
    "certificate-chain-general-failure": _trust("签章证书链不能核验", "the signer's certificate path cannot be judged"),
    "chain-constraints-failure": _trust(
        "签章证书链不符合所设限制", "the signer's certificate path breaks its constraints"
    ),
    "no-signing-certificate-found": _trust("文件内没有签名证书", "the signer's certificate is not in the file"),
    "policy-processing-error": _trust("核验策略不能适用", "the verification policy could not be applied"),
    "try-later": _trust("暂时取不到证书吊销信息", "revocation data is out of reach"),
    # how it stands at its issuer or source
    "revoked-by-notice": _at_the_issuer(
        "发证机关已通知吊销、注销或换发", "its issuer has given notice that it holds no longer"
    ),
    "revoked-after-answer": _at_the_issuer(
        "答复之后, 发证机关通知吊销、注销或换发", "it was revoked after it was handed out"
    ),
    "status-revoked": _at_the_issuer("证照已吊销或注销", "it was revoked"),
    "status-expired": _at_the_issuer("证照已过期", "it ran out"),
    "status-suspended": Said(_APPLICANT, *_OF_STANDING[Standing.SUSPENDED]),
    "source-not-activated": Said(
        _PEER, "证照尚未激活: 请发证单位激活", "it is not activated yet: the issuer activates it"
    ),
    "status-not-activated": _at_the_issuer("证照尚未激活", "it is not activated yet"),
    "status-unknown": Said(
        _PEER, "来源没有说明证照状态: 请发证单位核查", "the source does not say how it stands: the issuer acts"
    ),
    "validity-ended": _at_the_issuer("证照有效期已满", "its validity has ended"),
    "validity-unreadable": Said(
        _PEER,
        "证照有效期无法识别, 不得采用: 请发证单位补正",
        "its validity cannot be read, so it may not be relied on: the issuer mends it",
    ),
    "gave-up": Said(
        _ADMIN, "多次询问来源无果: 请枢纽管理员处理", "the source never answered: the hub's administrator acts"
    ),
    "endpoint-paused": Said(
        _ADMIN, "来源已被暂停: 请枢纽管理员恢复", "the source is paused: the hub's administrator resumes it"
    ),
    # records
    "person-name-mismatch": Said(
        _APPLICANT,
        "姓名与证件号码不符: 请申请人更正后重新提交",
        "name and number do not match: the applicant corrects them",
    ),
    "person-not-found": Said(
        _APPLICANT, "查无此证件号码: 请申请人核对后重新提交", "the number is not known: the applicant checks it"
    ),
    "student-name-mismatch": Said(
        _CALLER,
        "学籍所载姓名与所填不一致: 请提交系统更正",
        "the record has another name: the system that asked corrects it",
    ),
    "enrolment-number-mismatch": Said(
        _CALLER,
        "学籍所载号码与所填不一致: 请提交系统更正",
        "the record has another number: the system that asked corrects it",
    ),
    "releasing-school-mismatch": Said(
        _CALLER,
        "学籍所载学校与所填不一致: 请提交系统更正",
        "the record has another school: the system that asked corrects it",
    ),
    "enrolment-suspended": _at_the_school("学生休学", "the student is suspended from study"),
    "enrolment-discipline": _at_the_school("学生在处分期内", "the student is under discipline"),
    "enrolment-graduating": _at_the_school("学生在毕业年级", "the student is in the graduating year"),
    "enrolment-left": _at_the_school("学生已离校", "the student has left"),
    # the ground on which it was asked for
    "guardianship-not-shown": Said(
        _APPLICANT,
        "未证明是该未成年人的监护人: 由学生本人授权, 或登记写明该学生 (onBehalfOf) 的监护人同意; 学生须未满 18 周岁",
        "not shown to be this child's guardian: the student authorizes it, or a guardian's consent that names the child "
        "(onBehalfOf) is registered; the child must be under 18",
    ),
    "withdrawn": Said(
        _APPLICANT,
        "持有人已撤回同意或授权: 请申请人重新授权或自行提交",
        "the holder took the consent or authorization back: the applicant authorizes it anew or hands it in",
    ),
    "basis-ended": Said(
        _APPLICANT,
        "同意或授权的使用期已结束: 请申请人重新授权或自行提交",
        "the time of the consent or authorization is over: the applicant authorizes it anew or hands it in",
    ),
}
_NOT_YET: Final = Said(  # of the certificate itself; the same word of a file that is not verified is of its signer
    _APPLICANT,
    "证照尚未到生效日: 请申请人到期后再办",
    "its first day has not come: the applicant asks again when it has",
)
_INDETERMINATE: Final = "indeterminate-"  # the same matter, where the verdict is that it could not be told
_UNTOLD: Final = _trust("文件是否可信", "whether the file may be relied on is open")
_FOLLOWED_UP: Final = ("; 枢纽将继续询问并告知", "; the hub goes on asking and will tell")


def condition_words(condition: Condition | None, reason: str | None) -> Said | None:
    """Of a document that does not count for what stands in it: the field, and what is accepted; never what it says."""
    if condition is None or reason not in (CONDITION_UNMET, CONDITION_MISSING):
        return None
    title = load_rules().field_titles.get(condition.field)
    field_zh, field_en = (f"{title[0]} ({condition.field})", f"{title[1]} ({condition.field})") if title else (
        condition.field, condition.field)  # fmt: skip
    accepted_zh, accepted_en = "、".join(condition.accepted), ", ".join(condition.accepted)
    if reason == CONDITION_MISSING:
        return Said(
            _PEER,
            f"证照内没有“{field_zh}”, 无法判断 (要求: {accepted_zh}): 请发证单位核查",
            f"the certificate does not state {field_en} (accepted: {accepted_en}): the issuer looks into it",
        )
    return Said(
        _APPLICANT,
        f"证照的“{field_zh}”不符合要求 (要求: {accepted_zh}): 请申请人提供符合要求的证照",
        f"{field_en} of the certificate is not one that is accepted ({accepted_en}): the applicant hands in another",
    )


def words_of(standing: Standing, reason: str | None, *, followed_up: bool) -> Said:
    """Of a standing that is not usable; of one that has not been asked for, that of a source that does not answer."""
    said = _of_reason(reason) if reason is not None and standing is not Standing.EXPIRED else None
    if standing is Standing.PENDING and reason == Validity.NOT_YET.value:
        said = _NOT_YET
    if said is None:
        shown = standing if standing in _OF_STANDING else Standing.UNREACHABLE
        said = Said(WHO_ACTS[shown], *_OF_STANDING[shown])
    return Said(said.who, said.zh + _FOLLOWED_UP[0], said.en + _FOLLOWED_UP[1]) if followed_up else said


def _of_reason(reason: str) -> Said | None:
    """None where the standing says it all. (``expired`` is a certificate's end there, and its signer's here: see above.)"""
    if reason.startswith(_INDETERMINATE):
        return OF_REASON.get(reason.removeprefix(_INDETERMINATE), _UNTOLD)
    return OF_REASON.get(reason)
