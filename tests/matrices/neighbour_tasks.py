"""Cases of a matrix: coroutines, tasks, threads and processes, in a test and beyond its end."""

from __future__ import annotations

from tests.matrices.neighbour_plugins import NONE
from tests.matrices.neighbour_runs import Case, Run

#: Nothing of these may reach another test's recording or the network; `late` asks after its test has ended.
LATE = "was asked after its test had ended"
ELSEWHERE = "was asked from process"

ASYNC = """
import asyncio
import pytest
from app import aask
{head}

async def test_one(llm):
    assert (await llm.acomplete("one")).json()["echo"] == "one"

async def test_many(llm):
    words = ["m1", "m2", "m3"]
    replies = await {gather}
    assert [reply.json()["echo"] for reply in replies] == words

async def test_group(llm):
    async with {group} as group:
        group.{start}(llm.acomplete, "g1")
        group.{start}(aask, "g2")

async def test_thread(llm):
    assert (await {thread}(llm.complete, "t1")).json()["echo"] == "t1"
    assert await aask("t2") == "t2"
"""
ASYNCIO = {
    "gather": "asyncio.gather(*(llm.acomplete(word) for word in words))",
    "group": "Group()",
    "start": "start_soon",
    "thread": "asyncio.to_thread",
}
GROUP = """
class Group(asyncio.TaskGroup):
    def start_soon(self, function, *args):
        self.create_task(function(*args))
"""
ANYIO = {
    "gather": "all_of([llm.acomplete(word) for word in words])",
    "group": "anyio.create_task_group()",
    "start": "start_soon",
    "thread": "anyio.to_thread.run_sync",
}
ALL_OF = """
import anyio

async def all_of(coroutines):
    results = [None] * len(coroutines)

    async def keep(index, coroutine):
        results[index] = await coroutine

    async with anyio.create_task_group() as group:
        for index, coroutine in enumerate(coroutines):
            group.start_soon(keep, index, coroutine)
    return results
"""
SETS = {"test_one": {"one"}, "test_many": {"m1", "m2", "m3"}, "test_group": {"g1", "g2"}, "test_thread": {"t1", "t2"}}


def _in_order(backend: str = "") -> dict[str, str]:
    """Return what is held; questions asked at once are recorded as they were issued, or in any order (a star)."""
    suffix = f"[{backend}]" if backend else ""
    return {
        f"test_one{suffix}": "one",
        f"test_many{suffix}": "* m1 m2 m3",
        f"test_group{suffix}": "* g1 g2",
        f"test_thread{suffix}": "t1 t2",
    }


def coroutines() -> list[Case]:
    """pytest-asyncio and anyio."""
    cases = []
    replays = (Run(NONE, "4 passed"), Run(f"{NONE} -n2", "4 passed"), Run(f"{NONE} -k many"))
    for scope in ("function", "module", "session"):
        head = f"pytestmark = pytest.mark.asyncio(loop_scope='{scope}')\n{GROUP}"
        text = ASYNC.format(head=head, **ASYNCIO)
        cases.append(
            Case("pytest-asyncio", f"strict, loop of the {scope}", text, Run("", "4 passed"), _in_order(), replays)
        )
    text = ASYNC.format(head=GROUP, **ASYNCIO)
    auto = 'asyncio_mode = "auto"\nasyncio_default_test_loop_scope = "session"'
    cases.append(Case("pytest-asyncio", "auto", text, Run("", "4 passed"), _in_order(), replays, ini=auto))
    text = ASYNC.format(head=f"pytestmark = pytest.mark.anyio\n{ALL_OF}", **ANYIO)
    both = {**_in_order("asyncio"), **_in_order("trio")}
    replays = (Run(NONE, "8 passed"), Run(f"{NONE} -k trio", "4 passed"), Run(f"{NONE} -n2", "8 passed"))
    cases.append(Case("anyio", "asyncio and trio", text, Run("", "8 passed"), both, replays))
    return cases


