"""What the header and the end of a run say, learned as it goes: whoever writes or compares the run says the same."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pytest_llmeval.candidates import split_names
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.masking import masked
from pytest_llmeval.provenance import end_of, new_header, with_provenance
from pytest_llmeval.runheader import CandidateInfo, Header

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.options import Options
    from pytest_llmeval.records import Run

#: pytest's exit statuses after which tests that were to run have not.
CUT = {2: "interrupted", 3: "an internal error of pytest", 4: "a usage error"}


class RunOrigin:
    """Who runs what, since when and how it ends.

    Args:
        options: What was asked for.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._scanner = SecretScanner(os.environ)
        self._candidates = {name: CandidateInfo(name) for name in split_names(options.models)}
        self._session: pytest.Session | None = None
        self._header: Header | None = None

    def begin(self, session: pytest.Session) -> None:
        """Begin the run; what begins twice is the same run."""
        if self._header is None:
            self._session = session
            self._header = new_header(self._options.rootdir, mode=self._options.record, name=self._options.save)

    def learn(self, report: pytest.TestReport) -> None:
        """Learn who was asked, and with which settings."""
        told = getattr(report, "llmeval_candidate", None)
        if told is not None:
            info = CandidateInfo.from_json(masked(told, self._scanner.mask))
            self._candidates[info.name] = info

    @property
    def candidates(self) -> list[CandidateInfo]:
        """Those that are known by now."""
        return list(self._candidates.values())

    @property
    def header(self) -> Header:
        """The header of the run so far."""
        if self._header is None:
            raise RuntimeError("the run has not begun")
        self._header.candidates = self.candidates
        return self._header

    def whole(self, run: Run) -> Run:
        """Return the run as it ended."""
        header, session = self.header, self._session
        stopped = None if session is None else _why_cut(session)
        end = end_of(run.tests, 0 if session is None else int(session.exitstatus), stopped)
        return with_provenance(run, header, self._candidates, end)


def _why_cut(session: pytest.Session) -> str | None:
    """Return why tests that were to run have not; None if all have."""
    reason = session.shouldfail or session.shouldstop
    return str(reason) if reason else CUT.get(int(session.exitstatus))
