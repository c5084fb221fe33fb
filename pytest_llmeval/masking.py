"""Takes secrets out of what pytest reports of tests that have to do with LLMs; what the tests see stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import warnings

    import pytest

    from pytest_llmeval.cassettes.redact import SecretScanner

hookimpl = pluggy.HookimplMarker("pytest")


class Masking:
    """Masks failures, captured output, properties and records, before anyone prints or writes them.

    Args:
        scanner: Knows the secrets.
        asks: Whether a test has to do with LLMs.
    """

    def __init__(self, scanner: SecretScanner, asks: Callable[[pytest.Item], bool]) -> None:
        self._scanner = scanner
        self._asks = asks
        self._nodeids: set[str] = set()

    @hookimpl(tryfirst=True)
    def pytest_make_parametrize_id(self, val: object, argname: str) -> str | None:
        """Keep keys out of node ids, which name files and stand in every report."""
        return f"{argname}-masked" if isinstance(val, str) and self._scanner.knows(val) else None

    @hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Mask a report as soon as it is made."""
        report = yield
        if self._asks(item):
            self._nodeids.add(item.nodeid)
            mask_report(report, self._scanner.mask)
            report.llmeval_masked = len(report.sections)  # type: ignore[attr-defined]
        return report

    @hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, None, None]:
        """Mask what was added since: subtests bring their captured output late."""
        # Most reports are as they were when they were masked.
        if report.nodeid in self._nodeids and getattr(report, "llmeval_masked", -1) != len(report.sections):
            mask_report(report, self._scanner.mask)
        yield

    @hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage, nodeid: str) -> None:
        """Mask the text of a warning for the summary of warnings."""
        text = str(warning_message.message)
        masked = self._scanner.mask(text) if nodeid in self._nodeids or not nodeid else text
        if masked != text:
            warning_message.message = masked


def mask_report(report: pytest.TestReport, mask: Callable[[str], str]) -> None:
    """Mask the failure, the captured output, the properties and our record of a report, in place.

    A test that passed and printed nothing has nothing to mask.
    """
    if report.longrepr is not None:
        report.longrepr = masked(report.longrepr, mask)
    if report.sections:
        report.sections = [(mask(head), mask(text)) for head, text in report.sections]
    # In place: the test item holds the same list.
    report.user_properties[:] = [(mask(name), masked(value, mask)) for name, value in report.user_properties]
    if hasattr(report, "wasxfail"):
        report.wasxfail = mask(report.wasxfail)
    record = getattr(report, "llmeval", None)
    if record is None:
        return
    for names in ("scores", "fields"):
        record[names] = {mask(name): value for name, value in record[names].items()}
    if record["message"] or any(call["error"] for call in record["calls"]):
        report.llmeval = masked(record, mask)  # type: ignore[attr-defined]


def masked(value: Any, mask: Callable[[str], str]) -> Any:
    """Return a value with all its texts masked. What pytest makes of an exception is changed in place."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [masked(item, mask) for item in value]
    if type(value) is tuple:
        return tuple(masked(item, mask) for item in value)
    if isinstance(value, dict):
        return {masked(key, mask): masked(item, mask) for key, item in value.items()}
    if hasattr(value, "toterminal"):
        for name, item in list(vars(value).items()):
            object.__setattr__(value, name, masked(item, mask))
    return value
