"""Which recording belongs to which test or fixture: makes the cassettes of a run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llmeval.cassettes.elsewhere import Found, Orphans, stock
from pytest_llmeval.cassettes.ignoring import Ignored
from pytest_llmeval.cassettes.paths import (
    candidate_folder,
    cassette_path,
    fixture_path,
    module_folder,
    stock_paths,
    without_candidate,
)
from pytest_llmeval.cassettes.store import Cassette
from pytest_llmeval.collected import Collected, candidate_of, nodeid_of
from pytest_llmeval.errors import ConfigError

if TYPE_CHECKING:
    from pytest_llmeval.cassettes.engine import Engine
    from pytest_llmeval.options import Options


class Recordings:
    """Makes cassettes.

    Args:
        options: Where they are, and which mode is on.
        engine: What they share.
        ignore: Rules of the settings for parts of requests that make no difference.

    Raises:
        ConfigError: A rule that cannot be used.
    """

    def __init__(self, options: Options, engine: Engine, ignore: Sequence[str]) -> None:
        self._options = options
        self._root = f"{options.rootdir.as_posix()}/"
        self._engine = engine
        self._ignored = Ignored.of(ignore, "tool.llmeval.cassettes")
        self._collected = Collected([], whole=False, path_of=partial(shared_path, options))
        self._orphans: dict[tuple[Path, bool], Orphans] = {}
        # Asked of each test that has no recording: whether pytest-recording's folder is beside its file, and where
        # nothing is that belongs to nobody.
        self._has_stock: dict[Path, bool] = {}
        self._without: set[tuple[Path, str | None, bool]] = set()

    def collect(self, items: Iterable[Any], *, whole: bool, fixtures: Callable[[], Sequence[Any]]) -> None:
        """Learn which tests and fixtures there are, so that the recordings of others can be told apart.

        See `Collected`.
        """
        path_of = partial(shared_path, self._options)
        self._collected = Collected(items, whole=whole, path_of=path_of, fixtures=fixtures)

    def of_test(
        self, nodeid: str, file: Path, candidate: str | None, markers: Iterable[Any], stock_name: str | None = None
    ) -> Cassette:
        """Return the cassette of a test.

        Args:
            nodeid: pytest's name for it.
            file: The test file.
            candidate: Name of who is asked, if the test has one.
            markers: Its markers `llm_cassette`.
            stock_name: Name of its cassette, if it gave pytest-recording one.

        Raises:
            ConfigError: A marker that cannot be used.
        """
        test = nodeid.partition("::")[2] or nodeid
        return Cassette(
            cassette_path(file, test, candidate, folder_of(self._options, file)),
            self._options.record,
            self._engine,
            partial(self._command, nodeid, file),
            ignored=self._ignored.afresh().and_also(_ignore_rules(markers), "llm_cassette"),
            elsewhere=partial(self._elsewhere, file, test, candidate, stock_name),
        )

    def of_fixture(
        self, home: Path, fixture: str, scope_node: str, candidate: str | None, command: Callable[[], str]
    ) -> Cassette:
        """Return the cassette of a fixture that is wider than a test; see `fixture_path`."""
        path = fixture_path(home, fixture, scope_node, candidate, folder_of(self._options, home))
        return Cassette(
            path,
            self._options.record,
            self._engine,
            command,
            ignored=self._ignored.afresh(),
            elsewhere=partial(self._orphans_of, home, candidate, fixtures=True),
        )

    def taken_over(self, cassette: Cassette) -> list[dict[str, Any]]:
        """Return what a test's record says of the recording that its cassette went on with, if there is one."""
        taken = cassette.taken_over
        if taken is None or not (taken.undecided or taken.used):
            return []
        told = {
            "from": [self.relative(found.path) for found in taken.found],
            "to": self.relative(cassette.path),
            "used": taken.used,
            "of": 0 if taken.undecided else len(cassette.recorded),
            "moved": taken.moved,
            "copied": cassette.source == cassette.path and not (taken.moved or taken.undecided),
            "fixture": cassette.wide,
        }
        return [told]

    def relative(self, path: Path) -> str:
        """Return a path as records have it: relative to the rootdir."""
        return path.as_posix().removeprefix(self._root)

    def _elsewhere(self, file: Path, test: str, candidate: str | None, stock_name: str | None) -> Iterator[Found]:
        """Yield recordings at other paths that may be a test's."""
        # Without a candidate the test is the one that pytest-recording knew; with one, it may be another model's.
        has_stock = self._has_stock.get(file)
        if has_stock is None:
            has_stock = self._has_stock[file] = os.path.lexists(file.parent / "cassettes")
        if has_stock:
            yield from stock(stock_paths(file, test, candidate, default=stock_name), sure=candidate is None)
        yield from self._orphans_of(file, candidate)

    def _orphans_of(self, home: Path, candidate: str | None, *, fixtures: bool = False) -> Iterable[Found]:
        """Return recordings beside those of a test file, or of a folder, of what is gone."""
        place = home, candidate, fixtures
        if place in self._without:
            return ()
        in_file = home.suffix == ".py"
        folder = home.parent if in_file else home
        root = module_of(self._options, home).parent if in_file else folder / folder_of(self._options, home)
        if ".." in root.parts:
            # Several folders of tests share it; which of them a recording is of, nobody can tell.
            return ()
        key = root, fixtures
        if key not in self._orphans:
            collected = self._collected
            self._orphans[key] = Orphans(
                (lambda at, name: collected.owns_of_fixture(at if at != root else None, name, folder))
                if fixtures
                else (lambda at, name: collected.owns(at, name, folder)),
                fixtures=fixtures,
            )
        there = candidate_folder(candidate) if candidate else None
        if not self._orphans[key].any(root, there):
            self._without.add(place)
        return self._orphans[key].of(root, there)

    def _command(self, nodeid: str, file: Path) -> str:
        """Return the command that runs one test alone, to be pasted where pytest was started."""
        path = os.path.relpath(file, self._options.invocation_dir).replace(os.sep, "/")
        command = f"pytest {shlex.quote('::'.join([path, *nodeid.split('::')[1:]]))}"
        if self._options.models_from == "--llm-models":
            command += f" --llm-models={shlex.quote(','.join(self._options.models))}"
        return command


