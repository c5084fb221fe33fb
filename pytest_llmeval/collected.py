"""Which recordings belong to a test or fixture that there is: what was collected says so, or the files there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llmeval.cases import Case
from pytest_llmeval.cassettes.paths import LONGEST, file_name, is_of_fixture, is_sample_of, named_after
from pytest_llmeval.sources import source_digest

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.samples import Sample

#: The fixture of an answer that is asked for just as its test declares.
DECLARED = "llm_reply"
#: Markers by which a test may not run at all.
MAY_SKIP = frozenset({"skip", "skipif"})


def nodeid_of(item: Any) -> str:
    """Return a test's node id as pytest writes it: under --dist=loadgroup, xdist adds the group to it."""
    nodeid: str = item.nodeid
    # Looking for a marker goes through all that the test is in.
    group = item.get_closest_marker("xdist_group") if "@" in nodeid else None
    if group is None:
        return nodeid
    name = (*group.args, group.kwargs.get("name", "default"))[0]
    return nodeid.removesuffix(f"@{name}")


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


def declares(item: Any) -> bool:
    """Whether a test has declared what it asks, and will ask it unless something goes wrong."""
    if DECLARED not in getattr(item, "fixturenames", ()) or case_of(item) is None or candidate_of(item) is None:
        return False
    return not any(
        marker.name in MAY_SKIP or (marker.name == "xfail" and not marker.kwargs.get("run", True))
        for marker in item.iter_markers()
    )


def case_request(item: Any) -> dict[str, Any]:
    """Return what is to be asked for each case of a test: what its marker `llm_cases` says beside the dataset."""
    marker = item.get_closest_marker("llm_cases")
    return {name: value for name, value in marker.kwargs.items() if name != "source"} if marker is not None else {}


def source_of(item: Any) -> str | None:
    """Return the digest of the source of a test's function, if it has one."""
    return source_digest(getattr(item, "function", None))


def sample_of(item: Any) -> Sample | None:
    """Return which sample of its case a test is, if the case is repeated."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("llm_sample") if callspec else None


def classes_of(item: Any) -> str:
    """Return the class of a test as node ids have it, or an empty string."""
    return "::".join(nodeid_of(item).partition("[")[0].split("::")[1:-1])


def wide_fixtures(config: Any) -> list[Any]:
    """Return the definitions of the fixtures that are wider than a test.

    A test may ask for a fixture by name while it runs, and pytest has no public list of them.
    """
    manager = config.pluginmanager.get_plugin("funcmanage")
    tables = [table for name, table in vars(manager).items() if name.startswith("_arg2")] if manager else []
    return [definition for definition in _leaves(tables) if definition.scope != "function"]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _leaves(part)
    else:
        yield value


def fixture_names(definitions: Iterable[Any], file: str, classes: Iterable[str] = ()) -> frozenset[str]:
    """Return what recordings of fixtures are named after, beside those of a test file, or of a whole folder.

    Args:
        definitions: Of `wide_fixtures`.
        file: The test file as node ids have it; an empty string for a folder.
        classes: Those that it has.
    """
    names: set[str] = set()
    for definition in definitions:
        defined = definition.baseid.partition("::")[0]
        in_file, shared = defined.endswith(".py"), definition.scope in ("session", "package")
        if (defined == file or not (in_file or shared)) if file else (shared and not in_file):
            names.add(definition.argname)
            names.update(f"{name}.{definition.argname}" for name in classes if definition.scope == "class")
    return frozenset(names)


@dataclass(slots=True)
class _Module:
    """A test file: itself, its name in node ids, and what its tests record as."""

    python: Any
    file: str
    names: set[str] = field(default_factory=set)
    classes: set[str] = field(default_factory=set)


class Collected:
    """The tests of a run, before any was deselected.

    Args:
        items: pytest's items.
        whole: Whether the files that were collected were collected whole: not by node id, not by ``--lf``.
        path_of: Returns the recording that a test would have if it had no candidate.
        fixtures: Returns the definitions of wide fixtures.
    """

    def __init__(
        self,
        items: Iterable[Any],
        *,
        whole: bool,
        path_of: Callable[[Any], Path],
        fixtures: Callable[[], Sequence[Any]] = tuple,
    ) -> None:
        self._items = items
        self._whole = whole
        self._path_of = path_of
        self._fixtures = fixtures
        self._sources: dict[Path, set[str]] = {}

    @cached_property
    def _modules(self) -> dict[Path, _Module]:
        """The test files by their folders of recordings."""
        modules: dict[Path, _Module] = {}
        for item in self._items:
            path = self._path_of(item)
            new = _Module(getattr(item, "module", None), item.nodeid.partition("::")[0])
            module = modules.setdefault(path.parent, new)
            module.names.add(path.name)
            module.classes.add(classes_of(item))
        return modules

    def owns(self, folder: Path, name: str, home: Path) -> bool:
        """Whether a recording belongs to a test, or nobody can tell that it does not.

        Args:
            folder: The module's folder of recordings.
            name: Name of the file.
            home: Where the test files are that record there.
        """
        module = self._modules.get(folder)
        if module is None:
            return folder.name in self._files(home)
        return (
            name in module.names
            or is_sample_of(name, frozenset(module.names))
            or (not self._whole and _defines(module.python, name.removesuffix(".yaml")))
        )

    def owns_of_fixture(self, folder: Path | None, name: str, home: Path) -> bool:
        """Whether a recording belongs to a fixture, or nobody can tell that it does not.

        Args:
            folder: The module's folder of recordings; None for what stands beside those, of a conftest or a plugin.
            name: Name of the file.
            home: Where the test files are that record there.
        """
        stem = name.removesuffix(".yaml")
        if folder is None:
            names = fixture_names(self._definitions, "")
        elif folder not in self._modules:
            return folder.name in self._files(home)
        elif not self._whole and "." in stem:
            # Of a class that was not selected pytest does not read the fixtures.
            return True
        else:
            module = self._modules[folder]
            names = fixture_names(self._definitions, module.file, module.classes - {""})
        # Where pytest does not say which there are, nobody can tell.
        return not self._definitions or any(is_of_fixture(stem, fixture) for fixture in names)

    @cached_property
    def _definitions(self) -> Sequence[Any]:
        return self._fixtures()

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
