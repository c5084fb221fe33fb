"""What a test has recorded is on the disk while it runs on, so that a kill does not cost what was paid for."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.format import Tape
from tests.integration.conftest import Project

if sys.platform == "win32":
    pytest.skip("kill -9 is a matter of POSIX", allow_module_level=True)

#: How a test asks twelve questions, one after the other or at once.
WAYS = {
    "many at once": "llm.complete_many([f'question {n}' for n in range(12)])",
    "one after the other": "[llm.complete(f'question {n}') for n in range(12)]",
    "streams": "[llm.complete(f'question {n}', stream=True) for n in range(12)]",
    "async": "asyncio.run(both(llm))",
    "the code's own client": "[ask(f'question {n}') for n in range(12)]",
}
ASKING = """
import asyncio, os
import openai

async def both(llm):
    limit = asyncio.Semaphore(4)

    async def one(n):
        async with limit:
            await llm.acomplete(f"question {n}")

    await asyncio.gather(*[one(n) for n in range(12)])

def ask(question):
    client = openai.OpenAI(base_url=os.environ["CHAT_URL"], api_key="k", max_retries=0)
    client.chat.completions.create(model="chat", messages=[{"role": "user", "content": question}])

def test_long(llm):
    %s
"""
#: The last questions are answered so late that the run is killed before.
LATE = {f"question {n}" for n in (9, 10, 11)}


UNTIL_SAVED = """
import pathlib, time, pytest

def until(there):
    end = time.monotonic() + 20
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)

def saved(text):
    files = pathlib.Path("llm_cassettes").rglob("*.yaml")
    return any(text in path.read_text() for path in files)
"""

#: What is on the disk after the refusal came, and before the test ends, is told in the file `seen`.
ENDS_WITH_A_REFUSAL = (
    UNTIL_SAVED
    + """
def test_it(llm):
    llm.complete("one")
    try:
        llm.complete("two")
    finally:
        until(lambda: saved("incomplete: true"))
        time.sleep(1)
        pathlib.Path("seen").write_text(str(saved("404")))
