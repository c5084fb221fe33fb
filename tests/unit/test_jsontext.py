from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from pytest_llmeval.checks import JSONCheckError, assert_json, is_valid_json
from pytest_llmeval.response import Response, ToolCall, parse_json


def failure(reply: Any, **options: Any) -> str:
    with pytest.raises(JSONCheckError) as caught:
        assert_json(reply, **options)
    return str(caught.value)


# What is JSON


@pytest.mark.parametrize("text", ['{"a": 1}', " \n\t[1]\r\n", '"text"', "null", "0", '{"a": 1, "a": 2}', '"\\ud800"'])
def test_one_strict_document_is_valid(text: str) -> None:
    assert assert_json(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        '{"a": 1,}',
        "{'a': 1}",
        '{"a": 1} {"b": 2}',
        '{"a": 1} done',
        'Sure: {"a": 1}',
        '```json\n{"a": 1}\n```',
        "NaN",
        "[Infinity]",
        "[-Infinity]",
        '"line\nbreak"',
        "\ufeff{}",
        "\xa0{}",
        "// no\n{}",
        "[01]",
        "True",
    ],
)
def test_anything_else_is_not_valid_when_strict(text: str) -> None:
    assert not is_valid_json(text)


def test_a_response_text_and_parsed_data_are_all_taken() -> None:
    assert assert_json(Response('{"a": 1}')) == assert_json('{"a": 1}') == assert_json({"a": 1}) == {"a": 1}


def test_parsed_scalars_are_taken() -> None:
    assert assert_json(None) is None
    assert assert_json(1.5) == 1.5


def test_a_coroutine_that_was_not_awaited_says_to_await_it() -> None:
    async def complete() -> str:
        return "{}"

    coroutine = complete()
    with pytest.raises(TypeError, match="await it first"):
        assert_json(coroutine)
    coroutine.close()


def test_bytes_are_refused_by_type() -> None:
    with pytest.raises(TypeError, match="of type bytes"):
        assert_json(b"{}")


# What the failure shows


def test_failure_shows_reason_position_and_a_caret_below_the_place() -> None:
    message = failure('{\n  "name": "John"\n  "issue": 1\n}')
    assert message.splitlines() == [
        "not JSON: Expecting ',' delimiter at line 3, column 3",
        "  1 | {",
        '  2 |   "name": "John"',
        '  3 |   "issue": 1',
        "    |   ^",
        "  4 | }",
    ]


def test_caret_stands_below_the_place_after_escaped_and_wide_characters() -> None:
    lines = failure('["\x1b[31m", "日本", oops]'.replace("\x1b[31m", "\u202e")).splitlines()
    place, caret = lines[1], lines[2]
    assert place == '  1 | ["\\u202e", "日本", oops]'
    # Two wide characters take two columns each.
    assert caret.index("^") == place.index("oops") + 2


def test_control_characters_never_reach_the_message() -> None:
    message = failure('{"a": "\x1b[2J\x07\r\x00"}\u2028\u202e')
    assert all(char.isprintable() or char == "\n" for char in message)


def test_lone_surrogates_do_not_break_the_message() -> None:
    assert "\\ud800" in failure("\ud800 {")
    failure("\ud800 {").encode()


def test_long_lines_and_long_texts_are_cut_around_the_place() -> None:
    message = failure('{"a": "' + "x" * 100_000 + '" "b": "' + "y" * 100_000 + '"}')
    assert len(message) < 500
    assert '..."' not in message
    assert "xxx" in message
    assert '"b"' in message
    assert "200,0" in message


def test_lines_before_the_place_are_cut_as_well() -> None:
    message = failure('{"' + "k" * 5_000 + '": 1,\n"b" 2}')
    assert len(message) < 400
    assert message.splitlines()[1].startswith('  1 | {"kkk')


def test_an_empty_answer_says_so() -> None:
    assert failure(" \n") == "not JSON: the answer is empty"


def test_an_answer_of_tool_calls_only_names_them() -> None:
    assert "'find_order'" in failure(Response("", tool_calls=[ToolCall("1", "find_order", "{}")]))


def test_a_cut_answer_says_that_it_was_cut() -> None:
    assert "max_tokens" in failure(Response('{"a": ', finish_reason="length"))
    assert "max_tokens" not in failure(Response('{"a": ', finish_reason="stop"))


def test_a_cut_answer_that_is_whole_json_passes() -> None:
    assert assert_json(Response('{"a": 1}', finish_reason="length")) == {"a": 1}


