from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_llmeval.casefiles import read_rows
from pytest_llmeval.errors import ConfigError


def read(folder: Path, name: str, content: str | bytes) -> list[tuple[str, Any]]:
    """Return where each row stands, and its data or what is wrong with it."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(row.where, row.faults or row.data) for row in read_rows(path, name)]


def refused(folder: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, name, content)
    return str(caught.value)


TWO = {
    "c.jsonl": '{"id": "a", "expected": {"day": "2024-01-02"}}\n\n{"id": "b", "tags": ["x"]}\n',
    "c.ndjson": '{"id": "a", "expected": {"day": "2024-01-02"}}\r\n\r\n{"id": "b", "tags": ["x"]}',
    "c.json": '[{"id": "a",\n "expected": {"day": "2024-01-02"}}, \n {"id": "b", "tags": ["x"]}]',
    "c.yaml": "- id: a\n  expected: {day: 2024-01-02}\n- id: b\n  tags:\n  - x\n",
    "c.yml": "cases:\n- id: a\n  expected: {day: '2024-01-02'}\n- {id: b, tags: [x]}\nother: [1]\n",
    "c.toml": '[[cases]]\nid = "a"\nexpected = {day = 2024-01-02}\n\n[[cases]]\nid = "b"\ntags = ["x"]\n',
}
LINES = {"c.jsonl": (1, 3), "c.ndjson": (1, 3), "c.json": (1, 3), "c.yaml": (1, 3), "c.yml": (2, 4), "c.toml": (1, 5)}


@pytest.mark.parametrize("name", TWO)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_each_format_gives_the_same_rows_with_their_lines(tmp_path: Path, name: str, mark: bytes) -> None:
    first, second = LINES[name]
    assert read(tmp_path, name, mark + TWO[name].encode()) == [
        (f"{name}:{first}", {"id": "a", "expected": {"day": "2024-01-02"}}),
        (f"{name}:{second}", {"id": "b", "tags": ["x"]}),
    ]


def test_json_may_hold_the_list_among_other_things(tmp_path: Path) -> None:
    text = '{"about": {"cases": [1, 2]},\n "cases":\n [ {"id": "a"},\n\n "text" ], "end": []}'
    assert read(tmp_path, "c.json", text) == [("c.json:3", {"id": "a"}), ("c.json:5", "text")]


def test_a_table_of_toml_that_is_written_inline_has_numbers_for_lines(tmp_path: Path) -> None:
    text = 'cases = [{id = "a"}, {id = "b", note = """\n[[cases]]\n"""}]'
    assert [where for where, _ in read(tmp_path, "c.toml", text)] == ["c.toml: row 1", "c.toml: row 2"]


def test_a_line_of_text_may_hold_other_ends_of_lines(tmp_path: Path) -> None:
    assert read(tmp_path, "c.jsonl", '{"a": "x\u2028y\x85z"}\n"b"') == [
        ("c.jsonl:1", {"a": "x\u2028y\x85z"}),
        ("c.jsonl:2", "b"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"a": 1', "not JSON: Expecting ',' delimiter at column 8."),
        ('{"a": NaN}', "not JSON: NaN is no number of JSON."),
        ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice in one object. Keep one of them."),
        ('{"a": {"b": 1, "b": 1}}', "'b' stands twice in one object. Keep one of them."),
        ("1" * (sys.get_int_max_str_digits() + 1), "a number of more digits than can be read."),
        ("[" * 100_000, "nested too deeply."),
    ],
)
def test_a_broken_line_of_jsonl_leaves_the_others(tmp_path: Path, line: str, reason: str) -> None:
    assert read(tmp_path, "c.jsonl", f"1\n{line}\n2") == [("c.jsonl:1", 1), ("c.jsonl:2", (reason,)), ("c.jsonl:3", 2)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.json", '[{"a": 1},\n {"b" 2}]', "c.json:2: not JSON: Expecting ':' delimiter at column 7."),
        ("c.json", '[{"a": 1, "a": 2}]', "c.json: 'a' stands twice in one object. Keep one of them."),
        ("c.json", '{"case": []}', "c.json: holds no list 'cases' (it holds: case). Give the list of cases that name."),
        ("c.json", '{"cases": {}}', "c.json: should be a list of cases, or an object with a list 'cases' (it is {})."),
        ("c.json", "3", "c.json: should be a list of cases, or an object with a list 'cases' (it is 3)."),
        ("c.yaml", "- a: [1\n- b: 2\n", "c.yaml:2: not YAML: did not find expected ',' or ']'."),
        ("c.yaml", "- {a: 1, a: 2}", "c.yaml:1: not YAML: 'a' stands here a second time."),
        ("c.yaml", "a: 1\n---\nb: 2", "c.yaml:2: not YAML: a second document begins here."),
        ("c.yaml", "- a\n- b: \x07", "c.yaml: not YAML: "),
        ("c.toml", '[[cases]]\nid = "a\n', "c.toml:2: not TOML: Illegal character '\\n'."),
        ("c.toml", "[[cases]]\nid = 1\nid = 2\n", "c.toml:3: not TOML: Cannot overwrite a value."),
        ("c.csv", 'a,b\n1,"2\n3', "c.csv:3: not CSV: unexpected end of data."),
        ("c.csv", 'a,b\n1,2\n"x"y,2\n', "c.csv:3: not CSV: ',' expected after '\"'."),
        ("c.csv", "a,b,a\n1,2,3\n", "c.csv:1: two columns are named 'a'. Keep one of them."),
        ("c.csv", "a,b.\n1,2\n", "c.csv:1: the column 'b.' has a dot with no name beside it."),
    ],
)
def test_a_file_that_is_not_what_its_suffix_says_is_refused_with_its_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    assert refused(tmp_path, name, text).startswith(message)


def test_yaml_of_a_stranger_runs_no_code(tmp_path: Path) -> None:
    message = refused(tmp_path, "c.yaml", "- input: a\n- !!python/object/apply:os.system [touch pwned]\n")
    assert message.startswith("c.yaml:2: not YAML: tag 'tag:yaml.org,2002:python/object/apply:os.system'")


@pytest.mark.parametrize(
    ("value", "kind"), [("no", "boolean"), ("On", "boolean"), ("12:30", "number"), ("0123", "number")]
)
def test_yaml_that_is_other_than_it_looks_is_a_fault_of_its_row(tmp_path: Path, value: str, kind: str) -> None:
    rows = read(tmp_path, "c.yaml", f"- input: a\n- input: b\n  expected:\n    x: {value}\n- expected: '{value}'\n")
    assert rows == [
        ("c.yaml:1", {"input": "a"}),
        ("c.yaml:2", (f"line 4: YAML takes {value} for a {kind}. Put it in quotes.",)),
        ("c.yaml:5", {"expected": value}),
    ]


def test_true_and_false_are_what_they_look_like_in_yaml(tmp_path: Path) -> None:
    assert read(tmp_path, "c.yaml", "- a: true\n  b: 12\n  c: 0\n  d: 1.5\n") == [
        ("c.yaml:1", {"a": True, "b": 12, "c": 0, "d": 1.5})
    ]


@pytest.mark.parametrize("name", ["c.jsonl", "c.yaml", "c.csv", "c.toml", "c.json"])
@pytest.mark.parametrize("text", ["", " \n\n"])
def test_an_empty_file_has_no_rows(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, name, text) == []


@pytest.mark.parametrize(
    ("name", "text"), [("c.json", "[]"), ("c.yaml", "cases: []"), ("c.yml", "# none\n"), ("c.csv", "id,input\n")]
)
def test_an_empty_list_has_no_rows(tmp_path: Path, name: str, text: str) -> None:
    assert read(tmp_path, name, text) == []


def test_a_file_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    message = refused(tmp_path, "c.csv", "id,input\n1,a\n2,café\n".encode("latin-1"))
    assert message == "c.csv:3: not UTF-8 (byte 0xe9). Save the file as UTF-8."


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("c.jsonlines", "c.jsonlines: the suffix .jsonlines stands for no format of cases. Did you mean '.jsonl'?"),
        ("c.xlsx", "c.xlsx: the suffix .xlsx stands for no format of cases. Known formats: .jsonl, "),
        ("cases", "cases: the name has no suffix that says the format. Known formats: .jsonl, "),
    ],
)
def test_a_format_that_nobody_knows_is_refused(tmp_path: Path, name: str, message: str) -> None:
    assert refused(tmp_path, name, "").startswith(message)


def test_columns_with_dots_nest_and_empty_cells_are_absent(tmp_path: Path) -> None:
    text = 'id,expected.name,expected.address.city,customer.tier,note\n1,John,Rome,gold,\n2,,Oslo,," "\n\n,,,,\n'
    assert read(tmp_path, "c.csv", text) == [
        (
            "c.csv:2",
            {"id": "1", "expected": {"name": "John", "address": {"city": "Rome"}}, "customer": {"tier": "gold"}},
        ),
        ("c.csv:3", {"id": "2", "expected": {"address": {"city": "Oslo"}}}),
    ]


def test_cells_may_go_over_lines_and_a_row_stands_where_it_begins(tmp_path: Path) -> None:
    text = 'id,input\r\n1,"a\r\n\r\nb"\r\n2,"say ""hi"""\r\n'
    assert read(tmp_path, "c.csv", text) == [
        ("c.csv:2", {"id": "1", "input": "a\n\nb"}),
        ("c.csv:5", {"id": "2", "input": 'say "hi"'}),
    ]


