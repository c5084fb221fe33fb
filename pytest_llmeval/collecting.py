"""Collect all tests of a project, to learn which recordings they may have."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llmeval.candidates import resolve_candidate
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.inventory import Known, by_folder
from pytest_llmeval.options import Options, read_options
from pytest_llmeval.plugin import asks
from pytest_llmeval.providers import builtin_providers
from pytest_llmeval.recordings import module_of, shared_path
from pytest_llmeval.settings import load_settings

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate


class _Watcher:
    """A plugin that sees what is collected, before anything is deselected."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []
        self.modules: list[Path] = []
        self.config: pytest.Config | None = None
        self.names: dict[Path, set[str]] = {}
        self.fixtures: set[str] = set()
        self.candidates: list[Candidate] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.passed and report.nodeid.endswith(".py"):
            self.modules.append(Path(report.nodeid))

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        self.items.append(item)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.config = session.config
        options = read_options(session.config)
        for path in self.modules:
            self.names.setdefault(module_of(options, session.config.rootpath / path), set())
        # A test may ask for a fixture by name while it runs, and pytest has no public list of them.
        tables = [table for name, table in vars(session._fixturemanager).items() if name.startswith("_arg2")]
        self.fixtures.update(*tables)
        # A plugin may have added some.
        for item in [*self.items, *session.items]:
            if asks(item):
                path = shared_path(options, item)
                self.names.setdefault(path.parent, set()).add(path.name)

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
        pytest.main([], plugins=[watcher])
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
    arguments = ["--collect-only", "-q", *map(str, paths)]
    if importlib.util.find_spec("xdist"):
        arguments.append("-n0")
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = pytest.main(arguments, plugins=[watcher])
    if watcher.config is None:
        return Known(why_not=f"pytest could not collect:\n{said.getvalue().strip()[-2000:]}"), None
    return _known(watcher, int(status), said.getvalue()), watcher.config


def _known(watcher: _Watcher, status: int, said: str) -> Known:
    config, why_not = watcher.config, ""
    assert config is not None
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        why_not = f"pytest could not collect everything:\n{said.strip()[-2000:]}"
    elif config.getoption("lf", False):
        why_not = "the configuration of pytest has --lf, which leaves tests out"
    options = watcher.options
    return Known(
        names={folder: frozenset(names) for folder, names in watcher.names.items()},
        fixtures=frozenset(watcher.fixtures),
        candidates=by_folder(_candidates(config, options)),
        home_of=lambda folder: home_of(options, folder),
        why_not=why_not,
    )


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
