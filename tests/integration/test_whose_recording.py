"""Recordings that belong to somebody stay where they are, however odd the project; what a user gets wrong is told."""

from __future__ import annotations

import pytest

from pytest_llmeval.cassettes.format import dumps, loads
from pytest_llmeval.cassettes.scan import cassettes_in
from tests.integration.conftest import Project
from tests.integration.test_cassettes_command import llmeval

LONG = "test_that_the_total_is_extracted_from_a_scanned_page_of_an_invoice"
OWN_CLIENT = """
import openai, pytest

def ask(text):
    client = openai.OpenAI(base_url="{url}", api_key="x")
    return client.chat.completions.create(model="m", messages=[{{"role": "user", "content": text}}])
"""
LEAVES_OUT = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items[:] = [item for item in items if "first" not in item.name]
"""


def test_a_recording_of_a_sessions_fixture_is_no_tests(project: Project) -> None:
    head = OWN_CLIENT.format(url=project.server.url)
    project.write(f"{head}\n@pytest.fixture(scope='session')\ndef context(): return ask('Hi')\n", "conftest.py")
    project.write("import pytest\n\n@pytest.mark.llm_cassette\ndef test_first(context): pass\n")
    project.outcomes(passed=1)
    before = project.recordings()
    project.write(f"{head}\n@pytest.mark.llm_cassette\ndef test_second(): ask('Hi')\n", "test_other.py")
    result = project.outcomes("test_other.py", passed=1)
    result.stdout.no_fnmatch_line("Renamed*")
    assert set(before) < set(project.recordings())


@pytest.mark.parametrize("name", [LONG, "test_größe", "TestAll"])
def test_a_test_that_was_not_selected_keeps_its_recording_whatever_its_name(project: Project, name: str) -> None:
    if name == "TestAll":
        first = f"class TestAll:\n    def {LONG}(self, llm): llm.complete('Hi')\n"
    else:
        first = f"def {name}(llm): llm.complete('Hi')\n"
    project.write(first)
    project.outcomes(passed=1)
    (before,) = project.recordings()
    project.write(f"{first}\ndef test_new(llm): llm.complete('Hi')\n")
    result = project.outcomes("test_chat.py::test_new", passed=1)
    result.stdout.no_fnmatch_line("Renamed*")
    assert before in project.recordings()


def test_a_test_that_a_conftest_leaves_out_keeps_its_recording(project: Project) -> None:
    project.write("def test_first(llm): llm.complete('Hi')\n")
    project.outcomes(passed=1)
    (before,) = project.recordings()
    project.write("def test_first(llm): llm.complete('Hi')\n\ndef test_second(llm): llm.complete('Hi')\n")
    project.write(LEAVES_OUT, "conftest.py")
    assert "No recording is unused." in llmeval(project, "cassettes", "--prune").stdout
    project.outcomes(passed=1)
    assert before in project.recordings()


def test_folders_beside_each_other_that_share_a_place_keep_their_recordings(project: Project) -> None:
    project.write("[pytest]\nllm_cassette_dir = ../rec\n", "pytest.ini")
    project.write("def test_first(llm): llm.complete('Hi')\n", "a/test_a.py")
    project.outcomes(passed=1)
    (before,) = project.recordings()
    project.write("def test_second(llm): llm.complete('Hi')\n", "b/test_b.py")
    project.outcomes(passed=2)
    assert before in project.recordings()


def test_a_cassette_that_others_wrote_is_neither_taken_over_nor_deleted(project: Project) -> None:
    import requests
    import vcr

    url = f"{project.server.url}/chat/completions"
    project.write("[pytest]\nllm_cassette_dir = cassettes\n", "pytest.ini")
    stock = ["cassettes/test_chat/test_theirs.yaml", "cassettes/shared/one.yaml"]
    for name in stock:
        with vcr.use_cassette(str(project.path / name)):
            requests.post(url, json={"messages": []}, timeout=10)
    project.write(f"""
        import pytest, requests

        @pytest.mark.llm_cassette
        def test_ours(): requests.post("{url}", json={{"messages": []}})

        def test_theirs(): pass
    """)
    project.outcomes(passed=1 + 1)
    assert set(stock) < set(project.recordings())
    llmeval(project, "cassettes", "--prune")
    assert set(stock) < set(project.recordings())


@pytest.mark.parametrize("scope", ["module", "class"])
def test_a_fixture_that_is_asked_for_by_name_keeps_its_recording(project: Project, scope: str) -> None:
    project.write(
        OWN_CLIENT.format(url=project.server.url)
        + f"""
@pytest.fixture(scope="{scope}")
def answers_of_the_model_for_all_of_the_invoices(): return ask("x")

class TestTotalsOfScannedInvoicesFromTheArchive:
    def test_it(self, llm, request):
        request.getfixturevalue("answers_of_the_model_for_all_of_the_invoices")
        llm.complete("Hi")
