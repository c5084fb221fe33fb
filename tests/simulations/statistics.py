"""Prove the statistics by simulation: draw samples from known truths, and count how often what is said is wrong.

    nice python -m tests.simulations.statistics [--runs 2000] [--quick] [--only TEXT] [--bootstrap]

A cell is a truth and a number of cases, drawn `--runs` times and given to the functions that the comparison of runs
uses. The bars, each with two standard errors of Monte Carlo error: false alarms at most 5%, and coverage of the 95%
interval 93-97%. Where fewer than 20 cases are to be expected that change at all, or are of the rarer kind, whole
numbers of cases are too coarse for 97%, and only 93% is asked for. What a sample probably does not hold no interval
can know: such cells are shown apart, as limits, and not counted. The exit code is 1 if any other cell is out.

`--bootstrap` compares the coverage with that of the bootstrap (`scipy.stats.bootstrap`), in fewer runs.
"""

from __future__ import annotations

import argparse
import math
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from rich.console import Console
from rich.table import Table

from pytest_llmeval.stats import signflips
from pytest_llmeval.stats.differences import Estimate
from pytest_llmeval.stats.means import Floats
from pytest_llmeval.stats.multiple import ranks
from pytest_llmeval.stats.power import resolvable
from pytest_llmeval.stats.quantities import difference_of_mean, difference_of_percentile
from pytest_llmeval.stats.scores import paired_difference
from tests.simulations.truths import SIZES, Draw, Truth, binary, quantity_truths, score_truths, smooth

SEED = 20
ALARMS = 0.05
COVERAGE = (0.93, 0.97)
ERRORS = 2.0
# Of cases that change, or are of the rarer kind.
TOO_COARSE = 20
FAR_TOO_FEW = "-"


@dataclass(frozen=True)
class Outcome:
    """What came of a cell.

    Attributes:
        figure: What was compared.
        truth: What is true.
        n: Cases of a sample.
        runs: Samples.
        established: Share of samples in which a difference was established.
        covered: Share in which the interval covered the true one; None if there is none for so few cases.
        strict: Whether at most 97% are asked for.
        limit: Whether it is shown as a limit only.
    """

    figure: str
    truth: Truth
    n: int
    runs: int
    established: float
    covered: float | None
    strict: bool
    limit: bool

    @property
    def faults(self) -> list[str]:
        """What is out of the bar, beyond Monte Carlo error."""
        if self.covered is None:
            return []
        found = []
        if self.truth.difference == 0 and self.established > ALARMS + self._error(ALARMS):
            found.append("false alarms")
        if self.covered < COVERAGE[0] - self._error(COVERAGE[0]):
            found.append("covers too little")
        if self.strict and self.covered > COVERAGE[1] + self._error(COVERAGE[1]):
            found.append("covers too much")
        return found

    def _error(self, share: float) -> float:
        return ERRORS * math.sqrt(share * (1 - share) / self.runs)


def simulate(truth: Truth, n: int, runs: int) -> Iterator[Outcome]:
    """Yield what comes of a cell, for quantities of the difference and of the relative one."""
    rng = np.random.default_rng([SEED, zlib.crc32(f"{truth.kind} {truth.name} {truth.difference}".encode()), n])
    drawn = [compared(truth, rng, n)]
    # Too few cases for an interval are always too few.
    if drawn[0][0][0].low is not None:
        drawn += [compared(truth, rng, n) for _ in range(runs - 1)]
    for place, true in enumerate((truth.difference, truth.relative)):
        if true is None:
            continue
        estimates = [row[0][place] for row in drawn]
        known = [found for found in estimates if found.low is not None]
        assert len(known) in (0, runs)
        # A tie of the truth and an end is no matter of the last bits.
        covered = sum(1 for found in known if _covers(found, true)) / runs
        shown = sum(row[1] for row in drawn) if place == 0 else sum(0 not in found for found in known)
        yield Outcome(
            f"{truth.kind}, relative" if place else truth.kind,
            truth,
            n,
            runs,
            shown / runs,
            covered if known else None,
            strict=truth.telling == 1 or truth.telling * n >= TOO_COARSE,
            limit=n < truth.seen_from,
        )


def compared(truth: Truth, rng: np.random.Generator, n: int) -> tuple[list[Estimate], bool]:
    """Return the estimates of one sample, and whether a difference is established."""
    before, after, weights = truth.draw(rng, n)
    if truth.kind == "score":
        scores = paired_difference(before, after, weights=weights)
        assert scores is not None
        return [scores.difference], scores.established()
    if truth.kind == "mean":
        found = difference_of_mean(before, after, paired=truth.paired)
    else:
        found = difference_of_percentile(before, after, float(truth.kind[1:]), paired=truth.paired)
    assert found is not None
    assert found.relative is not None
    return [found.difference, found.relative], found.p is not None and found.p <= ALARMS


