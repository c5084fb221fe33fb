"""Cassettes of fixtures that are wider than a test: what they ask must not depend on which test comes first."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import pytest

    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.cassettes.store import Cassette
    from pytest_llmeval.session import EvalSession

hookimpl = pluggy.HookimplMarker("pytest")


class WideFixtures:
    """Puts a cassette in while a module's or the session's fixture is set up, and another while it is torn down."""

    def __init__(self, session: EvalSession) -> None:
        self._session = session
        self._used: set[str] = set()
        # Whether a fixture depends on the candidate, by name; what a fixture asks for is always set up before it.
        self._depends: dict[str, bool] = {"llm_candidate": True}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which fixtures tests that ask candidates use: any test may be the first to set one up."""
        for item in session.items:
            names = getattr(item, "fixturenames", ())
            if "llm_candidate" in names or item.get_closest_marker("llm_cassette"):
                self._used.update(names)

    @hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        """Give the fixture a cassette of its own."""
        if fixturedef.scope == "function" or fixturedef.argname == "llm_candidate":
            return (yield)
        self._depends[fixturedef.argname] = any(self._depends.get(name, False) for name in fixturedef.argnames)
        test = self._session.running
        if test is None and fixturedef.argname not in self._used:
            return (yield)
        place = self._place(fixturedef, request)
        candidate = test.candidate if test is not None and self._depends[fixturedef.argname] else None
        at_end = _AtEnd(self._session, place, candidate)
        # Finalizers run last in, first out: the fixture's own end comes between these two.
        fixturedef.addfinalizer(at_end.leave)
        try:
            with self._session.fixture_cassette(*place, candidate):
                return (yield)
        finally:
            fixturedef.addfinalizer(at_end.enter)
            if test is not None and test.cassette.refused:
                # Whether it swallowed the refusal or not: pytest may think that it was set up well.
                self._session.refused_fixtures[fixturedef.argname] = test.cassette.refused[0]

    def _place(self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> tuple[Path, str, str]:
        """Return where the fixture is at home, its name, and the class that it belongs to."""
        root, defined = self._session.options.rootdir, fixturedef.baseid.partition("::")[0]
        wide = fixturedef.scope in ("session", "package")
        home = root / defined if wide else request.path
        scope_node = "" if wide else request.node.nodeid.partition("::")[2]
        # A module may override a fixture of its folder, and use it: two fixtures of one name.
        origin = "" if wide or request.path == root / defined else f"@{defined or 'root'}"
        return home, f"{fixturedef.argname}{_parameter(request)}{origin}", scope_node


def _parameter(request: pytest.FixtureRequest) -> str:
    if not hasattr(request, "param"):
        return ""
    if isinstance(request.param, str | int | float | bool):
        return f"[{request.param}]"
    return f"-{getattr(request, 'param_index', 0)}"


class _AtEnd:
    """The cassette of a fixture's end: its own file, since the one of its beginning is closed by then."""

    def __init__(self, session: EvalSession, place: tuple[Path, str, str], candidate: Candidate | None) -> None:
        self._session = session
        self._place = place
        self._candidate = candidate
        self._open: tuple[Cassette, Cassette | None] | None = None

    def enter(self) -> None:
        """Put the cassette in."""
        home, name, scope_node = self._place
        self._open = self._session.enter_fixture(home, f"{name}-end", scope_node, self._candidate)

    def leave(self) -> None:
        """Write what was recorded, and put back what was in before."""
        if self._open is not None:
            self._session.leave_fixture(*self._open)
            self._open = None
