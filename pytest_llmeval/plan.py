"""What a run will ask, what of that is recorded already, and what the rest costs: about, and at most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pytest_llmeval.bounds import Bounds, bounds_of, likely_read, most_cost
from pytest_llmeval.candidates import leaves_of
from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.paths import named_after
from pytest_llmeval.cassettes.probe import Probe, Seen
from pytest_llmeval.cassettes.store import Cassette, running_cassette
from pytest_llmeval.collected import DECLARED, candidate_of
from pytest_llmeval.errors import CassetteError, ConfigError
from pytest_llmeval.prices import TotalCost
from pytest_llmeval.recorded import answer_of, total_of
from pytest_llmeval.response import UNKNOWN_COST, Cost, CostStatus, Usage
from pytest_llmeval.tariffs import Tariff, tariff_of

if TYPE_CHECKING:
    from datetime import datetime

    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.session import EvalSession

NOTHING = TotalCost(Decimal(0))

#: Where the length of an answer that is still to come is taken from, the likeliest first.
OWN, OTHERS, CASES, LIMIT = "the test's recording", "other candidates", "other cases of the test", "half of max_tokens"
#: As many recordings of other cases tell enough.
MOST_CASES = 20


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call that will be made.

    Attributes:
        read, written: Tokens, as is likely; None if nobody can tell.
        bounds: Most tokens.
        about, most: What it costs.
        basis: Where the length of the answer is taken from.
    """

    read: int | None
    written: int | None
    bounds: Bounds
    about: Cost
    most: Cost
    basis: str


@dataclass(slots=True)
class CandidatePlan:
    """What one candidate will be asked.

    Attributes:
        name: The candidate; empty for tests without one.
        tests: How many tests it has.
        replayed: Calls that are recorded and will replay.
        calls: Calls that will be made, retries apart.
        unknown: Tests that do not declare what they ask, and have nothing recorded that would tell.
        failing: Tests whose recording is stale, missing or damaged, in a mode that does not mend that.
    """

    name: str
    tests: int = 0
    replayed: int = 0
    calls: list[PlannedCall] = field(default_factory=list)
    unknown: int = 0
    failing: int = 0

    @property
    def about(self) -> TotalCost:
        """What the calls cost, as is likely."""
        return total_of(call.about for call in self.calls)

    @property
    def most(self) -> TotalCost:
        """What the calls cost at most; `unpriced` counts those that nothing bounds."""
        return total_of(call.most for call in self.calls)


@dataclass(slots=True)
class Plan:
    """What a run will ask.

    Attributes:
        mode: Record mode of the run.
        candidates: By name, in the order of the tests.
    """

    mode: str
    candidates: dict[str, CandidatePlan] = field(default_factory=dict)

    def of(self, candidate: Candidate | None) -> CandidatePlan:
        """Return the part of a candidate."""
        name = candidate.name if candidate is not None else ""
        return self.candidates.setdefault(name, CandidatePlan(name))

    @property
    def calls(self) -> list[PlannedCall]:
        """All calls that will be made."""
        return [call for part in self.candidates.values() for call in part.calls]

    @property
    def bases(self) -> Counter[str]:
        """Where the lengths of answers are taken from, by number of calls."""
        return Counter(call.basis for call in self.calls)

    def total(self, what: str) -> int:
        """Return the sum of a count over the candidates: ``tests``, ``replayed``, ``unknown`` or ``failing``."""
        return sum(getattr(part, what) for part in self.candidates.values())


