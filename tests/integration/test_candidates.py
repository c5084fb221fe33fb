"""Choosing candidates: command line, ini, marker; order; every way in which a name can be wrong."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Project

ASK = """
def test_ask(llm):
    assert llm.complete("Hi").json()["echo"] == "Hi"
"""


@pytest.fixture
def two(project: Project) -> Project:
    """A project with the candidates `chat` and `other`."""
    project.add_model("other", 'model = "openai:other"')
    project.write(ASK)
    return project


def names(result: pytest.RunResult) -> list[str]:
    """Return the ids of the tests that ran, in their order, without the file."""
    return [line.split(" ")[0].rpartition("::")[2] for line in result.outlines if line.endswith("%]")]


def sent(project: Project, header: str) -> list[str]:
    """Return a header of all requests that the server got."""
    return [value for headers in project.server.headers for name, value in headers.items() if name.lower() == header]


@pytest.mark.parametrize(
    "args",
    [
        ["--llm-models=chat,other"],
        ["--llm-models=chat", "--llm-models=other"],
        ["--llm-models", " chat , other,,chat"],
        ["-o", "llm_models=chat,other"],
        ["-o", "llm_models=chat\nother"],
    ],
    ids=["comma", "repeated", "spaces-and-repeats", "ini-comma", "ini-lines"],
)
def test_a_test_runs_once_per_candidate(two: Project, args: list[str]) -> None:
    result = two.run("-v", *args, models=None)
    assert names(result) == ["test_ask[chat]", "test_ask[other]"]
    result.assert_outcomes(passed=2)
    assert [body["model"] for body in two.server.asked] == ["chat", "other"]


def test_the_command_line_wins_over_the_ini(two: Project) -> None:
    assert names(two.run("-v", "-o", "llm_models=chat", models="other")) == ["test_ask[other]"]


def test_the_closest_marker_wins_over_all(two: Project) -> None:
    two.write("""
        import pytest
        pytestmark = pytest.mark.llm_models("other")

        def test_module(llm): pass

        @pytest.mark.llm_models("chat", "other")
        def test_function(llm): pass
    """)
    result = two.run("-v", "-o", "llm_models=chat", models="chat")
    assert sorted(names(result)) == ["test_function[chat]", "test_function[other]", "test_module[other]"]


def test_candidates_run_one_after_another_across_files(two: Project) -> None:
    two.write("""
        import pytest

        @pytest.mark.parametrize("n", [1, 2])
        def test_ask(llm, n): pass
    """)
    two.write("class TestB:\n    def test_b(self, llm): pass\n", "test_second.py")
    assert names(two.run("-v", models="other,chat")) == [
        *("test_ask[other-1]", "test_ask[other-2]", "test_b[other]"),
        *("test_ask[chat-1]", "test_ask[chat-2]", "test_b[chat]"),
    ]


def test_llm_candidate_tells_what_is_tested(project: Project) -> None:
    project.write("""
        def test_it(llm_candidate, llm):
            assert (llm_candidate.name, llm_candidate.provider, llm_candidate.model) == ("chat", "openai", "chat")
            assert llm.name == "chat"
    """)
    project.outcomes(passed=1)


def test_a_provider_and_model_need_no_settings(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", project.server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-the-user")
    project.write(ASK)
    result = project.run("-v", models="openai:gpt-4o-mini,gpt-4.1-nano")
    assert names(result) == ["test_ask[openai:gpt-4o-mini]", "test_ask[gpt-4.1-nano]"]
    assert sent(project, "authorization") == ["Bearer a-key-of-the-user"] * 2
    assert project.recordings() == [
        "llm_cassettes/test_chat/gpt-4.1-nano/test_ask.yaml",
        "llm_cassettes/test_chat/openai+gpt-4o-mini/test_ask.yaml",
    ]


def test_anthropic_is_asked_in_its_own_protocol(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", project.server.url.removesuffix("/v1"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-of-the-user")
    project.write(ASK + "\ndef test_stream(llm):\n    assert llm.complete('Hi', stream=True).ttft_ms > 0\n")
    project.outcomes(models="claude-haiku-4-5-20251001", passed=2)
    assert [body["model"] for body in project.server.asked] == ["claude-haiku-4-5-20251001"] * 2
    assert all("a-key-of-the-user" in str(headers) for headers in project.server.headers)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    project.outcomes("--llm-record=none", models="claude-haiku-4-5-20251001", passed=2)


NAMES = {
    "unknown provider": ("opnai:gpt-4o", ["candidate 'opnai:gpt-4o': unknown provider 'opnai'.", "'openai'?", "groq"]),
    "missing alias": ("chta", ["candidate 'chta'", "Did you mean 'chat'?", "Aliases in the settings: chat."]),
    "no model": ("openai:", ["candidate 'openai:': no model", "'openai:gpt-4o-mini'"]),
    "no provider": (":gpt-4o", ["unknown provider ''", "Known: anthropic"]),
}


@pytest.mark.parametrize(("name", "said"), NAMES.values(), ids=NAMES)
def test_a_wrong_name_on_the_command_line_is_a_usage_error(project: Project, name: str, said: list[str]) -> None:
    project.write(ASK)
    result = project.run(models=name)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (error,) = [line for line in result.errlines if line.startswith("ERROR")]
    assert all(text in error for text in said), error
    assert "Traceback" not in result.stderr.str()


@pytest.mark.parametrize(("name", "said"), NAMES.values(), ids=NAMES)
def test_a_wrong_name_in_a_marker_fails_the_collection_with_the_same_words(
    project: Project, name: str, said: list[str]
) -> None:
    project.write(f"import pytest\n\n@pytest.mark.llm_models({name!r})\ndef test_it(llm): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    (error,) = [line for line in result.outlines if line.startswith("candidate ")]
    assert all(text in error for text in said), error
    result.stdout.no_fnmatch_line("*plugin.py*")


@pytest.mark.parametrize("value", ["['chat']", "3", "None"])
def test_a_marker_that_holds_no_names_is_explained(project: Project, value: str) -> None:
    project.write(f"import pytest\n\n@pytest.mark.llm_models({value})\ndef test_it(llm): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*llm_models*"])
    result.stdout.no_fnmatch_line("*TypeError*")
    result.stdout.no_fnmatch_line("*plugin.py*")


def test_without_candidates_tests_fail_and_say_how_to_choose(two: Project) -> None:
    two.write(ASK + "\ndef test_candidate(llm_candidate): pass\n\ndef test_plain(): pass\n")
    result = two.run(models=None)
    result.assert_outcomes(passed=1, errors=2)
    result.stdout.fnmatch_lines(["No candidate model to test. Choose with --llm-models=*llm_models*chat, other*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert two.server.asked == []
    result.stdout.no_fnmatch_line("*LLM evaluation*")


def test_llm_asked_for_while_the_test_runs_says_why_it_has_no_candidate(project: Project) -> None:
    project.write('def test_late(request):\n    request.getfixturevalue("llm")\n')
    result = project.outcomes(failed=1)
    result.stdout.fnmatch_lines(["llm was asked for while the test runs, *Take it as an argument of the test,*"])
    result.stdout.no_fnmatch_line("No candidate model to test.*")


def test_a_missing_key_names_the_variable_and_the_command(project: Project) -> None:
    project.write(ASK)
    result = project.outcomes(models="openai:gpt-4o-mini", failed=1)
    result.stdout.fnmatch_lines(
        [
            "No key: OPENAI_API_KEY is not set, and this request has no recording to replay.",
            "  POST https://api.openai.com/v1/chat/completions",
            "Set OPENAI_API_KEY to record it:  pytest 'test_chat.py::test_ask?openai:gpt-4o-mini?'"
            " --llm-models=openai:gpt-4o-mini --llm-record=once",
        ]
    )
    assert [test.outcome for test in project.records().tests] == ["error"]
    assert project.recordings() == []


def test_the_key_variable_of_an_alias_is_named(project: Project) -> None:
    project.add_model("other", 'model = "openai:other"\napi_key_env = "TEAM_KEY"')
    project.write(ASK)
    result = project.outcomes(models="other", failed=1)
    result.stdout.fnmatch_lines(["No key: TEAM_KEY is not set*"])
    assert project.server.asked == []


def test_a_refused_connection_says_where_and_is_no_score(project: Project) -> None:
    project.write(ASK)
    project.stop_server()
    result = project.outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"E*chat: cannot connect to {project.server.url}: is the server running? (*also after 2 retries)"]
    )
    (record,) = project.records().tests
    assert (record.outcome, record.score) == ("error", None)
    assert [(call.error_kind, call.retries) for call in record.calls] == [("connection", 2)]
    assert project.recordings() == []
