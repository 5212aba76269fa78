"""XSD and models accept and refuse the same documents, up to the rules that XSD 1.0 cannot say, which are listed here.

Three judges look at every document: libxml2 and xmlschema with the XSD, and the model with the JSON of the same document.
"""

from __future__ import annotations

from copy import deepcopy
from enum import StrEnum
from functools import cache
from pathlib import Path as FilePath
from typing import cast, get_args

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from pydantic import BaseModel

import schemas.faults
import schemas.fields
import schemas.problems
import schemas.transfers
import schemas.wsdl
from schemas import rules, xml_documents
from schemas.parsing import parse_json
from schemas.problems import MESSAGE_INVALID, HubProblem
from schemas.rules import RULES, SHAPES, Step
from schemas.xml_documents import OPERATIONS, parse_xml
from tests.unit.schemas import documents as d

FOLDER = FilePath(schemas.wsdl.__file__).parent
XS = "{http://www.w3.org/2001/XMLSchema}"
LIBXML2 = etree.XMLSchema(file=str(FOLDER / "transfer.xsd"))


@cache
def reporter() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(FOLDER / "transfer.xsd"), allow="local")


def model_accepts(operation: str, tree: d.Tree) -> bool:
    """Structurally: a refusal for semantic rules alone is an acceptance here."""
    try:
        parse_json(OPERATIONS[operation].request, d.as_json(tree))
    except HubProblem as problem:
        broken = [RULES[str(fault.rule)] for fault in problem.faults]
        return (
            problem.kind is MESSAGE_INVALID and bool(broken) and not any(rule.step is Step.STRUCTURE for rule in broken)
        )
    return True


def xsd_accepts(operation: str, tree: d.Tree) -> bool:
    return LIBXML2.validate(d.as_xml(tree, OPERATIONS[operation].request_element))


def wire_rules(operation: str, tree: d.Tree) -> set[str]:
    """The rules that the XML wire says are broken: parse_xml must agree with the XSD and name known rules."""
    try:
        parse_xml(d.as_xml(tree, OPERATIONS[operation].request_element))
    except HubProblem as problem:
        return {str(fault.rule) for fault in problem.faults}
    return set()


def assert_agreement(operation: str, tree: d.Tree, *, told: bool = False) -> None:
    by_xsd = xsd_accepts(operation, tree)
    assert model_accepts(operation, tree) is by_xsd, (operation, "XSD accepts" if by_xsd else "XSD refuses")
    if told:
        assert reporter().is_valid(d.as_xml(tree, OPERATIONS[operation].request_element)) is by_xsd
        broken = wire_rules(operation, tree)
        assert any(RULES[rule].step is Step.STRUCTURE for rule in broken) is not by_xsd, broken


# --- the table of mutations ---------------------------------------------------------------------------------------------

TEXTS = [
    "", " ", "\n", "x", " x", "x ", "x  y", "x\ty", "x\ny", "x\r\ny", "x\u3000y", "\u3000x", "x\u00a0y", "x\u2028y", "x\x85y",
    "\u200b", "x\u202ey", "\ufeffx", "\ue000", "\U00020bb7" * 50, "\U00020bb7" * 51, "李" * 50, "李" * 51, "x" * 64, "x" * 65,
    "李" * 100, "李" * 101, "字" * 500, "字" * 501, "\U000e0100", "a\u0301", "<&>\"'", "null", "true", "{}", "0", "1", "2", "9",
    "3", "111", "999", "112", "-1", "12", "13", "7.5", "1e1", "seven", "370102", "37010", "3701020", "３７０１０２", "370102\n",
    "2137000001", "2237000001", "213700000", "21370000012", "5137000001", "G" + d.CHILD, "G" + d.CHILD.lower(), "L123456789",
    "L12345678", "L" + "A" * 18, "L" + "A" * 19, "g" + d.CHILD, d.CHILD, "37010219900101001x", "H12345678", "A(1)2/3-", "中文证件",
    "mother", "Mother", "approved", "refused", "APPROVED", "11370800MB285591843370117002011", "11370800MB28559184337011700201101",
    "11370800MB2855918433701170020110", "1137080OMB285591843370117002011", "+86-531", "1234", "1" * 20, "1" * 21,
    "2015-03-09", "2015-3-9", "2015-03-09Z", "2015-03-09+08:00", "2015-03-09+14:00", "2015-03-09+14:30", "2015-02-29",
    "2016-02-29", "1899-12-31", "2100-01-01", "20150309", " 2015-03-09 ", "2015-03-09T00:00:00", "1425859200",
    "2026-09-01T08:00:00Z", "2026-09-01T08:00:00", "2026-09-01T08:00:00+08:00", "2026-09-01T08:00:00-00:00",
    "2026-09-01T08:00:00+0800", "2026-09-01T08:00:00+14:01", "2026-09-01T24:00:00Z", "2026-09-01T08:00:60Z", "2026-09-01T08:00Z",
    "2026-09-31T08:00:00Z", "2026-09-01 08:00:00Z", "2026-09-01t08:00:00z", "2026-09-01T08:00:00.1234567Z",
    "2026-09-01T08:00:00.1234567890Z", "2026-09-01T08:00:00.Z", "\n2026-09-01T08:00:00Z\n", "1999-12-31T23:59:59Z",
]  # fmt: skip
PLACES = [(name, path) for name, make in d.DOCUMENTS.items() for path in d.paths(make())]


