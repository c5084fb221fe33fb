"""Cases of a matrix: options and kinds of tests of pytest itself, and patches that a project brings along."""

from __future__ import annotations

import importlib.util

from tests.matrices.neighbour_plugins import CALLS, HOLDS, NONE, THREE
from tests.matrices.neighbour_runs import Case, Run

FAILING = """
import os

def test_one(llm): assert llm.complete("one").json()["echo"] == "one"
def test_two(llm): assert llm.complete("two").json()["echo"] == "two" and not os.environ.get("WRONG")
def test_three(llm): assert llm.complete("three").json()["echo"] == "three"
"""
FIRST_TWO = {"test_one": "one", "test_two": "two"}
ALL_THREE = {**FIRST_TWO, "test_three": "three"}
WRONG = {"WRONG": "1"}


def selection() -> list[Case]:
    """Which tests run, in which order, and what is written of them."""
    cases = []
    record = Run("", "2 passed, 1 failed", env=WRONG)
    for option, outcome in (("--lf", "1 passed"), ("--ff", "3 passed"), ("--nf", "3 passed"), ("--sw", "2 passed")):
        if option == "--sw":
            stopped = Run("--sw", "1 passed, 1 failed", env=WRONG, status=2)
            cases.append(Case("pytest", "--sw", FAILING, stopped, FIRST_TWO, (Run(f"--sw -k two {NONE}"),)))
            continue
        cases.append(Case("pytest", option, FAILING, record, ALL_THREE, (Run(f"{option} {NONE}", outcome),)))
    stopped = Run("-x", "1 passed, 1 failed", env=WRONG)
    replays = (
        Run(f"-x {NONE}", "2 passed, 1 failed", says=("No recording",)),
        Run(f"-k 'one or two' {NONE}", "2 passed"),
    )
    cases.append(Case("pytest", "-x", FAILING, stopped, FIRST_TWO, replays))
    for option in (
        "-p no:cacheprovider",
        "-s",
        "-p no:logging",
        "-p no:terminal",
        "-p no:warnings",
        "-W error",
        "--tb=native",
        "-vv --log-level=DEBUG",
        "--junitxml=report.xml",
        "--durations=3",
        "--setup-show",
        "-p no:assertion",
        "-p no:faulthandler --assert=plain",
    ):
        wanted: str | None = None if option.endswith("no:terminal") else "5 passed"
        record, replay = Run(option, wanted, calls=CALLS), Run(f"{option} {NONE}", wanted, calls=CALLS)
        # A process that has imported much already makes pytest warn.
        cases.append(Case("pytest", option, THREE, record, HOLDS, (replay,), anew="error" in option))
    for option in ("--collect-only", "--setup-plan", "--markers"):
        # Nobody is asked, nothing is written, and no recording is missed.
        run, replay = Run(option, None, asked="", says=()), Run(f"{option} {NONE}", None)
        cases.append(Case("pytest", option, THREE, run, {}, (replay,)))
    cases.append(_without_us())
    return cases


def _without_us() -> Case:
    plain = {"test_it.py": "import pytest\n\ndef test_plain(): pass\n", "conftest.py": "from app import ask\n"}
    run = Run("-p no:llmeval", "1 passed")
    return Case("pytest", "-p no:llmeval", plain, run, {}, (run,))


IMPORTLIB = {
    "a/test_same.py": 'def test_it(llm): assert llm.complete("a").json()["echo"] == "a"\n',
    "b/test_same.py": 'def test_it(llm): assert llm.complete("b").json()["echo"] == "b"\n',
}
DOCTESTS = {
    "test_it.py": 'def test_one(llm): assert llm.complete("one").json()["echo"] == "one"\n',
    "documented.py": """
    def twice(text):
        '''Repeat.

        >>> twice("ab")
        'abab'
        '''
        return text * 2
    """,
    "notes.txt": ">>> 1 + 1\n2\n",
}
UNITTEST = """
import unittest
import pytest
from app import aask, ask

@pytest.mark.llm_cassette
class TestIt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.of_class = ask("class")

    def setUp(self):
        assert ask("set-up") == "set-up"

    def tearDown(self):
        assert ask("tear-down") == "tear-down"

    def test_one(self):
        self.assertEqual(ask("one"), "one")

    def test_two(self):
        for word in ("two", "three"):
            with self.subTest(word):
                self.assertEqual(ask(word), word)

@pytest.mark.llm_cassette
class TestAsync(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        assert await aask("async-set-up") == "async-set-up"

    async def test_four(self):
        self.assertEqual(await aask("four"), "four")

class TestPlain(unittest.TestCase):
    def test_plain(self): pass
"""
IN_UNITTEST = {
    "test_it/TestIt.test_one": "set-up one tear-down",
    "test_it/TestIt.test_two": "set-up two three tear-down",
    "test_it/TestAsync.test_four": "async-set-up four",
}
XUNIT = """
import pytest
from app import ask

def setup_module(): ask("module")
def teardown_module(): ask("module-end")

class TestIt:
    @classmethod
    def setup_class(cls): ask("class")

    @classmethod
    def teardown_class(cls): ask("class-end")

    def setup_method(self): ask("method")
    def teardown_method(self): ask("method-end")

    def test_one(self, llm): assert llm.complete("one").json()["echo"] == "one"
    def test_two(self, llm): assert llm.complete("two").json()["echo"] == "two"

def setup_function(): ask("function")

def test_three(llm): assert llm.complete("three").json()["echo"] == "three"
"""
SUBTESTS = """
def test_it(llm, subtests):
    for word in ("one", "two"):
        with subtests.test(word):
            assert llm.complete(word).json()["echo"] == word
"""


