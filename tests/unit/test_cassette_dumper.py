"""Cassettes are written without PyYAML where that is possible, and come out the same."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pytest_llmeval.cassettes import dumper

TEXTS = (
    *("", "a", "POST", "OK", "a b", "null", "true", "no", "~", "1", "1.5", "1e3", "0x1f", "2026-11-24T20:00:00Z"),
    *("http://127.0.0.1:1/v1/chat", "a: b", "a #b", "#a", "- a", "-", "?", "'q'", '"q"', "it's", "[a]", "{a}", "*a"),
    *(
        "&a",
        "!a",
        "%a",
        "@a",
        "`a`",
        "|",
        ">",
        " a",
        "a ",
        "a\tb",
        "é",
        "日本",
        "🎉",
        "\ufeff",
        "\x07",
        "a\x85b",
        "=",
        "<<",
    ),
    *("a\u2028b", "a\nb", "a\n", "\na", " a\nb", "a\n b", "a\n\nb", "a \nb", "a\n\n", "\n", "🎉\nx", "a\tb\nc"),
    *('{\n  "a": 1\n}', "a\r\nb", "x" * 200),
)
NUMBERS = (0, 1, -5, 10**30, 0.5, -1.25, 1e22, 1e-7, 100.0, float("inf"), float("nan"), True, False, None)
KEYS = ("a", "body", "content-type", "x_y", "A1", "true", "no", "null", "1", "a b", "", "y", "é", "k" * 150)


def anything(chance: random.Random, depth: int = 3) -> Any:
    """Return plain data of any shape."""
    kind = chance.randrange(9)
    if kind == 0 and depth:
        return [anything(chance, depth - 1) for _ in range(chance.randrange(3))]
    if kind in (1, 2) and depth:
        return {key: anything(chance, depth - 1) for key in chance.sample(KEYS[:5], chance.randrange(4))}
    if kind == 3:
        return tuple((chance.random() * 1000, chance.randrange(99)) for _ in range(chance.randrange(4)))
    if kind == 4:
        return chance.choice((b"\x00\xff", b"text"))
    return chance.choice(TEXTS if kind < 8 else NUMBERS)


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_each_text_is_written_as_pyyaml_writes_it(text: str) -> None:
    for data in ({"k": text}, {"k": [text]}, {"k": {"l": text, "m": 1}}, {"k": [{"l": text}]}):
        assert dumper.dump(data) == dumper._dumped(data)


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_each_number_and_constant_too(number: Any) -> None:
    for data in ({"k": number}, {"k": [number]}, {"k": ((number, 1),)}):
        assert dumper.dump(data) == dumper._dumped(data)


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_each_key_too(key: str) -> None:
    for data in ({key: 1}, {"a": {key: "x"}}, {"a": [{key: "x\ny"}]}):
        assert dumper.dump(data) == dumper._dumped(data)


@pytest.mark.parametrize("seed", range(300))
def test_data_of_any_shape_too(seed: int) -> None:
    chance = random.Random(seed)
    data = {"version": 1, "interactions": [anything(chance) for _ in range(3)], "last": anything(chance)}
    assert dumper.dump(data) == dumper._dumped(data)


def test_an_answer_is_written_without_pyyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    body = '{\n  "messages": [\n    {\n      "content": "Grüße 🎉"\n    }\n  ]\n}'
    data = {"version": 1, "interactions": [{"request": {"method": "POST", "body": body, "headers": {"a": ["b"]}}}]}
    expected = dumper._dumped(data)
    for value in ("POST", "b", "version", "interactions", "request", "method", "body", "headers", "a"):
        dumper._scalar(value)
    monkeypatch.delattr("yaml.dump")
    assert dumper.dump(data) == expected
