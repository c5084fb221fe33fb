"""What a dataset holds: how many cases, which tags and fields, how long they are, which ask the same."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from pytest_llmeval.cases import Case
from pytest_llmeval.display import escape
from pytest_llmeval.errors import nearest
from pytest_llmeval.images import is_image
from pytest_llmeval.stats import percentile

#: Bytes of UTF-8 that a token has, about and at least: any tokenizer would have to be downloaded.
ABOUT, LEAST = 4, 3
MOST_SHOWN = 8
FIELDS = ("input", "messages", "images", "system", "schema", "max_tokens", "weight")


def describe(cases: Sequence[Case]) -> list[str]:
    """Return what a dataset holds, a line for each thing, its name in front."""
    lines = {
        "tags": _counted(_tags(cases)),
        "fields": _counted(_fields(cases)),
        "expected": _counted(_answers(cases)),
        "extra": _counted(_extra(cases)),
        "tokens": _tokens(cases),
        "same": _same(cases),
    }
    width = max(map(len, lines))
    return [f"{name:{width}}  {escape(line)}" for name, line in lines.items() if line]


def _counted(counts: Mapping[str, int]) -> str:
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[: 4 * MOST_SHOWN]]
    more = len(counts) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])])


def _tags(cases: Iterable[Case]) -> dict[str, int]:
    counts = Counter(tag for case in cases for tag in case.tags)
    untagged = sum(not case.tags for case in cases)
    return {**dict(counts.most_common()), **({"(none)": untagged} if untagged and counts else {})}


def _fields(cases: Sequence[Case]) -> dict[str, int]:
    empty = Case()
    counts = {name: sum(getattr(case, name) != getattr(empty, name) for case in cases) for name in FIELDS}
    counts["images"] += sum(any(_images(case)) for case in cases)
    turns = max((len(case.messages or ()) for case in cases), default=0)
    named = {f"messages (up to {turns})" if name == "messages" else name: count for name, count in counts.items()}
    return {name: count for name, count in named.items() if count}


def _images(case: Case) -> Iterable[bool]:
    contents = [message.get("content") for message in case.messages or ()]
    return (
        is_image(part) or part.get("type") == "image_url"
        for parts in contents
        if isinstance(parts, list)
        for part in parts
    )


def _answers(cases: Iterable[Case]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for case in cases:
        if isinstance(case.expected, Mapping):
            counts.update(map(str, case.expected))
        elif case.expected is None:
            counts["(none)"] += 1
        else:
            counts[f"({_kind(case.expected)})"] += 1
    return dict(counts)


def _kind(value: Any) -> str:
    kinds = {str: "text", bool: "boolean", int: "number", float: "number", list: "list"}
    return kinds.get(type(value), type(value).__name__)


def _extra(cases: Sequence[Case]) -> dict[str, int]:
    """Count other fields; whoever misspelt one of ours finds it here."""
    empty = Case()
    unused = [
        name for name in (*FIELDS, "expected", "tags") if all(getattr(c, name) == getattr(empty, name) for c in cases)
    ]
    counts = Counter(name for case in cases for name in case.extra)
    return {f"{name}{_hint(name, unused)}": count for name, count in counts.items()}


def _hint(name: str, unused: Iterable[str]) -> str:
    close = nearest(name, unused).strip()
    return f" ({close})" if close else ""


def _tokens(cases: Sequence[Case]) -> str:
    sizes = [len(_text(case).encode("utf-8", "surrogatepass")) for case in cases]
    about, most = ([size / each for size in sizes] for each in (ABOUT, LEAST))
    figures = [
        f"{name} {round(a or 0):,} (at most {round(m or 0):,})"
        for name, a, m in (
            ("mean", fmean(about), fmean(most)),
            ("p95", percentile(about, 95), percentile(most, 95)),
            ("max", max(about), max(most)),
        )
    ]
    pictures = "; pictures are not counted" if any(case.images or any(_images(case)) for case in cases) else ""
    return f"{', '.join(figures)} a case: its own text, UTF-8 bytes / {ABOUT} (/ {LEAST}){pictures}"


def _text(case: Case) -> str:
    """Return the text that a case brings itself: what tests say besides is not known here."""
    texts = [case.system or "", case.input or ""]
    for message in case.messages or ():
        content = message.get("content")
        parts = content if isinstance(content, list) else [content]
        texts += [str(part.get("text", "")) if isinstance(part, Mapping) else str(part or "") for part in parts]
    if case.input is None and case.messages is None:
        texts += [str(value) for value in case.extra.values()]
    return "".join(texts)


def _same(cases: Iterable[Case]) -> str:
    groups: dict[str, list[str]] = {}
    for case in cases:
        if case.input is not None or case.messages is not None:
            asked = json.dumps([case.input, case.messages, case.images, case.system], default=repr)
            groups.setdefault(asked, []).append(case.id)
    same = [" = ".join(ids[:MOST_SHOWN]) for ids in groups.values() if len(ids) > 1]
    more = f"; and {len(same) - MOST_SHOWN} more" if len(same) > MOST_SHOWN else ""
    return "; ".join(same[:MOST_SHOWN]) + more
