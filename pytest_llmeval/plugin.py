"""Every pytest hook and fixture of the plugin; wiring only.

pytest imports this in every run of every project, so it imports pytest, the options and the standard library alone.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, NoReturn

import pytest

from pytest_llmeval.errors import ConfigError, LLMEvalError
from pytest_llmeval.markers import MARKERS, misplaced
from pytest_llmeval.options import Options, add_options, read_options

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.cases import Case
    from pytest_llmeval.client import LLM
    from pytest_llmeval.lifecycle import Begun, Lifecycle
    from pytest_llmeval.response import Response
    from pytest_llmeval.session import EvalSession

OPTIONS = pytest.StashKey[Options]()
SESSION = pytest.StashKey["EvalSession"]()
CANDIDATES = pytest.StashKey[dict[tuple[str, ...], "list[Candidate]"]]()
ITEMS = pytest.StashKey[list[pytest.Item]]()
LIFECYCLE: pytest.StashKey[Lifecycle] = pytest.StashKey()
KNOWN_FAILING = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks that others can implement."""
    from pytest_llmeval import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options; on the controller, register what collects the records."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    options = config.stash[OPTIONS] = read_options(config)
    config.stash[CANDIDATES], config.stash[ITEMS] = {}, []
    if options.max_cost is not None:
        from pytest_llmeval.budgeting import Budgeting

        config.pluginmanager.register(Budgeting(config, options, options.max_cost), "llmeval_budget")
    if options.max_cost is not None or options.dry_run:
        from pytest_llmeval.planning import Planning

        config.pluginmanager.register(Planning(config, options, lambda: _session(config)), "llmeval_plan")
    if options.models_from == "--llm-models":
        _candidates(config, options.models, pytest.UsageError)
    if not hasattr(config, "workerinput"):
        from pytest_llmeval.collector import collect

        collect(config, options)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the interception of HTTP away."""
    if SESSION in config.stash:
        config.stash[SESSION].close()


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which record mode is on and why, where the run has to do with LLMs."""
    options = config.stash[OPTIONS]
    if not options.given:
        return None
    models = f", models={','.join(options.models)} ({options.models_from})" if options.models else ""
    return f"llmeval: record={options.record} ({options.record_why}){models}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None]:
    """Run a test once per candidate, candidate by candidate, and once per case, whose samples stand together."""
    if metafunc.definition.get_closest_marker("llm_known_failing") is not None:
        from pytest_llmeval.quarantine import check_markers

        check_markers(metafunc.definition)
    chosen = _run_per_candidate(metafunc)
    if "llm_case" in metafunc.fixturenames or metafunc.definition.get_closest_marker("llm_cases"):
        from pytest_llmeval.parametrizing import run_per_case

        run_per_case(metafunc)
    yield
    if chosen or any(marker.name == "llm_repeat" for marker in metafunc.definition.own_markers):
        from pytest_llmeval.repeats import run_per_sample

        run_per_sample(metafunc, metafunc.config.stash[OPTIONS].repeat)


