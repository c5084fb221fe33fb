"""What GitHub Actions shows of a run: annotations at the lines of tests, as workflow commands.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from pytest_llmeval.display import escape
from pytest_llmeval.records import Run, TestRecord
from pytest_llmeval.reports.gate import gate_lines
from pytest_llmeval.reports.summary import summarize
from pytest_llmeval.samples import cases_of

#: GitHub shows ten of a kind in a step.
MOST = 10
MOST_CASES = 8
LONGEST_MESSAGE = 500
FAILING = ("failed", "error")


def workflow_commands(run: Run, lines: Mapping[str, int], folder: str = "", failing: Sequence[str] = ()) -> list[str]:
    r"""Return the workflow commands of a run: failing tests by candidate, the gate, and tests that no longer fail.

    What models wrote cannot become a command of its own: it stands escaped, on the one line of its command.

    Args:
        run: The records.
        lines: Line of each test that failed, from 1, by node id.
        folder: pytest's rootdir as seen from the repository's; empty where they are the same.
        failing: Why the run fails though its tests may pass, in lines.

    >>> run = Run(tests=[TestRecord("test_x.py::test_x[mini]", "mini", "failed", score=0.0, message="no JSON\n::x::")])
    >>> print(*workflow_commands(run, {"test_x.py::test_x[mini]": 3}), sep="\n")
    ::error file=test_x.py,line=3,title=LLM%3A mini::test_x: 1 of 1 failed: test_x: no JSON
    """
    groups: dict[tuple[str, str], list[TestRecord]] = {}
    for test in run.tests:
        if test.known_failing is None:
            groups.setdefault((test.nodeid.partition("[")[0], test.candidate), []).append(test)
    errors = [_of_test(tests, lines, folder) for tests in groups.values() if any(t.outcome in FAILING for t in tests)]
    if failing:
        errors.insert(0, command("error", "\n".join(failing), title="LLM gate"))
    warnings = list(_unsure(run))
    notices = [
        command(
            "notice", f"{case.name} passed with {row.name}: take llm_known_failing away?", title="LLM known failing"
        )
        for row in summarize(run)
        for case in row.known_failing
        if case.passed
    ]
    return [*errors[:MOST], *warnings[:MOST], *notices[:MOST]]


def _unsure(run: Run) -> Iterator[str]:
    unsure = gate_lines(run.gate)[1] if run.gate is not None else []
    if unsure:
        yield command("warning", "\n".join(unsure), title="LLM gate")


def _of_test(tests: Sequence[TestRecord], lines: Mapping[str, int], folder: str) -> str:
    failed = [test for test in tests if test.outcome in FAILING]
    first = failed[0]
    file, _, name = first.nodeid.partition("[")[0].partition("::")
    cases = [case.name for case in cases_of(failed)]
    more = f" and {len(cases) - MOST_CASES} more" if len(cases) > MOST_CASES else ""
    said = next(iter((first.message or "").strip().splitlines()), "")[:LONGEST_MESSAGE]
    text = f"{name}: {len(failed)} of {len(tests)} failed: {', '.join(cases[:MOST_CASES])}{more}"
    title = f"LLM: {first.candidate}" if first.candidate else "LLM"
    where = {"file": posixpath.normpath(posixpath.join(folder, file)), "line": str(lines.get(first.nodeid, 1))}
    return command("error", f"{text}: {said}" if said else text, **where, title=title)


def command(kind: str, message: str, **properties: str) -> str:
    r"""Return a workflow command on one line, in which nothing of the message or of a property is another one.

    >>> command("error", "100%\n::x::", title="a,b: c")
    '::error title=a%2Cb%3A c::100%25%0A::x::'
    """
    shown = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind}{f' {shown}' if shown else ''}::{_data(message)}"


def _data(text: str) -> str:
    lines = "\n".join(escape(line) for line in text.splitlines())
    return lines.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def folder_in_repository(rootdir: Path, environment: Mapping[str, str]) -> str:
    """Return a folder as seen from the checkout of a workflow; an empty string if it is that, or is not in it.

    >>> folder_in_repository(Path("/ws/app"), {"GITHUB_WORKSPACE": "/ws"})
    'app'
    """
    workspace = environment.get("GITHUB_WORKSPACE", "")
    if not workspace or not rootdir.is_relative_to(workspace):
        return ""
    found = os.path.relpath(rootdir, workspace).replace(os.sep, "/")
    return "" if found == "." else found


def address_of(rootdir: Path, environment: Mapping[str, str]) -> str:
    """Return the address of a folder at the commit that a workflow runs for, with a slash; empty outside of one.

    >>> told = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "you/app", "GITHUB_SHA": "1a2b3c"}
    >>> address_of(Path("/ws/evals"), {**told, "GITHUB_WORKSPACE": "/ws"})
    'https://github.com/you/app/blob/1a2b3c/evals/'
    """
    server, repository, commit = (environment.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "SHA"))
    if not server or not repository or not commit:
        return ""
    return posixpath.join(server, repository, "blob", commit, quote(folder_in_repository(rootdir, environment)), "")
