"""Cases become tests: their ids and order, tags, requests, pictures; what stays recorded when a dataset changes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Project

ASK = """
import pytest

@pytest.mark.llm_cases("tickets.jsonl", max_tokens=20)
def test_ticket(llm, llm_case):
    llm.complete(llm_case)
"""
TICKETS: tuple[dict[str, Any], ...] = (
    {"id": "damaged", "input": "My order arrived damaged.", "expected": "complaint", "tags": ["orders", "urgent"]},
    {"id": "late", "input": "Where is it?", "expected": "delivery", "tags": ["orders"], "weight": 2},
    {"input": "I cannot sign in!", "expected": "account"},
)
UNNAMED = "i-cannot-sign-in-8f9ed3fb"


def write_tickets(project: Project, *rows: Any, name: str = "tickets.jsonl") -> Path:
    return project.write("".join(f"{json.dumps(row)}\n" for row in rows or TICKETS), name)


@pytest.fixture
def tickets(project: Project) -> Project:
    """A project with a dataset and a test that asks each case."""
    project.add_model("other", 'model = "openai:other"')
    write_tickets(project)
    project.write(ASK)
    return project


def names(result: pytest.RunResult) -> list[str]:
    """Return the ids of the tests that passed, in their order, without the file."""
    return [line.split(" ")[0].rpartition("::")[2] for line in result.outlines if " PASSED " in line]


def questions(project: Project) -> list[Any]:
    """Return what the server was asked, the last message of each request."""
    return [body["messages"][-1]["content"] for body in project.server.asked]


def test_each_case_is_a_test_candidate_by_candidate_in_order_of_the_file(tickets: Project) -> None:
    result = tickets.run("-v", models="other,chat")
    assert names(result) == [
        *("test_ticket[other-damaged]", "test_ticket[other-late]", f"test_ticket[other-{UNNAMED}]"),
        *("test_ticket[chat-damaged]", "test_ticket[chat-late]", f"test_ticket[chat-{UNNAMED}]"),
    ]
    assert questions(tickets) == [row["input"] for row in TICKETS] * 2
    assert {body["max_tokens"] for body in tickets.server.asked} == {20}


def test_each_case_has_a_recording_of_its_own_name(tickets: Project) -> None:
    tickets.outcomes(passed=3)
    folder = "llm_cassettes/test_chat/chat"
    assert tickets.recordings() == [f"{folder}/test_ticket[{case}].yaml" for case in ("damaged", UNNAMED, "late")]
    tickets.stop_server()
    tickets.outcomes("--llm-record=none", passed=3)


def test_a_case_can_be_run_alone_by_its_node_id(tickets: Project) -> None:
    tickets.outcomes("test_chat.py::test_ticket[chat-late]", passed=1)
    assert questions(tickets) == ["Where is it?"]


@pytest.mark.parametrize(
    ("args", "selected"),
    [
        (["-m", "orders"], ["damaged", "late"]),
        (["-m", "orders and not urgent"], ["late"]),
        (["-m", "not orders"], [UNNAMED]),
        (["-k", "urgent"], ["damaged"]),
        (["-k", "damaged or sign-in"], ["damaged", UNNAMED]),
    ],
)
def test_tags_select(tickets: Project, args: list[str], selected: list[str]) -> None:
    result = tickets.run("-v", "--strict-markers", "-Werror", *args)
    assert names(result) == [f"test_ticket[chat-{case}]" for case in selected]


def test_the_record_knows_the_case(tickets: Project) -> None:
    tickets.outcomes(passed=3)
    records = sorted(tickets.records().tests, key=lambda test: test.weight)
    assert [(test.case, test.tags, test.weight) for test in records] == [
        ("damaged", ["orders", "urgent"], 1.0),
        (UNNAMED, [], 1.0),
        ("late", ["orders"], 2.0),
    ]


def test_workers_of_xdist_have_the_same_cases(tickets: Project) -> None:
    tickets.run("-n2").assert_outcomes(passed=3)
    assert sorted(test.case or "" for test in tickets.records().tests) == ["damaged", UNNAMED, "late"]
    assert sorted(questions(tickets)) == sorted(row["input"] for row in TICKETS)
    tickets.stop_server()
    tickets.run("-n2", "--llm-record=none").assert_outcomes(passed=3)


def test_without_a_candidate_a_test_runs_once_per_case(project: Project) -> None:
    write_tickets(project)
    project.write("""
        import pytest
        from pytest_llmeval import Case

        @pytest.mark.llm_cases("tickets.jsonl")
        def test_case(llm_case):
            assert isinstance(llm_case, Case)
            assert llm_case.expected in ("complaint", "delivery", "account")
    """)
    result = project.run("-v", models=None)
    assert names(result) == ["test_case[damaged]", "test_case[late]", f"test_case[{UNNAMED}]"]


def test_a_fixture_may_take_the_case(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.fixture
        def question(llm_case): return llm_case.input

        @pytest.mark.llm_cases(["a?", "b?"])
        @pytest.mark.parametrize("n", [1, 2])
        def test_case(question, n): assert question in ("a?", "b?")
    """)
    project.outcomes(models=None, passed=4)


