from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from pytest_llmeval.caseids import content_id
from pytest_llmeval.cassettes.paths import file_name


def test_lower_case_words_are_their_own_id() -> None:
    assert content_id({"input": "capital of france"}) == "capital-of-france"


@pytest.mark.parametrize(
    ("row", "slug"),
    [
        ({"input": "Where is my parcel?"}, "where-is-my-parcel"),
        ({"input": "Ärger über die Öffnung"}, "arger-uber-die-offnung"),
        ({"input": "one two three four five six seven eight nine"}, "one-two-three-four-five-six"),
        ({"input": "Donaudampfschifffahrtsgesellschaftskapitän"}, "donaudampfschifffahrtsgesell"),
        ({"input": "My key is sk-4f9a8c7b4f9a8c7b4f9a8c7b, why?"}, "my-key-is-sk-why"),
        ({"input": "配達はいつですか"}, "case"),
        ({"input": ""}, "case"),
        ({"input": "../../etc/passwd\x00\x1b[31m"}, "etc-passwd-31m"),
        ({"messages": [{"role": "user", "content": "Hi there"}, {"role": "assistant", "content": "x"}]}, "hi-there"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "A cat"}]}]}, "a-cat"),
        ({"n": 4, "question": "Who wrote it?"}, "who-wrote-it"),
        ({"n": 4}, "case"),
    ],
)
def test_an_id_is_the_first_words_and_a_hash(row: dict[str, Any], slug: str) -> None:
    made = content_id(row)
    assert re.fullmatch(rf"{slug}-[0-9a-f]{{8}}", made)
    assert len(made) < 40


def test_an_id_is_fit_for_a_file_name_as_it_is() -> None:
    made = content_id({"input": "Donaudampfschifffahrtsgesellschaft und noch mehr Text"})
    assert file_name(f"test_ticket[{made}]") == f"test_ticket[{made}]"


def test_what_is_no_part_of_the_question_changes_no_id() -> None:
    plain = {"input": "Where is it?"}
    assert content_id({**plain, "expected": "x", "tags": ["a"], "weight": 2, "system": None}) == content_id(plain)


@pytest.mark.parametrize(
    "other",
    [
        {"input": "Where is it!"},
        {"input": "where is it"},
        {"input": "Where is it?", "system": "Be kind."},
        {"input": "Where is it?", "context": "an order"},
        {"input": "Where is it?", "images": ["a.png"]},
        {"input": "Where is it?", "max_tokens": 5},
    ],
)
def test_each_question_has_an_id_of_its_own_without_a_look_at_the_others(other: dict[str, Any]) -> None:
    assert content_id(other) != content_id({"input": "Where is it?"})


def test_the_order_of_fields_makes_no_difference() -> None:
    assert content_id({"input": "A?", "b": 1}) == content_id({"b": 1, "input": "A?"})


def test_rows_that_ask_the_same_are_numbered() -> None:
    first = content_id({"input": "A?"})
    second = content_id({"input": "A?"}, {first})
    assert second == f"{first}-2"
    assert content_id({"input": "A?"}, {first, second}) == f"{first}-3"


def test_an_id_that_somebody_chose_is_left_to_them() -> None:
    assert re.fullmatch(r"hello-[0-9a-f]{8}", content_id({"input": "hello"}, {"hello"}))


def test_values_of_python_have_the_same_id_in_every_process() -> None:
    class Thing:
        pass

    assert content_id({"input": "A?", "x": Thing()}) == content_id({"input": "A?", "x": Thing()})
    assert content_id({"input": "A?", "x": date(2024, 1, 2)}) == content_id({"input": "A?", "x": "2024-01-02"})
