"""Numbers to intervals, comparisons, ranks and counts of cases; it knows nothing of tests, runs and candidates.

What needs numpy stands in modules of its own, which are imported where they are needed.
"""

from pytest_llmeval.stats.intervals import Interval, mean_interval, percentile, weighted_interval
from pytest_llmeval.stats.repeats import pass_at_k, pass_hat_k

__all__ = ["Interval", "mean_interval", "pass_at_k", "pass_hat_k", "percentile", "weighted_interval"]
