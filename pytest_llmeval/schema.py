"""The JSON Schema of a run's file, and its description for people, made of the records and their docstrings.

``python -m pytest_llmeval.schema`` writes both anew: `pytest_llmeval/schemas/run.schema.json`, and `docs/records.md`
where there is a folder `docs`.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pytest_llmeval.records import SCHEMA_VERSION, Call, TestRecord
from pytest_llmeval.runheader import CandidateInfo, End, Header, PriceUsed, Spending
from pytest_llmeval.runlines import END, HEADER, TEST, VOLATILE

SCHEMA_FILE = Path(__file__).parent / "schemas" / "run.schema.json"
DOCS_FILE = Path(__file__).parents[1] / "docs" / "records.md"

#: Every record, as documents name it, by its kind of line where it is one.
RECORDS: dict[type[Any], str] = {
    Header: HEADER,
    CandidateInfo: "",
    PriceUsed: "",
    TestRecord: TEST,
    Call: "",
    End: END,
    Spending: "",
}
VOLATILE_OF = {Header: HEADER, TestRecord: TEST, Call: "call", End: END}
ATTRIBUTE = re.compile(r"^    (\w+): ")


def descriptions(cls: type[Any]) -> dict[str, str]:
    """Return what the docstring of a record says of each field.

    >>> descriptions(End)["tests"]
    'Number of test records.'
    """
    _, _, section = inspect.cleandoc(cls.__doc__ or "").partition("\nAttributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        begins = ATTRIBUTE.match(line)
        if begins:
            name = begins[1]
            found[name] = line[begins.end() :]
        elif line.startswith("        ") and name:
            found[name] += f" {line.strip()}"
    # What Python calls None, JSON calls null.
    return {name: re.sub(r"\bNone\b", "null", said) for name, said in found.items()}


def summary_of(cls: type[Any]) -> str:
    """Return what the docstring of a record says before its fields."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("\nAttributes:\n")[0]
    return re.sub(r"\bNone\b", "null", " ".join(text.split()))


def build_schema() -> dict[str, Any]:
    """Return the JSON Schema: of a line of JSON Lines, and of a JSON report as a whole."""
    definitions: dict[str, Any] = {}
    for cls in RECORDS:
        made = TypeAdapter(cls).json_schema(ref_template="#/$defs/{model}")
        # One that holds others of its kind refers to itself.
        made = made if "properties" in made else made["$defs"][cls.__name__]
        definitions[cls.__name__] = _described(made, cls)
    kinds = {cls.__name__: kind for cls, kind in RECORDS.items() if kind}
    lines = [_line(name, kind) for name, kind in kinds.items()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of pytest-llmeval",
        "description": (
            "Each line of a .jsonl file, or a .json report as a whole. Fields may be added without a new schema "
            "version; kinds of lines that a reader does not know are to be passed over."
        ),
        "x-schema-version": SCHEMA_VERSION,
        "x-volatile": {name: list(names) for name, names in VOLATILE.items() if names},
        "oneOf": [*lines, {"$ref": "#/$defs/Document"}],
        "$defs": definitions | {"Document": _document()},
    }


def _line(name: str, kind: str) -> dict[str, Any]:
    return {
        "allOf": [{"$ref": f"#/$defs/{name}"}],
        "type": "object",
        "properties": {"kind": {"const": kind}},
        "required": ["kind"],
    }


def _document() -> dict[str, Any]:
    return {
        "description": "A .json report.",
        "type": "object",
        "properties": {
            "kind": {"const": "run"},
            "header": {"$ref": "#/$defs/Header"},
            "summary": {
                "description": "Figures of each candidate, as the table in the terminal has them.",
                "type": "array",
                "items": {"type": "object"},
            },
            "verdicts": {
                "description": "What became of each requirement of each candidate; none if nothing was required.",
                "type": "array",
                "items": {"type": "object"},
            },
            "tests": {"type": "array", "items": {"$ref": "#/$defs/TestRecord"}},
            "end": {"anyOf": [{"$ref": "#/$defs/End"}, {"type": "null"}]},
        },
        "required": ["kind", "header", "tests", "end"],
    }


def _described(schema: dict[str, Any], cls: type[Any]) -> dict[str, Any]:
    """Return the schema of a record with its docstring's words where the reader of a schema looks for them."""
    said = descriptions(cls)
    properties = {
        name: {"description": said.get(name, ""), **_plain(field_schema)}
        for name, field_schema in schema["properties"].items()
    }
    return {
        "description": summary_of(cls),
        "type": "object",
        "properties": properties,
        "required": schema.get("required", []),
    }


def _plain(schema: Any) -> Any:
    """Return the schema of a field without what says nothing, and what not every version of pydantic writes."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _plain(value)
        for key, value in schema.items()
        if key != "title" and (key, value) != ("additionalProperties", True)
    }


def schema_text() -> str:
    """Return the schema as its file has it."""
    return f"{json.dumps(build_schema(), indent=2, ensure_ascii=False)}\n"


def docs_text() -> str:
    """Return the description for people."""
    return "\n".join(_docs())


def _docs() -> Iterator[str]:
    schema = build_schema()
    yield INTRODUCTION
    for cls, kind in RECORDS.items():
        yield f"## {cls.__name__}{f': a line of the kind `{kind}`' if kind else ''}\n"
        yield f"{summary_of(cls)}\n"
        yield "| field | type | |"
        yield "|---|---|---|"
        said = descriptions(cls)
        volatile = VOLATILE.get(VOLATILE_OF.get(cls, ""), ())
        for each in fields(cls):
            note = " *Volatile.*" if each.name in volatile else ""
            kind_of = _type(schema["$defs"][cls.__name__]["properties"][each.name])
            yield f"| `{each.name}` | {kind_of} | {said[each.name].replace('``', '`').replace('|', '&#124;')}{note} |"
        yield ""


def _type(schema: dict[str, Any]) -> str:
    """Return the type of a field in words."""
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"object of {_type(inner)}" if isinstance(inner, dict) and inner else "object"
    return str(schema.get("type", "anything"))


INTRODUCTION = f"""\
# Records

<!-- Made by `python -m pytest_llmeval.schema` from the docstrings of the records. -->

What `--llm-save` keeps, what `--llm-report=FILE.jsonl` writes and what `llmeval merge` puts together is JSON Lines: a
line of the kind `header`, a line of the kind `test` for each test, and a line of the kind `end`. While a run goes on,
it is in `FILE.partial`, where the header may stand again, and a test that was run again too: the last one counts. In
`FILE` tests stand in the order of their node ids. A run without an `end`, or whose `end` says that it was `stopped`,
was cut.

`--llm-report=FILE.json` has the same records in one document: `header`, `summary`, `verdicts`, `tests`, `end`.

The schema version is {SCHEMA_VERSION}. Fields may be added without a new version; readers pass over fields and kinds of
lines that they do not know. The JSON Schema is in the package: `pytest_llmeval/schemas/run.schema.json`.

The same run made again from its recordings gives the same bytes, but for the fields that are marked *volatile*: the
times of the run, and in calls whether the answer was replayed, in which a replay differs from the run that recorded.
Calls that a test's own threads make at once are the exception: they stand in the order in which they began.

Names of [OpenTelemetry's conventions for generative AI](https://github.com/open-telemetry/semantic-conventions-genai),
which are still in development, stand with the fields that they have a name for.
"""


def main() -> int:
    """Write both files."""
    SCHEMA_FILE.parent.mkdir(exist_ok=True)
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8", newline="\n")
    if DOCS_FILE.parent.is_dir():
        DOCS_FILE.write_text(docs_text(), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
