"""A process that redeems or takes back, for the tests that race it against others or kill it.

``redeem_child URL crowd CODE NAME GATE``: waits until the gate opens, then redeems from 25 threads at once and prints how many
succeeded. ``… URL redeem CODE MESSAGE_ID``, ``… URL revoke ID`` and ``… URL consent REFERENCE`` act once.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from hub.access.callers import Caller, Method, Service
from hub.audit.chain import AuditChain
from hub.db import Database
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.service import Authorizations
from hub.vault import Vault
from schemas.problems import HubProblem
from tests.conftest import AUDIT_KEY
from tests.integration.crowds import at_the_gate

KEY = b"k" * 32
NUMBER = "370102198501011233"
HOLDER = m.Holder(name="王建国", code_type="111", code=NUMBER)
PURPOSE = "teacher-qualification"
WANTED = m.Wanted(ecert_types=("id-card",), purpose=PURPOSE, region="370102", item="370105001001")
SCOPE = m.Scope(ecert_types=("id-card", "degree"), purpose=PURPOSE, region="370000", item="370105001001")
RIGHTS = frozenset((service.value, "370000") for service in Service)
PORTAL, HALL = Caller("portal", "k1", Method.TLS, RIGHTS), Caller("hall", "k2", Method.TLS, RIGHTS)
CROWD = 25


def redeem(
    service: Authorizations, code: str, message_id: str = "m-1", wanted: m.Wanted = WANTED, caller: Caller = HALL
) -> m.AuthorizationRedeemed | HubProblem:
    return service.redeem(caller, m.RedemptionRequest(message_id=message_id, code=code, wanted=wanted)).result()


def consent(reference: str) -> m.ConsentRequest:
    given, ends = datetime(2026, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)
    return m.ConsentRequest(holder=HOLDER, scope=SCOPE, reference=reference, given_at=given, ends_at=ends)


def crowd(service: Authorizations, code: str, name: str) -> int:
    barrier = threading.Barrier(CROWD)

    def one(number: int) -> bool:
        barrier.wait()
        return isinstance(redeem(service, code, f"{name}-{number}"), m.AuthorizationRedeemed)

    with ThreadPoolExecutor(CROWD) as pool:
        return sum(pool.map(one, range(CROWD)))


def main() -> None:
    url, act, *arguments = sys.argv[1:]
    db = Database(url, chain_audit=AuditChain(AUDIT_KEY).append)
    service = Authorizations(db, Vault(KEY))
    match act:
        case "crowd":
            at_the_gate(arguments[2])
            print(crowd(service, arguments[0], arguments[1]), flush=True)
        case "redeem":
            redeem(service, arguments[0], arguments[1])
        case "revoke":
            service.revoke_authorization(PORTAL, arguments[0], HOLDER)
        case "consent":
            service.register_consent(PORTAL, consent(arguments[0]))
    db.close()