def kinds() -> list[Case]:
    """Kinds of tests and ways to import them."""
    importing = "--import-mode=importlib"
    run, replays = Run(importing, "2 passed"), (Run(f"{importing} {NONE}", "2 passed"), Run(f"{importing} b {NONE}"))
    holds = {"a/test_same/chat/test_it": "a", "b/test_same/chat/test_it": "b"}
    cases = [Case("pytest", "importlib, two files of a name", IMPORTLIB, run, holds, replays)]
    option = "--doctest-modules --doctest-glob=*.txt --ignore=app.py"
    run, replays = (
        Run(option, "3 passed"),
        (Run(f"{option} {NONE}", "3 passed"), Run(f"{option} {NONE} -n2", "3 passed")),
    )
    cases.append(Case("pytest", "--doctest-modules", DOCTESTS, run, {"test_one": "one"}, replays))
    cases.append(Case("pytest", "subtests", SUBTESTS, Run(""), {"test_it": "one two"}, (Run(NONE),)))
    return cases


def xunit() -> list[Case]:
    """Classes of unittest, and methods that set up."""
    shared = {"test_it/_fixtures/TestIt._unittest_setUpClass_fixture_TestIt": "class"}
    holds = {**IN_UNITTEST, **shared}
    replays: tuple[Run, ...] = (Run(NONE, "4 passed"), Run(f"{NONE} -k two"), Run(f"{NONE} -n2", "4 passed"))
    unittest = Case("unittest", "TestCase with the marker", UNITTEST, Run("", "4 passed"), holds, replays)
    replays = (Run(NONE, "3 passed"), Run(f"{NONE} -k two"), Run(f"{NONE} -k one"), Run(f"{NONE} -k three"))
    holds = {
        "test_it/chat/TestIt.test_one": "method one method-end",
        "test_it/chat/TestIt.test_two": "method two method-end",
        "test_three": "function three",
        "test_it/_fixtures/_xunit_setup_module_fixture_test_it": "module",
        "test_it/_fixtures/_xunit_setup_module_fixture_test_it-end": "module-end",
        "test_it/_fixtures/TestIt._xunit_setup_class_fixture_TestIt": "class",
        "test_it/_fixtures/TestIt._xunit_setup_class_fixture_TestIt-end": "class-end",
    }
    return [unittest, Case("pytest", "setup and teardown by name", XUNIT, Run("", "3 passed"), holds, replays)]


COUNTING = """
import pytest, httpx2

seen = []

def counting(original):
    def handle_request(self, request):
        seen.append(str(request.url))
        return original(self, request)
    return handle_request
"""
ASKING = """
import httpx2, pytest
from app import ask
import conftest

def test_plain(): assert True
def test_one(llm): assert llm.complete("one").json()["echo"] == "one"
def test_two(llm): assert llm.complete("two").json()["echo"] == "two" and ask("own") == "own"
def test_last(): assert httpx2.HTTPTransport.handle_request.__name__ == "handle_request"
"""
ONE_TWO = {"test_one": "one", "test_two": "two own"}
PATCH = "monkeypatch.setattr(httpx2.HTTPTransport, 'handle_request', counting(httpx2.HTTPTransport.handle_request))"
#: Where a project patches, as conftest.py has it.
PATCHES = {
    "when its conftest is imported": (
        "httpx2.HTTPTransport.handle_request = counting(httpx2.HTTPTransport.handle_request)"
    ),
    "in each test": f"""
@pytest.fixture(autouse=True)
def patched(monkeypatch):
    {PATCH}
""",
    "in each test, over what it saw at its import": f"""
original = httpx2.HTTPTransport.handle_request

@pytest.fixture(autouse=True)
def patched(monkeypatch):
    {PATCH.replace("counting(httpx2.HTTPTransport.handle_request)", "counting(original)")}
""",
    "for the session": f"""
@pytest.fixture(autouse=True, scope="session")
def patched():
    with pytest.MonkeyPatch.context() as monkeypatch:
        {PATCH}
        yield
""",
    "in a test before the first of ours": f"""
@pytest.fixture(autouse=True)
def patched(request, monkeypatch):
    if request.node.name == "test_plain":
        {PATCH}
""",
    "in a module fixture that ends before the last test of ours": """
@pytest.fixture(scope="class")
def patched():
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(httpx2.HTTPTransport, 'handle_request', counting(httpx2.HTTPTransport.handle_request))
        yield
""",
    "Client.send": """
@pytest.fixture(autouse=True)
def patched(monkeypatch):
    original = httpx2.Client.send
    def send(self, request, **kwargs):
        seen.append(str(request.url))
        return original(self, request, **kwargs)
    monkeypatch.setattr(httpx2.Client, "send", send)
""",
}
UNDONE = """
import httpx2, pytest
from app import ask

class TestPatched:
    def test_plain(self, patched): pass
    def test_one(self, patched, llm): assert llm.complete("one").json()["echo"] == "one"

def test_two(llm): assert llm.complete("two").json()["echo"] == "two" and ask("own") == "own"
def test_three(llm): assert llm.complete("three").json()["echo"] == "three"
"""
UNDONE_HOLDS = {"test_it/chat/TestPatched.test_one": "one", "test_two": "two own", "test_three": "three"}


