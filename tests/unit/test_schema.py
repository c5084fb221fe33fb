from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_llmeval.records import Call
from pytest_llmeval.runlines import VOLATILE
from pytest_llmeval.schema import RECORDS, SCHEMA_FILE, VOLATILE_OF, build_schema, descriptions, docs_text
from tests.unit.test_runs import WHOLE

DOCS = Path(__file__).parents[2] / "docs" / "records.md"
AGAIN = "run `python -m pytest_llmeval.schema`"


def test_the_file_says_what_the_records_are() -> None:
    assert json.loads(SCHEMA_FILE.read_text(encoding="utf-8")) == build_schema(), AGAIN


@pytest.mark.skipif(not DOCS.is_file(), reason="only the package is here")
def test_the_page_says_what_the_records_are() -> None:
    assert DOCS.read_text(encoding="utf-8") == docs_text(), AGAIN


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_field_is_described_and_nothing_else(record: type[Any]) -> None:
    said = descriptions(record)
    assert list(said) == [field.name for field in fields(record)]
    assert all(text.endswith(".") for text in said.values())


def test_volatile_fields_are_fields() -> None:
    for record, kind in VOLATILE_OF.items():
        assert set(VOLATILE[kind]) <= {field.name for field in fields(record)}
    assert set(VOLATILE) == set(VOLATILE_OF.values())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(build_schema())


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


@pytest.mark.parametrize("line", [0, 1, 2, 3])
def test_every_field_of_a_line_has_a_type(line: int) -> None:
    from pytest_llmeval.runlines import run_lines

    data = json.loads([*run_lines(WHOLE)][line])
    validator().validate(data)
    for name in data:
        with pytest.raises(jsonschema.ValidationError):
            validator().validate(data | {name: 7 if isinstance(data[name], list) else [[7]]})


def test_opentelemetry_names_stand_with_what_they_are_of() -> None:
    said = descriptions(Call)
    assert "`gen_ai.response.model`" in said["model"]
    assert "`gen_ai.usage.input_tokens`" in said["input_tokens"]
    assert "`gen_ai.usage.output_tokens`" in said["output_tokens"]
