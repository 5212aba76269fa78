"""What a comparison with the library found, and what makes both sides agree, as the console and the command say it: (zh, en)."""

from __future__ import annotations

from typing import Final

from hub.ecerts.collect.model import DifferenceCure, DifferenceKind
from schemas.told import Sentence

DIFFERENCES: Final[dict[DifferenceKind, Sentence]] = {
    DifferenceKind.MISSING: ("库方缺失", "missing there"),
    DifferenceKind.SURPLUS: ("本方缺失", "missing here"),
    DifferenceKind.DIGEST: ("内容不同", "other contents"),
    DifferenceKind.STANDING: ("状态不同", "revoked on one side only"),
}
CURES: Final[dict[DifferenceCure, Sentence]] = {
    DifferenceCure.SEND_AGAIN: ("可重新报送", "Send again"),
    DifferenceCure.ADOPT: ("请认可, 或由发证系统在库方注销", "Adopt it, or have its system revoke it there"),
    DifferenceCure.HAND_IN_AGAIN: (
        "本方已无原件, 须由发证系统重新报送",
        "Not kept here: its system hands it in again",
    ),
}
