"""How far a run is, shown while it waits; what pytest writes stays as it is."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
import termios
import time
from subprocess import Popen

import pytest

from tests.integration.conftest import OTHERS, Project
from tests.screen import Screen

CASES = """
import pytest

@pytest.mark.llm_cases([{"id": f"q{n}", "input": f"question {n}"} for n in range(14)])
def test_case(llm_reply, llm_case):
    if llm_case.id == "q7":
        pytest.fail("not this one", pytrace=False)

@pytest.mark.parametrize("n", range(90))
def test_other(n):
    pass
"""
LOUD = """
def pytest_runtest_setup(item):
    print("printed in a setup")

def pytest_runtest_teardown(item):
    print("printed, and no line's end", end="")
"""


class Terminal:
    """A run of pytest in a terminal.

    Attributes:
        shown: Each state of the progress line that was seen.
        screen: What stands there in the end.
        code: Exit status.
    """

    def __init__(self, project: Project, *args: str, rows: int = 10, columns: int = 80, term: str = "xterm") -> None:
        self.screen = Screen(rows, columns)
        self.shown: list[str] = []
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": term}
        command = [sys.executable, "-m", "pytest", *(f"-pno:{name}" for name in OTHERS), "--llm-models=chat", *args]
        process = Popen(command, cwd=project.path, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self._read(ours)
        self.code = process.wait(timeout=60)

    def _read(self, terminal: int) -> None:
        until = time.monotonic() + 120
        with open(terminal, "rb", buffering=0) as file:
            while time.monotonic() < until:
                try:
                    data = file.read(65536)
                except OSError:
                    # How Linux says that the last who wrote here is gone.
                    return
                if not data:
                    return
                self.screen.feed(data.decode("utf-8", "replace"))
                self.shown += [line for line in self.screen.lines() if line.startswith("llmeval: ") and "/" in line]

    def tests(self) -> str:
        """Return what pytest wrote of the tests, up to the summary."""
        return self.screen.text().partition("LLM evaluation")[0]


@pytest.mark.parametrize("option", ["--capture=fd", "--capture=sys", "-s", "-v"])
def test_what_pytest_writes_to_a_terminal_stays_as_it_is(project: Project, option: str) -> None:
    project.write(CASES)
    project.write(LOUD, "conftest.py")
    project.server.slow.update({f"question {n}": 0.6 for n in (0, 4, 8, 12)})
    live = Terminal(project, option, "--llm-concurrency=2")
    assert live.code == pytest.ExitCode.TESTS_FAILED
    assert any("in flight" in line for line in live.shown)
    plain = Terminal(project, option, term="dumb")
    assert plain.shown == []
    assert live.tests() == plain.tests()
    assert "llmeval: 1" not in live.screen.text()


def test_a_narrow_terminal_gets_what_fits(project: Project) -> None:
    project.write(CASES)
    project.server.delay = 0.5
    live = Terminal(project, "--llm-concurrency=4", columns=40)
    assert max(map(len, live.shown)) < 40
    assert any(line.startswith("llmeval: ") and line.endswith("in flight") for line in live.shown)


def test_done_total_cost_and_the_time_left_are_shown(project: Project) -> None:
    project.write(CASES)
    project.server.delay = 0.4
    shown = Terminal(project, "--llm-concurrency=4").shown
    pattern = r"llmeval: \d+/14 answers, \d in flight, about \d+ s left, \$0\.0\d+ so far"
    assert any(re.fullmatch(pattern, line) for line in shown), shown


@pytest.mark.parametrize("options", [("-q",), ("-o", "log_cli=true"), ("-n2", "-q")], ids=str)
def test_nothing_is_shown_where_it_is_not_wanted(project: Project, options: tuple[str, ...]) -> None:
    project.write(CASES)
    project.server.delay = 0.3
    assert Terminal(project, *options).shown == []


def test_the_controller_of_workers_shows_how_far_they_are(project: Project) -> None:
    project.write(CASES)
    project.server.delay = 0.5
    live = Terminal(project, "-n2", "--llm-concurrency=2", columns=100)
    assert any(re.fullmatch(r"llmeval: \d+/104 tests, .*so far", line) for line in live.shown), live.shown
    assert "llmeval: 1" not in live.screen.text()


def test_a_log_gets_a_line_a_minute(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_llmeval.progress.MINUTE", 0.3)
    project.write(CASES)
    project.server.delay = 0.35
    result = project.run("--llm-concurrency=2")
    result.assert_outcomes(passed=103, failed=1)
    lines = [line for line in result.outlines if "llmeval: " in line and "answers" in line]
    assert 1 <= len(lines) <= 6
    # How long the rest takes, the first answers do not tell.
    pattern = r"llmeval: \d+/14 answers, \d in flight(, about \d+ s left)?(, \$0\.0\d+ so far)?"
    assert all(re.fullmatch(pattern, line) for line in lines), lines
    dots = "".join(re.sub(r"^test_chat.py |\[.*", "", line) for line in result.outlines if set("F.") & set(line[:14]))
    assert dots.count("F") >= 1


def test_a_log_of_less_than_a_minute_has_no_such_line(project: Project) -> None:
    project.write(CASES)
    project.server.delay = 0.3
    result = project.run()
    assert not [line for line in result.outlines if "llmeval: " in line and "answers" in line]