"""
)


def refuse_from_the_next_on(project: Project) -> None:
    """Answer one more request, and all after it with 404."""

    def refuse(_: object) -> None:
        project.server.failures.append(404)

    project.server.says = refuse


def wait_for(happened: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it has not happened"
        time.sleep(0.01)


def tape_of(project: Project) -> Tape:
    """Return what is recorded so far."""
    for name in project.recordings():
        return read_tape(project.path / name)[0]
    return Tape()


def kill_when(project: Project, count: int, *args: str) -> None:
    """Start a run, and kill it once so many answers are on the disk."""
    process = project.start("--llm-concurrency=4", "-q", *args)
    try:
        wait_for(lambda: len(tape_of(project).interactions) >= count)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)


@pytest.fixture
def chat_url(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_URL", project.server.url)


@pytest.mark.parametrize("mode", ["once", "new"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("chat_url")
def test_a_test_that_is_killed_goes_on_where_it_was(project: Project, way: str, mode: str) -> None:
    project.write(ASKING % WAYS[way])
    project.server.slow = dict.fromkeys(LATE, 60.0)
    kill_when(project, 9, f"--llm-record={mode}")
    assert tape_of(project).incomplete
    first = Counter(project.server.questions())
    assert set(first.values()) == {1}
    project.server.slow = {}
    project.outcomes(f"--llm-record={mode}", passed=1)
    # Nothing is paid twice but what was on its way.
    assert set(project.server.questions()) == LATE
    assert not tape_of(project).incomplete
    assert len(tape_of(project).interactions) == 12
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


def test_each_worker_of_xdist_saves_what_its_test_has_recorded(project: Project) -> None:
    project.write(
        """
        import pytest

        @pytest.mark.parametrize("name", ["a", "b"])
        def test_long(llm, name):
            for n in range(4):
                llm.complete(f"question {name}{n}")
        """
    )
    project.server.slow = {"question a3": 60.0, "question b3": 60.0}
    process = project.start("-n2", "-q")
    try:
        paths = project.path / "llm_cassettes"
        wait_for(lambda: sum(len(read_tape(path)[0].interactions) for path in paths.rglob("*.yaml")) == 6)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    project.server.questions()
    project.server.slow = {}
    project.outcomes(passed=2)
    assert sorted(project.server.questions()) == ["question a3", "question b3"]


def test_recording_all_again_costs_no_old_answer_if_it_is_killed(project: Project) -> None:
    project.write(ASKING % WAYS["one after the other"])
    project.outcomes(passed=1)
    old = {interaction.content for interaction in tape_of(project).interactions}
    project.server.slow = dict.fromkeys(LATE, 60.0)
    process = project.start("--llm-record=all")
    try:
        wait_for(lambda: len(old & {each.content for each in tape_of(project).interactions}) == 3)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    assert len(tape_of(project).interactions) == 12
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


def test_recording_equal_requests_all_again_costs_no_old_answer_if_it_is_killed(project: Project) -> None:
    project.write("def test_it(llm):\n    for n in range(4):\n        llm.complete('the same')\n")
    project.outcomes(passed=1)
    old = [interaction.content for interaction in tape_of(project).interactions]

    def late_from_the_second_on(_: object) -> None:
        time.sleep(60.0 if len(project.server.asked) > 5 else 0.0)

    project.server.says = late_from_the_second_on
    process = project.start("--llm-record=all")
    try:
        wait_for(lambda: tape_of(project).incomplete)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    now = [interaction.content for interaction in tape_of(project).interactions]
    assert now[0] not in old
    assert now[1:] == old[1:]


def test_in_mode_stale_a_refusal_does_not_replace_an_old_answer_while_the_test_runs(project: Project) -> None:
    project.write(UNTIL_SAVED + "def test_it(llm):\n    llm.complete('one')\n    llm.complete('two')\n")
    project.outcomes(passed=1)
    old = [interaction.content for interaction in tape_of(project).interactions]

    refuse_from_the_next_on(project)
    project.write(ENDS_WITH_A_REFUSAL)
    project.outcomes("--llm-record=stale", "--llm-max-age=0h", failed=1)
    assert (project.path / "seen").read_text() == "False"
    new = tape_of(project).interactions
    assert [each.status for each in new] == [200, 200]
    assert new[0].content != old[0]
    assert new[1].content == old[1]


def test_a_renamed_test_that_is_killed_keeps_the_answers_that_it_has_not_come_to(project: Project) -> None:
    questions = ["one", "two", "three"]
    text = "def test_%s(llm):\n    for question in %s:\n        llm.complete(question)\n"
    project.write(text % ("old", questions))
    project.outcomes(passed=1)
    project.write(text % ("new", ["one", "new", "late", "two", "three"]))
    project.server.slow = {"late": 60.0}
    process = project.start()
    try:
        wait_for(lambda: any("test_new" in name for name in project.recordings()))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
    project.server.questions()
    project.server.slow = {}
    project.outcomes(passed=1)
    assert project.server.questions() == ["late"]


def test_a_test_that_ends_leaves_no_trace_of_having_been_saved(project: Project) -> None:
    project.write(
        UNTIL_SAVED
        + """
def test_it(llm):
    llm.complete("one")
    until(lambda: saved("incomplete: true"))
    llm.complete("two")
"""
    )
    project.outcomes(passed=1)
    assert not tape_of(project).incomplete
    assert len(tape_of(project).interactions) == 2


def test_what_a_test_was_refused_at_its_end_is_not_kept(project: Project) -> None:
    # An unknown model: kept, it would replay after it was mended.
    project.write(ENDS_WITH_A_REFUSAL)

    refuse_from_the_next_on(project)
    result = project.outcomes(failed=1)
    result.stdout.fnmatch_lines(["*404*"])
    assert (project.path / "seen").read_text() == "False"
    assert [each.status for each in tape_of(project).interactions] == [200]
    project.server.says = lambda _: None
    project.server.failures.clear()
    project.server.questions()
    project.outcomes(failed=0, passed=1)
    assert project.server.questions() == ["two"]


def test_a_secret_that_becomes_known_later_does_not_stay_on_the_disk(project: Project) -> None:
    project.write(
        UNTIL_SAVED
        + """
