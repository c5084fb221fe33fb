"""`--llm-max-cost`: what is asked never costs more, whoever asks and however much at once."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from decimal import Decimal

import pytest

from pytest_llmeval.runheader import Spending
from tests.integration.conftest import Project, others_but

#: What one answer of the server costs, by its usage and the prices of `chat`.
COST = Decimal("0.00032")
BUDGET = Decimal("0.003")

MANY = """
import pytest

@pytest.mark.parametrize("n", range(12))
def test_many(llm, n):
    assert llm.complete(f"question {n}", max_tokens=20).json()["echo"] == f"question {n}"
"""


def spending(project: Project) -> Spending:
    """Return how the last run stood with its budget; nothing is set aside once a run is over."""
    budget = project.records().budget
    assert budget is not None
    assert budget.held == "0"
    return budget


def outcomes(project: Project) -> Counter[str]:
    return Counter(record.outcome for record in project.records().tests)


def check_within(project: Project, limit: Decimal = BUDGET) -> None:
    """Check that what the server answered did not cost more than the limit, and that the run knows what it cost."""
    answered = len(project.server.asked) * COST
    assert 0 < answered <= limit
    assert Decimal(spending(project).spent) == answered


def test_what_the_budget_does_not_reach_is_not_run(project: Project) -> None:
    project.write(MANY)
    result = project.run(f"--llm-max-cost={BUDGET}", "--junitxml=report.xml")
    check_within(project)
    asked = len(project.server.asked)
    assert outcomes(project) == {"passed": asked, "not_run": 12 - asked}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            f"chat *1.00 * {asked}/{asked} *",
            f"budget *$0.003: spent ${asked * COST:f}; {12 - asked} tests not run (chat: {12 - asked})",
            f"{12 - asked} tests were not run: the budget does not reach (--llm-max-cost=0.003). Run again to go on: *",
            f"*= {asked} passed, {12 - asked} not run: budget in *",
        ]
    )
    result.stdout.no_fnmatch_line("errors*")
    unrun = [record for record in project.records().tests if record.outcome == "not_run"]
    assert {(record.score, len(record.calls)) for record in unrun} == {(None, 0)}
    skipped = [case.find("skipped") for case in ET.parse(project.path / "report.xml").iter("testcase")]
    messages = [element.attrib["message"] for element in skipped if element is not None]
    assert len(messages) == 12 - asked
    assert all(message.startswith("not run: the budget of $0.003 (--llm-max-cost)") for message in messages)


def test_runs_go_on_where_the_budget_ended_until_all_is_recorded(project: Project) -> None:
    project.write(MANY)
    for _ in range(2):
        assert project.run("--llm-max-cost=0.0013").ret == pytest.ExitCode.TESTS_FAILED
    assert 1 < len(project.server.asked) < 12
    assert project.run("--llm-max-cost=1").ret == pytest.ExitCode.OK
    assert len(project.server.asked) == 12


def test_what_replays_needs_no_money(project: Project) -> None:
    project.write(MANY)
    project.outcomes(passed=12)
    result = project.outcomes("--llm-max-cost=0", passed=12)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["budget *$0.00: spent $0.00"])
    project.write(MANY + "\ndef test_new(llm):\n    llm.complete('new')\n")
    result = project.run("--llm-max-cost=0", "-q")
    assert (outcomes(project), len(project.server.asked)) == ({"passed": 12, "not_run": 1}, 12)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["1 test was not run: *"])


def test_a_test_that_ran_half_is_recorded_half_and_goes_on(project: Project) -> None:
    project.write("""
def test_two(llm):
    for n in range(2):
        assert llm.complete(f"question {n}", max_tokens=20).json()["n"] == n + 1
""")
    project.run("--llm-max-cost=0.0008")
    assert (len(project.server.asked), outcomes(project)) == (1, {"not_run": 1})
    assert project.run("--llm-max-cost=0.0008").ret == pytest.ExitCode.OK
    assert len(project.server.asked) == 2
    project.outcomes("--llm-record=none", passed=1)


TOGETHER = {
    "complete_many": """
