"""Which recordings belong to a test that there is: what was collected says so, or the files that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llmeval.cases import Case
from pytest_llmeval.cassettes.paths import FIXTURES, LONGEST, file_name, is_sample_of, named_after

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.samples import Sample


def nodeid_of(item: Any) -> str:
    """Return a test's node id as pytest writes it: under --dist=loadgroup, xdist adds the group to it."""
    group = item.get_closest_marker("xdist_group")
    name = (*group.args, group.kwargs.get("name", "default"))[0] if group else ""
    nodeid: str = item.nodeid
    return nodeid.removesuffix(f"@{name}") if group else nodeid


def candidate_of(item: Any) -> Candidate | None:
    """Return the candidate of a test, if it has one."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("llm_candidate") if callspec else None


def case_of(item: Any) -> Case | None:
    """Return the case of a test, if it has one."""
    callspec = getattr(item, "callspec", None)
    case = callspec.params.get("llm_case") if callspec else None
    # Others may give the fixture a meaning of their own.
    return case if isinstance(case, Case) else None


def case_request(item: Any) -> dict[str, Any]:
    """Return what is to be asked for each case of a test: what its marker `llm_cases` says beside the dataset."""
    marker = item.get_closest_marker("llm_cases")
    return {name: value for name, value in marker.kwargs.items() if name != "source"} if marker is not None else {}


def sample_of(item: Any) -> Sample | None:
    """Return which sample of its case a test is, if the case is repeated."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("llm_sample") if callspec else None


class Collected:
    """The tests of a run, before any was deselected.

    Args:
        items: pytest's items.
        whole: Whether the files that were collected were collected whole: not by node id, not by ``--lf``.
        path_of: Returns the recording that a test would have if it had no candidate.
    """

    def __init__(self, items: Iterable[Any], *, whole: bool, path_of: Callable[[Any], Path]) -> None:
        self._items = items
        self._whole = whole
        self._path_of = path_of
        self._sources: dict[Path, set[str]] = {}

    @cached_property
    def _modules(self) -> dict[Path, tuple[frozenset[str], Any]]:
        """The names of recordings by their module's folder, and the module itself."""
        modules: dict[Path, tuple[set[str], Any]] = {}
        for item in self._items:
            path = self._path_of(item)
            modules.setdefault(path.parent, (set(), getattr(item, "module", None)))[0].add(path.name)
        return {folder: (frozenset(names), module) for folder, (names, module) in modules.items()}

    def owns(self, folder: Path, name: str, home: Path) -> bool:
        """Whether a recording belongs to a test, or nobody can tell that it does not.

        Args:
            folder: The module's folder of recordings.
            name: Name of the file.
            home: Where the test files are that record there.
        """
        if folder not in self._modules:
            # Of which fixtures there are nothing is known here.
            return folder.name == FIXTURES or folder.name in self._files(home)
        names, module = self._modules[folder]
        return (
            name in names
            or is_sample_of(name, names)
            or (not self._whole and _defines(module, name.removesuffix(".yaml")))
        )

    def _files(self, home: Path) -> set[str]:
        if home not in self._sources:
            self._sources[home] = {file_name(path.stem, LONGEST["module"]) for path in home.glob("*.py")}
        return self._sources[home]


def _defines(module: Any, name: str) -> bool:
    """Whether a module has the class and the function that a recording is named after, as far as the name tells."""
    test = named_after(name)
    if module is None or test is None:
        return True
    holder = module
    for part in test.split("."):
        if holder is not module and not isinstance(holder, type):
            # Plugins let tests stand in other things than classes.
            break
        holder = getattr(holder, part, None)
    return holder is not None
