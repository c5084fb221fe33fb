"""How an answer that conforms to a JSON Schema is asked for: by the provider's own means, or in words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

#: What endpoints name when they refuse a constrained answer.
REFUSED = re.compile(
    r"response.?format|json.?schema|output.?(config|format)|structured.?output|guided|grammar", re.IGNORECASE
)
REFUSED_STATUS = (400, 404, 422)

# https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
NOT_STRICT = {"allOf", "oneOf", "not", "if", "then", "else", "default", "patternProperties", "propertyNames"}
NOT_STRICT |= {"dependentRequired", "dependentSchemas"}


def prompt_text(schema: Mapping[str, Any]) -> str:
    """Return the sentence that asks in words for an answer that conforms to `schema`."""
    return (
        "Answer with one JSON object that conforms to this JSON Schema, and nothing else:\n"
        f"{json.dumps(schema, ensure_ascii=False)}"
    )


def with_prompt(system: str | None, schema: Mapping[str, Any]) -> str:
    """Return the system text with the schema asked for in words."""
    return f"{system}\n\n{prompt_text(schema)}" if system else prompt_text(schema)


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return OpenAI's `response_format`: strict if the schema keeps the rules of strict mode, else best effort."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(schema.get("title") or "answer"))[:64]
    strict = strict_schema(schema)
    if strict is None:
        return {"type": "json_schema", "json_schema": {"name": name, "schema": dict(schema)}}
    return {"type": "json_schema", "json_schema": {"name": name, "schema": strict, "strict": True}}


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return `schema` as OpenAI's strict mode wants it, or None if it cannot be had without changing its meaning.

    Objects that do not mention `additionalProperties` are closed: what conforms then conforms to the schema as it was.

    >>> strict_schema({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]})
    {'type': 'object', 'properties': {'a': {'type': 'string'}}, 'required': ['a'], 'additionalProperties': False}
    >>> strict_schema({"type": "object", "properties": {"a": {"type": "string"}}}) is None
    True
    """
    if schema.get("type") != "object" or "anyOf" in schema:
        return None
    try:
        return _strict(schema)
    except _NotStrictError:
        return None


class _NotStrictError(Exception):
    pass


def _strict(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping) or NOT_STRICT & schema.keys():
        raise _NotStrictError
    if "$ref" in schema and len(schema) > 1:
        raise _NotStrictError
    result = dict(schema)
    for name in ("properties", "$defs", "definitions"):
        if name in schema:
            result[name] = {key: _strict(part) for key, part in schema[name].items()}
    if "items" in schema:
        result["items"] = _strict(schema["items"])
    if "anyOf" in schema:
        result["anyOf"] = [_strict(part) for part in schema["anyOf"]]
    if schema.get("type") == "object" or "properties" in schema:
        _close(schema, result)
    return result


def _close(schema: Mapping[str, Any], result: dict[str, Any]) -> None:
    # Closing an object beside an anyOf would forbid what only the branches name.
    closable = schema.get("additionalProperties", False) is False and "anyOf" not in schema
    if not closable or set(schema.get("properties", {})) != set(schema.get("required", [])):
        raise _NotStrictError
    result["additionalProperties"] = False
