"""A child's record on its guardian's word: only where the word names the child, and while the child is under age."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from adapters.population import family
from adapters.registry import manifest
from adapters.simulator_process import SimulatorProcess
from hub import tables as t
from hub.access.callers import Caller, Method
from hub.access.endpoints import EndpointSpec, add_endpoint
from hub.db import Database, Tx
from hub.ecerts.authorizations import model as m
from hub.ecerts.authorizations.bases import Bases
from hub.ecerts.entries import Item, Level, LimitUnit
from hub.ecerts.evidence import store
from hub.ecerts.evidence.planning import find_grounds
from hub.ecerts.logins.identified import VerifiedLogin
from schemas import problems as p
from schemas.evidence import EvidenceAnswer
from schemas.numbers import assign_resident_id
from schemas.problems import HubProblem
from tests.integration.evidence_fixtures import simulators
from tests.integration.evidence_world import CONSUMER, REGION, Peers, World

__all__ = ["simulators"]  # fixtures
SUSPENSION = "370105003002"  # id-card@guardian | household-register@guardian, and the enrolment record
PURPOSE = "student-registry"
TYPES = ("enrolment-record", "id-card", "household-register")
CHILD = 0  # of a primary school


@pytest.fixture(scope="module")
def county() -> Iterator[SimulatorProcess]:
    with SimulatorProcess("adapters.county_rest.simulator", ["--token", "secret", "--region", REGION]) as started:
        yield started


@pytest.fixture
def world(database: Database, simulators: Peers, county: SimulatorProcess) -> Iterator[World]:
    """With the county's registry."""
    simulators.library.fail("none")
    made = World(database, simulators).set_up()
    spec = EndpointSpec("county", "province", "county_rest", "registry", REGION, county.url, {}, {"access_token": "secret"},
                        timeout_s=4)  # fmt: skip

    def write(tx: Tx) -> None:
        add_endpoint(tx, "test", made.vault, manifest(spec.adapter), spec, lease_s=60)
        store.allow_purpose(tx.conn, CONSUMER, PURPOSE, tx.now, "test")

    database.write(write)
    yield made
    made.close()


def ask(world: World, child: dict[str, str], guardian: int, **changes: Any) -> EvidenceAnswer:
    others = [{**world.holder(guardian), "role": "guardian"}]
    values = {"itemCode": SUSPENSION, "purpose": PURPOSE, "subject": child, "others": others, **changes}
    return world.ask(world.request(guardian, **values))


def record(answer: EvidenceAnswer) -> tuple[bool, str | None]:
    """Whether the child's record was handed out, and why not."""
    one = next(one for one in answer.requirements if one.name == "enrolment")
    return one.satisfied, one.missing[0].reason if one.missing else None


def test_a_strangers_consent_opens_no_childs_record(world: World) -> None:
    world.consent(30, types=TYPES, purpose=PURPOSE)
    answer = ask(world, world.child(CHILD), 30)
    assert record(answer) == (False, "guardianship-not-shown")
    (gap,) = next(one.missing for one in answer.requirements if one.name == "enrolment")
    assert "监护人" in gap.message_zh
    assert "guardian" in gap.message_en
    assert {one.document for one in answer.fields or ()} == {"id-card@guardian"}, "the stranger's own"
    (tried,) = uses(world, world.child(CHILD))
    assert (tried.ecert_type, tried.outcome) == ("enrolment-record", "evidence-basis-refused"), (
        "its holder sees the attempt"
    )
    asked = json.loads(world.audited("evidence.request")[0].detail)
    assert asked["refused"] == "enrolment-record guardianship-not-shown"
    world.consent(30, types=TYPES, purpose=PURPOSE, child=world.child(4))
    assert record(ask(world, world.child(CHILD), 30)) == (False, "guardianship-not-shown"), "another child's guardian"


