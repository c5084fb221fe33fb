"""Several samples of a case: their names, their recordings, their order, and who asks for how many."""

from __future__ import annotations

import re

import pytest

from tests.integration.conftest import Project, others_but

ASK = """
def test_ask(llm):
    llm.complete("Hi")
"""
FOLDER = "llm_cassettes/test_chat/chat"


def names(result: pytest.RunResult) -> list[str]:
    """Return the ids of the tests that ran, in their order, without the file."""
    return [line.split(" ")[0].rpartition("::")[2] for line in result.outlines if re.search(r"\[ *\d+%\]$", line)]


def test_a_test_runs_n_times_with_a_recording_each(project: Project) -> None:
    project.write(ASK)
    result = project.run("-v", "--llm-repeat=3")
    assert names(result) == ["test_ask[chat]", "test_ask[chat-sample2]", "test_ask[chat-sample3]"]
    result.assert_outcomes(passed=3)
    assert project.recordings() == [f"{FOLDER}/test_ask{sample}.yaml" for sample in ("", "[sample2]", "[sample3]")]
    assert [(test.sample, test.samples, test.min_pass_rate) for test in project.records().tests] == [
        (1, 3, None),
        (2, 3, None),
        (3, 3, None),
    ]


def test_all_samples_replay_offline_each_with_its_own_answer(project: Project) -> None:
    project.write("""
        import pathlib

        def test_ask(llm, request):
            with pathlib.Path("answers.txt").open("a") as file:
                print(request.node.name, llm.complete("Hi").json()["n"], file=file)
    """)
    project.outcomes("--llm-repeat=4", passed=4)
    project.stop_server()
    project.outcomes("--llm-repeat=4", "--llm-record=none", passed=4)
    lines = (project.path / "answers.txt").read_text().splitlines()
    assert lines[:4] == lines[4:]
    assert [line.split()[1] for line in lines[:4]] == ["1", "2", "3", "4"]


def test_more_samples_ask_only_for_what_is_new(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.parametrize("question", ["a", "b"])
        def test_ask(llm, question):
            llm.complete(question)
    """)
    project.outcomes(passed=2)
    project.outcomes("--llm-repeat=3", passed=6)
    assert len(project.server.asked) == 6
    project.outcomes("--llm-repeat=5", passed=10)
    assert len(project.server.asked) == 10
    assert len(project.recordings()) == 10


def test_fewer_samples_leave_the_recordings_of_the_others_alone(project: Project) -> None:
    project.write(ASK)
    project.outcomes("--llm-repeat=3", passed=3)
    recordings = project.recordings()
    # It asks the same, and has no recording: nobody's would become its own.
    project.write(f"{ASK}\ndef test_more(llm):\n    llm.complete('Hi')\n")
    project.outcomes(passed=2)
    assert project.recordings() == [*recordings, f"{FOLDER}/test_more.yaml"]
    assert len(project.server.asked) == 4


def test_the_marker_wins_over_the_option_and_the_option_over_the_configuration(project: Project) -> None:
    project.write(f"""
        import pytest
        {ASK.strip().replace(chr(10), chr(10) + " " * 8)}

        @pytest.mark.llm_repeat(2)
        class TestTwo:
            def test_class(self, llm):
                llm.complete("Hi")

            @pytest.mark.llm_repeat(n=1)
            def test_function(self, llm):
                llm.complete("Hi")

        def test_plain():
            pass
    """)
    project.outcomes("-o", "llm_repeat=3", passed=3 + 2 + 1 + 1)
    project.outcomes("-o", "llm_repeat=3", "--llm-repeat=4", passed=4 + 2 + 1 + 1)


def test_a_marker_with_a_rate_alone_leaves_the_number_to_the_option(project: Project) -> None:
    project.write(f"import pytest\n@pytest.mark.llm_repeat(min_pass_rate=0.5){ASK}")
    project.outcomes("--llm-repeat=2", passed=2)
    assert {test.min_pass_rate for test in project.records().tests} == {0.5}


def test_samples_come_one_after_another_within_candidates_and_cases(project: Project) -> None:
    project.add_model("other", 'model = "openai:other"')
    project.write("""
        import pytest

        def pytest_generate_tests(metafunc):
            metafunc.parametrize("late", ["x", "y"])

        @pytest.mark.parametrize("case", ["a", "b"])
        def test_ask(llm, case, late):
            llm.complete(case + late)
    """)
    result = project.run("-v", "--llm-repeat=2", models="chat,other")
    assert names(result) == [
        f"test_ask[{candidate}-{late}-{case}{sample}]"
        for candidate in ("chat", "other")
        for late in "xy"
        for case in "ab"
        for sample in ("", "-sample2")
    ]
    assert len(project.recordings()) == 16


def test_async_tests_and_classes_are_repeated_too(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.asyncio
        async def test_later(llm):
            await llm.acomplete("later")

        class TestOne:
            class TestTwo:
                def test_inner(self, llm):
                    llm.complete("inner")
    """)
    loops = "asyncio_default_fixture_loop_scope=function"
    result = project.run("-v", "--llm-repeat=2", "-o", loops, without=others_but("asyncio"))
    result.assert_outcomes(passed=4)
    inner = f"{FOLDER}/TestOne.TestTwo.test_inner"
    assert project.recordings() == [
        *(f"{inner}-ddf13644.yaml", f"{inner}[sample2]-855fbda2.yaml"),
        *(f"{FOLDER}/test_later.yaml", f"{FOLDER}/test_later[sample2].yaml"),
    ]


