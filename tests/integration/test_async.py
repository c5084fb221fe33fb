"""`async def` tests under pytest-asyncio and anyio, and what outlives the test that started it."""

from __future__ import annotations

import gc

import pytest

from tests.integration.conftest import OTHERS, Project

ASYNCIO = tuple(name for name in OTHERS if name != "asyncio")
ANYIO = tuple(name for name in OTHERS if name != "anyio")

TESTS = """
import asyncio
import pytest
{head}

async def test_one(llm):
    reply = await llm.acomplete("one")
    assert reply.json()["echo"] == "one"
    llm.record_score(0.25)

async def test_many(llm):
    replies = await asyncio.gather(*(llm.acomplete(f"q{{n}}") for n in range(4)))
    assert [reply.json()["echo"] for reply in replies] == ["q0", "q1", "q2", "q3"]
    assert (await llm.acomplete("streamed", stream=True)).ttft_ms > 0

async def test_in_a_thread(llm):
    reply = await asyncio.to_thread(llm.complete, "from a thread")
    await asyncio.to_thread(llm.record_score, 0.75)

async def test_client_of_its_own(llm):
    from openai import AsyncOpenAI
    async with AsyncOpenAI(base_url=llm.candidate.base_url, api_key="k") as client:
        await client.chat.completions.create(model="own", messages=[{{"role": "user", "content": "x"}}])
"""
LOOPS = {
    "asyncio function loops": (ASYNCIO, "pytestmark = pytest.mark.asyncio"),
    "asyncio module loop": (ASYNCIO, 'pytestmark = pytest.mark.asyncio(loop_scope="module")'),
    "asyncio session loop": (ASYNCIO, 'pytestmark = pytest.mark.asyncio(loop_scope="session")'),
    "anyio function loops": (
        ANYIO,
        'pytestmark = pytest.mark.anyio\n@pytest.fixture\ndef anyio_backend(): return "asyncio"',
    ),
    "anyio module loop": (
        ANYIO,
        'pytestmark = pytest.mark.anyio\n@pytest.fixture(scope="module")\ndef anyio_backend(): return "asyncio"\n'
        '@pytest.fixture(scope="module", autouse=True)\nasync def keep_the_loop(anyio_backend): yield',
    ),
}


@pytest.fixture(autouse=True)
def quiet_asyncio(project: Project) -> None:
    path = project.path / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    options = (
        'asyncio_default_fixture_loop_scope = "function"',
        # Under anyio alone, nobody knows the option above.
        'filterwarnings = ["ignore::pytest.PytestConfigWarning"]',
    )
    head = "[tool.pytest.ini_options]"
    path.write_text(text.replace(head, "\n".join([head, *options])), encoding="utf-8")


@pytest.mark.parametrize(("without", "head"), LOOPS.values(), ids=LOOPS)
def test_an_async_test_records_and_replays(project: Project, without: tuple[str, ...], head: str) -> None:
    project.write(TESTS.format(head=head))
    project.run(without=without).assert_outcomes(passed=4)
    assert [name.rpartition("/")[2] for name in project.recordings()] == [
        "test_client_of_its_own.yaml",
        "test_in_a_thread.yaml",
        "test_many.yaml",
        "test_one.yaml",
    ]
    recorded = {test.nodeid: test for test in project.records().tests}
    project.stop_server()
    project.run("--llm-record=none", without=without).assert_outcomes(passed=4)
    replayed = {test.nodeid: test for test in project.records().tests}
    assert [len(test.calls) for test in replayed.values()] == [0, 1, 5, 1]
    assert [test.score for test in replayed.values()] == [1.0, 0.75, 1.0, 0.25]
    for nodeid, test in replayed.items():
        assert {call.latency_ms for call in test.calls} == {call.latency_ms for call in recorded[nodeid].calls}


def test_anyio_runs_on_trio_too(project: Project) -> None:
    pytest.importorskip("trio")
    project.write("""
        import pytest

        @pytest.mark.anyio
        async def test_it(llm):
            assert (await llm.acomplete("x")).json()["echo"] == "x"
    """)
    project.run(without=ANYIO).assert_outcomes(passed=2)
    project.stop_server()
    project.run("--llm-record=none", without=ANYIO).assert_outcomes(passed=2)


def test_a_changed_prompt_is_stale_in_an_async_test_too(project: Project) -> None:
    test = "import pytest\n\n@pytest.mark.asyncio\nasync def test_it(llm):\n    await llm.acomplete('{}')\n"
    project.write(test.format("old words"))
    project.run(without=ASYNCIO).assert_outcomes(passed=1)
    project.write(test.format("new words"))
    result = project.run(without=ASYNCIO)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*/test_it.yaml is stale:*", "*[[]-old-] {+new+} words"])


def test_a_miss_in_a_task_whose_failure_nobody_looks_at_fails_the_test(project: Project) -> None:
    project.write("""
        import asyncio, pytest

        @pytest.mark.asyncio
        async def test_it(llm):
            await asyncio.gather(llm.acomplete("x"), return_exceptions=True)
    """)
    result = project.run("--llm-record=none", without=ASYNCIO)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*No recording:*"])


def test_an_async_fixture_asks_into_the_recording_of_its_test(project: Project) -> None:
    project.write("""
        import pytest, pytest_asyncio

        @pytest_asyncio.fixture
        async def answer(llm):
            yield (await llm.acomplete("setup")).json()["echo"]
            await llm.acomplete("teardown")

        @pytest.mark.asyncio
        async def test_it(llm, answer):
            assert answer == "setup"
            await llm.acomplete("call")
    """)
    project.run(without=ASYNCIO).assert_outcomes(passed=1)
    assert len(project.recordings()) == 1
    project.stop_server()
    project.run("--llm-record=none", without=ASYNCIO).assert_outcomes(passed=1)
    assert [len(test.calls) for test in project.records().tests] == [3]


def test_a_task_that_outlives_its_test_fails_the_run_and_spoils_no_other_recording(project: Project) -> None:
    project.write("""
        import asyncio, pytest

        pytestmark = pytest.mark.asyncio(loop_scope="module")
        tasks = []

        async def test_first(llm):
            async def late():
                await asyncio.sleep(0.05)
                await llm.acomplete("late")

            tasks.append(asyncio.create_task(late()))

        async def test_second(llm):
            await llm.acomplete("second")
            await asyncio.sleep(0.2)
    """)
    result = project.run(without=ASYNCIO)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*was asked after its test had ended (pytest 'test_chat.py::test_first?chat?'*"])
    assert [body["messages"][0]["content"] for body in project.server.asked] == ["second"]
    assert project.recordings() == ["llm_cassettes/test_chat/chat/test_second.yaml"]
    # The task goes now, with its exception, and not in the middle of another test.
    gc.collect()


def test_a_thread_that_outlives_its_test_fails_the_run(project: Project) -> None:
    project.write("""
        import threading, time
        from contextvars import copy_context

        def late(llm):
            time.sleep(0.05)
            try:
                llm.complete("late")
            except BaseException:
                pass

        def test_first(llm):
            threading.Thread(target=copy_context().run, args=(late, llm)).start()

        def test_second(llm):
            llm.complete("second")
            time.sleep(0.2)
    """)
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*was asked after its test had ended (pytest 'test_chat.py::test_first?chat?'*"])
    assert project.recordings() == ["llm_cassettes/test_chat/chat/test_second.yaml"]
