"""OpenAI's form of messages, tools and tool choices, in Anthropic's form. What is in Anthropic's form already stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

DATA_URL = re.compile(r"data:(?P<media>[\w.+-]+/[\w.+-]+);base64,(?P<data>.*)", re.DOTALL)
TOOL_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


def system_and_messages(
    system: str | None, messages: Iterable[Mapping[str, Any]]
) -> tuple[str | None, list[dict[str, Any]]]:
    """Return the system text, with that of system messages after it, and the other messages.

    >>> system_and_messages(None, [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    ('Be brief.', [{'role': 'user', 'content': 'Hi'}])
    """
    texts = [system] if system else []
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = message["role"]
        if role in ("system", "developer"):
            texts.append(_plain_text(message.get("content")))
        elif role == "tool":
            _add_result(turns, message)
        elif role == "assistant" and message.get("tool_calls"):
            turns.append({"role": role, "content": _with_calls(message)})
        else:
            turns.append({"role": role, "content": _content(message.get("content"))})
    return "\n\n".join(texts) or None, turns


def tool(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return one tool.

    >>> tool({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}})
    {'name': 'f', 'input_schema': {'type': 'object'}}
    """
    if definition.get("type") != "function" or "function" not in definition:
        return dict(definition)
    function = dict(definition["function"])
    schema = function.pop("parameters", None) or {"type": "object", "properties": {}}
    kept = {name: function[name] for name in ("name", "description", "strict") if name in function}
    return {**kept, "input_schema": schema}


def tool_choice(choice: Any) -> Any:
    """Return a tool choice.

    >>> tool_choice("required"), tool_choice({"type": "function", "function": {"name": "f"}})
    ({'type': 'any'}, {'type': 'tool', 'name': 'f'})
    """
    if isinstance(choice, str) and choice in TOOL_CHOICES:
        return {"type": TOOL_CHOICES[choice]}
    if isinstance(choice, Mapping) and choice.get("type") == "function":
        return {"type": "tool", "name": choice["function"]["name"]}
    return choice


def _add_result(turns: list[dict[str, Any]], message: Mapping[str, Any]) -> None:
    result = {
        "type": "tool_result",
        "tool_use_id": message["tool_call_id"],
        "content": _content(message.get("content")),
    }
    # The results of one turn's calls must come in one message.
    last = turns[-1] if turns else None
    if last is not None and last["role"] == "user" and _is_results(last["content"]):
        last["content"].append(result)
    else:
        turns.append({"role": "user", "content": [result]})


def _is_results(content: Any) -> bool:
    return isinstance(content, list) and all(part.get("type") == "tool_result" for part in content)


def _with_calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    said = _content(message.get("content"))
    blocks = [{"type": "text", "text": said}] if isinstance(said, str) and said else []
    if isinstance(said, list):
        blocks = said
    return blocks + [
        {
            "type": "tool_use",
            "id": call["id"],
            "name": call["function"]["name"],
            "input": _input(call["function"].get("arguments")),
        }
        for call in message["tool_calls"]
    ]


def _input(arguments: Any) -> Any:
    try:
        value = json.loads(arguments or "{}") if isinstance(arguments, str | None) else arguments
    except json.JSONDecodeError:
        value = None
    # Anthropic takes objects only, and documents this wrapping for what a model wrote that is none:
    # https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
    return value if isinstance(value, dict) else {"INVALID_JSON": arguments}


def _content(content: Any) -> Any:
    if isinstance(content, Sequence) and not isinstance(content, str):
        return [_part(part) for part in content]
    return content or ""


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") != "image_url":
        return dict(part)
    image = part["image_url"]
    url = image["url"] if isinstance(image, Mapping) else image
    if embedded := DATA_URL.fullmatch(url):
        source = {"type": "base64", "media_type": embedded["media"], "data": embedded["data"]}
    else:
        source = {"type": "url", "url": url}
    return {"type": "image", "source": source}


def _plain_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n\n".join(part["text"] for part in content or [] if part.get("type") == "text")
