"""Runs a test once per case of its dataset: reads the marker `llm_cases`, and makes markers of the cases' tags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_llmeval.cases import Case
from pytest_llmeval.collected import DECLARED
from pytest_llmeval.datasets import Datasets
from pytest_llmeval.display import shorten
from pytest_llmeval.errors import ConfigError, DatasetError
from pytest_llmeval.promptfiles import PromptFiles, Prompts
from pytest_llmeval.questions import check_questions

MARKER = "llm_cases"
FIXTURE = "llm_case"
SOURCE = "source"
RESERVED = ("model", "messages")
#: Markers of other plugins that change how a test runs, where these plugins are installed.
ACTIVE = {
    *("allowed_hosts", "anyio", "asyncio", "block_network", "default_cassette", "dependency", "disable_socket"),
    *("django_db", "enable_socket", "flaky", "forked", "httpx_mock", "order", "repeat", "respx", "run", "timeout"),
    *("trio", "vcr", "xdist_group"),
}


class Loaded:
    """What was loaded for the tests of a session: datasets, the parameters made of them, prompts."""

    def __init__(self, root: Path) -> None:
        self.datasets = Datasets(root)
        self.files = PromptFiles(root)
        self._parameters: dict[int, tuple[Sequence[Case], list[Any]]] = {}

    def parameters(self, cases: Sequence[Case], config: pytest.Config) -> list[Any]:
        """Return pytest's parameters for cases, made once however many tests have them.

        Raises:
            DatasetError: Tags that cannot be used as markers in this run.
        """
        known = self._parameters.get(id(cases))
        if known is None:
            _register({tag for case in cases for tag in case.tags}, cases, config)
            made = [
                pytest.param(case, id=case.id, marks=[getattr(pytest.mark, tag) for tag in case.tags]) for case in cases
            ]
            known = self._parameters[id(cases)] = cases, made
        return known[1]


LOADED = pytest.StashKey[Loaded]()


def run_per_case(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test with the cases of its marker.

    Raises:
        pytest.Collector.CollectError: The marker, the dataset or a prompt cannot be used.
    """
    test, config = metafunc.definition, metafunc.config
    marker = _marker(test)
    takes = {FIXTURE, DECLARED} & set(metafunc.fixturenames)
    if marker is None:
        if not _parametrizes(test):
            raise _error(test, f"takes {FIXTURE} and has no dataset: @pytest.mark.{MARKER}('cases.jsonl').")
        return
    if not takes:
        if any(own.name == MARKER for own in test.own_markers):
            raise _error(test, f"has the marker {MARKER} and takes neither {FIXTURE} nor {DECLARED}.")
        # A marker of a class or module is for those of its tests that take a case.
        return
    loaded = config.stash.setdefault(LOADED, Loaded(config.rootpath))
    folder = test.path.parent
    try:
        source, request = _source(test, marker)
        cases = loaded.datasets.cases(source, folder)
        prompts = Prompts(loaded.files, folder)
        check_questions(cases, request, prompts, declared=DECLARED in takes, name=_name(test))
        parameters = loaded.parameters(cases, config)
    except ConfigError as exc:
        raise pytest.Collector.CollectError(str(exc)) from None
    metafunc.parametrize(FIXTURE, parameters, indirect=True)


def _marker(test: Any) -> pytest.Mark | None:
    """Return the marker of a test: its own, else its class's, else its module's."""
    found = list(test.iter_markers_with_node(MARKER))
    if not found:
        return None
    node, marker = found[0]
    if len(found) > 1 and found[1][0] is node:
        raise _error(test, f"has the marker {MARKER} twice. Put all cases into one dataset, or write two tests.")
    return marker if isinstance(marker, pytest.Mark) else None


def _source(test: Any, marker: pytest.Mark) -> tuple[Any, dict[str, Any]]:
    """Return the dataset of a marker, and what is to be asked for each of its cases."""
    request = dict(marker.kwargs)
    # By name, since pytest takes a function that stands alone for the one that is decorated.
    given = [*marker.args, *([request.pop(SOURCE)] if SOURCE in request else [])]
    if len(given) != 1:
        shown = ", ".join(shorten(arg) for arg in given) or "nothing"
        raise _error(test, f"{MARKER} takes one dataset: {MARKER}('cases.jsonl', system='...'); it was given {shown}.")
    for name in RESERVED:
        if name in request:
            raise _error(test, f"{MARKER} takes no {name!r}: candidates say whom a test asks, cases and prompt= what.")
    return given[0], request


def _parametrizes(test: Any) -> bool:
    """Whether a test gives the fixture a meaning of its own."""
    for marker in test.iter_markers("parametrize"):
        names = marker.args[0] if marker.args else marker.kwargs.get("argnames", ())
        if FIXTURE in ([name.strip() for name in names.split(",")] if isinstance(names, str) else names):
            return True
    return False


def _register(tags: Iterable[str], cases: Sequence[Case], config: pytest.Config) -> None:
    """Declare tags as markers, which --strict-markers asks for."""
    known = {line.partition(":")[0].partition("(")[0].strip() for line in config.getini("markers")}
    active = {tag for tag in tags if tag in known & ACTIVE}
    if active:
        faults = [
            f"{case.source}: tags: {tag} is a marker of a plugin that is installed. Choose another word"
            for case in cases
            for tag in case.tags
            if tag in active
        ]
        raise DatasetError("cases that cannot be used:", faults)
    for tag in sorted(set(tags) - known):
        config.addinivalue_line("markers", f"{tag}: a tag of cases")


def _error(test: Any, problem: str) -> pytest.Collector.CollectError:
    return pytest.Collector.CollectError(f"{_name(test)} {problem}")


def _name(test: Any) -> str:
    return str(test.nodeid.partition("::")[2])
