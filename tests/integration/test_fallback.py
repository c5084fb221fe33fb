"""`fallback`: who is asked next, what that costs, and that a replay goes the same way."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from pytest_llmeval.records import Call, Run
from pytest_llmeval.runs import load_run
from tests.chat_server import ChatServer
from tests.integration.conftest import Project
from tests.integration.test_hooks import PROVIDER

ONE = 'fallback = ["chat", "other"]'
ASK = """
def test_ask(llm):
    assert llm.complete("Hi").json()["echo"] == "Hi"
"""
#: Every other of several equal questions, in one test.
ASK_FOUR = """
def test_ask(llm):
    answers = [llm.complete("Hi").json()["n"] for _ in range(4)]
    print("answers", answers)
"""
MANY = """
import pytest

@pytest.mark.llm_cases([{"id": f"c{n}", "input": f"Question {n}"} for n in range(12)])
def test_case(llm_reply, llm_case):
    assert llm_reply.json()["echo"] == llm_case.input
"""
PRICES = "prices = { input = 2.0, output = 20.0 }"


@pytest.fixture
def safe(project: Project, other_server: ChatServer) -> Project:
    """Return a project with a candidate `safe`: `chat`, and if that fails, `other`, which has a server of its own."""
    project.add_settings(
        f'[tool.llmeval.models.other]\nmodel = "openai:other"\nbase_url = "{other_server.url}"\n{PRICES}'
    )
    project.write(ASK)
    return project


def add(project: Project, settings: str = "", name: str = "safe", of: str = ONE) -> None:
    project.add_settings(f"[tool.llmeval.models.{name}]\n{of}\n{settings}")


def fail_first(project: Project, requests: int = 1, status: int = 503) -> None:
    """Let the first candidate refuse requests, each with both retries of the SDK."""
    project.server.failures += [status] * 3 * requests


def the_call(project: Project) -> Call:
    (test,) = project.records().tests
    (call,) = test.calls
    return call


def lasting(run: Run) -> list[str]:
    """Return the records of a run as a replay has to give them again."""
    from pytest_llmeval.runlines import comparable

    return [comparable(test) for test in sorted(run.tests, key=lambda test: test.nodeid)]


def replays(project: Project, *args: str) -> pytest.RunResult:
    """Replay with no server left, and check that every record is the same."""
    before = lasting(project.records())
    project.stop_server()
    result = project.run("--llm-record=none", *args, models="safe")
    assert lasting(project.records()) == before
    assert all(call.replayed for test in project.records().tests for call in test.calls)
    return result


def test_the_first_serves_as_long_as_it_answers(safe: Project, other_server: ChatServer) -> None:
    add(safe)
    safe.outcomes(models="safe", passed=1)
    call = the_call(safe)
    assert (call.candidate, call.served_by, call.model) == ("safe", "chat", "chat")
    assert [(part.candidate, part.why) for part in call.calls] == [("chat", None)]
    assert other_server.asked == []


@pytest.mark.parametrize("status", [500, 503, 529, 429, 408])
def test_after_a_failure_the_next_is_asked_and_a_replay_knows(safe: Project, status: int) -> None:
    add(safe)
    fail_first(safe, status=status)
    safe.outcomes(models="safe", passed=1)
    call = the_call(safe)
    kind = {429: "rate_limit", 408: "timeout"}.get(status, "server")
    assert (call.served_by, call.model, call.error) == ("other", "other", None)
    assert [(part.candidate, part.why, part.retries) for part in call.calls] == [("chat", kind, 2), ("other", None, 0)]
    assert len(safe.recordings()) == 1
    replays(safe).assert_outcomes(passed=1)


def test_time_and_money_include_what_failed(safe: Project) -> None:
    add(safe)
    fail_first(safe)
    safe.run(models="safe")
    call = the_call(safe)
    failed, served = call.calls
    assert failed.latency_ms is not None
    assert served.latency_ms is not None
    assert call.latency_ms == pytest.approx(failed.latency_ms + served.latency_ms)
    # A 503 is not billed: 120 tokens at 2 USD and 20 at 20 USD a million are those of the one that served.
    assert (failed.cost, failed.cost_status, served.cost) == ("0", "free", "0.00064")
    assert (call.cost, call.cost_status) == ("0.00064", "priced")


def test_what_may_have_been_billed_makes_the_sum_unknown(safe: Project) -> None:
    add(safe)
    fail_first(safe, status=500)
    result = safe.run(models="safe")
    call = the_call(safe)
    assert (call.cost, call.cost_status, call.cost_source) == (
        None,
        "unknown",
        "chat: the provider reported no token usage",
    )
    result.stdout.fnmatch_lines(["*≥ $0.00064*"])


def test_no_connection_is_a_reason(safe: Project) -> None:
    add(safe)
    safe.stop_server()
    safe.outcomes(models="safe", passed=1)
    failed, _ = the_call(safe).calls
    assert (failed.why, failed.cost) == ("connection", "0")
    replays(safe).assert_outcomes(passed=1)


def test_a_time_out_is_a_reason(safe: Project) -> None:
    safe.add_model("slow", 'model = "openai:slow"\ntimeout = 0.2\nmax_retries = 0')
    add(safe, of='fallback = ["slow", "other"]')
    safe.server.delay = 1.0
    safe.outcomes(models="safe", passed=1)
    failed, _ = the_call(safe).calls
    assert (failed.why, failed.latency_ms is not None and failed.latency_ms >= 200) == ("timeout", True)
    replays(safe).assert_outcomes(passed=1)


def test_what_would_fail_again_is_not_hidden(safe: Project, other_server: ChatServer) -> None:
    add(safe)
    fail_first(safe, status=400)
    safe.run(models="safe").assert_outcomes(failed=1)
    assert (the_call(safe).error_kind, other_server.asked) == ("bad_request", [])


def test_when_all_fail_the_call_is_an_error_that_says_why(safe: Project, other_server: ChatServer) -> None:
    add(safe)
    fail_first(safe)
    other_server.failures += [500] * 3
    result = safe.run(models="safe")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ProviderError: safe: no candidate has answered: chat: *scripted 503*other: *500*"])
    call = the_call(safe)
    assert (call.error_kind, [part.why for part in call.calls], call.retries) == ("server", ["server", "server"], 4)
    assert safe.recordings() == []


def test_equal_questions_replay_in_their_order(safe: Project) -> None:
    add(safe)
    safe.write(ASK_FOUR)
    safe.server.failures += [0, *[503] * 3, 0, *[503] * 3]
    first = safe.run("-s", models="safe")
    said = [line for line in first.outlines if "answers [" in line]
    assert [call.served_by for call in safe.records().tests[0].calls] == ["chat", "other", "chat", "other"]
    again = replays(safe, "-s")
    assert [line for line in again.outlines if "answers [" in line] == said


@pytest.mark.parametrize(
    "body",
    [
        'return llm.complete("Hi", stream=True)',
        'import asyncio\n    return asyncio.run(llm.acomplete("Hi"))',
        'import asyncio\n    return asyncio.run(llm.acomplete("Hi", stream=True))',
        'return llm.complete_many(["Hi"])[0]',
    ],
    ids=["streamed", "async", "async streamed", "many"],
)
def test_it_holds_however_it_is_asked(safe: Project, body: str) -> None:
    add(safe)
    safe.write(f"def ask(llm):\n    {body}\n\ndef test_ask(llm):\n    assert ask(llm).served_by == 'other'\n")
    fail_first(safe)
    safe.outcomes(models="safe", passed=1)
    call = the_call(safe)
    if "stream=True" in body:
        failed, served = call.calls
        assert failed.latency_ms is not None
        assert served.ttft_ms is not None
        assert call.ttft_ms == pytest.approx(failed.latency_ms + served.ttft_ms)
        assert call.tokens_per_second == served.tokens_per_second
    replays(safe).assert_outcomes(passed=1)


def test_several_at_once_replay_as_they_came(safe: Project) -> None:
    add(safe)
    safe.write("""
        def test_ask(llm):
            replies = llm.complete_many([f"Question {n % 6}" for n in range(12)])
            assert [reply.json()["echo"] for reply in replies] == [f"Question {n % 6}" for n in range(12)]
            print("answers", [(reply.served_by, reply.json()["n"]) for reply in replies])
    """)
    safe.server.failures += [503, 0] * 14
    first = safe.run("-s", models="safe")
    first.assert_outcomes(passed=1)
    said = [line for line in first.outlines if "answers [" in line]
    again = replays(safe, "-s")
    assert [line for line in again.outlines if "answers [" in line] == said


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["here", "n2"])
def test_it_holds_with_answers_that_are_fetched_ahead(safe: Project, workers: list[str]) -> None:
    add(safe, "circuit_breaker = { failures = 0 }")
    safe.write(MANY)
    safe.server.failures += [500] * 200
    safe.outcomes(*workers, models="safe", passed=12)
    assert {call.served_by for test in safe.records().tests for call in test.calls} == {"other"}
    assert {len(call.calls) for test in safe.records().tests for call in test.calls} == {2}
    replays(safe, *workers).assert_outcomes(passed=12)


def test_fetched_ahead_it_goes_on_when_all_are_asked_too_much(safe: Project, other_server: ChatServer) -> None:
    add(safe)
    safe.write(MANY)
    fail_first(safe, status=429)
    other_server.failures += [429] * 3
    safe.outcomes("-o", "llm_concurrency=1", models="safe", passed=12)
    replays(safe).assert_outcomes(passed=12)


def test_a_run_from_recordings_gives_the_same_bytes(safe: Project) -> None:
    add(safe)
    safe.write(MANY)
    safe.server.failures += [503] * 9
    safe.run("-o", "llm_concurrency=1", models="safe")
    safe.stop_server()
    texts = []
    for name in ("a", "b"):
        safe.run(f"--llm-report={name}.jsonl", models="safe").assert_outcomes(passed=12)
        lines = (safe.path / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        texts.append([line for line in lines if json.loads(line)["kind"] == "test"])
    assert texts[0] == texts[1]
    run = load_run(safe.path / "a.jsonl")
    assert run.header is not None
    assert [member.name for member in run.header.candidates[0].members] == ["chat", "other"]
    assert any(call.calls[0].why == "server" for test in run.tests for call in test.calls)


@pytest.mark.parametrize("mode", ["new", "once"])
def test_a_recorded_failure_is_not_tried_again(safe: Project, mode: str) -> None:
    add(safe)
    fail_first(safe)
    safe.run(models="safe")
    asked = len(safe.server.asked)
    safe.outcomes(f"--llm-record={mode}", models="safe", passed=1)
    assert (the_call(safe).served_by, len(safe.server.asked)) == ("other", asked)


@pytest.mark.parametrize(
    "options", [["--llm-record=all"], ["--llm-record=stale", "--llm-max-age=0h"]], ids=["all", "stale"]
)
def test_recorded_again_the_first_gets_its_chance(safe: Project, options: list[str]) -> None:
    add(safe)
    fail_first(safe)
    safe.run(models="safe")
    safe.outcomes(*options, models="safe", passed=1)
    assert the_call(safe).served_by == "chat"
    assert "instead_of" not in safe.recording().read_text(encoding="utf-8")
    replays(safe).assert_outcomes(passed=1)


def test_a_recording_says_what_was_passed_over_and_holds_no_bad_answer(safe: Project) -> None:
    add(safe)
    fail_first(safe)
    safe.run(models="safe")
    text = safe.recording().read_text(encoding="utf-8")
    assert "instead_of:" in text
    assert "incomplete" not in text
    assert text.count("\n- request:") == 1


@pytest.mark.parametrize("why", ["invalid_json", "refusal"])
def test_an_answer_may_be_a_reason_too(safe: Project, why: str) -> None:
    add(safe, f'fallback_on = ["{why}"]')
    safe.server.says = lambda _: "no JSON"
    safe.server.finish = "content_filter"
    safe.outcomes(models="safe", passed=1)
    call = the_call(safe)
    assert (call.served_by, [part.why for part in call.calls]) == ("other", [why, None])
    # Both have answered, and both are paid for.
    assert (call.cost, call.input_tokens, call.output_tokens) == ("0.00096", 240, 40)
    replays(safe).assert_outcomes(passed=1)


def test_without_that_choice_the_answer_stands(safe: Project) -> None:
    add(safe)
    safe.server.says = lambda _: "no JSON"
    safe.run(models="safe").assert_outcomes(failed=1)
    assert the_call(safe).served_by == "chat"


def test_an_answer_that_does_not_serve_is_better_than_none(safe: Project, other_server: ChatServer) -> None:
    add(safe, 'fallback_on = ["invalid_json"]')
    safe.server.says = lambda _: "no JSON"
    other_server.failures += [500] * 3
    safe.run(models="safe").assert_outcomes(failed=1)
    call = the_call(safe)
    assert (call.error, call.served_by, [part.why for part in call.calls]) == (None, "chat", [None, "server"])


def test_who_keeps_failing_is_left_out_and_a_replay_leaves_it_out_too(safe: Project) -> None:
    add(safe, "circuit_breaker = { failures = 2, cooldown = 600 }")
    safe.write("def test_ask(llm):\n    print([llm.complete(f'Question {n}').served_by for n in range(5)])\n")
    safe.server.failures += [500] * 6
    safe.outcomes(models="safe", passed=1)
    assert len(safe.server.asked) == 6
    (test,) = safe.records().tests
    assert [call.calls[0].why for call in test.calls] == ["server", "server", *["circuit_open"] * 3]
    assert [call.calls[0].cost for call in test.calls[2:]] == ["0"] * 3
    replays(safe).assert_outcomes(passed=1)


def test_a_provider_of_a_third_party_that_is_left_out_is_left_out_of_a_replay_too(safe: Project) -> None:
    safe.write(PROVIDER.format(url=safe.server.url), "conftest.py")
    add(safe, "circuit_breaker = { failures = 2, cooldown = 600 }", of='fallback = ["inhouse:large", "other"]')
    safe.write("def test_ask(llm):\n    print([llm.complete(f'Question {n}').served_by for n in range(5)])\n")
    safe.server.failures += [500] * 2
    safe.outcomes(models="safe", passed=1)
    assert len(safe.server.asked) == 2
    replays(safe).assert_outcomes(passed=1)


def test_nothing_goes_to_who_is_left_out_where_nothing_is_recorded(safe: Project) -> None:
    add(safe, "circuit_breaker = { failures = 1, cooldown = 600 }")
    safe.write("def test_ask(llm):\n    print([llm.complete(f'Question {n}').served_by for n in range(5)])\n")
    safe.server.failures += [500] * 3
    safe.outcomes("--llm-record=live", models="safe", passed=1)
    assert len(safe.server.asked) == 3
    fail_first(safe, status=500)
    safe.outcomes("-o", f"llm_passthrough={safe.server.host}", models="safe", passed=1)
    assert len(safe.server.asked) == 6


def test_after_the_cool_down_it_is_tried_again(safe: Project) -> None:
    add(safe, "circuit_breaker = { failures = 1, cooldown = 0.05 }")
    safe.write("""
        import time

        def test_ask(llm):
            served = []
            for n in range(3):
                served.append(llm.complete(f"Question {n}").served_by)
                time.sleep(0.06)
            assert served == ["other", "chat", "chat"]
    """)
    fail_first(safe)
    safe.outcomes(models="safe", passed=1)
    replays(safe).assert_outcomes(passed=1)


def test_mixes_may_be_made_of_mixes(safe: Project, other_server: ChatServer) -> None:
    safe.add_settings(
        f'[tool.llmeval.models.third]\nmodel = "anthropic:third"\nbase_url = "{other_server.url[:-3]}"\n{PRICES}'
    )
    add(safe, name="pair")
    add(safe, of='fallback = ["pair", "third"]')
    fail_first(safe, status=500)
    other_server.failures += [503] * 3
    safe.outcomes(models="safe", passed=1)
    call = the_call(safe)
    assert (call.served_by, call.model) == ("third", "third")
    assert [leaf.candidate for leaf in call.leaves] == ["chat", "other", "third"]
    replays(safe).assert_outcomes(passed=1)


def test_the_summary_says_who_served_and_why(safe: Project) -> None:
    add(safe, "circuit_breaker = { failures = 0 }")
    safe.write(MANY)
    safe.server.failures += [503] * 9
    result = safe.run("-o", "llm_concurrency=1", models="safe")
    result.stdout.fnmatch_lines(["served  safe: 75% chat, 25% other; passed over: chat 3 server"])
    result.stdout.no_fnmatch_line("answered by*")


def test_a_budget_counts_what_each_candidate_takes(safe: Project) -> None:
    add(safe)
    fail_first(safe)
    result = safe.run("--llm-max-cost=1", models="safe")
    result.assert_outcomes(passed=1)
    spending = safe.records().budget
    assert spending is not None
    assert Decimal(spending.spent) == Decimal("0.00064")


def test_a_budget_that_does_not_reach_is_no_reason_to_ask_another(safe: Project, other_server: ChatServer) -> None:
    add(safe)
    result = safe.run("--llm-max-cost=0.0001", models="safe")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert safe.server.asked == other_server.asked == []


def test_a_member_without_a_price_is_named_before_the_run(safe: Project) -> None:
    safe.add_model("dear", 'model = "openai:dear"')
    add(safe, of='fallback = ["chat", "dear"]')
    result = safe.run("--llm-max-cost=1", models="safe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*dear: nobody publishes prices*"])


def test_a_name_in_it_that_stands_for_nothing_is_a_usage_error(safe: Project) -> None:
    add(safe, of='fallback = ["chat", "othr"]')
    result = safe.run(models="safe")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*alias 'safe' names candidates that cannot be used:", "*'othr'*Did you mean 'other'?*"]
    )


def test_a_plan_says_about_the_first_and_at_most_all(safe: Project) -> None:
    add(safe)
    safe.write(MANY.replace("for n in range(12)]", "for n in range(3)], max_tokens=50"))
    lines = safe.run("--llm-dry-run", models="safe,chat,other").outlines
    found = {}
    for number, line in enumerate(lines[:-1]):
        if line.startswith(("safe ", "chat ", "other ")):
            found[line.split()[0]] = [Decimal(each.rpartition("$")[2]) for each in (line, lines[number + 1])]
    (about, most), chat, other = found["safe"], found["chat"], found["other"]
    assert about == chat[0]
    assert float(most) == pytest.approx(float(chat[1] + other[1]), rel=0.01)


@pytest.mark.parametrize("ask", ["complete('Hi')", "complete('Hi', stream=True)"], ids=["plain", "streamed"])
@pytest.mark.parametrize("way", ["sync", "async"])
def test_it_holds_for_the_other_sdk_too(safe: Project, ask: str, way: str) -> None:
    safe.add_settings(
        f'[tool.llmeval.models.claude]\nmodel = "anthropic:claude"\nbase_url = "{safe.server.url[:-3]}"\n'
        "prices = { input = 3.0, output = 15.0 }"
    )
    add(safe, "circuit_breaker = { failures = 1, cooldown = 600 }", of='fallback = ["claude", "other"]')
    call = f"llm.{ask}" if way == "sync" else f"asyncio.run(llm.a{ask})"
    safe.write(
        f"import asyncio\n\ndef test_ask(llm):\n    assert [{call}.served_by for _ in range(3)] == ['other'] * 3\n"
    )
    safe.server.failures += [503] * 3
    safe.outcomes(models="safe", passed=1)
    (test,) = safe.records().tests
    assert [call.calls[0].why for call in test.calls] == ["server", "circuit_open", "circuit_open"]
    assert len(safe.server.asked) == 3
    replays(safe).assert_outcomes(passed=1)


def test_a_key_in_a_request_that_failed_does_not_reach_the_disk(safe: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_API_KEY", "shop-7Hq2kPz9LmXv4TnB")
    add(safe)
    safe.write("""
        import os

        def test_ask(llm):
            llm.complete(os.environ["SHOP_API_KEY"])
    """)
    fail_first(safe)
    result = safe.run(models="safe")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*not written, since it would hold a secret*"])
    assert safe.recordings() == []


def test_what_a_hook_takes_out_does_not_come_back_with_what_a_server_says(safe: Project) -> None:
    add(safe)
    safe.write(
        """
        def pytest_llmeval_redact(request, response):
            request.body = request.body.replace(b"John", b"NAME")
            if response is not None:
                response.content = response.content.replace(b"John", b"NAME")
        """,
        "conftest.py",
    )
    safe.write("def test_ask(llm):\n    llm.complete('I am John')\n")
    fail_first(safe)
    safe.server.error = {"message": "cannot serve: I am John"}
    safe.outcomes(models="safe", passed=1)
    text = safe.recording().read_text()
    assert "instead_of" in text
    assert "John" not in text
    safe.stop_server()
    safe.outcomes("--llm-record=none", models="safe", passed=1)


def test_the_last_one_is_asked_whatever_it_did_before(safe: Project, other_server: ChatServer) -> None:
    add(safe, "circuit_breaker = { failures = 1, cooldown = 600 }")
    safe.write("""
        import pytest
        from pytest_llmeval import ProviderError

        def test_ask(llm):
            with pytest.raises(ProviderError):
                llm.complete("Hi")
            assert llm.complete("Hello").served_by == "other"
    """)
    fail_first(safe)
    other_server.failures += [503] * 3
    safe.outcomes(models="safe", passed=1)


def test_an_answer_between_failures_keeps_the_circuit_closed(safe: Project) -> None:
    add(safe, "circuit_breaker = { failures = 2, cooldown = 600 }")
    safe.write("def test_ask(llm):\n    print([llm.complete(f'Question {n}').served_by for n in range(6)])\n")
    safe.server.failures += [*[503] * 3, 0] * 3
    safe.outcomes(models="safe", passed=1)
    (test,) = safe.records().tests
    assert [call.served_by for call in test.calls] == ["other", "chat"] * 3


def test_what_failed_in_a_mix_within_a_mix_is_told(safe: Project) -> None:
    add(safe, 'fallback_on = ["refusal"]')
    add(safe, name="outer", of='router = { pattern = "x", simple = "safe", complex = "other" }')
    fail_first(safe)
    result = safe.run(models="outer")
    result.assert_outcomes(passed=1)
    assert "outer: 100% other; passed over: chat 1 server" in " ".join(result.stdout.str().split())