def test_it(llm):
    llm.complete_many([f"question {n}" for n in range(40)], concurrency=8, max_tokens=20)
""",
    "threads of its own": """
from concurrent.futures import ThreadPoolExecutor

def test_it(llm):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: llm.complete(f"question {n}", max_tokens=20), range(40)))
""",
    "tasks": """
import asyncio

def test_it(llm):
    async def main():
        await asyncio.gather(*(llm.acomplete(f"question {n}", max_tokens=20) for n in range(40)))
    asyncio.run(main())
""",
    "streams": """
def test_it(llm):
    llm.complete_many([f"question {n}" for n in range(40)], concurrency=8, max_tokens=20, stream=True)
""",
}


@pytest.mark.parametrize("mode", ["once", "live"])
@pytest.mark.parametrize("test", TOGETHER.values(), ids=TOGETHER)
def test_calls_at_once_stay_within_the_budget_and_use_it_up(project: Project, test: str, mode: str) -> None:
    project.server.delay = 0.01
    project.write(test)
    # A call may cost up to 0.0006, so that not all 8 may be on their way at once.
    project.run(f"--llm-max-cost={BUDGET}", f"--llm-record={mode}")
    check_within(project)
    assert outcomes(project) == {"not_run": 1}
    # Waiting for others to end makes room: what is left would not have been enough for one more.
    assert BUDGET - Decimal(spending(project).spent) < Decimal("0.0007")


def test_two_workers_share_one_budget(project: Project) -> None:
    project.server.delay = 0.01
    project.write(MANY)
    result = project.run(f"--llm-max-cost={BUDGET}", "-n2", "--junitxml=report.xml")
    check_within(project)
    asked = len(project.server.asked)
    assert outcomes(project) == {"passed": asked, "not_run": 12 - asked}
    assert BUDGET - Decimal(spending(project).spent) < Decimal("0.0007")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"*= {asked} passed, {12 - asked} not run: budget in *"])


@pytest.mark.parametrize("workers", [[], ["-n2"]])
def test_each_retry_is_paid_for_and_failures_of_the_server_count_as_what_they_can_cost(
    project: Project, workers: list[str]
) -> None:
    project.server.failures += [500, 500] * 4
    project.write(MANY)
    project.run("--llm-max-cost=0.006", *workers)
    asked = len(project.server.asked)
    budget = spending(project)
    assert budget.assumed_calls == 8
    assert Decimal(budget.spent) == (asked - 8) * COST
    assert Decimal(budget.spent) + Decimal(budget.assumed) <= Decimal("0.006")
    # None of them can have cost less than an answer did.
    assert Decimal(budget.assumed) > 8 * COST


@pytest.mark.parametrize(("status", "billed"), [(400, 0), (401, 0), (429, 0), (503, 0), (529, 0), (500, 3), (504, 3)])
@pytest.mark.parametrize("mode", ["once", "live"])
def test_a_refusal_of_the_server_costs_nothing_and_a_fault_may(
    project: Project, status: int, billed: int, mode: str
) -> None:
    project.server.failures += [status] * 3
    project.write("def test_it(llm):\n    llm.complete('x', max_tokens=20)\n")
    result = project.run("--llm-max-cost=1", f"--llm-record={mode}")
    assert (outcomes(project), spending(project).assumed_calls) == ({"error": 1}, billed)
    if billed:
        result.stdout.fnmatch_lines(["budget *$1.00: spent $0.00, and up to $* for 3 calls of which nobody knows *"])


def test_a_connection_that_is_refused_costs_nothing(project: Project) -> None:
    project.stop_server()
    project.write("def test_it(llm):\n    llm.complete('x', max_tokens=20)\n")
    project.run("--llm-max-cost=1")
    assert (outcomes(project), spending(project).assumed_calls) == ({"error": 1}, 0)


def test_a_time_out_may_cost_all_that_it_can(project: Project) -> None:
    project.add_model(
        "slow", 'model = "openai:chat"\nprices = {input = 1.0, output = 10.0}\ntimeout = 0.1\nmax_retries = 1'
    )
    project.server.delay = 0.5
    project.write("def test_it(llm):\n    llm.complete('x', max_tokens=20)\n")
    project.run("--llm-max-cost=1", models="slow")
    assert (outcomes(project), spending(project).assumed_calls) == ({"error": 1}, 2)


SWALLOWED = """
import pytest