def _run_per_candidate(metafunc: pytest.Metafunc) -> bool:
    """Parametrize a test with its candidates; return whether it has any."""
    if "llm_candidate" not in metafunc.fixturenames:
        if metafunc.definition.get_closest_marker("llm_cassette"):
            # The session keeps secrets out of the ids of parameters.
            _candidates(metafunc.config, (), pytest.Collector.CollectError)
        return False
    if message := misplaced(metafunc.definition):
        raise pytest.Collector.CollectError(message)
    marker = metafunc.definition.get_closest_marker("llm_models")
    try:
        names = tuple(marker.args) if marker else _session(metafunc.config).names_for(metafunc.definition)
    except ConfigError as exc:
        raise pytest.Collector.CollectError(str(exc)) from None
    if any(not isinstance(name, str) for name in names):
        raise pytest.Collector.CollectError(f"llm_models{names!r}: write names as text: llm_models('openai:gpt-4o').")
    candidates = _candidates(metafunc.config, names, pytest.Collector.CollectError)
    if candidates:
        ids = [candidate.name for candidate in candidates]
        metafunc.parametrize("llm_candidate", candidates, ids=ids, indirect=True, scope="session")
    return bool(candidates)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave folders of recordings out: pytest would look at each file in them."""
    return config.stash[OPTIONS].holds_recordings(collection_path) or None


def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    """Tell of a dataset's function that pytest took for the test: the test would be missing, and nobody would know."""
    marks = obj.__dict__.get("pytestmark") if type(obj) is FunctionType else None
    empty = isinstance(marks, list) and any(m.name == "llm_cases" and not (m.args or m.kwargs) for m in marks)
    if empty and not collector.istestfunction(obj, name):
        raise pytest.Collector.CollectError(
            f"llm_cases({name}): pytest takes a function that stands alone for the test itself. Write source={name}."
        )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Note which tests there are, before any is deselected, and which are known to fail."""
    if item.get_closest_marker("llm_known_failing") is not None:
        from pytest_llmeval.quarantine import quarantine

        quarantine(item)
    item.config.stash[ITEMS].append(item)


@pytest.fixture(scope="session")
def llm_candidate(request: pytest.FixtureRequest) -> Candidate:
    """The candidate of this test: name, provider, model, endpoint."""
    if not hasattr(request, "param"):
        try:
            _fail(_session(request.config).no_candidates())
        except ConfigError as exc:
            _fail(str(exc))
    candidate: Candidate = request.param
    return candidate


@pytest.fixture
def llm(llm_candidate: Candidate) -> LLM:
    """The candidate model of this test, ready to be asked: ``llm.complete("...")``."""
    # Without `request`: pytest builds one each time that it is asked for, which takes as long as a recording to read.
    test = _begun()
    try:
        return test.session.llm_of(test.item, llm_candidate)
    except ConfigError as exc:
        _fail(str(exc))


@pytest.fixture
def llm_case(request: pytest.FixtureRequest) -> Case:
    """The case of this test: what to ask, and what a good answer is; its dataset stands in the marker `llm_cases`."""
    if not hasattr(request, "param"):
        _fail(
            "llm_case was asked for while the test runs, when it is too late to run the test once per case. Take it as "
            "an argument of the test, or of a fixture that the test takes."
        )
    case: Case = request.param
    return case


@pytest.fixture
def llm_sample(request: pytest.FixtureRequest) -> int:
    """Which sample of its case this is, from 1: a seed, say; always 1 without repeats."""
    return request.param.number if hasattr(request, "param") else 1


@pytest.fixture
def llm_reply(llm_candidate: Candidate, llm_case: Case) -> Response:
    """The candidate's answer to the case of this test, asked for as `llm_cases` says, and fetched ahead."""
    __tracebackhide__ = True
    test = _begun()
    try:
        return test.ahead.reply(test.item, llm_candidate, llm_case)
    except ConfigError as exc:
        _fail(str(exc))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Put the test's cassette in."""
    # No wrapper: a failure in one keeps other plugins from their setup, and they break at the teardown.
    if asks(item):
        try:
            _session(item.config)
            item.config.stash[LIFECYCLE].start(item)
        except ConfigError as exc:
            _fail(str(exc))


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]] | str] | None:
    """Count failed samples apart where the case passes or fails."""
    held = getattr(report, "llmeval_held", None)
    if held is None:
        return None
    return ("sample failed", "f", ("SAMPLE FAILED", {"yellow": True})) if held == "sample" else ("", "", "")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for requests that came after the last test had ended."""
    engine = session.config.stash[SESSION].engine if SESSION in session.config.stash else None
    if engine is not None and (late := engine.take_late()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        collector = session.config.pluginmanager.get_plugin("llmeval_collector")
        # In a worker of xdist there is none: the controller finds the messages in the worker's output.
        output = getattr(session.config, "workeroutput", {})
        late_of_run = collector.late if collector else output.setdefault("llmeval_late", [])
        late_of_run += late


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain a comparison with a score by the score's fields."""
    if "pytest_llmeval.fieldscores" not in sys.modules:
        return None
    from pytest_llmeval.fieldscores import explain_comparison

    return explain_comparison(op, left, right)


def _begun() -> Begun:
    from pytest_llmeval.lifecycle import begun

    test = begun.get()
    assert test is not None, "a fixture that needs a candidate is set up by a test that has one"
    return test


def _session(config: pytest.Config) -> EvalSession:
    """Return the session of this run; raise `ConfigError` for settings that cannot be used."""
    if SESSION not in config.stash:
        from pytest_llmeval.assembly import assemble

        items = config.stash[ITEMS]
        config.stash[SESSION], config.stash[LIFECYCLE] = assemble(config, config.stash[OPTIONS], items, _fail)
    return config.stash[SESSION]


def _candidates(config: pytest.Config, names: tuple[str, ...], error: type[Exception]) -> list[Candidate]:
    """Return the candidates of these names; raise `error` for a name that stands for nothing."""
    known = config.stash[CANDIDATES]
    if names not in known:
        try:
            known[names] = _session(config).candidates(names)
        except ConfigError as exc:
            raise error(str(exc)) from None
    return known[names]


def asks(item: pytest.Item) -> bool:
    """Whether a test has to do with LLMs."""
    # A user's own fixture that is called `llm` does not depend on ours.
    return "llm_candidate" in getattr(item, "fixturenames", ()) or bool(item.get_closest_marker("llm_cassette"))


def _fail(message: str) -> NoReturn:
    failure = pytest.fail.Exception(message, pytrace=False)
    # An error of our own that led here says the same; anybody else's is to be seen too.
    failure.__suppress_context__ = isinstance(sys.exc_info()[1], LLMEvalError)
    raise failure
