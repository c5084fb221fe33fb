"""What a run will ask and cost, before it does: `--llm-dry-run`, and the estimate under `--llm-max-cost`."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from tests.integration.conftest import Project
from tests.integration.test_budget import outcomes, spending
from tests.integration.test_hooks import PROVIDER

#: Declares just what `llm_cases` and `llm_reply` do.
DECLARES = """
import pytest

@pytest.fixture
def llm_reply(llm, llm_case):
    return llm.complete(llm_case)
"""
DECLARED = """
import pytest

@pytest.mark.llm_params(max_tokens=50)
@pytest.mark.parametrize("llm_case", ["one", "two", "three"])
def test_declared(llm_reply):
    assert llm_reply.json()
"""
IN_ITS_BODY = """
import pytest

@pytest.mark.parametrize("n", range(2))
def test_body(llm, n):
    llm.complete(f"question {n}", max_tokens=50)
    llm.complete(f"and {n}", max_tokens=50)
"""
OTHER = 'model = "openai:other"\nprices = {input = 2.0, output = 20.0}'


def declare(project: Project) -> None:
    project.write(DECLARES, "conftest.py")
    project.write(DECLARED)


def dry_run(project: Project, *args: str, models: str = "chat") -> pytest.RunResult:
    """Look, and check that nothing was asked, run or written."""
    asked, before = (
        len(project.server.asked),
        {name: (project.path / name).read_bytes() for name in project.recordings()},
    )
    result = project.run("--llm-dry-run", *args, models=models)
    assert len(project.server.asked) == asked
    assert {name: (project.path / name).read_bytes() for name in project.recordings()} == before
    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes()
    return result


def rows(result: pytest.RunResult) -> dict[str, list[str]]:
    """Return the figures of each candidate: tests, recorded, to ask, and what is likely."""
    found = (re.match(r"(\S+) +(\d+ +\d+ +\S+.*)$", line) for line in result.outlines)
    return {match[1]: match[2].split() for match in found if match is not None}


MODES = {
    # Recorded, to ask, and tests that fail, of three declared tests of which one is recorded and one is stale.
    "none": (1, 0, 2),
    "once": (1, 1, 1),
    "new": (1, 2, 0),
    "stale": (1, 2, 0),
    "all": (0, 3, 0),
    "live": (0, 3, 0),
}


@pytest.mark.parametrize(("mode", "expected"), MODES.items(), ids=MODES)
def test_a_dry_run_knows_what_each_mode_asks(project: Project, mode: str, expected: tuple[int, int, int]) -> None:
    declare(project)
    project.outcomes("-k", "one or two", passed=2, deselected=1)
    project.write(DECLARED.replace('"two"', 'pytest.param("two, changed", id="two")'))
    project.stop_server()
    result = dry_run(project, f"--llm-record={mode}")
    recorded, to_ask, failing = expected
    assert rows(result)["chat"][:3] == ["3", str(recorded), str(to_ask)]
    assert any("fails: " in line or "fail: " in line for line in result.outlines) is (failing > 0)
    if failing:
        result.stdout.fnmatch_lines(
            [f"unknown *{failing} test*fail*: a recording is stale, missing or damaged, which*"]
        )
    # The estimate is of what the run then does.
    assert "no tests ran" in result.outlines[-1]


def test_a_run_asks_what_the_dry_run_said_for_no_more_than_it_said(project: Project) -> None:
    declare(project)
    project.write(IN_ITS_BODY, "test_body.py")
    project.add_model("other", OTHER)
    project.run(models="chat")
    plan = dry_run(project, models="chat,other")
    assert rows(plan) == {
        "chat": ["5", "7", "0", "-", "-", "-"],
        "other": ["5", "0", "7", "about", *rows(plan)["other"][4:]],
    }
    (total,) = [line for line in plan.outlines if line.startswith("total")]
    about, most = (Decimal(text) for text in re.findall(r"\$([0-9.]+[0-9])", total))
    before = len(project.server.asked)
    result = project.run("--llm-max-cost=1", models="chat,other")
    assert len(project.server.asked) - before == 7
    spent = Decimal(spending(project).spent)
    assert spent <= most
    # What is likely comes from what the other candidate has recorded.
    assert abs(about - spent) < spent / 5
    plan.stdout.fnmatch_lines(["output *length of answers as in other candidates (7 calls)"])
    result.stdout.fnmatch_lines([f"llmeval: budget $1.00: 7 calls to ask, about ${about}, at most ${most}"])


def test_where_the_length_of_an_answer_is_taken_from(project: Project) -> None:
    declare(project)
    result = dry_run(project)
    result.stdout.fnmatch_lines(["output *as in half of max_tokens (3 calls)"])
    project.outcomes("-k", "one", passed=1, deselected=2)
    dry_run(project).stdout.fnmatch_lines(["output *as in other cases of the test (2 calls)"])
    result = dry_run(project, "--llm-record=all")
    result.stdout.fnmatch_lines(["output *the test's recording (1 call), other cases of the test (2 calls)"])


def test_tests_that_do_not_declare_what_they_ask_are_told_of(project: Project) -> None:
    project.write(IN_ITS_BODY)
    result = dry_run(project)
    assert rows(result)["chat"] == ["2", "0", "≥0", "-", "-", "-"]
    result.stdout.fnmatch_lines(["unknown *2 tests do not declare what to ask, or ask what depends on an answer*"])
    project.run()
    assert rows(dry_run(project))["chat"] == ["2", "4", "0", "-", "-", "-"]
    assert rows(dry_run(project, "--llm-record=all"))["chat"][:3] == ["2", "0", "4"]


@pytest.mark.parametrize("args", [["-n2"], ["-q"], ["-v"], ["--collect-only"], ["-k", "one"]], ids=str)
def test_a_dry_run_with_other_options(project: Project, args: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    declare(project)
    project.add_model("other", OTHER)
    project.add_model("free", 'model = "openai:own"\nprices = "free"')
    result = dry_run(project, *args, models="chat,other,free")
    tests = "1" if "-k" in args else "3"
    figures = {name: row[:3] for name, row in rows(result).items()}
    assert figures == {name: [tests, "0", tests] for name in ("chat", "other", "free")}
    start = next(number for number, line in enumerate(result.outlines) if "candidate" in line)
    assert all(len(line) <= 80 for line in result.outlines[start:])


def test_a_dry_run_without_pytests_terminal(project: Project) -> None:
    declare(project)
    result = project.run("--llm-dry-run", "-p", "no:terminal")
    assert (result.ret, rows(result)["chat"][:3]) == (pytest.ExitCode.OK, ["3", "0", "3"])


def test_a_dry_run_asks_no_provider_of_a_third_party(project: Project) -> None:
    project.write(DECLARES + PROVIDER.format(url=project.server.url), "conftest.py")
    project.write(DECLARED)
    result = dry_run(project, models="inhouse:large")
    assert rows(result)["inhouse:large"] == ["3", "0", "≥0", "-", "-", "-"]


def test_a_dry_run_sends_nothing_to_hosts_that_are_left_alone(project: Project) -> None:
    declare(project)
    project.write(f"[pytest]\nllm_passthrough = {project.server.host}", "pytest.ini")
    assert rows(dry_run(project))["chat"][:3] == ["3", "0", "3"]


def test_a_dry_run_without_tests_that_ask_models(project: Project) -> None:
    project.write("def test_it(): raise AssertionError\n")
    dry_run(project).stdout.fnmatch_lines(["No test asks a model."])


def test_a_dry_run_of_what_cannot_be_collected_fails_as_ever(project: Project) -> None:
    project.write("raise RuntimeError\n")
    assert project.run("--llm-dry-run").ret == pytest.ExitCode.INTERRUPTED


def test_a_renamed_test_has_its_recording_where_it_was(project: Project) -> None:
    declare(project)
    project.outcomes(passed=3)
    project.write(DECLARED.replace("test_declared", "test_renamed"))
    assert rows(dry_run(project))["chat"][:3] == ["3", "3", "0"]


def test_keys_that_tests_set_later_are_used_by_the_run(project: Project) -> None:
    project.add_model("keyed", 'model = "openai:chat"\nprices = {input = 1.0, output = 10.0}\napi_key_env = "LATE_KEY"')
    project.write(
        DECLARES
        + """
