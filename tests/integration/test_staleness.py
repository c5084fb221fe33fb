"""A prompt was edited, a test renamed, a recording grew old: what the run says, and what recording again keeps."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from pytest_llmeval.cassettes.format import dumps, loads
from tests.integration.conftest import Project

CASES = """
import pytest

@pytest.mark.parametrize("case", range({count}))
def {name}(llm, case):
    llm.complete(f"{prompt} {{case}}" if case < {edited} else f"Say {{case}}")
"""


def write_cases(
    project: Project, *, prompt: str = "Say", edited: int = 0, name: str = "test_say", count: int = 6
) -> None:
    project.write(CASES.format(prompt=prompt, edited=edited, name=name, count=count))


def pasted(result: pytest.RunResult) -> list[str]:
    """Return the arguments of the command that the run says to paste."""
    lines = result.outlines
    command = lines[lines.index("Record just these again:") + 1]
    assert command.startswith("  pytest ")
    return shlex.split(command)[1:]


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_after_an_edit_one_run_says_how_many_are_stale_what_that_costs_and_how_to_mend_it(
    project: Project, workers: tuple[str, ...]
) -> None:
    write_cases(project)
    project.outcomes(passed=6)
    before = {name: (project.path / name).read_bytes() for name in project.recordings()}
    write_cases(project, prompt="Say just", edited=2)
    result = project.run(*workers, "--llm-record=none")
    result.assert_outcomes(passed=4, failed=2)
    result.stdout.fnmatch_lines(["2 of 6 recordings are stale, about $0.00064 to record again"])
    asked = len(project.server.asked)
    project.run(*[argument for argument in pasted(result) if not argument.startswith("-pno:")]).assert_outcomes(
        passed=6
    )
    assert len(project.server.asked) == asked + 2
    after = {name: (project.path / name).read_bytes() for name in project.recordings()}
    assert {name for name in before if before[name] != after[name]} == {
        f"llm_cassettes/test_chat/chat/test_say[{case}].yaml" for case in (0, 1)
    }
    project.stop_server()
    project.outcomes("--llm-record=none", passed=6)


def test_the_last_lines_of_a_run_are_one_a_test(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cases(project)
    project.outcomes(passed=6)
    write_cases(project, prompt="Say just", edited=2)
    monkeypatch.setenv("CI", "true")
    lines = project.run().outlines
    first = next(number for number, line in enumerate(lines) if "short test summary info" in line)
    assert [line.split(" - ")[0] for line in lines[first + 1 : -1]] == [
        f"FAILED test_chat.py::test_say[chat-{case}]" for case in (0, 1)
    ]


def test_what_was_asked_before_the_edit_is_replaced_and_the_rest_of_the_test_kept(project: Project) -> None:
    ask = 'def test_it(llm):\n    for text in {texts}:\n        assert llm.complete(text).json()["echo"] == text\n'
    project.write(ask.format(texts=["a", "b", "c"]))
    project.outcomes(passed=1)
    project.write(ask.format(texts=["a", "B", "c"]))
    project.outcomes("--llm-record=stale", passed=1)
    assert [body["messages"][-1]["content"] for body in project.server.asked] == ["a", "b", "c", "B"]
    text = project.recording().read_text(encoding="utf-8")
    assert re.findall(r'"content": "(\w)"', text) == ["a", "c", "B"]
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


def test_a_test_that_fails_while_it_is_recorded_again_loses_no_answer(project: Project) -> None:
    ask = "def test_it(llm):\n    for text in {texts}: llm.complete(text)\n    assert {fine}\n"
    project.write(ask.format(texts=["a", "b"], fine=True))
    project.outcomes(passed=1)
    project.write(ask.format(texts=["a", "B"], fine=False))
    project.outcomes("--llm-record=stale", failed=1)
    project.write(ask.format(texts=["a", "b"], fine=True))
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


def test_what_was_never_recorded_is_told_apart_from_what_is_stale(project: Project) -> None:
    write_cases(project, count=3)
    project.outcomes(passed=3)
    write_cases(project, count=5, prompt="Now say", edited=1)
    result = project.run("--llm-record=none")
    result.stdout.fnmatch_lines(
        [
            "1 of 5 recordings is stale, about $0.00032 to record again",
            "2 of 5 recordings are missing, about $0.00064 to record again",
        ]
    )


def test_an_unknown_price_is_not_taken_for_nothing(project: Project) -> None:
    project.add_model("unpriced", 'model = "openai:unpriced"')
    write_cases(project)
    project.outcomes(models="unpriced", passed=6)
    write_cases(project, prompt="Say just", edited=2)
    result = project.run("--llm-record=none", models="unpriced")
    result.stdout.fnmatch_lines(["2 of 6 recordings are stale, at a cost that nobody knows"])


def test_the_cost_of_a_stale_stream_and_of_a_test_without_a_candidate_is_told(project: Project) -> None:
    project.write(f"""
        import openai, pytest

        WORD = "Hi"

        def test_stream(llm):
            llm.complete(WORD, stream=True)

        @pytest.mark.llm_cassette
        def test_own_client():
            client = openai.OpenAI(base_url="{project.server.url}", api_key="x")
            client.chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": WORD}}])
    """)
    project.outcomes(passed=2)
    text = (project.path / "test_chat.py").read_text(encoding="utf-8")
    (project.path / "test_chat.py").write_text(text.replace('"Hi"', '"Ho"'), encoding="utf-8")
    result = project.run("--llm-record=none")
    # Nobody publishes a price for the server that the test's own client asks.
    result.stdout.fnmatch_lines(["2 of 2 recordings are stale, at least $0.00032 (1 call unpriced) to record again"])


@pytest.mark.parametrize("mode", ["none", "once", "new"])
def test_a_renamed_test_replays_its_old_recording_and_says_so(project: Project, mode: str) -> None:
    write_cases(project, count=2)
    project.outcomes(passed=2)
    write_cases(project, count=2, name="test_tell")
    project.stop_server()
    result = project.outcomes(f"--llm-record={mode}", passed=2)
    if mode == "none":
        result.stdout.fnmatch_lines(
            ["Renamed[?] test_chat.py::test_tell[[]chat-0] replays *test_say[[]0].yaml, whose *"]
        )
        assert project.recordings() == [f"llm_cassettes/test_chat/chat/test_say[{case}].yaml" for case in (0, 1)]
    else:
        result.stdout.fnmatch_lines(["Renamed: test_chat.py::test_tell[[]chat-0] took over *test_say[[]0].yaml, now *"])
        assert project.recordings() == [f"llm_cassettes/test_chat/chat/test_tell[{case}].yaml" for case in (0, 1)]
        result = project.outcomes("--llm-record=none", passed=2)
        result.stdout.no_fnmatch_line("Renamed*")


def test_a_renamed_file_and_class_are_found_too(project: Project) -> None:
    project.write('class TestA:\n    def test_it(self, llm): llm.complete("Hi")\n', "test_old.py")
    project.outcomes(passed=1)
    (project.path / "test_old.py").unlink()
    project.write('class TestB:\n    def test_it(self, llm): llm.complete("Hi")\n', "test_new.py")
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


@pytest.mark.parametrize("selected", [(), ("test_chat.py::test_b",), ("-k", "test_b")])
def test_a_recording_of_a_test_that_is_there_is_nobody_elses(project: Project, selected: tuple[str, ...]) -> None:
    project.write('def test_a(llm): llm.complete("Hi")\n')
    project.outcomes(passed=1)
    project.write('def test_a(llm): llm.complete("Hi")\n\ndef test_b(llm): llm.complete("Hi")\n')
    result = project.run("--llm-record=none", *selected)
    result.stdout.fnmatch_lines(["No recording: llm_cassettes/test_chat/chat/test_b.yaml does not exist*"])
    result.stdout.no_fnmatch_line("Renamed*")


def test_another_candidates_recording_is_not_taken_over(project: Project) -> None:
    project.add_model("other", 'model = "openai:chat"')
    project.write('def test_a(llm): llm.complete("Hi")\n')
    project.outcomes(models="other", passed=1)
    project.write('def test_b(llm): llm.complete("Hi")\n')
    project.outcomes("--llm-record=none", failed=1)


def test_a_renamed_test_with_another_prompt_shows_what_it_was(project: Project) -> None:
    project.write('def test_a(llm): llm.complete("Say a short hello to all of them")\n')
    project.outcomes(passed=1)
    project.write('def test_b(llm): llm.complete("Say a long hello to all of them")\n')
    result = project.outcomes("--llm-record=none", failed=1)
    result.stdout.fnmatch_lines(
        [
            "No recording: *test_b.yaml does not exist*",
            "Nearest recorded request, in *test_a.yaml*",
            "  messages?0?.content: Say a ?-short-? {+long+} hello to all of them",
        ]
    )


def age(project: Project, days: int) -> None:
    """Make the only recording look older."""
    path = project.recording()
    tape = loads(path.read_text(encoding="utf-8"), path)
    for interaction in tape.interactions:
        when = datetime.now(UTC) - timedelta(days=days)
        interaction.meta["recorded_at"] = when.strftime("%Y-%m-%dT%H:%M:%SZ")
    path.write_text(dumps(tape), encoding="utf-8")


@pytest.mark.parametrize(("limit", "outcomes"), [("90d", {"passed": 1}), ("90d:fail", {"passed": 1, "errors": 1})])
def test_an_old_recording_is_told_or_fails_its_test(project: Project, limit: str, outcomes: dict[str, int]) -> None:
    project.write('def test_it(llm): llm.complete("Hi")\n')
    project.outcomes(passed=1)
    age(project, 100)
    project.run("--llm-max-age=101d").stdout.no_fnmatch_line("*older than*")
    result = project.run("-o", f"llm_max_age={limit}")
    result.assert_outcomes(**outcomes)
    result.stdout.fnmatch_lines(
        ["1 of 1 recordings is older than --llm-max-age allows, about $0.00032 to record again"]
    )
    if "errors" in outcomes:
        result.stdout.fnmatch_lines(["llm_cassettes/*/test_it.yaml: recorded 20*, which is older than --llm-max-age *"])


def test_old_recordings_are_recorded_again_and_the_others_kept_in_their_places(project: Project) -> None:
    project.write("""
        def test_it(llm):
            print("answers:", [llm.complete("same").json()["n"] for _ in range(3)])
    """)
    project.outcomes(passed=1)
    path = project.recording()
    age(project, 100)
    text = path.read_text(encoding="utf-8")
    tape = loads(text, path)
    tape.interactions[1].meta["recorded_at"] = "2999-01-01T00:00:00Z"
    path.write_text(dumps(tape), encoding="utf-8")
    result = project.outcomes("-s", "--llm-max-age=90d", "--llm-record=stale", passed=1)
    result.stdout.fnmatch_lines(["*answers: [[]4, 2, 5]*"])
    project.stop_server()
    result = project.outcomes("-s", "--llm-max-age=90d", "--llm-record=none", passed=1)
    result.stdout.fnmatch_lines(["*answers: [[]4, 2, 5]*"])
    result.stdout.no_fnmatch_line("*older than*")


@pytest.mark.parametrize("value", ["90", "d", "-1d", "90days", "90d:explode"])
def test_an_age_that_is_none_is_refused(project: Project, value: str) -> None:
    project.write("def test_it(): pass\n")
    result = project.run(f"--llm-max-age={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--llm-max-age={value}: write a number of hours, days or weeks*"])


DATED = """
import itertools, pytest
from pathlib import Path

