"""Collect all tests of a project, to learn which recordings they may have."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmeval.candidates import resolve_candidate
from pytest_llmeval.cassettes.paths import candidate_folder
from pytest_llmeval.collected import candidate_of, classes_of, fixture_names, nodeid_of, wide_fixtures
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.heirs import Expected
from pytest_llmeval.inventory import Known, by_folder
from pytest_llmeval.options import Options, read_options
from pytest_llmeval.plugin import asks
from pytest_llmeval.providers import builtin_providers
from pytest_llmeval.recordings import module_of, shared_path
from pytest_llmeval.settings import load_settings

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate


MOST_LISTED = 5
#: In a command this package is imported before pytest runs, which warns, and a project may take warnings for errors.
ALREADY_IMPORTED = "-Wignore::pytest.PytestAssertRewriteWarning"


class _Watcher:
    """A plugin that sees what is collected, before anything is deselected."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []
        self.modules: list[str] = []
        self.failed: list[str] = []
        self.config: pytest.Config | None = None
        self.names: dict[Path, set[str]] = {}
        self.fixtures: dict[Path | None, frozenset[str]] = {}
        self.asking: set[str] = set()
        self.tests: dict[Path, list[Expected]] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.passed and report.nodeid.endswith(".py"):
            self.modules.append(report.nodeid)
        if report.failed:
            self.failed.append(f"{report.nodeid or '.'}: {_reason(report.longreprtext)}")

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self.items.append(item)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.config = session.config
        # A plugin may have added some.
        items = list(dict.fromkeys([*self.items, *session.items]))
        self._note_fixtures(session.config, items)
        for item in items:
            if asks(item):
                self._note_test(item)

    def _note_fixtures(self, config: pytest.Config, items: Sequence[pytest.Item]) -> None:
        definitions = wide_fixtures(config)
        self.fixtures[None] = fixture_names(definitions, "")
        for file in self.modules:
            folder = module_of(self.options, config.rootpath / file)
            classes = {classes_of(item) for item in items if item.nodeid.startswith(f"{file}::")} - {""}
            self.names.setdefault(folder, set())
            self.fixtures[folder] = fixture_names(definitions, file, classes)
        taken = {name for item in items if asks(item) for name in getattr(item, "fixturenames", ())}
        own = {definition.argname for definition in definitions if _is_below(config.rootpath, definition.func)}
        self.asking |= taken & own

    def _note_test(self, item: pytest.Item) -> None:
        path, candidate = shared_path(self.options, item), candidate_of(item)
        self.names.setdefault(path.parent, set()).add(path.name)
        if item.get_closest_marker("skip") is None:
            folder = candidate_folder(candidate.name) if candidate is not None else None
            asks_candidates = "llm_candidate" in getattr(item, "fixturenames", ())
            expected = Expected(nodeid_of(item), path, asks_candidates, folder)
            self.tests.setdefault(path.parent.parent, []).append(expected)

    @property
    def options(self) -> Options:
        assert self.config is not None
        return read_options(self.config)


class _Configuration:
    """A plugin that takes pytest's configuration, and stops pytest there."""

    def __init__(self) -> None:
        self.options: Options | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        self.options = read_options(config)
        return 0


def read_configuration() -> Options:
    """Return the options that pytest would have where this process runs.

    Raises:
        ConfigError: pytest cannot read its configuration.
    """
    watcher = _Configuration()
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        pytest.main([ALREADY_IMPORTED], plugins=[watcher])
    if watcher.options is None:
        raise ConfigError(f"pytest could not read its configuration:\n{said.getvalue().strip()[-2000:]}")
    return watcher.options


def collect(paths: Sequence[Path]) -> tuple[Known, Any]:
    """Collect the tests below some folders.

    Returns:
        What they know, and the configuration of the run, or None if there was not even that.
    """
    watcher = _Watcher()
    said = io.StringIO()
    arguments = ["--collect-only", "-q", ALREADY_IMPORTED, *map(str, paths)]
    if importlib.util.find_spec("xdist"):
        arguments.append("-n0")
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = pytest.main(arguments, plugins=[watcher])
    if watcher.config is None:
        return Known(why_not=f"pytest could not collect:\n{essence(said.getvalue())}"), None
    return _known(watcher, int(status), said.getvalue()), watcher.config


