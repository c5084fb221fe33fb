"""Cases of a matrix: other plugins of pytest, each doing its own work in the same run."""

from __future__ import annotations

from tests.matrices.neighbour_runs import Case, Run

NONE = "--llm-record=none"
#: Three tests of the candidate, and one that has nothing to do with it.
THREE = """
import pytest

def asks(llm, *questions):
    for question in questions:
        assert llm.complete(question).json()["echo"] == question

def test_one(llm): asks(llm, "one", "two")
def test_three(llm): asks(llm, "three")

@pytest.mark.parametrize("word", ["four", "five"])
def test_words(llm, word): asks(llm, word)

def test_plain(): assert 1 + 1 == 2
"""
HOLDS = {"test_one": "one two", "test_three": "three", "test_words[four]": "four", "test_words[five]": "five"}
CALLS = {
    "test_it.py::test_one[chat]": 2,
    "test_it.py::test_three[chat]": 1,
    "test_it.py::test_words[chat-four]": 1,
    "test_it.py::test_words[chat-five]": 1,
}

RECORDING = """
import pytest
from app import ask, ask_httpx, ask_requests

@pytest.mark.vcr
def test_theirs():
    assert ASK("theirs") == "theirs"

def test_ours(llm):
    assert ASK("ours") == "ours"
    assert llm.complete("asked").json()["echo"] == "asked"

@pytest.mark.vcr
def test_theirs_again():
    assert ASK("again") == "again"

@pytest.mark.llm_cassette
def test_ours_again():
    assert ASK("own") == "own"

def test_plain(): pass
"""
BOTH_MARKS = """
import pytest
from app import ask, ask_httpx, ask_requests

@pytest.mark.vcr
@pytest.mark.llm_cassette
def test_both():
    assert ASK("both") == "both"

def test_ours(llm):
    assert ASK("ours") == "ours"
"""
RECORDED = {"test_ours": "ours asked", "test_it/test_ours_again": "own"}
ASKED = "theirs ours asked again own"


def recording() -> list[Case]:
    """pytest-recording: each records its own tests."""
    cases = []
    for ask in ("ask", "ask_httpx", "ask_requests"):
        for option, extra in (("", ""), ("block_network", "\npytestmark = pytest.mark.block_network\n")):
            text = RECORDING.replace("ASK", ask)
            blocked = text.replace("def test_ours", "@pytest.mark.block_network\ndef test_ours") if extra else text
            record = Run("--record-mode=once", "5 passed", asked=ASKED)
            replays: tuple[Run, ...] = (
                Run("--block-network", "5 passed"),
                Run(f"--block-network {NONE}", "5 passed"),
                Run(f"--record-mode=none {NONE} -n2", "5 passed"),
                Run(f"{NONE} --block-network -k again", "2 passed"),
            )
            if not extra:
                cases.append(Case("pytest-recording", f"both in a file, {ask}", text, record, RECORDED, replays))
            else:
                # Nothing may go out of these: neither to the server nor into a file, and the test says so.
                failing = Run("--record-mode=once", "2 failed, 3 passed", asked="theirs again", says=("Network is",))
                cases.append(Case("pytest-recording", f"{option} on ours, {ask}", blocked, failing, {}, ()))
        both = BOTH_MARKS.replace("ASK", ask)
        record = Run("--record-mode=once", "2 passed", asked="both ours")
        # vcrpy goes round ours where it replaces the same method; the test replays from its cassette then.
        holds = {"test_it/test_both": "both", "test_ours": "ours"} if ask == "ask_requests" else {"test_ours": "ours"}
        replays = (Run(NONE, "2 passed"), Run(f"{NONE} --block-network", "2 passed"))
        cases.append(Case("pytest-recording", f"both marks on a test, {ask}", both, record, holds, replays))
    return cases


GROUPS = THREE.replace("def test_one", '@pytest.mark.xdist_group("a")\ndef test_one').replace(
    "def test_three", '@pytest.mark.xdist_group(name="b")\ndef test_three'
)
SHARED = """
import pytest
from app import ask

@pytest.fixture(scope="module")
def shared():
    return ask("shared")

def test_one(llm, shared): assert llm.complete("one").json()["echo"] == "one"
def test_two(llm, shared): assert llm.complete("two").json()["echo"] == "two"
def test_three(llm, shared): assert llm.complete("three").json()["echo"] == "three"
"""
CRASH = """
import os

def test_one(llm): llm.complete("one")
def test_crash(llm):
    llm.complete("crash")
    if os.environ.get("CRASH"):
        os._exit(1)
def test_two(llm): llm.complete("two")
"""
MAXFAIL = """
def test_one(llm): llm.complete("one"); assert False
def test_two(llm): llm.complete("two")
"""