def test_it(llm, monkeypatch):
    llm.complete("the key is 9fX2mQ7bTzLw4Rk8Vn3Hs6Yd")
    until(lambda: saved("9fX2mQ7bTzLw4Rk8Vn3Hs6Yd"))
    monkeypatch.setenv("BANK_API_KEY", "9fX2mQ7bTzLw4Rk8Vn3Hs6Yd")
    llm.complete("two")
    until(lambda: not saved("9fX2mQ7bTzLw4Rk8Vn3Hs6Yd"))
"""
    )
    result = project.run()
    result.stdout.fnmatch_lines(["*not written, since it would hold a secret (*the value of BANK_API_KEY*"])
    assert project.recordings() == []


def test_a_fault_of_a_hook_while_it_is_saved_stops_nothing(project: Project) -> None:
    project.write(
        """
        import threading

        def pytest_llmeval_redact(request, response):
            if threading.current_thread().name == "llmeval-autosave":
                raise RuntimeError("only here")
        """,
        "conftest.py",
    )
    project.write(ASKING % WAYS["one after the other"])
    project.server.delay = 0.1
    # Mode all compares what is there with what was recorded, and so runs the hook.
    project.outcomes("--llm-record=all", passed=1)
    project.outcomes("--llm-record=all", passed=1)
    assert len(tape_of(project).interactions) == 12


def test_a_disk_that_refuses_for_a_while_costs_nothing(project: Project) -> None:
    project.write(
        UNTIL_SAVED
        + """
def test_it(llm):
    llm.complete("one")
    # Nothing can be written where a file is in the place of the folder.
    blocked = pathlib.Path("llm_cassettes")
    blocked.touch()
    time.sleep(1)
    blocked.unlink()
    until(lambda: saved("one"))
    llm.complete("two")
"""
    )
    project.outcomes(passed=1)
    assert len(tape_of(project).interactions) == 2


def test_no_thread_is_left_where_all_is_written(project: Project) -> None:
    project.write(
        """
        import threading, time

        def test_one(llm):
            llm.complete("one")

        def test_two():
            end = time.monotonic() + 20
            while any(thread.name == "llmeval-autosave" for thread in threading.enumerate()):
                assert time.monotonic() < end
                time.sleep(0.01)
        """
    )
    project.outcomes(passed=2)


def test_a_project_that_puts_time_out_of_action_is_saved_all_the_same(project: Project) -> None:
    project.write(
        UNTIL_SAVED
        + """
def test_it(llm, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", lambda seconds: None)
        llm.complete("one")
        until(lambda: saved("incomplete: true"))
"""
    )
    project.outcomes(passed=1)


def test_a_file_that_another_run_has_recorded_meanwhile_is_left(project: Project, tmp_path: Path) -> None:
    project.write(
        UNTIL_SAVED
        + """
import shutil
def test_it(llm):
    llm.complete("one")
    other = pathlib.Path("other.yaml")
    if other.exists():
        path = pathlib.Path(next(pathlib.Path().glob("path.txt")).read_text())
        path.parent.mkdir(parents=True)
        shutil.copy(other, path)
    llm.complete("two")
    time.sleep(1)
"""
    )
    project.outcomes(passed=1)
    name = project.recordings()[0]
    theirs = (project.path / name).read_bytes()
    (project.path / name).rename(project.path / "other.yaml")
    (project.path / name).parent.rmdir()
    project.write(name, "path.txt")
    project.outcomes(passed=1)
    assert (project.path / name).read_bytes() == theirs
