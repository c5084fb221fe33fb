"""Datasets: from a file, a list or a function to cases, with all faults told at once."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llmeval.casefiles import Row, read_rows
from pytest_llmeval.caseids import content_id
from pytest_llmeval.caserows import RowReader, neither, plain_row
from pytest_llmeval.cases import Case
from pytest_llmeval.display import escape, shorten
from pytest_llmeval.errors import ConfigError, DatasetError
from pytest_llmeval.projectfiles import find_file, shown_path

if TYPE_CHECKING:
    from pydantic import BaseModel

RowLike = Mapping[str, Any] | Case | str
Source = str | os.PathLike[str] | Iterable["RowLike | BaseModel"] | Callable[[], Any]


def load_cases(source: Source) -> list[Case]:
    """Return the cases of a dataset. Files are looked for in the working directory.

    Args:
        source: Path of a ``.jsonl``, ``.json``, ``.csv``, ``.yaml`` or ``.toml`` file; a list of dicts, texts, `Case`
            or pydantic models; or a function without arguments that returns any of these.

    Raises:
        ConfigError: There are no cases, or some cannot be used; the message names all rows and fields that are wrong.

    >>> [case.id for case in load_cases([{"id": "paris", "input": "Capital of France?"}, "hello"])]
    ['paris', 'hello']
    """
    here = Path.cwd()
    return _load(source, here, here)


class Datasets:
    """Loads each dataset once a session, however many tests use it.

    Args:
        root: pytest's rootdir.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[Path, list[Case] | ConfigError] = {}
        # The sources themselves are kept too, so that no other gets the id of one that is gone.
        self._others: dict[tuple[int, Path], tuple[Any, list[Case] | ConfigError]] = {}

    def cases(self, source: Source, folder: Path) -> list[Case]:
        """Return the cases of a source; files are looked for in `folder`, the test file's, then in the rootdir.

        Raises:
            ConfigError: See `load_cases`.
        """
        if isinstance(source, str | os.PathLike):
            path = find_file(source, _folders(folder, self._root), "dataset")
            if path not in self._files:
                self._files[path] = self._result(path, folder)
            result = self._files[path]
        else:
            key = id(source), folder
            if key not in self._others:
                self._others[key] = source, self._result(source, folder)
            result = self._others[key][1]
        if isinstance(result, ConfigError):
            raise result
        return result

    def _result(self, source: Source, folder: Path) -> list[Case] | ConfigError:
        try:
            return _load(source, folder, self._root)
        except ConfigError as exc:
            return exc


def _folders(folder: Path, root: Path) -> list[Path]:
    return list(dict.fromkeys([folder, root]))


def _load(source: Source, folder: Path, root: Path, name: str = "") -> list[Case]:
    if isinstance(source, str | os.PathLike):
        path = find_file(source, _folders(folder, root), "dataset")
        name = shown_path(path, root)
        return _cases(read_rows(path, name), name, _folders(path.parent, root))
    if callable(source):
        name = getattr(source, "__qualname__", type(source).__name__)
        return _load(_called(source, name), folder, root, f"{name}()")
    if isinstance(source, Mapping | bytes) or not isinstance(source, Iterable):
        raise DatasetError(
            f"{name or 'cases'}: should be a path, a list of cases, or a function that returns one of the two (it is "
            f"{shorten(source)})."
        )
    rows = [
        Row(row.source if isinstance(row, Case) and row.source else f"{name or 'cases'}: row {n}", row)
        for n, row in enumerate(source, 1)
    ]
    return _cases(rows, name or "cases", _folders(folder, root))


def _called(function: Callable[[], Any], name: str) -> Any:
    try:
        return function()
    except Exception as exc:
        frame = traceback.extract_tb(exc.__traceback__)[-1]
        place = f"{Path(frame.filename).name}, line {frame.lineno}"
        raise DatasetError(f"{name}(): it raised {type(exc).__name__}: {exc} ({place})") from exc


def _cases(rows: Sequence[Row], name: str, folders: Sequence[Path]) -> list[Case]:
    readers = {anywhere: RowReader(folders, anywhere=anywhere) for anywhere in (False, True)}
    found: list[tuple[Case, Row]] = []
    faults: list[str] = []
    for row in rows:
        told = list(row.faults)
        if not told:
            case, told = readers[isinstance(row.data, Case)].case(row.data, row.where)
            if case is not None:
                found.append((case, row))
        # A row is anybody's text, and its names and values stand in what is told of it.
        faults += [escape(f"{row.where}: {fault}") for fault in told]
    faults += [
        f"{case.source}: input: is not there, and neither are messages, though other rows have them"
        for case in neither(case for case, _ in found)
    ]
    faults += _duplicates([case for case, _ in found])
    if faults:
        raise DatasetError(f"{name}: cases that cannot be used:", faults)
    if not found:
        raise DatasetError(f"{name}: there are no cases in it.")
    return _named(found)


def _duplicates(cases: Iterable[Case]) -> list[str]:
    first: dict[str, Case] = {}
    return [
        f"{case.source}: id: {first[case.id].source} has the id {shorten(case.id)} too. Change one of them"
        for case in cases
        if case.id and first.setdefault(case.id, case) is not case
    ]


def _named(found: Sequence[tuple[Case, Row]]) -> list[Case]:
    """Give an id to the cases that have none."""
    from dataclasses import replace

    taken = {case.id for case, _ in found}
    named = []
    for case, row in found:
        if not case.id:
            case = replace(case, id=content_id(plain_row(row.data), taken))
            taken.add(case.id)
        named.append(case)
    return named
