"""Where a run comes from: versions, commit, candidates, prices."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pytest_llmeval.cassettes.matching import scrub_uri
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.gittree import run_git
from pytest_llmeval.prices import PUBLISHED, context_window, published_prices
from pytest_llmeval.providers.endpoints import connection_of, endpoint_of, is_private
from pytest_llmeval.records import SCHEMA_VERSION, Run, TestRecord
from pytest_llmeval.runheader import CandidateInfo, End, Header, PriceUsed

if TYPE_CHECKING:
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.providers.endpoints import Connection

PACKAGES = ("pytest", "pytest-llmeval", "openai", "anthropic", "httpx2", "genai-prices", "pytest-xdist")
#: Parameters that carry whatever a server wants to know of its client, keys too.
NOT_KEPT = ("extra_headers", "extra_query")


def now() -> str:
    """Return the time as records have it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def new_header(rootdir: Path, *, mode: str, name: str | None = None) -> Header:
    """Return the header of a run that begins now; who is asked is not known yet.

    Args:
        rootdir: Folder of the project.
        mode: Record mode.
        name: Name under which the run is kept, if it is.
    """
    commit, dirty = git_state(rootdir)
    return Header(
        schema_version=SCHEMA_VERSION,
        id=uuid4().hex,
        name=name,
        started=now(),
        mode=mode,
        commit=commit,
        dirty=dirty,
        versions=_versions(),
        platform=platform.platform(),
    )


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Return the commit of a folder, and whether tracked files differ from it; None for what git does not tell."""
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no") if commit else None
    return commit, None if changes is None else bool(changes)


def _git(folder: Path, *arguments: str) -> str | None:
    done = run_git(folder, *arguments)
    return done.stdout.decode("utf-8", "replace").strip() if done is not None and done.returncode == 0 else None


def candidate_info(candidate: Candidate) -> CandidateInfo:
    """Return what a run's header says of a candidate.

    >>> from pytest_llmeval.candidates import Candidate
    >>> info = candidate_info(Candidate("mini", "openai", "gpt-4o-mini", parameters={"extra_headers": {"X": "secret"}}))
    >>> info.hosting, info.parameters
    ('api', {'extra_headers': ['X']})
    """
    if candidate.members:
        return _mix_info(candidate)
    connection = _connection(candidate)
    address = connection.base_url if connection else candidate.base_url
    return CandidateInfo(
        name=candidate.name,
        provider=candidate.provider,
        model=candidate.model,
        endpoint=scrub_uri(candidate.base_url) if candidate.base_url else None,
        hosting=candidate.hosting or (connection.hosting if connection else None),
        private=is_private(address) if address else None,
        context=candidate.context,
        parameters=_parameters(candidate.parameters),
        prices=_prices(candidate),
        structured_output=candidate.structured_output,
    )


def _mix_info(candidate: Candidate) -> CandidateInfo:
    members = [candidate_info(member) for member in candidate.members]
    places = {member.hosting for member in members}
    hosting = next((place for place in ("api", None, "self-hosted", "local") if place in places), None)
    # What one of them sees is seen by all that it tells of.
    private = next((each for each in (False, None, True) if each in {member.private for member in members}), None)
    return CandidateInfo(candidate.name, candidate.provider, hosting=hosting, private=private, members=members)


def _connection(candidate: Candidate) -> Connection | None:
    endpoint = endpoint_of("", candidate.provider)
    try:
        return connection_of(endpoint, candidate) if endpoint is not None else None
    except ConfigError:
        return None


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(parameters)
    for name in NOT_KEPT & kept.keys():
        kept[name] = sorted(kept[name]) if isinstance(kept[name], Mapping) else "(not kept)"
    return kept


def _prices(candidate: Candidate) -> dict[str, str | int] | str | None:
    prices = candidate.prices
    if prices is None or isinstance(prices, str):
        return prices
    given = prices.model_dump(exclude_none=True)
    # How many requests share a machine is no price, and counts only beside one for the machine.
    return {
        name: value if isinstance(value, int) else str(value)
        for name, value in given.items()
        if name != "concurrency" or "gpu_hour" in given
    }


def with_provenance(run: Run, header: Header, known: Mapping[str, CandidateInfo], end: End) -> Run:
    """Return a run with its header, that knows all its candidates and prices by now, and its end."""
    names = list(dict.fromkeys([*run.candidates, *run.by_candidate()]))
    described = [known.get(name, CandidateInfo(name)) for name in names]
    header.candidates = [replace(info, context=context_of(info)) for info in described]
    header.prices, header.texts = prices_used(run.tests, known), run.texts
    if run.recommendation is not None:
        header.requirements = run.recommendation.requirements.to_json()
    header.task_requirements = {
        each.task: each.requirements.to_json() for each in run.task_recommendations if each.task is not None
    }
    end.budget = run.budget
    return replace(run, candidates=names, header=header, end=end)


def context_of(info: CandidateInfo) -> int | None:
    """Return how many tokens a candidate can hold: as the user, the catalog, or genai-prices has it.

    At an address of the user's own a model may be served with less: there, only the user knows.

    >>> context_of(CandidateInfo("mini", "openai", "gpt-4o-mini"))
    128000
    >>> context_of(CandidateInfo("mini", "openai", "gpt-4o-mini", endpoint="http://10.0.0.7/v1"))
    """
    if info.members:
        contexts = [context_of(member) for member in info.members]
        return None if None in contexts else min(context for context in contexts if context is not None)
    billing = _billing(info)
    if info.context is not None or billing is None or info.model is None:
        return info.context
    from pytest_llmeval.catalog import load_catalog

    listed = (model.context for model in load_catalog() if model.id == f"{info.provider}:{info.model}")
    return next(listed, None) or context_window(billing, info.model)


def prices_used(tests: Iterable[TestRecord], known: Mapping[str, CandidateInfo]) -> list[PriceUsed]:
    """Return the published prices that calls were priced with; days with the same prices stand together."""
    known = {**{info.name: info for mix in known.values() for info in mix.leaves}, **known}
    days = sorted({
        (call.candidate, call.model or "", call.cost_as_of)
        for test in tests
        for whole in test.calls
        for call in whole.leaves
        if call.cost_source == PUBLISHED and call.cost_as_of
    })  # fmt: skip
    found: dict[tuple[Any, ...], PriceUsed] = {}
    for candidate, answered, day in days:
        info = known.get(candidate, CandidateInfo(candidate))
        model = answered or info.model or ""
        prices = published_prices(_billing(info), [answered, info.model], day)
        same = found.setdefault(
            (candidate, model, *prices.items()), PriceUsed(candidate, model, PUBLISHED, day, day, **prices)
        )
        same.last = day
    return list(found.values())


def _billing(info: CandidateInfo) -> str | None:
    from pytest_llmeval.candidates import Candidate

    connection = _connection(Candidate(info.name, info.provider or "", info.model or "", base_url=info.endpoint))
    return connection.billing if connection else None


def end_of(tests: Sequence[TestRecord], exit_status: int, stopped: str | None) -> End:
    """Return the closing line of a run that ends now."""
    counts = Counter(test.outcome for test in tests)
    return End(now(), exit_status, stopped, len(tests), dict(sorted(counts.items())))
