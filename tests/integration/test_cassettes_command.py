"""``llmeval cassettes``: what is recorded, what no test uses any more, and what is deleted."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest

from pytest_llmeval.cassettes.format import dumps, loads
from tests.integration.conftest import Project

TWO = """
import pytest

@pytest.fixture(scope="module")
def context(llm):
    return 1

@pytest.mark.parametrize("word", ["hi", "ho"])
def test_say(llm, word): llm.complete(word)

class TestAll:
    def test_stream(self, llm): llm.complete("Hey", stream=True)
"""


def llmeval(project: Project, *arguments: str, width: int | None = 100) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    if width:
        environment["COLUMNS"] = str(width)
    command = [sys.executable, "-m", "pytest_llmeval.cli", *arguments]
    done = subprocess.run(
        command, cwd=project.path, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert "Traceback (most recent" not in done.stdout + done.stderr
    return done


def record(project: Project, text: str = TWO.replace("def context(llm)", "def context()")) -> None:
    project.write(text)
    assert project.run().ret == 0


def test_recordings_are_listed_with_models_tokens_and_cost(project: Project) -> None:
    record(project)
    done = llmeval(project, "cassettes")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["recording", "age", "asked", "answers", "in", "out", "cost"]
    assert lines[1] == "llm_cassettes/test_chat/chat/"
    assert lines[3].split() == ["test_say[hi].yaml", "0", "h", "chat", "1", "120", "20", "$0.00032"]
    assert lines[-1].startswith("3 recordings, 3 answers, ")
    assert lines[-1].endswith("cost as recorded: $0.00096")
    assert "unused" not in done.stdout + done.stderr


def test_a_pipe_gets_whole_paths(project: Project) -> None:
    record(project)
    lines = llmeval(project, "cassettes", width=None).stdout.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == [
        f"llm_cassettes/test_chat/chat/test_say[{word}].yaml" for word in ("hi", "ho")
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_line_is_wider_than_the_terminal_but_for_folders(project: Project, width: int) -> None:
    record(project)
    table = llmeval(project, "cassettes", width=width).stdout.splitlines()[:-1]
    assert max(len(line) for line in table if not line.endswith("/")) <= width
    assert sum("test_say" in line or "say[" in line for line in table) == 2


def test_what_no_test_uses_is_deleted_and_nothing_else(project: Project) -> None:
    record(project)
    project.write("def test_gone(llm): llm.complete('x')\n", "test_gone.py")
    project.write("def test_left_out(llm): llm.complete('x')\n", "sub/test_left_out.py")
    assert project.run().ret == 0
    (project.path / "test_gone.py").unlink()
    project.write("collect_ignore = ['test_left_out.py']\n", "sub/conftest.py")
    project.write(TWO.replace(', "ho"', ""))
    listed = llmeval(project, "cassettes")
    assert [line.split()[0] for line in listed.stdout.splitlines() if line.endswith("unused")] == [
        "test_say[ho].yaml",
        "test_gone.yaml",
    ]
    assert "2 unused" in listed.stdout
    assert len(project.recordings()) == 5
    done = llmeval(project, "cassettes", "--prune")
    assert done.returncode == 0
    assert "test_say[ho].yaml" in done.stdout
    assert "Deleted 2 recordings" in done.stdout
    assert project.recordings() == [
        "llm_cassettes/test_chat/chat/TestAll.test_stream-e1554648.yaml",
        "llm_cassettes/test_chat/chat/test_say[hi].yaml",
        "sub/llm_cassettes/test_left_out/chat/test_left_out.yaml",
    ]
    assert not (project.path / "llm_cassettes" / "test_gone").exists()
    assert "No recording is unused." in llmeval(project, "cassettes", "--prune").stdout


@pytest.mark.parametrize("where", ["llm_cassettes", "nested/llm", "{path}/rec"])
def test_only_folders_of_recordings_go_with_them(project: Project, where: str) -> None:
    where = where.format(path=project.path)
    project.write(f"[pytest]\nllm_cassette_dir = {where}\n", "pytest.ini")
    project.write("import pytest\n\n@pytest.mark.llm_cassette\ndef test_it(): pass\n", "kept/test_kept.py")
    asks = f"""
        import httpx, pytest

        @pytest.mark.llm_cassette
        def test_it():
            httpx.post("{project.server.url}/chat/completions", json={{"messages": []}})
    """
    project.write(asks, "emptied/test_gone.py")
    project.outcomes(passed=2)
    assert len(project.recordings()) == 1
    (project.path / "emptied" / "test_gone.py").unlink()
    shutil.rmtree(project.path / "emptied" / "__pycache__", ignore_errors=True)
    project.write("import pytest\n\ndef test_it(): pass\n", "kept/test_kept.py")
    done = llmeval(project, "cassettes", "--prune")
    assert "Deleted 1 recording" in done.stdout
    home = project.path / "emptied"
    assert home.is_dir()
    assert [path.name for path in home.iterdir()] == (["nested"] if "nested" in where else [])
    assert not (project.path / "rec").exists()


def test_the_version_is_told(project: Project) -> None:
    done = llmeval(project, "--version")
    assert done.returncode == 0
    assert done.stdout == f"llmeval {version('pytest-llmeval')}\n"


def test_a_candidate_that_is_not_asked_today_keeps_its_recordings(project: Project) -> None:
    project.add_model("other", 'model = "openai:chat"')
    project.write(TWO)
    assert project.run(models="chat,other").ret == 0
    project.write("[pytest]\nllm_models = chat\n", "pytest.ini")
    done = llmeval(project, "cassettes", "--prune")
    assert "No recording is unused." in done.stdout
    assert len(project.recordings()) == 6


@pytest.mark.parametrize("addopts", ["-k hi", "-m slow", "--deselect=test_chat.py::TestAll", "-n2", "-q", "-x", "-v"])
def test_what_the_configuration_deselects_is_not_unused(project: Project, addopts: str) -> None:
    record(project)
    project.write(f"[pytest]\naddopts = {addopts}\nmarkers = slow\n", "pytest.ini")
    assert "No recording is unused." in llmeval(project, "cassettes", "--prune").stdout
    assert len(project.recordings()) == 3


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("test_broken.py", "import nothing_of_this_name\n", "nothing_of_this_name"),
        ("pytest.ini", "[pytest]\naddopts = --lf\n", "--lf"),
        ("pytest.ini", "[pytest]\naddopts = --no-such-option\n", "no-such-option"),
        ("conftest.py", "1 / 0\n", "ZeroDivisionError: division by zero"),
        ("test_broken.py", "def test_(:\n", "test_broken.py: SyntaxError: invalid syntax"),
        ("test_broken.py", "import pytest\npytest.fail('on purpose', pytrace=False)\n", "test_broken.py: on purpose"),
    ],
)
def test_nothing_is_deleted_where_not_everything_could_be_collected(
    project: Project, file: str, text: str, why: str
) -> None:
    record(project)
    project.write("def test_other(): pass\n")
    project.write(text, file)
    done = llmeval(project, "cassettes", "--prune")
    assert done.returncode == 2
    assert "nothing was deleted" in done.stderr
    assert why in done.stderr
    # What matters, and not all that pytest has to say.
    assert len(done.stderr.splitlines()) <= 3
    assert len(project.recordings()) == 3
    listed = llmeval(project, "cassettes")
    assert "Which are unused cannot be told" in listed.stderr
    assert "3 recordings, 3 answers" in listed.stdout


def test_fixtures_keep_their_recordings_while_a_test_uses_them(project: Project) -> None:
    fixture = """
        import pytest

        @pytest.fixture(scope="module")
        def context(llm_candidate):
            import openai
            client = openai.OpenAI(base_url="URL", api_key="x")
            return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])

        def test_it(llm, context): llm.complete("Hi")
    """.replace("URL", project.server.url)
    record(project, fixture)
    assert len(project.recordings()) == 2
    assert "No recording is unused." in llmeval(project, "cassettes", "--prune").stdout
    project.write(fixture.replace("def context", "def setting").replace("llm, context", "llm"))
    done = llmeval(project, "cassettes", "--prune")
    assert "Deleted 1 recording" in done.stdout
    assert project.recordings() == ["llm_cassettes/test_chat/chat/test_it.yaml"]


@pytest.mark.parametrize("change", ["fixture", "file"])
def test_what_a_renamed_fixture_may_take_over_is_left_until_it_has(project: Project, change: str) -> None:
    fixture = f"""
        import httpx, pytest

        @pytest.fixture(scope="module")
        def context(llm_candidate):
            return httpx.post("{project.server.url}/chat/completions", json={{"messages": []}}).json()

        def test_it(llm, context): llm.complete("Hi")
    """
    record(project, fixture)
    before = project.recordings()
    (project.path / "test_chat.py").unlink()
    if change == "fixture":
        project.write(fixture.replace("context", "setting"))
    else:
        project.write(fixture, "test_new.py")
    done = llmeval(project, "cassettes", "--prune")
    assert "Nothing was deleted." in done.stdout
    name = "'setting' of test_chat" if change == "fixture" else "'context' of test_new"
    assert f"_fixtures/chat/context.yaml may be taken over by the fixture {name}, which has no" in done.stdout
    assert project.recordings() == before
    project.stop_server()
    project.outcomes(passed=1)
    assert "No recording is unused." in llmeval(project, "cassettes", "--prune").stdout


def test_the_recordings_of_fixtures_of_a_file_that_is_gone_are_unused(project: Project) -> None:
    fixture = f"""
        import httpx, pytest

        @pytest.fixture(scope="module")
        def context(llm_candidate):
            return httpx.post("{project.server.url}/chat/completions", json={{"messages": []}}).json()

        def test_it(llm, context): llm.complete("Hi")
    """
    project.write(fixture, "test_old.py")
    record(project, fixture)
    assert len(project.recordings()) == 4
    (project.path / "test_old.py").unlink()
    assert "Deleted 2 recordings" in llmeval(project, "cassettes", "--prune").stdout
    assert all("test_chat" in name for name in project.recordings())


def test_the_recording_of_a_fixture_of_the_session_is_unused_once_that_is_gone(project: Project) -> None:
    fixture = f"""
        import httpx, pytest

        @pytest.fixture(scope="session")
        def context():
            return httpx.post("{project.server.url}/chat/completions", json={{"messages": []}}).json()
    """
    project.write(fixture, "a/conftest.py")
    project.write("def test_it(llm, context): llm.complete('Hi')\n", "a/test_a.py")
    project.write("def test_else(llm): pass\n", "b/test_b.py")
    project.outcomes(passed=2)
    assert "No recording is unused." in llmeval(project, "cassettes", "--prune").stdout
    (project.path / "a" / "conftest.py").unlink()
    project.write("def test_it(llm): llm.complete('Hi')\n", "a/test_a.py")
    # Of a folder that was not collected nothing is known.
    assert "No recording is unused." in llmeval(project, "cassettes", "a/llm_cassettes", "b", "--prune").stdout
    assert "Deleted 1 recording" in llmeval(project, "cassettes", "--prune").stdout
    assert project.recordings() == ["a/llm_cassettes/test_a/chat/test_it.yaml"]


@pytest.mark.parametrize("models", ["", "chat", "other"])
def test_what_a_renamed_test_may_take_over_is_left_until_it_has_or_is_named(project: Project, models: str) -> None:
    project.add_model("other", 'model = "openai:chat"')
    if models:
        project.write(f"[pytest]\nllm_models = {models}\n", "pytest.ini")
    record(project)
    project.write(TWO.replace("def test_say", "def test_tell").replace("def context(llm)", "def context()"))
    done = llmeval(project, "cassettes", "--prune")
    assert done.returncode == 0
    left = [line for line in done.stdout.splitlines() if line.startswith("Left: ")]
    assert [re.sub("(::test_tell).*,", r"\1,", line) for line in left] == [
        f"Left: llm_cassettes/test_chat/chat/test_say[{word}].yaml may be taken over by "
        "test_chat.py::test_tell, which has no recording."
        for word in ("hi", "ho")
    ]
    assert done.stdout.splitlines()[-1] == "Nothing was deleted."
    assert len(project.recordings()) == 3
    named = "llm_cassettes/test_chat/chat/test_say[ho].yaml"
    assert "Deleted 1 recording" in llmeval(project, "cassettes", "--prune", ".", named).stdout
    project.run()
    assert "No recording is unused." in llmeval(project, "cassettes", "--prune").stdout


def test_a_test_that_is_always_skipped_keeps_nothing_from_being_deleted(project: Project) -> None:
    record(project)
    skipped = "\n@pytest.mark.skip\ndef test_later(llm): llm.complete('x')\n"
    project.write(TWO.replace('"ho"', '"hi"').replace("def context(llm)", "def context()") + skipped)
    project.write(TWO.replace(', "ho"', "").replace("def context(llm)", "def context()") + skipped)
    assert "Deleted 1 recording" in llmeval(project, "cassettes", "--prune").stdout


def test_a_shared_folder_is_understood(project: Project) -> None:
    for name in ("a", "b"):
        project.write("def test_it(llm): llm.complete('x')\n", f"{name}/test_{name}.py")
    project.write(f"[pytest]\nllm_cassette_dir = {project.path}/rec\n", "pytest.ini")
    assert project.run("--import-mode=importlib").ret == 0
    (project.path / "a" / "test_a.py").unlink()
    done = llmeval(project, "cassettes", "--prune")
    assert "Deleted 1 recording" in done.stdout
    assert project.recordings() == ["rec/b/test_b/chat/test_it.yaml"]


def test_damaged_stock_and_incomplete_recordings_are_told(project: Project) -> None:
    record(project)
    first, second, third = (project.path / name for name in project.recordings())
    text = second.read_text(encoding="utf-8")
    tape = loads(text, second)
    tape.incomplete = True
    third.write_text(dumps(tape), encoding="utf-8")
    unsealed = [line for line in text.splitlines() if not line.startswith(("#", "checksum"))]
    first.write_text("\n".join(unsealed) + "\n", encoding="utf-8")
    second.write_text(text[:500], encoding="utf-8")
    done = llmeval(project, "cassettes")
    assert done.returncode == 1
    states = {line.split()[0]: line.split()[-1] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert states[first.name] == "stock"
    assert states[second.name] == "damaged"
    assert states[third.name] == "incomplete"
    assert "not a usable cassette" in done.stdout


def test_a_hostile_model_name_does_not_steer_the_terminal(project: Project) -> None:
    record(project)
    path = project.path / project.recordings()[1]
    tape = loads(path.read_text(encoding="utf-8"), path)
    tape.interactions[0].content = b'{"model": "\\u001b[31mred\\u0007", "usage": {}}'
    path.write_text(dumps(tape), encoding="utf-8")
    done = llmeval(project, "cassettes")
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "red" in done.stdout


def test_a_path_that_is_not_there_is_refused(project: Project) -> None:
    done = llmeval(project, "cassettes", "nowhere")
    assert done.returncode == 2
    assert "there is no such file or folder" in done.stderr


def test_stock_recordings_are_adopted_and_replay(project: Project) -> None:
    import requests
    import vcr

    project.write(f"""
        import pytest, requests

        @pytest.mark.llm_cassette
        def test_it():
            answer = requests.post("{project.server.url}/chat/completions", json={{"messages": []}})
            assert answer.json()["choices"]
    """)
    path = project.path / "cassettes" / "test_chat" / "test_it.yaml"
    with vcr.use_cassette(str(path)):
        requests.post(
            f"{project.server.url}/chat/completions",
            json={"messages": []},
            headers={"authorization": "Bearer sk-something-secret-0123456789"},
            timeout=10,
        )
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)
    assert "sk-something" in path.read_text(encoding="utf-8")
    assert "stock" in llmeval(project, "cassettes").stdout
    done = llmeval(project, "cassettes", "--adopt")
    assert done.returncode == 0, done.stderr
    assert "1 adopted, 0 in our form already, 0 left as they were" in done.stdout
    assert "sk-something" not in path.read_text(encoding="utf-8")
    project.outcomes("--llm-record=none", passed=1)
    assert "0 adopted, 1 in our form already" in llmeval(project, "cassettes", "--adopt").stdout


def test_a_redaction_hook_holds_for_stock_recordings_too(project: Project) -> None:
    import requests
    import vcr

    project.write(
        """
        def pytest_llmeval_redact(request, response):
            request.body = request.body.replace(b"customer-7", b"customer-0")
        """,
        "conftest.py",
    )
    url = f"{project.server.url}/chat/completions"
    project.write(f"""
        import pytest, requests

        @pytest.mark.llm_cassette
        def test_it():
            assert requests.post("{url}", json={{"user": "customer-7"}}).json()["choices"]
    """)
    path = project.path / "cassettes" / "test_chat" / "test_it.yaml"
    with vcr.use_cassette(str(path)):
        requests.post(url, json={"user": "customer-7"}, timeout=10)
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)
    assert "1 adopted" in llmeval(project, "cassettes", "--adopt").stdout
    assert "customer-7" not in path.read_text(encoding="utf-8")
    project.outcomes("--llm-record=none", passed=1)
