"""The table at the end: when it is there, how wide, in colour or not, short or not at all."""

from __future__ import annotations

import re

import pytest

from tests.integration.conftest import Project

TESTS = """
import pytest
from pytest_llmeval import assert_json

@pytest.mark.parametrize("n", range(4))
def test_it(llm, n):
    assert_json(llm.complete(f"question {n}", stream=n == 0))
    if n == 3:
        pytest.fail("wrong", pytrace=False)
"""
ESCAPE = "\x1b["


@pytest.fixture
def recorded(project: Project) -> Project:
    """A project with the candidates `chat` and `other`, three of four tests passing, recorded."""
    project.add_model("other", 'model = "openai:other"\nprices = "free"')
    project.write(TESTS)
    project.outcomes(models="chat,other", passed=6, failed=2)
    return project


def section(result: pytest.RunResult) -> list[str]:
    """Return the lines of the summary, without its title."""
    lines = result.outlines
    start = next(i for i, line in enumerate(lines) if "LLM evaluation" in line) + 1
    end = next(i for i, line in enumerate(lines[start:], start) if "=====" in line)
    return lines[start:end]


def test_there_is_one_row_a_candidate_with_every_figure(recorded: Project) -> None:
    result = recorded.run(models="other,chat")
    lines = section(result)
    rows = [line.split() for line in lines if line.startswith(("chat ", "other "))]
    assert [row[:4] for row in rows] == [
        ["other", "0.75", "0.30-0.95", "3/4"],
        ["chat", "0.75", "0.30-0.95", "3/4"],
    ]
    heads = " ".join(lines)
    for head in ("score", "interval", "passed", "JSON", "latency", "TTFT", "tok/s", "tokens in", "request", "cost"):
        assert head in heads, head
    assert rows[0][-1] == "free"
    assert rows[1][-1] == "$0.00128"
    assert "100%" in rows[1]
    assert re.search(r"replayed +8 answers, recorded \d{4}-\d\d-\d\d; latency and cost as recorded", "\n".join(lines))
    assert re.search(r"cost +\$0\.00128 in total", "\n".join(lines))


@pytest.mark.parametrize("columns", [200, 120, 80, 60, 40])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(
    recorded: Project, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = section(recorded.run(models="chat,other"))
    assert max(map(len, lines)) <= columns
    (row,) = [line for line in lines if line.startswith("chat ")]
    assert re.match(r"chat +0\.75 .*3/4", row)
    assert "…" not in row


def test_off_takes_the_table_away_and_leaves_the_rest(recorded: Project) -> None:
    for option in (["--llm-summary=off"], ["-o", "llm_summary=off"]):
        result = recorded.run(*option, models="chat,other")
        result.assert_outcomes(passed=6, failed=2)
        result.stdout.no_fnmatch_line("*LLM evaluation*")
        assert len(recorded.records().tests) == 8


def test_quiet_shortens_it_to_a_line_a_candidate(recorded: Project) -> None:
    lines = section(recorded.run("-q", models="chat,other"))
    # With -q pytest's last line has no rule before it.
    rows = [line for line in lines if re.match(r"(chat|other) +0\.75 +3/4 passed +p50 .*", line)]
    assert len(rows) == 2
    assert not [line for line in lines if line.startswith(("candidate", "replayed"))]


@pytest.mark.parametrize(
    ("args", "environ", "colored"),
    [
        (["--color=yes"], {}, True),
        (["--color=no"], {}, False),
        ([], {}, False),
        ([], {"FORCE_COLOR": "1"}, True),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_follow_pytest(
    recorded: Project, monkeypatch: pytest.MonkeyPatch, args: list[str], environ: dict[str, str], colored: bool
) -> None:
    monkeypatch.delenv("PY_COLORS")
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    recorded.server.failures += [500] * 3
    recorded.write("def test_error(llm):\n    llm.complete('x')\n")
    result = recorded.run("--llm-record=live", *args, models="chat")
    lines = section(result)
    assert any(ESCAPE in line for line in lines) is colored
    assert any("chat" in line for line in lines)


def test_a_run_without_candidates_has_no_table(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.llm_cassette
        def test_marked(): pass

        def test_plain(): pass
    """)
    project.outcomes(passed=2).stdout.no_fnmatch_line("*LLM evaluation*")


def test_errors_are_counted_apart_from_scores(project: Project) -> None:
    project.server.failures += [500, 500, 500]
    project.write("def test_a(llm):\n    llm.complete('a')\n\ndef test_b(llm):\n    llm.complete('b')\n")
    lines = section(project.outcomes(passed=1, failed=1))
    (row,) = [line.split() for line in lines if line.startswith("chat ")]
    assert (row[1], row[3], row[4]) == ("1.00", "1/2", "1")
    assert any(re.match(r"errors +chat: 1 call without an answer: 1 server, ", line) for line in lines)


def test_what_a_model_wrote_cannot_steer_the_terminal(project: Project) -> None:
    project.write("def test_it(llm):\n    llm.record_score(0.5, name='a\\x1b[31mred\\nline')\n")
    lines = section(project.outcomes(passed=1))
    assert not [line for line in lines if ESCAPE in line]
    assert any(line.startswith("scores ") for line in lines)


def test_the_summary_comes_with_an_interrupted_run(project: Project) -> None:
    project.write("""
        import pytest

        def test_first(llm):
            llm.complete("x")

        def test_second(llm):
            llm.complete("y")
            pytest.exit("stopped")
    """)
    result = project.run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    (row,) = [line.split() for line in result.outlines if line.startswith("chat ")]
    assert row[3] == "1/1"
