from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from pytest_llmeval.providers.structured import response_format, strict_schema

TEXT = {"type": "string"}


class Address(BaseModel):
    city: str


class Person(BaseModel):
    name: str
    addresses: list[Address]
    age: int | None


class Defaulted(BaseModel):
    name: str = "x"


def test_a_pydantic_model_without_defaults_is_strict_with_all_its_objects_closed() -> None:
    strict = strict_schema(Person.model_json_schema())
    assert strict is not None
    assert strict["additionalProperties"] is False
    assert strict["$defs"]["Address"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "schema",
    [
        Defaulted.model_json_schema(),
        {"type": "object", "properties": {"a": TEXT}},
        {"type": "object", "properties": {"a": TEXT}, "required": ["a"], "additionalProperties": True},
        {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": TEXT}}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"allOf": [TEXT]}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"$ref": "#/x", "description": "y"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": True}, "required": ["a"]},
        {"type": "array", "items": TEXT},
    ],
)
def test_a_schema_outside_the_rules_is_asked_for_as_it_is_without_strict(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) is None
    assert response_format(schema)["json_schema"]["schema"] == schema
    assert "strict" not in response_format(schema)["json_schema"]


def test_the_schema_of_the_caller_stays_as_it_was() -> None:
    schema = Person.model_json_schema()
    strict_schema(schema)
    assert schema == Person.model_json_schema()


def test_the_title_becomes_a_name_that_openai_takes() -> None:
    assert response_format({"title": "Eine Antwort!"})["json_schema"]["name"] == "Eine_Antwort_"
