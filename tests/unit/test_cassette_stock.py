"""Cassettes that others wrote: every layout that stock vcrpy has had, and nothing but plain data."""

from __future__ import annotations

import base64
import gzip
import json
import random
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from vcr.serializers import jsonserializer, yamlserializer

from pytest_llmeval.cassettes import plainyaml, stock
from pytest_llmeval.cassettes.format import Interaction, loads
from pytest_llmeval.cassettes.matching import canonical_body
from pytest_llmeval.errors import CassetteError

ANSWER = b'{"text": "Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x98\x80"}'
REQUEST = "{method: GET, uri: u, body: null, headers: {}}"
GOOD = "{status: {code: 200, message: OK}, headers: {}, body: {string: hi}}"


def text_of(request: str = REQUEST, response: str = GOOD) -> str:
    return f"interactions:\n- request: {request}\n  response: {response}\nversion: 1\n"


def read(text: str, name: str = "x.yaml") -> Interaction:
    (interaction,) = loads(text, Path(name)).interactions
    return interaction


def of_headers(encoding: str, body: bytes) -> str:
    return (
        f"{{status: {{code: 200, message: OK}}, headers: {{Content-Encoding: ['{encoding}'], Content-Length: ['9']}}, "
        f"body: {{string: !!binary {base64.b64encode(body).decode()}}}}}"
    )


@pytest.mark.parametrize(
    ("body", "read_as"),
    [
        ("null", b""),
        ("text", b"text"),
        ("!!python/unicode 'text'", b"text"),
        ("!!python/str 'text'", b"text"),
        ("!!binary AP8=", b"\x00\xff"),
        ("{a: [1, {b: null}]}", b'{"a": [1, {"b": null}]}'),
        ("[a, 1]", b'["a", 1]'),
        ("[!!python/tuple [a, '1'], !!python/tuple [b, '2']]", b"a=1&b=2"),
        ("!!python/object/new:_io.BytesIO {state: !!python/tuple [!!binary AP8=, 0, null]}", b"\x00\xff"),
        ("!!python/object/apply:builtins.iter {args: [[!!binary AP8=, text]], state: 0}", b"\x00\xfftext"),
    ],
)
def test_each_form_of_a_request_s_body_is_read_as_its_bytes(body: str, read_as: bytes) -> None:
    assert read(text_of(request=f"{{method: POST, uri: u, body: {body}}}")).body == read_as


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (GOOD, "OK"),
        ("{status_code: 200, http_version: HTTP/1.1, headers: {}, content: hi}", ""),
        ("{status: {code: 200, message: null}, headers: {}, body: {string: hi}}", ""),
        ("{status: {code: 200}, headers: null, body: {encoding: utf-8, string: hi}}", ""),
        ("{status: {code: 200}, headers: {}, body: {base64_string: aGk=}}", ""),
        ("{status: {code: 200}, headers: {}, body: {string: !!binary aGk=}}", ""),
        ("{status: {code: 200}, headers: {}, body: {string: !!python/unicode hi}, url: 'http://h'}", ""),
    ],
)
def test_each_layout_of_an_answer_is_read(response: str, reason: str) -> None:
    interaction = read(text_of(response=response))
    assert (interaction.status, interaction.reason, interaction.content) == (200, reason, b"hi")


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ("{X: [a, b]}", ["a", "b"]),
        ("{X: a}", ["a"]),
        ("{X: [!!binary YQ==]}", ["a"]),
        ("{X: [12]}", ["12"]),
        ("{X: [null]}", []),
        ("{X: !!python/tuple [a]}", ["a"]),
        ("{!!binary WA==: [a]}", ["a"]),
    ],
)
def test_each_form_of_a_header_is_read(headers: str, value: list[str]) -> None:
    assert read(text_of(request=f"{{method: GET, uri: u, headers: {headers}}}")).request_headers == {"X": value}


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(ANSWER, mtime=0)),
        ("GZIP", gzip.compress(ANSWER[:5], mtime=0) + gzip.compress(ANSWER[5:], mtime=0)),
        ("x-gzip", gzip.compress(ANSWER, mtime=0)),
        ("gzip", ANSWER),
        ("deflate", zlib.compress(ANSWER)),
        ("deflate", zlib.compress(ANSWER)[2:-4]),
        ("deflate", ANSWER),
        ("deflate, gzip", gzip.compress(zlib.compress(ANSWER), mtime=0)),
        ("identity", ANSWER),
        ("br", ANSWER),
        ("zstd", ANSWER),
    ],
)
def test_a_packed_answer_is_unpacked_and_one_that_was_already_stays(encoding: str, body: bytes) -> None:
    interaction = read(text_of(response=of_headers(encoding, body)))
    assert interaction.content == ANSWER
    assert interaction.headers == {}


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip", gzip.compress(ANSWER, mtime=0)[:-9], "does not unpack (gzip): it is cut off"),
        ("gzip", gzip.compress(ANSWER, mtime=0)[:12] + b"\xff\xff\xff", "does not unpack (gzip)"),
        ("deflate", b"\xff\xfe\xfd", "does not unpack (deflate)"),
        ("compress", b"\x1f\x9d", "'compress', which is not known"),
    ],
)
def test_an_answer_that_does_not_unpack_is_refused(encoding: str, body: bytes, reason: str) -> None:
    with pytest.raises(CassetteError, match=r"^x\.yaml:2: not a usable cassette: interaction 1: ") as caught:
        read(text_of(response=of_headers(encoding, body)))
    assert reason in str(caught.value)


