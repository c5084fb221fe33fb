"""One session of evaluation: who is asked, which cassette is on, what each test leaves. No pytest in here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_llmeval.asked import expected_digest
from pytest_llmeval.candidates import Candidate, refuse_unpinned, unpinned_of
from pytest_llmeval.cases import complexity_of
from pytest_llmeval.cassettes import transport, triggers
from pytest_llmeval.cassettes.engine import Engine
from pytest_llmeval.cassettes.logs import masked_logs
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.cassettes.store import Cassette, running_cassette
from pytest_llmeval.client import LLM
from pytest_llmeval.collected import candidate_of, case_of, case_request, nodeid_of, sample_of, source_of
from pytest_llmeval.errors import CassetteError, ConfigError
from pytest_llmeval.pacing import Paces
from pytest_llmeval.promptfiles import PromptFiles, Prompts
from pytest_llmeval.providers.base import ProviderFactory
from pytest_llmeval.providers.endpoints import ANTHROPIC, OPENAI_COMPATIBLE
from pytest_llmeval.recordings import Recordings
from pytest_llmeval.records import TestRecord
from pytest_llmeval.roster import Roster
from pytest_llmeval.runningtest import RunningTest
from pytest_llmeval.settings import Prices, Settings
from pytest_llmeval.staleness import cost_again, why_again
from pytest_llmeval.standins import MISSING_KEY, StandIns
from pytest_llmeval.tasks import request_of, task_of
from pytest_llmeval.testlog import TestLog, running_log

if TYPE_CHECKING:
    from pytest_llmeval.budget import Budget
    from pytest_llmeval.cassettes.format import Interaction
    from pytest_llmeval.cassettes.matching import HTTPRequest
    from pytest_llmeval.options import Options


@dataclass(slots=True)
class Hooks:
    """What other plugins add, gathered by the plugin."""

    providers: Mapping[str, ProviderFactory] = field(default_factory=dict)
    prices: Mapping[str, Prices] = field(default_factory=dict)
    redact: Callable[..., object] | None = None

    @classmethod
    def of(cls, config: Any) -> Hooks:
        """Call the hooks of a pytest configuration."""
        hook = config.hook

        def redact(request: HTTPRequest, response: Interaction | None) -> None:
            try:
                hook.pytest_llmeval_redact(request=request, response=response)
            except Exception as exc:
                # Else an SDK would take it for a fault of the network, and blame the candidate.
                raise ConfigError(f"The hook pytest_llmeval_redact failed: {type(exc).__name__}: {exc}") from exc

        return cls(
            providers=_merged(hook.pytest_llmeval_providers(config=config)),
            prices=_merged(hook.pytest_llmeval_prices(config=config)),
            redact=redact if hook.pytest_llmeval_redact.get_hookimpls() else None,
        )


class EvalSession:
    """Holds what lives as long as the test session: providers, the interception of HTTP, the environment's keys.

    Args:
        options: What was asked for.
        settings: `[tool.llmeval]`.
        hooks: What other plugins add.
        fail: Raises pytest's own failure, which no SDK swallows or retries.
        budget: What requests are paid from; None where nobody has set a limit.
    """

    def __init__(
        self,
        options: Options,
        settings: Settings,
        hooks: Hooks,
        fail: Callable[[str], NoReturn],
        budget: Budget | None = None,
    ) -> None:
        self.options = options
        self.settings = settings
        self.roster = Roster(settings.models, hooks.providers, hooks.prices)
        limits = {name: options.share(most) for name, most in settings.concurrency.items()}
        self.paces = Paces(options.share(options.concurrency), limits, {*self.roster.names, *settings.models})
        self.roster.pace_of = self.paces.of
        self._undo = contextlib.ExitStack()
        self.running: RunningTest | None = None
        #: Messages of wider fixtures that the budget did not reach for, by name.
        self.refused_fixtures: dict[str, str] = {}
        # Tests that something was done for before they began, by node id.
        self._prepared: dict[str, RunningTest] = {}
        self._interception: transport.Interception | None = None
        # Tests that failed after their recording had begun; run again in this run, they may ask on.
        self._failed_here: set[str] = set()
        own = [(model.api_key_env,) for model in settings.models.values() if model.api_key_env]
        self.stand_ins = StandIns([*(endpoint.key_envs for endpoint in (*OPENAI_COMPATIBLE, ANTHROPIC)), *own])
        self.engine = Engine(
            fail=fail,
            scanner=SecretScanner(os.environ, also=self.stand_ins.variables, ignored=[MISSING_KEY]),
            redact=hooks.redact,
            passthrough=frozenset(options.passthrough),
            max_age=options.max_age,
            budget=budget,
        )
        self.prompt_files = PromptFiles(options.rootdir)
        if budget is not None:
            budget.candidates = self.roster.aliases
        self.recordings = Recordings(options, self.engine, settings.cassettes.ignore)

    def candidates(self, names: Iterable[str]) -> list[Candidate]:
        """Return the candidates of these names.

        Raises:
            ConfigError: A name that stands for nothing, or for what may become another model though that is refused.
        """
        found = self.roster.candidates(names)
        if self.options.require_pinned:
            refuse_unpinned(found)
        return found

    def names_for(self, item: Any) -> tuple[str, ...]:
        """Return the candidates of a test whose marker names none: the chosen ones, else the model of its task.

        Raises:
            ConfigError: The marker of its task cannot be used.
        """
        task = self.settings.tasks.get(task_of(item, self.settings.tasks) or "")
        return self.options.models or ((task.model,) if task is not None and task.model is not None else ())

    @contextlib.contextmanager
    def probing(self) -> Iterator[None]:
        """Let requests be looked at before any test runs; clients that are built for that are not used again."""
        self.intercept()
        self.stand_ins.put()
        try:
            yield
        finally:
            self.stand_ins.take_away()
            self.roster.close()

    def llm_of(self, item: Any, candidate: Candidate) -> LLM:
        """Return what asks a candidate in the name of a test, with the defaults of its markers.

        A candidate's client is built once a session.
        """
        tasks = self.settings.tasks
        defaults = request_of(task_of(item, tasks), tasks)
        for marker in reversed(list(item.iter_markers("llm_params"))):
            defaults.update(marker.kwargs)
        return LLM(
            candidate,
            self.roster.provider(candidate),
            defaults,
            for_cases=case_request(item),
            prompts=Prompts(self.prompt_files, item.path.parent),
            pace=self.paces.of(candidate),
        )

    def prepare(self, item: Any) -> RunningTest:
        """Return a test that has not begun: its cassette, and the log of what it does; the same until it begins.

        Raises:
            ConfigError: A marker that cannot be used.
        """
        nodeid, candidate = nodeid_of(item), candidate_of(item)
        if nodeid in self._prepared:
            return self._prepared[nodeid]
        name = candidate.name if candidate is not None else None
        named = item.get_closest_marker("default_cassette")
        stock_name = str(named.args[0]) if named is not None and named.args else None
        cassette = self.recordings.of_test(nodeid, item.path, name, item.iter_markers("llm_cassette"), stock_name)
        if nodeid in self._failed_here and cassette.mode == "once":
            cassette.mode = "new"
        unpinned = unpinned_of(candidate) if candidate is not None else None
        log = TestLog(name or "", unpinned)
        task = task_of(item, self.settings.tasks)
        test = RunningTest(nodeid, candidate, log, cassette, case_of(item), sample_of(item), task, source_of(item))
        self._prepared[nodeid] = test
        return test

    def forget(self, test: RunningTest) -> None:
        """Take back that a test was prepared: it will not begin, or not with this."""
        self._prepared.pop(test.nodeid, None)

    def start(self, item: Any) -> RunningTest:
        """Begin a test: from here on its requests go through its cassette.

        Raises:
            ConfigError: A marker that cannot be used.
        """
        self.intercept()
        test = self.prepare(item)
        self.forget(test)
        if self._replays(test.cassette):
            self.stand_ins.put()
        else:
            self.stand_ins.take_away()
        test.outer = running_cassette.enter(test.cassette), running_log.enter(test.log)
        self.running = test
        return test

    def refuse_again(self, test: RunningTest, fixtures: Iterable[str]) -> None:
        """Refuse a test one of whose wider fixtures the budget did not reach for: what that holds is not whole."""
        found = next((self.refused_fixtures[name] for name in fixtures if name in self.refused_fixtures), None)
        if found is not None and self.engine.budget is not None:
            test.cassette.refused.append(found)
            self.engine.budget.refuse(found)

    def intercept(self) -> None:
        """Stand between HTTP libraries and the network, also where others have put themselves there since."""
        if self._interception is not None:
            self._interception.put_back()
        else:
            self._interception = self._undo.enter_context(transport.installed())
            self._undo.enter_context(triggers.installed())
            self._undo.enter_context(masked_logs(self.engine.scanner.mask, lambda: running_cassette.get() is not None))

    def _replays(self, cassette: Cassette) -> bool:
        """Whether a test may be replayed without keys; one that is recorded sees the keys that there are."""
        mode = self.options.record
        if mode not in ("none", "once", "new", "stale"):
            return not any(os.environ.get(name) for name in self.stand_ins.variables)
        # Unlike pathlib's, this never raises: a folder that is closed is told of when the recording is read.
        if mode == "none" or os.path.isfile(cassette.path):  # noqa: PTH113
            return True
        if not any(os.environ.get(name) for name in self.stand_ins.variables):
            return True
        return next(iter(cassette.elsewhere()), None) is not None

    @contextlib.contextmanager
    def fixture_cassette(
        self, home: Path, fixture: str, scope_node: str, candidate: Candidate | None
    ) -> Iterator[None]:
        """Use a cassette of its own while a fixture that is wider than a test runs; see `fixture_path`."""
        cassette, outer = self.enter_fixture(home, fixture, scope_node, candidate)
        with contextlib.ExitStack() as stack:
            stack.push(lambda kind, _, __: self.leave_fixture(cassette, outer, passed=kind is None))
            # Only where a test is bound already: a runner of coroutines may keep the context of a fixture for good.
            if running_cassette.is_bound:
                stack.enter_context(running_cassette.bound(cassette))
            yield

    def enter_fixture(
        self, home: Path, fixture: str, scope_node: str, candidate: Candidate | None
    ) -> tuple[Cassette, Cassette | None]:
        """Put a fixture's cassette in; return it and the one that was in before."""
        name = candidate.name if candidate is not None else None
        self.intercept()
        cassette = self.recordings.of_fixture(home, fixture, scope_node, name, self._running_command)
        cassette.wide = True
        return cassette, running_cassette.enter(cassette)

    def leave_fixture(self, cassette: Cassette, outer: Cassette | None, *, passed: bool = True) -> None:
        """Write a fixture's cassette and put back the one before.

        Fails for what could not be written, and for a miss that the fixture swallowed.
        """
        running_cassette.enter(outer)
        if self.running is not None:
            self.running.cassette.misses += cassette.misses
            self.running.cassette.refused += cassette.refused
            self.running.fixtures.append(cassette)
        try:
            cassette.close(passed=passed)
        except CassetteError as exc:
            self.engine.fail(str(exc))
        if cassette.misses:
            self.engine.fail(cassette.misses[0])
        if cassette.refused and self.engine.budget is not None:
            self.engine.budget.refuse(cassette.refused[0])

    def _running_command(self) -> str:
        return self.running.cassette.command if self.running is not None else "pytest"

    def no_candidates(self) -> str:
        """Return what to tell someone whose test has no candidate."""
        if self.running is None:
            return (
                "llm was asked for while the test runs, when it is too late to run the test once per candidate. "
                "Take it as an argument of the test, or of a fixture that the test takes."
            )
        aliases = ", ".join(self.settings.models)
        named = f" Aliases in the settings: {aliases}." if aliases else ""
        return (
            "No candidate model to test. Choose with --llm-models=openai:gpt-4o-mini,anthropic:claude-haiku-4-5 on the "
            f"command line, llm_models in the pytest configuration, or the marker llm_models.{named}"
        )

    def finish(self, test: RunningTest, *, interrupted: bool = False) -> list[str]:
        """End a test: write what was recorded. Return what went wrong with that; no message is good news.

        A test that was interrupted may be added to by the next run.
        """
        cassette, log = test.outer
        running_cassette.enter(cassette)
        running_log.enter(log)
        self.running = None
        if test.held:
            return []
        try:
            failed = test.outcome in ("failed", "error")
            test.cassette.close(interrupted=interrupted, failed=failed, passed=test.outcome == "passed")
            if failed and test.cassette.kept and not test.cassette.recorded:
                self._failed_here.add(test.nodeid)
        except CassetteError as exc:
            test.unwritten = True
            return [str(exc)]
        if test.outcome != "passed":
            return []
        old = [] if not self.options.max_age_fails else _too_old(test.cassette, *test.fixtures)
        return old + [
            f"The answer of {uri} was not read to its end when the test ended, so it is not recorded. Close the stream."
            for uri in test.cassette.unread
        ]

    def record(self, test: RunningTest) -> TestRecord:
        """Return what a finished test leaves."""
        cassette = test.cassette
        path = self.recordings.relative(cassette.source) if cassette.kept else None
        record = test.log.record(test.nodeid, test.outcome or "skipped", message=test.message, cassette=path)
        record.task = test.task
        if test.case is not None:
            record.case, record.tags, record.weight = test.case.id, list(test.case.tags), test.case.weight
            record.complexity = complexity_of(test.case)
            record.expected = expected_digest(test.case.expected)
        record.source = test.source
        if test.sample is not None:
            record.sample, record.samples = test.sample.number, test.sample.of
            record.min_pass_rate = test.sample.min_pass_rate
        cassettes = [cassette, *test.fixtures]
        asked = [each.ignored for each in cassettes if each.was_asked]
        record.ignored = list(dict.fromkeys(rule for ignored in asked for rule in ignored.rules))
        matched = {rule for ignored in asked for rule in ignored.matched}
        record.unmatched = [rule for rule in record.ignored if rule not in matched]
        record.taken_over = [entry for each in cassettes for entry in self.recordings.taken_over(each)]
        if test.outcome == "passed":
            # What failed its test is told there.
            record.unkept = [reason for each in cassettes for reason in each.unkept]
        record.recording = why_again(cassettes)
        if record.recording is not None:
            cost = cost_again(cassettes, test.candidate)
            record.again = cost.to_json() if cost is not None else None
        return record

    def close(self) -> None:
        """Take the interception away and give connections back."""
        if self.running is not None:
            # Ctrl-C leaves a test without a teardown; what it was answered so far is paid for.
            self.finish(self.running, interrupted=True)
        self.stand_ins.take_away()
        self._undo.close()
        self.roster.close()


def _too_old(*cassettes: Cassette) -> list[str]:
    messages = []
    for cassette in cassettes:
        if cassette.too_old:
            days = [interaction.recorded_at for interaction in cassette.too_old]
            known = [day for day in days if day is not None]
            since = f"recorded {min(known):%Y-%m-%d}" if known else "recorded nobody knows when"
            limit = cassette.engine.max_age
            messages.append(
                f"{cassette.shown}: {since}, which is older than --llm-max-age allows ({limit}).\n"
                f"Record again:  {cassette.command} --llm-record=stale"
            )
    return messages


def _merged(results: list[dict[str, Any] | None]) -> dict[str, Any]:
    # pluggy calls the plugin that was registered last first, and that one is to win.
    return {name: value for result in reversed(results) for name, value in (result or {}).items()}
