"""Prompts that live in files, and templates that a case fills: what is sent, what is recorded, what is refused."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.test_cases import write_tickets

SYSTEM = "Sort messages about {{ topic }}.\nAnswer with one word.\n"
ASK = """
import pytest

@pytest.mark.llm_cases("tickets.jsonl", system="@prompts/sort.md", prompt="Message {{ id }}: {{ input }}")
def test_ticket(llm, llm_case):
    llm.complete(llm_case)
"""
TICKETS: tuple[dict[str, Any], ...] = (
    {"id": "late", "input": "Where is it?", "topic": "parcels"},
    {"id": "door", "input": "Is it {{ topic }}?", "topic": "{{ input }}"},
)


@pytest.fixture
def prompts(project: Project) -> Project:
    """A project whose test has its prompts in a file and in a template."""
    write_tickets(project, *TICKETS)
    project.write(SYSTEM, "prompts/sort.md")
    project.write(ASK)
    return project


def asked(project: Project) -> list[tuple[str, str]]:
    """Return system and user text of each request."""
    return [(body["messages"][0]["content"], body["messages"][-1]["content"]) for body in project.server.asked]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_files_and_templates_become_the_request(prompts: Project) -> None:
    prompts.outcomes(passed=2)
    assert asked(prompts) == [
        ("Sort messages about parcels.\nAnswer with one word.", "Message late: Where is it?"),
        ("Sort messages about {{ input }}.\nAnswer with one word.", "Message door: Is it {{ topic }}?"),
    ]


@pytest.mark.parametrize("args", [[], ["-n2"]], ids=["one process", "xdist"])
def test_the_record_has_each_file_with_its_hash(prompts: Project, args: list[str]) -> None:
    prompts.outcomes(*args, passed=2)
    assert [test.prompts for test in prompts.records().tests] == [{"prompts/sort.md": sha256(SYSTEM)}] * 2
    prompts.outcomes(*args, "--llm-record=none", passed=2)
    assert [test.prompts for test in prompts.records().tests] == [{"prompts/sort.md": sha256(SYSTEM)}] * 2


def test_an_edited_prompt_makes_recordings_stale(prompts: Project) -> None:
    prompts.outcomes(passed=2)
    prompts.write(SYSTEM.replace("one word", "two words"), "prompts/sort.md")
    result = prompts.outcomes("--llm-record=none", failed=2)
    result.stdout.fnmatch_lines(["  messages?0?.content: *Answer with [[]-one word.-] {+two words.+}"])
    assert [test.prompts for test in prompts.records().tests] == [
        {"prompts/sort.md": sha256(SYSTEM.replace("one word", "two words"))}
    ] * 2


def test_ends_of_lines_make_no_recording_stale(prompts: Project) -> None:
    prompts.outcomes(passed=2)
    (prompts.path / "prompts" / "sort.md").write_bytes(SYSTEM.replace("\n", "\r\n").encode())
    prompts.outcomes("--llm-record=none", passed=2)


def test_calls_and_defaults_name_files_too(project: Project) -> None:
    project.write("Be brief.\n", "tests/prompts/brief.md")
    project.write("Say {{ input }}.", "say.md")
    test = """
        import pytest
        from pytest_llmeval import load_cases

        @pytest.mark.llm_params(system="@prompts/brief.md", prompt="@say.md")
        def test_params(llm):
            (case,) = load_cases(["hello"])
            llm.complete("@prompts/brief.md {{ input }}")
            llm.complete(case)
            llm.complete(case, prompt="Sing {{ input }}.", system="@@you")
            llm.complete("text", system="Use {{ braces }}.")
    """
    project.write(test, "tests/test_params.py")
    project.outcomes(passed=1)
    assert asked(project) == [
        ("Be brief.", "@prompts/brief.md {{ input }}"),
        ("Be brief.", "Say hello."),
        ("@you", "Sing hello."),
        ("Use {{ braces }}.", "text"),
    ]
    assert project.records().tests[0].prompts == {
        "tests/prompts/brief.md": sha256("Be brief.\n"),
        "say.md": sha256("Say {{ input }}."),
    }


def test_coroutines_ask_cases_too(project: Project) -> None:
    project.write("""
        import asyncio
        from pytest_llmeval import load_cases

        def test_async(llm):
            (case,) = load_cases(["hello"])
            reply = asyncio.run(llm.acomplete(case, prompt="Say {{ input }}."))
            assert reply.json()["echo"] == "Say hello."
    """)
    project.outcomes(passed=1)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        (
            "a {{ tpic }}",
            "  prompt:1: 'tpic' is undefined. Did you mean 'topic'? The fields of case late *(1 other case too)",
        ),
        ("{{ expected }}", "  prompt: it uses 'expected', which prompts do not get: *(1 other case too)"),
        (
            "{{ input.__class__ }}",
            "  prompt:1: access to attribute '__class__' of 'str' object is unsafe (SecurityError).*",
        ),
        ("{% if %}", "  prompt:1: no template of Jinja2: *"),
        (
            "@prompts/srt.md",
            "  prompt='@prompts/srt.md': *there is no such prompt in *Did you mean 'sort.md'? For text *",
        ),
    ],
)
def test_a_prompt_that_cannot_be_made_is_told_before_anything_is_asked(
    prompts: Project, prompt: str, said: str
) -> None:
    prompts.write(ASK.replace("Message {{ id }}: {{ input }}", prompt))
    result = prompts.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_ticket: cases that cannot be asked:", said])
    assert prompts.server.asked == []


def test_a_fault_in_a_file_is_told_with_its_line(prompts: Project) -> None:
    prompts.write("Sort.\n\nAbout {{ tpic }}.\n", "prompts/sort.md")
    prompts.run().stdout.fnmatch_lines(["  prompts/sort.md:3: 'tpic' is undefined. Did you mean 'topic'? *"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("case, prompt='{{ inptu }}'", "prompt:1: 'inptu' is undefined. Did you mean 'input'?"),
        ("case, system='@no.md'", "system='@no.md': no.md: there is no such prompt in "),
        ("turns, prompt='{{ id }}'", "case turns (cases: row 2) has messages, and prompt= makes one of its own."),
        (
            "'text', system='@template.md'",
            "template.md:1: 'input' is undefined. There is no case here to fill it from.",
        ),
    ],
)
def test_a_call_that_cannot_be_made_is_an_error_and_says_nothing_of_quality(
    project: Project, call: str, said: str
) -> None:
    project.write("{{ input }}", "template.md")
    project.write(f"""
        from pytest_llmeval import load_cases

        def test_call(llm):
            case, turns = load_cases([
                {{"id": "a", "input": "x"}}, {{"id": "turns", "messages": [{{"role": "user", "content": "x"}}]}}
            ])
            llm.complete({call})
    """)
    project.outcomes(failed=1)
    (record,) = project.records().tests
    assert (record.outcome, record.score) == ("error", None)
    assert (record.message or "").startswith(said)
    assert project.server.asked == []


def test_a_prompt_without_a_case_is_refused(project: Project) -> None:
    project.write("def test_call(llm): llm.complete('Hi', prompt='{{ input }}')")
    result = project.outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TypeError: complete(prompt=...) is made of a Case: complete(case, prompt=...)*"])


def test_rows_may_have_other_fields_alone_where_a_prompt_is_made_of_them(project: Project) -> None:
    project.write(json.dumps([{"id": "a", "question": "Who?", "context": "A book."}]), "c.json")
    project.write("""
        import pytest

        @pytest.mark.llm_cases("c.json", prompt="{{ context }} {{ question }}")
        def test_case(llm, llm_case): llm.complete(llm_case)
    """)
    project.outcomes(passed=1)
    assert project.server.asked[0]["messages"] == [{"role": "user", "content": "A book. Who?"}]