def _known(watcher: _Watcher, status: int, said: str) -> Known:
    config, why_not = watcher.config, ""
    assert config is not None
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        lines = watcher.failed[:MOST_LISTED]
        if len(watcher.failed) > MOST_LISTED:
            lines.append(f"... and {len(watcher.failed) - MOST_LISTED:,} more; `pytest --collect-only` shows all")
        why_not = "\n  ".join(["pytest could not collect everything:", *(lines or [essence(said)])])
    elif config.getoption("lf", False):
        why_not = "the configuration of pytest has --lf, which leaves tests out"
    options = watcher.options
    return Known(
        names={folder: frozenset(names) for folder, names in watcher.names.items()},
        fixtures=watcher.fixtures,
        asking=frozenset(watcher.asking),
        tests=watcher.tests,
        candidates=by_folder(_candidates(config, options)),
        home_of=lambda folder: home_of(options, folder),
        root_of=lambda file: root_of(options, file),
        why_not=why_not,
    )


def _reason(text: str) -> str:
    """Return the line of a report that says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"E\s", line)]
    return re.sub(r"^E\s+", "", (errors or lines or ["it did not say why"])[-1])


def essence(said: str) -> str:
    r"""Return what matters of what pytest said when it did not even begin.

    >>> print(essence("a warning\nERROR: usage: pytest [options]\npytest: error: unrecognized arguments: --x"))
      error: unrecognized arguments: --x
    """
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    for begins in (
        r"\S.*: (error: )",
        "(ImportError while loading)",
        "(ERROR:)",
        "INTERNALERROR> (?=[A-Za-z.]+(Error|Exception):)",
    ):
        for number, line in enumerate(lines):
            found = re.match(begins, line)
            if found:
                rest = [each.strip() for each in lines[number + 1 :] if re.match(r"E\s|  inifile:", each)]
                first = line[found.start(1) if found[1] else found.end() :]
                return "\n".join(f"  {part}" for part in [first, *(re.sub(r"^E\s+", "", each) for each in rest)])
    return "\n".join(f"  {line}" for line in lines[-MOST_LISTED:])


def _is_below(rootdir: Path, function: Any) -> bool:
    """Whether a function was written in the project, and is not of a plugin."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    file = Path(code.co_filename) if code is not None else rootdir
    return file.is_relative_to(rootdir) and "site-packages" not in file.parts


def _candidates(config: pytest.Config, options: Options) -> list[Candidate]:
    """Return the candidates that the configuration names; recordings of others are priced by their URL."""
    try:
        aliases = load_settings(config.rootpath).models
    except ConfigError:
        return []
    providers = {**builtin_providers()}
    for added in config.hook.pytest_llmeval_providers(config=config):
        providers |= added or {}
    found = []
    for name in [*aliases, *options.models]:
        with contextlib.suppress(ConfigError):
            found.append(resolve_candidate(name, providers, aliases))
    return found


def home_of(options: Options, folder: Path) -> Path | None:
    """Return where the test file of a module's folder of recordings is; None for a folder of someone else's."""
    shared = Path(options.cassette_dir)
    if shared.is_absolute():
        return options.rootdir / folder.parent.relative_to(shared) if folder.is_relative_to(shared) else None
    above = len(shared.parts)
    return folder.parents[above] if folder.parent.parts[-above:] == shared.parts else None


def root_of(options: Options, file: Path) -> Path | None:
    """Return the folder of all recordings that a file is in, or None."""
    shared = Path(options.cassette_dir)
    if shared.is_absolute():
        return shared if file.is_relative_to(shared) else None
    size = len(shared.parts)
    return next((folder for folder in file.parents if folder.parts[-size:] == shared.parts), None)
