from __future__ import annotations

import datetime
import enum
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from pytest_llmeval.checks import JSONCheckError, assert_json, is_valid_json, json_schema_of, json_type, parse_reply
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.testlog import TestLog, running_log


class Item(BaseModel):
    sku: str
    count: int = Field(ge=1)


class Order(BaseModel):
    name: str
    items: list[Item] = []


ORDER_SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"sku": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
                "required": ["sku", "count"],
            },
        },
    },
    "required": ["name"],
}


@pytest.fixture
def log() -> Iterator[TestLog]:
    log = TestLog("model")
    with running_log.bound(log):
        yield log


def failure(reply: Any, **options: Any) -> str:
    with pytest.raises(JSONCheckError) as caught:
        assert_json(reply, **options)
    return str(caught.value)


def noted(log: TestLog) -> tuple[int, int]:
    record = log.record("test", "passed")
    return record.json_checked, record.json_valid


# JSON Schema


def test_data_that_conforms_is_returned() -> None:
    data = {"name": "John", "items": [{"sku": "A", "count": 1}]}
    assert assert_json(json.dumps(data), schema=ORDER_SCHEMA) == data


def test_each_fault_shows_path_expected_and_got() -> None:
    message = failure('{"name": 5, "items": [{"sku": "A", "count": 0}, {"sku": null}]}', schema=ORDER_SCHEMA)
    assert set(message.splitlines()[1:]) == {
        "  $.name: expected type string, got 5 (integer)",
        "  $.items[0].count: expected minimum 1, got 0 (integer)",
        "  $.items[1].sku: expected type string, got None (null)",
        "  $.items[1]: expected the keys 'count', got ['sku']",
    }


def test_ten_faults_are_shown_and_the_rest_is_counted() -> None:
    schema = {"items": {"type": "string"}}
    lines = failure(list(range(25)), schema=schema).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  ... and 15 more"


def test_alternatives_show_the_fault_of_the_nearest() -> None:
    schema = {"anyOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"type": "null"}]}
    assert "$.a: expected type integer, got 'x' (string)" in failure({"a": "x"}, schema=schema)


def test_unexpected_keys_and_values_are_escaped_and_short() -> None:
    schema = {"type": "object", "additionalProperties": False}
    message = failure({"\x1b[31m" + "k" * 10_000: 1}, schema=schema)
    assert "\x1b" not in message
    assert len(message) < 400
    message = failure({"k": "v" * 10_000 + "\x1b"}, schema={"additionalProperties": {"type": "integer"}})
    assert "\x1b" not in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("schema", "reply"),
    [({"format": "email"}, "nobody"), ({"format": "date"}, "31.12.2024"), ({"format": "ipv4"}, "1.2.3")],
)
def test_formats_are_checked(schema: dict[str, Any], reply: str) -> None:
    assert "expected format" in failure(json.dumps(reply), schema=schema)


def test_false_as_a_schema_of_a_key_forbids_it() -> None:
    assert "False schema does not allow 1" in failure({"a": 1}, schema={"properties": {"a": False}})


@pytest.mark.parametrize("suffix", ["schema.json", "schema.txt"])
def test_a_schema_is_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / suffix
    file.write_text(json.dumps(ORDER_SCHEMA), encoding="utf-8")
    assert not is_valid_json({}, schema=file)
    assert json_schema_of(file) == ORDER_SCHEMA


def test_a_string_that_ends_in_json_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "order.json").write_text(json.dumps(ORDER_SCHEMA), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert not is_valid_json({}, schema="order.json")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "of type array"),
        ('{"type": "text"}', "is no JSON Schema"),
    ],
)
def test_a_bad_schema_file_is_named(tmp_path: Path, content: str | None, says: str) -> None:
    file = tmp_path / "s.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=says) as caught:
        assert_json({}, schema=file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"$schema": 5},
        {"$schema": []},
        {"pattern": "("},
        {"properties": {"a": object()}},
        {"minimum": "a"},
        {"$ref": "#/$defs/nowhere"},
        "a schema",
        5,
        int,
        [{"type": "object"}],
    ],
)
def test_a_schema_that_cannot_be_used_is_an_error_of_the_configuration(schema: Any, log: TestLog) -> None:
    with pytest.raises(ConfigError):
        assert_json({"a": "b"}, schema=schema)
    assert noted(log) == (0, 0)


