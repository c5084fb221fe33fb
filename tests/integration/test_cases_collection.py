"""What is wrong with a dataset, a marker or a prompt is told when tests are collected, all of it at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.conftest import Project

TAKES = """
import pytest

@pytest.mark.llm_cases({source})
def test_case(llm_case): pass
"""


def write_rows(project: Project, *rows: Any) -> None:
    project.write("".join(f"{json.dumps(row)}\n" for row in rows), "c.jsonl")


def refused(project: Project, test: str, *args: str, models: str | None = None) -> list[str]:
    """Return what a collection that fails says, without pytest's frame."""
    project.write(test)
    result = project.run(*args, models=models)
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "Traceback" not in result.stdout.str()
    start = next(n for n, line in enumerate(result.outlines) if "ERROR collecting" in line)
    return result.outlines[start + 1 : result.outlines.index("", start) if "" in result.outlines[start:] else None]


def test_all_bad_rows_are_listed_with_file_line_field_value_and_fix(project: Project) -> None:
    write_rows(project, {"id": "a", "input": 1}, {"id": "b", "input": "x", "weight": 0, "tags": ["skip"]}, "good")
    said = refused(project, TAKES.format(source="'c.jsonl'"))
    assert said[:4] == [
        "c.jsonl: cases that cannot be used:",
        "  c.jsonl:1: input: should be text (it is 1). Put it in quotes",
        "  c.jsonl:2: tags[0]: this is a marker that does something. Choose another word (it is 'skip')",
        "  c.jsonl:2: weight: should be above 0 (it is 0)",
    ]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("'d.jsonl'", "d.jsonl: there is no such dataset in *. Did you mean 'c.jsonl'?"),
        ("'c.txt'", "c.txt: there is no such dataset in *"),
        ("[]", "cases: there are no cases in it."),
        ("lambda: []", "*<lambda>(): there are no cases in it."),
        ("5", "cases: should be a path, a list of cases, or a function that returns one of the two (it is 5)."),
        ("lambda: 1 / 0", "<lambda>(): it raised ZeroDivisionError: division by zero (test_chat.py, line 4)"),
        ("", "test_case llm_cases takes one dataset: llm_cases('cases.jsonl', system='...'); it was given nothing."),
        ("['a'], ['b']", "test_case llm_cases takes one dataset: *; it was given ?'a'?, ?'b'?."),
        ("['a'], source=['b']", "test_case llm_cases takes one dataset: *; it was given ?'a'?, ?'b'?."),
        ("['a'], model='x'", "test_case llm_cases takes no 'model': candidates say whom a test asks, *"),
        ("['a'], prompt=5", "test_case: cases that cannot be asked:"),
        ("[{'id': 'a', 'input': 'x', 'images': ['no.png']}]", "cases: cases that cannot be used:"),
    ],
)
def test_a_source_that_cannot_be_used_is_told(project: Project, source: str, said: str) -> None:
    write_rows(project, "x")
    project.write(TAKES.format(source=source))
    result = project.run(models=None)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([said])


def test_a_marker_twice_on_one_test_is_refused(project: Project) -> None:
    said = refused(project, TAKES.format(source="['a']").replace("def ", "@pytest.mark.llm_cases(['b'])\ndef "))
    assert said[0] == ("test_case has the marker llm_cases twice. Put all cases into one dataset, or write two tests.")


def test_a_marker_on_a_test_that_takes_no_case_is_refused(project: Project) -> None:
    said = refused(project, TAKES.format(source="['a']").replace("llm_case)", ")"))
    assert said[0] == "test_case has the marker llm_cases and takes neither llm_case nor llm_reply."


def test_a_case_without_a_marker_is_refused(project: Project) -> None:
    said = refused(project, "def test_case(llm_case): pass")
    assert said[0] == "test_case takes llm_case and has no dataset: @pytest.mark.llm_cases('cases.jsonl')."


