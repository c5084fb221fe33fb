"""What a recording holds: good answers only, whole, with their timing, without secrets; and what damages it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.integration.conftest import Project

ASK = """
def test_ask(llm):
    assert llm.complete("Hi").json()["echo"] == "Hi"
"""
KEY = "correct-horse-battery-staple"


def interactions(project: Project) -> list[dict[str, Any]]:
    """Return what the only cassette holds."""
    data = yaml.safe_load(project.recording().read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = data["interactions"]
    return found


def test_a_failing_test_records_its_answers(project: Project) -> None:
    project.write('def test_ask(llm):\n    assert llm.complete("Hi").json()["n"] == 2\n')
    project.outcomes(failed=1)
    project.write('def test_ask(llm):\n    assert llm.complete("Hi").json()["n"] == 1\n')
    project.outcomes("--llm-record=none", passed=1)
    assert len(project.server.asked) == 1


@pytest.mark.parametrize("failures", [[429], [500, 503], [408, 409]], ids=str)
def test_only_the_good_answer_after_failed_tries_is_recorded(project: Project, failures: list[int]) -> None:
    project.server.failures += failures
    project.write(f'def test_ask(llm):\n    assert llm.complete("Hi").retries == {len(failures)}\n')
    project.outcomes(passed=1)
    (interaction,) = interactions(project)
    assert interaction["response"]["status"]["code"] == 200
    assert interaction["response"]["llmeval"]["retries"] == len(failures)
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)
    assert [call.retries for test in project.records().tests for call in test.calls] == [len(failures)]


@pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (429, "rate_limit"), (500, "server")])
def test_a_failure_that_passes_is_not_recorded(project: Project, status: int, kind: str) -> None:
    project.server.failures += [status] * 3
    project.write(ASK)
    project.outcomes(failed=1)
    assert [call.error_kind for test in project.records().tests for call in test.calls] == [kind]
    assert project.recordings() == []
    project.server.failures.clear()
    project.outcomes(passed=1)


def test_a_refusal_that_the_test_expects_replays(project: Project) -> None:
    project.server.failures.append(400)
    project.write("""
        import pytest
        from pytest_llmeval import ProviderError

        def test_ask(llm):
            with pytest.raises(ProviderError, match="scripted 400"):
                llm.complete("Hi")
    """)
    project.outcomes(passed=1)
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


@pytest.mark.parametrize("status", [400, 404])
def test_a_refusal_that_a_test_fails_with_is_not_kept(project: Project, status: int) -> None:
    project.server.failures.append(status)
    project.write(ASK)
    project.outcomes(failed=1)
    assert project.recordings() == []
    project.outcomes(passed=1)


def test_a_recording_that_lacks_an_answer_is_completed_by_the_next_run(project: Project) -> None:
    project.write('def test_ask(llm):\n    for question in "abc":\n        llm.complete(question)\n')
    project.server.failures += [0, 500, 500, 500]
    project.outcomes(failed=1)
    assert "incomplete: true" in project.recording().read_text(encoding="utf-8")
    result = project.outcomes("--llm-record=none", failed=1)
    result.stdout.fnmatch_lines(["*Record again:*"])
    project.outcomes(passed=1)
    assert "incomplete" not in project.recording().read_text(encoding="utf-8")
    assert [body["messages"][0]["content"] for body in project.server.asked] == [*"abbb", "b", "c"]
    project.outcomes("--llm-record=none", passed=1)


def test_recording_again_keeps_the_old_answers_where_the_new_run_fails_half_way(project: Project) -> None:
    project.write('def test_ask(llm):\n    for question in "abc":\n        llm.complete(question)\n')
    project.outcomes(passed=1)
    project.server.failures += [0, 500, 500, 500]
    project.outcomes("--llm-record=all", failed=1)
    project.outcomes("--llm-record=none", passed=1)


@pytest.mark.parametrize("damage", ["cut", "changed", "no yaml"])
@pytest.mark.parametrize("mode", ["none", "once", "new", "stale"])
def test_a_damaged_recording_is_an_error_and_is_left_as_it_is(project: Project, mode: str, damage: str) -> None:
    project.write(ASK)
    project.outcomes(passed=1)
    path = project.recording()
    text = path.read_text(encoding="utf-8")
    damaged = {
        "cut": text[: len(text) // 2],
        "changed": text.replace("content", "contend", 1),
        "no yaml": "\t{ [",
    }[damage]
    path.write_text(damaged, encoding="utf-8")
    result = project.outcomes(f"--llm-record={mode}", failed=1)
    result.stdout.re_match_lines([r"llm_cassettes/.*/test_ask\.yaml:\d+: not a usable cassette: .*"])
    assert path.read_text(encoding="utf-8") == damaged
    assert len(project.server.asked) == 1
    assert [record.outcome for record in project.records().tests] == ["error"]


def test_a_damaged_recording_is_replaced_only_by_a_whole_one_that_was_asked_for(project: Project) -> None:
    project.write('def test_ask(llm):\n    for question in "ab":\n        llm.complete(question)\n')
    project.outcomes(passed=1)
    path = project.recording()
    damaged = path.read_bytes()[:-1000]
    path.write_bytes(damaged)
    project.server.failures += [0, 500, 500, 500]
    project.outcomes("--llm-record=all", failed=1)
    assert path.read_bytes() == damaged
    project.outcomes("--llm-record=all", passed=1)
    project.outcomes("--llm-record=none", passed=1)


def test_live_takes_no_notice_of_a_damaged_recording(project: Project) -> None:
    project.write(ASK)
    project.outcomes(passed=1)
    project.recording().write_text("damaged", encoding="utf-8")
    project.outcomes("--llm-record=live", passed=1)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_replay_tells_the_time_that_was_measured_when_recorded(project: Project, stream: bool) -> None:
    project.server.delay = 0.05
    project.write(f'def test_ask(llm):\n    llm.complete("Hi", stream={stream})\n')
    project.outcomes(passed=1)
    (recorded,) = project.records().tests[0].calls
    project.outcomes(passed=1)
    (replayed,) = project.records().tests[0].calls
    assert recorded.latency_ms is not None
    assert recorded.latency_ms > 50
    assert (recorded.ttft_ms is not None) is stream
    for name in ("latency_ms", "ttft_ms", "tokens_per_second", "cost", "input_tokens", "output_tokens", "model"):
        assert getattr(replayed, name) == getattr(recorded, name), name
    assert (recorded.replayed, recorded.recorded_at, replayed.replayed) == (False, None, True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", replayed.recorded_at or "")


@pytest.mark.parametrize("left", ["closed", "forgotten"])
def test_a_stream_that_its_reader_leaves_early_is_recorded_whole(project: Project, left: str) -> None:
    project.write(f"""
        import openai

        def test_it(llm):
            client = openai.OpenAI(base_url=llm.candidate.base_url, api_key="k")
            messages = [{{"role": "user", "content": "a long question with many words"}}]
            stream = client.chat.completions.create(model="chat", messages=messages, stream=True)
            assert next(stream).choices[0].delta.content == '{{"echo":'
            {"stream.close()" if left == "closed" else "pass"}
    """)
    project.outcomes(passed=1)
    (interaction,) = interactions(project)
    assert interaction["response"]["llmeval"]["text"] == '{"echo": "a long question with many words", "n": 1}'
    assert interaction["response"]["body"]["string"].endswith("data: [DONE]\n\n")
    project.stop_server()
    project.outcomes("--llm-record=none", passed=1)


def test_nothing_but_content_reaches_the_disk(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    project.add_model("other", 'model = "openai:other"\napi_key_env = "OPENAI_API_KEY"')
    project.write(ASK)
    project.outcomes(models="other", passed=1)
    assert KEY in str(project.server.headers)
    text = project.recording().read_text(encoding="utf-8")
    for secret in (KEY, "authorization", "a-cookie-value", "req-0123456789", "user-agent"):
        assert secret not in text.lower()


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "DATABASE_PASSWORD"])
@pytest.mark.parametrize("fails", [False, True], ids=["passing", "failing"])
def test_a_secret_in_a_prompt_fails_the_run_and_nothing_is_written(
    project: Project, monkeypatch: pytest.MonkeyPatch, variable: str, fails: bool
) -> None:
    monkeypatch.setenv(variable, KEY)
    project.write(f'def test_ask(llm):\n    llm.complete("My key is {KEY}, use it.")\n    assert {not fails}\n')
    result = project.run()
    result.assert_outcomes(errors=1, passed=int(not fails), failed=int(fails))
    said = rf"llm_cassettes/.*/test_ask\.yaml: not written, since it would hold a secret \(line \d+: .* {variable}\)"
    assert sum(re.match(said, line) is not None for line in result.outlines) == 1
    assert not (project.path / "llm_cassettes").exists() or not list((project.path / "llm_cassettes").rglob("*.*"))


def test_a_secret_that_came_into_the_environment_during_the_run_is_found(project: Project) -> None:
    project.write(f"""
        import os, pytest

        @pytest.fixture(scope="session", autouse=True)
        def environment():
            os.environ["SERVICE_TOKEN"] = "{KEY}"
            yield
            del os.environ["SERVICE_TOKEN"]

        def test_ask(llm):
            llm.complete("My key is {KEY}, use it.")
    """)
    result = project.run()
    result.stdout.fnmatch_lines(["*not written, since it would hold a secret*the value of SERVICE_TOKEN*"])
    assert project.recordings() == []


def test_a_recording_that_could_not_be_written_is_no_verdict(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    project.write(f'def test_ask(llm):\n    llm.complete("{KEY}")\n')
    project.run()
    (record,) = project.records().tests
    assert (record.outcome, record.score, record.cassette) == ("error", None, None)


def test_a_key_in_an_answer_is_found_by_its_shape(project: Project) -> None:
    project.write('def test_ask(llm):\n    llm.complete("sk-" + "proj-" + "qz7fK2mXb9Lw4Tn8Rc3V")\n')
    result = project.run()
    result.stdout.fnmatch_lines(["*not written*what looks like an API key*"])
    assert project.recordings() == []


def test_recordings_lie_where_the_setting_says(project: Project) -> None:
    project.write(ASK)
    project.outcomes("-o", "llm_cassette_dir=kept", passed=1)
    project.outcomes("-o", f"llm_cassette_dir={project.path}/elsewhere", passed=1)
    assert project.recordings() == ["elsewhere/test_chat/chat/test_ask.yaml", "kept/test_chat/chat/test_ask.yaml"]


def test_the_record_names_its_recording(project: Project) -> None:
    project.write(ASK, "tests/unit/test_chat.py")
    project.outcomes(passed=1)
    assert project.records().tests[0].cassette == "tests/unit/llm_cassettes/test_chat/chat/test_ask.yaml"
    assert project.recordings() == [project.records().tests[0].cassette]


def test_folders_of_recordings_are_not_searched_for_tests_but_those_with_tests_are(project: Project) -> None:
    project.write("def test_it(llm): llm.complete('Hi')\n")
    project.outcomes(passed=1)
    project.write("def test_inside(): pass\n", "llm_cassettes/test_inside.py")
    project.outcomes(passed=2)
    (project.path / "llm_cassettes" / "test_inside.py").unlink()
    project.write("def test_in_tests(llm): llm.complete('Ho')\n", "tests/test_own.py")
    project.outcomes("-o", "llm_cassette_dir=tests", "tests", passed=1)
    project.outcomes("-o", "llm_cassette_dir=tests", "tests", passed=1)
