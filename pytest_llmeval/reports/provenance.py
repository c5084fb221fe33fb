"""Where a run comes from, in a line."""

from __future__ import annotations

from pytest_llmeval.records import Run


def origin(run: Run) -> str:
    """Say when, of which code and by what a run was made.

    >>> from pytest_llmeval.runheader import Header
    >>> origin(Run(header=Header(1, "1", started="2025-06-01T10:00:00Z", commit="0123456789abcdef", dirty=True)))
    '2025-06-01 10:00 UTC, commit 0123456789ab with changes, record mode once'
    """
    header = run.header
    if header is None:
        return f"record mode {run.mode}"
    parts = []
    if header.started:
        parts.append(f"{header.started[:16].replace('T', ' ')} UTC")
    if header.commit:
        parts.append(f"commit {header.commit[:12]}{' with changes' * bool(header.dirty)}")
    parts.append(f"record mode {run.mode}")
    if "pytest-llmeval" in header.versions:
        parts.append(f"pytest-llmeval {header.versions['pytest-llmeval']}")
    if header.merged_from:
        parts.append(f"merged from {len(header.merged_from)} runs")
    return ", ".join(parts)
