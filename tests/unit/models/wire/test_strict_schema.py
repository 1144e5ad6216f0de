"""What OpenAI's strict mode is told to hold an answer to: anything outside of its language is a 400."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from resilient_ai.messages import OutputSchema
from resilient_ai.models.wire.strict_schema import strictly


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=1, le=9)] = 9


class Dog(BaseModel):
    kind: Literal["dog"]


class Home(BaseModel):
    """Where they live."""

    pet: Annotated[Cat | Dog, Field(discriminator="kind", description="Who lives here")]
    rooms: list[str] = []
    owner: str | None = None


def of(kind: Any) -> tuple[Any, bool]:
    return strictly(OutputSchema("x", TypeAdapter(kind).json_schema()))


def test_a_class_with_defaults_and_a_union_is_closed_and_every_field_required() -> None:
    schema, strict = of(Home)
    assert strict
    assert schema["required"] == ["pet", "rooms", "owner"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["rooms"] == {"type": "array", "items": {"type": "string"}, "title": "Rooms"}
    assert schema["properties"]["pet"]["anyOf"] == [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]
    assert schema["$defs"]["Cat"]["required"] == ["kind", "lives"]
    assert schema["$defs"]["Cat"]["properties"]["lives"]["maximum"] == 9
    assert "default" not in str(schema)
    assert "discriminator" not in str(schema)


class Free(BaseModel):
    labels: dict[str, str]


class Short(BaseModel):
    name: Annotated[str, Field(max_length=3)]


class Node(BaseModel):
    children: list[Node]


@pytest.mark.parametrize("kind", [Free, Short, Node, dict[str, int]])
def test_what_strict_mode_has_no_word_for_is_sent_as_it_is_and_not_strictly(kind: Any) -> None:
    schema, strict = of(kind)
    assert not strict
    assert schema == TypeAdapter(kind).json_schema()


def test_a_schema_that_fits_and_one_that_need_not_are_left_alone() -> None:
    fits: dict[str, Any] = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    assert strictly(OutputSchema("x", fits)) == (fits, True)
    loose: dict[str, Any] = {"type": "object", "properties": {}}
    assert strictly(OutputSchema("x", loose, strict=False)) == (loose, False)
