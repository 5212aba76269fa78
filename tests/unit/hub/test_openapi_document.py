"""The OpenAPI document is one that generators and validators read: valid, its patterns for any engine, one name a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import jsonschema_rs
import pytest
from pydantic import StringConstraints, TypeAdapter, ValidationError
from schemathesis.specs.openapi.definitions import OPENAPI_31

from hub.app import Hub
from hub.config import Settings
from schemas.rules import SHAPES, Shape, portable

DIALECT = "https://json-schema.org/draft/2020-12/schema"
BMP = [chr(point) for point in range(0x10000) if not 0xD800 <= point < 0xE000]
WITH_CLASSES = [shape for shape in SHAPES.values() if "\\p" in shape.pattern]


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    hub = Hub(Settings(state_dir=tmp_path_factory.mktemp("state"), role="api"))
    try:
        return hub.app.openapi()
    finally:
        hub.db.close()


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document."""
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    problems = [f"{error.instance_path}: {error.message}" for error in jsonschema_rs.iter_errors(OPENAPI_31, document)]
    assert not problems
    assert list(jsonschema_rs.iter_errors(OPENAPI_31, {**document, "paths": 1})), "the validator must be able to refuse"


def test_every_schema_is_one_of_draft_2020_12(document: dict[str, Any]) -> None:
    schemas = list(document["components"]["schemas"].values())
    schemas += [node["schema"] for node in nodes(document["paths"]) if isinstance(node.get("schema"), dict)]
    assert len(schemas) > 100
    for schema in schemas:
        assert jsonschema_rs.meta.is_valid({"$schema": DIALECT, **schema}), schema
    assert not jsonschema_rs.meta.is_valid({"$schema": DIALECT, "type": 5})


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    targets = {node["$ref"] for node in nodes(document) if "$ref" in node}
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert targets <= known
    assert len(targets) > 50


def test_no_model_shows_where_it_stands_in_our_code(document: dict[str, Any]) -> None:
    """A second model of one name would be published under its Python path, or as -Input and -Output."""
    for name, schema in document["components"]["schemas"].items():
        assert re.fullmatch("[A-Z][A-Za-z]*", name), name
        assert schema["title"] == name


def test_every_example_of_a_request_is_what_its_schema_says(document: dict[str, Any]) -> None:
    contents = [node for node in nodes(document["paths"]) if "example" in node and "$ref" in node.get("schema", {})]
    assert len(contents) > 8
    for content in contents:
        schema = {"$schema": DIALECT, **content["schema"], "components": document["components"]}
        assert not list(jsonschema_rs.iter_errors(schema, content["example"])), content["schema"]


def test_every_pattern_is_one_for_python_and_ecma_too(document: dict[str, Any]) -> None:
    patterns = [node["pattern"] for node in nodes(document) if isinstance(node.get("pattern"), str)]
    assert len(patterns) > 50
    for pattern in patterns:
        re.compile(pattern)
        assert pattern.isascii()
        assert not re.search(r"\\[pPXhvRAZz]", pattern), "not in ECMA-262 without its u flag"


@pytest.mark.parametrize("shape", WITH_CLASSES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("frame", ["{}", "x{}y"])
def test_the_published_pattern_takes_what_the_models_take(shape: Shape, frame: str) -> None:
    """Over the Basic Multilingual Plane, a character alone and between two letters."""
    model = TypeAdapter(Annotated[str, StringConstraints(pattern=shape.anchored)])
    published = re.compile(portable(shape.anchored))
    for text in map(frame.format, BMP):
        assert taken(model, text) is bool(published.fullmatch(text)), ascii(text)
    assert not taken(model, "\u2028")


def taken(model: TypeAdapter[str], text: str) -> bool:
    try:
        model.validate_python(text)
    except ValidationError:
        return False
    return True


def test_there_are_such_shapes_and_the_others_stay_as_they_are() -> None:
    assert {shape.name for shape in WITH_CLASSES} == {"SingleLine", "MultiLine"}
    for shape in SHAPES.values():
        assert shape in WITH_CLASSES or portable(shape.pattern) == shape.pattern
