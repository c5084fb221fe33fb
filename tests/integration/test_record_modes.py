"""The five record modes, what a recording keeps, and what is said where it does not fit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.integration.conftest import Project

ASK = """
def test_ask(llm):
    assert llm.complete("Hi").json()["echo"] == "Hi"
"""
NUMBERS = """
def test_numbers(llm):
    print("answers:", [llm.complete(question).json()["n"] for question in ("a", "b", "a")])
"""
MODES = ["none", "once", "new", "all", "live"]


def answers(result: pytest.RunResult) -> list[int]:
    """Return the numbers of the answers that `NUMBERS` printed (run with -s)."""
    (line,) = [line for line in result.outlines if "answers:" in line]
    return [int(number) for number in line.partition("[")[2].partition("]")[0].split(", ")]


def test_once_records_and_then_replays_without_the_server(project: Project) -> None:
    project.write(ASK)
    project.outcomes(passed=1)
    assert project.recordings() == ["llm_cassettes/test_chat/chat/test_ask.yaml"]
    (recorded,) = project.records().tests
    before = project.recording().read_bytes()
    project.stop_server()
    project.outcomes(passed=1)
    (replayed,) = project.records().tests
    assert (recorded.calls[0].replayed, replayed.calls[0].replayed) == (False, True)
    assert project.recording().read_bytes() == before
    assert len(project.server.asked) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_asks_and_keeps_what_it_says(project: Project, mode: str) -> None:
    project.write(NUMBERS)
    project.outcomes(passed=1)
    recorded = project.recording().read_bytes()
    project.write(NUMBERS + ASK)
    failed = int(mode == "none")
    result = project.outcomes("-s", f"--llm-record={mode}", passed=2 - failed, failed=failed)
    assert answers(result) == ([4, 5, 6] if mode in ("all", "live") else [1, 2, 3])
    assert len(project.recordings()) == (1 if mode in ("none", "live") else 2)
    changed = (project.path / "llm_cassettes/test_chat/chat/test_numbers.yaml").read_bytes() != recorded
    assert changed is (mode == "all")


@pytest.mark.parametrize("mode", MODES)
def test_a_changed_prompt_is_asked_only_where_that_is_wanted(project: Project, mode: str) -> None:
    project.write(NUMBERS)
    project.outcomes(passed=1)
    project.write(NUMBERS.replace('"b"', '"c"'))
    asked_again = {"none": 0, "once": 0, "new": 1, "all": 3, "live": 3}[mode]
    project.outcomes(f"--llm-record={mode}", passed=int(asked_again > 0), failed=int(asked_again == 0))
    assert len(project.server.asked) == 3 + asked_again


def test_new_keeps_what_is_there_and_adds_the_rest(project: Project) -> None:
    project.write(NUMBERS)
    project.outcomes(passed=1)
    project.write(NUMBERS.replace('"b"', '"c"'))
    assert answers(project.outcomes("-s", "--llm-record=new", passed=1)) == [1, 4, 3]
    assert answers(project.outcomes("-s", "--llm-record=none", passed=1)) == [1, 4, 3]
    project.write(NUMBERS)
    assert answers(project.outcomes("-s", "--llm-record=none", passed=1)) == [1, 2, 3]


@pytest.mark.parametrize(
    ("args", "ci", "said"),
    [
        ([], None, "record=once (default)"),
        ([], "true", "record=none (default where CI is set)"),
        ([], "1", "record=none (default where CI is set)"),
        ([], "false", "record=once (default)"),
        ([], "", "record=once (default)"),
        (["--llm-record=once"], "true", "record=once (from --llm-record)"),
        (["-o", "llm_record=new"], "true", "record=new (from llm_record)"),
        (["-o", "llm_record=new", "--llm-record=all"], None, "record=all (from --llm-record)"),
    ],
)
def test_the_header_says_which_mode_is_on_and_why(
    project: Project, monkeypatch: pytest.MonkeyPatch, args: list[str], ci: str | None, said: str
) -> None:
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    result = project.run(*args)
    result.stdout.fnmatch_lines([f"llmeval: {said}, models=chat (--llm-models)"])


def test_in_ci_nobody_is_asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    project.write(ASK)
    result = project.outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "llm_cassettes/test_chat/chat/test_ask.yaml does not exist, and mode 'none' asks nobody.".join("**"),
            f"  POST {project.server.url}/chat/completions",
            "Record *:  pytest 'test_chat.py::test_ask?chat?' --llm-models=chat --llm-record=once",
        ]
    )
    assert project.server.asked == []
    assert project.recordings() == []


def test_equal_requests_replay_in_the_order_in_which_they_were_asked(project: Project) -> None:
    project.write("""
        def test_it(llm):
            assert [llm.complete("x").json()["n"] for _ in range(5)] == [1, 2, 3, 4, 5]
    """)
    project.outcomes(passed=1)
    project.outcomes("--llm-record=none", passed=1)


def test_an_answer_too_few_is_told(project: Project) -> None:
    project.write('def test_it(llm):\n    for _ in range(2): llm.complete("x")\n')
    project.outcomes(passed=1)
    project.write('def test_it(llm):\n    for _ in range(3): llm.complete("x")\n')
    result = project.outcomes(failed=1)
    result.stdout.fnmatch_lines(["llm_cassettes/*/test_it.yaml: recorded 2x, asked 3x.", "Record again: *=stale"])


def test_equal_requests_from_threads_replay_to_who_asked_them(project: Project) -> None:
    project.write("""
        def test_it(llm):
            replies = llm.complete_many(["same", "other"] * 8, concurrency=6)
            print("answers:", [reply.json()["n"] for reply in replies])
    """)
    recorded = answers(project.outcomes("-s", passed=1))
    assert sorted(recorded) == list(range(1, 17))
    for _ in range(3):
        assert answers(project.outcomes("-s", "--llm-record=none", passed=1)) == recorded


def test_a_stale_recording_shows_the_words_that_changed_and_the_command_that_mends_it(project: Project) -> None:
    test = """
        import pytest

        @pytest.mark.parametrize("case", ["a b/ü", "c'd"])
        def test_ask(llm, case):
            llm.complete("Extract the {} name. Return JSON.", max_tokens={})
    """
    project.write(test.format("", 10), "sub dir/test_chat.py")
    project.outcomes(passed=2)
    project.write(test.format("full", 20), "sub dir/test_chat.py")
    result = project.outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "sub dir/llm_cassettes/test_chat/chat/*.yaml is stale: it has no recording of this request.",
            f"  POST {project.server.url}/chat/completions",
            "Nearest recorded request ([[]-recorded-] {+now+}):",
            "  messages?0?.content: Extract the {+full+} name. Return JSON.",
            "  max_tokens: 10 -> 20",
            "Record again:  pytest *",
        ]
    )
    for command in [line.partition("pytest ")[2] for line in result.outlines if line.startswith("Record again:")]:
        done = subprocess.run(
            f"{sys.executable} -m pytest {command}", shell=True, cwd=project.path, capture_output=True, text=True
        )
        assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert len(project.server.asked) == 4
    project.outcomes("--llm-record=none", passed=2)


SWALLOWED = """
def ask(llm):
    try:
        return llm.complete("Hi").content
    except BaseException:
        return "sorry"
