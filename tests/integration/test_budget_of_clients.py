"""`--llm-max-cost` for clients that the code under test builds itself."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.integration.conftest import Project
from tests.integration.test_budget import BUDGET, COST, check_within, outcomes, spending
from tests.servers import ScriptedServer, sse_reply

SAMPLE = 'messages = [{"role": "user", "content": question}]'
# What stands for the code under test: `ask(question)`.
APPS = {
    "openai": f"""
def ask(question):
    from openai import OpenAI
    {SAMPLE}
    with OpenAI(api_key="k", base_url=URL) as client:
        return client.chat.completions.create(model="m", messages=messages, max_tokens=20)
""",
    "openai streamed": f"""
def ask(question):
    from openai import OpenAI
    {SAMPLE}
    more = {{"stream": True, "stream_options": {{"include_usage": True}}}}
    with OpenAI(api_key="k", base_url=URL) as client:
        return list(client.chat.completions.create(model="m", messages=messages, max_tokens=20, **more))
""",
    "openai async": f"""
async def aask(question):
    from openai import AsyncOpenAI
    {SAMPLE}
    async with AsyncOpenAI(api_key="k", base_url=URL) as client:
        return await client.chat.completions.create(model="m", messages=messages, max_completion_tokens=20)
""",
    "anthropic": f"""
def ask(question):
    from anthropic import Anthropic
    {SAMPLE}
    with Anthropic(api_key="k", base_url=URL.removesuffix("/v1")) as client:
        return client.messages.create(model="m", max_tokens=20, messages=messages)
""",
    "anthropic streamed": f"""
def ask(question):
    from anthropic import Anthropic
    {SAMPLE}
    with Anthropic(api_key="k", base_url=URL.removesuffix("/v1")) as client:
        return list(client.messages.create(model="m", max_tokens=20, messages=messages, stream=True))
""",
    "httpx": """
def ask(question):
    import httpx
    return httpx.post(URL + "/chat/completions", json=body(question))
""",
    "requests": """
def ask(question):
    import requests
    return requests.post(URL + "/chat/completions", json=body(question))
""",
    "aiohttp": """
async def aask(question):
    import aiohttp
    async with aiohttp.ClientSession() as session:
        async with session.post(URL + "/chat/completions", json=body(question)) as answer:
            return await answer.json()
""",
    "urllib": """
def ask(question):
    import json
    from urllib.request import Request, urlopen
    data, headers = json.dumps(body(question)).encode(), {"content-type": "application/json"}
    with urlopen(Request(URL + "/chat/completions", data, headers)) as answer:
        return answer.read()
""",
}
TESTS = """
import asyncio
from concurrent.futures import ThreadPoolExecutor
import app
import pytest

@pytest.mark.llm_cassette
def test_app():
    questions = [f"question {n}" for n in range(20)]
    if hasattr(app, "aask"):
        async def main():
            await asyncio.gather(*map(app.aask, questions))
        asyncio.run(main())
    else:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(app.ask, questions))
"""


def write_app(project: Project, source: str, *, prices: str = "prices = {input = 1.0, output = 10.0}") -> None:
    head = """
def body(question):
    return {"model": "m", "messages": [{"role": "user", "content": question}], "max_tokens": 20}
"""
    project.add_model("app", f'model = "openai:m"\n{prices}')
    project.write(f"URL = {project.server.url!r}\n{head}\n{source}", "app.py")


@pytest.mark.parametrize("mode", ["once", "live"])
@pytest.mark.parametrize("name", APPS)
def test_what_the_code_under_test_asks_stays_within_the_budget(project: Project, name: str, mode: str) -> None:
    project.server.delay = 0.01
    write_app(project, APPS[name])
    project.write(TESTS)
    project.run(f"--llm-max-cost={BUDGET}", f"--llm-record={mode}", models=None)
    check_within(project)
    assert outcomes(project) == {"not_run": 1}
    assert BUDGET - Decimal(spending(project).spent) < Decimal("0.0007")


def test_a_stream_that_does_not_say_what_it_used_counts_as_the_most_that_it_can_have_cost(project: Project) -> None:
    def chunk(text: str, reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": reason}
        return {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

    with ScriptedServer() as server:
        server.script(sse_reply(chunk("Hi", None), chunk("", "stop"), "[DONE]"))
        write_app(project, APPS["openai streamed"].replace("base_url=URL", f"base_url={server.url!r}"))
        project.add_settings(
            '[tool.llmeval.models.scripted]\nmodel = "openai:m"\n'
            f'base_url = "{server.url}"\nprices = {{input = 1.0, output = 10.0}}'
        )
        project.write("import app\ndef test_app(llm):\n    app.ask('x')\n")
        result = project.run("--llm-max-cost=1")
    budget = spending(project)
    assert (outcomes(project), budget.spent, budget.assumed_calls) == ({"passed": 1}, "0", 1)
    assert Decimal("0.0002") < Decimal(budget.assumed) < Decimal("0.0007")
    result.stdout.fnmatch_lines(["budget *and up to $0.000* for 1 call of which nobody knows what it cost"])


def test_a_stream_that_is_left_early_counts_as_the_most_that_it_can_have_cost(project: Project) -> None:
    source = APPS["openai streamed"].replace("list(", "next(iter(").replace("**more)", "**more))")
    # A client that is closed closes its connections, and what is on its way is lost.
    kept = source.replace("with OpenAI", "KEPT.append(OpenAI").replace(" as client:", ")\n    for client in KEPT[-1:]:")
    write_app(project, f"KEPT = []\n{kept}")
    project.write("import app\ndef test_app(llm):\n    app.ask('x')\n")
    # What is recorded is read to its end, and so says what it used.
    for mode, assumed in (("live", 1), ("all", 0)):
        project.run("--llm-max-cost=1", f"--llm-record={mode}")
        assert (outcomes(project), spending(project).assumed_calls) == ({"passed": 1}, assumed)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            APPS["httpx"].replace("body(question)", '{"messages": []}'),
            "a model at http://127.0.0.1:*: nobody publishes*",
        ),
        (APPS["httpx"].replace("body(question)", '{**body(question), "model": "x"}'), "*: nobody publishes prices*"),
        (APPS["openai"].replace(", max_tokens=20", ""), "app at http://127.0.0.1:*: nothing limits*; set max_tokens"),
        (APPS["requests"].replace("body(question)", '{"messages": []}'), "*: nobody publishes prices*"),
    ],
    ids=["no model", "another model", "no limit", "requests"],
)
def test_a_call_whose_cost_nobody_knows_is_an_error_unless_that_is_ignored(
    project: Project, source: str, why: str
) -> None:
    write_app(project, source)
    project.write("""