@pytest.mark.parametrize("operation", d.DOCUMENTS)
def test_valid_documents_are_accepted_by_all(operation: str) -> None:
    tree = d.DOCUMENTS[operation]()
    assert xsd_accepts(operation, tree)
    by_json = parse_json(OPERATIONS[operation].request, d.as_json(tree))
    by_xml = parse_xml(d.as_xml(tree, OPERATIONS[operation].request_element))
    assert by_json == by_xml


@pytest.mark.parametrize(
    ("operation", "path"), PLACES, ids=lambda part: part if isinstance(part, str) else "/".join(part)
)
def test_every_text_at_every_place(operation: str, path: d.Path) -> None:
    tree = d.DOCUMENTS[operation]()
    for text in TEXTS:
        assert_agreement(operation, d.replaced(tree, path, text), told=len(path) > 1)


@pytest.mark.parametrize(
    ("operation", "path"), PLACES, ids=lambda part: part if isinstance(part, str) else "/".join(part)
)
def test_missing_extra_and_doubled_at_every_place(operation: str, path: d.Path) -> None:
    tree = d.DOCUMENTS[operation]()
    assert_agreement(operation, d.without(tree, path), told=True)

    for name in ("unexpected", path[-1].upper(), "message_id", "birth_date"):
        extra = deepcopy(tree)
        parent, index = d.parent_of(extra, path)
        parent.insert(index, (name, "1"))
        assert not xsd_accepts(operation, extra)
        assert_agreement(operation, extra, told=True)

    doubled = deepcopy(tree)
    parent, index = d.parent_of(doubled, path)
    parent.insert(index, deepcopy(parent[index]))
    assert not xsd_accepts(operation, doubled)
    assert_agreement(operation, doubled)
    assert rules.DUPLICATE_FIELD.code in wire_rules(operation, doubled)

    nested = d.replaced(tree, path, [("name", "x")])
    assert not xsd_accepts(operation, nested)
    assert_agreement(operation, nested, told=True)


@pytest.mark.parametrize("operation", [name for name in d.DOCUMENTS if name != "QueryTransfer"])
def test_order_is_the_xsd_s_and_only_xml_has_one(operation: str) -> None:
    """JSON objects have no order (RFC 8259, 4): what only the XML wire can break, it refuses."""
    tree = d.DOCUMENTS[operation]()
    swapped = [tree[1], tree[0], *tree[2:]]
    assert not xsd_accepts(operation, swapped)
    assert wire_rules(operation, swapped) == {rules.WRONG_ORDER.code}
    assert parse_json(OPERATIONS[operation].request, d.as_json(swapped))


XML_ONLY = {
    "attribute": (lambda e: e.set("a", "1"), rules.CONTENT_NOT_ALLOWED),
    "text between elements": (lambda e: setattr(e[0], "tail", "text"), rules.CONTENT_NOT_ALLOWED),
    "processing instruction": (lambda e: e[0].append(etree.ProcessingInstruction("x")), rules.CONTENT_NOT_ALLOWED),
    "no namespace": (lambda e: setattr(e[0], "tag", "messageId"), rules.UNKNOWN_FIELD),
    "other namespace": (lambda e: setattr(e[0], "tag", "{urn:other}messageId"), rules.UNKNOWN_FIELD),
    "nil": (lambda e: e[0].set("{http://www.w3.org/2001/XMLSchema-instance}nil", "true"), rules.CONTENT_NOT_ALLOWED),
}


