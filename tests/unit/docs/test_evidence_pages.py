"""The pages of the evidence service say what its messages and words are: the example, the states, the reasons."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from certs.report import SubIndication
from hub.ecerts.evidence.words import OF_REASON, words_of
from hub.ecerts.solver import USABLE, WHO_ACTS, Standing
from schemas.evidence import EvidenceAnswer, MissingView
from schemas.problems import WhoActs

PAGES = Path(__file__).parents[3] / "docs" / "protocol"


def test_the_complete_example_is_an_answer_as_it_is_sent() -> None:
    text = (PAGES / "evidence-service.md").read_text(encoding="utf-8")
    blocks = [block.split("```", 1)[0] for block in text.split("```json\n")[1:]]
    (example,) = (block for block in blocks if '"rests"' in block)
    answer = EvidenceAnswer.model_validate_json(example)
    assert json.loads(answer.model_dump_json(by_alias=True, exclude_none=True)) == json.loads(example)


def reasons() -> Iterator[tuple[str, str]]:
    """(reason, who acts) of every word of the table."""
    for line in (PAGES / "evidence.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            words, _, who = line.strip("|").split(" | ")
            yield from ((word, who) for word in re.findall(r"`([^`]+)`", words))


@pytest.mark.parametrize(("reason", "who"), list(reasons()))
def test_every_reason_has_its_words_and_says_who_acts(reason: str, who: str) -> None:
    family = reason.endswith("…")
    assert family or reason in OF_REASON
    standing = Standing.ASK_THE_PERSON if reason.startswith("source-") else Standing.NOT_VERIFIED
    said = words_of(standing, reason.replace("…", "unheard-of"), followed_up=False)
    assert f"`{said.who.value}`" in who
    assert re.search(r"[一-鿿]", said.zh)
    assert said.en
    assert not re.search(r"[一-鿿]", said.en)


def test_what_its_issuer_has_not_activated_is_said_so() -> None:
    """Not only that the issuer cannot answer: it has, and the person can be told why."""
    said = words_of(Standing.PENDING, "source-not-activated", followed_up=False)
    assert (said.zh, said.en) == ("证照尚未激活: 请发证单位激活", "it is not activated yet: the issuer activates it")


def test_every_word_of_a_reason_is_documented() -> None:
    assert OF_REASON.keys() <= {reason for reason, _ in reasons()}
    assert {sub.value.lower().replace("_", "-") for sub in SubIndication} <= OF_REASON.keys()


@pytest.mark.parametrize("standing", sorted(set(Standing) - USABLE))
def test_every_standing_is_documented_and_has_words(standing: Standing) -> None:
    assert f"| `{standing.value}` |" in (PAGES / "evidence-service.md").read_text(encoding="utf-8")
    said = words_of(standing, None, followed_up=False)
    assert said.who is WHO_ACTS[standing]
    assert words_of(standing, None, followed_up=True).zh.startswith(said.zh)


@pytest.mark.parametrize(
    ("standing", "reason", "who", "zh"),
    [
        (Standing.NOT_VERIFIED, "holder-mismatch", WhoActs.APPLICANT, "请申请人核对姓名、证件号码"),
        (Standing.NOT_VERIFIED, "hash-failure", WhoActs.PEER, "签章后被改动, 不得采用"),
        (Standing.NOT_VERIFIED, "indeterminate-no-certificate-chain-found", WhoActs.ADMINISTRATOR, "枢纽管理员"),
        (Standing.NOT_VERIFIED, "expired", WhoActs.PEER, "签章时证书或印章已过有效期"),
        (Standing.EXPIRED, "expired", WhoActs.APPLICANT, "换发"),  # the certificate's own end
        (Standing.REVOKED, "source-revoked", WhoActs.APPLICANT, "向发证机关办理"),
    ],
)
def test_the_reason_decides_who_is_sent_where(standing: Standing, reason: str, who: WhoActs, zh: str) -> None:
    said = words_of(standing, reason, followed_up=False)
    assert said.who is who
    assert zh in said.zh


def test_the_description_lists_every_standing_of_a_gap() -> None:
    told = MissingView.model_fields["state"].description or ""
    assert set(re.findall(r"[a-z-]+", told)) == set(Standing) - USABLE
