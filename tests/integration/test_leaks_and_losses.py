"""Ways in which a key could reach the disk, a wrong answer could replay, or a failure could go unseen."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.cassettes.format import Interaction, Tape, dumps, loads
from pytest_llmeval.errors import CassetteError
from pytest_llmeval.providers.endpoints import OPENAI, connection_of
from tests.integration.conftest import Project, others_but

KEY = "correct-horse-battery-staple-of-the-bank"
# pytest-asyncio warns where its loop scope is not set.
LOOP_SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")
WITHOUT = others_but("asyncio")
HTTPX = """
import httpx, pytest

URL = "{url}"

def ask(body=None, **params):
    return httpx.post(URL + "/chat/completions", json=body or {{"messages": []}}, params=params)
"""


def write_httpx(project: Project, test: str) -> None:
    project.write(HTTPX.format(url=project.server.url) + test)


@pytest.mark.parametrize("odd", ["\\u2028", "\\x85", "\\x1b", "\\ufeff"])
def test_a_key_beside_an_odd_character_is_found(project: Project, monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setenv("BANK_API_KEY", KEY)
    write_httpx(
        project,
        f"""
def test_it(llm):
    httpx.post(URL, content=("x" * 50 + "{KEY} {odd}").encode(), headers={{"content-type": "text/plain"}})
    ask({{"messages": [], "system": "{KEY} {odd}"}})
""",
    )
    result = project.run()
    result.stdout.fnmatch_lines(["*not written, since it would hold a secret*the value of BANK_API_KEY*"])
    assert project.recordings() == []


def test_what_the_hook_takes_out_of_a_stream_is_nowhere_in_the_file(project: Project) -> None:
    project.write(
        """
        import re

        def pytest_llmeval_redact(request, response):
            request.body = re.sub(rb"customer-[0-9]+", b"customer-0", request.body)
            if response is not None:
                response.content = re.sub(rb"er-[0-9]+", b"er-0", response.content)
        """,
        "conftest.py",
    )
    project.write('def test_it(llm):\n    assert llm.complete("customer-1234", stream=True).content\n')
    project.outcomes(passed=1)
    assert "1234" not in project.recording().read_text(encoding="utf-8")
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


@pytest.mark.parametrize("url", ["http://api.openai.com/v1", "https://api.openai.com:8443/v1", "https://openai.com/v1"])
def test_a_key_goes_to_its_providers_own_origin_only(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert connection_of(OPENAI, Candidate("x", "openai", "m", base_url=url)).key != KEY
    assert connection_of(OPENAI, Candidate("x", "openai", "m", base_url="https://api.openai.com/v1")).key == KEY


def test_a_stand_in_for_a_key_goes_nowhere_in_a_url_either(project: Project) -> None:
    write_httpx(project, 'import os\n\ndef test_it(llm):\n    ask(key=os.environ["GEMINI_API_KEY"])\n')
    result = project.outcomes(failed=1)
    result.stdout.fnmatch_lines(["No key: GEMINI_API_KEY is not set*", "  POST */chat/completions"])
    result.stdout.no_fnmatch_line("  POST *key=*")
    assert project.server.asked == []


def test_a_parameter_that_is_no_secret_is_a_part_of_the_question(project: Project) -> None:
    write_httpx(project, 'def test_it(llm):\n    ask(country_code="DE", page_token="a")\n')
    project.outcomes(passed=1)
    write_httpx(project, 'def test_it(llm):\n    ask(country_code="FR", page_token="a")\n')
    result = project.outcomes("--llm-record=none", failed=1)
    result.stdout.fnmatch_lines(["*is stale*", "  url: *country_code=DE* -> *country_code=FR*"])


def test_failed_subtests_are_no_pass(project: Project) -> None:
    project.write("""
        import pytest

        def test_it(llm, subtests):
            for right in (True, False):
                with subtests.test(str(right)):
                    assert right
    """)
    if not hasattr(pytest, "Subtests"):
        pytest.skip("subtests came with pytest 9")
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (record,) = project.records().tests
    assert (record.outcome, record.score) == ("failed", 0.0)


def test_a_skip_does_not_hide_a_miss(project: Project) -> None:
    project.write("""
        import pytest

        def test_it(llm):
            try:
                llm.complete("Hi")
            except BaseException:
                pytest.skip("backend down")
    """)
    project.outcomes("--llm-record=none", failed=1)


def test_http_client_reaches_nobody_in_replay(project: Project) -> None:
    project.write(f"""
        import http.client

        def test_it(llm):
            connection = http.client.HTTPConnection("{project.server.host}")
            connection.request("GET", "/v1/models")
            connection.getresponse().read()
            connection.close()
    """)
    result = project.outcomes("--llm-record=none", failed=1)
    result.stdout.fnmatch_lines(["http.client wants to reach*which replay does not allow*"])
    assert project.server.asked == []
    project.outcomes("--llm-record=none", "-o", f"llm_passthrough={project.server.host}", passed=1)


def test_an_async_stream_that_is_left_open_is_told(project: Project) -> None:
    project.write(f"""
        import openai, pytest

        @pytest.mark.asyncio(loop_scope="session")
        async def test_it(llm):
            client = openai.AsyncOpenAI(base_url="{project.server.url}", api_key="k")
            messages = [{{"role": "user", "content": "x"}}]
            test_it.client = client
            test_it.stream = await client.chat.completions.create(model="m", messages=messages, stream=True)
            await anext(aiter(test_it.stream))

        @pytest.mark.asyncio(loop_scope="session")
        async def test_that_keeps_the_loop_open():
            await test_it.stream.close()
            await test_it.client.close()
    """)
    result = project.run(*LOOP_SCOPE, without=WITHOUT)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["The answer of *was not read to its end*"])
    # What the project left is to go here, where it would be blamed on this test, and not in the middle of another.
    gc.collect()


def test_an_answer_with_half_a_character_is_written_so_that_it_can_be_read() -> None:
    body = b'{"content": "cut emoji \\ud83d and a line\\u2028break"}'
    headers = {"content-type": ["application/json"]}
    text = dumps(Tape([Interaction("POST", "https://h/", body, headers, 200, "OK", headers, body)]))
    (back,) = loads(text, Path("x.yaml")).interactions
    assert json.loads(back.content) == json.loads(back.body) == json.loads(body)
    assert "binary" not in text


@pytest.mark.parametrize("other", ["model", "messages"])
def test_a_call_cannot_ask_someone_else(project: Project, other: str) -> None:
    project.write(f'def test_it(llm):\n    llm.complete("hi", {other}="x")\n')
    result = project.outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*TypeError: complete() takes no '{other}'*"])
    assert project.server.asked == []


def test_a_folder_that_all_test_files_share_mirrors_them(project: Project) -> None:
    for folder in ("x", "y"):
        project.write(f'def test_u(llm):\n    llm.complete("{folder}")\n', f"{folder}/test_m.py")
    project.outcomes("-o", f"llm_cassette_dir={project.path}/rec", "--import-mode=importlib", passed=2)
    assert project.recordings() == ["rec/x/test_m/chat/test_u.yaml", "rec/y/test_m/chat/test_u.yaml"]


def test_a_fixture_that_overrides_one_of_its_name_has_a_recording_of_its_own(project: Project) -> None:
    fixture = HTTPX.format(url=project.server.url)
    fixture += "\n@pytest.fixture(scope='module')\ndef answer(ARGS):\n    return ask({'messages': [], 'n': N})\n"
    project.write(fixture.replace("ARGS", "").replace("N}", "1}"), "conftest.py")
    project.write(fixture.replace("ARGS", "answer").replace("N}", "2}") + "\ndef test_it(llm, answer): pass\n")
    project.outcomes(passed=1)
    assert len(project.recordings()) == 2
    project.outcomes("--llm-record=none", passed=1)


def test_parameters_of_a_wide_fixture_are_told_apart(project: Project) -> None:
    for name in "xy":
        write_httpx(
            project,
            f"""
