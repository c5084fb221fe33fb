"""What a project or another plugin adds through hooks, and life beside other plugins."""

from __future__ import annotations

import sys

import pytest

from tests.integration.conftest import OTHERS, Project

ASK = """
def test_ask(llm):
    assert llm.complete("Hi").json()["echo"] == "Hi"
"""

PROVIDER = """
import httpx
from pytest_llmeval import ProviderError, Response, Usage

class Inhouse:
    billing = None
    hosting = "self-hosted"
    closed = []

    def __init__(self, candidate):
        self.model = candidate.model

    def complete(self, request):
        body = {{"model": self.model, "messages": list(request.messages)}}
        answer = httpx.post("{url}/chat/completions", json=body).json()
        usage = Usage(answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"])
        return Response(answer["choices"][0]["message"]["content"], usage=usage, model=answer["model"])

    async def acomplete(self, request):
        return self.complete(request)

    def close(self):
        print("closed", self.model)

def pytest_llmeval_providers(config):
    return {{"inhouse": Inhouse}}
"""


def write_provider(project: Project, name: str = "conftest.py") -> None:
    project.write(PROVIDER.format(url=project.server.url), name)
    project.write(ASK)


def test_a_provider_of_a_third_party_is_recorded_replayed_and_summarized(project: Project) -> None:
    write_provider(project)
    result = project.run("-s", models="inhouse:large")
    result.assert_outcomes(passed=1)
    assert result.outlines.count("closed large") == 1
    project.stop_server()
    result = project.outcomes("--llm-record=none", models="inhouse:large", passed=1)
    result.stdout.fnmatch_lines(["inhouse:large * 1/1 *"])
    (call,) = project.records().tests[0].calls
    assert (call.candidate, call.model, call.input_tokens) == ("inhouse:large", "large", 120)
    assert (call.cost, call.cost_status) == (None, "unknown")


def test_a_provider_of_a_third_party_can_have_an_alias(project: Project) -> None:
    write_provider(project)
    project.add_settings('[tool.llmeval.models.house]\nmodel = "inhouse:large"\nprices = { input = 1, output = 1 }')
    project.outcomes(models="house", passed=1)
    assert project.records().tests[0].calls[0].cost == "0.00014"


