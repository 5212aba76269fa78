"""What a missing document means, and who must act, as a person reads it: Chinese, then English."""

from __future__ import annotations

from typing import Final

from hub.ecerts.evidence.rules import load_rules
from hub.ecerts.expressions import CONDITION_MISSING, CONDITION_UNMET, Condition
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
_FOLLOWED_UP: Final = ("; 枢纽将继续询问并告知", "; the hub goes on asking and will tell")


def condition_words(condition: Condition | None, reason: str | None) -> tuple[str, str] | None:
    """Of a document that does not count for what stands in it: the field, and what is accepted; never what it says."""
    if condition is None or reason not in (CONDITION_UNMET, CONDITION_MISSING):
        return None
    title = load_rules().field_titles.get(condition.field)
    field_zh, field_en = (f"{title[0]} ({condition.field})", f"{title[1]} ({condition.field})") if title else (
        condition.field, condition.field)  # fmt: skip
    accepted_zh, accepted_en = "、".join(condition.accepted), ", ".join(condition.accepted)
    if reason == CONDITION_MISSING:
        return (
            f"证照内没有“{field_zh}”, 无法判断 (要求: {accepted_zh}): 请发证单位核查",
            f"the certificate does not state {field_en} (accepted: {accepted_en}): the issuer looks into it",
        )
    return (
        f"证照的“{field_zh}”不符合要求 (要求: {accepted_zh}): 请申请人提供符合要求的证照",
        f"{field_en} of the certificate is not one that is accepted ({accepted_en}): the applicant hands in another",
    )


def words_of(standing: Standing, *, followed_up: bool) -> tuple[str, str]:
    """Of a standing that is not usable; of one that has not been asked for, that of a source that does not answer."""
    zh, en = _WORDS.get(standing, _WORDS[Standing.UNREACHABLE])
    return (zh + _FOLLOWED_UP[0], en + _FOLLOWED_UP[1]) if followed_up else (zh, en)
