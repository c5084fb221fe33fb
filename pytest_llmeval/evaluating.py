"""Models and cases to a `Run`, outside of pytest: for notebooks and scripts."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pytest_llmeval.candidates import unpinned_of
from pytest_llmeval.cases import Case, complexity_of
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.client import LLM
from pytest_llmeval.comparators import as_float
from pytest_llmeval.datasets import Source, load_cases
from pytest_llmeval.display import shorten
from pytest_llmeval.errors import ConfigError, ProviderError
from pytest_llmeval.pacing import Paces
from pytest_llmeval.promptfiles import PromptFiles, Prompts
from pytest_llmeval.provenance import candidate_info, end_of, new_header, with_provenance
from pytest_llmeval.questions import check_questions
from pytest_llmeval.records import Run, TestRecord
from pytest_llmeval.response import Response
from pytest_llmeval.roster import Roster
from pytest_llmeval.scoring import record_score
from pytest_llmeval.settings import load_settings
from pytest_llmeval.testlog import TestLog, running_log
from pytest_llmeval.workers import run_at_once

#: What a judge returns of an answer: whether it is good, how good (0-1), how good by name; nothing if it asserts.
Judgement = bool | float | Mapping[str, float] | None
Judge = Callable[[Response, Case], Judgement]

JUDGE = "Give a plain function of (reply, case) that returns a bool, a score from 0 to 1, scores by name, or None."

#: Most requests in flight to a provider, as of ``--llm-concurrency``.
CONCURRENCY = 8


def evaluate(
    model: str | Iterable[str],
    cases: Source,
    judge_fn: Judge,
    *,
    concurrency: int = CONCURRENCY,
    folder: Path | None = None,
    **request: Any,
) -> Run:
    """Ask models about cases, judge the answers, and return the same `Run` that pytest would.

    Nothing is recorded, and nothing replayed: each call goes out and may cost. Settings are read as pytest reads them;
    what other plugins add by hooks is not asked for.

    Args:
        model: A candidate or several, ``provider:model`` or an alias of the settings.
        cases: What `load_cases` takes.
        judge_fn: A plain function that is given each answer with its case. It returns whether it is good (a bool), a
            score from 0 to 1 (a number), or scores by name (a mapping); those of numpy too. It may also assert, and use
            `score_fields` or `assert_json`, which note their outcome themselves, and return None: good, if nothing has
            failed. What it raises, or returns beside these, fails its case with that as the message, and no other.
        concurrency: Most requests in flight to a provider, 1 or more.
        folder: Where the settings are; the working directory by default.
        **request: What `llm_cases` takes: prompt, system, max_tokens, schema, ...

    Raises:
        ConfigError: Models, cases, judge, settings or the request cannot be used. This is told before anybody is asked,
            save for a judge that only turns out to be a coroutine's when it is called: then no more is asked.

    >>> def judge(reply, case):
    ...     return case.expected in reply.content
    >>> def compare_two():
    ...     return evaluate(["openai:gpt-4o-mini", "gemini-2.0-flash"], "capitals.jsonl", judge, max_tokens=20)
    """
    _check(judge_fn, concurrency)
    root = folder or Path.cwd()
    settings, loaded = load_settings(root), load_cases(cases)
    roster = Roster(settings.models, {}, {})
    candidates = roster.candidates([model] if isinstance(model, str) else model)
    if not candidates:
        raise ConfigError("evaluate: no model was named. Write for example evaluate('openai:gpt-4o-mini', ...).")
    paces = Paces(concurrency, settings.concurrency, {*roster.names, *settings.models})
    roster.pace_of = paces.of
    prompts = Prompts(PromptFiles(root), root)
    check_questions(loaded, request, prompts, declared=True, name="evaluate")
    header = new_header(root, mode="live")
    tests: list[TestRecord] = []
    try:
        for candidate in candidates:
            llm = LLM(
                candidate, roster.provider(candidate), for_cases=request, prompts=prompts, pace=paces.of(candidate)
            )
            tests += _tests(llm, loaded, judge_fn)
    finally:
        roster.close()
    unpinned = {each.name: ids for each in candidates if (ids := unpinned_of(each)) is not None}
    run = Run([each.name for each in candidates], "live", tests, unpinned)
    known = {each.name: candidate_info(each) for each in candidates}
    return with_provenance(
        run, header, known, end_of(tests, int(any(test.outcome != "passed" for test in tests)), None)
    )


def _check(judge: object, concurrency: object) -> None:
    """Refuse what would only show once answers are paid for."""
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigError(f"evaluate: concurrency={shorten(concurrency)}: give a whole number of 1 or more.")
    if not callable(judge):
        raise ConfigError(f"evaluate: judge_fn is {shorten(judge)}, which cannot be called. {JUDGE}")
    if inspect.iscoroutinefunction(judge) or inspect.iscoroutinefunction(type(judge).__call__):
        raise ConfigError(f"evaluate: judge_fn is a coroutine function, which nobody awaits. {JUDGE}")


def _tests(llm: LLM, cases: Iterable[Case], judge: Judge) -> Iterable[TestRecord]:
    mask = SecretScanner(os.environ).mask
    told: list[ConfigError] = []
    jobs = [partial(_test, llm, case, judge, mask, told) for case in cases]
    for result in run_at_once(jobs, llm.pace.most, llm.pace):
        if isinstance(result, BaseException):
            raise result
        yield result


def _test(llm: LLM, case: Case, judge: Judge, mask: Callable[[str], str], told: list[ConfigError]) -> TestRecord:
    if told:
        # Each further answer would be paid for and thrown away.
        raise told[0]
    log = TestLog(llm.name, unpinned_of(llm.candidate))
    outcome, message = "passed", None
    with running_log.bound(log):
        try:
            outcome = _outcome(judge(llm.complete(case), case))
        except ProviderError as exc:
            outcome, message = "error", mask(str(exc))
        except ConfigError as exc:
            told.append(exc)
            raise
        except Exception as exc:
            # Anybody's judge: what fails it costs this case alone, as in a test.
            outcome, message = "failed", mask(f"{type(exc).__name__}: {exc}")
    record = log.record(f"evaluate::case[{llm.name}-{case.id}]", outcome, message=message)
    record.case, record.tags, record.weight = case.id, list(case.tags), case.weight
    record.complexity = complexity_of(case)
    return record


def _outcome(judgement: Any) -> str:
    """Note the scores of a judgement; return the outcome of its case."""
    if inspect.isawaitable(judgement):
        if inspect.iscoroutine(judgement):
            # Or Python would say that it was never awaited, at any later time.
            judgement.close()
        raise ConfigError(f"evaluate: judge_fn returned {type(judgement).__name__}, which nobody awaits. {JUDGE}")
    if getattr(judgement, "shape", None) == () and callable(getattr(judgement, "item", None)):
        # A scalar of numpy or of what follows it, whose bool is none to Python.
        judgement = judgement.item()
    if isinstance(judgement, bool):
        return "passed" if judgement else "failed"
    if isinstance(judgement, Mapping):
        for name, score in judgement.items():
            record_score(score, name)
    elif as_float(judgement) is not None:
        record_score(judgement)
    elif judgement is not None:
        kind = type(judgement).__name__
        raise TypeError(f"judge_fn returned {shorten(judgement)}, of type {kind}. {JUDGE}")
    return "passed"
