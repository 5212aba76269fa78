"""A scene of the demo: at a counter a citizen shows an authorization code (授权码) on the phone, and no paper changes hands.

The citizen logs in at the identity service, the app gets a code of the hub, the clerk's system redeems it and asks for the
evidence of the item. What may not be is tried as well: the code again, the login again, another person's login, a consent that
was taken back.
"""

from __future__ import annotations

import base64
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from adapters.population import family
from certs.report import Indication
from hub.demo.callers import LoginPage, RestCaller
from hub.demo.evidence_scene import ITEM, PURPOSE, TYPES
from hub.demo.scenario import LIXIA
from hub.demo.stage import Stage
from hub.demo.summary import Row
from hub.ecerts.trust import TrustFolder
from hub.ecerts.verifier import Verifier

CITIZEN, SOMEBODY = 21, 22  # family numbers
CASE: Final = "counter-1"
ANSWER_S: Final = 10.0  # how long a person takes to say yes or no on the phone, here
SCOPE: Final = {"ecertTypes": TYPES, "purpose": PURPOSE, "region": LIXIA, "item": ITEM, "audience": "hall"}
Answer = tuple[int, dict[str, Any]]


@dataclass
class _Counter:
    """A citizen with a phone, and a clerk."""

    stage: Stage
    phone: RestCaller = field(init=False)
    clerk: RestCaller = field(init=False)

    def __post_init__(self) -> None:
        services = self.stage.cast.services
        self.phone, self.clerk = (RestCaller(self.stage.url, services[name]) for name in ("app", "hall"))
        self.page = LoginPage(self.stage.cast)
        self.person = family(LIXIA, CITIZEN).guardian
        self.holder = {"name": self.person.name, "code": self.person.id_number, "codeType": "111"}

    def logged_in(self, **message: Any) -> dict[str, Any]:
        """A message of the citizen's, with a login of its own."""
        return {"holder": self.holder, "login": self.page.log_in(self.phone, self.person), **message}

    def redeem(self, code: str) -> Answer:
        wanted = {name: SCOPE[name] for name in ("ecertTypes", "purpose", "region", "item")}
        return self.clerk.post(
            "/v1/authorizations/redeem", {"messageId": _message_id(), "code": code, "wanted": wanted}
        )

    def present(self, word: str) -> dict[str, Any]:
        """The phone shows a code of the library (the simulator's: PERSON agrees, DENY does not), until the holder has answered."""
        wanted = {name: SCOPE[name] for name in ("ecertTypes", "purpose", "region", "item")}
        code = f"{word}:{self.person.id_number}#{secrets.token_hex(4)}"
        message = {
            "messageId": _message_id(),
            "code": code,
            "holder": self.holder,
            "wanted": wanted,
            "caseReference": CASE,
        }
        _, shown = self.clerk.post("/v1/presentations", message)
        end = time.monotonic() + ANSWER_S
        while shown.get("state") == "pending" and time.monotonic() < end:
            time.sleep(0.1)
            _, shown = self.clerk.get(f"/v1/presentations/{shown['presentationId']}")
        return shown

    def ask(self, basis: dict[str, str], form: str, **subject: Any) -> Answer:
        """The clerk's system asks for all that the item needs."""
        message = {"messageId": _message_id(), "itemCode": ITEM, "region": LIXIA, "caseReference": CASE,
                   "purpose": PURPOSE, "basis": basis, "answer": form, **subject}  # fmt: skip
        return self.clerk.post("/v1/evidence", message)


def play(stage: Stage) -> list[Row]:
    """Plays it and says whether all came as it should."""
    counter = _Counter(stage)
    return [_code(counter), _library_code(counter), _rights(counter)]


def _code(counter: _Counter) -> Row:
    """A code on the phone, taken once; the documents come, and the clerk's side verifies each of them again by itself."""
    asked = counter.logged_in(scope=SCOPE)
    _, issued = counter.phone.post("/v1/authorizations", asked)
    shown = str(issued.get("codeShown"))
    _, taken = counter.redeem(shown)
    basis = {"kind": "authorization", "reference": str(taken.get("authorizationId"))}
    _, answer = counter.ask(basis, "documents")
    documents = answer.get("documents") or ()
    verdicts = _verified(counter.stage, [str(one["content"]) for one in documents])
    _, again = counter.redeem(shown)
    satisfied = sum(one["satisfied"] for one in answer.get("requirements", ()))
    good = (
        taken.get("holderName") == counter.person.name
        and taken.get("assurance") == "L3"
        and answer.get("complete") is True
        and len(verdicts) == len(documents) > 0
        and set(verdicts) == {Indication.PASSED}
        and again.get("detail") == "redeemed-already"
    )
    return Row(
        "窗口办理, 出示授权码 at a counter, an authorization code is shown",
        "核销一次, 证照齐备并通过验章; 再次核销被拒 taken once, all documents there and verified; not taken twice",
        f"授权码 code {shown}: {satisfied} 项要求满足 requirements met, {len(documents)} 份证照 documents; "
        f"再次 again: {again.get('detail')}",
        f"持有人本人登录 the holder's own login, {taken.get('assurance')}; "
        f"窗口另行验章 verified once more at the counter: {', '.join(verdicts)}",
        good,
    )