@pytest.fixture(scope="session", autouse=True)
def key():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LATE_KEY", "late-key")
        yield
""",
        "conftest.py",
    )
    project.write(DECLARED)
    project.run("--llm-max-cost=1", models="keyed")
    assert outcomes(project) == {"passed": 3}
    assert {headers.get("authorization", headers.get("Authorization")) for headers in project.server.headers} == {
        "Bearer late-key"
    }


@pytest.mark.parametrize("workers", [[], ["-n2"]])
def test_prices_that_are_unknown_are_told_before_the_first_call(project: Project, workers: list[str]) -> None:
    project.add_model("odd", 'model = "openai:odd"')
    project.add_model("half", 'model = "openai:half"\nprices = {input = 1.0}')
    declare(project)
    result = project.run("--llm-max-cost=5", *workers, models="chat,odd,half")
    assert (result.ret, project.server.asked) == (pytest.ExitCode.USAGE_ERROR, [])
    result.stderr.fnmatch_lines(
        [
            "ERROR: --llm-max-cost=5 needs to know what calls can cost, and cannot tell for:",
            "  odd: nobody publishes prices for this endpoint; set `prices` for the model",
            "  half: `prices` of the model has no `output`",
            "Set prices in [[]tool.llmeval.models.NAME], or make such calls uncounted with --llm-unknown-price=ignore.",
        ]
    )
    assert result.stderr.str().count("needs to know") == 1


def test_unknown_prices_matter_only_to_what_may_be_asked(project: Project) -> None:
    project.add_model("odd", 'model = "openai:odd"')
    declare(project)
    result = project.run("--llm-max-cost=5", "--llm-unknown-price=ignore", models="odd")
    assert (outcomes(project), spending(project).unpriced) == ({"passed": 3}, 3)
    result.stdout.fnmatch_lines(["budget *$5.00: spent ≥ $0.00 (3 calls unpriced)"])
    # All of it replays now.
    assert project.run("--llm-max-cost=5", models="odd").ret == pytest.ExitCode.OK
    assert project.run("--llm-max-cost=5", "--llm-record=none", models="odd").ret == pytest.ExitCode.OK
    # And one that was deselected is not asked either.
    args = ("--llm-max-cost=5", "--llm-record=live", "-k", "not odd")
    assert project.run(*args, models="odd,chat").ret == pytest.ExitCode.OK


def test_two_workers_are_told_of_the_estimate_once(project: Project) -> None:
    declare(project)
    result = project.run("--llm-max-cost=1", "-n2")
    lines = [line for line in result.outlines if line.startswith("llmeval: budget")]
    assert len(lines) == 1
    assert "3 calls to ask, about $0.0" in lines[0]
    assert outcomes(project) == {"passed": 3}


def test_a_budget_says_nothing_where_nobody_is_asked(project: Project) -> None:
    declare(project)
    project.outcomes(passed=3)
    for args in ([], ["--llm-record=none"]):
        result = project.run("--llm-max-cost=0", *args)
        result.stdout.no_fnmatch_line("llmeval: budget*")


@pytest.mark.parametrize(
    ("budget", "reach"),
    [
        ("1", "reaches for all of it"),
        ("0.001", "may not reach for all of it"),
        ("0.0001", "does not reach for all of it"),
    ],
)
def test_a_plan_says_whether_the_budget_reaches(project: Project, budget: str, reach: str) -> None:
    declare(project)
    dry_run(project, f"--llm-max-cost={budget}").stdout.fnmatch_lines([f"budget *${budget}* {reach}"])


def test_the_classifier_of_a_router_is_in_the_plan(project: Project) -> None:
    declare(project)
    project.add_model("other", OTHER)
    project.add_settings(
        '[tool.llmeval.models.ruled]\nrouter = { pattern = "x", simple = "chat", complex = "other" }\n'
        '[tool.llmeval.models.sorted]\nrouter = { classifier = "chat", simple = "chat", complex = "other" }'
    )
    found = {}
    for name in ("ruled", "sorted"):
        plan = dry_run(project, models=name)
        (total,) = [line for line in plan.outlines if line.startswith("total")]
        found[name] = [Decimal(text) for text in re.findall(r"\$([0-9.]+[0-9])", total)]
        assert rows(plan)[name][:3] == ["3", "0", "3" if name == "ruled" else "6"]
    assert all(more > less for less, more in zip(found["ruled"], found["sorted"], strict=True))
    before = len(project.server.asked)
    project.run("--llm-max-cost=1", models="sorted")
    assert len(project.server.asked) - before == 6
    assert Decimal(spending(project).spent) <= found["sorted"][1]
