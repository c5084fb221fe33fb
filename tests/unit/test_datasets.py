from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_llmeval import Case, ConfigError, load_cases
from pytest_llmeval.datasets import Datasets
from pytest_llmeval.errors import DatasetError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, *rows: Any) -> None:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def refused(source: Any) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        load_cases(source)
    return caught.value


def test_a_case_knows_where_it_was_written() -> None:
    write("data/tickets.jsonl", {"id": "a", "input": "x"}, {"id": "b", "input": "y"})
    assert [(case.id, case.source) for case in load_cases("data/tickets.jsonl")] == [
        ("a", "data/tickets.jsonl:1"),
        ("b", "data/tickets.jsonl:2"),
    ]


def test_lists_functions_and_generators_are_datasets_too() -> None:
    write("a.jsonl", "hello")
    made = [Case(id="x", input="hello")]
    for source in (["hello"], ("hello",), lambda: ["hello"], (text for text in ["hello"]), lambda: "a.jsonl"):
        assert [case.input for case in load_cases(source)] == ["hello"]
    assert load_cases(made) == [Case(id="x", input="hello", source="cases: row 1")]


def test_loaded_cases_can_be_put_into_another_dataset() -> None:
    write("a.jsonl", {"id": "a", "input": "x", "tags": ["t"], "n": 1}, "y?")
    loaded = load_cases("a.jsonl")
    assert load_cases([*loaded, "more"])[:2] == loaded


def test_a_case_of_the_tests_own_may_name_a_picture_anywhere(project: Path) -> None:
    (project / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (project / "sub").mkdir()
    picture = str(project / "x.png")
    datasets, sub = Datasets(project / "sub"), project / "sub"
    assert datasets.cases([Case(id="a", input="x", images=(picture,))], sub)[0].images == (picture,)
    with pytest.raises(DatasetError, match="outside of the project"):
        datasets.cases([{"id": "a", "input": "x", "images": [picture]}], sub)


def test_all_bad_rows_are_told_at_once() -> None:
    write(
        "a.jsonl",
        {"id": "a", "input": 1},
        {"id": "b", "input": "x"},
        {"id": "b", "input": "y"},
        {"input": "z", "weight": 0},
    )
    error = refused("a.jsonl")
    assert str(error).splitlines() == [
        "a.jsonl: cases that cannot be used:",
        "  a.jsonl:1: input: should be text (it is 1). Put it in quotes",
        "  a.jsonl:4: weight: should be above 0 (it is 0)",
        "  a.jsonl:3: id: a.jsonl:2 has the id 'b' too. Change one of them",
    ]


def test_a_message_holds_twenty_faults_and_the_error_all_of_them() -> None:
    write("a.jsonl", *({"input": n} for n in range(25)))
    error = refused("a.jsonl")
    lines = str(error).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  and 5 more"
    assert len(error.faults) == 25
    assert error.faults[-1] == "a.jsonl:25: input: should be text (it is 24). Put it in quotes"


def test_a_row_without_input_is_a_fault_where_others_have_one() -> None:
    write("a.jsonl", {"input": "x"}, {"inptu": "y"}, {"messages": [{"role": "user", "content": "z"}]})
    assert refused("a.jsonl").faults == [
        "a.jsonl:2: input: is not there, and neither are messages, though other rows have them"
    ]


def test_tests_may_build_their_questions_from_other_fields_of_all_rows() -> None:
    write("a.jsonl", {"question": "x"}, {"question": "y"})
    assert [case.extra for case in load_cases("a.jsonl")] == [{"question": "x"}, {"question": "y"}]


@pytest.mark.parametrize("source", [[], list, lambda: iter([])])
def test_no_cases_are_an_error(source: Any) -> None:
    assert str(refused(source)).endswith(": there are no cases in it.")


def test_an_empty_file_is_an_error() -> None:
    Path("a.jsonl").write_text("\n", encoding="utf-8")
    assert str(refused("a.jsonl")) == "a.jsonl: there are no cases in it."


@pytest.mark.parametrize("source", [5, {"input": "x"}, b"x", None])
def test_a_source_that_is_none_is_refused(source: Any) -> None:
    assert "should be a path, a list of cases, or a function that returns one of the two" in str(refused(source))


def broken() -> list[str]:
    return [{"a": "b"}["c"]]


def test_a_function_that_fails_is_named_with_the_place() -> None:
    line = broken.__code__.co_firstlineno + 1
    assert str(refused(broken)) == f"broken(): it raised KeyError: 'c' (test_datasets.py, line {line})"


def test_rows_of_a_function_are_named_after_it() -> None:
    def tickets() -> list[dict[str, int]]:
        return [{"input": 1}]

    assert refused(tickets).faults[0].endswith("tickets(): row 1: input: should be text (it is 1). Put it in quotes")


def test_a_file_that_is_not_there_names_the_nearest() -> None:
    write("tickets.jsonl", "x")
    with pytest.raises(
        ConfigError, match=r"ticket\.jsonl: there is no such dataset in .*Did you mean 'tickets\.jsonl'\?"
    ):
        load_cases("ticket.jsonl")


def test_a_folder_is_no_dataset(project: Path) -> None:
    (project / "data.jsonl").mkdir()
    with pytest.raises(ConfigError, match=r"data\.jsonl: this is a folder, not a dataset\."):
        load_cases("data.jsonl")


def test_a_new_row_renames_no_other_wherever_it_stands() -> None:
    rows: list[Any] = [
        "Hello!",
        "Hello?",
        {"input": "hello"},
        {"input": "Hello", "context": "x"},
        "Where is my parcel?",
    ]
    ids = {case.input: case.id for case in load_cases(rows[1:])}
    for place in range(len(rows)):
        more = rows[1:]
        more.insert(place, rows[0])
        assert {case.input: case.id for case in load_cases(more)} | ids == {**ids, "Hello!": load_cases(rows[:1])[0].id}


def test_ids_are_unique_whatever_rows_there_are() -> None:
    rows: list[Any] = ["hello", "hello", {"id": "hello", "input": "x"}, "hello", {"input": "hello", "expected": "y"}]
    ids = [case.id for case in load_cases(rows)]
    assert len(set(ids)) == len(rows)
    assert ids[2] == "hello"


def test_a_dataset_is_loaded_once_a_session(project: Path) -> None:
    write("a.jsonl", "x")
    calls: list[int] = []

    def cases() -> list[str]:
        calls.append(1)
        return ["x"]

    datasets, rows = Datasets(project), ["y"]
    for source in ("a.jsonl", cases, rows):
        assert datasets.cases(source, project) is datasets.cases(source, project)
    assert datasets.cases(project / "a.jsonl", project / "sub") is datasets.cases("a.jsonl", project)
    assert calls == [1]


def test_a_dataset_that_is_wrong_is_wrong_each_time(project: Path) -> None:
    datasets = Datasets(project)
    for _ in range(2):
        with pytest.raises(DatasetError, match="there are no cases in it"):
            datasets.cases([], project)


def test_files_are_looked_for_beside_the_test_then_in_the_root(project: Path) -> None:
    write("a.jsonl", "root")
    write("tests/b.jsonl", "beside")
    write("b.jsonl", "root")
    datasets = Datasets(project)
    assert [datasets.cases(name, project / "tests")[0].input for name in ("a.jsonl", "b.jsonl")] == ["root", "beside"]
