"""What is kept of a request, and of the source of a test."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_llmeval.asked import NOTHING, asked_of, digest_of, expected_digest
from pytest_llmeval.providers.base import Request
from pytest_llmeval.sources import source_digest

HI = [{"role": "user", "content": "Hi"}]


def test_each_part_of_a_request_has_a_digest_of_its_own() -> None:
    one = asked_of(Request(HI, system="A"))
    for changed, part in (
        (Request(HI, system="B"), "system"),
        (Request([{"role": "user", "content": "Ho"}], system="A"), "messages"),
        (Request(HI, system="A", max_tokens=3), "parameters"),
        (Request(HI, system="A", schema={"type": "object"}), "parameters"),
        (Request(HI, system="A", params={"seed": 1}), "parameters"),
    ):
        other = asked_of(changed)
        differing = [name for name in one._fields[:3] if getattr(one, name) != getattr(other, name)]
        assert differing == [part]


def test_keys_in_another_order_ask_the_same() -> None:
    one, other = Request([{"role": "user", "content": "é"}]), Request([{"content": "é", "role": "user"}])
    assert asked_of(one) == asked_of(other)


def test_texts_that_calls_share_go_with_their_digests() -> None:
    asked = asked_of(Request(HI, system="A", max_tokens=80, temperature=None))
    assert asked.texts == {digest_of("A"): "A", asked.parameters: '{"max_tokens": 80}'}
    assert asked_of(Request(HI)).system is None


@pytest.mark.parametrize("hostile", ["\ud800", "\x00", "x" * 100_000])
def test_any_text_has_a_digest(hostile: str) -> None:
    asked = asked_of(Request([{"role": "user", "content": hostile}], system=hostile, params={"x": hostile}))
    assert [len(part or "") for part in asked[:3]] == [12] * 3


def test_what_no_other_process_can_repeat_has_no_digest() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert [asked_of(Request(HI, params={"x": value})) for value in (object(), loop, {(): 1})] == [NOTHING] * 3
    assert [expected_digest(value) for value in (None, object(), loop, lambda: 0)] == [None] * 4
    assert expected_digest({1: "a"}) == expected_digest({1: "a"}) is not None


def function_of(path: Path, source: str, name: str = "test_it") -> Callable[..., Any]:
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Any] = vars(module)[name]
    return found


PLAIN = "def test_it():\n    x = [1,\n        2]\n    def inner():\n        return x\n    assert inner()\n"


@pytest.mark.parametrize(
    "same",
    [
        "import functools\n\n" + PLAIN,
        "def mark(f): return f\n\n@mark\n" + PLAIN,
        PLAIN.replace("    assert", "\n    assert"),
        PLAIN + "\ndef other(): pass\n",
        "class Test:\n" + "".join(f"    {line}\n" for line in PLAIN.splitlines()) + "test_it = Test.test_it\n",
    ],
)
def test_where_a_test_stands_and_how_it_is_marked_is_no_part_of_its_source(tmp_path: Path, same: str) -> None:
    one = source_digest(function_of(tmp_path / "a.py", PLAIN))
    assert one is not None
    assert source_digest(function_of(tmp_path / "b.py", same)) == one


def test_any_line_of_it_is(tmp_path: Path) -> None:
    one = source_digest(function_of(tmp_path / "a.py", PLAIN))
    for old, new in (("assert inner()", "assert inner"), ("return x", "return 1"), ("2]", "3]")):
        # The same file, as when it is edited between two runs of one process.
        assert source_digest(function_of(tmp_path / "a.py", PLAIN.replace(old, new))) != one


def test_a_wrapper_stands_for_what_it_wraps(tmp_path: Path) -> None:
    function = function_of(tmp_path / "a.py", PLAIN)
    wrapped = functools.wraps(function)(lambda: None)
    assert source_digest(wrapped) == source_digest(function)


def test_what_has_no_source_has_no_digest() -> None:
    made: dict[str, Any] = {}
    exec("def test_it(): pass", made)
    assert [source_digest(each) for each in (None, len, made["test_it"])] == [None, None, None]
