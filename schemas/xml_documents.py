"""XML elements to the canonical models and back: the XSD first, then the same rules as JSON.

libxml2 validates every request (compiled once for each thread: a compiled schema keeps an error log, which threads must not
share). Only for a refused one does xmlschema say where and why, in our words. Whatever the element, only HubProblem leaves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from threading import Lock, local
from types import MappingProxyType
from typing import Annotated, Final, cast, get_args, get_origin

import xmlschema
from lxml import etree
from pydantic import BaseModel, ValidationError
from xmlschema.validators import (
    XMLSchemaChildrenValidationError,
    XMLSchemaValidationError,
    XsdAtomicBuiltin,
    XsdEnumerationFacets,
    XsdMaxInclusiveFacet,
    XsdMaxLengthFacet,
    XsdMinInclusiveFacet,
    XsdPatternFacets,
)

from schemas import fields, problems, rules
from schemas.faults import ExchangeFault
from schemas.parsing import MAX_FAULTS, M, fault, invalid, safe_name, validation_faults
from schemas.problems import FieldFault, HubProblem
from schemas.rules import Rule
from schemas.transfers import (
    Decision,
    TransferAccepted,
    TransferQuery,
    TransferRequest,
    TransferView,
    WithdrawalRequest,
)

NAMESPACE: Final = "urn:cn:shandong:edu:exchange:v1"
MAX_ELEMENTS: Final = 200  # our largest request has 30
MAX_TEXT: Final = 10_000  # characters of one value; our longest has 500
FAULT_ELEMENT: Final = "ExchangeFault"
_FOLDER: Final = Path(__file__).parent / "wsdl"
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Request = TransferRequest | TransferQuery | WithdrawalRequest | Decision
Response = TransferAccepted | TransferView


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the WSDL: its elements are ``<name>Request`` and ``<name>Response``."""

    name: str
    request: type[Request]
    response: type[Response]

    @property
    def request_element(self) -> str:
        return self.name + "Request"

    @property
    def response_element(self) -> str:
        return self.name + "Response"

    @property
    def soap_action(self) -> str:
        return f"{NAMESPACE}:{self.name}"


OPERATIONS: Final[Mapping[str, Operation]] = MappingProxyType(
    {
        operation.name: operation
        for operation in (
            Operation("SubmitTransfer", TransferRequest, TransferAccepted),
            Operation("QueryTransfer", TransferQuery, TransferView),
            Operation("WithdrawTransfer", WithdrawalRequest, TransferView),
            Operation("SubmitDecision", Decision, TransferView),
        )
    }
)
_BY_TAG: Final = {f"{{{NAMESPACE}}}{operation.request_element}": operation for operation in OPERATIONS.values()}


# --- reading --------------------------------------------------------------------------------------------------------------


def operation_of(element: etree._Element) -> Operation:
    """Which operation an element asks for; raises operation-unknown."""
    operation = _BY_TAG.get(element.tag)
    if operation is None:
        raise HubProblem(
            problems.OPERATION_UNKNOWN,
            said=(
                f"没有此请求元素; 命名空间应为 {NAMESPACE}",
                f"no such request element; the namespace is {NAMESPACE}",
            ),
        )
    return operation


def parse_xml(element: etree._Element) -> Request:
    """The request that ``element`` (a child of the SOAP Body, parsed by safe_xml) holds.

    Raises HubProblem: operation-unknown, message-too-large, or message-invalid with line, path and reason of each fault.
    """
    model = operation_of(element).request
    _check_size(element)
    if not _compiled().validate(element):
        raise invalid(_refusal_report(element, model))
    if (
        next(element.iter(etree.PI), None) is not None
    ):  # SOAP 1.1 section 3, SOAP 1.2 part 1 section 5: none in a message
        raise invalid([_at(element, f"/{_local(element)}", rules.CONTENT_NOT_ALLOWED)])
    return _build(element, model)


def read(element: etree._Element, model: type[M]) -> M:
    """An element that is known to be valid (a response of the hub, say) as ``model``."""
    return _build(element, model)


