"""Fixtures wider than a test: what they ask must not depend on which test comes first, or last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import Project
from tests.integration.test_async import ANYIO, ASYNCIO


def write_app(project: Project) -> None:
    project.write(
        f"""
        import httpx

        def ask(question):
            body = {{"messages": [{{"role": "user", "content": question}}]}}
            return httpx.post("{project.server.url}/chat/completions", json=body).json()["choices"]
        """,
        "app.py",
    )


FIXTURES = """
import pytest
from app import ask

@pytest.fixture(scope="session")
def of_session():
    return ask("session")

@pytest.fixture(scope="module", params=["a", "b"])
def of_module(request):
    return ask(request.param)

class TestIt:
    @pytest.fixture(scope="class")
    def of_class(self):
        return ask("class")

    def test_one(self, llm, of_session, of_class): pass
    def test_two(self, llm, of_session, of_class): pass

def test_three(llm, of_session, of_module): pass
"""


def test_a_fixture_wider_than_a_test_has_a_recording_of_its_own(project: Project) -> None:
    write_app(project)
    project.write(FIXTURES, "test_app.py")
    project.outcomes(passed=4)
    names = [Path(name) for name in project.recordings()]
    assert {name.parent.as_posix() for name in names} == {"llm_cassettes/test_app/_fixtures"}
    assert len(names) == 4
    for selected, count in (("test_two", 1), ("test_three", 2), ("test", 4)):
        project.outcomes("--llm-record=none", "-k", selected, passed=count, deselected=4 - count)


def test_a_wide_fixture_that_is_asked_for_while_the_test_runs_has_a_recording_of_its_own(project: Project) -> None:
    write_app(project)
    project.write(
        """
        import pytest
        from app import ask

        @pytest.fixture(scope="module")
        def shared():
            return ask("shared")

        def test_one(llm, request):
            assert request.getfixturevalue("shared")

        def test_two(llm, shared):
            assert shared
        """,
        "test_app.py",
    )
    project.outcomes(passed=2)
    assert project.recordings() == ["llm_cassettes/test_app/_fixtures/shared.yaml"]
    project.outcomes("--llm-record=none", "-k", "test_two", passed=1, deselected=1)


def test_a_fixture_that_depends_on_the_candidate_has_one_recording_for_each(project: Project) -> None:
    project.add_model("other", 'model = "openai:other"')
    url = f"{project.server.url}/chat/completions"
    project.write(f"""
        import httpx, pytest

        @pytest.fixture(scope="module")
        def model(llm_candidate):
            return llm_candidate.model

        @pytest.fixture(scope="module")
        def answer(model, llm_candidate):
            return ask(llm_candidate, model)

        @pytest.fixture(scope="module")
        def indirect(model):
            return ask(None, model)

        def ask(candidate, model):
            return httpx.post({url!r}, json={{"model": model, "messages": []}}).json()["model"]

        def test_direct(llm, answer):
            assert answer == llm.candidate.model

        def test_indirect(llm, indirect):
            assert indirect == llm.candidate.model
    """)
    project.outcomes(models="chat,other", passed=4)
    project.outcomes("--llm-record=none", models="other", passed=2)


def test_what_a_module_fixture_asks_at_its_end_does_not_depend_on_the_last_test(project: Project) -> None:
    write_app(project)
    project.write(
        """
        import pytest
        from app import ask

        @pytest.fixture(scope="module")
        def prepared():
            yield
            ask("end")

        def test_one(llm, prepared): pass
        def test_two(llm, prepared): pass
        """,
        "test_app.py",
    )
    project.outcomes(passed=2)
    project.outcomes("--llm-record=none", "-k", "test_one", passed=1, deselected=1)


WIDE = """
import httpx, pytest, pytest_asyncio

async def ask(question):
    async with httpx.AsyncClient() as client:
        await client.post("{url}/chat/completions", json={{"messages": [], "question": question}})

{fixture}(scope="module"{loop})
async def prepared({backend}):
    await ask("start")
    yield
    await ask("end")

{fixture}({function_loop})
async def each():
    await ask("each start")
    yield
    await ask("each end")

{mark}
async def test_one(llm, prepared, each):
    await ask("one")

{mark}
async def test_two(llm, prepared, each):
    await ask("two")
"""
RUNNERS = {
    "asyncio": {
        "fixture": "@pytest_asyncio.fixture",
        "loop": ', loop_scope="module"',
        "backend": "",
        "function_loop": 'loop_scope="module"',
        "mark": '@pytest.mark.asyncio(loop_scope="module")',
    },
    "anyio": {
        "fixture": "@pytest.fixture",
        "loop": "",
        "backend": "anyio_backend",
        "function_loop": "",
        "mark": "@pytest.mark.anyio",
    },
}
BACKEND = "import pytest\n\n@pytest.fixture(scope='module')\ndef anyio_backend(): return 'asyncio'\n"


@pytest.mark.parametrize("runner", RUNNERS)
def test_an_async_fixture_of_a_module_has_a_recording_of_its_own(project: Project, runner: str) -> None:
    without = {"asyncio": ASYNCIO, "anyio": ANYIO}[runner]
    options = ["-o", "asyncio_default_fixture_loop_scope=module"] if runner == "asyncio" else []
    project.write(BACKEND, "conftest.py")
    project.write(WIDE.format(url=project.server.url, **RUNNERS[runner]))
    project.run(*options, without=without).assert_outcomes(passed=2)
    asked = [body["question"] for body in project.server.asked]
    assert asked == ["start", *("each start", "one", "each end"), *("each start", "two", "each end"), "end"]
    project.stop_server()
    for name in ("test_one", "test_two"):
        project.run(*options, "--llm-record=none", "-k", name, without=without).assert_outcomes(passed=1, deselected=1)