"""


@pytest.mark.parametrize("test", ["ask(llm)", 'assert ask(llm) != "sorry"'], ids=["passes", "fails by itself"])
def test_a_miss_that_the_code_swallows_fails_the_test_all_the_same(project: Project, test: str) -> None:
    project.write(f"{SWALLOWED}\ndef test_it(llm):\n    {test}\n")
    result = project.outcomes("--llm-record=none", failed=1)
    result.stdout.fnmatch_lines(["*No recording: llm_cassettes/*", "*Record *"])
    assert [record.outcome for record in project.records().tests] == ["error"]


def test_except_exception_does_not_even_see_a_miss(project: Project) -> None:
    project.write(SWALLOWED.replace("BaseException", "Exception") + "\ndef test_it(llm):\n    ask(llm)\n    assert 0\n")
    result = project.outcomes("--llm-record=none", failed=1)
    result.stdout.no_fnmatch_line("*assert 0*")


@pytest.mark.parametrize("scope", ["function", "module"])
@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_a_miss_that_a_fixture_swallows_is_an_error(project: Project, scope: str, phase: str) -> None:
    project.write(f"""
        import httpx, pytest

        def ask():
            try:
                httpx.post("{project.server.url}/chat/completions", json={{"messages": []}})
            except BaseException:
                pass

        @pytest.fixture(scope="{scope}")
        def prepared():
            {"ask()" if phase == "setup" else "pass"}
            yield
            {"ask()" if phase == "teardown" else "pass"}

        def test_it(llm, prepared): pass
    """)
    result = project.run("--llm-record=none")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*No recording: llm_cassettes/*"])
    assert [record.outcome for record in project.records().tests] == ["error"]


def test_a_miss_in_a_test_that_is_expected_to_fail_is_no_verdict(project: Project) -> None:
    project.write("import pytest\n\n@pytest.mark.xfail\ndef test_it(llm):\n    llm.complete('Hi')\n    assert 0\n")
    result = project.run("--llm-record=none")
    result.stdout.fnmatch_lines(["*No recording: llm_cassettes/*"])
    (record,) = project.records().tests
    assert (record.outcome, record.score) == ("error", None)