def test_cells_hold_json_where_that_can_be_meant(tmp_path: Path) -> None:
    text = (
        "input,expected,messages,max_tokens,weight\n"
        '{a},"{""x"": [1]}","[{""role"": ""user""}]",20,1.5\n'
        "[b],plain,,many,2\n"
        'c,"{x","[1",,\n'
    )
    hint = "A cell that begins with [ or { is read as JSON."
    assert read(tmp_path, "c.csv", text) == [
        (
            "c.csv:2",
            {"input": "{a}", "expected": {"x": [1]}, "messages": [{"role": "user"}], "max_tokens": 20, "weight": 1.5},
        ),
        ("c.csv:3", {"input": "[b]", "expected": "plain", "max_tokens": "many", "weight": 2}),
        (
            "c.csv:4",
            (f"expected: not JSON: Expecting property name enclosed in double quotes at column 2. {hint}",),
        ),
    ]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_spreadsheets_may_write_other_marks_than_commas(tmp_path: Path, mark: str) -> None:
    assert read(tmp_path, "c.csv", f'id{mark}input\n1{mark}"a, b"\n') == [("c.csv:2", {"id": "1", "input": "a, b"})]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,2,3", "3 cells, where the header names 2 columns. Put cells that hold one in quotes."),
        ("1", "1 cells, where the header names 2 columns."),
    ],
)
def test_a_row_with_other_cells_than_the_header_is_a_fault(tmp_path: Path, row: str, reason: str) -> None:
    assert read(tmp_path, "c.csv", f"a,b\n{row}\n1,2\n") == [("c.csv:2", (reason,)), ("c.csv:3", {"a": "1", "b": "2"})]


