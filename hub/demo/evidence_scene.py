"""A scene of the demo: recognition of a university teacher's qualification with no paper. One call, everything from the library.

What an administrator prepares is written by :func:`prepare`; what the portal does (consent, question, answer) goes over REST.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from adapters.population import family
from certs.errors import CertsError
from certs.jws import check_jws
from certs.keys import PublicKey
from hub.access import registration
from hub.access.callers import Service
from hub.db import Database, Tx
from hub.demo.callers import LoginPage, RestCaller
from hub.demo.scenario import LIXIA
from hub.demo.stage import Stage
from hub.demo.summary import Row
from hub.ecerts.evidence.store import allow_purpose
from hub.ecerts.items.service import ItemCatalogue
from hub.opening import open_database, open_vault
from hub.own_keys import OwnKeys

ITEM: Final = "370105001001"  # a placeholder code of the example catalogue
PURPOSE: Final = "teacher-qualification"
PORTAL: Final = "lixia"  # which of the parties asks
TYPES: Final = ("id-card", "household-register", "real-estate-title", "degree", "diploma", "putonghua-level")
APPLICANT, ALTERED = 11, 41  # family numbers: what the library holds of them is in adapters/holdings.py
ACTOR: Final = "operator:demo"


def prepare(stage: Stage) -> None:
    """The example catalogue, the portal's right, and the purpose of portal and counter: as commands do it beside a running hub."""
    db = open_database(stage.settings, open_vault(stage.settings))
    try:
        _prepare(db)
    finally:
        db.close()


def _prepare(db: Database) -> None:
    ItemCatalogue(db).import_example(actor=ACTOR)

    def write(tx: Tx) -> None:
        registration.grant(tx, ACTOR, PORTAL, [Service.EVIDENCE.value, Service.AUTHORIZATION_ISSUE.value], LIXIA)
        for system in (PORTAL, "hall"):
            allow_purpose(tx.conn, system, PURPOSE, tx.now, ACTOR)

    db.write(write)


@dataclass(frozen=True, slots=True)
class _Portal:
    caller: RestCaller
    login: LoginPage

    def ask(self, index: int, form: str, *, consent: bool = True) -> tuple[int, dict[str, Any]]:
        """The applicant agrees on the portal, and the portal asks."""
        person = family(LIXIA, index).guardian
        holder = {"name": person.name, "code": person.id_number, "codeType": "111"}
        if consent:
            now = datetime.now(UTC) - timedelta(seconds=5)
            scope = {"ecertTypes": TYPES, "purpose": PURPOSE, "region": LIXIA, "item": ITEM}
            agreed = {"holder": holder, "scope": scope, "reference": f"demo-{secrets.token_hex(6)}",
                      "givenAt": now.isoformat(), "endsAt": (now + timedelta(days=30)).isoformat(),
                      "login": self.login.log_in(self.caller, person)}  # fmt: skip
            self.caller.post("/v1/consents", agreed)
        message = {
            "messageId": f"demo-{secrets.token_hex(6)}", "itemCode": ITEM, "region": LIXIA, "subject": holder,
            "caseReference": f"demo-{index}", "purpose": PURPOSE, "basis": {"kind": "consent"},
            "answer": form,
        }  # fmt: skip
        return self.caller.post("/v1/evidence", message)


def play(stage: Stage) -> Row:
    """Asks for three applicants and says whether all came as it should."""
    portal = _Portal(RestCaller(stage.url, stage.cast.parties[PORTAL]), LoginPage(stage.cast))
    status, whole = portal.ask(APPLICANT, "fields")
    satisfied = sum(one["satisfied"] for one in whole.get("requirements", ()))
    fields = sum(len(one["fields"]) for one in whole.get("fields", ()))
    _, yes = portal.ask(APPLICANT, "predicate")
    _, altered = portal.ask(ALTERED, "fields")
    words = sorted({gap["state"] for one in altered.get("requirements", ()) for gap in one["missing"]})
    _, refused = portal.ask(APPLICANT + 1, "fields", consent=False)
    signed = _signed(yes.get("predicate", ""), OwnKeys.ensure(stage.settings.state_dir))
    good = (
        status == 200
        and whole.get("complete") is True
        and set(signed.values()) == {"yes"}
        and words == ["not-verified"]
        and refused.get("code") == "evidence-basis-refused"
    )
    return Row(
        "高校教师资格认定, 不交纸质材料 university teacher's qualification with no paper",
        "一次取证, 逐项满足; 被改动的证照不采信; 未经同意不取 "
        "one call; an altered certificate is not relied on; nothing without consent",
        f"{satisfied} 项要求满足 requirements met, {fields} 个字段 fields; "
        f"改动的 altered: {', '.join(words)}; 未同意 without consent: {refused.get('code')}",
        f"枢纽签名的结论 signed by the hub: {json.dumps(signed)}",
        good,
    )


def _signed(token: str, own: OwnKeys) -> dict[str, str]:
    """What the hub signed, by the key that partners are given; empty if it does not hold."""
    try:
        verified = check_jws(token, PublicKey.from_pem(own.http_public.read_bytes()))
    except CertsError:
        return {}
    said: dict[str, str] = json.loads(verified.payload)["requirements"]
    return said
