"""What a missing document means, and who must act, as a person reads it: Chinese, then English."""

from __future__ import annotations

from typing import Final

from hub.ecerts.solver import Standing

_WORDS: Final = {
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
    Standing.NOT_VERIFIED: (
        "证照文件不可信: 请发证单位核查",
        "the file may not be relied on: the issuer looks into it",
    ),
    Standing.NO_SOURCE: (
        "本区域没有登记来源: 请枢纽管理员登记",
        "no source is registered here: the hub's administrator registers one",
    ),
}
_BY_REASON: Final = {  # where the reason says more than the standing
    "guardianship-not-shown": (
        "未证明是该未成年人的监护人: 由学生本人授权, 或登记写明该学生 (onBehalfOf) 的监护人同意; 学生须未满 18 周岁",
        "not shown to be this child's guardian: the student authorizes it, or a guardian's consent that names the child "
        "(onBehalfOf) is registered; the child must be under 18",
    ),
    "withdrawn": (
        "持有人已撤回同意或授权: 请申请人重新授权或自行提交",
        "the holder took the consent or authorization back: the applicant authorizes it anew or hands it in",
    ),
    "basis-ended": (
        "同意或授权的使用期已结束: 请申请人重新授权或自行提交",
        "the time of the consent or authorization is over: the applicant authorizes it anew or hands it in",
    ),
}
_FOLLOWED_UP: Final = ("; 枢纽将继续询问并告知", "; the hub goes on asking and will tell")


def words_of(standing: Standing, *, followed_up: bool, reason: str | None = None) -> tuple[str, str]:
    """Of a standing that is not usable; of one that has not been asked for, that of a source that does not answer."""
    zh, en = _BY_REASON.get(reason or "") or _WORDS.get(standing, _WORDS[Standing.UNREACHABLE])
    return (zh + _FOLLOWED_UP[0], en + _FOLLOWED_UP[1]) if followed_up else (zh, en)
