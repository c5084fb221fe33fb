"""Why a case scores lower than before: what changed in its request, its model or its check, if anything did."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_llmeval.cassettes.stale import word_diff
from pytest_llmeval.display import shorten
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.runheader import CandidateInfo, PriceUsed

#: From the one that explains most: what was asked comes before who answered, and that before who judged.
Kind = Literal["check", "prompt", "parameters", "settings", "requests", "model", "sampling", "unknown"]

#: Of a candidate, what says what is asked of it; its prices and where it runs do not.
SETTINGS = ("provider", "model", "endpoint", "parameters", "structured_output")
PRICES = ("input", "output", "cached_input", "cache_write")


@dataclass(frozen=True, slots=True)
class Cause:
    """What one case's loss follows.

    Attributes:
        kind: What changed.
        what: In words, the same for all cases that it changed for in the same way.
        texts: What was asked before and now, if that is at hand.
        also: What changed besides, in words.
        example: What was asked before and now in one of the cases, where each asks something else.
    """

    kind: Kind
    what: str
    texts: tuple[str, str] | None = None
    also: tuple[str, ...] = ()
    example: tuple[str, str] | None = None

    @property
    def group(self) -> tuple[str, str, tuple[str, str] | None]:
        """What is the same for losses that follow the same."""
        return self.kind, self.what, self.texts

    @property
    def diff(self) -> list[str]:
        """What changed in the text, word by word, or parameter by parameter."""
        old, new = self.texts or self.example or ("", "")
        if old == new:
            return []
        return parameter_diff(old, new) if self.kind == "parameters" else [word_diff(old, new)]


#: Cases whose recordings are looked at for what was asked, which may be at hand for none.
MOST_TRIES = 3

#: Returns what was asked in a test before and now, if that is at hand.
Messages = Callable[[TestRecord, TestRecord], tuple[str, str] | None]


class Attribution:
    """Knows what two runs say of what was asked and who answered.

    Args:
        before: The earlier run.
        after: The later one.
        was: The candidate's name in the earlier run.
        name: Its name in the later one.
        messages: Looks up what was asked; asked for one case of each kind of change.
    """

    def __init__(self, before: Run, after: Run, was: str, name: str, messages: Messages | None = None) -> None:
        self._messages = messages
        self._tried: Counter[Any] = Counter()
        self._texts = before.texts, after.texts
        self._infos = _info(before, was), _info(after, name)
        self._settings = _settings(*self._infos)
        self.prices = tuple(_prices(before, after, self._infos))

    def cause(self, before: Sequence[TestRecord], after: Sequence[TestRecord]) -> Cause:
        """Return what the difference between a case and what it was follows, from the records of its samples."""
        pairs = list(_pairs(before, after))
        found = [cause for old, new in pairs for cause in self._causes(old, new)]
        checks = [cause for cause in found if cause.kind == "check"]
        if _same_answers(pairs):
            # What was judged is the same text, whatever was asked for it.
            return checks[0] if checks else Cause("check", "the same answer is judged otherwise by what the test calls")
        if not found:
            return self._unchanged(pairs)
        first = min(found, key=lambda cause: ORDER.index(cause.kind))
        also = dict.fromkeys(_besides(cause) for cause in found if cause.group != first.group)
        return Cause(first.kind, first.what, first.texts, tuple(also), self._example(first, pairs))

    def _example(self, cause: Cause, pairs: Sequence[tuple[TestRecord, TestRecord]]) -> tuple[str, str] | None:
        if cause.kind != "prompt" or cause.texts is not None or self._messages is None:
            return None
        if self._tried[cause.group] >= MOST_TRIES:
            return None
        found = self._messages(*pairs[0])
        self._tried[cause.group] += 1 if found is None else MOST_TRIES
        return found

    @staticmethod
    def _unchanged(pairs: Sequence[tuple[TestRecord, TestRecord]]) -> Cause:
        calls = [call for pair in pairs for test in pair for call in test.calls]
        if not calls or any(call.messages_digest is None for call in calls):
            return Cause("unknown", "a run does not say what was asked")
        return Cause("sampling", "the same was asked, and answered otherwise")

    def _causes(self, old: TestRecord, new: TestRecord) -> Iterator[Cause]:
        if len(old.calls) != len(new.calls):
            yield Cause("requests", f"the number of requests: {len(old.calls)} → {len(new.calls)}{_files(old, new)}")
        else:
            for was, now in zip(old.calls, new.calls, strict=True):
                yield from self._asked(was, now, old, new)
                yield from _answered(was, now)
        if self._settings:
            yield Cause("settings", f"the candidate's settings: {self._settings}")
        if None not in (old.source, new.source) and old.source != new.source:
            yield Cause("check", "the test's source")
        if old.expected != new.expected:
            yield Cause("check", "the answer that the case expects")

    def _asked(self, was: Call, now: Call, old: TestRecord, new: TestRecord) -> Iterator[Cause]:
        if was.messages_digest is None or now.messages_digest is None:
            return
        named = _files(old, new)
        if was.system_digest != now.system_digest:
            yield Cause("prompt", f"the system text{named}", self._of(was.system_digest, now.system_digest))
        if was.messages_digest != now.messages_digest:
            yield Cause("prompt", f"the messages{named}")
        if was.parameters_digest != now.parameters_digest:
            yield Cause("parameters", "other parameters", self._of(was.parameters_digest, now.parameters_digest))
        if was.schema_mode != now.schema_mode:
            yield Cause("parameters", f"how the schema is asked for: {was.schema_mode} → {now.schema_mode}")

    def _of(self, was: str | None, now: str | None) -> tuple[str, str] | None:
        old = "" if was is None else self._texts[0].get(was)
        new = "" if now is None else self._texts[1].get(now)
        return None if old is None or new is None else (old, new)


ORDER: tuple[Kind, ...] = ("prompt", "parameters", "settings", "requests", "model", "check", "sampling", "unknown")


def _files(old: TestRecord, new: TestRecord) -> str:
    """Name the files of prompts that were edited."""
    files = [name for name in new.prompts if old.prompts.get(name, new.prompts[name]) != new.prompts[name]]
    return f" ({', '.join(files)})" if files else ""


def _pairs(before: Sequence[TestRecord], after: Sequence[TestRecord]) -> Iterator[tuple[TestRecord, TestRecord]]:
    earlier = {test.sample or 1: test for test in before}
    for test in after:
        if (test.sample or 1) in earlier:
            yield earlier[test.sample or 1], test


def _same_answers(pairs: Sequence[tuple[TestRecord, TestRecord]]) -> bool:
    digests = [[[call.digest for call in test.calls] for test in side] for side in zip(*pairs, strict=True)]
    told = all(digest for side in digests for calls in side for digest in calls)
    return bool(pairs) and any(digests[0]) and told and digests[0] == digests[1]


def _answered(was: Call, now: Call) -> Iterator[Cause]:
    if was.model and now.model and was.model != now.model:
        yield Cause("model", f"the model that answers: {was.model} → {now.model}")
    elif was.system_fingerprint and now.system_fingerprint and was.system_fingerprint != now.system_fingerprint:
        yield Cause("model", f"the model's version: fingerprint {was.system_fingerprint} → {now.system_fingerprint}")


def _info(run: Run, name: str) -> CandidateInfo | None:
    known = run.header.candidates if run.header is not None else []
    return next((info for info in known if info.name == name and info.provider is not None), None)


def _settings(before: CandidateInfo | None, after: CandidateInfo | None) -> str:
    if before is None or after is None:
        return ""
    changed = [name for name in SETTINGS if getattr(before, name) != getattr(after, name)]
    return ", ".join(f"{name} {_shown(getattr(before, name))} → {_shown(getattr(after, name))}" for name in changed)


def _prices(before: Run, after: Run, infos: tuple[CandidateInfo | None, CandidateInfo | None]) -> Iterator[str]:
    """Yield what changed in the prices of a candidate."""
    old, new = infos
    if old is not None and new is not None and old.prices != new.prices:
        yield f"the user's prices: {_shown(old.prices)} → {_shown(new.prices)}"
    if new is None or old is None:
        return
    was, now = _published(before, old.name), _published(after, new.name)
    for model in [model for model in now if model in was]:
        for name in PRICES:
            earlier, later = getattr(was[model], name), getattr(now[model], name)
            if earlier != later:
                yield f"the published price of {model}: {name} {earlier or '?'} → {later or '?'} USD per 1M tokens"


def _published(run: Run, candidate: str) -> Mapping[str, PriceUsed]:
    known = run.header.prices if run.header is not None else []
    return {price.model: price for price in known if price.candidate == candidate}


def _besides(cause: Cause) -> str:
    if cause.kind != "parameters" or cause.texts is None:
        return cause.what
    return f"{cause.what} ({'; '.join(parameter_diff(*cause.texts))})"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else shorten(value)


def parameter_diff(old: str, new: str) -> list[str]:
    """Return which parameters differ.

    >>> parameter_diff('{"max_tokens": 80, "temperature": 0.0}', '{"max_tokens": 20, "seed": 1, "temperature": 0.0}')
    ['max_tokens 80 → 20', 'seed not there → 1']
    """
    try:
        before, after = json.loads(old or "{}"), json.loads(new or "{}")
    except (ValueError, RecursionError):
        before = after = None
    if not isinstance(before, dict) or not isinstance(after, dict):
        return [word_diff(old, new)]
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    return [f"{name} {_parameter(before, name)} → {_parameter(after, name)}" for name in names]


def _parameter(values: Mapping[str, Any], name: str) -> str:
    return shorten(values[name]) if name in values else "not there"


def grouped(causes: Iterable[tuple[str, Cause]]) -> list[tuple[Cause, tuple[str, ...]]]:
    """Put the cases together that follow the same, the most first.

    Args:
        causes: Names of cases, each with its cause.
    """
    groups: dict[Any, list[tuple[str, Cause]]] = {}
    for name, cause in causes:
        groups.setdefault(cause.group, []).append((name, cause))
    ordered = sorted(groups.values(), key=lambda found: -len(found))
    return [(_together(found), tuple(name for name, _ in found)) for found in ordered]


def _together(found: Sequence[tuple[str, Cause]]) -> Cause:
    first = found[0][1]
    also = tuple(dict.fromkeys(text for _, cause in found for text in cause.also))
    example = next((cause.example for _, cause in found if cause.example is not None), None)
    return Cause(first.kind, first.what, first.texts, also, example)