def patches() -> list[Case]:
    """A conftest that patches httpx2."""
    cases = []
    for where, patch in PATCHES.items():
        ends = "ends" in where
        files = {"conftest.py": COUNTING + patch, "test_it.py": UNDONE if ends else ASKING}
        replays = (Run(NONE, "4 passed"), Run(f"{NONE} -k two"), Run(f"{NONE} -p no:cacheprovider -n2", "4 passed"))
        if "its import" in where:
            # Nobody can stand between the two; so it is told, and nothing goes out.
            says = ("would go round the recording",)
            record = Run("", "2 passed, 2 failed", says=says)
            replay = Run(NONE, "2 passed, 2 failed", says=says)
            cases.append(Case("a patched httpx2", where, files, record, {}, (replay,)))
            continue
        holds = UNDONE_HOLDS if ends else ONE_TWO
        cases.append(Case("a patched httpx2", where, files, Run("", "4 passed"), holds, replays))
    return [*cases, *mocks()]


MOCK = """
import httpx, httpx2, pytest

@pytest.fixture
def mocked(monkeypatch):
    def answer(self, request):
        return httpx2.Response(200, json={"choices": [{"message": {"content": '{"echo": "mocked"}'}}]})
    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", answer)
"""
MOCKING = """
from app import ask

def test_mocked(llm, mocked): assert ask("anything") == "mocked"
def test_one(llm): assert llm.complete("one").json()["echo"] == "one"
"""
#: Packages that need not be installed.
MOCKED_BY = {
    "respx": """
    import httpx, respx

    def test_it(llm):
        with respx.mock:
            route = respx.get("http://mocked.test/").mock(return_value=httpx.Response(200, text="mocked"))
            assert httpx.get("http://mocked.test/").text == "mocked"
            assert llm.complete("it").json()["echo"] == "it"
            assert route.called
    """,
    "pytest_httpx": """
    import httpx

    def test_it(llm, httpx_mock):
        httpx_mock.add_response(url="http://mocked.test/", text="mocked")
        assert httpx.get("http://mocked.test/").text == "mocked"
        assert llm.complete("it").json()["echo"] == "it"
    """,
}
BY_HAND = """
import vcr
from app import ask, ask_httpx, ask_requests

def test_by_hand(llm):
    assert ASK("before") == "before"
    with vcr.use_cassette("hand.yaml", match_on=["method", "uri", "body"]):
        assert ASK("theirs") == "theirs"
    assert ASK("after") == "after"

def test_one(llm): assert llm.complete("one").json()["echo"] == "one"
"""


def mocks() -> list[Case]:
    """Mocks, and vcrpy used by hand inside a test of ours."""
    files = {"conftest.py": MOCK, "test_it.py": MOCKING}
    cases = [
        Case("a patched httpx2", "a mock", files, Run("", "2 passed"), {"test_one": "one"}, (Run(NONE, "2 passed"),))
    ]
    for package, text in MOCKED_BY.items():
        if importlib.util.find_spec(package):
            cases.append(Case(package, "a mock", text, Run(), {"test_it": "it"}, (Run(NONE),)))
    for ask in ("ask", "ask_httpx", "ask_requests"):
        text = BY_HAND.replace("ASK", ask)
        holds = {"test_by_hand": "before after", "test_one": "one"}
        record = Run("", "2 passed", asked="before theirs after one")
        for anew in (False, True):
            name = f"by hand, {ask}{', imported late' if anew else ''}"
            cases.append(Case("vcrpy", name, text, record, holds, (Run(NONE, "2 passed"),), anew=anew))
    return cases
