"""Every pytest hook and fixture of the plugin; wiring only.

pytest imports this in every run of every project, so it imports pytest, the options and the standard library alone.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_llmeval.options import Options, add_options, read_options

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.client import LLM
    from pytest_llmeval.records import TestRecord
    from pytest_llmeval.session import EvalSession, RunningTest

OPTIONS = pytest.StashKey[Options]()
SESSION = pytest.StashKey["EvalSession"]()
CANDIDATES = pytest.StashKey[dict[str, "list[Candidate]"]]()
TEST = pytest.StashKey["RunningTest"]()
RUNNING = pytest.StashKey[pytest.Item]()

FIXTURES = {"llm", "llm_candidate"}
MARKERS = (
    "llm_models(*names): candidates of this test, instead of --llm-models",
    "llm_params(**request): defaults of `llm.complete` in this test (system, temperature, max_tokens, ...)",
    "llm_cassette: record and replay what this test asks, though it takes no fixture of pytest-llmeval",
)


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
    config.stash[CANDIDATES] = {}
    if options.models_from == "--llm-models":
        _candidates(config, options.models, pytest.UsageError)
    if not hasattr(config, "workerinput"):
        from pytest_llmeval.collector import Collector

        config.pluginmanager.register(Collector(config, options), "llmeval_collector")


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


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once per candidate, candidate by candidate."""
    if "llm_candidate" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("llm_models")
    names = tuple(marker.args) if marker else metafunc.config.stash[OPTIONS].models
    candidates = _candidates(metafunc.config, names, pytest.Collector.CollectError)
    if candidates:
        ids = [candidate.name for candidate in candidates]
        metafunc.parametrize("llm_candidate", candidates, ids=ids, indirect=True, scope="session")


@pytest.fixture(scope="session")
def llm_candidate(request: pytest.FixtureRequest) -> Candidate:
    """The candidate of this test: name, provider, model, endpoint."""
    if not hasattr(request, "param"):
        _fail(_session(request.config).no_candidates())
    candidate: Candidate = request.param
    return candidate


