"""What became of a test: what its reports say, and what that says of the candidate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_llmeval.errors import ConfigError, ProviderError

if TYPE_CHECKING:
    from pytest_llmeval.runningtest import RunningTest

#: Attribute of a report, and of the exception before it, of a test that the budget did not reach for.
NOT_RUN = "llmeval_not_run"
SEVERITY = (None, "skipped", "passed", "xpassed", "xfailed", "failed", "error")


def outcome_of(
    test: RunningTest, when: str | None, outcome: str, error: BaseException | None, *, xfail: bool
) -> str | None:
    """Return the outcome of a test after one more report of it: the worst so far, as subtests report apart.

    A call that got no answer, a recording that is missing or could not be written, and a setup that failed say nothing
    about quality: ``error``. What else fails after the test has ended changes nothing.
    """
    if test.cassette.misses or test.unwritten:
        return "error"
    if test.cassette.refused:
        return "not_run"
    now: str | None = None
    if when != "teardown" and xfail:
        now = "xfailed" if outcome == "skipped" else "xpassed"
    elif outcome == "failed" and when != "teardown":
        now = "error" if when == "setup" or is_call_error(error) else "failed"
    elif outcome == "skipped" or (outcome == "passed" and when == "call"):
        now = outcome
    return max(test.outcome, now, key=SEVERITY.index)


#: What clients that the code under test builds itself raise where there is no answer: package and base class.
CALL_ERRORS = {
    *(("openai", "APIError"), ("anthropic", "APIError"), ("httpx", "HTTPError"), ("httpx2", "HTTPError")),
    *(("requests", "RequestException"), ("aiohttp", "ClientError"), ("urllib3", "HTTPError")),
}


def is_call_error(error: BaseException | None) -> bool:
    """Whether a test failed because a call got no answer, also where the code under test wrapped that error."""
    while error is not None:
        kinds = {(kind.__module__.partition(".")[0], kind.__name__) for kind in type(error).__mro__}
        if isinstance(error, ProviderError | ConfigError) or kinds & CALL_ERRORS:
            return True
        if isinstance(error, BaseExceptionGroup):
            return any(is_call_error(part) for part in error.exceptions)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False