def test_columns_that_contradict_each_other_are_a_fault_where_both_have_a_value(tmp_path: Path) -> None:
    rows = read(tmp_path, "c.csv", "expected,expected.name\nx,\n,y\nx,y\n")
    assert [data for _, data in rows] == [
        {"expected": "x"},
        {"expected": {"name": "y"}},
        ("expected.name: another column has a value where this one belongs. Empty one of them.",),
    ]


def test_a_value_in_a_column_without_a_name_is_a_fault(tmp_path: Path) -> None:
    assert [data for _, data in read(tmp_path, "c.csv", "a,\n1,\n1,2\n")] == [
        {"a": "1"},
        ("the cell '2' stands in a column without a name.",),
    ]


def test_a_cell_may_be_longer_than_pythons_csv_takes_and_the_limit_stays(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    long = "x" * (limit + 1)
    assert read(tmp_path, "c.csv", f"input\n{long}\n") == [("c.csv:2", {"input": long})]
    assert csv.field_size_limit() == limit


def test_control_characters_are_data(tmp_path: Path) -> None:
    assert read(tmp_path, "c.csv", "input\na\x1b[31m\x00b\n") == [("c.csv:2", {"input": "a\x1b[31m\x00b"})]
    assert read(tmp_path, "c.jsonl", '{"input": "\\u001b[31m\\u0000"}') == [("c.jsonl:1", {"input": "\x1b[31m\x00"})]
