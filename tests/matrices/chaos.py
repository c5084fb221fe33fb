"""Fallbacks against servers of which each request fails with a probability: how many cases get their answer.

``python -m tests.matrices.chaos --cases 2000``. Which requests fail is a function of the seed, the server, the question
and how often it was asked, so that a run can be repeated.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_llmeval.records import Run, TestRecord
from pytest_llmeval.runlines import comparable
from pytest_llmeval.runs import load_run
from tests.chat_server import ChatServer
from tests.matrices.matrix import Matrix, report

RATE = 0.3
FAULTS = (500, 502, 503, 529, 429, 408, "drop", "garbage")
#: What a candidate has to reach that is to be relied on.
AVAILABILITY = 0.999
TEST = """
import pytest

@pytest.mark.llm_cases([{{"id": f"c{{n}}", "input": f"Question {{n}}"}} for n in range({cases})])
def test_case(llm_reply, llm_case):
    assert llm_reply.json()["echo"] == llm_case.input
"""
SETTINGS = """
[tool.pytest.ini_options]
[tool.llmeval.models.{name}]
model = "openai:{name}"
base_url = "{url}"
prices = "free"
max_retries = {retries}
"""


class ChaosServer(ChatServer):
    """A chat server of which each request fails with a probability.

    Args:
        rate: The probability.
        seed: Tells runs and servers apart.
    """

    def __init__(self, rate: float, seed: str) -> None:
        super().__init__()
        self._rate = rate
        self._seed = seed
        self._times: Counter[str] = Counter()
        self._counting = threading.Lock()

    def fault(self, body: dict[str, Any]) -> int | str:
        """Decide by the question, and how often it came."""
        question = str(body["messages"])
        with self._counting:
            self._times[question] += 1
            chance = random.Random(f"{self._seed} {question} {self._times[question]}")
        return chance.choice(FAULTS) if chance.random() < self._rate else 0


@dataclass(frozen=True)
class Setting:
    """What is tried: how often each of the servers fails, the candidate, and what it has to reach."""

    rates: tuple[float, ...]
    retries: int
    breaker: int = 0
    least: float = AVAILABILITY

    def __str__(self) -> str:
        servers = " > ".join(f"{rate:.0%}" for rate in self.rates)
        return f"{servers}, {self.retries} retries" + (f", breaker after {self.breaker}" if self.breaker else "")


SETTINGS_TRIED = (
    # One server alone, for comparison: what a fallback is measured by.
    Setting((RATE,), 0, least=0.0),
    Setting((RATE, 0.0), 0),
    Setting((RATE, 0.0), 0, breaker=3),
    Setting((RATE, RATE, RATE), 2),
    Setting((1.0, RATE, RATE, RATE), 2, breaker=5),
)


def chaos_matrix(cases: int, folder: Path, seed: int = 1, settings: Sequence[Setting] = SETTINGS_TRIED) -> Matrix:
    """Run each setting once with its servers, once from its recordings."""
    heads = ("each request fails", "run", "available", "first > next > ...", "passed over for")
    matrix = Matrix(f"availability at least {AVAILABILITY}, and a replay that is the same", heads)
    for number, setting in enumerate(settings):
        _try(matrix, setting, cases, folder / str(number), seed)
    return matrix


def _try(matrix: Matrix, setting: Setting, cases: int, project: Path, seed: int) -> None:
    names = [f"m{n}" for n in range(len(setting.rates))]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(ChaosServer(rate, f"{seed} {name}"))
            for name, rate in zip(names, setting.rates, strict=True)
        ]
        _write(project, names, [server.url for server in servers], setting, cases)
        live = _run(project, "once", len(names) > 1)
    again = _run(project, "none", len(names) > 1)
    _add(matrix, setting, "live", live, _lost(live, setting, cases))
    if setting.least:
        _add(matrix, setting, "replayed", again, [*_lost(again, setting, cases), *_differences(live, again)])


def _write(project: Path, names: list[str], urls: list[str], setting: Setting, cases: int) -> None:
    project.mkdir(parents=True)
    (project / "test_cases.py").write_text(TEST.format(cases=cases), encoding="utf-8")
    parts = [
        SETTINGS.format(name=name, url=url, retries=setting.retries) for name, url in zip(names, urls, strict=True)
    ]
    text = "".join(parts[:1] + [part.replace("[tool.pytest.ini_options]\n", "") for part in parts[1:]])
    if len(names) > 1:
        text += f"\n[tool.llmeval.models.safe]\nfallback = {names}\n"
        text += f"circuit_breaker = {{ failures = {setting.breaker}, cooldown = 0.5 }}\n"
    (project / "pyproject.toml").write_text(text, encoding="utf-8")


def _run(project: Path, mode: str, mixed: bool) -> Run:
    chosen = f"--llm-models={'safe' if mixed else 'm0'}"
    others = [f"-pno:{name}" for name in ("llmock", "cacheprovider", "randomly")]
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    options = [f"--llm-record={mode}", f"--llm-report={mode}.jsonl", "-o", "llm_concurrency=16"]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *others, chosen, *options],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return load_run(project / f"{mode}.jsonl")


def _answered(test: TestRecord) -> bool:
    return bool(test.calls) and all(call.error is None for call in test.calls)


def _lost(run: Run, setting: Setting, cases: int) -> list[str]:
    """Return what went wrong: cases without a record or with another's answer, and too many without any."""
    lost = [f"{cases - len(run.tests)} cases have no record"] if len(run.tests) != cases else []
    lost += [f"{test.nodeid}: {test.message}" for test in run.tests if _answered(test) and test.outcome != "passed"]
    share = sum(map(_answered, run.tests)) / cases
    return lost if share >= setting.least else [*lost, f"available {share:.4f}"]


def _differences(live: Run, again: Run) -> list[str]:
    before = {test.nodeid: comparable(test) for test in live.tests if _answered(test)}
    after = {test.nodeid: comparable(test) for test in again.tests}
    return [f"{nodeid} is another in the replay" for nodeid, text in before.items() if after.get(nodeid) != text]


def _add(matrix: Matrix, setting: Setting, kind: str, run: Run, lost: list[str]) -> None:
    calls = [call for test in run.tests for call in test.calls]
    served = Counter(call.served_by or call.candidate for call in calls if call.error is None)
    over = Counter(part.why for call in calls for part in call.calls if part.why)
    share = sum(map(_answered, run.tests)) / max(len(run.tests), 1)
    matrix.add(
        setting,
        kind,
        f"{share:.4f}",
        " > ".join(f"{served[name]:,}" for name in sorted(served)),
        ", ".join(f"{why} {count:,}" for why, count in over.most_common()),
        tried=len(run.tests),
        lost=lost,
    )


def main() -> int:
    """Print the matrix."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return report(chaos_matrix(given.cases, Path(folder), given.seed))


if __name__ == "__main__":
    sys.exit(main())
