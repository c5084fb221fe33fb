"""What was renamed finds its recordings: tests, fixtures and files; and what only looks alike takes none away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_llmeval.cassettes.format import dumps, loads
from tests.integration.conftest import Project

HEAD = """
import openai, pytest

def ask(text):
    client = openai.OpenAI(base_url="{url}", api_key="x")
    return client.chat.completions.create(model="m", messages=[{{"role": "user", "content": text}}])
"""
SCOPES = {
    "module": "\n@pytest.fixture(scope='module')\ndef {name}():\n    ask('start')\n    yield\n    ask('end')\n",
    "class": "\nclass {holder}:\n    @pytest.fixture(scope='class')\n    def {name}(self): ask('class')\n\n"
    "    @pytest.mark.llm_cassette\n    def test_it(self, {name}): pass\n",
    "candidate": "\n@pytest.fixture(scope='module')\ndef {name}(llm_candidate): ask(llm_candidate.model)\n",
}
USED = {
    "module": "\n@pytest.mark.llm_cassette\ndef test_it({name}): pass\n",
    "class": "",
    "candidate": "\ndef test_it(llm, {name}): pass\n",
}


def write_fixture(
    project: Project, scope: str, *, name: str = "answer", holder: str = "TestOld", file: str = "test_old.py"
) -> None:
    text = SCOPES[scope] + USED[scope]
    project.write(HEAD.format(url=project.server.url) + text.format(name=name, holder=holder), file)


def write_asks(project: Project, **tests: list[str]) -> None:
    """Write a test for each name that asks these texts, one after the other."""
    lines = [f"def {name}(llm):\n    for text in {texts}: llm.complete(text)\n" for name, texts in tests.items()]
    project.write("\n".join(lines))


def asked(project: Project) -> list[str]:
    return [body["messages"][-1]["content"] for body in project.server.asked]


def held(project: Project, name: str) -> list[str]:
    """Return what a recording of a test of `test_chat.py` has answers for."""
    path = project.path / "llm_cassettes" / "test_chat" / "chat" / f"{name}.yaml"
    tape = loads(path.read_text(encoding="utf-8"), path)
    return [re.findall(rb'"content": "(\w+)"', interaction.body)[0].decode() for interaction in tape.interactions]


@pytest.mark.parametrize("mode", ["none", "once"])
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("change", [{"file": "test_new.py"}, {"name": "reply"}, {"holder": "TestNew"}])
def test_the_recording_of_a_fixture_follows_its_file_its_class_and_its_name(
    project: Project, scope: str, change: dict[str, str], mode: str
) -> None:
    if "holder" in change and scope != "class":
        change = {"name": "reply", "file": "test_new.py"}
    write_fixture(project, scope)
    project.outcomes(passed=1)
    before = project.recordings()
    (project.path / "test_old.py").unlink()
    write_fixture(project, scope, **change)
    project.stop_server()
    result = project.outcomes(f"--llm-record={mode}", passed=1)
    if mode == "none":
        assert project.recordings() == before
        result.stdout.fnmatch_lines(["Renamed? a fixture of * replays *_fixtures/*.yaml, whose fixture is gone."])
        return
    result.stdout.fnmatch_lines(["Renamed: a fixture of *test_it* took over *_fixtures/*, now *_fixtures/*.yaml."])
    assert len(project.recordings()) == len(before)
    assert not set(project.recordings()) & set(before)
    result = project.outcomes("--llm-record=none", passed=1)
    result.stdout.no_fnmatch_line("Renamed*")


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_the_recording_of_a_fixture_of_the_session_follows_its_name(project: Project, workers: tuple[str, ...]) -> None:
    head = HEAD.format(url=project.server.url)
    fixture = "\n@pytest.fixture(scope='session')\ndef {name}(): return ask('Hi')\n"
    marks = "import pytest\n\n@pytest.mark.llm_cassette\n@pytest.mark.parametrize('n', range(4))\n"
    test = f"{marks}def test_it({{name}}, n): pass\n"
    project.write(head + fixture.format(name="answer"), "conftest.py")
    project.write(test.format(name="answer"), "sub/test_chat.py")
    project.outcomes(passed=4)
    assert project.recordings() == ["llm_cassettes/_fixtures/answer.yaml"]
    project.write(head + fixture.format(name="reply"), "conftest.py")
    project.write(test.format(name="reply"), "sub/test_chat.py")
    project.stop_server()
    result = project.outcomes(*workers, passed=4)
    result.stdout.fnmatch_lines(["Renamed: a fixture of *took over *answer.yaml, now *reply.yaml."])
    assert project.recordings() == ["llm_cassettes/_fixtures/reply.yaml"]


def test_a_fixtures_recording_is_no_tests_and_that_of_one_that_is_there_nobody_elses(project: Project) -> None:
    write_fixture(project, "module")
    project.outcomes(passed=1)
    before = project.recordings()
    head, fixture = HEAD.format(url=project.server.url), SCOPES["module"]
    test = USED["module"].format(name="reply") + "\n@pytest.mark.llm_cassette\ndef test_too(): ask('start')\n"
    project.write(head + fixture.format(name="answer") + fixture.format(name="reply") + test, "test_old.py")
    result = project.outcomes(passed=2)
    result.stdout.no_fnmatch_line("Renamed*")
    assert set(before) < set(project.recordings())
    assert asked(project) == ["start", "end", "start", "start", "end"]


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_an_orphan_goes_to_the_test_that_it_fits_not_to_the_first_with_its_first_request(
    project: Project, workers: tuple[str, ...]
) -> None:
    write_asks(project, test_old=["a", "b"])
    project.outcomes(passed=1)
    write_asks(project, test_first=["a", "c"], test_second=["a"], test_third=["a", "b"])
    # Two workers may run the first and the third at once: the file moves when the first has seen it.
    project.write(
        """
        import pathlib, time
        import pytest

        SEEN = pathlib.Path(__file__).with_name("seen")

        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_teardown(item):
            if "test_first" in item.name:
                SEEN.touch()
            end = time.monotonic() + 20
            while "test_third" in item.name and not SEEN.exists() and time.monotonic() < end:
                time.sleep(0.01)
        """,
        "conftest.py",
    )
    result = project.outcomes(*workers, passed=3)
    assert asked(project) == ["a", "b", "c"]
    assert {name: held(project, name) for name in ("test_first", "test_second", "test_third")} == {
        "test_first": ["a", "c"],
        "test_second": ["a"],
        "test_third": ["a", "b"],
    }
    assert len(project.recordings()) == 3
    result.stdout.fnmatch_lines_random(
        [
            "Renamed[?] *test_first* replays 1 of 2 answers of *test_old.yaml, *; they are in *test_first.yaml too.",
            "Renamed: *test_third* took over *test_old.yaml, now *test_third.yaml.",
        ]
    )
    project.stop_server()
    project.outcomes("--llm-record=none", passed=3)


@pytest.mark.parametrize("mode", ["none", "once", "stale"])
def test_where_two_orphans_fit_alike_none_is_taken_over(project: Project, mode: str) -> None:
    write_asks(project, test_a=["x", "a"], test_b=["x", "b"])
    project.outcomes(passed=2)
    write_asks(project, test_c=["x", "b"], test_d=["x", "a"])
    if mode == "none":
        result = project.outcomes("--llm-record=none", failed=2)
        result.stdout.fnmatch_lines(
            [
                "No recording: *test_c.yaml does not exist*",
                "*test_a.yaml and *test_b.yaml have this request, and their tests are gone.",
                "Move the right one to llm_cassettes/test_chat/chat/test_c.yaml.",
            ]
        )
        assert len(project.recordings()) == 2
        return
    result = project.outcomes(f"--llm-record={mode}", passed=2)
    result.stdout.fnmatch_lines(["Renamed? *test_c* may be what recorded *test_a.yaml and *test_b.yaml. Move *"])
    assert asked(project)[4:] == ["x", "b", "x", "a"]
    assert (held(project, "test_a"), held(project, "test_d")) == (["x", "a"], ["x", "a"])


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_the_name_tells_which_of_several_orphans_it_is(project: Project, workers: tuple[str, ...]) -> None:
    texts = 'import pytest\n\n@pytest.mark.parametrize("case", ["a", "b", "c"])\ndef {name}(llm, case):\n'
    texts += '    assert llm.complete("x").json()["n"] == {{"a": 1, "b": 2, "c": 3}}[case]\n'
    project.write(texts.format(name="test_say"))
    project.outcomes(passed=3)
    (project.path / "test_chat.py").unlink()
    project.stop_server()
    project.write(texts.format(name="test_say"), "test_new.py")
    project.outcomes("--llm-record=none", *workers, passed=3)
    project.outcomes(*workers, passed=3)
    project.write(texts.format(name="test_tell"), "test_new.py")
    project.outcomes(*workers, passed=3)
    assert [Path(name).stem for name in project.recordings()] == [f"test_tell[{case}]" for case in "abc"]


def test_a_test_that_stops_early_takes_nothing_away(project: Project) -> None:
    write_asks(project, test_old=["a", "b"])
    project.outcomes(passed=1)
    project.write("def test_new(llm):\n    llm.complete('a')\n    assert False\n")
    project.outcomes(failed=1)
    assert project.recordings() == ["llm_cassettes/test_chat/chat/test_old.yaml"]
    write_asks(project, test_new=["a", "b"])
    project.stop_server()
    project.outcomes(passed=1)
    assert project.recordings() == ["llm_cassettes/test_chat/chat/test_new.yaml"]


def test_a_renamed_test_that_asks_something_else_too_says_what_fits(project: Project) -> None:
    write_asks(project, test_old=["a", "Say a short hello"])
    project.outcomes(passed=1)
    write_asks(project, test_new=["a", "Say a long hello"])
    result = project.outcomes("--llm-record=none", failed=1)
    result.stdout.fnmatch_lines(
        [
            "No recording: *test_new.yaml does not exist*",
            "*test_old.yaml, whose test is gone, has what was asked before this, but not this.",
            "Nearest recorded request, in *test_old.yaml*",
            "*Say a ?-short-? {+long+} hello",
        ]
    )
    project.outcomes(passed=1)
    assert asked(project) == ["a", "Say a short hello", "Say a long hello"]


def test_answers_of_an_orphan_that_are_too_old_are_recorded_again_in_their_places(project: Project) -> None:
    ask = "def {name}(llm): print('answers:', [llm.complete('same').json()['n'] for _ in range(3)])\n"
    project.write(ask.format(name="test_old"))
    project.outcomes(passed=1)
    path = project.recording()
    tape = loads(path.read_text(encoding="utf-8"), path)
    tape.interactions[1].meta["recorded_at"] = "2020-01-01T00:00:00Z"
    path.write_text(dumps(tape), encoding="utf-8")
    project.write(ask.format(name="test_new"))
    result = project.outcomes("-s", "--llm-max-age=90d", "--llm-record=stale", passed=1)
    result.stdout.fnmatch_lines(["*answers: [[]1, 4, 3]*"])
    project.stop_server()
    result = project.outcomes("-s", "--llm-record=none", passed=1)
    result.stdout.fnmatch_lines(["*answers: [[]1, 4, 3]*"])


KEYLESS = """
import openai, pytest

@pytest.mark.llm_cassette
def {name}():
    client = openai.OpenAI(base_url="{url}")
    assert client.chat.completions.create(model="m", messages=[]).choices
"""


@pytest.mark.parametrize("mode", ["once", "new", "stale"])
@pytest.mark.parametrize("where", ["renamed", "stock"])
def test_a_recording_at_another_path_replays_without_its_key_though_others_are_set(
    project: Project, monkeypatch: pytest.MonkeyPatch, where: str, mode: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-loopback-server")
    project.write(KEYLESS.format(name="test_old", url=project.server.url))
    project.outcomes(passed=1)
    if where == "stock":
        target = project.path / "cassettes" / "test_chat" / "test_new.yaml"
        target.parent.mkdir(parents=True)
        project.recording().rename(target)
    project.write(KEYLESS.format(name="test_new", url=project.server.url))
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-of-another-provider")
    project.stop_server()
    project.outcomes(f"--llm-record={mode}", passed=1)