WORK = """
import asyncio, multiprocessing, threading, time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextvars import copy_context
from multiprocessing import get_context as method
from multiprocessing.pool import ThreadPool
import pytest
from app import aask, ask, ask_aiohttp, ask_httpx, ask_plainly, ask_requests, ask_urllib

WORDS = ["w1", "w2", "w3"]
"""
#: Bodies of a test that asks w1, w2, w3 and waits for all.
WAITED = {
    "threads": "threads = [threading.Thread(target=ask, args=(w,)) for w in WORDS]\n"
    "    [thread.start() for thread in threads]\n    [thread.join() for thread in threads]",
    "timers": "timers = [threading.Timer(0.01, ask, (w,)) for w in WORDS]\n"
    "    [timer.start() for timer in timers]\n    [timer.join() for timer in timers]",
    "a pool of threads": "with ThreadPoolExecutor(2) as pool:\n        assert list(pool.map(ask, WORDS)) == WORDS",
    "a pool of threads, requests": (
        "with ThreadPoolExecutor(2) as pool:\n        assert list(pool.map(ask_requests, WORDS)) == WORDS"
    ),
    "multiprocessing's pool of threads": "with ThreadPool(2) as pool:\n        assert pool.map(ask, WORDS) == WORDS",
    "threads that start threads": "def outer():\n"
    "        inner = [threading.Thread(target=ask, args=(w,)) for w in WORDS]\n"
    "        [thread.start() for thread in inner]\n        [thread.join() for thread in inner]\n"
    "    thread = threading.Thread(target=outer)\n    thread.start()\n    thread.join()",
    "a loop in a thread": "async def main():\n        return await asyncio.gather(*map(aask, WORDS))\n"
    "    with ThreadPoolExecutor(1) as pool:\n        assert pool.submit(asyncio.run, main()).result() == WORDS",
    "run_in_executor": "async def main():\n        loop = asyncio.get_running_loop()\n"
    "        return await asyncio.gather(*(loop.run_in_executor(None, ask, w) for w in WORDS))\n"
    "    assert asyncio.run(main()) == WORDS",
    "complete_many": "assert [reply.json()['echo'] for reply in llm.complete_many(WORDS)] == WORDS",
}
NEXT = """
def test_next(llm):
    assert llm.complete("next").json()["echo"] == "next"
"""
IT_AND_NEXT = {"test_it": "it", "test_next": "next"}


def waited() -> list[Case]:
    """Threads that end with their test."""
    cases = []
    replays = (Run(NONE, "2 passed"), Run(f"{NONE} -k next"), Run(f"{NONE} --randomly-seed=5", "2 passed"))
    for name, body in WAITED.items():
        text = f"{WORK}\ndef test_it(llm):\n    {body}\n{NEXT}"
        holds = {"test_it": "* w1 w2 w3", "test_next": "next"}
        cases.append(Case("threads", name, text, Run("", "2 passed"), holds, replays))
    return cases


LASTING = """
go, done = threading.Event(), threading.Event()
seen = []

def late(ask=ask):
    go.wait(30)
    try:
        seen.append(ask("late"))
    except BaseException as exc:
        seen.append(exc)
    done.set()
"""
RELEASE = "    go.set()\n    assert done.wait(30)\n"
#: Bodies of a test that leaves something behind, which asks while the next test runs.
LEFT = {
    "a thread": "threading.Thread(target=late).start()",
    "a daemon thread": "threading.Thread(target=late, daemon=True).start()",
    "a thread, httpx": "threading.Thread(target=late, args=(ask_httpx,)).start()",
    "a thread, requests": "threading.Thread(target=late, args=(ask_requests,)).start()",
    "a thread, urllib": "threading.Thread(target=late, args=(ask_urllib,)).start()",
    "a thread with a copied context": "threading.Thread(target=copy_context().run, args=(late,)).start()",
    "a pool of threads": "pool = ThreadPoolExecutor(1)\n    pool.submit(late)\n    test_it.pool = pool",
    "a thread of the candidate": "threading.Thread(target=late, args=(llm.complete,)).start()",
    "a thread, http.client": "threading.Thread(target=late, args=(ask_plainly,)).start()",
    "a thread, aiohttp": "threading.Thread(target=late, args=(ask_aiohttp,)).start()",
    "a subclass of Thread": "type('T', (threading.Thread,), {'run': lambda self: late()})().start()",
}
POOLS = """
pool = ThreadPoolExecutor(1)

def test_it(llm): assert pool.submit(ask, "it").result() == "it"
def test_next(llm): assert pool.submit(ask, "next").result() == "next"
def test_plain(): assert pool.submit(len, "four").result() == 4
"""
SERVICE = """
import queue

@pytest.fixture(scope="session")
def service():
    questions, answers = queue.Queue(), queue.Queue()

    def serve():
        for question in iter(questions.get, None):
            answers.put(ask(question))

    threading.Thread(target=serve, daemon=True).start()

    def through(question):
        questions.put(question)
        return answers.get(timeout=30)

    yield through
    questions.put(None)

def test_it(llm, service): assert service("it") == "it"
def test_next(llm, service): assert service("next") == "next"
"""
LOOP_THREAD = """
loop = asyncio.new_event_loop()

def through(question):
    if not loop.is_running():
        threading.Thread(target=loop.run_forever, daemon=True).start()
    return asyncio.run_coroutine_threadsafe(aask(question), loop).result(30)

def test_it(llm): assert through("it") == "it"
def test_next(llm): assert through("next") == "next"
"""
TASK = """
pytestmark = pytest.mark.asyncio(loop_scope="module")
go, done = asyncio.Event(), asyncio.Event()

async def late():
    await go.wait()
    try:
        await aask("late")
    finally:
        done.set()

async def test_it(llm):
    await llm.acomplete("it")
    test_it.task = asyncio.create_task(late())

async def test_next(llm):
    await llm.acomplete("next")
    go.set()
    await done.wait()
    await asyncio.gather(test_it.task, return_exceptions=True)
"""


