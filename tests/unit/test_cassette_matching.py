"""What makes two requests the same, and what is said when none is."""

from __future__ import annotations

import json

import pytest

from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.matching import HTTPRequest, fingerprint, scrub_uri
from pytest_llmeval.cassettes.stale import differences, nearest, word_diff

URL = "https://api.example/v1/chat"


def same(one: bytes, other: bytes, content_type: str = "application/json") -> bool:
    return fingerprint("POST", URL, one, content_type) == fingerprint("post", URL, other, content_type)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"a": 1, "b": [1, 2]}', b'{"b":[1,2],"a":1}'),
        (b'{"temperature": 0}', b'{"temperature": 0.0}'),
        (b'{"stream": false, "a": 1}', b'{"a": 1}'),
        (b'{"a": "\\u00e9"}', '{"a": "é"}'.encode()),
    ],
)
def test_equal_values_match(one: bytes, other: bytes) -> None:
    assert same(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b'{"model": "a"}', b'{"model": "b"}'),
        (b'{"stream": true}', b"{}"),
        (b'{"m": ["a", "b"]}', b'{"m": ["b", "a"]}'),
        (b'{"t": 0}', b'{"t": 0.1}'),
        (b'{"t": 1}', b'{"t": true}'),
        (b'{"t": 1}', b'{"t": "1"}'),
        (b'{"t": null}', b"{}"),
        (b"text", b"text "),
    ],
)
def test_other_values_do_not_match(one: bytes, other: bytes) -> None:
    assert not same(one, other)


def test_a_multipart_boundary_is_no_difference() -> None:
    one = fingerprint("POST", URL, b"--abc\r\nx\r\n--abc--", "multipart/form-data; boundary=abc")
    other = fingerprint("POST", URL, b"--zzz\r\nx\r\n--zzz--", "multipart/form-data; boundary=zzz")
    assert one == other


@pytest.mark.parametrize(
    ("uri", "kept"),
    [
        ("https://u:p@h/v1", "https://h/v1"),
        ("https://h/v1?key=s3cret&alt=sse", "https://h/v1?alt=sse"),
        ("https://h/v1?b=2&a=1", "https://h/v1?a=1&b=2"),
        ("https://h/b?X-Amz-Signature=abc&X-Amz-Credential=d&page=2", "https://h/b?page=2"),
        ("https://h/v1?api-version=2024-10-21", "https://h/v1?api-version=2024-10-21"),
        ("https://h/v1?monkey=banana&max_tokens=5", "https://h/v1?max_tokens=5&monkey=banana"),
    ],
)
def test_secret_parameters_are_dropped_from_urls(uri: str, kept: str) -> None:
    assert scrub_uri(uri) == kept


def recorded(body: object) -> Interaction:
    raw = json.dumps(body).encode()
    return Interaction("POST", URL, raw, {"content-type": ["application/json"]}, 200, "OK", {}, b"{}")


def asked(body: object) -> HTTPRequest:
    return HTTPRequest("POST", URL, {"content-type": ["application/json"]}, json.dumps(body).encode())


def test_the_nearest_request_is_the_one_with_the_fewest_changes() -> None:
    prompts = ["Extract the name from this ticket.", "Translate this to French.", "Summarize the document."]
    tape = [recorded({"messages": [{"role": "user", "content": prompt}]}) for prompt in prompts]
    found = nearest(asked({"messages": [{"role": "user", "content": "Extract the full name from this ticket."}]}), tape)
    assert found is tape[0]


def test_the_difference_names_the_path_and_shows_the_words() -> None:
    old = recorded({"model": "m", "messages": [{"content": "Extract the name. Return JSON."}], "max_tokens": 100})
    new = asked({"model": "m", "messages": [{"content": "Extract the full name. Return JSON."}], "top_p": 1})
    assert differences(new, old) == [
        "messages[0].content: Extract the {+full+} name. Return JSON.",
        "max_tokens: 100 -> not there",
        "top_p: not there -> 1",
    ]


def test_a_long_prompt_is_shown_by_its_changed_words_only() -> None:
    words = [f"w{n}" for n in range(500)]
    changed = [*words]
    changed[250] = "changed"
    assert word_diff(" ".join(words), " ".join(changed)) == (
        "... w244 w245 w246 w247 w248 w249 [-w250-] {+changed+} w251 w252 w253 w254 w255 w256 ..."
    )


def test_control_characters_of_a_prompt_do_not_reach_the_terminal() -> None:
    lines = differences(asked({"a": "\x1b[2Jnew \u202eevil"}), recorded({"a": "old"}))
    assert "\x1b" not in "".join(lines)
    assert "\u202e" not in "".join(lines)
