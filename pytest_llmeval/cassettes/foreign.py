"""Parse cassettes that others wrote, or that we wrote and `cassettes.sealed` cannot read: YAML or JSON."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import yaml

from pytest_llmeval.cassettes import plainyaml
from pytest_llmeval.cassettes.format import damaged


def parse(text: str, source: Path) -> Any:
    """Return the data of a cassette's text.

    Args:
        text: Content of the file.
        source: The file, for messages.

    Raises:
        DamagedError: Neither YAML nor JSON; names the file and the line.
    """
    try:
        return _parse(text, source)
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise damaged(source, line, exc.problem or "not YAML") from None
    except yaml.reader.ReaderError as exc:
        # Counted in bytes, by libyaml.
        line = text.encode("utf-8", "surrogatepass").count(b"\n", 0, exc.position) + 1
        raise damaged(source, line, f"the character #x{exc.character:04x} has no place in YAML") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as exc:
        raise damaged(source, getattr(exc, "lineno", 1), str(exc) or type(exc).__name__) from None


def _parse(text: str, source: Path) -> Any:
    text = text.removeprefix("\ufeff")
    if source.suffix == ".json":
        return json.loads(text)
    if text.startswith("{"):
        # YAML refuses JSON's escapes of emoji.
        with contextlib.suppress(ValueError):
            return json.loads(text)
    return plainyaml.parse(text)