def _library_code(counter: _Counter) -> Row:
    """The other direction: the phone shows a code of the provincial library, which asks the holder; the counter scans it."""
    with ThreadPoolExecutor(2) as pool:
        agreed, denied = pool.map(counter.present, ("PERSON", "DENY"))
    basis = {"kind": "authorization", "reference": str(agreed.get("presentationId"))}
    _, answer = counter.ask(basis, "documents")
    documents = answer.get("documents") or ()
    verdicts = _verified(counter.stage, [str(one["content"]) for one in documents])
    _, again = counter.ask(basis, "predicate")
    _, refused = counter.ask({"kind": "authorization", "reference": str(denied.get("presentationId"))}, "predicate")
    good = (
        agreed.get("state") == "authorized"
        and answer.get("complete") is True
        and len(verdicts) == len(documents) > 0
        and set(verdicts) == {Indication.PASSED}
        and denied.get("state") == "denied"
        and {again.get("code"), refused.get("code")} == {"evidence-basis-refused"}
    )
    return Row(
        "窗口办理, 扫描省证照库的授权码 at a counter, a code of the provincial library is scanned",
        "本人在手机上确认后取证一次; 不同意则不取 once the holder has agreed on the phone, for one request; nothing without",
        f"{agreed.get('state')}: {len(documents)} 份证照 documents; 再次 again: {again.get('code')}; "
        f"不同意 not agreed: {denied.get('state')}",
        f"省库确认 asked of the library; 窗口另行验章 verified once more at the counter: {', '.join(verdicts)}",
        good,
    )


def _rights(counter: _Counter) -> Row:
    """Only the holder acts for the holder: sees what the data was used for, and takes a consent back."""
    somebody = family(LIXIA, SOMEBODY).guardian
    asked = counter.logged_in(scope=SCOPE)
    theirs = {**asked, "login": counter.page.log_in(counter.phone, somebody)}
    _, another = counter.phone.post("/v1/authorizations", theirs)
    counter.phone.post("/v1/authorizations", asked)
    _, twice = counter.phone.post("/v1/authorizations", asked)
    now = datetime.now(UTC) - timedelta(seconds=5)
    consent = counter.logged_in(scope=SCOPE, reference=_message_id(), givenAt=now.isoformat(),
                                endsAt=(now + timedelta(days=30)).isoformat())  # fmt: skip
    _, registered = counter.phone.post("/v1/consents", consent)
    by_consent = {"kind": "consent"}
    _, allowed = counter.ask(by_consent, "predicate", subject=counter.holder)
    consent_id = registered.get("consentId")
    counter.phone.post(f"/v1/consents/{consent_id}/revocation", counter.logged_in())
    _, refused = counter.ask(by_consent, "predicate", subject=counter.holder)
    _, page = counter.phone.post("/v1/holders/uses", counter.logged_in(limit=100))
    uses = page.get("items", ())
    bases = sorted({str(use["basis"]) for use in uses})
    good = (
        another.get("detail") == "subject-code"
        and twice.get("detail") == "login-used"
        and allowed.get("complete") is True
        and refused.get("code") == "evidence-basis-refused"
        and bases == ["authorization", "consent"]
        and {use["systemId"] for use in uses} == {"hall"}
    )
    return Row(
        "持有人的权利 the holder's own rights",
        "他人的登录、用过的登录不被接受; 撤回同意后不再取证; 使用记录可查 "
        "neither another's login nor a used one counts; nothing after a consent is taken back; every use is listed",
        f"他人登录 another's login: {another.get('detail')}; 重复使用 used twice: {twice.get('detail')}; "
        f"撤回后 after taking back: {refused.get('code')}",
        f"使用记录 uses listed: {len(uses)}, 依据 on: {', '.join(bases)}",
        good,
    )


def _verified(stage: Stage, contents: list[str]) -> list[str]:
    """The verdict of each document as the counter's own software would say it: the same rules, no word of the hub's."""
    verifier = Verifier(TrustFolder.of(stage.settings), "strict")
    now = datetime.now(UTC)
    return [verifier.verify(base64.b64decode(one), policy=None, at=now).indication for one in contents]


def _message_id() -> str:
    return f"counter-{secrets.token_hex(6)}"