def folder_of(options: Options, file: Path) -> str:
    """Return where a test file, or a conftest's folder, has its recordings; a shared place mirrors their folders."""
    folder = options.cassette_dir
    if not os.path.isabs(folder):  # noqa: PTH117 - a path of pathlib takes ten times as long
        return folder
    home = file.parent if file.suffix == ".py" else file
    below = os.path.relpath(home, options.rootdir)
    return folder if below.startswith("..") else os.path.join(folder, below)  # noqa: PTH118 - stays text


def module_of(options: Options, file: Path) -> Path:
    """Return the folder of all recordings of a test file."""
    return module_folder(file, folder_of(options, file))


def shared_path(options: Options, item: Any) -> Path:
    """Return the recording that a collected test would have if it had no candidate."""
    candidate, test = candidate_of(item), nodeid_of(item).partition("::")[2]
    name = test if candidate is None else without_candidate(test, candidate.name)
    return cassette_path(item.path, name, None, folder_of(options, item.path))


def _ignore_rules(markers: Iterable[Any]) -> list[str]:
    rules: list[str] = []
    for marker in markers:
        if marker.args or marker.kwargs.keys() - {"ignore"}:
            given = [*map(repr, marker.args), *(f"{name}={value!r}" for name, value in marker.kwargs.items())]
            raise ConfigError(f"llm_cassette({', '.join(given)}): it takes nothing but ignore=[...].")
        ignore = marker.kwargs.get("ignore", ())
        if not isinstance(ignore, list | tuple):
            raise ConfigError(f"llm_cassette(ignore={ignore!r}): write a list: ignore=['metadata.date'].")
        rules += ignore
    return rules