@pytest.mark.parametrize("name", XML_ONLY)
def test_what_only_xml_can_say_is_refused(name: str) -> None:
    mutate, rule = XML_ONLY[name]
    element = d.as_xml(d.withdrawal(), "WithdrawTransferRequest")
    mutate(element)  # type: ignore[no-untyped-call]
    with pytest.raises(HubProblem) as caught:
        parse_xml(element)
    assert rule.code in {fault.rule for fault in caught.value.faults}


# --- generated documents ------------------------------------------------------------------------------------------------

XML_TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\ufffe\uffff", exclude_categories=("Cs",)).filter(
        lambda c: not xml_documents._NOT_XML.match(c)
    ),
    max_size=60,
)
SHAPED = st.sampled_from([s.pattern for s in SHAPES.values() if "\\p" not in s.pattern]).flatmap(
    lambda pattern: st.from_regex(pattern, fullmatch=True, alphabet=st.characters(codec="ascii"))
)


@settings(max_examples=300, deadline=None)
@given(place=st.sampled_from(PLACES), text=st.one_of(XML_TEXT, SHAPED, st.sampled_from(TEXTS)))
def test_generated_texts(place: tuple[str, d.Path], text: str) -> None:
    operation, path = place
    assert_agreement(operation, d.replaced(d.DOCUMENTS[operation](), path, text))


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_generated_documents_with_several_mutations(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from(sorted(d.DOCUMENTS)))
    tree = d.DOCUMENTS[operation]()
    for _ in range(data.draw(st.integers(0, 4))):
        places = d.paths(tree)
        if not places:
            break
        path = data.draw(st.sampled_from(places))
        match data.draw(st.sampled_from(["drop", "text", "double", "extra"])):
            case "drop":
                tree = d.without(tree, path)
            case "text":
                tree = d.replaced(tree, path, data.draw(st.one_of(XML_TEXT, SHAPED, st.sampled_from(TEXTS))))
            case "double":
                parent, index = d.parent_of(tree, path)
                parent.insert(index, deepcopy(parent[index]))
            case _:
                parent, index = d.parent_of(tree, path)
                parent.insert(index, ("extra", data.draw(XML_TEXT)))
    assert_agreement(operation, tree)


# --- what XSD cannot say ------------------------------------------------------------------------------------------------

BOY = d.CHILD
WRONG_CHECK = BOY[:-1] + ("0" if BOY[-1] != "0" else "1")


def change(**values: str) -> d.Tree:
    """The transfer with other values; ``student__sex`` is the path student/sex."""
    tree = d.transfer()
    for key, value in values.items():
        tree = d.replaced(tree, tuple(key.split("__")), value)
    return tree


def with_birth_date(number: str, birth_date: str) -> d.Tree:
    return change(student__idNumber=number, student__enrolmentNumber="G" + number, student__birthDate=birth_date)


def checked(body: str) -> str:
    from stdnum.cn import ric

    return body + ric.calc_check_digit(body + "0")


BEYOND_XSD: dict[str, tuple[d.Tree, str]] = {
    "character-not-xml": (change(reason="x\uffff"), "reason"),
    "resident-id-format": (change(guardian__idNumber="123456"), "guardian/idNumber"),
    "resident-id-check": (change(student__enrolmentNumber="G" + WRONG_CHECK), "student/enrolmentNumber"),
    "resident-id-date": (change(guardian__idNumber=checked("37010219860231124")), "guardian/idNumber"),
    "resident-id-region": (change(guardian__idNumber=checked("99010219860230124")), "guardian/idNumber"),
    "id-number-format": (change(guardian__idType="516", guardian__idNumber="12345678"), "guardian/idNumber"),
    "birth-date-mismatch": (change(student__birthDate="2015-03-10"), "student/birthDate"),
    "birth-date-future": (with_birth_date(checked("37010220270309123"), "2027-03-09"), "student/birthDate"),
    "personal-number": (change(messageId=f"transfer-{d.MOTHER}"), "messageId"),
    "sex-mismatch": (change(student__sex="2"), "student/sex"),
    "enrolment-number-mismatch": (change(student__enrolmentNumber="G" + d.MOTHER), "student/enrolmentNumber"),
    "region-unknown": (change(releasing__region="371203"), "releasing/region"),  # Laiwu's, dissolved in 2019
    "school-code-province": (change(releasing__schoolCode="2199000001"), "releasing/schoolCode"),
    "same-school": (change(receiving__schoolCode="2137000001"), "receiving/schoolCode"),
    "credit-code-check": (change(itemCode="11370800MB285591853370117002011"), "itemCode"),
}
# Rules of numbers that stand in no transfer message, or that its XSD says already (the models match the pattern first).
ELSEWHERE = {
    "enrolment-number-format", "school-code-format", "credit-code-format", "item-code-format", "type-code-format",
    "identifier-format", "identifier-check", "teacher-number-format", "school-licence-format",
}  # fmt: skip