def xdist() -> list[Case]:
    """pytest-xdist: however tests are dealt out, each has its own recording."""
    cases = []
    for dist in ("load", "loadscope", "loadfile", "loadgroup", "worksteal"):
        text = GROUPS if dist == "loadgroup" else THREE
        # The group is no part of a test's name, whoever records and whoever replays.
        calls = None if dist == "loadgroup" else CALLS
        record = Run(f"-n2 --dist={dist}", "5 passed", calls=calls)
        replays = (
            Run(f"-n2 --dist={dist} {NONE}", "5 passed", calls=calls),
            Run(NONE, "5 passed", calls=CALLS),
        )
        cases.append(Case("pytest-xdist", f"--dist={dist}", text, record, HOLDS, replays))
    record = Run("", "5 passed", calls=CALLS)
    replays = (Run(f"-n2 {NONE}", "5 passed", calls=CALLS), Run(f"-n1 {NONE}", "5 passed", calls=CALLS))
    cases.append(Case("pytest-xdist", "recorded by one process", THREE, record, HOLDS, replays))
    holds = {"test_it/_fixtures/shared": "shared", "test_one": "one", "test_two": "two", "test_three": "three"}
    record = Run("-n2", "3 passed", asked="shared shared? one two three")
    replays = (Run(f"-n2 {NONE}", "3 passed"), Run(f"{NONE} -k three", "1 passed"))
    cases.append(Case("pytest-xdist", "a module fixture in two workers", SHARED, record, holds, replays))
    holds = {"test_one": "one", "test_two": "two"}
    record = Run("-n1", "2 passed, 1 failed", env={"CRASH": "1"}, asked="one crash two", says=("crashed",))
    replays = (Run(f"-n1 {NONE}", "2 passed, 1 failed", says=("No recording",)), Run(f"-k one {NONE}", "1 passed"))
    cases.append(Case("pytest-xdist", "a worker that dies", CRASH, record, holds, replays))
    record = Run("-n1 --maxfail=1", "1 failed", status=2, asked="one")
    cases.append(Case("pytest-xdist", "--maxfail", MAXFAIL, record, {"test_one": "one"}, (Run(NONE, "2 failed"),)))
    return cases


def randomly() -> list[Case]:
    """pytest-randomly: the order of tests is in no recording."""
    record = Run("--randomly-seed=1", "5 passed", calls=CALLS)
    replays = (
        Run(f"--randomly-seed=2 {NONE}", "5 passed", calls=CALLS),
        Run(f"--randomly-seed=3 -n2 {NONE}", "5 passed", calls=CALLS),
        Run(NONE, "5 passed", calls=CALLS),
    )
    return [Case("pytest-randomly", "three orders", THREE, record, HOLDS, replays)]


FLAKY = """
import pytest
from pathlib import Path
HERE = Path(__file__).parent

def first_time(name):
    path = HERE / f"{name}.seen"
    seen = path.exists()
    path.touch()
    return not seen

def test_other(llm): assert llm.complete("other").json()["echo"] == "other"
"""
FLAKY_TESTS = {
    "fails after its answer": (
        """
        def test_flaky(llm):
            assert llm.complete("one").json()["echo"] == "one"
            assert not first_time("flaky")
        """,
        "one",
        "one other",
    ),
    "fails half-way, asks on when run again": (
        """
        def test_flaky(llm):
            assert llm.complete("one").json()["echo"] == "one"
            assert not first_time("flaky")
            assert llm.complete("two").json()["echo"] == "two"
        """,
        "one two",
        "one two other",
    ),
    "fails before it asks": (
        """
        def test_flaky(llm):
            assert not first_time("flaky")
            assert llm.complete("one").json()["echo"] == "one"
        """,
        "one",
        "one other",
    ),
    "fails in a fixture": (
        """
        @pytest.fixture
        def prepared(llm):
            assert llm.complete("one").json()["echo"] == "one"
            assert not first_time("flaky")

        def test_flaky(llm, prepared):
            assert llm.complete("two").json()["echo"] == "two"
        """,
        "one two",
        "one two other",
    ),
    "async": (
        """
        @pytest.mark.asyncio
        async def test_flaky(llm):
            assert (await llm.acomplete("one")).json()["echo"] == "one"
            assert not first_time("flaky")
        """,
        "one",
        "one other",
    ),
}


