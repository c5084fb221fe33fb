"""The text of cassettes: readable, sealed, understood by stock vcrpy."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import yaml
from vcr.persisters.filesystem import FilesystemPersister
from vcr.serializers import yamlserializer

from pytest_llmeval.cassettes import dumper
from pytest_llmeval.cassettes.format import Interaction, Tape, dumps, loads, readable
from pytest_llmeval.errors import CassetteError

ANSWER = {
    "model": "m",
    "choices": [{"message": {"content": "Grüße 😀\n  indented \t\x1b[31m"}}],
    "n": [1.5, None, True],
}
STREAM = b'data: {"choices": [{"delta": {"content": "H\xc3\xa9"}}]}\n\ndata: [DONE]\n\n'


def interaction(content: bytes, content_type: str = "application/json", **changes: object) -> Interaction:
    values: dict[str, object] = {
        "method": "POST",
        "uri": "https://api.example/v1/chat",
        "body": b'{"messages":[{"role":"user","content":"Hi"}]}',
        "request_headers": {"content-type": ["application/json"]},
        "status": 200,
        "reason": "OK",
        "headers": {"content-type": [content_type]},
        "content": content,
        "meta": {"latency_ms": 12.5, "recorded_at": "2026-11-01T10:00:00Z", "retries": 0},
    }
    return Interaction(**{**values, **changes})  # type: ignore[arg-type]


def text_of(*interactions: Interaction) -> str:
    return dumps(Tape(list(interactions)))


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (json.dumps(ANSWER).encode(), "application/json"),
        (json.dumps(ANSWER, ensure_ascii=False).encode(), "application/json; charset=utf-8"),
        (STREAM, "text/event-stream"),
        (b"", "application/json"),
        (b"plain text with trailing space \nand a tab\t\n\n", "text/plain"),
        (b"carriage\r\nreturns\rsurvive\x85\xe2\x80\xa8", "text/plain"),
        (bytes(range(256)), "application/octet-stream"),
        (b'{"a": 1, "a": 2}', "application/json"),
        (b'{"a": NaN}', "application/json"),
        (b"[" * 5000 + b"]" * 5000, "application/json"),
        ("\ufeff{}".encode(), "application/json"),
        (b"'\": - # & * ! | > % @ `", "text/plain"),
    ],
)
def test_what_is_written_comes_back(content: bytes, content_type: str) -> None:
    (back,) = loads(text_of(interaction(content, content_type)), Path("x.yaml")).interactions
    if "json" in content_type and content and back.content != content:
        assert json.loads(back.content) == json.loads(content)
    else:
        assert back.content == content
    assert back.meta["latency_ms"] == 12.5
    assert json.loads(back.body) == {"messages": [{"role": "user", "content": "Hi"}]}


def test_bodies_are_pretty_blocks_with_emoji_and_umlauts_as_they_are() -> None:
    text = text_of(interaction(json.dumps(ANSWER).encode()))
    assert 'string: |-\n        {\n          "model": "m",' in text
    assert "Grüße 😀" in text
    assert "\x1b" not in text
    assert "\r" not in text


@pytest.mark.parametrize("text", ["ends with a blank line\n\n", "two\n\n\n", " begins with a blank\n\n"])
def test_a_text_that_ends_with_blank_lines_may_be_the_last_in_a_file(text: str) -> None:
    # PyYAML ends the document behind it, and the seal is still to come.
    answer = interaction(STREAM, "text/event-stream", meta={"retries": 0, "text": text})
    for answers in ([answer], [answer, answer]):
        again = loads(text_of(*answers), Path("a.yaml")).interactions
        assert [each.meta["text"] for each in again] == [text] * len(answers)


def test_what_is_read_is_written_as_it_was() -> None:
    # Answers that are kept while others join them show no difference in a review.
    meta = {"retries": 0, "text": "Hi", "ttft_ms": 12.5, "chunks": ((12.5, 30), (14.0, 61))}
    text = text_of(interaction(STREAM, "text/event-stream", meta=meta), interaction(json.dumps(ANSWER).encode()))
    assert dumps(loads(text, Path("a.yaml"))) == text


NUMBERS = [
    "0",
    "-0.0",
    "1e-7",
    "0.00001",
    "1E22",
    "12345678901234567890123",
    "0.1",
    "3.0",
    "2.5e-3",
    "1e5",
    "123.456e2",
]
TEXTS = [
    "",
    "a",
    "1e5",
    "Infinity",
    "\\u0000\\u001f",
    "\\b\\f\\n\\r\\t",
    "\\u007f",
    "é😀",
    "\\ud83d\\ude00",
    "/\\/",
    "\\ud800",
    "a\\u2028b",
]


def random_json(rng: random.Random, depth: int = 0) -> str:
    kind = rng.randrange(6 if depth < 4 else 4)
    if kind < 4:
        text = f'"{rng.choice(TEXTS)}"'
        return (rng.choice(NUMBERS), rng.choice(["true", "false", "null"]), text, text)[kind]
    parts = [random_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 4:
        return f"[{','.join(parts)}]"
    return "{" + ", ".join(f'"{rng.choice(TEXTS)}{n}":{part}' for n, part in enumerate(parts)) + "}"


def test_bodies_are_indented_as_json_indents_them() -> None:
    rng = random.Random(3)
    for _ in range(3000):
        text = random_json(rng)
        shown = readable(text.encode(), "application/json")
        data = json.loads(text)
        assert shown in (json.dumps(data, indent=2, ensure_ascii=False), json.dumps(data, indent=2)), text
        assert json.loads(shown) == data


@pytest.mark.parametrize("body", [b'{"a": 1e999}', b'{"a": -1e999}'])
def test_a_number_that_is_too_large_stays_as_it_is(body: bytes) -> None:
    assert readable(body, "application/json") == body.decode()


def test_what_is_nested_deeper_than_pydantic_goes_is_indented_too() -> None:
    deep = "[" * 300 + "]" * 300
    assert readable(deep.encode(), "application/json") == json.dumps(json.loads(deep), indent=2)


def test_a_key_that_stands_twice_is_not_lost() -> None:
    assert readable(b'{"a": 1, "a": 2}', "application/json") == '{"a": 1, "a": 2}'


def test_stock_vcrpy_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(text_of(interaction(json.dumps(ANSWER).encode())), encoding="utf-8")
    requests, responses = FilesystemPersister.load_cassette(path, yamlserializer)
    assert requests[0].uri == "https://api.example/v1/chat"
    assert json.loads(responses[0]["body"]["string"]) == ANSWER


def test_a_truncated_file_never_loads() -> None:
    text = text_of(interaction(json.dumps(ANSWER).encode()), interaction(STREAM, "text/event-stream"))
    raw = text.encode()
    for length in range(len(raw)):
        cut = raw[:length].decode("utf-8", "ignore")
        if cut.rstrip("\n") == text.rstrip("\n"):
            continue
        with pytest.raises(CassetteError, match=r"x\.yaml:\d+: "):
            loads(cut, Path("x.yaml"))


def test_a_changed_byte_is_refused_or_harmless() -> None:
    text = text_of(interaction(json.dumps(ANSWER).encode()), interaction(STREAM, "text/event-stream"))
    whole = loads(text, Path("x.yaml"))
    random.seed(7)
    refused = 0
    for _ in range(2000):
        raw = bytearray(text.encode())
        raw[random.randrange(len(raw))] ^= 1 << random.randrange(8)
        try:
            tape = loads(raw.decode("utf-8"), Path("x.yaml"))
        except (CassetteError, UnicodeDecodeError):
            refused += 1
        else:
            assert tape == whole
    assert refused > 1900


def test_line_endings_of_windows_do_not_break_the_seal() -> None:
    text = text_of(interaction(STREAM, "text/event-stream"))
    assert loads(text.replace("\n", "\r\n"), Path("x.yaml")).interactions[0].meta["retries"] == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no list of interactions"),
        ("a: [", "expected"),
        ("version: 1\ninteractions: {}", "no list of interactions"),
        ("version: 2\ninteractions: []", "format version 2"),
        ("version: 1\ninteractions:\n- request: {}\n  response: {}", "interaction 1: no "),
        (
            "version: 1\ninteractions:\n- request: {method: GET, uri: u, body: !!python/object/apply:os.system ['x']}\n"
            "  response: {status: {code: 200, message: OK}, headers: {}, body: {string: ''}}",
            "python/object/apply",
        ),
        (
            "version: 1\nx: &a [1,1,1,1,1,1,1,1,1]\ninteractions:\n- request: {method: GET, uri: [*a, *a]}\n"
            "  response: {status: {code: 200, message: OK}, headers: {}, body: {string: ''}}",
            "request.uri is list",
        ),
        (
            "version: 1\ninteractions:\n- request: {method: GET, uri: u}\n"
            "  response: {status: {code: '200'}, headers: {}, body: {string: ''}}",
            "status code '200'",
        ),
    ],
)
def test_a_damaged_file_names_file_line_and_reason(text: str, reason: str) -> None:
    with pytest.raises(CassetteError, match=r"dir/x\.yaml:\d+: not a usable cassette: ") as caught:
        loads(text, Path("dir/x.yaml"))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 1\ninteractions: []\nversion: 1\n", "x.yaml:3: .*'version' stands here a second time"),
        ("version: 1\n<<<<<<< HEAD\ninteractions: []\n", "x.yaml:2: .*a merge conflict stands here"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "x.yaml:1: .*git lfs pull"),
        ("version: 1\nx: a\x00b\ninteractions: []\n", "x.yaml:2: .*the character #x0000 has no place in YAML"),
        (f"version: 1\nx: {'1:' * 1000}1\ninteractions: []\n", "x.yaml:2: .*too long for a number"),
        ("version: 1\nx: !!bool maybe\ninteractions: []\n", "x.yaml:2: .*'maybe' is no bool"),
    ],
)
def test_what_tools_leave_in_a_file_is_named_with_its_line(text: str, message: str) -> None:
    with pytest.raises(CassetteError, match=message):
        loads(text, Path("x.yaml"))


def test_a_merge_conflict_in_a_sealed_file_is_named_with_its_line() -> None:
    lines = text_of(interaction(b"{}")).splitlines(keepends=True)
    text = "".join([*lines[:4], "<<<<<<< HEAD\n", lines[4], "=======\n", ">>>>>>> branch\n", *lines[5:]])
    with pytest.raises(CassetteError, match=r"x\.yaml:5: .*a merge conflict stands here"):
        loads(text, Path("x.yaml"))


def test_blocks_are_written_as_pyyaml_writes_them() -> None:
    class Slow(dumper._Dumper):
        analyze_scalar = yaml.SafeDumper.analyze_scalar
        write_literal = yaml.SafeDumper.write_literal

    chance = random.Random(7)
    pieces = [
        "a",
        "word",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\n ",
        "\t",
        "é",
        "😀",
        "#",
        ": ",
        "- ",
        "|",
        "'",
        '"',
        "\u2028",
        "\x1b",
    ]
    for _ in range(3000):
        text = "".join(chance.choices(pieces, k=chance.randrange(1, 12)))
        data = {"interactions": [{"body": {"string": text}, "after": "x"}], "last": text}
        written = yaml.dump(data, Dumper=dumper._Dumper, allow_unicode=True, sort_keys=False, width=10**9)
        assert written == yaml.dump(data, Dumper=Slow, allow_unicode=True, sort_keys=False, width=10**9), repr(text)
        assert yaml.safe_load(written) == data