def test_a_test_can_ask_which_sample_it_is(project: Project) -> None:
    project.write("""
        def test_ask(llm, llm_sample):
            llm.complete("Hi", seed=llm_sample)
    """)
    project.outcomes(passed=1)
    project.outcomes("--llm-repeat=3", passed=3)
    assert [body["seed"] for body in project.server.asked] == [1, 2, 3]


def test_a_test_without_candidates_fails_once_and_says_how_to_choose(project: Project) -> None:
    project.write(ASK)
    result = project.run("--llm-repeat=3", models=None)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*No candidate model to test*"])


@pytest.mark.parametrize("value", ["0", "-1", "two", "2.5", "١٢"])
def test_an_option_that_is_no_number_of_samples_is_an_error(project: Project, value: str) -> None:
    project.write(ASK)
    for args in ([f"--llm-repeat={value}"], ["-o", f"llm_repeat={value}"]):
        result = project.run(*args)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"*llm?repeat={value}: write how many samples as a whole number from 1*"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("0", "whole number from 1: llm_repeat(10)"),
        ("'10'", "llm_repeat('10'): write how many samples as a whole number"),
        ("True", "whole number"),
        ("3, 0.8", "it takes n and min_pass_rate: llm_repeat(10, min_pass_rate=0.8)"),
        ("3, rate=0.8", "it takes n and min_pass_rate"),
        ("3, n=3", "it takes n and min_pass_rate"),
        ("10, min_pass_rate=80", "above 0, up to 1: min_pass_rate=0.8"),
        ("10, min_pass_rate=0", "above 0"),
        ("10, min_pass_rate='0.8'", "as a number above 0"),
        ("10, min_pass_rate=float('nan')", "as a number above 0"),
    ],
)
def test_a_marker_that_cannot_be_used_is_an_error(project: Project, arguments: str, says: str) -> None:
    project.write(f"import pytest\n@pytest.mark.llm_repeat({arguments}){ASK}")
    result = project.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.assert_outcomes(errors=1)
    text = " ".join(line.removeprefix("E   ").strip() for line in result.outlines)
    assert "test_chat.py::test_ask: llm_repeat(" in text
    assert says in text
    assert "Traceback" not in text


def test_a_marker_on_a_test_that_asks_nobody_is_an_error(project: Project) -> None:
    project.write("import pytest\n@pytest.mark.llm_repeat(3)\ndef test_plain(): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_chat.py::test_plain has the marker llm_repeat and asks no candidate*"])


@pytest.mark.parametrize("marker", ["llm_repeat(3)", "llm_models('chat')", "llm_cases(['a'])"])
@pytest.mark.parametrize("args", [(), ("-n2",)])
def test_a_marker_on_a_single_parameter_is_an_error(project: Project, marker: str, args: tuple[str, ...]) -> None:
    project.write(
        f"""
        import pytest

        @pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.{marker})])
        def test_ask(llm, n):
            llm.complete("Hi")
        """
    )
    result = project.run(*args)
    assert result.ret != pytest.ExitCode.OK
    text = result.stdout.str() + result.stderr.str()
    assert f"{marker.partition('(')[0]} stands on a single parameter" in text
    assert "Traceback" not in text


