"""Requests that the code under test makes with clients of its own."""

from __future__ import annotations

import pytest
import vcr
from vcr.record_mode import RecordMode

from tests.integration.conftest import Project

# What stands for the code under test: `ask(question)` returns the text of the answer, or of the body where it is JSON.
APPS = {
    "openai": """
        def ask(question):
            from openai import OpenAI
            messages = [{"role": "user", "content": question}]
            with OpenAI(api_key="k", base_url=URL) as client:
                return client.chat.completions.create(model="m", messages=messages).choices[0].message.content
    """,
    "openai streamed": """
        def ask(question):
            from openai import OpenAI
            messages = [{"role": "user", "content": question}]
            with OpenAI(api_key="k", base_url=URL) as client:
                chunks = client.chat.completions.create(model="m", messages=messages, stream=True)
                return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    """,
    "anthropic": """
        def ask(question):
            from anthropic import Anthropic
            messages = [{"role": "user", "content": question}]
            with Anthropic(api_key="k", base_url=URL.removesuffix("/v1")) as client:
                return client.messages.create(model="m", max_tokens=9, messages=messages).content[0].text
    """,
    "openai async": """
        def ask(question):
            import asyncio
            from openai import AsyncOpenAI

            async def main():
                async with AsyncOpenAI(api_key="k", base_url=URL) as client:
                    messages = [{"role": "user", "content": question}]
                    answer = await client.chat.completions.create(model="m", messages=messages)
                    return answer.choices[0].message.content

            return asyncio.run(main())
    """,
    "httpx": """
        def ask(question):
            import httpx
            return httpx.post(URL + "/chat/completions", json=body(question)).json()["choices"][0]["message"]["content"]
    """,
    "requests": """
        def ask(question):
            import requests
            answer = requests.post(URL + "/chat/completions", json=body(question))
            return answer.json()["choices"][0]["message"]["content"]
    """,
    "aiohttp": """
        def ask(question):
            import asyncio
            import aiohttp

            async def main():
                async with aiohttp.ClientSession() as session:
                    async with session.post(URL + "/chat/completions", json=body(question)) as answer:
                        return (await answer.json())["choices"][0]["message"]["content"]

            return asyncio.run(main())
    """,
    "urllib": """
        def ask(question):
            import json
            from urllib.request import Request, urlopen
            data, headers = json.dumps(body(question)).encode(), {"content-type": "application/json"}
            with urlopen(Request(URL + "/chat/completions", data, headers)) as answer:
                return json.load(answer)["choices"][0]["message"]["content"]
    """,
}
TESTS = """
import json
import pytest
from app import ask

@pytest.mark.llm_cassette
def test_marked():
    assert json.loads(ask("one")) == {"echo": "one", "n": 1}

def test_with_llm(llm):
    assert json.loads(ask("one")) == {"echo": "one", "n": 2}
    assert json.loads(ask("two")) == {"echo": "two", "n": 3}
"""
BOTH = ["llm_cassettes/test_app/chat/test_with_llm.yaml", "llm_cassettes/test_app/test_marked.yaml"]


def write_app(project: Project, name: str) -> None:
    head = 'def body(question):\n    return {"messages": [{"role": "user", "content": question}]}\n\n'
    app = "\n".join(line.removeprefix("        ") for line in APPS[name].splitlines())
    project.write(f"URL = {project.server.url!r}\n\n{head}{app}", "app.py")
    project.write(TESTS, "test_app.py")


@pytest.mark.parametrize("name", APPS)
def test_a_client_of_its_own_is_recorded_and_replayed(project: Project, name: str) -> None:
    write_app(project, name)
    project.outcomes(passed=2)
    assert project.recordings() == BOTH
    project.stop_server()
    project.outcomes("--llm-record=none", passed=2)
    assert len(project.server.asked) == 3


@pytest.mark.parametrize("name", APPS)
def test_a_changed_prompt_of_its_own_is_stale(project: Project, name: str) -> None:
    write_app(project, name)
    project.outcomes(passed=2)
    project.write(TESTS.replace('ask("one")', 'ask("uno")'), "test_app.py")
    result = project.outcomes("--llm-record=none", failed=2)
    result.stdout.fnmatch_lines(["*test_marked.yaml is stale: it has no recording of this request.", "*{+uno+}*"])
    assert [record.outcome for record in project.records().tests] == ["error", "error"]