def test_where_nothing_else_is_allowed_the_request_is_refused_by_that_word(world: World) -> None:
    world.consent(31, types=("enrolment-record",), purpose=PURPOSE)
    with pytest.raises(HubProblem) as caught:
        ask(world, world.child(CHILD), 31)
    assert (caught.value.kind, caught.value.detail) == (p.EVIDENCE_BASIS_REFUSED, "guardianship-not-shown")


def uses(world: World, holder: dict[str, str]) -> list[m.DataUse]:
    asked = m.UsesRequest(holder=m.Holder.model_validate(holder), holder_proof="p")
    return world.authorizations.uses(world.caller(), asked, before=None)[0]


def test_a_guardians_consent_that_names_the_child_opens_its_record_and_both_see_it(world: World) -> None:
    child, guardian = world.child(CHILD), world.holder(CHILD)
    world.consent(CHILD, types=TYPES, purpose=PURPOSE, child=child)
    answer = ask(world, child, CHILD)
    assert answer.complete
    assert record(answer) == (True, None)
    (of_child,) = uses(world, child)
    assert (of_child.ecert_type, of_child.outcome) == ("enrolment-record", "held")
    of_guardian = {one.ecert_type: one for one in uses(world, guardian)}
    assert of_guardian["enrolment-record"].on_behalf_of == child["name"]
    assert of_guardian["id-card"].on_behalf_of is None
    for table in (t.consents, t.authorizations, t.data_uses, t.audit):
        assert child["code"] not in repr(world.rows(table))
        assert child["name"] not in repr(world.rows(table))


def test_an_authorization_that_names_the_child_does_too(world: World) -> None:
    child, guardian = m.Holder.model_validate(world.child(CHILD)), m.Holder.model_validate(world.holder(CHILD))

    def redeemed(scope: m.Scope) -> dict[str, str]:
        asked = m.AuthorizationRequest(holder=guardian, holder_proof="p", scope=scope)
        issued = world.authorizations.issue(world.caller(), asked).result()
        assert isinstance(issued, m.AuthorizationIssued)
        wanted = m.Wanted(ecert_types=TYPES, purpose=PURPOSE, region=REGION)
        message = m.RedemptionRequest(message_id=f"m-{secrets.token_hex(6)}", code=issued.code, wanted=wanted)
        taken = world.authorizations.redeem(world.caller(), message).result()
        assert isinstance(taken, m.AuthorizationRedeemed)
        return {"kind": "authorization", "reference": taken.authorization_id}

    scope = m.Scope(ecert_types=TYPES, purpose=PURPOSE, region="370000", on_behalf_of=child)
    assert record(ask(world, world.child(CHILD), CHILD, basis=redeemed(scope))) == (True, None)
    nobody = scope.model_copy(update={"on_behalf_of": None})
    assert record(ask(world, world.child(CHILD), CHILD, basis=redeemed(nobody))) == (False, "guardianship-not-shown")


def test_a_childs_own_consent_needs_no_guardian(world: World) -> None:
    child = m.Holder.model_validate(world.child(CHILD))
    now = world.db.clock() - timedelta(minutes=1)
    scope = m.Scope(ecert_types=("enrolment-record",), purpose=PURPOSE, region="370000")
    asked = m.ConsentRequest(holder=child, scope=scope, reference="own", given_at=now, ends_at=now + timedelta(days=1))
    world.authorizations.register_consent(world.caller(), asked)
    assert record(ask(world, world.child(CHILD), 30)) == (True, None)


def test_a_grown_child_is_no_child_any_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    child = world.child(CHILD)
    world.consent(CHILD, types=TYPES, purpose=PURPOSE, child=child)
    born = family(REGION, CHILD).student.birth_date
    of_age = born.replace(year=born.year + 18)
    monkeypatch.setattr("hub.ecerts.authorizations.bases.shanghai_day", lambda at: of_age)
    assert record(ask(world, child, CHILD)) == (False, "guardianship-not-shown")
    monkeypatch.setattr("hub.ecerts.authorizations.bases.shanghai_day", lambda at: of_age - timedelta(days=1))
    assert record(ask(world, child, CHILD)) == (True, None)