@pytest.mark.parametrize("db", ["{name}"], indirect=True)
def test_it(llm, db): pass
""",
        )
        (project.path / "test_chat.py").rename(project.path / f"test_{name}.py")
    head = HTTPX.format(url=project.server.url)
    project.write(
        f"{head}\n@pytest.fixture(scope='session')\n"
        "def db(request):\n    return ask({'messages': [], 'db': request.param})\n",
        "conftest.py",
    )
    project.outcomes(passed=2)
    project.outcomes("--llm-record=none", passed=2)


def test_a_group_of_xdist_cuts_no_other_name(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.parametrize("mail", ["bob@a.com", "bob@b.com"])
        def test_u(llm, mail):
            llm.complete(mail)
    """)
    project.outcomes(passed=2)
    project.run("-n1", "--dist=loadgroup", "--llm-record=none").assert_outcomes(passed=2)


def test_what_came_too_late_fails_the_run_under_xdist_too(project: Project) -> None:
    project.write("""
        import threading, time
        from contextvars import copy_context

        def late(llm):
            time.sleep(0.3)
            llm.complete("late")

        def test_first(llm):
            threading.Thread(target=copy_context().run, args=(late, llm)).start()

        def test_plain():
            time.sleep(0.6)
    """)
    result = project.run("-n1", "-p", "no:threadexception")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*was asked after its test had ended*"])


def test_aliases_that_hold_each_other_are_refused() -> None:
    lines = ["version: 1", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(CassetteError, match="too large"):
        loads("\n".join([*lines, "interactions: []"]), Path("x.yaml"))


def test_a_key_in_the_place_of_a_variables_name_is_not_repeated(project: Project) -> None:
    project.add_model("other", f'model = "openai:other"\napi_key_env = "{KEY}"')
    result = project.run(models="other")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "api_key_env: should be the name of an environment variable" in result.stderr.str()
    assert KEY not in result.stdout.str() + result.stderr.str()


def test_aiohttps_json_and_forms_are_told_apart(project: Project) -> None:
    project.write(f"""
        import aiohttp, pytest

        @pytest.mark.asyncio
        async def test_it(llm):
            async with aiohttp.ClientSession() as session:
                value = {{"a": "1"}}
                for body in ({{"json": value}}, {{"data": value}}, {{"data": aiohttp.FormData(value)}}):
                    async with session.post("{project.server.url}/x", **body) as response:
                        assert await response.json()
    """)
    project.run(*LOOP_SCOPE, without=WITHOUT).assert_outcomes(passed=1)
    assert json.dumps(project.server.asked[0]) == json.dumps({"a": "1"})
    project.stop_server()
    project.run("--llm-record=none", *LOOP_SCOPE, without=WITHOUT).assert_outcomes(passed=1)