import app

def test_app(llm):
    try:
        app.ask("x")
    except BaseException:
        pass
""")
    result = project.run("--llm-max-cost=1")
    assert (outcomes(project), project.server.asked) == ({"error": 1}, [])
    result.stdout.fnmatch_lines(
        ["--llm-max-cost=1 needs to know what calls can cost, and cannot tell for:", f"  {why}", "*ignore."]
    )
    result = project.run("--llm-max-cost=1", "--llm-unknown-price=ignore")
    assert (outcomes(project), len(project.server.asked)) == ({"passed": 1}, 1)
    known = "limit" in why
    assert (spending(project).unpriced, spending(project).spent) == ((0, str(COST)) if known else (1, "0"))
    if not known:
        result.stdout.fnmatch_lines(["budget *$1.00: spent ≥ $0.00 (1 call unpriced)"])


def test_what_asks_no_model_needs_no_price(project: Project) -> None:
    project.write(f"""
import httpx, pytest
URL = {project.server.url!r}

@pytest.mark.llm_cassette
def test_it():
    httpx.get(URL + "/models")
    httpx.post(URL + "/weather", json={{"city": "Bonn"}})
    httpx.post(URL + "/messages/count_tokens", json={{"model": "m", "messages": []}})
""")
    assert project.run("--llm-max-cost=0", models=None).ret == pytest.ExitCode.OK
    assert len(project.server.asked) == 3


def test_hosts_that_are_left_alone_are_not_counted(project: Project) -> None:
    write_app(project, APPS["httpx"])
    project.write(TESTS)
    project.write(f"[pytest]\nllm_passthrough = {project.server.host}", "pytest.ini")
    assert project.run("--llm-max-cost=0", models=None).ret == pytest.ExitCode.OK
    assert len(project.server.asked) == 20


@pytest.mark.parametrize("name", ["requests", "aiohttp", "urllib"])
def test_a_connection_of_another_library_that_is_refused_costs_nothing(project: Project, name: str) -> None:
    write_app(project, APPS[name])
    project.stop_server()
    project.write(TESTS)
    result = project.run("--llm-max-cost=1", models=None)
    result.assert_outcomes(failed=1)
    assert spending(project).assumed_calls == 0


def test_what_another_process_asks_cannot_slip_by(project: Project) -> None:
    write_app(project, APPS["httpx"])
    project.write("""
import multiprocessing
import app
import pytest

@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.llm_cassette
def test_it(method):
    process = multiprocessing.get_context(method).Process(target=app.ask, args=("x",))
    process.start()
    process.join()
    assert process.exitcode == 0
""")
    project.run("--llm-max-cost=1", "--llm-record=live", models=None)
    assert (outcomes(project), project.server.asked) == ({"failed": 2}, [])
    project.run("--llm-record=live", models=None)
    assert (outcomes(project), len(project.server.asked)) == ({"passed": 2}, 2)


def test_a_redacted_request_is_paid_for_as_it_goes_out(project: Project) -> None:
    write_app(project, APPS["httpx"])
    project.write(
        """
def pytest_llmeval_redact(request, response):
    request.body = b'{"model": "m", "messages": [], "max_tokens": 1}'
""",
        "conftest.py",
    )
    project.write("import app\ndef test_app(llm):\n    app.ask('x' * 1000)\n")
    project.run("--llm-max-cost=0.001", "--llm-record=all")
    assert (outcomes(project), project.server.asked) == ({"not_run": 1}, [])


def test_prices_of_a_hook_hold_for_a_provider_of_a_third_party(project: Project) -> None:
    project.write(
        f"""
import httpx
from decimal import Decimal
from pytest_llmeval import Response, Usage
from pytest_llmeval.settings import Prices

class Inhouse:
    billing = None
    hosting = "api"

    def __init__(self, candidate):
        self.model = candidate.model

    def complete(self, request):
        body = {{"model": self.model, "messages": list(request.messages), "max_tokens": 20}}
        answer = httpx.post("{project.server.url}/chat/completions", json=body).json()
        return Response("x", usage=Usage(120, 20), model=answer["model"])

    def close(self): pass

def pytest_llmeval_providers(config):
    return {{"inhouse": Inhouse}}

def pytest_llmeval_prices(config):
    return {{"inhouse:large": Prices(input=Decimal(1), output=Decimal(10))}}
""",
        "conftest.py",
    )
    project.write("""
import pytest

@pytest.mark.parametrize("n", range(12))
def test_it(llm, n):
    llm.complete(f"question {n}")
""")
    project.run(f"--llm-max-cost={BUDGET}", models="inhouse:large")
    check_within(project)
    assert set(outcomes(project)) == {"passed", "not_run"}
    result = project.run("--llm-max-cost=1", models="inhouse:small")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["  inhouse:small: nobody publishes prices*"])