def test_a_marker_of_the_module_is_for_the_tests_that_take_a_case(project: Project) -> None:
    project.write("""
        import pytest
        pytestmark = pytest.mark.llm_cases(["a", "b"])

        def test_module(llm_case): pass
        def test_plain(): pass

        @pytest.mark.llm_cases(["c"])
        class TestAll:
            def test_class(self, llm_case): pass

            @pytest.mark.llm_cases(["d", "e", "f"])
            def test_own(self, llm_case): pass
    """)
    result = project.run("-v", models=None)
    assert names(result) == [
        *("test_module[a]", "test_module[b]", "test_plain", "test_class[c]"),
        *("test_own[d]", "test_own[e]", "test_own[f]"),
    ]


def test_a_dataset_is_loaded_once_however_many_tests_use_it(project: Project) -> None:
    project.write("""
        from pathlib import Path
        import pytest

        def cases():
            with Path("loaded").open("a") as file:
                file.write("x")
            return ["a", "b"]

        @pytest.mark.llm_cases(source=cases)
        def test_one(llm_case): pass

        @pytest.mark.llm_cases(cases, max_tokens=5)
        def test_two(llm_case): pass
    """)
    project.outcomes(models=None, passed=4)
    assert (project.path / "loaded").read_text() == "x"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.csv", "id,input,expected.topic\nx,Where is it?,delivery\n"),
        ("c.json", '[{"id": "x", "input": "Where is it?", "expected": {"topic": "delivery"}}]'),
        ("c.yaml", "- id: x\n  input: Where is it?\n  expected: {topic: delivery}\n"),
        ("c.toml", '[[cases]]\nid = "x"\ninput = "Where is it?"\nexpected.topic = "delivery"\n'),
    ],
)
def test_a_dataset_may_have_any_format_and_stand_in_the_root(project: Project, name: str, text: str) -> None:
    project.write(text, name)
    test = f"""
        import pytest

        @pytest.mark.llm_cases("{name}")
        def test_case(llm, llm_case):
            assert llm_case.expected == {{"topic": "delivery"}}
            assert llm.complete(llm_case).json()["echo"] == "Where is it?"
    """
    project.write(test, "tests/test_case.py")
    project.outcomes(passed=1)


PRECEDENCE = """
import pytest

@pytest.mark.llm_params(system="params", max_tokens=1, stop="params", seed=1)
@pytest.mark.llm_cases("tickets.jsonl", system="marker", max_tokens=2, stop="marker")
def test_ticket(llm, llm_case):
    llm.complete(llm_case{call})
    llm.complete("more")
"""


def test_what_a_case_says_goes_before_the_call_the_marker_and_the_defaults(project: Project) -> None:
    write_tickets(project, {"id": "own", "input": "x", "system": "own", "max_tokens": 4}, {"id": "all", "input": "x"})
    project.write(PRECEDENCE.format(call=', system="call"'))
    project.outcomes(passed=2)
    said = [
        (body["messages"][0]["content"], body["max_tokens"], body["stop"], body["seed"])
        for body in project.server.asked
    ]
    more = ("params", 1, "params", 1)
    assert said == [("own", 4, "marker", 1), more, ("call", 2, "marker", 1), more]


def test_what_a_case_has_a_schema_for_is_asked_for(project: Project) -> None:
    schema = {"type": "object", "properties": {"echo": {"type": "string"}}, "required": ["echo"]}
    project.write(json.dumps(schema), "data/echo.schema.json")
    write_tickets(
        project,
        {"id": "file", "input": "x", "schema": "echo.schema.json"},
        {"id": "no", "input": "y"},
        name="data/c.jsonl",
    )
    project.write(ASK.replace("tickets.jsonl", "data/c.jsonl"))
    project.outcomes(passed=2)
    file, no = project.server.asked
    assert file["response_format"]["json_schema"]["schema"]["properties"] == schema["properties"]
    assert "response_format" not in no


def test_several_cases_are_asked_at_once_and_each_replays_its_own_answer(project: Project) -> None:
    write_tickets(project, *({"id": f"n{n}", "input": f"question {n % 2}", "expected": n} for n in range(24)))
    project.write("""
        from pathlib import Path
        from pytest_llmeval import load_cases

        def test_all(llm):
            cases = load_cases("tickets.jsonl")
            replies = [reply.json() for reply in llm.complete_many(cases, concurrency=8, prompt="{{ input }}?")]
            assert [reply["echo"] for reply in replies] == [f"{case.input}?" for case in cases]
            numbers = Path("numbers")
            if not numbers.exists():
                numbers.write_text(str(replies))
            assert numbers.read_text() == str(replies)
    """)
    project.outcomes(passed=1)
    project.stop_server()
    for _ in range(3):
        project.outcomes("--llm-record=none", passed=1)


