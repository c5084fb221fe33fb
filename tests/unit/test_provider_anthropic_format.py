from __future__ import annotations

from typing import Any

from pytest_llmeval.providers.anthropic_format import system_and_messages, tool, tool_choice


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": f"id-{name}", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_system_texts_are_one_field_in_order() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "developer", "content": "B"},
        {"role": "user", "content": "Hi"},
        {"role": "system", "content": [{"type": "text", "text": "C"}]},
    ]
    assert system_and_messages("A", messages) == ("A\n\nB\n\nC", [{"role": "user", "content": "Hi"}])
    assert system_and_messages(None, messages[1:2])[0] is None


def test_a_turn_with_tools_is_translated_and_its_results_come_in_one_message() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("f", '{"a": 1}'), call("g", "{broken")]},
        {"role": "tool", "tool_call_id": "id-f", "content": "1"},
        {"role": "tool", "tool_call_id": "id-g", "content": "2"},
        {"role": "user", "content": "And?"},
    ]
    _, (assistant, results, user) = system_and_messages(None, messages)
    assert assistant["content"] == [
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "id-f", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "id-g", "name": "g", "input": {"INVALID_JSON": "{broken"}},
    ]
    assert results["role"] == "user"
    assert [block["tool_use_id"] for block in results["content"]] == ["id-f", "id-g"]
    assert user == {"role": "user", "content": "And?"}


def test_an_assistant_turn_of_calls_alone_has_no_empty_text() -> None:
    _, (turn,) = system_and_messages(None, [{"role": "assistant", "content": None, "tool_calls": [call("f", "")]}])
    assert turn["content"] == [{"type": "tool_use", "id": "id-f", "name": "f", "input": {}}]


def test_images_become_blocks_and_what_is_anthropics_stays() -> None:
    own = {"type": "image", "source": {"type": "url", "url": "https://x/own.png"}}
    parts = [
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        own,
    ]
    _, (turn,) = system_and_messages(None, [{"role": "user", "content": parts}])
    assert turn["content"] == [
        {"type": "text", "text": "See"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        own,
    ]


def test_tools_and_choices_in_anthropics_form_stay() -> None:
    own = {"name": "f", "input_schema": {"type": "object"}}
    assert tool(own) == own
    assert tool_choice({"type": "tool", "name": "f"}) == {"type": "tool", "name": "f"}
    assert tool({"type": "function", "function": {"name": "f"}})["input_schema"] == {"type": "object", "properties": {}}