count = Path("count")
count.write_text(str(int(count.read_text()) + 1) if count.exists() else "1")
N = count.read_text()

{marker}
def test_it(llm):
    reply = llm.complete(f"Today is 2026-01-{{N:>02}}. Hi", metadata={{"id": N, "kind": "x"}}, user="u")
    assert "Hi" in reply.json()["echo"]
"""
RULES = ["metadata.id", r"re:\d{4}-\d{2}-\d{2}"]


@pytest.mark.parametrize("where", ["marker", "settings", "hook"])
def test_parts_that_vary_can_be_declared(project: Project, where: str) -> None:
    marker = f"@pytest.mark.llm_cassette(ignore={RULES})" if where == "marker" else ""
    project.write(DATED.format(marker=marker))
    if where == "settings":
        project.add_settings(f"[tool.llmeval.cassettes]\nignore = {json.dumps(RULES)}")
    if where == "hook":
        project.write(
            f"def pytest_llmeval_redact(request, response):\n    request.ignore.extend({RULES})\n", "conftest.py"
        )
    project.outcomes(passed=1)
    project.stop_server()
    result = project.outcomes("--llm-record=none", passed=1)
    if where != "hook":
        result.stdout.fnmatch_lines(["ignored *as declared: metadata.id (1 test), re:*"])


def test_what_is_not_declared_still_makes_a_difference_and_what_is_shows_as_ignored(project: Project) -> None:
    project.write(DATED.format(marker='@pytest.mark.llm_cassette(ignore=["metadata.id"])'))
    project.outcomes(passed=1)
    result = project.outcomes("--llm-record=none", failed=1)
    result.stdout.fnmatch_lines(
        ["  messages?0?.content: Today is ?-2026-01-01.-? {+2026-01-02.+} Hi", "  ignored: metadata.id"]
    )
    result.stdout.no_fnmatch_line("  metadata.id*")


def test_ignored_parts_do_not_make_different_requests_the_same(project: Project) -> None:
    project.write("""
        import pytest

        @pytest.mark.llm_cassette(ignore=["metadata.id"])
        def test_it(llm):
            for text in ("a", "b", "a"):
                assert llm.complete(text, metadata={"id": text}).json()["echo"] == text
    """)
    project.outcomes(passed=1)
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ('ignore="metadata"', "write a list"),
        ("ignore=[1]", "1 is not a rule"),
        ('ignore=["re:("]', "is not a regular expression"),
        ('ignore=["re:x*"]', "also matches nothing"),
        ('ignore=["a[b]"]', "is not a path"),
        ('ignore=["?"]', "write its name alone: '?timestamp'"),
        ('ignore=["?at=1"]', "write its name alone: '?at'"),
        ('ignore=["$.a"]', "begin with the key itself: 'a'"),
        ('ignore=["/a/b"]', "begin with the key itself: 'a.b'"),
        ('ignore=[" a"]', "has blanks around it; write 'a'"),
        ('ignore=[""]', "'' is not a rule"),
        ('name="x"', "takes nothing but ignore"),
        ('"x"', "takes nothing but ignore"),
    ],
)
def test_a_rule_that_is_none_is_refused(project: Project, marker: str, message: str) -> None:
    project.write(f"import pytest\n\n@pytest.mark.llm_cassette({marker})\ndef test_it(llm): pass\n")
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*llm_cassette*{message}*"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_all_rules_that_are_none_are_told_at_once(project: Project) -> None:
    project.write(
        "import pytest\n\n@pytest.mark.llm_cassette(ignore=['?', '$schema', '$.a'])\ndef test_it(llm): pass\n"
    )
    result = project.run()
    result.stdout.fnmatch_lines(["llm_cassette: ignore: '[?]' is no*", "llm_cassette: ignore: '$.a' is not a path*"])
    result.stdout.no_fnmatch_line("*$schema*is not*")


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_a_rule_that_matches_nothing_in_the_whole_run_is_told_once(project: Project, workers: tuple[str, ...]) -> None:
    project.add_settings('[tool.llmeval.cassettes]\nignore = ["metadata.id", "metadata.ids", "re:never", "?at"]')
    project.write("""
        import pytest

        def test_with(llm): llm.complete("Hi", metadata={"id": 1})
        def test_without(llm): llm.complete("Hi")
        def test_silent(llm): pass

        @pytest.mark.llm_cassette(ignore=["re:Ho"])
        def test_own(llm): llm.complete("Ho")
    """)
    told = "Ignored in vain, since no request of this run has it: metadata.ids, re:never, [?]at"
    for mode in ("once", "none"):
        result = project.outcomes(f"--llm-record={mode}", *workers, passed=4)
        result.stdout.fnmatch_lines([told])
    # Who runs a part of the tests has not seen all requests.
    for narrowed in (("-k", "with"), ("test_chat.py::test_with",)):
        project.run(*narrowed).stdout.no_fnmatch_line("Ignored in vain*")


def test_what_is_wrong_with_recordings_is_told_without_the_table_too(project: Project) -> None:
    write_cases(project)
    project.outcomes(passed=6)
    write_cases(project, prompt="Say just", edited=2)
    result = project.run("--llm-record=none", "--llm-summary=off")
    result.stdout.fnmatch_lines(["2 of 6 recordings are stale, *"])
    result.stdout.no_fnmatch_line("*LLM evaluation*")


def test_an_answer_that_is_not_recorded_is_told_though_the_test_passed(project: Project) -> None:
    project.write(f"""
        import openai, pytest

        def test_it(llm):
            client = openai.OpenAI(base_url="{project.server.url}", api_key="x", max_retries=0)
            with pytest.raises(openai.RateLimitError):
                client.chat.completions.create(model="m", messages=[])
    """)
    project.server.failures = [429]
    result = project.outcomes(passed=1)
    result.stdout.fnmatch_lines(["Not recorded: an answer that *test_it[[]chat] passed with (status 429)."])


@pytest.mark.parametrize("status", [429, 503])
def test_a_call_of_the_codes_own_client_that_failed_is_no_score(project: Project, status: int) -> None:
    project.write(f"""
        import openai

        def test_it(llm):
            client = openai.OpenAI(base_url="{project.server.url}", api_key="x", max_retries=0)
            client.chat.completions.create(model="m", messages=[])
    """)
    project.server.failures = [status]
    project.outcomes(failed=1)
    (record,) = project.records().tests
    assert (record.outcome, record.score) == ("error", None)


def test_what_a_mock_answers_has_no_latency(project: Project) -> None:
    project.write("""
        import httpx2

        ANSWER = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "mocked"}}]}

        def test_it(llm, monkeypatch):
            def answer(self, request):
                return httpx2.Response(200, json=ANSWER)

            monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", answer)
            reply = llm.complete("Hi")
            assert (reply.content, reply.latency_ms, reply.replayed) == ("mocked", None, False)
    """)
    project.outcomes(passed=1)