def _covers(found: Estimate, true: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= true + 1e-9 and found.high >= true - 1e-9


def cells(*, quick: bool) -> Iterator[tuple[Truth, int]]:
    """Yield all truths with all numbers of cases."""
    for truth in (*score_truths(), *quantity_truths()):
        for n in SIZES[:4] if quick else SIZES:
            yield truth, n


def table(title: str, outcomes: Iterable[Outcome]) -> Table:
    """Return outcomes as a table."""
    shown = Table(title=title, title_justify="left")
    for head in ("figure", "truth", "difference"):
        shown.add_column(head)
    for head in ("cases", "false alarms", "power", "coverage"):
        shown.add_column(head, justify="right")
    shown.add_column("")
    for row in outcomes:
        established = FAR_TOO_FEW if row.covered is None else f"{row.established:.1%}"
        null = row.truth.difference == 0
        # What few cases make too wide is not asked to be narrower.
        word = ", ".join(row.faults) or ("too few" if row.covered is None else "in" if row.strict else "in, >= 93%")
        shown.add_row(
            row.figure,
            row.truth.name,
            f"{row.truth.difference:+.3f}" if "relative" not in row.figure else f"{row.truth.relative or 0.0:+.1%}",
            f"{row.n:,}",
            established if null else "",
            "" if null else established,
            FAR_TOO_FEW if row.covered is None else f"{row.covered:.1%}",
            "limit" if row.limit else word,
        )
    return shown


def separated_by_chance(runs: int, n: int, draw: Draw) -> float:
    """Return the share of runs in which five equal candidates did not all share the first rank."""
    rng = np.random.default_rng([SEED, n])
    wrong = 0
    for _ in range(runs):
        scores = {name: draw(rng, n)[1] for name in "abcde"}
        pairs = {pair: paired_difference(scores[pair[0]], scores[pair[1]]) for pair in combinations("abcde", 2)}
        places = ranks("abcde", {pair: found for pair, found in pairs.items() if found is not None})
        wrong += max(places.values()) > 1
    return wrong / runs


def power_at_what_is_resolvable(runs: int, n: int, changed: float | None) -> float | None:
    """Return how often the difference that `resolvable` names is established: of smooth scores, or of pass and fail."""
    rng = np.random.default_rng([SEED, n])
    sd = 0.6 * math.sqrt(2 * 0.05) if changed is None else math.sqrt(changed)
    for _ in range(50):
        difference = resolvable(n, sd, pass_fail=changed is not None)
        if difference is None or (changed is not None and difference > changed):
            return None
        # The variance of pass and fail falls with the difference that is looked for.
        sd = sd if changed is None else math.sqrt(changed - difference**2)
    assert difference is not None
    found = 0
    for _ in range(runs):
        if changed is None:
            before, after, _ = smooth(rng, n, difference=0.0)
            # Half the spread and half the difference, so that all scores stay within 0-1.
            old, new = np.array(before) / 2 + 0.45, (np.array(after) - difference) / 2 + 0.45
            scores = paired_difference(old.tolist(), new.tolist())
        else:
            scores = paired_difference(*binary(rng, n, changed=changed, difference=-difference)[:2])
        found += scores is not None and scores.established()
    return found / runs


def bootstrapped(truth: Truth, n: int, runs: int) -> tuple[float, float, float]:
    """Return the coverage of ours, of the percentile bootstrap, and of BCa (paired cases, without repeats)."""
    from scipy.stats import bootstrap  # type: ignore[import-untyped]

    rng = np.random.default_rng([SEED, n])
    q = None if truth.kind in ("score", "mean") else float(truth.kind[1:])

    def figure(before: Floats, after: Floats, axis: int = -1) -> Floats:
        if q is None:
            return np.asarray(after.mean(axis) - before.mean(axis))
        return np.asarray(np.percentile(after, q, axis=axis) - np.percentile(before, q, axis=axis))

    counts = [0, 0, 0]
    for _ in range(runs):
        state = rng.bit_generator.state
        estimate = compared(truth, rng, n)[0][0]
        rng.bit_generator.state = state
        before, after, _ = truth.draw(rng, n)
        data = (np.array(before), np.array(after))
        counts[0] += estimate.low is not None and _covers(estimate, truth.difference)
        for place, method in ((1, "percentile"), (2, "BCa")):
            with np.errstate(all="ignore"):
                ends = bootstrap(
                    data, figure, paired=True, vectorized=True, n_resamples=999, method=method, rng=rng
                ).confidence_interval
            counts[place] += bool(ends.low <= truth.difference + 1e-9 and ends.high >= truth.difference - 1e-9)
    return counts[0] / runs, counts[1] / runs, counts[2] / runs


def show_bootstrap(console: Console, runs: int) -> None:
    """Print the coverage of the bootstrap beside ours."""
    shown = Table(title=f"coverage of 95% intervals, {runs:,} runs a cell", title_justify="left")
    for head in ("figure", "truth", "cases", "ours", "percentile bootstrap", "BCa bootstrap"):
        shown.add_column(head)
    for truth in (*score_truths(), *quantity_truths()):
        if truth.name in ("smooth", "skewed", "1 in 10 changes", "log-normal", "cases much alike"):
            for n in (10, 20, 40, 100):
                ours, plain, bca = bootstrapped(truth, n, runs)
                none = truth.kind == "p95" and n < 40
                words = ["no interval" if none else f"{ours:.1%}", f"{plain:.1%}", f"{bca:.1%}"]
                shown.add_row(truth.kind, f"{truth.name}, {truth.difference:+.2f}", str(n), *words)
    console.print(shown)


def show_ranks_and_power(console: Console, runs: int) -> bool:
    """Print what comes of ranks and of `resolvable`; return whether it is as promised."""
    allowed = ALARMS + ERRORS * math.sqrt(ALARMS * (1 - ALARMS) / runs)
    shares = [
        ("smooth, 40 cases", separated_by_chance(runs, 40, partial(smooth, difference=0.0))),
        ("pass/fail, 100 cases", separated_by_chance(runs, 100, partial(binary, changed=0.4, difference=0.0))),
    ]
    for name, share in shares:
        console.print(f"five equal candidates, {name}: {share:.1%} of runs rank one below another (at most 5%)")
    for n in (10, 20, 40, 100, 300):
        found = [power_at_what_is_resolvable(runs, n, changed) for changed in (None, 0.2, 0.5)]
        texts = zip(("smooth", "pass/fail, 20% change", "pass/fail, 50% change"), found, strict=True)
        console.print(
            f"power at what {n} cases resolve (80%): "
            + "; ".join(f"{a}: {FAR_TOO_FEW if b is None else f'{b:.1%}'}" for a, b in texts)
        )
    return all(share <= allowed for _, share in shares)


def main(arguments: list[str] | None = None) -> int:
    """Run and print all cells; return 1 if any is out of the bars."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000, help="samples a cell (default: 2000)")
    parser.add_argument("--quick", action="store_true", help="up to 100 cases, 200 runs")
    parser.add_argument("--only", default="", metavar="TEXT", help="cells whose figure and truth hold TEXT")
    parser.add_argument("--bootstrap", action="store_true", help="compare with the bootstrap, in a tenth of the runs")
    options = parser.parse_args(arguments)
    runs = 200 if options.quick else options.runs
    # A permutation test keeps its level with any number of draws; a sample needs no more than these.
    signflips.MOST_DRAWS = signflips.FEWEST_DRAWS = 999
    console = Console(width=128)
    if options.bootstrap:
        show_bootstrap(console, max(100, runs // 10))
        return 0
    chosen = [(truth, n) for truth, n in cells(quick=options.quick) if options.only in f"{truth.kind} {truth.name}"]
    outcomes = [outcome for truth, n in chosen for outcome in simulate(truth, n, runs)]
    promised = [row for row in outcomes if not row.limit]
    console.print(table(f"{runs:,} runs a cell", promised))
    console.print(table("limits: what makes the truth is probably not in the sample", [r for r in outcomes if r.limit]))
    kept = options.only != "" or show_ranks_and_power(console, runs // 2)
    out = [row for row in promised if row.faults]
    none = sum(row.covered is None for row in promised)
    coarse = sum(not row.strict for row in promised if row.covered is not None)
    console.print(
        f"{len(promised) - len(out) - none} cells in the bars ({coarse} with few cases that change: 93% at least), "
        f"{len(out)} out; {none} have too few cases for an interval"
    )
    for row in out:
        console.print(f"  out: {row.figure}, {row.truth.name}, {row.n} cases: {', '.join(row.faults)}")
    return 1 if out or not kept else 0


if __name__ == "__main__":
    sys.exit(main())
