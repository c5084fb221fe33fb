"""Values as TOML text, for settings that a command suggests: the standard library only reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_key(name: str) -> str:
    """Write a key, quoted where it has to be.

    >>> toml_key("sort"), toml_key("code generation")
    ('sort', '"code generation"')
    """
    return name if BARE_KEY.fullmatch(name) else toml_value(name)


def toml_value(value: Any) -> str:
    r"""Write a value.

    >>> toml_value({"stop": ["a\n", 'b"'], "top_p": 0.9, "seed": 7, "logprobs": True})
    '{ stop = ["a\\n", "b\\""], top_p = 0.9, seed = 7, logprobs = true }'
    """
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{toml_key(str(key))} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, bool | str):
        # JSON's texts are texts of TOML too, but for this sign.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)
