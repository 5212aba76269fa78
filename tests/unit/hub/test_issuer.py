"""Whose seal a certificate bears: its issuer's own, one that a rule lets, another's; and what the rules may say."""

from __future__ import annotations

import time
from datetime import date
from functools import cache
from pathlib import Path

import pytest

from certs import der
from certs.errors import BadConfiguration
from certs.issuing.authority import Identity, extension
from certs.ofd.write import SignOptions, pack, sign_ofd, unpack, write_ecert
from certs.policy import Policy, load_policy
from certs.report import Axis, Finding, Indication, Owner, SubIndication
from certs.verify import Fetchers
from certs.x509.owners import CREDIT_CODE_EXTENSION
from hub.ecerts.check import opened
from hub.ecerts.issuer import Examined, examine, is_owner
from hub.ecerts.sealing import Delegation, Issuer, SealingRules, load_sealing, shipped
from schemas.ecert_types import ecert_types
from schemas.numbers import credit_code_check
from tests.unit.certs.ofd_cases import NOW, world

UNIVERSITY, SCHOOL, LIBRARY = "示例大学", "示例中学", "省电子证照库"


def code(number: int) -> str:
    body = f"12370100{number:09d}"
    return body + credit_code_check(body)


FIELDS = {
    "type_code": ecert_types()["diploma"].code,
    "number": "1",
    "holder_name": "示例人",
    "holder_code": "1",
    "issuer_name": UNIVERSITY,
    "issuer_code": code(1),
}


@cache
def signer(name: str, number: int | None = None) -> Identity:
    stated = der.tlv(der.PRINTABLE_STRING, code(number).encode()) if number is not None else b""
    extra = [extension(CREDIT_CODE_EXTENSION, stated, False)] if stated else []
    return world().authority.intermediate.issue({"C": "CN", "O": name}, extra_extensions=extra)


def sealed(
    *signers: Identity, uncovered: frozenset[str] = frozenset(), document: bytes | None = None, **changes: str
) -> bytes:
    fields = {name: value for name, value in (FIELDS | changes).items() if value}
    document = document or write_ecert(fields, ["x"], title="学历证书", created=NOW, doc_id="0" * 32)
    for one in signers:
        options = SignOptions(seal=world().seal(signers=(one,), name=f"{one.cert.subject_text}"), uncovered=uncovered)
        document = sign_ofd(document, one, options, at=NOW)
    return document


def examined(document: bytes, rules: SealingRules | None = None, policy: Policy | None = None) -> Examined:
    known = Fetchers(world().revocation, (world().authority.intermediate.cert,))
    trust, sealing = world().trust, rules or shipped()
    return examine(
        document, opened(document), policy=policy or Policy(), at=NOW, trust=trust, fetchers=known, sealing=sealing
    )


def judged(document: bytes, rules: SealingRules | None = None, policy: Policy | None = None) -> Finding:
    (found,) = [one for one in examined(document, rules, policy).report.findings if one.axis is Axis.ISSUER]
    return found


def passed_by(document: bytes, rules: SealingRules | None = None) -> str | None:
    found = judged(document, rules)
    if found.indication is Indication.PASSED:
        return found.data["by"]
    assert (found.indication, found.sub_indication) == (Indication.FAILED, SubIndication.SEALED_BY_ANOTHER)
    return None


# --- its own, or another's -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "changes", "by"),
    [
        (signer(UNIVERSITY, 1), {}, "code"),
        (signer("示例学院", 1), {}, "code"),  # renamed: the code says that it is the same
        (signer(UNIVERSITY), {}, "name"),
        (signer(UNIVERSITY, 1), {"issuer_code": ""}, "name"),
        (signer(UNIVERSITY, 1), {"issuer_code": "370102"}, "name"),  # a region's code says nothing of the body
        (signer(UNIVERSITY, 1), {"issuer_code": code(1)[:17] + "?"}, "name"),
        (signer("示例大学(济南)"), {"issuer_name": " 示例大学（济南） "}, "name"),
        (signer(UNIVERSITY, 1), {"issuer_name": ""}, "code"),
        (signer(UNIVERSITY, 1), {"issuer_code": code(1).lower()}, "code"),
        (signer(SCHOOL, 2), {}, None),
        (signer(SCHOOL), {}, None),
        (signer(UNIVERSITY, 2), {}, None),  # the same name, another body
        (signer(f"{UNIVERSITY}附属中学"), {}, None),
        (signer(UNIVERSITY), {"issuer_name": ""}, None),
    ],
)  # fmt: skip
def test_codes_count_before_names(who: Identity, changes: dict[str, str], by: str | None) -> None:
    assert passed_by(sealed(who, **changes)) == by


