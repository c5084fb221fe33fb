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
    "a hook that fails": (
        {"test_chat.py": ASKS, "conftest.py": "def pytest_llmeval_redact(request): 1 / 0\n"},
        "The hook pytest_llmeval_redact failed",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_a_message_comes_once_and_alone(project: Project, wrong: str, workers: tuple[str, ...]) -> None:
    files, message = WRONG[wrong]
    for name, text in files.items():
        project.write(text, name)
    result = project.run(*workers, "-rN", models=None if wrong == "no candidate" else "chat")
    assert result.ret == 1
    said = [line for line in result.outlines if message in line]
    assert len(said) == 1, said
    result.stdout.no_fnmatch_line("*During handling of the above*")
    result.stdout.no_fnmatch_line("*Traceback*")


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
