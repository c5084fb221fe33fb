"""Changes to a file of settings that leave all the rest of it, comments too, as its owner wrote it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from pytest_llmeval.errors import ConfigError

OWN, SHARED = "llmeval.toml", "pyproject.toml"


def settings_file(rootdir: Path) -> tuple[Path, tuple[str, ...]]:
    """Return the file that the settings of a project belong in, and the tables that they stand under there."""
    own = rootdir / OWN
    return (own, ()) if own.is_file() else (rootdir / SHARED, ("tool", "llmeval"))


def with_models(text: str, under: Sequence[str], models: Mapping[str, str]) -> str:
    r"""Return settings in which tasks have these models, by name of the task.

    Args:
        text: The file, in TOML.
        under: The tables that settings stand under.
        models: Names of candidates by those of tasks.

    Raises:
        ConfigError: The file is written in a way that cannot be changed without changing more.

    >>> print(with_models("[tasks.sort]\nmodel = 'large' # for now\n", (), {"sort": "small"}), end="")
    [tasks.sort]
    model = "small" # for now
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    wanted = tomllib.loads(text)
    try:
        document = tomlkit.parse(text)
        for task, model in models.items():
            _table(wanted, (*under, "tasks", task))["model"] = model
            _table(document, (*under, "tasks", task))["model"] = model
        changed = _with_ends_of(text, tomlkit.dumps(document))
        same = tomllib.loads(changed) == wanted
    except (TOMLKitError, ValueError, TypeError):
        same = False
    if not same:
        raise ConfigError("these settings are written in a way that cannot be changed here. Change them by hand.")
    return changed


def _with_ends_of(text: str, changed: str) -> str:
    """Return a changed file whose new lines end as all others do; where those end in two ways, either is right."""
    all_crlf = 0 < text.count("\n") == text.count("\r\n")
    return changed.replace("\r\n", "\n").replace("\n", "\r\n") if all_crlf else changed


def task_tables(text: str, under: Sequence[str], tasks: Iterable[str], models: Mapping[str, str]) -> str:
    """Return the tables of some tasks alone, with their models, as TOML.

    >>> print(task_tables("", (), ["sort"], {"sort": "small"}), end="")
    [tasks.sort]
    model = "small"
    """
    import tomlkit

    data, found = tomllib.loads(text), tomlkit.document()
    for task in tasks:
        own = dict(_table(data, (*under, "tasks", task)))
        table = _table(found, (*under, "tasks", task))
        if task in models:
            table["model"] = models[task]
        for key, value in own.items():
            if key != "model" or task not in models:
                table[key] = _value(value)
    return tomlkit.dumps(found)


def _value(value: Any) -> Any:
    """Return a value on a line of its own, tables too."""
    import tomlkit

    if not isinstance(value, dict):
        return value
    table = tomlkit.inline_table()
    table.update({key: _value(each) for key, each in value.items()})
    return table


def _table(document: MutableMapping[str, Any], path: Sequence[str]) -> MutableMapping[str, Any]:
    import tomlkit
    from tomlkit.items import InlineTable

    table = document
    for number, name in enumerate(path):
        if name not in table:
            inline = isinstance(table, InlineTable)
            table[name] = tomlkit.inline_table() if inline else tomlkit.table(is_super_table=number < len(path) - 1)
        table = table[name]
    return table
