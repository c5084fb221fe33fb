"""An endpoint is asked as much at once as it takes, and what it refuses is asked again."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.integration.conftest import Project

CASES = """
import pytest

CASES = [{{"id": f"q{{n}}", "input": f"question {{n}}"}} for n in range({number})]

@pytest.mark.llm_cases(CASES)
def test_case(llm_reply, llm_case):
    assert llm_reply.json()["echo"] == llm_case.input
"""
MANY = """
import pytest

def test_many(llm):
    replies = llm.complete_many([f"question {{n}}" for n in range({number})], max_tokens=9)
    assert [reply.json()["echo"] for reply in replies] == [f"question {{n}}" for n in range({number})]
"""
# The server answers a few milliseconds late, and the SDK itself waits half a second where it is not told how long.
FAST = {"delay": 0.03, "retry_after_ms": 30}


def set_up(project: Project, **server: object) -> None:
    for name, value in {**FAST, **server}.items():
        setattr(project.server, name, value)


@pytest.mark.parametrize("text", [CASES, MANY], ids=["read ahead", "complete_many"])
@pytest.mark.parametrize("most", [1, 3])
def test_no_case_is_lost_where_an_endpoint_takes_less(project: Project, text: str, most: int) -> None:
    set_up(project, most=most)
    project.write(text.format(number=40))
    project.run().assert_outcomes(passed=40 if text is CASES else 1)
    server = project.server
    assert (server.peak, set(Counter(server.questions()).keys())) == (most, {f"question {n}" for n in range(40)})
    # Asked without regard to that, 40 calls 8 at a time would be refused some hundred times.
    assert 0 < server.refused < 25
    calls = [call for test in project.records().tests for call in test.calls]
    assert len(calls) == 40
    assert not any(call.error for call in calls)
    assert sum(call.retries for call in calls) == server.refused


def test_retries_are_counted_in_the_recording_too(project: Project) -> None:
    project.server.failures += [429] * 7
    project.write(CASES.format(number=1))
    project.outcomes("--llm-concurrency=1", passed=1)
    project.stop_server()
    project.outcomes(passed=1)
    (call,) = project.records().tests[0].calls
    assert (call.retries, call.replayed, call.error) == (7, True, None)


def test_no_request_is_sent_before_the_time_that_the_endpoint_names(project: Project) -> None:
    set_up(project, most=2, retry_after_ms=700)
    project.write(CASES.format(number=12))
    project.outcomes("--llm-concurrency=4", passed=12)
    # Four at once, of which two are refused; after that nobody is, or the limit has risen by then.
    assert project.server.refused <= 4


def test_what_no_waiting_helps_is_final(project: Project) -> None:
    project.write(
        """
        import pytest
        from pytest_llmeval import ProviderError

        def test_many(llm):
            with pytest.raises(ProviderError, match="used up"):
                llm.complete_many(["one"])
        """
    )
    project.server.failures += [429] * 100
    project.server.error = {"message": "used up", "code": "insufficient_quota"}
    project.outcomes(passed=1)
    assert len(project.server.asked) == 3


def test_a_call_of_the_tests_own_is_left_to_the_sdk(project: Project) -> None:
    project.server.failures += [429] * 3
    project.write("def test_ask(llm):\n    llm.complete('x')\n")
    project.outcomes(failed=1)
    assert len(project.server.asked) == 3


def test_calls_of_a_test_share_the_limit_with_those_made_ahead(project: Project) -> None:
    set_up(project, hold=4)
    project.write(
        """
        import pytest

        CASES = [{"id": f"q{n}", "input": f"question {n}"} for n in range(12)]

        @pytest.mark.llm_cases(CASES)
        def test_case(llm_reply, llm):
            llm.complete_many(["one", "two", "three"])
            llm.complete("four")
        """
    )
    project.outcomes("--llm-concurrency=4", passed=12)
    assert project.server.peak == 4


def test_async_calls_keep_to_the_limit_too(project: Project) -> None:
    set_up(project, hold=3)
    project.write(
        """
        import asyncio

        def test_many(llm):
            async def main():
                return await asyncio.gather(*(llm.acomplete(f"question {n}") for n in range(12)))

            assert [reply.json()["echo"] for reply in asyncio.run(main())] == [f"question {n}" for n in range(12)]
        """
    )
    project.outcomes("--llm-concurrency=3", passed=1)
    assert project.server.peak == 3


@pytest.mark.parametrize("hosts", ["", "llm_passthrough = 127.0.0.1"])
def test_hosts_that_are_left_alone_keep_to_the_limit_too(project: Project, hosts: str) -> None:
    set_up(project, most=2)
    project.write(f"[pytest]\n{hosts}\n", "pytest.ini")
    project.write(CASES.format(number=20))
    project.outcomes("--llm-concurrency=4", passed=20)
    assert project.server.peak == 2
    assert len(project.recordings()) == (0 if hosts else 20)


def test_a_wait_for_an_endpoint_is_no_part_of_the_latency(project: Project) -> None:
    set_up(project, delay=0.2)
    project.write(CASES.format(number=6))
    project.outcomes("--llm-concurrency=1", passed=6)
    latencies = [call.latency_ms for test in project.records().tests for call in test.calls]
    assert all(latency is not None and latency < 1000 for latency in latencies)


def test_errors_can_be_returned_in_the_place_of_answers(project: Project) -> None:
    project.server.failures += [500] * 3
    project.write(
        """
        import pytest
        from pytest_llmeval import ProviderError

        def test_many(llm):
            replies = llm.complete_many(["one", "two", "three"], concurrency=1, on_error="return")
            assert isinstance(replies[0], ProviderError)
            assert [reply.json()["echo"] for reply in replies[1:]] == ["two", "three"]
        """
    )
    project.outcomes(passed=1)


def test_errors_are_raised_after_the_others_were_answered(project: Project) -> None:
    project.server.failures += [500] * 3
    project.write("def test_many(llm):\n    llm.complete_many(['one', 'two', 'three'], concurrency=1)\n")
    project.outcomes(failed=1)
    assert project.server.questions() == ["one"] * 3 + ["two", "three"]
    project.outcomes(passed=1)
    assert project.server.questions() == ["one"]


def test_many_cases_may_be_asked_in_one_test_with_subtests_for_the_parts(project: Project) -> None:
    if int(pytest.__version__.partition(".")[0]) < 9:
        pytest.skip("pytest has subtests of its own from version 9 on")
    project.write(
        """
        from pytest_llmeval import load_cases

        CASES = load_cases([{"id": f"c{n}", "input": f"question {n}", "expected": n} for n in range(6)])

        def test_all(llm, subtests):
            for case, reply in zip(CASES, llm.complete_many(CASES)):
                with subtests.test(case.id):
                    assert reply.json()["echo"] == f"question {case.expected}"
                    assert case.expected != 4
        """
    )
    result = project.run("-v")
    result.stdout.fnmatch_lines(["*SUBFAILED?c4?*", "*2 failed, 5 subtests passed*"])
    assert len(project.server.asked) == 6
    (record,) = project.records().tests
    assert (len(record.calls), record.outcome) == (6, "failed")


def test_equal_questions_keep_their_order_where_some_are_refused(project: Project) -> None:
    set_up(project, most=2)
    project.write(
        """
        def test_many(llm):
            replies = llm.complete_many(["same", "other", "same", "same", "other", "same"])
            print(f"<{[reply.json()['n'] for reply in replies]}>")
        """
    )
    first = project.outcomes("-s", passed=1)
    second = project.outcomes("-s", "--llm-record=none", passed=1)
    told = [[line for line in result.outlines if "<[" in line] for result in (first, second)]
    assert told[0] == told[1]