@pytest.mark.parametrize("name", [name for name in APPS if "async" not in name and name != "aiohttp"])
def test_plain_vcrpy_replays_a_recording(project: Project, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_app(project, name)
    project.outcomes(passed=2)
    project.stop_server()
    space: dict[str, object] = {}
    exec((project.path / "app.py").read_text(encoding="utf-8"), space)
    ask = space["ask"]
    assert callable(ask)
    path = project.path / BOTH[0]
    match_on = ["method", "uri", "body"]
    with vcr.use_cassette(str(path), record_mode=RecordMode.NONE, match_on=match_on) as cassette:
        assert ask("two") == '{"echo": "two", "n": 3}'
        assert cassette.play_count == 1


LAZY = """
import sys
import pytest

URL = %r
BODY = {"messages": [{"role": "user", "content": "x"}]}

@pytest.mark.llm_cassette
def test_nothing_is_imported_yet():
    assert sorted({"requests", "urllib3", "httpx", "httpx2", "aiohttp", "openai", "vcr"} & set(sys.modules)) == []

@pytest.mark.llm_cassette
def test_requests():
    import requests
    assert requests.post(URL, json=BODY).json()["choices"]

@pytest.mark.llm_cassette
def test_httpx():
    import httpx
    assert httpx.post(URL, json=BODY).json()["choices"]

@pytest.mark.llm_cassette
def test_urllib3():
    import urllib3
    assert urllib3.request("POST", URL, json=BODY).json()["choices"]

@pytest.mark.llm_cassette
def test_aiohttp():
    import asyncio, aiohttp
    async def main():
        async with aiohttp.ClientSession() as session, session.post(URL, json=BODY) as answer:
            return await answer.json()
    assert asyncio.run(main())["choices"]
"""


def test_libraries_that_are_imported_in_the_test_are_recorded(project: Project) -> None:
    project.write(LAZY % f"{project.server.url}/chat/completions", "test_lazy.py")
    project.run_in_new_process().assert_outcomes(passed=5)
    assert len(project.recordings()) == 4
    project.stop_server()
    project.run_in_new_process("--llm-record=none").assert_outcomes(passed=5)


def test_a_host_that_is_passed_through_is_left_alone(project: Project) -> None:
    for name in ("httpx", "requests", "aiohttp", "urllib"):
        write_app(project, name)
        project.write("from app import ask\n\ndef test_it(llm):\n    ask('x')\n", "test_app.py")
        project.outcomes("-o", f"llm_passthrough={project.server.host}", "--llm-record=none", passed=1)
        project.outcomes("-o", "llm_passthrough=127.0.0.1", "--llm-record=none", passed=1)
    assert project.recordings() == []
    assert len(project.server.asked) == 8


def test_a_transport_inside_the_process_is_left_alone(project: Project) -> None:
    project.write("""
        import httpx

        def test_it(llm):
            transport = httpx.MockTransport(lambda request: httpx.Response(200, text="own"))
            with httpx.Client(transport=transport) as client:
                assert client.get("http://anywhere/").text == "own"
    """)
    project.outcomes("--llm-record=none", passed=1)


def test_a_test_that_has_nothing_to_do_with_llms_is_left_alone(project: Project) -> None:
    write_app(project, "httpx")
    project.write(TESTS + "\ndef test_plain():\n    assert ask('free')\n", "test_app.py")
    project.outcomes(passed=3)
    project.outcomes("--llm-record=none", passed=3)
    assert project.recordings() == BOTH
    assert [body["messages"][0]["content"] for body in project.server.asked].count("free") == 2


THREADS = """
from concurrent.futures import ThreadPoolExecutor
from app import ask

def test_it(llm):
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, [f"q{n}" for n in range(18)]))
    assert all(f'"q{n}"' in answer for n, answer in enumerate(answers))
"""


@pytest.mark.parametrize("name", ["openai", "httpx", "requests", "urllib"])
def test_plain_threads_belong_to_the_running_test(project: Project, name: str) -> None:
    write_app(project, name)
    project.write(THREADS, "test_app.py")
    project.outcomes("--llm-record=none", failed=1)
    assert project.server.asked == []
    project.outcomes(passed=1)
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)
    assert len(project.server.asked) == 18


def test_a_test_that_is_skipped_for_lack_of_a_key_stays_skipped(project: Project) -> None:
    project.write("""
        import os, pytest

        @pytest.mark.skipif(not os.environ.get("OPENAI_API_KEY"), reason="no key")
        def test_of_someone_else():
            raise AssertionError("would have asked a live model")

        def test_it(llm): pass
    """)
    project.run().assert_outcomes(passed=1, skipped=1)


def test_a_fixture_of_the_users_own_that_is_called_llm_is_none_of_our_business(project: Project) -> None:
    write_app(project, "httpx")
    project.write(
        """
        import pytest
        from app import ask

        @pytest.fixture
        def llm():
            return ask

        def test_it(llm):
            assert llm("x")
        """,
        "test_app.py",
    )
    project.outcomes(models=None, passed=1)
    assert project.recordings() == []


def test_without_a_key_clients_can_be_built_for_replay_and_no_request_goes_out(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("import os\n\ndef test_plain():\n    assert 'OPENAI_API_KEY' not in os.environ\n", "test_plain.py")
    project.write(
        "import openai\n\ndef test_it(llm):\n"
        "    messages = [{'role': 'user', 'content': 'x'}]\n"
        f"    client = openai.OpenAI(base_url={project.server.url!r})\n"
        "    client.chat.completions.create(model='m', messages=messages)\n",
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["No key: OPENAI_API_KEY is not set*"])
    assert project.server.asked == []
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-the-user")
    project.outcomes("test_chat.py", passed=1)
    monkeypatch.delenv("OPENAI_API_KEY")
    project.outcomes("--llm-record=none", passed=2)