def test_a_marker_of_a_class_is_for_its_tests_that_ask(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.llm_repeat(2)
        class TestMixed:
            def test_ask(self, llm):
                llm.complete("Hi")

            def test_plain(self): pass
    """)
    project.outcomes(passed=3)


def test_a_test_that_has_the_name_of_a_sample_is_an_error(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.parametrize("case", ["a", "a-sample2"])
        def test_ask(llm, case):
            llm.complete(case)
    """)
    project.outcomes(passed=2)
    result = project.run("--llm-repeat=2")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_ask?chat-a-sample2? is a test, and a sample of another one*"])


def test_a_sample_can_be_selected_like_any_test(project: Project) -> None:
    project.write(ASK)
    assert names(project.run("-v", "--llm-repeat=12", "-k", "sample3")) == ["test_ask[chat-sample3]"]
    assert names(project.run("-v", "--llm-repeat=12", "test_chat.py::test_ask[chat-sample12]")) == [
        "test_ask[chat-sample12]"
    ]


def test_samples_in_random_order_and_in_workers_have_their_own_recordings(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.parametrize("case", ["a", "b"])
        def test_ask(llm, case):
            assert llm.complete(case).json()["echo"] == case
    """)
    result = project.run("--llm-repeat=4", "-n2", "-p", "randomly", without=others_but("randomly"))
    result.assert_outcomes(passed=8)
    assert len(project.recordings()) == len(project.server.asked) == 8
    project.stop_server()
    project.outcomes("--llm-repeat=4", "--llm-record=none", passed=8)


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["one-process", "workers"])
def test_the_summary_tells_of_cases_and_not_of_samples(project: Project, args: tuple[str, ...]) -> None:
    project.write("""
        import pytest
        from pytest_llmeval import record_score

        @pytest.mark.llm_repeat(4, min_pass_rate=0.75)
        @pytest.mark.parametrize("case", ["steady", "shaky", "poor"])
        def test_ask(llm, case, llm_sample):
            llm.complete(case)
            assert llm_sample > {"steady": 0, "shaky": 1, "poor": 2}[case]

        def test_once(llm):
            llm.complete("once")
            record_score(0.5)
    """)
    result = project.run(*args)
    result.stdout.fnmatch_lines(
        [
            "chat * 0.69 * 3/4 *",
            "repeats * chat: 4 samples of 3 cases; pass@1 0.75, pass@4 1.00, pass^4 0.33; spread within a case 0.36 *",
            "flaky * chat: test_ask?poor? 2/4, test_ask?shaky? 3/4",
        ]
    )
    result.stdout.no_fnmatch_line("*identical*")


def test_samples_that_are_answered_alike_are_told_of(project: Project) -> None:
    project.server.count = False
    project.write(ASK)
    project.run("--llm-repeat=3").stdout.fnmatch_lines(["*chat: samples are identical, as at temperature 0*"])
    project.stop_server()
    replayed = project.run("--llm-repeat=3", "--llm-record=none")
    replayed.stdout.fnmatch_lines(["*chat: samples are identical, as at temperature 0*"])


def test_cases_are_repeated_each_with_its_weight(project: Project) -> None:
    project.write(
        '{"id": "refund", "input": "a", "weight": 3, "tags": ["slow"]}\n{"id": "hello", "input": "b"}\n', "cases.jsonl"
    )
    project.write("""
        import pytest

        @pytest.mark.llm_repeat(4, min_pass_rate=0.75)
        @pytest.mark.llm_cases("cases.jsonl", max_tokens=20)
        def test_ask(llm, llm_case, llm_sample):
            llm.complete(llm_case)
            assert llm_sample > (1 if llm_case.id == "refund" else 2)
    """)
    for args in ((), ("-n2", "--llm-record=none")):
        result = project.run(*args)
        result.stdout.fnmatch_lines(
            [
                "2 of 4 samples passed; min_pass_rate is 0.75",
                "chat * 0.69 * 1/2 *",
                "flaky * chat: hello 2/4, refund 3/4",
                "weights * 1 to 3",
            ]
        )
        assert {(t.case, t.sample) for t in project.records().tests} == {
            (c, n) for c in ("refund", "hello") for n in (1, 2, 3, 4)
        }
    assert len(project.recordings()) == 8
    result = project.run("-v", "-m", "slow")
    assert result.ret == 0
