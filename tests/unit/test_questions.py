from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_llmeval.cases import Case
from pytest_llmeval.errors import ConfigError, DatasetError
from pytest_llmeval.promptfiles import PromptFiles, Prompts
from pytest_llmeval.questions import check_questions, messages_of, own_request

PICTURE = "https://x.org/a.png"


@pytest.fixture
def prompts(tmp_path: Path) -> Prompts:
    return Prompts(PromptFiles(tmp_path), tmp_path)


def asked(prompts: Prompts, case: Case, prompt: str | None = None) -> list[dict[str, Any]]:
    return messages_of(case, prompt, prompts, lambda *_: None)


def test_the_input_is_the_message_as_it_stands(prompts: Prompts) -> None:
    assert asked(prompts, Case(input="@x {{ y }}")) == [{"role": "user", "content": "@x {{ y }}"}]


def test_a_prompt_is_made_of_the_case(prompts: Prompts) -> None:
    case = Case(input="Where?", extra={"n": 1}, images=(PICTURE,))
    assert asked(prompts, case, "{{ input }} {{ n }}") == [
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": PICTURE}}, {"type": "text", "text": "Where? 1"}],
        }
    ]


def test_messages_go_as_they_are_but_for_their_pictures(prompts: Prompts) -> None:
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "image", "url": PICTURE}]},
        {"role": "assistant", "content": "{{ x }}"},
    ]
    assert asked(prompts, Case(messages=turns)) == [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]},
        turns[1],
    ]


def test_a_prompt_does_not_take_the_place_of_messages(prompts: Prompts) -> None:
    with pytest.raises(ConfigError, match=r"case a \(c:1\) has messages, and prompt= makes one of its own\."):
        asked(prompts, Case(id="a", source="c:1", messages=[{"role": "user", "content": "x"}]), "{{ id }}")


def test_a_case_without_a_question_needs_a_prompt(prompts: Prompts) -> None:
    with pytest.raises(ConfigError) as caught:
        asked(prompts, Case(id="a", extra={"topic": 1, "n": 2}))
    assert str(caught.value) == (
        "case a has neither input nor messages. Say what to ask with prompt='{{ field }}'; its other fields are: "
        "topic, n."
    )


def test_what_a_case_says_itself() -> None:
    assert own_request(Case(input="x")) == {}
    assert own_request(Case(system="", max_tokens=5, schema={})) == {"system": "", "max_tokens": 5, "schema": {}}


def faults(prompts: Prompts, cases: list[Case], *, declared: bool = False, **request: Any) -> list[str]:
    with pytest.raises(DatasetError) as caught:
        check_questions(cases, request, prompts, declared=declared, name="test_x")
    assert str(caught.value).startswith("test_x: cases that cannot be asked:\n  ")
    return caught.value.faults


CASES = [Case(id=str(n), input="x", extra={"n": n} if n < 3 else {}) for n in range(5)]


def test_questions_that_can_be_asked_pass(prompts: Prompts) -> None:
    check_questions(CASES, {"prompt": "{{ id }}", "system": "{{ input }}"}, prompts, declared=True, name="test_x")
    check_questions([Case(id="a")], {"max_tokens": 5}, prompts, declared=False, name="test_x")


def test_a_fault_of_many_cases_is_told_once(prompts: Prompts) -> None:
    (told,) = faults(prompts, CASES, prompt="{{ n }}")
    assert told.startswith("prompt:1: 'n' is undefined.")
    assert "of case 3 are" in told
    assert told.endswith(" (1 other case too)")
    assert len(faults(prompts, CASES, system="{{ n }}", prompt="{{ m }}")) == 1
    assert faults(prompts, CASES, system="{{ m }}")[0].endswith(" (4 other cases too)")
    assert len(faults(prompts, CASES, system="@nothing.md")) == 1


def test_what_a_case_says_itself_is_not_checked_for_it(prompts: Prompts) -> None:
    check_questions([Case(input="x", system="s")], {"system": "{{ m }}"}, prompts, declared=True, name="test_x")


def test_a_declared_question_needs_something_to_ask(prompts: Prompts) -> None:
    assert faults(prompts, [Case(id="a"), *CASES], declared=True)[0].startswith(
        "case a has neither input nor messages."
    )
