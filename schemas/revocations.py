"""The revocation notice (吊销、注销通知): an issuing authority or a library says which certificates hold no longer. REST only."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from schemas.base import Canonical
from schemas.fields import MessageId, ShortText, UtcDatetime
from schemas.numbers import check_text_names_nobody
from schemas.rules import shape

MAX_IDENTIFIERS: Final = 500

# GB/T 36904, or what another province's library calls its certificates
NAMED_ECERT: Final = shape(
    "NamedEcert", r"[0-9A-Za-z][0-9A-Za-z._:/\-]{3,119}",
    "4 至 120 位字母、数字或 . _ : / -, 以字母或数字开头", "4 to 120 letters, digits or . _ : / -, a letter or digit first",
)  # fmt: skip
Identifier = Annotated[str, StringConstraints(pattern=NAMED_ECERT.anchored), AfterValidator(str.upper)]


class RevocationReason(StrEnum):
    REVOKED = "revoked"  # 吊销: taken away
    CANCELLED = "cancelled"  # 注销: given up, or its holder is no more
    ANNULLED = "annulled"  # 撤销: it should not have been issued
    REPLACED = "replaced"  # 换发: another one has taken its place
    LOST = "lost"  # 遗失作废


class RevocationNotice(Canonical):
    """``POST /v1/revocations``. ``source``: the decision or record behind it, by its number; nothing personal."""

    message_id: MessageId
    identifiers: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=MAX_IDENTIFIERS)]
    reason: RevocationReason
    revoked_at: UtcDatetime
    source: Annotated[ShortText, AfterValidator(check_text_names_nobody)]


class RevocationAccepted(Canonical):
    """What the notice came to, in numbers: the issuing system does not learn who holds or used what.

    ``systems_told`` of the ``systems`` that relied on one of them are told by events; the others see it when they read again.
    """

    id: str
    message_id: str
    received_at: UtcDatetime
    certificates: int  # named, each counted once
    relied_on: int  # of them, on which an answer rests whose purpose has not run out, or a transfer case
    answers: int
    cases: int = 0  # transfer cases, open or completed not long ago; 0 in answers of before they were counted
    systems: int
    systems_told: int
    remembered_until: UtcDatetime  # so long a source that still calls them valid is not believed