def left_behind() -> list[Case]:
    """What outlives its test fails the run, and asks in nobody else's name."""
    cases = []
    for name, body in LEFT.items():
        text = f"{WORK}{LASTING}\ndef test_it(llm):\n    llm.complete('it')\n    {body}\n{NEXT}{RELEASE}"
        record = Run("", "2 passed, 1 error", status=1, says=(LATE,))
        replays = (Run(NONE, "2 passed, 1 error", status=1, says=(LATE,)),)
        cases.append(Case("left behind", name, text, record, IT_AND_NEXT, replays))
        if name == "a thread":
            # In a run of a test that has nothing to do with us, and after the last one.
            plain = text.replace(NEXT, "\ndef test_next():\n")
            run = Run("", "2 passed", status=1, says=(LATE,))
            replay = Run(NONE, "2 passed", status=1, says=(LATE,))
            cases.append(Case("left behind", "a thread, a plain test", plain, run, {"test_it": "it"}, (replay,)))
    record = Run("", "2 passed, 1 error", status=1, says=(LATE,))
    replays = (Run(NONE, "2 passed, 1 error", status=1, says=(LATE,)),)
    cases.append(Case("left behind", "a task", WORK + TASK, record, IT_AND_NEXT, replays))
    return [*cases, *shared()]


def shared() -> list[Case]:
    """Threads that serve several tests ask in the name of the one that runs."""
    cases = []
    shared = {
        "a pool of the module": POOLS,
        "a thread of a session fixture": SERVICE,
        "a loop in a thread": LOOP_THREAD,
    }
    for name, text in shared.items():
        wanted = "3 passed" if text is POOLS else "2 passed"
        replays = (Run(NONE, wanted), Run(f"{NONE} -k next"), Run(f"{NONE} --randomly-seed=4", wanted))
        cases.append(Case("shared", name, WORK + text, Run("", wanted), IT_AND_NEXT, replays))
    return cases


POOL = "with ProcessPoolExecutor(1, method('{}')) as pool:\n        pool.submit(ASK, 'child').result()"
THEIR_POOL = "with method('{}').Pool(1) as pool:\n        pool.map(ASK, ['child'])"
PROCESS = """process = method('{}').Process(target=ASK, args=('child',))
    process.start()
    process.join()
    assert process.exitcode == 0"""
PROCESSES = {
    "fork": POOL.format("fork"),
    "spawn": POOL.format("spawn"),
    "forkserver": POOL.format("forkserver"),
    "Pool, fork": THEIR_POOL.format("fork"),
    "Pool, spawn": THEIR_POOL.format("spawn"),
    "Process, fork": PROCESS.format("fork"),
    "Process, spawn": PROCESS.format("spawn"),
}
COMPUTING = "with ProcessPoolExecutor(1, method('{}')) as pool:\n        assert pool.submit(len, 'four').result() == 4"


def processes() -> list[Case]:
    """Another process is refused, and says so; one that asks nothing is left alone."""
    cases = []
    for name, body in PROCESSES.items():
        for ask in ("ask", "ask_requests") if name in ("fork", "spawn") else ("ask",):
            text = f"{WORK}\ndef test_it(llm):\n    llm.complete('it')\n    {body.replace('ASK', ask)}\n{NEXT}"
            record = Run("-s", "1 passed, 1 failed", says=(ELSEWHERE,))
            replays = (Run(f"{NONE} -s", "1 passed, 1 failed", says=(ELSEWHERE,)),)
            cases.append(Case("processes", f"{name}, {ask}", text, record, IT_AND_NEXT, replays, anew=True))
    for method in ("fork", "spawn"):
        text = f"{WORK}\ndef test_it(llm):\n    llm.complete('it')\n    {COMPUTING.format(method)}\n"
        name = f"{method}, asks nothing"
        cases.append(Case("processes", name, text, Run(), {"test_it": "it"}, (Run(NONE),), anew=True))
    return cases


FINALIZERS = """
import atexit, weakref

class Closing:
    def __del__(self): ask("deleted")

@pytest.fixture
def each(request):
    request.addfinalizer(lambda: ask("finalizer"))

@pytest.fixture(scope="session", autouse=True)
def whole():
    yield
    ask("end")

def test_it(llm, each):
    closing = Closing()
    ask("it")
    del closing

def test_next(llm): llm.complete("next")
"""
AT_EXIT = """
import atexit

def test_it(llm):
    ask("it")
    atexit.register(ask, "exit")
"""


def finalizers() -> list[Case]:
    """What asks at an end: of a test, of the session, of the process."""
    holds = {"test_it": "it deleted finalizer", "test_next": "next", "test_it/_fixtures/whole-end": "end"}
    replays = (Run(NONE, "2 passed"), Run(f"{NONE} -k next"))
    cases = [Case("finalizers", "of tests and the session", WORK + FINALIZERS, Run("", "2 passed"), holds, replays)]
    says = (LATE,)
    exits = Case(
        "finalizers",
        "atexit",
        WORK + AT_EXIT,
        Run("", says=says),
        {"test_it": "it"},
        (Run(NONE, says=says),),
        anew=True,
    )
    return [*cases, exits]