def test_what_the_law_covers_of_a_guardian_is_not_the_childs(world: World) -> None:
    """Else an item whose law names the guardian's identity check alone would open the child's as well."""
    law = {"kind": "law", "reference": "第三条"}
    others = [{**world.holder(30), "role": "guardian", "basis": law}]
    request = world.request(30, subject=world.child(CHILD), others=others, purpose=PURPOSE)

    def grounds(*law_covers: str) -> set[str]:
        item = Item.model_validate({
            "basic_code": "370105009001", "effective_from": date(2026, 1, 1), "title_zh": "试", "title_en": "t",
            "level": Level.PROVINCE, "limit": 1, "limit_unit": LimitUnit.WORKING_DAY, "requires_consent": False,
            "legal_basis": "第三条", "law_covers": law_covers,
            "requirements": ({"name": "who", "title_zh": "试", "title_en": "t",
                              "evidence": "identity-check + identity-check@guardian"},),
        })  # fmt: skip
        with world.db.read() as conn:
            found = find_grounds(
                Bases(world.vault), conn, request=request, item=item, system_id=CONSUMER, at=world.db.clock()
            )
        return {str(one) for one in found.grounds}

    assert grounds("identity-check@guardian") == {"identity-check@guardian"}
    assert grounds("identity-check") == {"identity-check"}
    assert grounds("identity-check", "identity-check@guardian") == {"identity-check", "identity-check@guardian"}


def test_a_login_does_not_show_whose_guardian_somebody_is(world: World) -> None:
    """Who registers the child's name has seen the proof: the right to vouch is needed, whoever logged in."""
    rights = frozenset({("authorization.issue", "370000")})
    portal = Caller(CONSUMER, "k", Method.HTTP_SIGNATURE, rights)
    child = m.Holder.model_validate(world.child(CHILD))
    scope = m.Scope(ecert_types=TYPES, purpose=PURPOSE, region="370000", on_behalf_of=child)
    now = world.db.clock()
    holder = m.Holder.model_validate(world.holder(CHILD))
    asked = m.ConsentRequest(holder=holder, scope=scope, reference="g", given_at=now, ends_at=now + timedelta(days=1))
    login = VerifiedLogin("login_x", "L3", holder.index_text)
    with pytest.raises(HubProblem) as caught:
        world.authorizations.register_consent(portal, asked, login)
    assert caught.value.kind is p.ACCESS_DENIED
    code = m.AuthorizationRequest(holder=holder, scope=scope)
    with pytest.raises(HubProblem) as caught:
        world.authorizations.issue(portal, code, login)
    assert caught.value.kind is p.ACCESS_DENIED


def test_nobody_agrees_on_behalf_of_an_adult(world: World) -> None:
    with pytest.raises(HubProblem) as caught:
        world.consent(CHILD, types=TYPES, purpose=PURPOSE, child=world.holder(31))
    assert [one.path for one in caught.value.faults] == ["/scope/onBehalfOf/code"]


@pytest.mark.parametrize(("born", "day", "minor"), [
    (date(2008, 11, 28), date(2026, 11, 27), True),
    (date(2008, 11, 27), date(2026, 11, 27), False),
    (date(2008, 2, 29), date(2026, 2, 28), True),
    (date(2008, 2, 29), date(2026, 3, 1), False),
    (date(2026, 11, 28), date(2026, 11, 27), False),
])  # fmt: skip
def test_who_is_under_age(born: date, day: date, minor: bool) -> None:
    person = m.Holder(name="某", code_type="111", code=assign_resident_id("379801", born, 1))
    assert m.is_minor(person, day) is minor


def test_a_number_that_tells_no_birth_date_shows_no_child() -> None:
    assert not m.is_minor(m.Holder(name="某", code_type="411", code="G1234567"), date(2026, 1, 1))