def test_the_finding_says_whose_seal_it_is_and_by_what_law() -> None:
    found = judged(sealed(signer(SCHOOL, 2)))
    assert found.data == {"owner": SCHOOL, "owner_code": code(2), "seal_name": f"C=CN, O={SCHOOL}", "issuer": UNIVERSITY,
                          "issuer_code": code(1)}  # fmt: skip
    assert all(name in text for name in (SCHOOL, UNIVERSITY) for text in (found.detail_zh, found.detail_en))
    assert "国办发〔2025〕33号" in found.clause
    assert found.signature == 0


def test_no_number_of_a_person_gets_into_the_finding() -> None:
    found = judged(sealed(signer(SCHOOL), issuer_name="370102199001010000 某处"))
    assert "3701021990" not in str(found)


@pytest.mark.parametrize("document", [sealed(issuer_name="", issuer_code=""), sealed()])
def test_without_an_issuer_or_a_seal_nothing_is_said(document: bytes) -> None:
    assert examined(document).report.axis(Axis.ISSUER) is None


def test_of_a_document_that_names_no_issuer_nothing_is_said() -> None:
    done = examined(sealed(signer(SCHOOL), issuer_name="", issuer_code=""))
    assert done.report.indication is Indication.PASSED
    assert done.report.axis(Axis.ISSUER) is None


def test_whose_seal_it_is_is_not_said_where_nobody_trusted_says_it() -> None:
    document = sealed(signer(UNIVERSITY, 1))
    done = examine(
        document, opened(document), policy=Policy(), at=NOW, trust=world().trust, fetchers=Fetchers(), sealing=shipped()
    )
    assert done.report.axis(Axis.PATH) is Indication.INDETERMINATE
    assert done.report.axis(Axis.ISSUER) is None


# --- several seals ---------------------------------------------------------------------------------------------------------


def test_another_seal_may_stand_beside_the_issuers() -> None:
    for signers in ((UNIVERSITY, SCHOOL), (SCHOOL, UNIVERSITY)):
        done = examined(sealed(*(signer(name) for name in signers)))
        assert done.report.indication is Indication.PASSED
        assert done.inside["issuer_name"] == UNIVERSITY


def test_a_page_that_another_covers_is_not_the_issuers() -> None:
    """What a person sees was written by the school; what a program reads is the university's."""
    page = "Doc_0/Pages/Page_0/Content.xml"
    members = unpack(sealed(signer(UNIVERSITY), uncovered=frozenset({page})))
    members[page] = members[page].replace(b">x<", b">y<")
    forged = sealed(signer(SCHOOL), document=pack(members))
    assert examined(forged).report.axis(Axis.COVERAGE) is Indication.PASSED
    found = judged(forged)
    assert found.sub_indication is SubIndication.SEALED_BY_ANOTHER
    assert "一部分" in found.detail_zh


@pytest.mark.parametrize("policy", ["strict", "field"])  # which lets OFD.xml lie outside every signature
def test_what_another_adds_is_not_the_issuers(policy: str) -> None:
    """The university's seal is genuine and does not cover OFD.xml, into which a school wrote a level of education."""
    members = unpack(sealed(signer(UNIVERSITY), uncovered=frozenset({"OFD.xml"})))
    added = b'<ofd:CustomData Name="KZ_XL">x</ofd:CustomData></ofd:CustomDatas>'
    members["OFD.xml"] = members["OFD.xml"].replace(b"</ofd:CustomDatas>", added)
    forged = sealed(signer(SCHOOL), document=pack(members))
    assert examined(forged).inside["KZ_XL"] == "x"
    found = judged(forged, policy=load_policy(policy))
    assert found.sub_indication is SubIndication.SEALED_BY_ANOTHER
    assert SCHOOL in found.detail_zh
    assert "alone" in found.detail_en


# --- rules -------------------------------------------------------------------------------------------------------------------


def rules(**changes: object) -> SealingRules:
    values: dict[str, object] = {
        "owner": LIBRARY, "types": ("diploma",), "since": date(2026, 1, 1), "source": "鲁政办字〔2026〕12号 第五条",
    }  # fmt: skip
    return SealingRules(version="7", delegation=(Delegation.model_validate(values | changes),))