class Planner:
    """Looks at tests, their recordings, and where they declare it, at what they ask. Nothing is sent.

    Args:
        session: Whose tests these are.
        counts_recorded: Whether calls that will replay are to be counted, for which their recordings must be read.
    """

    def __init__(self, session: EvalSession, *, counts_recorded: bool) -> None:
        self._session = session
        self._mode = session.options.record
        self._now: datetime = session.engine.now
        self._counts_recorded = counts_recorded
        self._plan = Plan(self._mode)
        self._tapes: dict[Path, list[Interaction]] = {}
        self._names: dict[Path, list[Path]] = {}

    def plan(self, items: Iterable[Any]) -> Plan:
        """Return the plan of tests that ask models."""
        with self._session.probing():
            for item in items:
                if item.get_closest_marker("skip") is None:
                    self._test(item)
        return self._plan

    def _test(self, item: Any) -> None:
        part = self._plan.of(candidate_of(item))
        part.tests += 1
        try:
            cassette = cassette_of(self._session, item)
            if not self._counts_recorded and not may_ask(self._mode, cassette.path):
                return
            probe = Probe(cassette)
            probe.read()
        except (CassetteError, ConfigError):
            # Only a whole new recording takes the place of a damaged one, and what it will hold nobody knows.
            self._unknown(part, fails=self._mode not in ("all", "live"))
            return
        candidate, case = candidate_of(item), declared(item)
        if candidate is not None and case is not None and candidate.members and not probe.kept:
            self._declared_mix(part, item, candidate, case, probe)
        elif candidate is not None and case is not None and self._session.roster.is_builtin(candidate):
            self._declared(part, item, candidate, case, probe)
        else:
            self._undeclared(part, candidate, probe)

    def _unknown(self, part: CandidatePlan, *, fails: bool) -> None:
        if fails:
            part.failing += 1
        else:
            part.unknown += 1

    def _declared(self, part: CandidatePlan, item: Any, candidate: Candidate, case: Any, probe: Probe) -> None:
        """Look at what a test asks by having it asked as far as the transport."""
        try:
            with running_cassette.entered(probe), running_cassette.bound(probe):
                self._session.llm_of(item, candidate).complete(case)
        except Seen as seen:
            if seen.fault is not None or seen.request is None:
                self._unknown(part, fails=True)
            elif seen.recorded is not None and not self._asks_again(seen.recorded):
                part.replayed += 1
            elif seen.recorded is None and not self._records(probe):
                part.failing += 1
            else:
                recorded = [seen.recorded] if seen.recorded is not None else probe.recorded
                written, latency_ms, basis = self._likely(recorded, probe.path)
                tariff = tariff_of(seen.request.uri, candidate, None)
                part.calls.append(self._call(seen.request.uri, seen.request.body, tariff, written, latency_ms, basis))
        except Exception:
            # What cannot be asked fails its test, which says why.
            part.failing += 1
        else:
            part.unknown += 1

    def _declared_mix(self, part: CandidatePlan, item: Any, candidate: Candidate, case: Any, probe: Probe) -> None:
        """Look at what a test asks of several candidates: about what the first takes, at most what all of them do."""
        if self._mode == "none":
            part.failing += 1
            return
        alone = CandidatePlan("")
        for leaf in leaves_of(candidate):
            if self._session.roster.is_builtin(leaf):
                # Each looks at a probe of its own, since one that was asked is used up.
                self._declared(alone, item, leaf, case, Probe(probe))
        scores = candidate.mix is not None and "low_score" in candidate.mix.escalate_on and candidate.mix.cascade
        if len(alone.calls) != len(leaves_of(candidate)) or scores:
            # What a model is asked about its own answer depends on that answer.
            self._unknown(part, fails=bool(alone.failing))
        else:
            part.calls.append(_together(alone.calls))
            router = candidate.mix.router if candidate.mix is not None else None
            if router is not None and router.classifier is not None and not candidate.members[2].members:
                classifier = candidate.members[2]
                part.calls.append(self._classifying(classifier, alone.calls[leaves_of(candidate).index(classifier)]))

    def _classifying(self, classifier: Candidate, call: PlannedCall) -> PlannedCall:
        """Return the call that sorts a question, from the one by which the same model would answer it."""
        from pytest_llmeval.providers.routing import CLASSIFY_TOKENS

        provider = self._session.roster.provider(classifier)
        read = None if call.read is None else call.read + CLASSIFY_TOKENS[0]
        tariff = Tariff(classifier, provider.billing, provider.hosting)
        about = tariff.cost(Usage(read, CLASSIFY_TOKENS[1]), when=self._now)
        # It costs no more than an answer could.
        return replace(call, read=read, written=CLASSIFY_TOKENS[1], about=about)

    def _undeclared(self, part: CandidatePlan, candidate: Candidate | None, probe: Probe) -> None:
        """Take what a test has recorded, else what it has with another candidate, for what it will ask."""
        if probe.kept:
            for interaction in probe.recorded:
                if self._asks_again(interaction):
                    part.calls.append(self._again(interaction, candidate, OWN))
                else:
                    part.replayed += 1
            if probe.incomplete and self._records(probe):
                part.unknown += 1
            return
        others = self._others(probe.path) if candidate is not None else []
        if self._mode == "none":
            part.failing += 1
        elif others:
            part.calls += [self._again(interaction, candidate, OTHERS) for interaction in others]
        else:
            part.unknown += 1

    def _asks_again(self, interaction: Interaction) -> bool:
        """Whether what is recorded will be asked all the same."""
        if self._mode == "stale":
            return self._session.engine.too_old(interaction)
        return self._mode in ("all", "live")

    def _records(self, probe: Probe) -> bool:
        """Whether what is not recorded will be asked."""
        return self._mode != "none" and (self._mode != "once" or not probe.kept or probe.incomplete)

    def _again(self, interaction: Interaction, candidate: Candidate | None, basis: str) -> PlannedCall:
        """Return the call that a recording stands for."""
        answer = answer_of(interaction)
        tariff = tariff_of(interaction.uri, candidate, answer.asked)
        latency = interaction.meta.get("latency_ms") if basis == OWN else None
        written = answer.usage.output_tokens
        call = self._call(interaction.uri, interaction.body, tariff, written, latency, basis)
        read = answer.usage.input_tokens
        if tariff is None or read is None:
            return call
        about = tariff.cost(answer.usage if basis == OWN else Usage(read, written), when=self._now, latency_ms=latency)
        return PlannedCall(read, written, call.bounds, about, call.most, basis)

    def _call(
        self, uri: str, body: bytes, tariff: Tariff | None, written: int | None, latency_ms: float | None, basis: str
    ) -> PlannedCall:
        read = likely_read(body)
        if tariff is None:
            return PlannedCall(read, written, Bounds(None, None), UNKNOWN_COST, UNKNOWN_COST, basis)
        bounds = bounds_of(uri, body, tariff)
        if written is None and basis == LIMIT and bounds.written is not None:
            written = bounds.written // 2
        about = tariff.cost(Usage(read, written), when=self._now, latency_ms=latency_ms)
        return PlannedCall(read, written, bounds, about, most_cost(bounds, tariff, self._now), basis)

    def _likely(self, recorded: Sequence[Interaction], path: Path) -> tuple[int | None, float | None, str]:
        """Return how long an answer will be, in tokens and milliseconds, and what says so."""
        sources: list[tuple[str, Callable[[], Sequence[Interaction]]]] = [
            (OWN, lambda: recorded),
            (OTHERS, lambda: self._others(path)),
            (CASES, lambda: self._cases(path)),
        ]
        for basis, find in sources:
            found = find()
            lengths = [count for each in found if (count := answer_of(each).usage.output_tokens) is not None]
            if lengths:
                times = [time for each in found if isinstance(time := each.meta.get("latency_ms"), int | float)]
                # Another model takes its own time.
                latency = fmean(times) if times and basis != OTHERS else None
                return round(fmean(lengths)), latency, basis
        return None, None, LIMIT

    def _others(self, path: Path) -> list[Interaction]:
        """Return what the test has recorded with another candidate: the most that any has."""
        found = [
            self._tape(folder / path.name)
            for folder in self._listed(path.parent.parent)
            if folder != path.parent and folder.is_dir()
        ]
        return max(found, key=len, default=[])

    def _cases(self, path: Path) -> list[Interaction]:
        """Return what other cases of the test have recorded with this candidate."""
        base = named_after(path.stem)
        same = [each for each in self._listed(path.parent) if named_after(each.stem) == base and each.suffix == ".yaml"]
        return [interaction for each in same[:MOST_CASES] for interaction in self._tape(each)]

    def _listed(self, folder: Path) -> list[Path]:
        if folder not in self._names:
            self._names[folder] = sorted(folder.iterdir()) if folder.is_dir() else []
        return self._names[folder]

    def _tape(self, path: Path) -> list[Interaction]:
        if path not in self._tapes:
            try:
                self._tapes[path] = read_tape(path)[0].interactions
            except CassetteError:
                self._tapes[path] = []
        return self._tapes[path]