"""
    )
    project.outcomes(passed=1)
    assert len(project.recordings()) == 2
    assert "No recording is unused." in llmeval(project, "cassettes", "--prune").stdout
    assert len(project.recordings()) == 2


def test_a_rule_of_a_hook_that_is_none_is_told_and_nobody_is_asked(project: Project) -> None:
    project.write("def pytest_llmeval_redact(request, response):\n    request.ignore.append('a[b]')\n", "conftest.py")
    project.write('def test_it(llm): llm.complete("Hi")\n')
    result = project.outcomes(failed=1)
    result.stdout.fnmatch_lines(["pytest_llmeval_redact: ignore: 'a[[]b]' is not a path*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*Connection error*")
    assert project.server.asked == []


def test_a_project_in_a_folder_of_that_name_has_no_cassettes_by_that(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = project.write("{}", "cassettes/project/package.json")
    kept = project.write("{}", "cassettes/project/cassettes/x.json")
    monkeypatch.chdir(settings.parent)
    assert list(cassettes_in(settings.parent)) == [kept]


def test_a_rule_that_cannot_be_compared_is_refused_too(project: Project) -> None:
    project.write("import pytest\n\n@pytest.mark.llm_cassette(ignore=[['a']])\ndef test_it(llm): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*llm_cassette: ignore: [[]'a'[]] is not a rule*"])


@pytest.mark.parametrize("mode", ["new", "stale"])
def test_what_is_added_to_a_stock_recording_brings_no_key_of_it_along(project: Project, mode: str) -> None:
    import requests
    import vcr

    url = f"{project.server.url}/chat/completions"
    headers = {"x-api-key": "zz9fX2mQ7bTz", "cookie": "session=8f3ka92mxqq"}
    with vcr.use_cassette(str(project.path / "cassettes" / "test_chat" / "test_it.yaml")):
        requests.post(f"{url}?api_key=correcthorsebattery", json={"messages": []}, headers=headers, timeout=10)
    project.write(f"""
        import pytest, requests

        @pytest.mark.llm_cassette
        def test_it():
            requests.post("{url}", json={{"messages": []}})
            requests.post("{url}", json={{"messages": [], "n": 2}})
    """)
    project.outcomes(f"--llm-record={mode}", passed=1)
    text = (project.path / "llm_cassettes" / "test_chat" / "test_it.yaml").read_text(encoding="utf-8")
    assert [secret for secret in ("zz9fX2", "8f3ka9", "correcthorse") if secret in text] == []
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


@pytest.mark.parametrize(
    ("uri", "usage"),
    [
        ("http://[bad/v1?key=1", "{}"),
        ("http://host:port/v1?a=1", "{}"),
        (
            "https://openrouter.ai/api/v1/chat/completions",
            '{"prompt_tokens": 1%s, "completion_tokens": 1}' % ("0" * 300),
        ),
        ("https://openrouter.ai/api/v1/chat/completions", '{"prompt_tokens": [1], "cost": "1e999999"}'),
    ],
)
def test_a_strangers_recording_gives_no_traceback(project: Project, uri: str, usage: str) -> None:
    project.write('def test_it(llm): llm.complete("Hi")\n')
    project.outcomes(passed=1)
    path = project.recording()
    tape = loads(path.read_text(encoding="utf-8"), path)
    tape.interactions[0].uri = uri
    tape.interactions[0].content = f'{{"model": "m", "usage": {usage}}}'.encode()
    path.write_text(dumps(tape), encoding="utf-8")
    assert llmeval(project, "cassettes").returncode == ("[" in uri)
    result = project.outcomes("--llm-record=none", failed=1)
    result.stdout.no_fnmatch_line("*ValueError*")
    stock = dumps(tape).partition("\n")[2].rpartition("checksum")[0]
    path.write_text(stock, encoding="utf-8")
    assert llmeval(project, "cassettes", "--adopt").returncode == ("[" in uri)


def test_folders_that_hold_each_other_list_a_recording_once(project: Project) -> None:
    project.write('def test_it(llm): llm.complete("Hi")\n', "a/test_a.py")
    project.outcomes(passed=1)
    assert "1 recording," in llmeval(project, "cassettes", ".", "a").stdout


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_key_on_the_command_line_is_not_repeated(
    project: Project, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    key = "correct-horse-battery-staple-of-the-bank"
    monkeypatch.setenv("BANK_API_KEY", key)
    project.write("def pytest_addoption(parser): parser.addoption('--bank-key')\n", "conftest.py")
    project.write('def test_it(llm): llm.complete("Hi")\n')
    result = project.run(f"--bank-key={key}", "--llm-record=none", *workers)
    result.stdout.fnmatch_lines(["  pytest * --llm-record=stale"])
    assert key not in result.stdout.str()