def test_each_semantic_rule_is_in_the_table() -> None:
    assert {code for code, rule in RULES.items() if rule.step is Step.MEANING} == BEYOND_XSD.keys() | ELSEWHERE


@pytest.mark.parametrize("code", BEYOND_XSD)
def test_rules_that_xsd_cannot_say_hold_on_both_wires(code: str) -> None:
    tree, path = BEYOND_XSD[code]
    with pytest.raises(HubProblem) as by_json:
        parse_json(schemas.transfers.TransferRequest, d.as_json(tree))
    assert [(fault.path, fault.rule) for fault in by_json.value.faults] == [(f"/{path}", code)]
    if code == "character-not-xml":
        return  # it cannot stand in an XML document at all
    element = d.as_xml(tree, "SubmitTransferRequest")
    assert LIBXML2.validate(element)
    with pytest.raises(HubProblem) as by_xml:
        parse_xml(element)
    assert [(fault.path, fault.rule) for fault in by_xml.value.faults] == [(f"/SubmitTransferRequest/{path}", code)]


# --- the files beside the models ----------------------------------------------------------------------------------------


def xsd(name: str) -> etree._Element:
    return etree.parse(str(FOLDER / name)).getroot()


def test_every_pattern_is_the_models_own() -> None:
    shapes = {shape.name: shape.pattern for shape in SHAPES.values()}
    patterns = {
        str(p.getparent().getparent().get("name")): str(p.get("value"))  # type: ignore[union-attr]
        for p in xsd("types.xsd").iter(XS + "pattern")
    }
    assert patterns == {name: shapes[name] for name in patterns}
    assert len(patterns) == 11


def test_every_enumeration_is_the_models_own() -> None:
    found = 0
    for file in schemas.wsdl.XSD_FILES:
        for simple in xsd(file).findall(XS + "simpleType"):
            values = [str(e.get("value")) for e in simple.iter(XS + "enumeration")]
            if values:
                homes = (schemas.fields, schemas.transfers, schemas.problems)
                enum = next(
                    getattr(home, str(simple.get("name"))) for home in homes if hasattr(home, str(simple.get("name")))
                )
                assert values == [member.value for member in cast(type[StrEnum], enum)]
                found += 1
    assert found == 9


@pytest.mark.parametrize("file", ["transfer.xsd", "faults.xsd"])
def test_every_complex_type_has_the_fields_of_its_model_in_order(file: str) -> None:
    renamed: dict[str, type[BaseModel]] = {"ExchangeFaultDetail": schemas.faults.ExchangeFault}
    for complex_type in xsd(file).findall(XS + "complexType"):
        name = str(complex_type.get("name"))
        model = renamed.get(name) or getattr(schemas.transfers, name, None) or getattr(schemas.faults, name)
        in_xsd = [
            (e.get("name"), e.get("minOccurs") != "0", e.get("maxOccurs") == "unbounded")
            for e in complex_type.iter(XS + "element")
        ]
        in_model = [(n, f.required, f.many) for n, f in xml_documents._fields(model).items()]
        assert in_xsd == in_model, name


def test_every_type_and_field_is_documented_in_both_languages() -> None:
    for file in schemas.wsdl.XSD_FILES:
        for node in xsd(file).iter(XS + "element", XS + "complexType", XS + "simpleType"):
            if node.getparent().tag == XS + "schema" and node.tag == XS + "element":  # type: ignore[union-attr]
                continue  # a message's element is documented at its type
            languages = {
                doc.get("{http://www.w3.org/XML/1998/namespace}lang")
                for doc in node.findall(f"{XS}annotation/{XS}documentation")
                if doc.text
            }
            assert languages == {"zh-CN", "en"}, node.get("name")


def test_operations_cover_the_request_union() -> None:
    assert {operation.request for operation in OPERATIONS.values()} == set(get_args(xml_documents.Request))
