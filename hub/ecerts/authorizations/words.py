"""What a holder reads in the list of uses: Chinese, then English."""

from __future__ import annotations

from typing import Final

from hub.ecerts.solver import Standing
from schemas.problems import EVIDENCE_BASIS_REFUSED, EVIDENCE_PURPOSE_REFUSED, MESSAGE_INVALID

OUTCOMES: Final[dict[str, tuple[str, str]]] = {
    Standing.HELD.value: ("已取得并核验", "fetched and verified"),
    Standing.DEEMED_VALID.value: (
        "已取得, 过期但按延期公告视为有效",
        "fetched; it ran out and a notice deems it valid",
    ),
    Standing.AVAILABLE.value: ("未查询", "not asked for"),
    Standing.PENDING.value: ("未取得: 发证单位尚不能答复", "not fetched: the issuer cannot answer yet"),
    Standing.UNREACHABLE.value: ("未取得: 发证单位暂无应答", "not fetched: the issuer did not answer"),
    Standing.ASK_THE_PERSON.value: ("未取得: 须由本人授权或提交", "not fetched: you must authorize it or hand it in"),
    Standing.EXPIRED.value: ("未采用: 证照已过期", "not used: it ran out"),
    Standing.NO_MATCH.value: ("来源没有与所问一致的记录", "the source has none that fits the question"),
    Standing.NOT_VERIFIED.value: ("未采用: 文件未通过核验", "not used: the file did not pass verification"),
    Standing.REVOKED.value: ("未采用: 证照已吊销或注销", "not used: it was revoked"),
    Standing.SUSPENDED.value: ("未采用: 证照已暂停效力", "not used: it is suspended"),
    Standing.NO_SOURCE.value: ("未取得: 没有来源", "not fetched: there is no source"),
    EVIDENCE_PURPOSE_REFUSED.code: (
        "因用途未登记或不属于该事项被拒绝, 未取得",
        "refused for its purpose: nothing was fetched",
    ),
    MESSAGE_INVALID.code: ("因报文有误被拒绝, 未取得", "refused, as the message was wrong: nothing was fetched"),
    EVIDENCE_BASIS_REFUSED.code: ("因依据不成立被拒绝, 未取得", "refused for want of a basis: nothing was fetched"),
}