def test_json_among_other_text_hints_at_strict_false() -> None:
    assert "strict=False" in failure('Sure:\n```json\n{"a": 1}\n```')
    assert "strict=False" not in failure("no idea")


def test_constants_that_json_lacks_are_found_outside_of_strings() -> None:
    assert "NaN is not JSON at line 1, column 20" in failure('{"NaN": "NaN", "a":NaN}')
    with pytest.raises(json.JSONDecodeError) as caught:
        parse_json('["-Infinity", -Infinity]')
    assert caught.value.pos == 14


def test_endless_nesting_is_a_clear_failure_in_both_modes() -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, "see " + "[" * 100_000):
        assert "Nested too deep" in failure(text, strict=False)
    assert "Nested too deep" in failure("[" * 100_000)


def test_a_number_of_thousands_of_digits_is_a_clear_failure() -> None:
    digits = "1" * (sys.get_int_max_str_digits() + 1)
    assert "digits at line 1, column 7" in failure('{"a": ' + digits + "}")
    assert "digits at line 1, column 10" in failure('so {"a": ' + digits + "}", strict=False)


def test_the_traceback_ends_in_the_test() -> None:
    with pytest.raises(JSONCheckError) as caught:
        assert_json("{")
    assert caught.value.__suppress_context__
    assert [entry.name for entry in caught.traceback] == [
        "test_the_traceback_ends_in_the_test",
        "assert_json",
    ]
    assert [entry.name for entry in caught.traceback.filter(caught)] == ["test_the_traceback_ends_in_the_test"]


# strict=False


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1]}',
        '```json\n{"a": [1]}\n```',
        '```JSON\r\n{"a": [1]}\r\n```\r\n',
        'Here you are:\n\n  ```json\n  {"a": [1]}\n  ```\nAnything else?',
        '```\n{"a": [1]}\n```',
        'Sure: {"a": [1]}. Bye.',
        'See [this] and {that}: {"a": [1]}',
        'Links [[wiki]] {{name}} [x](y) {"a": [1]}',
        '[12 items] {"a": [1]}',
        '```json {"a": [1]} ```',
        '{"other": 1} is wrong, I mean\n```json\n{"a": [1]}\n```',
    ],
)
def test_a_fenced_block_or_the_only_object_in_prose_is_taken_when_asked(text: str) -> None:
    assert assert_json(text, strict=False) == {"a": [1]}


def test_a_fence_inside_a_string_does_not_end_the_block() -> None:
    document = {"code": "```py\nx\n```", "odd": "\u2028``` \x85```"}
    text = f"```json\n{json.dumps(document, ensure_ascii=False)}\n```"
    assert assert_json(text, strict=False) == document


def test_a_fenced_scalar_is_taken() -> None:
    assert assert_json('As asked:\n```json\n"yes"\n```', strict=False) == "yes"


def test_several_candidates_are_refused_and_counted() -> None:
    assert "2 JSON documents" in failure('{"a": 1} or {"a": 2}', strict=False)
    assert "3 JSON documents" in failure("```json\n1\n```\n```json\n2\n```\n```json\n3\n```", strict=False)


@pytest.mark.parametrize(
    "text",
    [
        'Sure: {"customer": {"name": "John"}, "issue": ',
        'Sure: [{"a": 1}, {"b',
        "Sure: [[1, 2], [3, ",
        '```json\n{"a": {"b": 1},\n```',
        'Sure: {"note": "see [1] and {}',
        'Sure: {"note": "see [1]',
        '{"a": {"b": 1}',
    ],
)
def test_a_part_of_a_broken_document_is_never_taken_for_the_document(text: str) -> None:
    assert not is_valid_json(text, strict=False)


def test_the_position_counts_from_the_start_of_the_whole_text() -> None:
    assert "at line 3, column 7" in failure('Sure:\n```json\n{"a": oops}\n```', strict=False)
    assert "NaN is not JSON at line 2, column 7" in failure('Sure:\n{"a": NaN}', strict=False)


def test_text_without_json_says_that_there_is_none() -> None:
    assert "No JSON object or array in the text" in failure("I cannot do [that].", strict=False)


def test_what_starts_like_json_keeps_the_reason_why_it_is_none() -> None:
    assert "enclosed in double quotes" in failure("{'a': 1}", strict=False)


@pytest.mark.parametrize("piece", ["[x", "{ ", "```json\n", "[] ", '[1, "', "{[", '"'])
def test_hostile_repetition_ends_in_a_verdict(piece: str) -> None:
    assert not is_valid_json("see " + piece * 20_000, strict=False)
