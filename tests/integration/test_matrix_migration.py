"""What stock vcrpy and pytest-recording recorded is replayed, adopted, and then replayed by both."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
import vcr

from pytest_llmeval.cassettes.adopt import adopt
from pytest_llmeval.cassettes.redact import SecretScanner
from tests.integration.conftest import Project
from tests.matrices import migration


@pytest.mark.usefixtures("plain_environment")
def test_recordings_of_stock_survive_the_move(tmp_path: Path) -> None:
    clients, tests = migration.matrices(tmp_path, whole=False)
    assert clients.lost == []
    assert clients.tried >= 500
    assert tests.lost == []
    assert tests.tried >= 81


OLD_LAYOUT = """\
interactions:
- request:
    body: ''
    headers: {}
    method: GET
    uri: http://127.0.0.1:9/old
  response:
    content: '{"a": "é"}'
    headers:
      content-encoding: [gzip]
      content-type: [application/json]
      x-name: ['Größe']
    http_version: HTTP/1.1
    status_code: 404
- request:
    body: null
    headers: {}
    method: GET
    uri: http://127.0.0.1:9/new
  response:
    body: {string: !!python/unicode '{"a": 2}'}
    headers:
      Content-Type: application/json
    status: {code: 200, message: null}
version: 1
"""
ASK_OLD = """
    import aiohttp, asyncio, httpx, httpx2, pytest, requests

    pytestmark = pytest.mark.llm_cassette

    @pytest.mark.parametrize("module", [httpx, httpx2], ids=["httpx", "httpx2"])
    def test_httpx(module):
        old = module.get("http://127.0.0.1:9/old")
        assert (old.status_code, old.reason_phrase, old.json()) == (404, "Not Found", {"a": "é"})
        assert old.headers["x-name"] == "Größe"
        assert module.get("http://127.0.0.1:9/new").json() == {"a": 2}

    def test_requests():
        old = requests.get("http://127.0.0.1:9/old")
        assert (old.status_code, old.json()) == (404, {"a": "é"})
        assert requests.get("http://127.0.0.1:9/new").json() == {"a": 2}

    def test_aiohttp():
        async def ask(path):
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:9/{path}") as answer:
                return await answer.json()
        assert asyncio.run(ask("old")) == {"a": "é"}
        assert asyncio.run(ask("new")) == {"a": 2}
"""
OLD_TESTS = ("test_httpx[httpx]", "test_httpx[httpx2]", "test_requests", "test_aiohttp")


def test_older_layouts_replay_in_every_client(project: Project) -> None:
    project.write(ASK_OLD, "test_old.py")
    for name in OLD_TESTS:
        project.write(OLD_LAYOUT, f"cassettes/test_old/{name}.yaml")
    project.outcomes("--llm-record=none", models=None, passed=len(OLD_TESTS))


def test_older_layouts_replay_when_adopted(project: Project) -> None:
    project.write(ASK_OLD.replace('assert old.headers["x-name"]', 'assert "Größe"'), "test_old.py")
    for name in OLD_TESTS:
        adopt(project.write(OLD_LAYOUT, f"cassettes/test_old/{name}.yaml"), SecretScanner({}))
    project.outcomes("--llm-record=none", models=None, passed=len(OLD_TESTS))


PORTED = """
    def test_colour(llm):
        assert "red" in llm.complete("red").content
"""


@pytest.mark.parametrize("name", ["test_colour", "test_colour[chat]"])
def test_a_test_that_now_takes_llm_replays_what_it_recorded_without(project: Project, name: str) -> None:
    project.write(PORTED)
    project.outcomes("--llm-record=once", passed=1)
    (body,) = project.server.asked
    ours = project.recording()
    ours.unlink()
    with vcr.use_cassette(str(project.path / f"cassettes/test_chat/{name}.yaml")):
        requests.post(f"{project.server.url}/chat/completions", json=body)
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)
    assert not ours.exists()


@pytest.mark.parametrize("name", ["test_httpx[httpx].yaml", "test_httpx[httpx].json"])
def test_a_damaged_cassette_of_stock_is_told_with_its_line(project: Project, name: str) -> None:
    project.write(ASK_OLD, "test_old.py")
    project.write("{\n  interactions: [", f"cassettes/test_old/{name}")
    result = project.run("--llm-record=none", "test_old.py::test_httpx[httpx]", models=None)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*cassettes/test_old/{name.replace('[', '[[]')}:*: not a usable cassette: *"])
    assert "pytest_llmeval/" not in result.stdout.str()
