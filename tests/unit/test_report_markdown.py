from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.reports.markdown import render
from pytest_llmeval.runheader import Header

HOSTILE = [
    "| a | b |",
    "</pre></details><img src=x onerror=alert(1)>",
    "<!-- -->",
    "```\ncode",
    "[click](https://evil.example)",
    "![x](https://evil.example/a.png)",
    "https://evil.example www.evil.example",
    "@team #1 GH-1 user/repo#1",
    "# head\n- item\n> quote\n---\n===\n1. one",
    "**bold** _it_ ~~no~~ $x$ :tada:",
    "&lt;b&gt; &#64;team &#x3c;b&#x3e;",
    "\x1b[31m\u202e\u200b\ud800\x00\x9b",
    "\\| \\` \\<",
]


class Tags(HTMLParser):
    """Keeps the tags of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")


def run(*tests: TestRecord, remarks: list[str] | None = None) -> Run:
    names = list(dict.fromkeys(test.candidate for test in tests))
    return Run(names, tests=list(tests), header=Header(1, "id", commit="abcdef0123456789"), remarks=remarks or [])


def tags(text: str) -> list[str]:
    parser = Tags()
    parser.feed(text)
    return parser.tags


def test_a_row_for_each_candidate_with_the_best_in_bold() -> None:
    text = render(run(TestRecord("t", "a", score=1.0), TestRecord("t", "b", "failed", score=0.5)))
    lines = text.splitlines()
    at = lines.index("| candidate | score | 95% interval | passed |")
    assert lines[at + 1] == "|---|--:|--:|--:|"
    assert lines[at + 2].startswith("| a | **1.00** | ")
    assert lines[at + 3].startswith("| b | 0.50 | ")
    assert "commit abcdef012345" in lines[-1]


def test_what_failed_unfolds_with_its_message() -> None:
    text = render(
        run(
            TestRecord("test_a[x]", "a", "failed", score=0.25, message="assert 0.25 > 0.8\n  <b> & more"),
            TestRecord("test_b", "a", "error", message="no answer"),
            TestRecord("test_c", "a"),
        )
    )
    assert "<details><summary>Failed: 1</summary>" in text
    assert "<details><summary>Errors: 1</summary>" in text
    assert "<code>test&#95;a&#91;x&#93;</code>, score 0.25" in text
    assert "<pre>assert 0.25 &gt; 0.8\n  &lt;b&gt; &amp; more</pre>" in text
    assert "test_c" not in text


@pytest.mark.parametrize("evil", HOSTILE)
def test_what_a_model_wrote_is_text_wherever_it_stands(evil: str) -> None:
    calls = [Call(evil, evil, cost_source=evil), Call(evil, f"{evil} 2", cost_source=evil)]
    bad = TestRecord(f"test[{evil}]", evil, "failed", score=0.0, message=evil, calls=calls, ignored=[evil])
    plain = TestRecord("test[x]", "x", "failed", score=0.0, message="x", calls=[Call("x", "y"), Call("x", "z")])
    plain.ignored = ["x"]
    text, harmless = render(run(bad, remarks=[evil])), render(run(plain, remarks=["x"]))
    assert tags(text) == tags(harmless)
    outside = re.sub(r"<pre>.*?</pre>", "", text, flags=re.DOTALL)
    # Whatever breaks a line, a cell or the text, or is followed by GitHub beyond what Markdown has a say in.
    assert outside.count("\n") == re.sub(r"<pre>.*?</pre>", "", harmless, flags=re.DOTALL).count("\n")
    assert [line.count("|") for line in outside.splitlines()] == [line.count("|") for line in harmless.splitlines()]
    for pattern in (
        r"https?://",
        r"www\.",
        r"@\w",
        r"#\d+(?!;|\d)",
        r"GH-",
        r"\]\(",
        "```",
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f]",
    ):
        assert re.search(pattern, outside.replace("&#8203;", "\u200b")) is None, pattern
    text.encode("utf-8")


def test_a_comment_has_no_more_characters_than_github_takes() -> None:
    long = "<&>" * 2_000
    tests = [TestRecord(f"test_{number}", "a", "failed", score=0.0, message=long) for number in range(500)]
    text = render(run(*tests))
    assert len(text) <= 60_000
    assert re.search(r"\.\.\. and 4\d\d more", text)
    assert text.count("<details>") == text.count("</details>") == 1
    assert len(text) > 20_000


def test_remarks_stand_on_top_and_a_run_without_models_says_so() -> None:
    text = render(run(TestRecord("t", ""), remarks=["the run was cut"]))
    assert text.splitlines()[2] == "> ⚠️ the run was cut"
    assert "No test asked a model." in text
