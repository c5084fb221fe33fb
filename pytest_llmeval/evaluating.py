"""Models and cases to a `Run`, outside of pytest: for notebooks and scripts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pytest_llmeval.candidates import Candidate, unpinned_of
from pytest_llmeval.cases import Case, complexity_of
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.client import LLM
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
        judge_fn: Is given each answer with its case. It returns whether it is good, a score from 0 to 1, or scores by
            name; it may also assert, and use `score_fields` or `assert_json`, which note their outcome themselves.
        concurrency: Most requests in flight to a provider.
        folder: Where the settings are; the working directory by default.
        **request: What `llm_cases` takes: prompt, system, max_tokens, schema, ...

    Raises:
        ConfigError: Models, cases, settings or the request cannot be used.

    >>> def judge(reply, case):
    ...     return case.expected in reply.content
    >>> def compare_two():
    ...     return evaluate(["openai:gpt-4o-mini", "gemini-2.0-flash"], "capitals.jsonl", judge, max_tokens=20)
    """
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


def _tests(llm: LLM, cases: Iterable[Case], judge: Judge) -> Iterable[TestRecord]:
    mask = SecretScanner(os.environ).mask
    jobs = [partial(_test, llm, case, judge, mask) for case in cases]
    for result in run_at_once(jobs, llm.pace.most, llm.pace):
        if isinstance(result, BaseException):
            raise result
        yield result


def _test(llm: LLM, case: Case, judge: Judge, mask: Callable[[str], str]) -> TestRecord:
    candidate: Candidate = llm.candidate
    log = TestLog(llm.name, unpinned_of(candidate))
    outcome, message = "passed", None
    with running_log.bound(log):
        try:
            outcome = _outcome(judge(llm.complete(case), case))
        except ProviderError as exc:
            outcome, message = "error", mask(str(exc))
        except ConfigError:
            raise
        except Exception as exc:
            # Anybody's judge: what fails it costs this case alone, as in a test.
            outcome, message = "failed", mask(f"{type(exc).__name__}: {exc}")
    record = log.record(f"evaluate::case[{llm.name}-{case.id}]", outcome, message=message)
    record.case, record.tags, record.weight = case.id, list(case.tags), case.weight
    record.complexity = complexity_of(case)
    return record


def _outcome(judgement: Judgement) -> str:
    """Note the scores of a judgement; return the outcome of its case."""
    if isinstance(judgement, bool):
        return "passed" if judgement else "failed"
    if isinstance(judgement, Mapping):
        for name, score in judgement.items():
            record_score(score, name)
    elif isinstance(judgement, int | float):
        record_score(judgement)
    elif judgement is not None:
        raise TypeError(f"judge_fn returned {shorten(judgement)}: return a bool, a score, scores by name, or nothing")
    return "passed"