def test_a_case_that_nobody_can_ask_is_refused_where_it_is_to_be_asked_as_declared(project: Project) -> None:
    write_rows(project, {"id": "a", "topic": "x"}, {"id": "b", "topic": "y"})
    project.write(TAKES.format(source="'c.jsonl'"))
    project.outcomes(models=None, passed=2)
    project.write("import pytest\n\n@pytest.fixture\ndef llm_reply(llm_case): return llm_case", "conftest.py")
    said = refused(project, TAKES.format(source="'c.jsonl'").replace("llm_case)", "llm_reply)"))
    assert said[:3] == [
        "test_case: cases that cannot be asked:",
        "  case a (c.jsonl:1) has neither input nor messages. Say what to ask with prompt='{{ field }}'; its other "
        "fields are: topic.",
        "  case b (c.jsonl:2) has neither input nor messages. Say what to ask with prompt='{{ field }}'; its other "
        "fields are: topic.",
    ]
    project.write(TAKES.format(source="'c.jsonl', prompt='{{ topic }}'").replace("llm_case)", "llm_reply)"))
    project.outcomes(models=None, passed=2)


def test_a_case_that_is_asked_for_while_the_test_runs_is_too_late(project: Project) -> None:
    project.write("def test_case(request): request.getfixturevalue('llm_case')")
    result = project.outcomes(models=None, failed=1)
    result.stdout.fnmatch_lines(["llm_case was asked for while the test runs, when it is too late *"])


def test_whoever_gives_the_fixture_values_of_their_own_is_let_be(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.parametrize("n, llm_case", [(1, "a"), (2, "b")])
        def test_case(n, llm_case): assert llm_case in ("a", "b")

        @pytest.mark.parametrize(["llm_case"], [("a",)])
        def test_other(llm_case): assert llm_case == "a"
    """)
    project.outcomes(models=None, passed=3)


@pytest.mark.parametrize("parameters", ["n=2", "*args"])
def test_a_function_that_pytest_takes_for_the_test_is_told_of(project: Project, parameters: str) -> None:
    said = refused(
        project,
        f"""
        import pytest

        def some({parameters}): return ["a"]

        @pytest.mark.llm_cases(some)
        def test_case(llm_case): pass
        """,
    )
    assert said[0] == (
        "llm_cases(some): pytest takes a function that stands alone for the test itself. Write source=some."
    )


def test_a_tag_that_is_a_marker_of_another_plugin_is_refused(project: Project) -> None:
    write_rows(project, {"id": "a", "input": "x", "tags": ["billing"]}, {"id": "b", "input": "x", "tags": ["flaky"]})
    project.write(TAKES.format(source="'c.jsonl'"))
    project.outcomes(models=None, passed=2)
    project.write(
        "def pytest_configure(config): config.addinivalue_line('markers', 'flaky(reruns=1): again')", "conftest.py"
    )
    result = project.run(models=None)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["  c.jsonl:2: tags: flaky is a marker of a plugin that is installed. Choose another word"]
    )


def test_a_tag_may_be_a_marker_of_the_project(project: Project) -> None:
    project.write('[tool.pytest.ini_options]\nmarkers = ["slow: takes long"]\n', "pyproject.toml")
    write_rows(project, {"id": "a", "input": "x", "tags": ["slow"]}, "b")
    project.write(TAKES.format(source="'c.jsonl'"))
    project.outcomes("--strict-markers", "-m", "not slow", models=None, passed=1, deselected=1)


def test_without_the_plugin_nothing_of_it_is_there(project: Project) -> None:
    project.write(TAKES.format(source="['a']"))
    result = project.run("-pno:llmeval", models=None)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'llm_case' not found"])


@pytest.mark.parametrize("module", ["jinja2", "pydantic", "pytest_llmeval.datasets", "pytest_llmeval.parametrizing"])
def test_a_project_without_cases_pays_nothing_for_them(project: Project, module: str) -> None:
    project.write(f"""
        import sys
        import pytest

        @pytest.mark.parametrize("n", [1])
        def test_plain(n): assert {module!r} not in sys.modules
    """)
    project.run_in_new_process(models=None).assert_outcomes(passed=1)
