"""Tests that declare what they ask have their answers fetched ahead of them, several at once."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.integration.conftest import Project, others_but

CASES = """
import pytest

def cases(number):
    return [{{"id": f"q{{n}}", "input": f"question {{n}}"}} for n in range(number)]

@pytest.mark.llm_cases(cases({number}), max_tokens=9)
def test_case(llm_reply, llm_case):
    assert llm_reply.json()["echo"] == llm_case.input
"""


def write_cases(project: Project, number: int = 20) -> None:
    project.write(CASES.format(number=number))


def questions(number: int) -> list[str]:
    return [f"question {n}" for n in range(number)]


def test_each_test_gets_its_own_answer_and_each_is_asked_for_once(project: Project) -> None:
    write_cases(project)
    project.outcomes(passed=20)
    assert Counter(project.server.questions()) == Counter(questions(20))
    assert len(project.recordings()) == 20
    project.stop_server()
    project.outcomes("--llm-record=none", passed=20)
    project.outcomes("--llm-record=once", passed=20)


@pytest.mark.parametrize("given", [(), ("--llm-concurrency=4",)], ids=["by default", "option"])
def test_as_many_are_in_flight_as_the_option_says_and_no_more(project: Project, given: tuple[str, ...]) -> None:
    project.server.hold = most = 4 if given else 8
    project.server.delay = 0.02
    write_cases(project, 40)
    project.outcomes(*given, passed=40)
    assert project.server.peak == most


@pytest.mark.parametrize("name", ["openai", "chat"])
def test_a_provider_or_an_alias_may_have_a_limit_of_its_own(project: Project, name: str) -> None:
    project.add_settings(f"[tool.llmeval.concurrency]\n{name} = 2")
    project.server.hold, project.server.delay = 2, 0.02
    write_cases(project)
    project.outcomes("--llm-concurrency=6", passed=20)
    assert project.server.peak == 2


def test_answers_are_asked_for_in_the_order_of_the_tests(project: Project) -> None:
    write_cases(project)
    project.outcomes("--llm-concurrency=1", passed=20)
    assert project.server.questions() == questions(20)


def test_a_slow_answer_holds_up_its_own_test_and_not_what_is_fetched(project: Project) -> None:
    project.server.slow["question 0"] = 1.0
    write_cases(project)
    path = project.path / "test_chat.py"
    path.write_text(f"{path.read_text()}    print(llm_case.id, 'of', len(list(Path('.').rglob('*.yaml'))))\n")
    path.write_text(f"from pathlib import Path\n{path.read_text()}")
    result = project.outcomes("--llm-concurrency=2", "-s", passed=20)
    # Its own and those before the end of the window: four times what may be in flight.
    result.stdout.fnmatch_lines(["*q0 of 9*"])


def test_only_tests_that_declare_what_they_ask_are_fetched_ahead(project: Project) -> None:
    project.write(
        """
        import pytest

        CASES = [{"id": str(n), "input": f"question {n}"} for n in range(6)]
        asked = []

        @pytest.mark.llm_cases(CASES)
        def test_by_itself(llm, llm_case):
            llm.complete(llm_case)
            llm.complete("after")
        """
    )
    project.outcomes(passed=6)
    expected = [question for n in range(6) for question in (f"question {n}", "after")]
    assert project.server.questions() == expected


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("-k", "q3 or q7"), [3, 7]),
        (("test_chat.py::test_case[chat-q5]",), [5]),
        (("-m", "odd"), [1, 3]),
    ],
    ids=["-k", "node id", "-m"],
)
def test_what_is_not_selected_is_not_asked_for(project: Project, arguments: tuple[str, ...], wanted: list[int]) -> None:
    write_cases(project)
    path = project.path / "test_chat.py"
    path.write_text(
        path.read_text().replace(
            '"input": f"question {n}"}', '"input": f"question {n}", "tags": ["odd"] if n in (1, 3) else []}'
        )
    )
    result = project.run(*arguments)
    result.assert_outcomes(passed=len(wanted), deselected=0 if "::" in arguments[0] else 20 - len(wanted))
    assert sorted(project.server.questions()) == [f"question {n}" for n in wanted]


def test_what_failed_last_is_all_that_is_asked_for(project: Project) -> None:
    write_cases(project)
    path = project.path / "test_chat.py"
    text = path.read_text()
    path.write_text(text.replace("assert llm", "assert llm_case.id not in ('q4', 'q9') and llm"))
    without = others_but("cacheprovider")
    project.run("--llm-record=live", without=without).assert_outcomes(passed=18, failed=2)
    project.server.questions()
    path.write_text(text)
    project.run("--llm-record=live", "--lf", without=without).assert_outcomes(passed=2)
    # They are asked at once: which comes first is chance.
    assert sorted(project.server.questions()) == ["question 4", "question 9"]


@pytest.mark.parametrize("mark", ["skip", "skipif(True, reason='x')", "xfail(run=False)"])
def test_what_is_skipped_is_not_asked_for(project: Project, mark: str) -> None:
    project.write(
        f"""
        import pytest

        @pytest.mark.llm_cases(["one", "two"])
        @pytest.mark.{mark}
        def test_skipped(llm_reply):
            pass

        @pytest.mark.llm_cases(["three"])
        def test_case(llm_reply):
            pass
        """
    )
    project.run()
    assert project.server.questions() == ["three"]


def test_a_failing_test_costs_only_itself(project: Project) -> None:
    write_cases(project)
    path = project.path / "test_chat.py"
    path.write_text(path.read_text().replace("assert llm", "assert llm_case.id != 'q4' and llm"))
    project.outcomes(passed=19, failed=1)
    assert Counter(project.server.questions()) == Counter(questions(20))
    outcomes = Counter(test.outcome for test in project.records().tests)
    assert outcomes == {"passed": 19, "failed": 1}


def test_a_call_without_an_answer_is_an_error_of_its_own_test(project: Project) -> None:
    project.server.failures += [500] * 3
    write_cases(project)
    result = project.run("--llm-concurrency=1")
    result.assert_outcomes(passed=19, errors=1)
    result.stdout.fnmatch_lines(["*ProviderError: chat: the server failed (500), also after 2 retries*"])
    result.stdout.no_fnmatch_line("*threading.py*")
    assert len(project.recordings()) == 19
    (failed,) = (test for test in project.records().tests if test.outcome == "error")
    assert [call.error_kind for call in failed.calls] == ["server"]
    project.outcomes(passed=20)
    assert project.server.questions()[22:] == ["question 0"]


def test_equal_questions_of_several_cases_are_asked_once_each(project: Project) -> None:
    project.write(
        """
        import pytest

        @pytest.mark.llm_cases([{"id": f"c{n}", "input": "same"} for n in range(6)])
        def test_case(llm_reply, llm_case):
            print(f"<{llm_case.id}: {llm_reply.json()['n']}>")
        """
    )
    first, second = (project.outcomes(f"--llm-record={mode}", "-s", passed=6) for mode in ("once", "none"))
    assert project.server.questions() == ["same"] * 6
    pairs = [re.findall("<(.*?): (.*?)>", str(result.stdout)) for result in (first, second)]
    assert pairs[0] == pairs[1]
    assert sorted(number for _, number in pairs[0]) == list("123456")


def test_a_test_may_ask_on_its_own_as_well(project: Project) -> None:
    project.write(
        """
        import pytest
        from pathlib import Path

        def test_before(llm):
            llm.complete("before")

        @pytest.mark.llm_cases([{"id": f"c{n}", "input": f"question {n}"} for n in range(5)])
        def test_case(llm_reply, llm_case, llm):
            assert llm_reply.json()["echo"] == llm_case.input
            assert llm.complete("more").json()["echo"] == "more"
            assert llm.complete("more").json()["echo"] == "more"
        """
    )
    project.outcomes(passed=6)
    assert Counter(project.server.questions()) == {"before": 1, "more": 10, **{f"question {n}": 1 for n in range(5)}}
    assert not any("incomplete" in (project.path / name).read_text() for name in project.recordings())
    project.stop_server()
    project.outcomes(passed=6)


def test_classes_modules_parameters_and_candidates_combine(project: Project) -> None:
    project.add_model("other", 'model = "openai:other"\nprices = "free"')
    project.write(
        """
        import pytest

        pytestmark = pytest.mark.llm_cases(["one", "two"], prompt="{{ input }}?")

        class TestGroup:
            @pytest.mark.parametrize("factor", [1, 2])
            def test_case(self, factor, llm_reply, llm_case, llm_candidate):
                assert llm_reply.candidate == llm_candidate.name
                assert llm_reply.json()["echo"] == llm_case.input + "?"

        @pytest.mark.llm_cases([{"id": "x", "input": "three"}])
        @pytest.mark.llm_params(system="Be brief.")
        def test_other(llm_reply):
            assert llm_reply.json()["echo"] == "three"
        """
    )
    result = project.run(models="chat,other")
    result.assert_outcomes(passed=10)
    asked = Counter((body["model"], len(body["messages"])) for body in project.server.asked)
    assert asked == {("chat", 1): 4, ("chat", 2): 1, ("other", 1): 4, ("other", 2): 1}


def test_async_tests_have_their_answers_fetched_too(project: Project) -> None:
    project.write(
        """
        import pytest

        @pytest.mark.asyncio
        @pytest.mark.llm_cases(["one", "two", "three"])
        async def test_case(llm_reply, llm_case, llm):
            assert llm_reply.json()["echo"] == llm_case.input
            assert (await llm.acomplete("more")).json()["echo"] == "more"
        """
    )
    asyncio = ("-o", "asyncio_default_fixture_loop_scope=function")
    for mode in ("once", "none"):
        project.run(f"--llm-record={mode}", *asyncio, without=others_but("asyncio")).assert_outcomes(passed=3)
    assert len(project.server.asked) == 6


def test_in_any_order(project: Project) -> None:
    write_cases(project)
    result = project.run("-p", "randomly", without=others_but("randomly"))
    result.assert_outcomes(passed=20)
    assert Counter(project.server.questions()) == Counter(questions(20))


def test_a_test_that_is_run_again_replays_its_answer(project: Project) -> None:
    write_cases(project, 6)
    path = project.path / "test_chat.py"
    path.write_text(f"{path.read_text()}    tries.append(1)\n    assert len(tries) != 3\n\ntries = []\n")
    result = project.run("--reruns=2", without=others_but("rerunfailures"))
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["*1 rerun*"])
    assert Counter(project.server.questions()) == Counter(questions(6))


def test_nothing_is_started_where_all_is_replayed(project: Project) -> None:
    write_cases(project)
    project.outcomes(passed=20)
    project.write(
        """
        import threading

        def pytest_sessionfinish():
            print([thread.name for thread in threading.enumerate() if thread.name.startswith("llmeval")])
        """,
        "conftest.py",
    )
    for mode in ("none", "once"):
        result = project.outcomes(f"--llm-record={mode}", passed=20)
        result.stdout.fnmatch_lines(["*[[]]*"])


def test_a_stale_recording_fails_its_test_as_ever(project: Project) -> None:
    write_cases(project, 5)
    project.outcomes(passed=5)
    path = project.path / "test_chat.py"
    path.write_text(path.read_text().replace("max_tokens=9", "max_tokens=10"))
    result = project.run()
    result.assert_outcomes(errors=5)
    result.stdout.fnmatch_lines(["*q0*yaml is stale*", "*max_tokens: 9 -> 10"])
    assert len(project.server.questions()) == 5
    project.outcomes("--llm-record=stale", passed=5)
    assert len(project.server.questions()) == 5


@pytest.mark.parametrize("mode", ["new", "all", "stale"])
def test_other_modes_read_ahead_too(project: Project, mode: str) -> None:
    write_cases(project, 8)
    project.outcomes("-k", "q1 or q2", passed=2, deselected=6)
    project.server.questions()
    project.outcomes(f"--llm-record={mode}", passed=8)
    expected = set(questions(8)) - (set() if mode == "all" else {"question 1", "question 2"})
    assert Counter(project.server.questions()) == Counter(expected)
    project.stop_server()
    project.outcomes(passed=8)


def test_a_missing_key_is_told_by_the_test_that_needs_it(project: Project) -> None:
    project.add_settings(f'[tool.llmeval.models.keyed]\nmodel = "openai:m"\nbase_url = "{project.server.url}"')
    project.add_settings('api_key_env = "THE_KEY"')
    write_cases(project, 3)
    result = project.run(models="keyed")
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(["*No key: THE_KEY is not set*"])
    assert project.server.questions() == []


def test_a_case_of_the_tests_own_making_is_asked_for_itself(project: Project) -> None:
    project.write(
        """
        import pytest
        from dataclasses import replace

        @pytest.fixture
        def llm_case(llm_case):
            return replace(llm_case, input=llm_case.input.upper())

        @pytest.mark.llm_cases(["one"])
        def test_case(llm_reply):
            assert llm_reply.json()["echo"] == "ONE"
        """
    )
    project.outcomes(passed=1)


def test_secrets_in_an_answer_fail_its_test_and_are_not_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "correct-horse-battery-staple")
    project.write(
        """
        import pytest

        @pytest.mark.llm_cases([{"id": "a", "input": "fine"}, {"id": "b", "input": "correct-horse-battery-staple"}])
        def test_case(llm_reply):
            pass
        """
    )
    result = project.run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*not written, since it would hold a secret*"])
    assert len(project.recordings()) == 1


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5"])
def test_a_number_that_cannot_be_used_is_an_error(project: Project, value: str) -> None:
    write_cases(project, 1)
    result = project.run(f"--llm-concurrency={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--llm-concurrency={value}: write a whole number, 1 or more.*"])


def test_a_limit_for_an_unknown_name_is_an_error(project: Project) -> None:
    project.add_settings("[tool.llmeval.concurrency]\nchta = 2")
    write_cases(project, 1)
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*concurrency.chta *Did you mean 'chat'?*"])


def test_a_limit_that_is_no_number_names_the_key(project: Project) -> None:
    project.add_settings("[tool.llmeval.concurrency]\nchat = 0")
    write_cases(project, 1)
    result = project.run()
    result.stderr.fnmatch_lines(["*tool.llmeval.concurrency.chat: *greater than or equal to 1*"])
