"""The base of every canonical model: camelCase at the wire (JSON keys = XML element names), frozen, nothing unknown."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Canonical(BaseModel):
    """Strict about what is there, silent about nothing: an unknown field is a fault, not an accident."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # an ID number must not reach a log through an error text
    )