def _together(calls: Sequence[PlannedCall]) -> PlannedCall:
    """Return the call of a mix: what its first candidate takes about, and all of them at most."""
    first = calls[0]
    bounds = [call.bounds for call in calls]
    read, written = [each.read for each in bounds], [each.written for each in bounds]
    most = total_of(call.most for call in calls)
    status: CostStatus = "unknown" if most.unpriced else "free" if most.is_free else "priced"
    why = next((call.most.source for call in calls if call.most.amount is None), first.most.source)
    return replace(
        first,
        bounds=Bounds(
            None if None in read else sum(each or 0 for each in read),
            None if None in written else sum(each or 0 for each in written),
            next((each.why for each in bounds if each.why), ""),
        ),
        most=Cost(None if most.unpriced else most.amount, status, why, first.most.as_of),
    )


def may_ask(mode: str, path: Path) -> bool:
    """Whether a test may ask anything, as far as can be told without reading its recording."""
    return mode != "none" and (mode != "once" or not path.is_file())


def cassette_of(session: EvalSession, item: Any) -> Cassette:
    """Return the cassette of a test; the session keeps none of those that are only looked at.

    Raises:
        ConfigError: A marker that cannot be used.
    """
    test = session.prepare(item)
    session.forget(test)
    return test.cassette


def declared(item: Any) -> Any:
    """Return the case that a test declares to ask, just as it stands; None for one that asks in its body."""
    callspec = getattr(item, "callspec", None)
    if callspec is None or DECLARED not in getattr(item, "fixturenames", ()):
        return None
    return callspec.params.get("llm_case")


def without_price(session: EvalSession, items: Iterable[Any]) -> dict[str, str]:
    """Return the candidates that may be asked and whose price is unknown, with the reason."""
    reasons: dict[str, str] = {}
    for candidate in _to_be_asked(session, items):
        for leaf in leaves_of(candidate):
            cost = session.roster.tariff(leaf).most(1, 1, when=session.engine.now)
            if cost.amount is None:
                reasons[leaf.name] = cost.source
    return reasons


def _to_be_asked(session: EvalSession, items: Iterable[Any]) -> Iterator[Candidate]:
    found: set[str] = set()
    for item in items:
        candidate = candidate_of(item)
        if candidate is not None and candidate.name not in found:
            try:
                path = cassette_of(session, item).path
            except ConfigError:
                continue
            if may_ask(session.options.record, path):
                found.add(candidate.name)
                yield candidate
