"""Read the rows of a dataset out of a file, each with the line where it stands: JSONL, JSON, CSV, YAML, TOML."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_llmeval.display import escape, shorten
from pytest_llmeval.errors import DatasetError, nearest
from pytest_llmeval.projectfiles import read_text

#: The list of cases in a file that holds an object.
LIST = "cases"
#: Fields whose cells may hold JSON in a table, and those that are numbers.
JSON_FIELDS = ("expected", "messages", "schema", "images")
NUMBERS: dict[str, tuple[Callable[[str], Any], ...]] = {"max_tokens": (int,), "weight": (int, float)}
BETWEEN = re.compile(r"[\s,:]*")
TOML_ROW = re.compile(rf"^[ \t]*\[\[[ \t]*{LIST}[ \t]*\]\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read.

    Attributes:
        where: File and line, or the number of the row where lines cannot be told.
        data: What stands there.
        faults: Why it could not be read; `data` is worth nothing then.
    """

    where: str
    data: Any = None
    faults: tuple[str, ...] = ()


class _RowError(ValueError):
    """A row, or a whole file, that is not what its format says; `line` is where, counted in what was parsed."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def read_rows(path: Path, name: str) -> list[Row]:
    """Return the rows of a file.

    Args:
        path: The file; its suffix says the format.
        name: How messages show it.

    Raises:
        ConfigError: The file cannot be read as a whole.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(f"{name}: {_format_of(path)} Known formats: {', '.join(READERS)}.")
    text = read_text(path, name)
    try:
        # An empty file is of every format.
        return list(reader(text, name)) if text.strip() else []
    except _RowError as exc:
        where = name if exc.line is None else f"{name}:{exc.line}"
        raise DatasetError(f"{where}: {exc}") from None


def _format_of(path: Path) -> str:
    if not path.suffix:
        return "the name has no suffix that says the format."
    return f"the suffix {escape(path.suffix)} stands for no format of cases.{nearest(path.suffix.lower(), READERS)}"


def _jsonl(text: str, name: str) -> Iterator[Row]:
    # Not splitlines(), which also splits at U+2028: a JSON string may hold it.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"{name}:{number}"
            try:
                yield Row(where, _json_data(line))
            except _RowError as exc:
                yield Row(where, faults=(str(exc),))


def _json(text: str, name: str) -> Iterator[Row]:
    data = _json_data(text)
    rows = _list_in(data)
    for row, line in zip(rows, _json_lines(text, whole=isinstance(data, list)), strict=True):
        yield Row(f"{name}:{line}", row)


def _json_data(text: str) -> Any:
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as exc:
        raise _RowError(f"not JSON: {exc.msg} at column {exc.colno}.", exc.lineno) from None
    except RecursionError:
        raise _RowError("nested too deeply.") from None
    except _RowError:
        raise
    except ValueError:
        raise _RowError("a number of more digits than can be read.") from None


def _json_lines(text: str, *, whole: bool) -> Iterator[int]:
    """Yield the line of each case in a text that is known to be JSON."""
    decode, at = _DECODER.raw_decode, BETWEEN.match(text).end() + 1  # type: ignore[union-attr]
    while not whole:
        key, at = decode(text, _next(text, at))
        at = _next(text, at)
        if key == LIST:
            at += 1
            break
        _, at = decode(text, at)
    yield from _lines_of(text, _elements(text, at))


def _elements(text: str, at: int) -> Iterator[int]:
    """Yield where each element begins of the list whose bracket stands before `at`."""
    while text[at := _next(text, at)] != "]":
        yield at
        _, at = _DECODER.raw_decode(text, at)


def _lines_of(text: str, offsets: Iterable[int]) -> Iterator[int]:
    """Yield the lines of offsets that only grow; to count from the start each time would take the square of it."""
    line, counted = 1, 0
    for offset in offsets:
        line, counted = line + text.count("\n", counted, offset), offset
        yield line


def _next(text: str, at: int) -> int:
    return BETWEEN.match(text, at).end()  # type: ignore[union-attr]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in data if names.count(key) > 1)
        raise _RowError(f"{shorten(twice)} stands twice in one object. Keep one of them.")
    return data