def swallow(llm):
    try:
        llm.complete("x")
    except BaseException:
        pass

def test_passes(llm):
    swallow(llm)

def test_fails(llm):
    swallow(llm)
    assert 0

@pytest.mark.xfail(strict=True)
def test_was_expected_to_fail(llm):
    swallow(llm)

@pytest.mark.xfail
def test_fails_as_expected(llm):
    swallow(llm)
    assert 0

def test_raises_its_own(llm):
    swallow(llm)
    raise ExceptionGroup("own", [ValueError()])

def test_skips(llm):
    swallow(llm)
    pytest.skip("own")
"""


@pytest.mark.parametrize("workers", [[], ["-n1"]])
def test_a_test_that_swallows_the_refusal_is_not_run(project: Project, workers: list[str]) -> None:
    project.write(SWALLOWED)
    result = project.run("--llm-max-cost=0", *workers)
    assert outcomes(project) == {"not_run": 6}
    result.stdout.fnmatch_lines(["*= 6 not run: budget in *"])
    assert all(str(record.message).startswith("not run: the budget") for record in project.records().tests)
    if not workers:
        project.run("--llm-record=live")
        assert outcomes(project) == {"passed": 1, "failed": 3, "xfailed": 1, "skipped": 1}


@pytest.mark.parametrize("fixture", ["return llm.complete('x')", "yield; llm.complete('x')"], ids=["setup", "teardown"])
def test_a_fixture_that_the_budget_does_not_reach_for(project: Project, fixture: str) -> None:
    project.write(f"""
import pytest

@pytest.fixture
def reply(llm):
    {fixture}

def test_it(reply): pass
""")
    result = project.run("--llm-max-cost=0")
    assert outcomes(project) == {"not_run": 1}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=int("yield" in fixture))
    assert project.server.asked == []


@pytest.mark.parametrize("swallow", [False, True])
def test_all_tests_of_a_wide_fixture_that_the_budget_does_not_reach_for_are_not_run(
    project: Project, swallow: bool
) -> None:
    ask = 'httpx.post(URL, json={"model": "chat", "messages": [], "max_tokens": 9})'
    body = f"try: {ask}\n    except BaseException: pass" if swallow else ask
    project.write(f"""
import httpx
import pytest
URL = {project.server.url + "/chat/completions"!r}

@pytest.fixture(scope="session")
def index():
    {body}

