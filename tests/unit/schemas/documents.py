"""Valid documents of each request, as trees that hold what JSON and XML can both say, doubled names included."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import date

from lxml import etree

from schemas.numbers import assign_resident_id
from schemas.xml_documents import NAMESPACE

Leaf = str
Tree = list[tuple[str, "Leaf | Tree"]]  # (wire name, value) in document order
Path = tuple[str, ...]

CHILD = assign_resident_id("370102", date(2015, 3, 9), 123)
MOTHER = assign_resident_id("370102", date(1986, 11, 30), 248)
COLLAPSED = {"grade", "birthDate", "givenAt", "submittedAt", "decidedAt"}  # XSD collapses white space around these
INTEGERS = {"grade"}


def placement(region: str, school: str) -> Tree:
    return [
        ("region", region),
        ("schoolCode", school),
        ("schoolName", "实验小学"),
        ("grade", "5"),
        ("className", "五年级 3 班"),
    ]


def transfer() -> Tree:
    student: Tree = [
        ("name", "买买提·阿不都"),
        ("idType", "111"),
        ("idNumber", CHILD),
        ("enrolmentNumber", "G" + CHILD),
        ("sex", "1"),
        ("birthDate", "2015-03-09"),
        ("householdRegion", "410105"),
    ]
    guardian: Tree = [
        ("name", "王\U00020bb7"),
        ("relation", "mother"),
        ("idType", "111"),
        ("idNumber", MOTHER),
        ("phone", "+86-531-12345678"),
    ]
    consent: Tree = [("givenAt", "2026-09-01T08:00:00+08:00"), ("reference", "CONSENT-1")]
    return [
        ("messageId", "sd-jn:2026.09_1"),
        ("itemCode", "11370800MB285591843370117002011"),
        ("student", student),
        ("guardian", guardian),
        ("releasing", placement("370102", "2137000001")),
        ("receiving", placement("370202", "2137000002")),
        ("reason", "父母工作调动\n全家迁往青岛"),
        ("consent", consent),
        ("submittedAt", "2026-09-01T08:00:01.25Z"),
    ]


def query() -> Tree:
    return [("caseId", "case_1")]


def withdrawal() -> Tree:
    return [("messageId", "m-2"), ("caseId", "case_1"), ("reason", "不再转学")]


def decision() -> Tree:
    return [
        ("messageId", "m-3"),
        ("caseId", "case_1"),
        ("step", "releasing-school"),
        ("outcome", "refused"),
        ("reason", "学籍信息待核"),
        ("decidedAt", "2026-09-02T00:00:00Z"),
        ("decidedBy", "历下区教育和体育局"),
    ]


DOCUMENTS = {
    "SubmitTransfer": transfer,
    "QueryTransfer": query,
    "WithdrawTransfer": withdrawal,
    "SubmitDecision": decision,
}


def paths(tree: Tree, above: Path = ()) -> list[Path]:
    found: list[Path] = []
    for name, value in tree:
        found.append((*above, name))
        if isinstance(value, list):
            found.extend(paths(value, (*above, name)))
    return found


def parent_of(tree: Tree, path: Path) -> tuple[Tree, int]:
    """The list that holds ``path`` and the index in it."""
    for name in path[:-1]:
        tree = next(value for own, value in tree if own == name and isinstance(value, list))
    return tree, next(index for index, (own, _) in enumerate(tree) if own == path[-1])


def value_at(tree: Tree, path: Path) -> Leaf | Tree:
    parent, index = parent_of(tree, path)
    return parent[index][1]


def replaced(tree: Tree, path: Path, value: Leaf | Tree) -> Tree:
    copy = deepcopy(tree)
    parent, index = parent_of(copy, path)
    parent[index] = (path[-1], value)
    return copy


def without(tree: Tree, path: Path) -> Tree:
    copy = deepcopy(tree)
    parent, index = parent_of(copy, path)
    del parent[index]
    return copy


def as_xml(tree: Tree, root: str) -> etree._Element:
    element = etree.Element(f"{{{NAMESPACE}}}{root}", nsmap={None: NAMESPACE})  # type: ignore[dict-item]
    _fill(element, tree)
    return element


def _fill(element: etree._Element, tree: Tree) -> None:
    for name, value in tree:
        child = etree.SubElement(element, f"{{{NAMESPACE}}}{name}")
        if isinstance(value, list):
            _fill(child, value)
        else:
            child.text = value


def as_json(tree: Tree) -> bytes:
    return _object(tree).encode("utf-8")


def _object(tree: Tree) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{_value(name, value)}" for name, value in tree) + "}"


def _value(name: str, value: Leaf | Tree) -> str:
    if isinstance(value, list):
        return _object(value)
    text = value.strip(" \t\n\r") if name in COLLAPSED else value
    if name in INTEGERS and (text == "0" or (text.lstrip("-")[:1] in "123456789" and text.lstrip("-").isdigit())):
        return text if text.count("-") <= 1 else json.dumps(text)
    return json.dumps(text)
