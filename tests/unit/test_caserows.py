from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from pytest_llmeval.caserows import RowReader
from pytest_llmeval.cases import Case, complexity_of

PNG = b"\x89PNG\r\n\x1a\n and more"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a picture, a schema and something that is none of these."""
    home = tmp_path / "project"
    (home / "data").mkdir(parents=True)
    (home / "data" / "cat.png").write_bytes(PNG)
    (home / "data" / "cat.txt").write_text("a cat", encoding="utf-8")
    (home / "data" / "ticket.json").write_text('{"type": "object"}', encoding="utf-8")
    (tmp_path / "other.png").write_bytes(PNG)
    return home / "data"


def case(folder: Path, row: Any) -> Case:
    found, faults = RowReader([folder, folder.parent]).case(row, "c:1")
    assert faults == []
    assert found is not None
    return found


def faults(folder: Path, row: Any) -> list[str]:
    found, told = RowReader([folder, folder.parent]).case(row, "c:1")
    assert found is None
    return told


def test_a_whole_row_becomes_a_case(folder: Path) -> None:
    row = {
        "id": "a",
        "input": "Where is it?",
        "system": "Be kind.",
        "expected": {"team": "delivery"},
        "max_tokens": 20,
        "schema": {"type": "object"},
        "tags": ["late", "urgent", "late"],
        "weight": 2,
        "images": ["cat.png", "https://example.org/x.png"],
        "order": {"n": 1},
        "source": "mail",
    }
    assert case(folder, row) == Case(
        id="a",
        input="Where is it?",
        system="Be kind.",
        expected={"team": "delivery"},
        max_tokens=20,
        schema={"type": "object"},
        tags=("late", "urgent"),
        weight=2.0,
        images=(str(folder / "cat.png"), "https://example.org/x.png"),
        extra={"order": {"n": 1}, "source": "mail"},
        source="c:1",
    )


def test_what_is_null_is_absent(folder: Path) -> None:
    row = dict.fromkeys(["id", "input", "system", "expected", "max_tokens", "schema", "tags", "weight", "images"])
    assert case(folder, {**row, "messages": None}) == Case(source="c:1")


class Ticket(BaseModel):
    input: str
    expected: dict[str, str]
    priority: int = 3


@pytest.mark.parametrize(
    ("row", "made"),
    [
        ("Hi", Case(input="Hi", source="c:1")),
        (
            Ticket(input="Hi", expected={"a": "b"}),
            Case(input="Hi", expected={"a": "b"}, extra={"priority": 3}, source="c:1"),
        ),
        (Case(id="x", input="Hi", extra={"n": 1}), Case(id="x", input="Hi", extra={"n": 1}, source="c:1")),
    ],
    ids=["text", "model", "case"],
)
def test_text_models_and_cases_are_rows_too(folder: Path, row: Any, made: Case) -> None:
    assert case(folder, row) == made


@pytest.mark.parametrize(
    ("written", "tags"), [("a, b;c", ("a", "b", "c")), (" a ;", ("a",)), (["b-1"], ("b-1",)), ("", ())]
)
def test_tags_are_a_list_or_text_with_commas_or_semicolons(folder: Path, written: Any, tags: tuple[str, ...]) -> None:
    assert case(folder, {"tags": written}).tags == tags


@pytest.mark.parametrize(
    ("written", "label"),
    [("simple", "simple"), (" Complex ", "complex"), ("medium", None), (3, None), (None, None), (["simple"], None)],
)
def test_a_complexity_that_is_no_label_of_routers_stays_a_field_of_the_datasets_own(
    folder: Path, written: Any, label: str | None
) -> None:
    found = case(folder, {"input": "Hi", "complexity": written})
    assert (complexity_of(found), found.extra) == (label, {"complexity": written})


def test_an_id_may_be_a_number(folder: Path) -> None:
    assert case(folder, {"id": 7}).id == "7"


def test_messages_keep_their_turns_and_what_is_ours_to_translate_later(folder: Path) -> None:
    messages = [
        {"role": "user", "content": [{"type": "image", "path": "cat.png"}, {"type": "text", "text": "What is it?"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "content": "a cat", "tool_call_id": "1"},
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]},
    ]
    read = case(folder, {"messages": messages}).messages
    assert read is not None
    assert read[0]["content"] == [
        {"type": "image", "path": str(folder / "cat.png")},
        {"type": "text", "text": "What is it?"},
    ]
    assert list(read[1:]) == messages[1:]


def test_a_schema_is_a_file_beside_the_dataset(folder: Path) -> None:
    assert case(folder, {"schema": "ticket.json"}).schema == {"type": "object"}
    assert case(folder, {"schema": "data/ticket.json"}).schema == {"type": "object"}


def test_a_schema_may_be_a_pydantic_model(folder: Path) -> None:
    assert case(folder, {"schema": Ticket}).schema == Ticket.model_json_schema()


ROLES = "should be one of user, assistant, system, developer, tool"
WORD = "should be a word that pytest -m can be given: letters, digits, - _ . + /"
ID = "should be printable text without '::', which divides pytest's own ids"
PICTURE = "a picture has either a path or a url, and nothing else"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (4, ["a row should be an object, text, a Case or a pydantic model (it is 4)"]),
        (["a"], ["a row should be an object, text, a Case or a pydantic model (it is ['a'])"]),
        ({1: "a"}, ["1: the name of a field should be text"]),
        ({"input": 42}, ["input: should be text (it is 42). Put it in quotes"]),
        ({"input": ["a"]}, ["input: should be text (it is ['a'])"]),
        ({"id": True}, ["id: should be text (it is True). Put it in quotes"]),
        ({"id": " "}, [f"id: {ID} (it is ' ')"]),
        ({"id": "a::b"}, [f"id: {ID} (it is 'a::b')"]),
        ({"id": "a\x1b[31m"}, [f"id: {ID} (it is 'a\\x1b[31m')"]),
        ({"max_tokens": "many"}, ["max_tokens: should be a whole number (it is 'many')"]),
        ({"max_tokens": 1.5}, ["max_tokens: should be a whole number (it is 1.5)"]),
        ({"max_tokens": True}, ["max_tokens: should be a whole number (it is True)"]),
        ({"max_tokens": 0}, ["max_tokens: should be above 0 (it is 0)"]),
        ({"weight": -1}, ["weight: should be above 0 (it is -1)"]),
        ({"weight": float("nan")}, ["weight: should be a finite number (it is nan)"]),
        ({"tags": 5}, ["tags: should be a list (it is 5)"]),
        ({"tags": ["a", "b c"]}, [f"tags[1]: {WORD} (it is 'b c')"]),
        ({"tags": ["_a"]}, [f"tags[0]: {WORD} (it is '_a')"]),
        ({"tags": ["a:b"]}, [f"tags[0]: {WORD} (it is 'a:b')"]),
        ({"tags": ["not"]}, [f"tags[0]: {WORD} (it is 'not')"]),
        ({"tags": ["xfail"]}, ["tags[0]: this is a marker that does something. Choose another word (it is 'xfail')"]),
        ({"tags": "llm_x"}, ["tags[0]: this is a marker that does something. Choose another word (it is 'llm_x')"]),
        ({"messages": "Hi"}, ["messages: should be a list (it is 'Hi')"]),
        ({"messages": []}, ["messages: should not be empty (it is [])"]),
        ({"messages": ["Hi"]}, ["messages[0]: should be an object (it is 'Hi')"]),
        ({"messages": [{"content": "Hi"}]}, ["messages[0].role: is not there"]),
        ({"messages": [{"role": "usr"}]}, [f"messages[0].role: {ROLES} (it is 'usr'). Did you mean 'user'?"]),
        (
            {"messages": [{"role": "user", "content": 3}]},
            ["messages[0].content: should be text (it is 3). Put it in quotes"],
        ),
        ({"messages": [{"role": "user", "content": [{}]}]}, ["messages[0].content[0].type: is not there"]),
        ({"input": "a\ud800"}, ["holds '\\ud800', which is half of a character and cannot be sent"]),
        ({"note": {"a": ["\udc00"]}}, ["holds '\\udc00', which is half of a character and cannot be sent"]),
        ({"schema": 3}, ["schema: schema=3: give a dict, the path of a .json file, or a pydantic model class."]),
        ({"images": 3}, ["images: should be a list (it is 3)"]),
        (
            {"images": "cat.txt"},
            ["images: cat.txt is no picture that providers take. Save it as PNG, JPEG, GIF or WebP."],
        ),
        (
            {"images": "../../other.png"},
            ["images: ../../other.png: this picture is outside of the project. Copy it beside the dataset."],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "path": "cat.png", "url": "x"}]}]},
            [f"messages[0].content[0]: {PICTURE}."],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "path": "cat.png", "size": 3}]}]},
            [f"messages[0].content[0]: {PICTURE}; it also has size."],
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "url": "cat.png"}]}]},
            ["messages[0].content[0]: 'cat.png' is no URL of a picture. Begin with https://, or write a path."],
        ),
        (
            {"messages": [{"role": "user", "content": "a"}], "input": "b", "images": ["cat.png"]},
            [
                "input: there are messages too. Put the input at their end, or leave one of the two out",
                "images: these go with an input. Put them into the messages: {'type': 'image', 'path': ...}",
            ],
        ),
        (
            {"input": 1, "max_tokens": -5, "tags": ["skip"]},
            [
                "input: should be text (it is 1). Put it in quotes",
                "max_tokens: should be above 0 (it is -5)",
                "tags[0]: this is a marker that does something. Choose another word (it is 'skip')",
            ],
        ),
    ],
)
def test_each_fault_says_the_field_the_value_and_the_fix(folder: Path, row: Any, told: list[str]) -> None:
    assert faults(folder, row) == told


def test_a_picture_that_is_not_there_names_the_nearest(folder: Path) -> None:
    (told,) = faults(folder, {"images": ["caat.png"]})
    assert told.startswith("images: caat.png: there is no such picture in ")
    assert told.endswith(f"{folder.as_posix()} or {folder.parent.as_posix()}. Did you mean 'cat.png'?")


def test_a_row_that_holds_itself_or_is_nested_endlessly_or_no_json_is_a_fault(folder: Path) -> None:
    row: dict[str, Any] = {"input": "a"}
    row["self"] = row
    deep: list[Any] = []
    for _ in range(500):
        deep = [deep]
    for bad in (row, {"input": "a?", "note": deep}, {"input": "a?", "note": b"\xff"}):
        (told,) = faults(folder, bad)
        assert told.startswith("cannot be written as JSON: ")


@pytest.mark.parametrize("name", ["x" * 5000 + ".png", "a\x00/b.png", "a\x00.png", ""])
def test_a_name_that_no_file_can_have_is_a_fault(folder: Path, name: str) -> None:
    (told,) = faults(folder, {"images": [name]})
    assert told.startswith("images: ")
    assert len(told) < 500


def test_a_schema_that_is_none_is_a_fault(folder: Path) -> None:
    (told,) = faults(folder, {"schema": {"type": "objct"}})
    assert told.startswith("schema: schema is no JSON Schema: at $.type: 'objct'")