@pytest.mark.parametrize(
    ("who", "changes", "by"),
    [
        (signer(LIBRARY), {}, "rule"),
        (signer(LIBRARY, 3), {"owner": code(3)}, "rule"),
        (signer(LIBRARY), {"owner": code(3)}, None),  # the certificate does not say that it is this body's
        (signer(SCHOOL), {}, None),
        (signer(UNIVERSITY), {}, "name"),  # its own needs no rule
        (signer(LIBRARY), {"types": ("degree",)}, None),
        (signer(LIBRARY), {"types": ("degree", "diploma")}, "rule"),
        (signer(LIBRARY), {"types": (), "issuers": (UNIVERSITY,)}, "rule"),
        (signer(LIBRARY), {"types": (), "issuers": (code(1),)}, "rule"),
        (signer(LIBRARY), {"types": (), "issuers": (SCHOOL, code(2))}, None),
        (signer(LIBRARY), {"issuers": (SCHOOL,)}, None),  # both must hold
        (signer(LIBRARY), {"since": date(2026, 3, 2)}, "rule"),  # the day on which it was sealed
        (signer(LIBRARY), {"since": date(2026, 3, 3)}, None),
        (signer(LIBRARY), {"until": date(2026, 3, 2)}, "rule"),
        (signer(LIBRARY), {"until": date(2026, 3, 1)}, None),
    ],
)
def test_a_rule_lets_its_owner_seal_and_nobody_else(who: Identity, changes: dict[str, object], by: str | None) -> None:
    document = sealed(who)
    assert passed_by(document, rules(**changes)) == by
    if by == "rule":
        found = judged(document, rules(**changes))
        assert (found.data["source"], found.data["version"]) == ("鲁政办字〔2026〕12号 第五条", "7")
        assert "鲁政办字〔2026〕12号" in found.detail_zh


def test_a_name_that_is_written_like_a_code_is_no_code() -> None:
    letting = rules(types=(), issuers=(code(1),))
    assert passed_by(sealed(signer(LIBRARY), issuer_name=code(1), issuer_code=""), letting) is None
    assert passed_by(sealed(signer(code(3))), rules(owner=code(3))) is None


def test_none_ships() -> None:
    assert shipped().delegation == ()


def test_a_file_of_rules_is_read(tmp_path: Path) -> None:
    """As the comment in the shipped file writes it."""
    path = tmp_path / "sealing.toml"
    path.write_text(
        f"""version = "2026-3"
[[delegation]]
owner = "{code(3)}"
issuers = ["{UNIVERSITY}", "{code(1)}"]
types = ["diploma", "degree"]
since = 2026-01-01
until = 2026-12-31
source = "鲁政办字〔2026〕12号 第五条"
""",
        encoding="utf-8",
    )
    read = load_sealing(path)
    assert (read.version, read.delegation[0].until) == ("2026-3", date(2026, 12, 31))


ROW = 'owner = "某某库"\nsince = 2026-01-01\nsource = "某文件"\n'


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("version = ", "TOML", "TOML"),
        ("[[delegation]]\n" + ROW + 'types = ["diploma"]', "version: 缺少必填项", "version: "),
        (f'version = "1"\n[[delegation]]\n{ROW}', "issuers 与 types 都没有", "neither issuers nor types"),
        (f'version = "1"\n[[delegation]]\n{ROW}types = ["diplom"]', "没有这种证照类型", "no such type"),
        (f'version = "1"\n[[delegation]]\n{ROW}issuers = ["11370100004188571A"]', "校验位", "check character"),
        (f'version = "1"\n[[delegation]]\n{ROW}types = ["diploma"]\nuntil = 2025-01-01', "until 早于", "before since"),
        (f'version = "1"\n[[delegation]]\n{ROW}types = ["diploma"]\nfor = "all"', "不认识的字段", "not known"),
        ('version = "1"\n[[delegation]]\nowner = "某某库"\ntypes = ["diploma"]', "缺少必填项", "missing"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path: Path, text: str, zh: str, en: str) -> None:
    path = tmp_path / "sealing.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadConfiguration) as caught:
        load_sealing(path)
    assert zh in caught.value.zh
    assert en in caught.value.en


def test_it_costs_microseconds() -> None:
    """Beside some 800 µs of a verification."""
    owner, issuer, many = Owner((SCHOOL, "x"), (code(2),)), Issuer(UNIVERSITY, code(1)), rules(owner=code(9))
    began = time.perf_counter()
    for _ in range(1000):
        is_owner(owner, issuer)
        many.letting(owner, issuer, FIELDS["type_code"], date(2026, 3, 2))
    assert time.perf_counter() - began < 0.2  # 200 µs each, on a busy machine; some 5 on a quiet one