def _refuse(constant: str) -> Any:
    raise _RowError(f"not JSON: {constant} is no number of JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse)


def _yaml(text: str, name: str) -> Iterator[Row]:
    # PyYAML takes longer to import than a thousand cases of JSON to read.
    from pytest_llmeval import caseyaml

    try:
        data, places = caseyaml.parse(text, LIST)
    except caseyaml.NotYAMLError as exc:
        raise _RowError(f"not YAML: {exc}.", exc.line) from None
    for row, (line, faults) in zip(_list_in(data), places, strict=True):
        yield Row(f"{name}:{line}", row, tuple(faults))


def _toml(text: str, name: str) -> Iterator[Row]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        found = re.search(r"\(at line (\d+)", str(exc))
        problem = escape(str(exc)).partition(" (at")[0]
        raise _RowError(f"not TOML: {problem}.", int(found[1]) if found else None) from None
    except RecursionError:
        raise _RowError("nested too deeply.") from None
    rows = _list_in(data)
    heads = list(_lines_of(text, (match.start() for match in TOML_ROW.finditer(text))))
    # A text of several lines may hold such a line, and the table may be written inline: then lines cannot be told.
    places = [f":{line}" for line in heads] if len(heads) == len(rows) else [f": row {n + 1}" for n in range(len(rows))]
    for row, place in zip(rows, places, strict=True):
        yield Row(f"{name}{place}", _plain(row))


def _plain(value: Any) -> Any:
    """Return data without TOML's own types: a date is the text that it is in every other format."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else value


def _csv(text: str, name: str) -> Iterator[Row]:
    head = text.partition("\n")[0]
    # Spreadsheets write semicolons in countries that write decimals with a comma.
    delimiter = next((mark for mark in ",;\t" if mark in head), ",")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    with _long_cells():
        columns = _columns(_cells(reader))
        before = reader.line_num
        while (cells := _cells(reader)) is not None:
            where, before = f"{name}:{before + 1}", reader.line_num
            if any(cell.strip() for cell in cells):
                try:
                    yield Row(where, _record(columns, cells))
                except _RowError as exc:
                    yield Row(where, faults=(str(exc),))


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    # The limit is the process's own: whoever set it finds it again.
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _cells(reader: Any) -> list[str] | None:
    try:
        return next(reader, None)
    except csv.Error as exc:
        raise _RowError(f"not CSV: {exc}.", reader.line_num) from None


def _columns(head: list[str] | None) -> list[list[str]]:
    """Return the columns as paths: ``expected.name`` is a field in a field."""
    names = [name.strip() for name in head or []]
    for name in filter(None, names):
        if names.count(name) > 1:
            raise _RowError(f"two columns are named {shorten(name)}. Keep one of them.", 1)
        if not all(name.split(".")):
            raise _RowError(f"the column {shorten(name)} has a dot with no name beside it.", 1)
    return [name.split(".") if name else [] for name in names]


def _record(columns: list[list[str]], cells: list[str]) -> dict[str, Any]:
    if len(cells) != len(columns):
        hint = " Put cells that hold one in quotes." if len(cells) > len(columns) else ""
        raise _RowError(f"{len(cells)} cells, where the header names {len(columns)} columns.{hint}")
    data: dict[str, Any] = {}
    for path, cell in zip(columns, cells, strict=True):
        if cell.strip():
            if not path:
                raise _RowError(f"the cell {shorten(cell)} stands in a column without a name.")
            _put(data, path, _value(path, cell))
    return data


def _put(data: dict[str, Any], path: list[str], value: Any) -> None:
    inner: Any = data
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            break
    if not isinstance(inner, dict) or path[-1] in inner:
        raise _RowError(f"{'.'.join(path)}: another column has a value where this one belongs. Empty one of them.")
    inner[path[-1]] = value


def _value(path: list[str], cell: str) -> Any:
    if path[0] in JSON_FIELDS and cell.lstrip()[0] in "[{":
        try:
            return _json_data(cell)
        except _RowError as exc:
            raise _RowError(f"{'.'.join(path)}: {exc} A cell that begins with [ or {{ is read as JSON.") from None
    for number in NUMBERS.get(path[0], ()):
        with contextlib.suppress(ValueError):
            return number(cell)
    return cell


def _list_in(data: Any) -> list[Any]:
    """Return the list of cases in what a file holds; an empty one for an empty file."""
    rows = data.get(LIST) if isinstance(data, dict) else data
    if isinstance(rows, list):
        return rows
    if data is None:
        return []
    if isinstance(data, dict) and LIST not in data:
        names = escape(", ".join(map(str, data)))
        raise _RowError(f"holds no list {LIST!r} (it holds: {names[:80]}). Give the list of cases that name.")
    raise _RowError(f"should be a list of cases, or an object with a list {LIST!r} (it is {shorten(rows)}).")


READERS: dict[str, Callable[[str, str], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".toml": _toml,
}
