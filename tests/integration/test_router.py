"""`router` and `cascade`: who is asked, what deciding costs, and that a replay decides the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from pytest_llmeval.records import Call
from pytest_llmeval.runlines import comparable
from tests.chat_server import ChatServer, question_of
from tests.integration.conftest import Project

CASES = """
import pytest

CASES = [
    {"id": "easy", "input": "easy one", "complexity": "simple"},
    {"id": "easy-2", "input": "easy two", "complexity": "simple"},
    {"id": "hard", "input": "hard one", "complexity": "complex"},
    {"id": "odd", "input": "odd one", "complexity": "simple"},
]

@pytest.mark.llm_cases(CASES, system="Answer in JSON.")
def test_case(llm_reply, llm_case):
    assert llm_reply.json()["echo"] == llm_case.input
"""
SCHEMA = '{"type": "object", "required": ["name"]}'


@pytest.fixture
def routed(project: Project, other_server: ChatServer) -> Project:
    """Return a project with a cheap candidate `chat`, a dear one `other` and a classifier `sorter`."""
    prices = "prices = { input = 2.0, output = 20.0 }"
    project.add_settings(
        f'[tool.llmeval.models.other]\nmodel = "openai:other"\nbase_url = "{other_server.url}"\n{prices}'
    )
    project.add_model("sorter", 'model = "openai:sorter"\nprices = { input = 0.1, output = 0.4 }')
    project.server.says = sorts
    project.write(CASES)
    return project


def sorts(body: dict[str, Any]) -> str | None:
    """Answer for the classifier: what is neither of its words counts as complex."""
    if body["model"] != "sorter":
        return None
    words = {"easy": " Simple.\n", "hard": "complex", "odd": "hm"}
    return words[question_of(body).split()[0]]


def add(project: Project, settings: str) -> None:
    project.add_settings(f"[tool.llmeval.models.mix]\n{settings}")


def route(project: Project, decides: str) -> None:
    add(project, f'router = {{ simple = "chat", complex = "other", {decides} }}')


def calls(project: Project) -> dict[str, Call]:
    """Return the call of each case."""
    return {test.case or test.nodeid: test.calls[0] for test in project.records().tests}


def replays(project: Project, *args: str) -> pytest.RunResult:
    """Replay with no server left, and check that every record is the same."""
    before = sorted(comparable(test) for test in project.records().tests)
    project.stop_server()
    result = project.run("--llm-record=none", *args, models="mix")
    assert sorted(comparable(test) for test in project.records().tests) == before
    return result


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["here", "n2"])
def test_a_classifier_decides_and_is_counted(routed: Project, workers: list[str]) -> None:
    route(routed, 'classifier = "sorter"')
    routed.outcomes(*workers, models="mix", passed=4)
    found = calls(routed)
    assert {case: (call.route, call.served_by) for case, call in found.items()} == {
        "easy": ("simple", "chat"),
        "easy-2": ("simple", "chat"),
        "hard": ("complex", "other"),
        "odd": ("complex", "other"),
    }
    classified, served = found["hard"].calls
    assert [(part.candidate, part.role) for part in (classified, served)] == [
        ("sorter", "classify"),
        ("other", "answer"),
    ]
    # 120 tokens in and 20 out each: 0.1 and 0.4, then 2 and 20 USD a million.
    costs = [Decimal(call.cost or "NaN") for call in (classified, served, found["hard"])]
    assert costs == [Decimal("0.00002"), Decimal("0.00064"), Decimal("0.00066")]
    assert (found["hard"].input_tokens, found["hard"].output_tokens) == (240, 40)
    assert classified.latency_ms is not None
    assert served.latency_ms is not None
    assert found["hard"].latency_ms == pytest.approx(classified.latency_ms + served.latency_ms, abs=0.002)
    replays(routed, *workers).assert_outcomes(passed=4)


def test_the_classifier_is_asked_as_little_as_can_be(routed: Project) -> None:
    route(routed, 'classifier = "sorter"')
    routed.run(models="mix")
    asked = [body for body in routed.server.asked if body["model"] == "sorter"]
    assert len(asked) == 4
    assert {(body["temperature"], body["max_tokens"]) for body in asked} == {(0.0, 10)}
    system, question = next(body["messages"] for body in asked if question_of(body) == "hard one")
    assert "simple" in system["content"]
    assert "complex" in system["content"]
    assert question["content"] == "hard one"
    answered = next(body["messages"] for body in routed.server.asked if body["model"] == "chat")
    assert answered[0]["content"] == "Answer in JSON."


def test_the_prompt_may_be_ones_own(routed: Project) -> None:
    route(routed, 'classifier = "sorter", prompt = "Say simple or complex."')
    routed.run(models="mix")
    asked = [body["messages"][0]["content"] for body in routed.server.asked if body["model"] == "sorter"]
    assert set(asked) == {"Say simple or complex."}


def test_a_classifier_that_fails_sends_all_to_the_strong_one(routed: Project, other_server: ChatServer) -> None:
    routed.add_settings(
        '[tool.llmeval.models.dead]\nmodel = "openai:dead"\nbase_url = "http://127.0.0.1:9/v1"\nmax_retries = 0'
    )
    route(routed, 'classifier = "dead"')
    routed.outcomes(models="mix", passed=4)
    assert {call.served_by for call in calls(routed).values()} == {"other"}
    assert {call.calls[0].why for call in calls(routed).values()} == {"connection"}
    assert len(other_server.asked) == 4
    replays(routed).assert_outcomes(passed=4)


@pytest.mark.parametrize("decides", ["pattern = '''^(hard|odd)'''", "longer_than = 7", 'rule = "ways:choose"'])
def test_a_rule_decides_without_a_call(routed: Project, decides: str) -> None:
    routed.write("def choose(text):\n    return 'simple' if text.startswith('easy') else 'complex'\n", "ways.py")
    routed.add_settings("[tool.llmeval.concurrency]\nmix = 1")
    route(routed, decides)
    routed.outcomes("-o", "pythonpath=.", models="mix", passed=4)
    found = calls(routed)
    assert all(len(call.calls) == 1 for call in found.values())
    long = {"easy": "easy one", "easy-2": "easy two", "hard": "hard one", "odd": "odd one"}

    def takes(text: str) -> bool:
        return len(text) > 7 if "longer" in decides else not text.startswith("easy")

    assert {case: call.route for case, call in found.items()} == {
        case: "complex" if takes(text) else "simple" for case, text in long.items()
    }


def test_a_rule_that_cannot_be_used_is_told(routed: Project) -> None:
    route(routed, 'rule = "nowhere:choose"')
    result = routed.run(models="mix")
    result.stdout.fnmatch_lines(
        ["*router of 'mix': rule 'nowhere:choose' cannot be imported: No module named 'nowhere'*"]
    )
    result.stdout.no_fnmatch_line("*routing.py*")


def test_what_a_rule_returns_is_checked(routed: Project) -> None:
    routed.write("def choose(text):\n    return text\n", "ways.py")
    route(routed, 'rule = "ways:choose"')
    result = routed.run("-o", "pythonpath=.", models="mix")
    result.stdout.fnmatch_lines(["*rule 'ways:choose' returned 'easy one'; return 'simple' or 'complex'.*"])


@pytest.mark.parametrize("body", ["raise KeyError('boom')", "return 'hard'"])
def test_a_fault_of_a_rule_is_not_hidden_by_a_fallback(routed: Project, body: str) -> None:
    routed.write(f"def choose(text):\n    {body}\n", "ways.py")
    route(routed, 'rule = "ways:choose"')
    routed.add_settings('[tool.llmeval.models.safe]\nfallback = ["mix", "chat"]')
    for models in ("mix", "safe"):
        result = routed.run("-o", "pythonpath=.", models=models)
        assert result.parseoutcomes() == {"errors": 4}
        said = "failed: KeyError: 'boom' (*ways.py:2)." if "boom" in body else "returned 'hard'; return 'simple' or"
        result.stdout.fnmatch_lines([f"*router of 'mix': rule 'ways:choose' {said}*"])
        result.stdout.no_fnmatch_line("*unpriced*")
        assert routed.server.asked == []


def test_the_summary_shows_the_labels_against_the_routes(routed: Project) -> None:
    route(routed, 'classifier = "sorter"')
    result = routed.run("--llm-report=run.md", models="mix")
    result.stdout.fnmatch_lines([
        "*LLM routing*",
        "mix: 3 of 4 routed as labelled (75%)",
        "labelled*routed simple*routed complex",
        "simple * 2 * 1",
        "complex * 0 * 1",
    ])  # fmt: skip
    result.stdout.fnmatch_lines(["served*mix: 50% chat, 50% other"])
    text = (routed.path / "run.md").read_text(encoding="utf-8")
    assert (
        "| labelled | routed simple | routed complex |\n|---|--:|--:|\n| simple | 2 | 1 |\n| complex | 0 | 1 |" in text
    )


def test_equal_requests_have_equal_recordings(routed: Project) -> None:
    """What a member is asked by a mix is what it is asked alone, so that recordings may be copied."""
    route(routed, "longer_than = 100")
    routed.run(models="mix")
    routed.run(models="chat")
    texts: dict[str, dict[str, str]] = {}
    for name in routed.recordings():
        folder, _, file = name.rpartition("/")
        text = (routed.path / name).read_text(encoding="utf-8")
        texts.setdefault(file, {})[folder.rpartition("/")[2]] = text.partition("  response:")[0]
    assert len(texts) == 4
    assert all(by_name["mix"] == by_name["chat"] for by_name in texts.values())


@pytest.mark.parametrize(
    ("reason", "says", "why"),
    [
        ("", "no JSON", "invalid_json"),
        ('escalate_on = ["invalid_json"]', "no JSON", "invalid_json"),
        ('escalate_on = ["schema"]', '{"name_": 1}', "schema"),
    ],
)
def test_a_cascade_asks_the_next_where_an_answer_is_not_enough(
    routed: Project, other_server: ChatServer, reason: str, says: str, why: str
) -> None:
    add(routed, f'cascade = ["chat", "other"]\n{reason}')
    routed.write(f"def test_ask(llm):\n    assert llm.complete('Hi', schema={SCHEMA}).json()['name']\n")
    routed.server.says = lambda _: says
    other_server.says = lambda _: '{"name": "John"}'
    routed.outcomes(models="mix", passed=1)
    (call,) = calls(routed).values()
    assert (call.served_by, [part.why for part in call.calls], call.cost) == ("other", [why, None], "0.00096")
    replays(routed).assert_outcomes(passed=1)


def test_a_cascade_asks_no_further_than_it_must(routed: Project, other_server: ChatServer) -> None:
    add(routed, 'cascade = ["chat", "other"]\nescalate_on = ["invalid_json", "schema", "cut_off", "refusal"]')
    routed.outcomes(models="mix", passed=4)
    assert other_server.asked == []


@pytest.mark.parametrize(("score", "served"), [("9", "chat"), ("7/10", "chat"), ("6", "other"), ("I am sure", "other")])
def test_a_cascade_may_go_by_what_a_model_gives_itself(routed: Project, score: str, served: str) -> None:
    add(routed, 'cascade = ["chat", "other"]\nescalate_on = ["low_score"]\nmin_score = 0.7')
    routed.write("def test_ask(llm):\n    llm.complete('Hi')\n")
    routed.server.says = lambda body: score if "How sure" in question_of(body) else "Hello"
    routed.outcomes(models="mix", passed=1)
    (call,) = calls(routed).values()
    assert call.served_by == served
    assert [part.role for part in call.calls[:2]] == ["answer", "score"]
    assert call.calls[0].why == (None if served == "chat" else "low_score")
    # The score is asked for, and paid for: two calls of the first.
    assert call.cost == ("0.00064" if served == "chat" else "0.00128")
    _, asked = routed.server.asked
    assert [message["role"] for message in asked["messages"]] == ["user", "assistant", "user"]
    assert asked["max_tokens"] == 10
    replays(routed).assert_outcomes(passed=1)


def test_a_cascade_goes_on_after_an_error(routed: Project) -> None:
    add(routed, 'cascade = ["chat", "other"]')
    routed.server.failures += [503] * 100
    routed.outcomes(models="mix", passed=4)
    assert {call.served_by for call in calls(routed).values()} == {"other"}
    replays(routed).assert_outcomes(passed=4)


def test_a_router_may_have_a_fallback_behind_it(routed: Project) -> None:
    routed.add_settings('[tool.llmeval.models.safe]\nfallback = ["chat", "other"]')
    add(routed, 'router = { simple = "safe", complex = "other", classifier = "sorter" }')
    routed.write(CASES.replace("llm_reply, llm_case", "llm, llm_case").replace("llm_reply", "llm.complete(llm_case)"))
    routed.server.says = lambda body: "simple" if body["model"] == "sorter" else None
    routed.run(models="mix")
    assert {call.served_by for call in calls(routed).values()} == {"chat"}
    replays(routed).assert_outcomes(passed=4)
