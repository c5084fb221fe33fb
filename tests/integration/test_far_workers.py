"""Workers of xdist that do not see the controller's files: what they record comes home."""

from __future__ import annotations

import sys

import pytest

from tests.integration.conftest import Project

TESTS = """
import pytest

@pytest.fixture(scope="session")
def shared():
    import httpx
    return httpx.post("URL", json={"messages": []}).json()["model"]

@pytest.mark.parametrize("n", range(2))
def test_it(llm, n):
    assert llm.complete(f"question {n}").content

def test_shared(llm, shared):
    pass
"""
# Other plugins see reports as they always were.
CONFTEST = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    if hasattr(report, "node"):
        assert not hasattr(report, "llmeval_cassettes")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="paths with a drive are none for execnet")
def test_what_workers_elsewhere_record_comes_home(project: Project) -> None:
    project.write(TESTS.replace("URL", f"{project.server.url}/chat/completions"), "tests/test_chat.py")
    project.write(CONFTEST, "conftest.py")
    far = project.path.parent / f"{project.path.name}-far"
    far.mkdir()
    arguments = [f"--tx=popen//chdir={far}", "--dist=load", f"--rsyncdir={project.path}", str(project.path)]
    result = project.run_in_new_process("-pxdist", *arguments)
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["3 recordings came home from workers on other machines."])
    assert project.recordings() == [
        "tests/llm_cassettes/test_chat/_fixtures/shared.yaml",
        "tests/llm_cassettes/test_chat/chat/test_it[0].yaml",
        "tests/llm_cassettes/test_chat/chat/test_it[1].yaml",
    ]
    for name in project.recordings():
        assert (project.path / name).read_bytes() == (far / project.path.name / name).read_bytes()
    project.stop_server()
    project.outcomes("--llm-record=none", passed=3)


def test_workers_on_the_same_files_send_nothing(project: Project) -> None:
    project.write(TESTS.replace("URL", f"{project.server.url}/chat/completions"))
    project.write(
        CONFTEST.replace('if hasattr(report, "node"):', "if True:").replace("trylast", "tryfirst"), "conftest.py"
    )
    result = project.outcomes("-n2", passed=3)
    assert "came home" not in result.stdout.str()
    assert len(project.recordings()) == 3