@pytest.fixture
def llm(request: pytest.FixtureRequest, llm_candidate: Candidate) -> LLM:
    """The candidate model of this test, ready to be asked: ``llm.complete("...")``."""
    defaults: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("llm_params"))):
        defaults.update(marker.kwargs)
    from pytest_llmeval.errors import ConfigError

    try:
        return _session(request.config).llm(llm_candidate, defaults)
    except ConfigError as exc:
        _fail(str(exc))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Put the test's cassette in."""
    if not _asks(item):
        return (yield)
    test = _session(item.config).start(item.nodeid, item.path, _candidate_of(item))
    item.stash[TEST], item.config.stash[RUNNING] = test, item
    yield
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Bind the test to this context; fail it for a miss that the code under test swallowed."""
    test = item.stash.get(TEST, None)
    if test is None:
        return (yield)
    from pytest_llmeval.session import bound

    with bound(test):
        result = yield
    if test.cassette.misses:
        pytest.fail(test.cassette.misses[0], pytrace=False)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Bind the test inside its coroutine: a runner that outlives a test keeps the context that it began with."""
    test = pyfuncitem.stash.get(TEST, None)
    if test is None or not inspect.iscoroutinefunction(pyfuncitem.obj):
        return (yield)
    from pytest_llmeval.session import bound

    function = pyfuncitem.obj

    @functools.wraps(function)
    async def bound_function(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with bound(test):
            return await function(*args, **kwargs)

    pyfuncitem.obj = bound_function
    try:
        return (yield)
    finally:
        pyfuncitem.obj = function


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Give what a fixture of a wider scope asks a cassette of its own: which test comes first must not matter."""
    item = None if fixturedef.scope == "function" else request.config.stash.get(RUNNING, None)
    test = item.stash.get(TEST, None) if item is not None else None
    if item is None or test is None or fixturedef.argname in FIXTURES:
        return (yield)
    wide = fixturedef.scope in ("session", "package")
    home = item.config.rootpath / fixturedef.baseid if wide else item.path
    scope_node = "" if wide else request.node.nodeid.partition("::")[2]
    index = f"-{getattr(request, 'param_index', 0)}" if hasattr(request, "param") else ""
    candidate = _candidate_of(item) if "llm_candidate" in fixturedef.argnames else None
    name = fixturedef.argname + index
    with _session(item.config).fixture_cassette(test, home, name, scope_node, candidate):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """Write what was recorded."""
    try:
        yield
    finally:
        test = item.stash.get(TEST, None)
        if test is not None:
            if nextitem is None or not _asks(nextitem):
                _session(item.config).take_stand_ins_away()
            _finish(item, test)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach the test's record to its last report, which is how it reaches the controller."""
    test = item.stash.get(TEST, None)
    if test is None:
        return (yield)
    if call.when == "teardown":
        record = _session(item.config).record(test)
        _add_properties(item, record)
        report = yield
        report.llmeval = record.to_json()  # type: ignore[attr-defined]
        del item.stash[TEST]
        return report
    report = yield
    _note_outcome(test, report, call)
    return report


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Explain a comparison with a score by the score's fields."""
    if "pytest_llmeval.fieldscores" not in sys.modules:
        return None
    from pytest_llmeval.fieldscores import explain_comparison

    return explain_comparison(op, left, right)


def _session(config: pytest.Config) -> EvalSession:
    if SESSION not in config.stash:
        from pytest_llmeval.errors import ConfigError
        from pytest_llmeval.session import EvalSession, Hooks
        from pytest_llmeval.settings import load_settings

        try:
            settings = load_settings(config.rootpath)
        except ConfigError as exc:
            raise pytest.UsageError(str(exc)) from None
        config.stash[SESSION] = EvalSession(config.stash[OPTIONS], settings, Hooks.of(config), _fail)
    return config.stash[SESSION]


def _candidates(config: pytest.Config, names: tuple[str, ...], error: type[Exception]) -> list[Candidate]:
    """Return the candidates of these names; raise `error` for a name that stands for nothing."""
    from pytest_llmeval.candidates import split_names
    from pytest_llmeval.errors import ConfigError

    known = config.stash[CANDIDATES]
    key = ",".join(names)
    if key not in known:
        try:
            known[key] = _session(config).candidates(split_names(names))
        except ConfigError as exc:
            raise error(str(exc)) from None
    return known[key]


def _asks(item: pytest.Item) -> bool:
    """Whether a test has to do with LLMs."""
    return not FIXTURES.isdisjoint(getattr(item, "fixturenames", ())) or bool(item.get_closest_marker("llm_cassette"))


def _candidate_of(item: pytest.Item) -> Candidate | None:
    callspec = getattr(item, "callspec", None)
    candidate: Candidate | None = callspec.params.get("llm_candidate") if callspec else None
    return candidate


def _finish(item: pytest.Item, test: RunningTest) -> None:
    from pytest_llmeval.errors import CassetteError

    try:
        _session(item.config).finish(test)
    except CassetteError as exc:
        pytest.fail(str(exc), pytrace=False)


def _note_outcome(test: RunningTest, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
    from pytest_llmeval.session import outcome_of

    error = call.excinfo.value if call.excinfo else None
    outcome = outcome_of(test, report.when, report.outcome, error, xfail=hasattr(report, "wasxfail"))
    if outcome is not None:
        test.outcome = outcome
        test.message = None if error is None else str(error)


def _add_properties(item: pytest.Item, record: TestRecord) -> None:
    """Put the score where JUnit XML takes it from; a repeated run of the test replaces what the first one left."""
    item.user_properties[:] = [pair for pair in item.user_properties if not pair[0].startswith("llm_")]
    item.user_properties += record.properties()


def _fail(message: str) -> NoReturn:
    pytest.fail(message, pytrace=False)