def test_a_remote_reference_is_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def refuse(*args: Any, **kwargs: Any) -> Any:
        asked.append(args)
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(ConfigError, match=r"http://example\.invalid/s\.json.*never fetched"):
        assert_json({}, schema={"$ref": "http://example.invalid/s.json"})
    assert asked == []


def test_deep_data_and_endless_schemas_do_not_end_in_a_traceback() -> None:
    deep: Any = []
    for _ in range(2_000):
        deep = [deep]
    recursive = {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}
    assert "nested too deep" in failure(deep, schema=recursive)
    assert "refers to itself" in failure(1, schema={"$ref": "#"})


def test_infinite_numbers_do_not_end_in_a_traceback() -> None:
    assert not is_valid_json("1e999", schema={"multipleOf": 3})
    assert not is_valid_json("1e999", schema={"multipleOf": 0.5})


# pydantic


def test_a_model_class_gives_an_instance() -> None:
    order = assert_json('{"name": "John", "items": [{"sku": "A", "count": 2}]}', schema=Order)
    assert order == Order(name="John", items=[Item(sku="A", count=2)])


def test_faults_of_a_model_show_path_expected_and_got() -> None:
    message = failure('{"items": [{"sku": "A", "count": 0}, {"sku": 5, "count": "x"}]}', schema=Order)
    assert message.splitlines() == [
        "valid JSON, but it does not conform to Order",
        "  $.name: Field required",
        "  $.items[0].count: Input should be greater than or equal to 1, got 0 (integer)",
        "  $.items[1].sku: Input should be a valid string, got 5 (integer)",
        "  $.items[1].count: Input should be a valid integer, unable to parse string as an integer, got 'x' (string)",
    ]


def test_strict_fields_are_read_as_json() -> None:
    class Mood(enum.Enum):
        GOOD = "good"

    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        day: datetime.date
        mood: Mood

    strict = assert_json('Sure: {"day": "2024-05-01", "mood": "good"}', schema=Strict, strict=False)
    assert strict == Strict(day=datetime.date(2024, 5, 1), mood=Mood.GOOD)


def test_parsed_data_and_instances_are_taken_for_a_model() -> None:
    order = Order(name="John")
    assert assert_json(order, schema=Order) is order
    assert assert_json({"name": "John"}, schema=Order) == order


def test_data_of_an_instance_are_plain() -> None:
    assert parse_reply(Order(name="x")) == {"name": "x", "items": []}


def test_messages_of_own_validators_are_escaped() -> None:
    class Loud(BaseModel):
        name: str

        @field_validator("name")
        @classmethod
        def refuse(cls, value: str) -> str:
            raise ValueError(f"bad {value}")

    message = failure('{"name": "\\u001b[31m"}', schema=Loud)
    assert "bad \\x1b[31m" in message
    assert "\x1b" not in message


@pytest.mark.parametrize(
    "text", ['{"name": "\\ud800"}', '{"name": "\ud800"}', '{"name": "x", "y": ' + "[" * 400 + "]" * 400 + "}"]
)
def test_what_pydantic_cannot_read_is_a_clear_failure(text: str) -> None:
    message = failure(text, schema=Order)
    assert "does not conform to Order" in message
    message.encode()


def test_json_schema_of_a_model_is_its_json_schema() -> None:
    assert json_schema_of(Order) == Order.model_json_schema()


def test_a_model_without_a_json_schema_is_an_error_that_names_it() -> None:
    class Odd(BaseModel):
        model_config = ConfigDict(arbitrary_types_allowed=True)
        what: socket.socket

    with pytest.raises(ConfigError, match="Odd"):
        json_schema_of(Odd)


# The record


def test_each_check_is_noted_once(log: TestLog) -> None:
    assert_json("{}")
    is_valid_json("{")
    is_valid_json("{}", schema={"required": ["a"]})
    is_valid_json("{}", schema=Order)
    with pytest.raises(JSONCheckError):
        assert_json("nothing")
    assert noted(log) == (5, 1)


def test_without_a_running_test_nothing_is_noted() -> None:
    assert running_log.get() is None
    assert is_valid_json("{}")


def test_types_have_the_names_of_json() -> None:
    values = [None, True, 1, 1.5, "a", [], {}, object()]
    assert [json_type(value) for value in values] == [
        "null", "boolean", "integer", "number", "string", "array", "object", "object",
    ]  # fmt: skip
