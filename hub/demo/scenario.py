"""The scenario as data: which transfers, what is done to them, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from schemas.transfers import CaseState

# Regions and who keeps their registry; see hub/demo/cast.py
LIXIA, HUAIYIN, ZHANGQIU = "370102", "370104", "370114"  # 济南: REST, the city's SOAP registry, REST (goes down)
LAOSHAN, HUANGDAO = "370212", "370211"  # 青岛: the city's SOAP registry, REST (hangs after accepting)


class Twist(StrEnum):
    """What happens to the transfers of a scene."""

    NONE = "none"
    DOWN = "down"  # the registry is down for some seconds
    HANGS = "hangs"  # the registry accepts, then does not answer
    ALTERED = "altered"  # a certificate was changed after it was sealed
    NAME = "name"  # the identity service knows the number with another name
    SUSPENDED = "suspended"  # the student's record does not allow a transfer
    DUPLICATE = "duplicate"  # the message comes three times, and once changed
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Scene:
    """``students`` are numbers of the synthetic population; its state tables are in adapters/population.py and holdings.py."""

    key: str
    title_zh: str
    title_en: str
    caller: str  # a system of the cast
    wire: Literal["rest", "soap"]
    releasing: str
    receiving: str
    students: tuple[int, ...]
    expected: CaseState
    expected_zh: str
    expected_en: str
    twist: Twist = Twist.NONE


def _students(first: int, count: int) -> tuple[int, ...]:
    """``count`` students from ``first`` on who may transfer and whose guardians' certificates are in order."""
    found = [n for n in range(first, first + 100) if n % 20 not in (7, 13, 18) and n % 50 < 40]
    return tuple(found[:count])


_DONE_ZH, _DONE_EN = "办结, 每个业务动作恰好一次", "completed, each business effect once"

SCENES: Final[tuple[Scene, ...]] = (
    Scene("county-rest", "县域内转学(REST)", "inside a county, REST", "lixia", "rest", LIXIA, LIXIA,
          _students(100, 14), CaseState.COMPLETED, _DONE_ZH, _DONE_EN),
    Scene("county-soap", "县域内转学(SOAP)", "inside a county, SOAP", "jinan", "soap", HUAIYIN, HUAIYIN,
          _students(100, 8), CaseState.COMPLETED, _DONE_ZH, _DONE_EN),
    Scene("across-cities", "跨市转学 青岛→济南", "across cities, Qingdao to Jinan", "jinan", "soap", LAOSHAN, HUAIYIN,
          _students(100, 8), CaseState.COMPLETED, _DONE_ZH, _DONE_EN),
    Scene("across-counties", "跨县转学 历下→槐荫", "across counties, Lixia to Huaiyin", "jinan", "soap", LIXIA, HUAIYIN,
          _students(200, 4), CaseState.COMPLETED, _DONE_ZH, _DONE_EN),
    Scene("county-down", "一县系统宕机数秒后恢复", "one county is down for some seconds", "zhangqiu", "rest", ZHANGQIU, ZHANGQIU,
          _students(100, 6), CaseState.COMPLETED, "恢复后办结, 不丢不重", "completed after it recovered, nothing lost or doubled",
          Twist.DOWN),
    Scene("county-hangs", "一县受理后不应答", "one county accepts, then hangs", "huangdao", "rest", HUANGDAO, HUANGDAO,
          _students(100, 4), CaseState.COMPLETED, "先查询后继续, 不重发", "asked, not sent twice", Twist.HANGS),
    Scene("altered", "一份证照被篡改", "one certificate was altered", "lixia", "rest", LIXIA, LIXIA,
          (141,), CaseState.REFUSED, "验章不通过, 终止并说明理由", "stopped: the seal verification FAILED", Twist.ALTERED),
    Scene("name", "一人姓名与证件号不符", "one person's name does not match", "lixia", "rest", LIXIA, LIXIA,
          (150,), CaseState.REFUSED, "身份核验不符, 终止", "stopped: name and number do not match", Twist.NAME),
    Scene("suspended", "一名学生正在休学", "one student is suspended from study", "lixia", "rest", LIXIA, LIXIA,
          (207,), CaseState.REFUSED, "学籍状态不允许, 终止", "stopped: the record does not allow it", Twist.SUSPENDED),
    Scene("duplicate", "同一报文重复提交", "one message comes again", "lixia", "rest", LIXIA, LIXIA,
          (160,), CaseState.COMPLETED, "只有一个办件; 内容不同则拒绝", "one case; changed content is refused", Twist.DUPLICATE),
    Scene("withdrawn", "家长撤回申请", "one request is withdrawn", "lixia", "rest", LIXIA, LIXIA,
          (161,), CaseState.WITHDRAWN, "已撤回, 后续步骤取消", "withdrawn, what followed was cancelled", Twist.WITHDRAWN),
)  # fmt: skip