def test_an_answer_can_be_corrected_and_a_row_inserted_without_a_new_recording(tickets: Project) -> None:
    rows = [
        {"input": "Where is my parcel?", "expected": "x"},
        {"input": "Where is it!"},
        "Where is it?",
        "Where is it?",
    ]
    write_tickets(tickets, *rows)
    tickets.outcomes(passed=4)
    rows[0] = {"input": "Where is my parcel?", "expected": "delivery", "tags": ["orders"], "weight": 3}
    rows.insert(0, "Where is it")
    write_tickets(tickets, *rows)
    result = tickets.run("-v", "--llm-record=none")
    result.assert_outcomes(passed=4, failed=1)
    assert len(tickets.server.asked) == 4


PNG = b"\x89PNG\r\n\x1a\n and the rest"
PICTURES = """
import pytest

@pytest.mark.llm_cases("data/cats.jsonl")
def test_cat(llm, llm_case):
    llm.complete(llm_case)
"""


@pytest.fixture
def cats(project: Project) -> Project:
    """A project whose cases have pictures beside the input, and in messages."""
    base_url = project.server.url.removesuffix("/v1")
    project.add_settings(f'[tool.llmeval.models.claude]\nmodel = "anthropic:claude"\nbase_url = "{base_url}"')
    turns = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "A cat?"}, {"type": "image", "path": "pictures/cat.png"}],
        },
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Which?"},
    ]
    rows = (
        {"id": "one", "input": "What?", "images": ["pictures/cat.png", "https://x.org/cat.png"]},
        {"id": "two", "messages": turns},
    )
    write_tickets(project, *rows, name="data/cats.jsonl")
    project.write(PICTURES)
    picture = project.path / "data" / "pictures" / "cat.png"
    picture.parent.mkdir()
    picture.write_bytes(PNG)
    return project


def test_pictures_reach_openai(cats: Project) -> None:
    cats.outcomes(passed=2)
    one, two = (body["messages"] for body in cats.server.asked)
    url = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    part = {"type": "image_url", "image_url": {"url": url}}
    other = {"type": "image_url", "image_url": {"url": "https://x.org/cat.png"}}
    assert one == [{"role": "user", "content": [part, other, {"type": "text", "text": "What?"}]}]
    assert two == [
        {"role": "user", "content": [{"type": "text", "text": "A cat?"}, part]},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Which?"},
    ]


def test_pictures_reach_anthropic(cats: Project) -> None:
    cats.outcomes(models="claude", passed=2)
    one, two = (body["messages"] for body in cats.server.asked)
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
    part = {"type": "image", "source": source}
    other = {"type": "image", "source": {"type": "url", "url": "https://x.org/cat.png"}}
    assert one[0]["content"] == [part, other, {"type": "text", "text": "What?"}]
    assert two[0]["content"] == [{"type": "text", "text": "A cat?"}, part]


@pytest.mark.parametrize("models", ["chat", "claude"])
def test_another_picture_makes_the_recording_stale(cats: Project, models: str) -> None:
    cats.outcomes(models=models, passed=2)
    cats.stop_server()
    cats.outcomes("--llm-record=none", models=models, passed=2)
    (cats.path / "data" / "pictures" / "cat.png").write_bytes(PNG + b"!")
    result = cats.outcomes("--llm-record=none", models=models, failed=2)
    result.stdout.fnmatch_lines(["*[[]one].yaml is stale: it has no recording of this request."])


HOSTILE = [
    {"id": "control", "input": "a\x1b[31m\x00\r\nb\u202e", "expected": "x"},
    {
        "id": "template",
        "input": "{{ 7 * 7 }} {% for x in y %} {{ ''.__class__ }}",
        "system": "{{ system }} @prompts/x.md",
    },
    {"id": "file", "input": "@/etc/passwd", "system": "@/etc/passwd"},
    {"id": "[odd] id/../..\\x", "input": "x", "note": "{{ input.__class__ }}"},
    {"input": "::[x]../../\x1b]0;title\x07 \u202e"},
]


def test_hostile_rows_are_data_and_nothing_else(project: Project) -> None:
    write_tickets(project, *HOSTILE)
    project.write("""
        import pytest

        @pytest.mark.llm_cases("tickets.jsonl", prompt="<{{ input }}>{{ note | default('') }}")
        def test_ticket(llm, llm_case):
            llm.complete(llm_case)
            assert llm_case.id == "", str(llm_case)
    """)
    result = project.run("-v", "-rA")
    result.assert_outcomes(failed=5)
    assert questions(project) == [f"<{row['input']}>{row.get('note', '')}" for row in HOSTILE]
    systems = [body["messages"][0]["content"] for body in project.server.asked[1:3]]
    assert systems == ["{{ system }} @prompts/x.md", "@/etc/passwd"]
    said = result.stdout.str()
    assert not any(char in said for char in "\x1b\x00\x07\u202e")
    assert all(path.startswith("llm_cassettes/test_chat/chat/test_ticket[") for path in project.recordings())
    assert len(project.recordings()) == 5
    project.stop_server()
    project.run("--llm-record=none")
    assert not any("stale" in (test.message or "") for test in project.records().tests)