def reruns() -> list[Case]:
    """pytest-rerunfailures: a test that is run again ends with the recording of what it asks."""
    cases = []
    for name, (test, questions, asked) in FLAKY_TESTS.items():
        lines = "\n".join(line.removeprefix("        ") for line in test.splitlines())
        holds = {"test_flaky": questions, "test_other": "other"}
        record = Run("--reruns=2", "2 passed, 1 rerun", asked=asked)
        replays = (Run(NONE, "2 passed"), Run(f"--reruns=2 {NONE}", "2 passed"))
        cases.append(Case("pytest-rerunfailures", name, FLAKY + lines, record, holds, replays))
        if name.startswith("fails after"):
            marked = (FLAKY + lines).replace("def test_flaky", "@pytest.mark.flaky(reruns=2)\ndef test_flaky")
            record = Run("-n2", "2 passed, 1 rerun", asked=asked)
            cases.append(Case("pytest-rerunfailures", "the marker flaky, -n2", marked, record, holds, replays))
            record = Run("--reruns=2 --llm-record=all", "2 passed, 1 rerun", asked="one one other")
            cases.append(Case("pytest-rerunfailures", "--llm-record=all", FLAKY + lines, record, holds, replays))
    text = FLAKY + 'def test_wrong(llm):\n    llm.complete("wrong")\n    assert False\n'
    record = Run("--reruns=2", "1 failed, 1 passed, 2 rerun")
    again = Run(f"--reruns=1 {NONE}", "1 failed, 1 passed, 1 rerun")
    holds = {"test_wrong": "wrong", "test_other": "other"}
    cases.append(Case("pytest-rerunfailures", "never passes", text, record, holds, (again,)))
    return cases


HANGS = """
import os, time

def test_before(llm): llm.complete("before")

def test_hangs(llm):
    llm.complete("first")
    if os.environ.get("HANG"):
        HANG
    llm.complete("last")

def test_after(llm): llm.complete("after")
"""


def timeout() -> list[Case]:
    """pytest-timeout: what a test asked before it hung is kept, and the next tests are well."""
    hang = 'llm.complete("slow")'
    cases = []
    for where, body in (("in a request", hang), ("elsewhere", "time.sleep(60)")):
        text = HANGS.replace("        HANG\n", f"        {body}\n")
        before = {"test_before": "before", "test_after": "after", "test_hangs": "first"}
        asked = "before first slow after" if where == "in a request" else "before first after"
        record = Run("--timeout=2 --timeout-method=signal", "2 passed, 1 failed", env={"HANG": "1"}, asked=asked)
        replays: tuple[Run, ...] = (Run(f"{NONE} -k 'not hangs'", "2 passed"), Run(f"{NONE} -k hangs", "1 failed"))
        cases.append(Case("pytest-timeout", f"signal, {where}", text, record, before, replays))
        record = Run(
            "--timeout=2 --timeout-method=thread", None, status=1, env={"HANG": "1"}, asked=asked.replace(" after", "")
        )
        replays = (Run(f"{NONE} -k before", "1 passed"), Run(f"{NONE} -k hangs", "1 failed", says=("No recording",)))
        cases.append(Case("pytest-timeout", f"thread, {where}", text, record, {"test_before": "before"}, replays))
    return cases


COVERED = {
    "test_it.py": """
    from code_under_test import shout

    def test_one(llm): assert shout(llm, "one") == "ONE"
    def test_two(llm): assert shout(llm, "two") == "TWO"
    """,
    "code_under_test.py": """
    def shout(llm, question):
        reply = llm.complete(question)
        return whisper(reply).upper()

    def whisper(reply):
        return reply.json()["echo"]

    def unused():
        return None
    """,
}


def cov() -> list[Case]:
    """pytest-cov: lines that run are counted, whoever answers."""
    says = ("code_under_test.py       7      1    86%",)
    options = "--cov=code_under_test --cov-report=term"
    cases = []
    for more in ("", " -n2", " --cov-branch"):
        shown = says if more != " --cov-branch" else ("code_under_test.py       7      1      0      0    86%",)
        record = Run(options + more, "2 passed", says=shown)
        replays = (Run(f"{options}{more} {NONE}", "2 passed", says=shown),)
        holds = {"test_one": "one", "test_two": "two"}
        cases.append(Case("pytest-cov", f"coverage{more}", COVERED, record, holds, replays))
    return cases
