"""What became of the conditions of a run, in lines."""

from __future__ import annotations

from pytest_llmeval.gate import Gate
from pytest_llmeval.reports.columns import one_line

#: A run of many candidates and conditions must not bury what else there is.
MOST_LINES = 20


def gate_lines(gate: Gate) -> tuple[list[str], list[str]]:
    r"""Return why a run fails, and what may be a reason to fail that the data cannot establish; each may be empty.

    >>> from pytest_llmeval.gate import Measured, hold, parse_conditions
    >>> from pytest_llmeval.stats.differences import Estimate
    >>> conditions = parse_conditions("pass<0.9")
    >>> outcomes = hold(conditions, {"mini": {"pass": Measured(Estimate(0.5, 0.3, 0.7))}})
    >>> failing, unsure = gate_lines(Gate(tuple(conditions), outcomes=tuple(outcomes)))
    >>> print("\n".join(failing))
    The run fails its gate (--llm-fail-on):
      mini: pass 0.500 (95% 0.300 to 0.700), limit pass<0.9
    """
    failing = [one_line(outcome.text) for outcome in gate.failing]
    unsure = [one_line(outcome.text) for outcome in gate.unsure]
    return (
        _listed("The run fails its gate (--llm-fail-on):", failing),
        _listed("Not established, and so no failure (--llm-gate=strict fails for it):", unsure),
    )


def _listed(head: str, texts: list[str]) -> list[str]:
    if not texts:
        return []
    left = len(texts) - MOST_LINES
    return [head, *(f"  {text}" for text in texts[:MOST_LINES]), *([f"  ... and {left:,} more"] if left > 0 else [])]


def gate_note(gate: Gate) -> str:
    """Say in a line what became of a gate.

    >>> from pytest_llmeval.gate import parse_conditions
    >>> gate_note(Gate(tuple(parse_conditions("pass<0.9, p95>2s")), candidates=("mini",)))
    'passed: pass<0.9, p95>2s'
    """
    conditions = ", ".join(condition.text for condition in gate.conditions)
    left_out = ", ".join(condition.text for condition in gate.left_out)
    without = f"no run to compare with, so not looked at: {left_out}" if left_out else ""
    if not conditions:
        return without
    said = "failed" if gate.failing else "passed" if gate.candidates else "nothing was measured"
    return "; ".join(filter(None, (f"{said}{', strictly' * gate.strict}: {conditions}", without)))