def _build(element: etree._Element, model: type[M]) -> M:
    try:
        return model.model_validate(_plain(element, model), by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid([located(found, element) for found in validation_faults(error)]) from None


def _check_size(element: etree._Element) -> None:
    for count, node in enumerate(element.iter()):
        if count >= MAX_ELEMENTS:
            raise HubProblem(
                problems.MESSAGE_TOO_LARGE, said=(f"元素多于 {MAX_ELEMENTS} 个", f"more than {MAX_ELEMENTS} elements")
            )
        if len(node.text or "") > MAX_TEXT or len(node.tail or "") > MAX_TEXT:
            raise HubProblem(
                problems.MESSAGE_TOO_LARGE,
                said=(f"一处文字多于 {MAX_TEXT} 字", f"a text of more than {MAX_TEXT} characters"),
            )


def _plain(element: etree._Element, model: type[BaseModel]) -> dict[str, object]:
    """An XSD-valid element as what JSON would hold: repeated elements of a list field become a list."""
    known, value = _fields(model), dict[str, object]()
    for child in _elements(element):
        name = _local(child)
        field = known[name]
        item = _plain(child, field.model) if field.model else _scalar(_text(child), field.kind)
        if field.many:
            cast(list[object], value.setdefault(name, [])).append(item)
        else:
            value[name] = item
    return value


def _scalar(text: str, kind: type) -> object:
    if kind is str:
        return text
    text = text.strip(" \t\n\r")  # XSD collapses white space around everything that is not a string
    if kind is bool:
        return text in ("true", "1")
    return int(text) if kind is int else text


def _text(element: etree._Element) -> str:
    """Comments and processing instructions split the text of a node; what a signature covers is all of it."""
    return (element.text or "") + "".join(node.tail or "" for node in element)


@dataclass(frozen=True, slots=True)
class _Field:
    required: bool
    many: bool
    model: type[BaseModel] | None
    kind: type  # str, int, bool, or object for whatever else is written as text


@cache
def _fields(model: type[BaseModel]) -> Mapping[str, _Field]:
    """The model's fields by wire name, in the order of the XSD."""
    known: dict[str, _Field] = {}
    for name, info in model.model_fields.items():
        many, kind = False, _bare(info.annotation)
        if get_origin(kind) is tuple:
            many, kind = True, _bare(get_args(kind)[0])
        nested = kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
        leaf = kind if isinstance(kind, type) and kind in (str, int, bool) else object
        known[info.alias or name] = _Field(info.is_required(), many, nested, leaf)
    return MappingProxyType(known)


def _bare(annotation: object) -> object:
    """``X`` of ``X | None`` and of ``Annotated[X, …]``."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif type(None) in get_args(annotation):
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        else:
            return annotation


# --- the report of a refusal ----------------------------------------------------------------------------------------------

_threads = local()
_report_lock: Final = Lock()  # refusals only; xmlschema keeps state while it walks
_RULE_BY_FACET: Final[tuple[tuple[type, Rule], ...]] = (
    (XsdMaxLengthFacet, rules.TOO_LONG),
    (XsdEnumerationFacets, rules.NOT_IN_LIST),
    (XsdMinInclusiveFacet, rules.OUT_OF_RANGE),
    (XsdMaxInclusiveFacet, rules.OUT_OF_RANGE),
)
_RULE_BY_TYPE: Final = {"date": rules.DATE_FORMAT, "dateTime": rules.DATETIME_FORMAT}
_RULE_BY_PATTERN: Final = {fields.DATE.pattern: rules.DATE_FORMAT, fields.DATETIME.pattern: rules.DATETIME_FORMAT}


def _compiled() -> etree.XMLSchema:
    schema = cast(etree.XMLSchema | None, getattr(_threads, "schema", None))
    if schema is None:
        schema = _threads.schema = etree.XMLSchema(file=str(_FOLDER / "transfer.xsd"))
    return schema


@cache
def _reporter() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(str(_FOLDER / "transfer.xsd"), allow="local")


def _refusal_report(element: etree._Element, model: type[BaseModel]) -> list[FieldFault]:
    found = list(_structure_faults(element, model, f"/{_local(element)}"))
    with _report_lock:
        for error in _reporter().iter_errors(element):
            if not isinstance(error, XMLSchemaChildrenValidationError):  # told by name above
                found.append(_facet_fault(error, element))
            if len(found) >= MAX_FAULTS:
                break
    unique = {(one.path, one.rule): one for one in found}
    # Should the two validators ever differ, the refusal stands and says at least where the message begins.
    return list(unique.values()) or [_at(element, f"/{_local(element)}", rules.WRONG_FORMAT)]


def _structure_faults(element: etree._Element, model: type[BaseModel], path: str) -> Iterator[FieldFault]:
    """Unknown, doubled, missing and misplaced elements, by name."""
    known, seen, last = _fields(model), set[str](), -1
    order = list(known)
    for child in _elements(element):
        name = _local(child)
        where = f"{path}/{safe_name(name)}"
        field = known.get(name) if etree.QName(child).namespace == NAMESPACE else None
        if field is None:
            yield _at(child, where, rules.UNKNOWN_FIELD)
            continue
        if name in seen and not field.many:
            yield _at(child, where, rules.DUPLICATE_FIELD)
        elif order.index(name) < last:
            yield _at(child, where, rules.WRONG_ORDER)
        seen.add(name)
        last = max(last, order.index(name))
        if field.model:
            yield from _structure_faults(child, field.model, where)
    for name, field in known.items():
        if field.required and name not in seen:
            yield _at(element, f"{path}/{name}", rules.MISSING)


def _facet_fault(error: XMLSchemaValidationError, root: etree._Element) -> FieldFault:
    node = error.elem if isinstance(error.elem, etree._Element) else root
    path, broken = _path_of(node, root), error.validator
    if isinstance(broken, XsdAtomicBuiltin):  # not an integer, not a day of the calendar …
        return _at(node, path, _RULE_BY_TYPE.get(broken.local_name or "", rules.WRONG_TYPE))
    if isinstance(broken, XsdPatternFacets):
        pattern = str(broken.regexps[0])
        return _at(node, path, _RULE_BY_PATTERN.get(pattern, rules.WRONG_FORMAT), pattern=pattern)
    for kind, rule in _RULE_BY_FACET:
        if isinstance(broken, kind):
            return _at(node, path, rule, note=_expected(broken))
    return _at(node, path, rules.CONTENT_NOT_ALLOWED)  # attributes, text between elements, elements inside a value


def _expected(facet: object) -> tuple[str, str]:
    if isinstance(facet, XsdEnumerationFacets):
        values = ", ".join(str(value) for value in facet.enumeration)
        return (values, values)
    if isinstance(facet, XsdMaxLengthFacet):
        return (f"至多 {facet.value} 个字符", f"at most {facet.value} characters")
    if isinstance(facet, XsdMinInclusiveFacet | XsdMaxInclusiveFacet):
        return (f"界限 {facet.value!s}", f"the bound is {facet.value!s}")
    return ("", "")


def _at(
    node: etree._Element, path: str, rule: Rule, *, pattern: str | None = None, note: tuple[str, str] = ("", "")
) -> FieldFault:
    return replace(fault(path, rule, shape_pattern=pattern, note=note), line=_line(node))


def located(found: FieldFault, root: etree._Element) -> FieldFault:
    """A model's fault (JSON pointer) with the path and the line of the element that it speaks of."""
    node = root
    for name in found.path.split("/")[1:]:
        node = next((child for child in _elements(node) if _local(child) == name), node)
    return replace(found, path=f"/{_local(root)}{found.path}", line=_line(node))


def _path_of(node: etree._Element, root: etree._Element) -> str:
    names: list[str] = []
    current: etree._Element | None = node
    while current is not None and current is not root:
        names.append(safe_name(_local(current)))
        current = current.getparent()
    return "/".join(["", _local(root), *reversed(names)])


# --- writing --------------------------------------------------------------------------------------------------------------


def to_xml(model: BaseModel, name: str) -> etree._Element:
    """``model`` as the element ``name`` of our namespace. A character that XML cannot carry becomes U+FFFD."""
    root = etree.Element(f"{{{NAMESPACE}}}{name}", nsmap=cast(dict[str, str], {None: NAMESPACE}))
    _write(root, model.model_dump(mode="json", by_alias=True, exclude_none=True))
    return root


def fault_to_xml(detail: ExchangeFault) -> etree._Element:
    """The child of a SOAP fault's ``detail`` (1.1) or ``Detail`` (1.2)."""
    return to_xml(detail, FAULT_ELEMENT)


def _write(parent: etree._Element, value: dict[str, object]) -> None:
    for name, item in value.items():
        for one in item if isinstance(item, list) else [item]:
            child = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
            if isinstance(one, dict):
                _write(child, one)
            elif isinstance(one, bool):
                child.text = "true" if one else "false"
            else:
                child.text = _NOT_XML.sub("\ufffd", str(one))


def _elements(node: etree._Element) -> Iterator[etree._Element]:
    return node.iterchildren(tag=etree.Element)


def _local(node: etree._Element) -> str:
    return etree.QName(node).localname


def _line(node: etree._Element) -> int | None:
    return cast(int | None, node.sourceline)