def test_a_provider_of_an_installed_plugin_is_known(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    write_provider(project, "inhouse_plugin.py")
    monkeypatch.syspath_prepend(project.path)
    project.outcomes("-p", "inhouse_plugin", models="inhouse:large", passed=1)
    result = project.run("-p", "inhouse_plugin", models="inhuose:large")
    result.stderr.fnmatch_lines(["*Did you mean 'inhouse'?*"])


@pytest.mark.parametrize("error", ["TimeoutError('slow')", "ProviderError('slow', candidate='x', kind='timeout')"])
def test_an_error_of_a_third_partys_provider_is_no_score(project: Project, error: str) -> None:
    provider = PROVIDER.format(url=project.server.url)
    project.write(provider.replace("        body =", f"        raise {error}\n        body ="), "conftest.py")
    project.write(ASK)
    project.outcomes(models="inhouse:large", failed=1)
    (record,) = project.records().tests
    assert (record.outcome, record.score) == ("error", None)
    assert len(record.calls) == 1
    assert record.calls[0].error is not None


def test_prices_from_a_hook_hold_where_the_settings_give_none(project: Project) -> None:
    project.add_model("other", 'model = "openai:other"')
    project.write(
        """
        from decimal import Decimal
        from pytest_llmeval import Prices

        def pytest_llmeval_prices(config):
            price = Prices(input=Decimal(2), output=Decimal(20))
            return {"other": price, "chat": price}
        """,
        "conftest.py",
    )
    project.write(ASK)
    project.outcomes(models="chat,other", passed=2)
    assert {test.candidate: test.calls[0].cost for test in project.records().tests} == {
        "chat": "0.00032",
        "other": "0.00064",
    }


REDACT = """
import re

def pytest_llmeval_redact(request, response):
    request.body = re.sub(rb"customer-[0-9]+", b"customer-0", request.body)
    if response is not None:
        response.content = re.sub(rb"customer-[0-9]+", b"customer-0", response.content)
"""


def test_what_a_hook_redacts_reaches_the_server_but_not_the_disk(project: Project) -> None:
    project.write(REDACT, "conftest.py")
    project.write('def test_ask(llm):\n    assert "customer" in llm.complete("I am customer-4711").content\n')
    project.outcomes(passed=1)
    assert project.server.asked[0]["messages"][0]["content"] == "I am customer-4711"
    text = project.recording().read_text(encoding="utf-8")
    assert ("customer-4711" in text, text.count("customer-0")) == (False, 2)
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


def test_what_a_hook_redacts_can_hold_a_secret(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "customer-4711")
    project.write(REDACT, "conftest.py")
    project.write('def test_ask(llm):\n    llm.complete("I am customer-4711")\n')
    project.outcomes(passed=1)
    project.outcomes("--llm-record=none", passed=1)


def test_run_finished_gets_the_whole_run_once(project: Project) -> None:
    project.write(
        """
        def pytest_llmeval_run_finished(config, run):
            print("finished:", run.candidates, run.mode, [(test.nodeid, test.score) for test in run.tests])
        """,
        "conftest.py",
    )
    project.write(ASK)
    for args in ((), ("--llm-summary=off",), ("-q",)):
        result = project.run("-s", *args)
        finished = [line for line in result.outlines if line.startswith("finished:")]
        assert finished == ["finished: ['chat'] once [('test_chat.py::test_ask[chat]', 1.0)]"]


def test_run_finished_is_not_called_without_llm_tests(project: Project) -> None:
    project.write("def pytest_llmeval_run_finished(run):\n    assert 0\n", "conftest.py")
    project.write("def test_plain(): pass\n")
    project.outcomes(passed=1)


RECORDING = """
import httpx
import pytest

def ask(question):
    body = {"messages": [{"role": "user", "content": question}]}
    return httpx.post("URL/chat/completions", json=body).json()["choices"][0]["message"]["content"]

@pytest.mark.vcr
def test_theirs():
    assert '"theirs"' in ask("theirs")

def test_ours(llm):
    assert '"ours"' in ask("ours")
    assert llm.complete("ours too").json()

@pytest.mark.vcr
def test_theirs_again():
    assert '"again"' in ask("again")

@pytest.mark.llm_cassette
def test_ours_again():
    assert '"ours"' in ask("ours")
"""


def test_pytest_recording_works_beside_it(project: Project) -> None:
    project.write(RECORDING.replace("URL", project.server.url))
    without = tuple(name for name in OTHERS if name != "recording")
    project.run("--record-mode=once", without=without).assert_outcomes(passed=4)
    assert project.recordings() == [
        "cassettes/test_chat/test_theirs.yaml",
        "cassettes/test_chat/test_theirs_again.yaml",
        "llm_cassettes/test_chat/chat/test_ours.yaml",
        "llm_cassettes/test_chat/test_ours_again.yaml",
    ]
    assert len(project.server.asked) == 5
    project.stop_server()
    project.run("--record-mode=none", "--llm-record=none", without=without).assert_outcomes(passed=4)
    project.run("--block-network", "--llm-record=none", without=without).assert_outcomes(passed=4)


def test_all_installed_plugins_work_together(project: Project) -> None:
    project.write(ASK)
    project.run("-o", "asyncio_default_fixture_loop_scope=function", without=()).assert_outcomes(passed=1)


def test_switched_off_it_leaves_no_trace(project: Project) -> None:
    project.write("""
        import httpx, httpx2

        def test_plain():
            assert httpx.HTTPTransport.handle_request.__module__ == "httpx._transports.default"
            assert httpx2.HTTPTransport.handle_request.__module__ == "httpx2._transports.default"
            assert httpx.HTTPTransport.handle_request.__qualname__ == "HTTPTransport.handle_request"

        def test_llm(llm): pass
    """)
    result = project.run("-p", "no:llmeval", models=None)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'llm' not found"])
    result.stdout.no_fnmatch_line("*llmeval:*")
    assert "--llm-models" not in project.run("-p", "no:llmeval", "--help", models=None).stdout.str()


def test_after_a_run_everything_it_patched_is_as_it_was(project: Project) -> None:
    import aiohttp
    import httpx
    import httpx2
    import urllib3

    def patched() -> list[object]:
        return [
            httpx.HTTPTransport.handle_request,
            httpx.AsyncHTTPTransport.handle_async_request,
            httpx2.HTTPTransport.handle_request,
            httpx2.AsyncHTTPTransport.handle_async_request,
            urllib3.HTTPConnectionPool.urlopen,
            urllib3.HTTPConnectionPool.ConnectionCls,
            aiohttp.ClientSession._request,
        ]

    before, finders = patched(), list(sys.meta_path)
    url = f"{project.server.url}/chat/completions"
    project.write(f"""
        import pytest, requests, urllib.request

        def test_fails(llm):
            requests.post({url!r}, json={{}})
            urllib.request.urlopen({url!r}, b"{{}}").close()
            assert 0

        def test_broken(llm):
            pytest.exit("stopped")
    """)
    project.run()
    assert patched() == before
    assert [finder for finder in sys.meta_path if finder not in finders] == []


def test_a_redaction_hook_that_fails_is_named(project: Project) -> None:
    project.write("def pytest_llmeval_redact(request, response):\n    response.content = b''\n", "conftest.py")
    project.write(ASK)
    result = project.outcomes(failed=1)
    result.stdout.fnmatch_lines(["*The hook pytest_llmeval_redact failed: AttributeError: *"])
    result.stdout.no_fnmatch_line("*ProviderError*")
