"""When a run ends early, nothing more is sent, what was paid for is kept, and the next run goes on."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
import yaml

from pytest_llmeval.readahead import UNWRITTEN
from tests.integration.conftest import Project, others_but

N = 4
CASES = """
import os, signal, sys, time
import pytest

CASES = [{"id": f"q{n}", "input": f"question {n}"} for n in range(30)]

@pytest.mark.llm_cases(CASES)
def test_case(llm_reply, llm_case):
    assert llm_reply.json()["echo"] == llm_case.input
    number = int(llm_case.id[1:])
    """


def write_cases(project: Project, body: str) -> None:
    project.write(f"{CASES.rstrip(' ')}    {body}\n")


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def cassettes(project: Project) -> set[str]:
    """Return the cases that have a recording."""
    return {name.partition("[")[2].partition("]")[0] for name in project.recordings()}


def asked(project: Project) -> Counter[str]:
    """Return how often each case was asked for."""
    # Who is killed may have sent half of a question.
    return Counter(f"q{question.split()[-1]}" for question in project.server.questions() if question)


@pytest.mark.parametrize("mode", ["once", "all", "live"])
@pytest.mark.parametrize(
    ("option", "last"), [("-x", 5), ("--maxfail=2", 7), ("--exitfirst", 5), ("--stepwise", 5)], ids=lambda value: value
)
def test_no_more_answers_are_wasted_than_may_be_in_flight(project: Project, option: str, last: int, mode: str) -> None:
    write_cases(project, "assert number not in (5, 7)")
    without = others_but("cacheprovider")
    result = project.run(option, f"--llm-concurrency={N}", f"--llm-record={mode}", without=without)
    assert result.parseoutcomes()["failed"] == (1 if last == 5 else 2)
    wanted = {f"q{n}" for n in range(last + 1)}
    counts = asked(project)
    assert set(counts) >= wanted
    assert len(counts) <= len(wanted) + N
    assert set(counts.values()) == {1}
    assert cassettes(project) == (set() if mode == "live" else set(counts))


def test_in_mode_live_no_more_answers_are_ahead_than_may_be_in_flight(project: Project) -> None:
    write_cases(project, "time.sleep(0.3 if number == 0 else 0)")
    project.server.slow["question 0"] = 0.3
    project.write(
        """
        import pytest

        def pytest_runtest_logfinish(nodeid):
            if "q0" in nodeid:
                pytest.exit("enough")
        """,
        "conftest.py",
    )
    project.run(f"--llm-concurrency={N}", "--llm-record=live")
    assert len(asked(project)) == 1 + N


def test_without_a_limit_on_failures_the_window_reaches_further(project: Project) -> None:
    write_cases(project, "time.sleep(0.5 if number == 0 else 0)")
    project.write(
        """
        import pytest

        def pytest_runtest_logfinish(nodeid):
            if "q0" in nodeid:
                pytest.exit("enough")
        """,
        "conftest.py",
    )
    project.run(f"--llm-concurrency={N}")
    assert len(asked(project)) == 1 + 4 * N


def test_answers_on_their_way_when_a_run_fails_are_waited_for_and_recorded(project: Project) -> None:
    write_cases(project, "assert number != 0")
    project.server.slow.update({f"question {n}": 0.5 for n in range(1, 30)})
    result = project.run("-x", f"--llm-concurrency={N}")
    result.assert_outcomes(failed=1)
    counts = asked(project)
    assert cassettes(project) == set(counts)
    assert 1 < len(counts) <= 1 + N


def test_answers_that_take_too_long_do_not_keep_a_run_from_ending(project: Project) -> None:
    write_cases(project, "assert number != 0")
    project.server.slow.update({f"question {n}": 60 for n in range(1, 30)})
    start = time.monotonic()
    process = project.start("-x", f"--llm-concurrency={N}")
    output = process.communicate(timeout=40)[0].decode()
    assert "1 failed" in output
    assert "Traceback" not in output
    assert process.returncode == pytest.ExitCode.TESTS_FAILED
    assert time.monotonic() - start < 40
    assert cassettes(project) == {"q0"}


def test_ctrl_c_ends_a_run_that_waits_and_what_was_answered_is_kept(project: Project) -> None:
    write_cases(project, "pass")
    project.server.slow.update({"question 3": 60})
    process = project.start(f"--llm-concurrency={N}")
    # The window is full.
    wait_for(lambda: len(project.recordings()) == 3 + 4 * N)
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=30)[0].decode()
    assert "KeyboardInterrupt" in output
    assert "3 passed" in output
    assert "Exception ignored" not in output
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert time.monotonic() - start < 15
    first = asked(project)
    assert set(first) - cassettes(project) == {"q3"}
    project.server.slow.clear()
    project.outcomes(passed=30)
    assert set(asked(project)) == {f"q{n}" for n in range(30)} - set(first) | {"q3"}


def test_a_second_ctrl_c_waits_for_nothing(project: Project) -> None:
    write_cases(project, "pass")
    project.server.delay = 60
    process = project.start(f"--llm-concurrency={N}")
    wait_for(lambda: project.server.in_flight == N)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1)
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=30)[0].decode()
    assert time.monotonic() - start < 25
    # pytest may still have been telling of the first.
    assert process.returncode in (pytest.ExitCode.INTERRUPTED, -signal.SIGINT), output


def test_nothing_is_sent_after_an_interrupted_test(project: Project) -> None:
    write_cases(project, "if number == 2: raise KeyboardInterrupt")
    project.server.delay = 0.1
    project.run_in_new_process(f"--llm-concurrency={N}")
    counts = asked(project)
    assert cassettes(project) == set(counts)
    assert len(counts) <= 3 + 4 * N


#: How many answers a kill may cost: those in flight, and a quarter as many that are not written yet.
LOST = N + N // UNWRITTEN


def has_recorded(project: Project, count: int) -> bool:
    return len(project.recordings()) >= count


@pytest.mark.parametrize("seed", range(6))
def test_what_was_answered_before_a_kill_is_not_paid_twice(project: Project, seed: int) -> None:
    write_cases(project, "time.sleep(0.01)")
    chance = random.Random(seed)
    project.server.delay = 0.02
    paid: Counter[str] = Counter()
    for _ in range(3):
        process = project.start(f"--llm-concurrency={N}", "-q")
        enough = min(30, len(project.recordings()) + chance.randrange(1, 10))
        wait_for(partial(has_recorded, project, enough))
        time.sleep(chance.random() * 0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        wait_for(lambda: project.server.in_flight == 0)
        counts = asked(project)
        paid += counts
        # Whatever was answered and is not on the disk was on its way when the kill came, or was being written.
        assert len(set(counts) - cassettes(project)) <= LOST
        for name in project.recordings():
            assert yaml.safe_load((project.path / name).read_text(encoding="utf-8"))["interactions"]
    there = cassettes(project)
    project.outcomes(passed=30)
    counts = asked(project)
    assert set(counts) == {f"q{n}" for n in range(30)} - there
    assert sum((paid + counts).values()) <= 30 + 3 * LOST


def test_a_test_that_asks_for_more_goes_on_after_a_kill(project: Project) -> None:
    project.write(
        """
        import os, pathlib, pytest, time

        @pytest.mark.llm_cases([{"id": f"q{n}", "input": f"question {n}"} for n in range(3)])
        def test_case(llm_reply, llm_case, llm):
            llm.complete(f"more {llm_case.id}")
            if os.environ.get("DIE"):
                until = time.monotonic() + 20
                while len(list(pathlib.Path().rglob("*.yaml"))) < 3 and time.monotonic() < until:
                    time.sleep(0.01)
                os._exit(1)
            llm.complete(f"last {llm_case.id}")
        """
    )
    os.environ["DIE"] = "1"
    try:
        project.start().communicate(timeout=60)
    finally:
        del os.environ["DIE"]
    assert cassettes(project) == {"q0", "q1", "q2"}
    assert all("incomplete: true" in (project.path / name).read_text() for name in project.recordings())
    project.server.questions()
    project.outcomes(passed=3)
    # The first test had asked for more when it was killed, and that was not on the disk.
    assert sorted(project.server.questions()) == sorted(f"{word} q{n}" for word in ("more", "last") for n in range(3))
    assert not any("incomplete" in (project.path / name).read_text() for name in project.recordings())
    project.stop_server()
    project.outcomes(passed=3)


def test_a_fault_while_an_answer_is_written_is_its_tests_and_holds_up_no_other(project: Project) -> None:
    write_cases(project, "pass")
    project.write(
        """
        from pytest_llmeval.cassettes import disk

        put = disk.put

        def broken(path, *args, **kwargs):
            if "q2]" in path.name:
                raise RuntimeError("nobody thought of this")
            put(path, *args, **kwargs)

        disk.put = broken
        """,
        "conftest.py",
    )
    process = project.start(f"--llm-concurrency={N}")
    try:
        output = process.communicate(timeout=60)[0].decode()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "nobody thought of this" in output
    assert "29 passed" in output
    assert cassettes(project) == {f"q{n}" for n in range(30) if n != 2}


def test_where_the_disk_is_slow_several_answers_are_written_at_once_and_none_is_far_behind(project: Project) -> None:
    write_cases(project, "pass")
    project.write(
        """
        import pytest, threading, time
        from pytest_llmeval.cassettes import disk

        lock, writing, most, put = threading.Lock(), [], [], disk.put

        def slow(*args, **kwargs):
            with lock:
                writing.append(1)
                most.append(len(writing))
            time.sleep(0.1)
            try:
                return put(*args, **kwargs)
            finally:
                with lock:
                    writing.pop()

        @pytest.fixture(scope="session", autouse=True)
        def written():
            disk.put = slow
            yield
            disk.put = put
            print(f"<{max(most)} at once>")
        """,
        "conftest.py",
    )
    result = project.run("-s", f"--llm-concurrency={N}")
    result.assert_outcomes(passed=30)
    at_once = int(re.search(r"<(\d+) at once>", result.stdout.str())[1])  # type: ignore[index]
    # Those that asked write what the recording thread does not come to; none has more than one to write.
    assert 1 < at_once <= 1 + N
    assert len(cassettes(project)) == 30


def test_a_recording_is_written_once_where_nothing_is_added(project: Project) -> None:
    project.write(
        """
        import pytest
        from pytest_llmeval.cassettes import disk

        put = disk.put

        @pytest.fixture(scope="session", autouse=True)
        def written():
            written = []
            disk.put = lambda path, *args, **kwargs: (written.append(path.name), put(path, *args, **kwargs))
            yield
            disk.put = put
            print(f"<{len(written)} written>")

        @pytest.mark.llm_cases(["one", "two", "three"])
        def test_case(llm_reply):
            pass
        """
    )
    project.outcomes("-s", passed=3).stdout.fnmatch_lines(["*<3 written>*"])


def test_an_answer_that_comes_after_its_tests_time_is_recorded(project: Project) -> None:
    write_cases(project, "if number == 29: time.sleep(2)")
    project.server.slow["question 2"] = 1.5
    result = project.run("--timeout=0.7", "-k", "not q29", without=others_but("timeout"))
    result.assert_outcomes(passed=28, errors=1, deselected=1)
    result.stdout.fnmatch_lines(["*Timeout*"])
    result.stdout.no_fnmatch_line("*after its test had ended*")
    assert len(asked(project)) == 29
    assert len(cassettes(project)) == 29
    project.outcomes(passed=30)
    assert set(asked(project)) == {"q29"}


def test_what_another_fixture_keeps_from_running_is_recorded_all_the_same(project: Project) -> None:
    project.write(
        """
        import pytest

        @pytest.fixture
        def a_choice(llm_case):
            if llm_case.id == "c1":
                pytest.skip("not this one")

        @pytest.mark.llm_cases([{"id": f"c{n}", "input": f"question {n}"} for n in range(3)])
        def test_case(a_choice, llm_reply):
            pass
        """
    )
    project.server.delay = 0.3
    result = project.run()
    result.assert_outcomes(passed=2, skipped=1)
    assert len(project.recordings()) == 3
    assert sorted(test.outcome for test in project.records().tests) == ["passed", "passed", "skipped"]
