"""What a user got wrong is told once: one message, no traceback, nothing of how it came about."""

from __future__ import annotations

import pytest

from tests.integration.conftest import Project

ASKS = "def test_it(llm): llm.complete('Hi')\n"
SEALED = "# Recorded by pytest-llmeval. The last line seals the file: record again rather than edit.\nversion: 1\n"
WRONG = {
    "a marker": ({"test_chat.py": f"import pytest\n@pytest.mark.llm_cassette(ignore='a')\n{ASKS}"}, "write a list"),
    "no candidate": ({"test_chat.py": ASKS}, "No candidate model to test"),
    "a damaged recording": (
        {"test_chat.py": ASKS, "llm_cassettes/test_chat/chat/test_it.yaml": SEALED},
        "not a usable cassette",
    ),
    "a fixture whose recording would hold a secret": (
        {
            "test_chat.py": """
                import httpx, pytest

                @pytest.fixture(scope="module")
                def shared():
                    httpx.post("URL/chat/completions", json={"messages": [], "user": "correct-horse-9f3x7q-battery"})

                def test_it(llm, shared): pass
            """
        },
        "not written, since it would hold a secret",
    ),
    "a hook that fails": (
        {"test_chat.py": ASKS, "conftest.py": "def pytest_llmeval_redact(request): 1 / 0\n"},
        "The hook pytest_llmeval_redact failed",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_message_comes_once_and_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch, wrong: str, workers: tuple[str, ...]
) -> None:
    files, message = WRONG[wrong]
    monkeypatch.setenv("BANK_API_KEY", "correct-horse-9f3x7q-battery")
    for name, text in files.items():
        project.write(text.replace("URL", project.server.url), name)
    result = project.run(*workers, "-rN", models=None if wrong == "no candidate" else "chat")
    assert result.ret == 1
    said = [line for line in result.outlines if message in line]
    assert len(said) == 1, said
    result.stdout.no_fnmatch_line("*During handling of the above*")
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_damaged_recording_names_the_command_that_records_its_test_again(project: Project) -> None:
    project.write(ASKS)
    project.write(SEALED, "llm_cassettes/test_chat/chat/test_it.yaml")
    result = project.outcomes("--llm-record=none", failed=1)
    command = "pytest 'test_chat.py::test_it[chat]' --llm-models=chat --llm-record=all"
    assert f"Record again:  {command}" in result.outlines
    project.outcomes("test_chat.py::test_it[chat]", "--llm-record=all", passed=1)
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


def test_what_somebody_elses_fixture_raises_at_its_end_is_told_beside_ours(project: Project) -> None:
    project.write(
        """
        import pytest, openai

        @pytest.fixture
        def theirs():
            yield
            raise RuntimeError("theirs")

        def test_it(llm, theirs):
            try:
                llm.complete("Hi")
            except BaseException:
                pass
        """
    )
    result = project.run("--llm-record=none")
    result.stdout.fnmatch_lines(["*RuntimeError: theirs"])
    result.stdout.fnmatch_lines(["*No recording: *test_it.yaml does not exist*"])
