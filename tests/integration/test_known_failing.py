"""``llm_known_failing``: tests that run and are shown, but fail nothing and count nowhere."""

from __future__ import annotations

import json

import pytest

from pytest_llmeval.reports.summary import summarize
from tests.integration.conftest import CHAT, Project, junit_properties

TESTS = """
import pytest

@pytest.mark.llm_known_failing("dates without a year")
def test_known(llm):
    llm.complete("known")
    assert 0, "still bad"

def test_good(llm):
    llm.complete("good")
"""
CASES = """
import pytest

@pytest.mark.llm_known_failing({arguments})
@pytest.mark.llm_cases("cases.jsonl")
def test_it(llm_reply, llm_case):
    assert llm_case.id == "good"
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_one_that_fails_is_run_and_shown_and_not_counted(project: Project, workers: tuple[str, ...]) -> None:
    project.write(TESTS)
    result = project.run(*workers, "--llm-fail-on=pass<1", "--llm-gate=strict")
    result.assert_outcomes(passed=1, xfailed=1)
    assert result.ret == 0
    (row,) = summarize(project.records())
    assert (row.passed, row.tests, row.answers) == (1, 1, 2)
    assert row.score is not None
    assert row.score.mean == 1.0
    result.stdout.fnmatch_lines(["known failing  chat: test_known, not counted"])
    known = {test.nodeid: test.known_failing for test in project.records().tests}
    assert known == {
        "test_chat.py::test_known[chat]": "dates without a year",
        "test_chat.py::test_good[chat]": None,
    }


def test_one_that_passes_is_told_and_fails_nothing_even_where_xfail_is_strict(project: Project) -> None:
    project.write("[pytest]\nxfail_strict = true\n", "pytest.ini")
    project.write(TESTS.replace("assert 0", "assert 1"))
    result = project.run()
    result.assert_outcomes(passed=1, xpassed=1)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["known failing  chat: test_known now passed: take llm_known_failing away?"])
    (row,) = summarize(project.records())
    assert (row.passed, row.tests) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "passed", "failed", "xfailed"),
    [
        ('cases="late"', 1, 1, 1),
        ('cases=["late", "odd"]', 1, 0, 2),
        ('tags="dates"', 1, 1, 1),
        ('tags=["dates"], cases=["odd"]', 1, 2, 0),
        ('models="other"', 1, 2, 0),
        ('models=["chat"]', 0, 0, 2),
    ],
)
def test_some_cases_tags_or_candidates_alone_are_known_to_fail(
    project: Project, arguments: str, passed: int, failed: int, xfailed: int
) -> None:
    cases: list[dict[str, object]] = [{"id": "good"}, {"id": "late", "tags": ["dates"]}, {"id": "odd"}]
    project.write("\n".join(json.dumps({"input": each["id"], **each}) for each in cases), "cases.jsonl")
    project.write(CASES.format(arguments=arguments))
    project.run().assert_outcomes(passed=passed, xpassed=1 - passed, failed=failed, xfailed=xfailed)


def test_a_case_can_be_known_to_fail_by_its_own_tag(project: Project) -> None:
    project.write('{"input": "a", "id": "bad", "tags": ["llm_known_failing"]}', "cases.jsonl")
    project.write(CASES.replace("@pytest.mark.llm_known_failing({arguments})\n", ""))
    project.run("--strict-markers").assert_outcomes(xfailed=1)


def test_several_markers_add_up(project: Project) -> None:
    project.add_model("other", CHAT)
    project.write("""
        import pytest

        @pytest.mark.llm_known_failing("slow", models="chat")
        @pytest.mark.llm_known_failing("odd", models="other")
        def test_it(llm):
            llm.complete("x")
            assert 0
    """)
    project.run(models="chat,other").assert_outcomes(xfailed=2)
    assert [test.known_failing for test in project.records().tests] == ["slow", "odd"]


def test_a_recording_that_is_missing_is_told_also_of_one_that_is_known_to_fail(project: Project) -> None:
    project.write(TESTS)
    result = project.run("--llm-record=none", "-k", "known")
    result.assert_outcomes(failed=1)


def test_samples_of_one_that_is_known_to_fail_fail_no_case(project: Project) -> None:
    project.write(TESTS.replace("def test_known", "@pytest.mark.llm_repeat(3, min_pass_rate=0.8)\ndef test_known"))
    result = project.run()
    result.assert_outcomes(passed=1, xfailed=3)
    assert result.ret == 0
    assert summarize(project.records())[0].tests == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('"a", reason="b"', "*it takes one reason*"),
        ("3", "*write the reason as text, not 3*"),
        ('model="chat"', "*unknown argument model. Did you mean 'models'?*"),
        ("cases=3", "*write cases as a text or a list of texts, not 3*"),
    ],
)
def test_a_marker_that_cannot_be_used_is_an_error(project: Project, arguments: str, said: str) -> None:
    project.write(TESTS.replace('"dates without a year"', arguments))
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([said])


def test_junit_xml_says_which_are_known_to_fail(project: Project) -> None:
    project.write(TESTS)
    project.run("--junitxml=out.xml")
    properties = junit_properties(project.path / "out.xml")
    assert properties["test_known[chat]"]["llm_known_failing"] == "dates without a year"
    assert "llm_known_failing" not in properties["test_good[chat]"]


PARAMETERS = """
import pytest

@pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.llm_known_failing({arguments}))])
def test_it(llm, n):
    llm.complete("x")
    assert n == 1
"""


def test_a_single_parameter_can_be_known_to_fail(project: Project) -> None:
    project.write(PARAMETERS.format(arguments='"two"'))
    project.run().assert_outcomes(passed=1, xfailed=1)
    assert [test.known_failing for test in project.records().tests] == [None, "two"]


def test_a_marker_of_a_single_parameter_that_cannot_be_used_is_an_error(project: Project) -> None:
    project.write(PARAMETERS.format(arguments="model='chat'"))
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*llm_known_failing: unknown argument model. Did you mean 'models'?*"])