def test_one(llm, index): pass
def test_two(llm, index): pass
""")
    result = project.run("--llm-max-cost=0")
    assert outcomes(project) == {"not_run": 2}
    result.stdout.fnmatch_lines(["*= 2 not run: budget in *"])
    assert project.server.asked == []


def test_a_missing_recording_is_an_error_all_the_same(project: Project) -> None:
    project.write(MANY)
    result = project.run("--llm-max-cost=0", "--llm-record=none")
    assert outcomes(project) == {"error": 12}
    result.stdout.no_fnmatch_line("*not run*")


def test_what_is_free_runs_without_money(project: Project) -> None:
    project.add_model("own", 'model = "openai:own"\nprices = "free"')
    project.write("def test_it(llm):\n    llm.complete('x')\n")
    assert project.run("--llm-max-cost=0", models="own,chat").ret == pytest.ExitCode.TESTS_FAILED
    assert {record.candidate: record.outcome for record in project.records().tests} == {
        "own": "passed",
        "chat": "not_run",
    }


def test_the_time_of_a_machine_is_set_aside_and_paid_as_it_was_used(project: Project) -> None:
    project.add_model("gpu", 'model = "openai:own"\nprices = {gpu_hour = 3.6}\ntimeout = 10.0')
    project.write("def test_it(llm):\n    llm.complete('x')\n")
    # 10 s at 3.6 USD an hour are a cent.
    assert project.run("--llm-max-cost=0.0099", models="gpu").ret == pytest.ExitCode.TESTS_FAILED
    assert project.server.asked == []
    assert project.run("--llm-max-cost=0.01", models="gpu").ret == pytest.ExitCode.OK
    assert 0 < Decimal(spending(project).spent) < Decimal("0.01")


def test_a_stream_that_is_left_for_another_question_does_not_block_it_for_ever(project: Project) -> None:
    project.write(f"""
from openai import OpenAI

def test_it(llm):
    messages = [{{"role": "user", "content": "x"}}]
    with OpenAI(api_key="k", base_url={project.server.url!r}) as client:
        stream = client.chat.completions.create(model="chat", messages=messages, max_tokens=20, stream=True)
        next(iter(stream))
        llm.complete("another", max_tokens=20)
""")
    project.run("--llm-max-cost=0.0009")
    assert (outcomes(project), len(project.server.asked)) == ({"not_run": 1}, 1)
    message = project.records().tests[0].message
    assert message is not None
    assert "is set aside for calls that have not ended" in message


@pytest.mark.parametrize("value", ["-1", "five", "nan", "1e3", "5 EUR", "", "1,000", "0x5"])
def test_a_limit_that_is_no_amount_is_told_with_the_fix(project: Project, value: str) -> None:
    result = project.run(f"--llm-max-cost={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --llm-max-cost={value}: write an amount of USD*5, 0.50 or 1200."])


@pytest.mark.parametrize("value", ["5", "$5", "5.00", ".5", " 5 "])
def test_amounts_that_are_understood(project: Project, value: str) -> None:
    project.write("def test_it(llm):\n    llm.complete('x')\n")
    assert project.run(f"--llm-max-cost={value}").ret == pytest.ExitCode.OK


def test_the_limit_can_stand_in_the_configuration(project: Project) -> None:
    project.write('[pytest]\nllm_max_cost = "$0"', "pytest.toml")
    project.write("def test_it(llm):\n    llm.complete('x')\n")
    project.run()
    assert outcomes(project) == {"not_run": 1}
    assert project.run("--llm-max-cost=1").ret == pytest.ExitCode.OK


def test_a_test_that_is_run_again_is_paid_for_again(project: Project) -> None:
    project.write('def test_it(llm):\n    assert llm.complete("x", max_tokens=20).json()["n"] == 3\n')
    args = ("--reruns=5", "--llm-record=live", "--llm-max-cost=0.0009")
    result = project.run(*args, without=others_but("rerunfailures"))
    assert (outcomes(project), len(project.server.asked)) == ({"not_run": 1}, 2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process")
def test_what_a_worker_had_on_its_way_when_it_died_counts_as_spent(project: Project) -> None:
    project.write(f"""
import os
from openai import OpenAI

def test_it(llm):
    messages = [{{"role": "user", "content": "x"}}]
    client = OpenAI(api_key="k", base_url={project.server.url!r})
    next(iter(client.chat.completions.create(model="chat", messages=messages, max_tokens=20, stream=True)))
    os.kill(os.getpid(), 9)

def test_other(llm):
    llm.complete("x", max_tokens=20)
""")
    project.run("--llm-max-cost=1", "-n1")
    budget = spending(project)
    assert (budget.spent, budget.assumed_calls) == (str(COST), 1)
    assert COST < Decimal(budget.assumed) < Decimal("0.001")