def test_a_compression_without_its_package_is_refused_with_the_package_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("brotli", "brotlicffi"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(CassetteError, match="install the package brotli"):
        read(text_of(response=of_headers("br", b"\x8b\x02\x80")))


def test_a_compression_with_its_package_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", SimpleNamespace(decompress=lambda data: data[::-1]))
    assert read(text_of(response=of_headers("br", b"\xff\xfe"))).content == b"\xfe\xff"


def test_an_answer_that_would_fill_the_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock, "MOST_BYTES", 10_000)
    with pytest.raises(CassetteError, match="more than 10,000 bytes"):
        read(text_of(response=of_headers("gzip", gzip.compress(b"a" * 20_000))))


def test_a_cassette_in_json_is_read_whatever_its_name(tmp_path: Path) -> None:
    request = {"method": "GET", "uri": "u", "body": "é😀", "headers": {}}
    response = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": ANSWER.decode()}}
    text = jsonserializer.serialize({"version": 1, "interactions": [{"request": request, "response": response}]})
    for name in ("x.json", "x.yaml", "x"):
        interaction = read(text, name)
        assert (interaction.body.decode(), interaction.content) == ("é😀", ANSWER)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('{\n"version": 1,\n"interactions": [', 3, "Expecting value"),
        ("{}", 1, "no list of interactions"),
        (json.dumps({"version": 1, "interactions": [{"request": {}}]}, indent=4), 5, "no 'response'"),
        ('{"a":' * 100_000, 1, "recursion"),
    ],
)
def test_damaged_json_is_refused_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(CassetteError, match=rf"^x\.json:{line}: not a usable cassette: ") as caught:
        loads(text, Path("x.json"))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (text_of(request="!!python/object:vcr.request.Request {method: GET}"), "python/object:vcr.request.Request"),
        (text_of(request="{method: GET, uri: u, body: !!python/object/apply:os.system [x]}"), "os.system"),
        (text_of(request="{method: GET, uri: u, body: !!python/object/new:_io.StringIO {state: [a]}}"), "_io.StringIO"),
        (text_of(request="{method: GET, uri: u, body: !!python/name:os.system ''}"), "python/name:os.system"),
        (text_of(request="{method: GET, uri: u, body: !!python/object/apply:builtins.iter {args: [5]}}"), "hold bytes"),
        (text_of(request="{method: GET, uri: u, body: !!python/object/apply:builtins.iter [[a]]}"), "has no place"),
        (text_of(request="{method: GET, uri: u, body: !!python/object/new:_io.BytesIO {}}"), "hold bytes"),
        (text_of(request="{method: GET, uri: u, body: !!set {a}}"), "yaml.org,2002:set"),
        (text_of(request="{method: GET, uri: u, body: 12}"), "request.body is int"),
        (text_of(request="{method: GET, uri: u, headers: {X: [1.5]}}"), "header X is float"),
        (text_of(response="{status: {code: 200}, headers: {}, body: null}"), "response.body is NoneType"),
        (text_of(response="{status: {code: 200}, headers: {}}"), "the response has no body"),
        (text_of(response="{status: {code: 200}, headers: {}, body: {base64_string: '*'}}"), "base64"),
        ("- request: {}\n  response: {}\n", "python -m vcr.migration"),
        ("a: 1\n? [b]\n: 2\n", "a key is not a plain value"),
        ("a: *b\n", "alias 'b' stands for nothing"),
        ("a: 1\n---\nb: 2\n", "a second document"),
        ("a: !!int x\n", "'x'"),
        # Newer parsers have a limit of their own, and words of their own for it.
        ("[" * 200_000, "nest"),
        ("- " * 50_000, "nest"),
    ],
)
def test_what_is_no_plain_cassette_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(CassetteError, match=r"^x\.yaml:\d+: not a usable cassette: ") as caught:
        loads(text, Path("x.yaml"))
    assert reason in str(caught.value)


def test_aliases_that_hold_each_other_are_refused_before_they_are_unfolded() -> None:
    levels = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 9))
    with pytest.raises(yaml.MarkedYAMLError, match="too large, with its aliases"):
        plainyaml.parse(f"x0: &x0 [{', '.join('a' * 10)}]\n{levels}")


def test_an_alias_stands_for_what_it_names() -> None:
    assert plainyaml.parse("a: &x [1, {b: ~}]\nc: *x\nd: &y 5\ne: *y\n") == {
        "a": [1, {"b": None}],
        "c": [1, {"b": None}],
        "d": 5,
        "e": 5,
    }


def random_data(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(10 if depth < 4 else 7)
    if kind == 7:
        return [random_data(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind > 7:
        return {rng.choice(["a", "b c", "1", "", "é"]): random_data(rng, depth + 1) for _ in range(rng.randrange(4))}
    texts = [
        "",
        "a",
        "1",
        "1.5",
        "null",
        "yes",
        "2026-11-01",
        "a: b",
        "- x",
        "a\nb\n",
        " a ",
        "é😀",
        "\x85",
        "'",
        "~",
        "=",
    ]
    scalars = (None, True, rng.randrange(-9, 9), 0.25, b"\x00\xff", rng.choice(texts), rng.choice(texts))
    return scalars[kind]


def test_what_stock_writes_is_read_as_stock_reads_it() -> None:
    rng = random.Random(3)
    for _ in range(400):
        data = {"version": 1, "data": random_data(rng)}
        text = yamlserializer.serialize(data)
        assert plainyaml.parse(text) == yamlserializer.deserialize(text) == data


def test_what_aiohttp_was_given_as_data_is_the_same_question_as_the_form_that_it_sends() -> None:
    stored = read(text_of(request="{method: POST, uri: u, body: {a: 'x y', b: ''}}")).body
    assert canonical_body(stored, "") == canonical_body(b"b=&a=x+y", "")
    assert canonical_body(b"a=1&a=2", "") == b"a=1&a=2"
    assert canonical_body(b"a=1&b=2", "text/plain") == b"a=1&b=2"
