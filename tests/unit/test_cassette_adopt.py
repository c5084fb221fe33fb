"""Cassettes of stock vcrpy, rewritten to our form: nothing lost but secrets and noise."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from vcr.persisters.filesystem import FilesystemPersister
from vcr.request import Request
from vcr.serialize import serialize
from vcr.serializers import jsonserializer, yamlserializer

from pytest_llmeval.cassettes.adopt import Adopted, adopt
from pytest_llmeval.cassettes.files import read_tape, write_tape
from pytest_llmeval.cassettes.format import Interaction, Tape
from pytest_llmeval.cassettes.matching import HTTPRequest
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.errors import CassetteError, SecretError

KEY = "sk-canary-4f8Q2mZ7bTzX9cK3vLp0Rw5"
URL = "https://api.example/v1/chat/completions"
QUESTION = {"model": "m", "messages": [{"role": "user", "content": "Grüße 😀"}]}
ANSWER = {"model": "m", "choices": [{"message": {"content": "Hallo 😀"}}]}
STREAM = (
    'data: {"choices": [{"delta": {"content": "Hal"}}]}\n\n'
    'data: {"choices": [{"delta": {"content": "lo"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
)
DATE = {"Date": ["Sun, 01 Nov 2026 10:00:00 GMT"], "Content-Type": ["application/json"]}


def request(body: Any = QUESTION, uri: str = URL, **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Request("POST", uri, content, {"Content-Type": "application/json", "Host": "api.example", **named})


def answer(body: Any = ANSWER, status: int = 200, **headers: Any) -> dict[str, Any]:
    named = {name.replace("_", "-"): [value] for name, value in headers.items()}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return {"status": {"code": status, "message": "OK"}, "headers": {**DATE, **named}, "body": {"string": content}}


def stock(path: Path, *pairs: tuple[Request, dict[str, Any]], metadata: Any = None) -> Path:
    """Write a cassette with stock vcrpy's own code."""
    both = {"requests": [one for one, _ in pairs], "responses": [other for _, other in pairs], "metadata": metadata}
    serializer = jsonserializer if path.suffix == ".json" else yamlserializer
    path.write_text(serialize(both, serializer), encoding="utf-8")
    return path


def adopted(path: Path, **environ: str) -> Adopted:
    return adopt(path, SecretScanner(environ))


def interactions(path: Path) -> list[Interaction]:
    return read_tape(path)[0].interactions


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stock.yaml"


def test_what_is_no_secret_and_no_noise_stays_in_order(path: Path) -> None:
    questions = [{"q": "b"}, {"q": "a"}, {"q": "b"}]
    stock(path, *((request(each), answer({"n": number})) for number, each in enumerate(questions)))
    done = adopted(path)
    assert (done.path, done.interactions, done.changed) == (path, 3, True)
    found = interactions(path)
    assert [json.loads(each.body) for each in found] == questions
    assert [json.loads(each.content) for each in found] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [each.meta for each in found] == [{"recorded_at": "2026-11-01T10:00:00Z"}] * 3


def test_headers_are_kept_by_list_and_the_others_counted(path: Path) -> None:
    told: dict[str, Any] = {
        "Retry_After": "2",
        "x_should_retry": "false",
        "Link": f"<{URL}?page=2>; rel=next",
        "Set_Cookie": "a=b",
    }
    stock(path, (request(Authorization=f"Bearer {KEY}", Cookie="a=b", anthropic_version="1"), answer(**told)))
    done = adopted(path)
    assert done.request_headers == {"authorization": 1, "cookie": 1, "host": 1}
    assert done.answer_headers == {"date": 1, "set-cookie": 1}
    (found,) = interactions(path)
    assert found.request_headers == {"anthropic-version": ["1"], "content-type": ["application/json"]}
    assert set(found.headers) == {"content-type", "link", "retry-after", "x-should-retry"}
    assert KEY not in path.read_text(encoding="utf-8")


def test_bodies_are_readable_and_streams_told(path: Path) -> None:
    packed = answer(gzip.compress(STREAM.encode()), Content_Type="text/event-stream", Content_Encoding="gzip")
    stock(
        path,
        (request(), packed),
        (request(), answer(gzip.compress(json.dumps(ANSWER).encode(), mtime=0), content_encoding="gzip")),
    )
    assert "!!binary" in path.read_text(encoding="utf-8")
    adopted(path)
    text = path.read_text(encoding="utf-8")
    assert "!!binary" not in text
    assert '"content": "Grüße 😀"' in text
    assert "text: Hallo" in text
    assert [each.content.decode() for each in interactions(path)][:1] == [STREAM]


@pytest.mark.parametrize(
    ("uri", "left", "dropped"),
    [
        (f"{URL}?b=%20x&api_key={KEY}&a=1", f"{URL}?b=%20x&a=1", {"api_key": 1}),
        (f"{URL}?API%5FKEY={KEY}", URL, {"API_KEY": 1}),
        (f"{URL}?api_key=DUMMY&b=+%2f", f"{URL}?api_key=DUMMY&b=+%2f", {}),
        (f"{URL}?page_token=8f3ka92mx&token=", f"{URL}?page_token=8f3ka92mx&token=", {}),
        ("https://me:9fX2mQ7bTz@h/p?x", "https://h/p?x", {}),
        (f"{URL}#access_token={KEY}", URL, {}),
    ],
)
def test_a_url_loses_its_secrets_and_nothing_else(path: Path, uri: str, left: str, dropped: dict[str, int]) -> None:
    redirect = answer(b"", status=302, Location=uri, Link=f'<{uri}>; rel="next"')
    stock(path, (request(uri=uri), redirect))
    done = adopted(path)
    (found,) = interactions(path)
    assert (found.uri, found.headers["location"], found.headers["link"]) == (left, [left], [f'<{left}>; rel="next"'])
    assert done.parameters == {name: 3 * count for name, count in dropped.items()}


@pytest.mark.parametrize("status", [400, 401, 404, 408, 429, 500, 503])
def test_errors_that_were_recorded_on_purpose_stay(path: Path, status: int) -> None:
    stock(path, (request(), answer({"error": "x"}, status)), (request(), answer()))
    adopted(path)
    assert [each.status for each in interactions(path)] == [status, 200]


@pytest.mark.parametrize(
    ("body", "reply", "where"),
    [
        ({"key": KEY}, ANSWER, "interaction 1, request body: the value of BANK_API_KEY"),
        (QUESTION, {"error": f"wrong key: {KEY}"}, "interaction 1, answer's body: the value of BANK_API_KEY"),
    ],
)
def test_a_secret_in_a_body_leaves_the_file_as_it_was(path: Path, body: Any, reply: Any, where: str) -> None:
    stock(path, (request(body), answer(reply)))
    before = path.read_bytes()
    with pytest.raises(SecretError) as caught:
        adopted(path, BANK_API_KEY=KEY)
    assert where in str(caught.value)
    assert KEY not in str(caught.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_secret_that_only_the_file_s_headers_show_is_found_where_it_is_echoed(path: Path) -> None:
    token = "9fX2mQ7bTzLk3vWq8sRd"
    stock(path, (request(Authorization=f"Bearer {token}"), answer({"error": f"invalid: {token}"}, 401)))
    with pytest.raises(SecretError, match=r"interaction 1, answer's body: .*authorization"):
        adopted(path)


def test_the_user_s_hook_cleans_what_adopting_does_not(path: Path) -> None:
    def redact(asked: HTTPRequest, replied: Interaction | None) -> None:
        asked.body = asked.body.replace(KEY.encode(), b"REDACTED")
        if replied is not None:
            replied.content = replied.content.replace(KEY.encode(), b"REDACTED")

    stock(path, (request({"key": KEY}), answer({"echo": KEY})))
    adopt(path, SecretScanner({"BANK_API_KEY": KEY}), redact)
    (found,) = interactions(path)
    assert (json.loads(found.body), json.loads(found.content)) == ({"key": "REDACTED"}, {"echo": "REDACTED"})


def test_adopting_twice_changes_nothing(path: Path) -> None:
    stock(path, (request(), answer()))
    adopted(path)
    before, stamp = path.read_bytes(), path.stat().st_mtime_ns
    again = adopted(path)
    assert (again.changed, again.interactions) == (False, 1)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, stamp)


def test_a_file_of_ours_is_left_alone_even_if_it_holds_what_adopting_would_drop(path: Path) -> None:
    ours = Interaction("POST", URL, b"{}", {"x-own": ["1"]}, 200, "OK", {"date": ["x"]}, b"{}", {"latency_ms": 1.5})
    write_tape(path, Tape([ours], incomplete=True), SecretScanner({}))
    before = path.read_bytes()
    assert not adopted(path).changed
    assert path.read_bytes() == before


def test_ours_that_stock_rewrote_keeps_what_was_measured(path: Path) -> None:
    meta = {"recorded_at": "2026-01-02T03:04:05Z", "latency_ms": 12.5, "retries": 1}
    stock(path, (request(), {**answer(), "llmeval": meta}))
    adopted(path)
    assert interactions(path)[0].meta == meta


@pytest.mark.parametrize("text", ["", "a: [", "interactions: []", "- request: {}\n", "version: 1\ninteractions: [{}]"])
def test_a_damaged_file_is_an_error_and_left_alone(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CassetteError, match=r"stock\.yaml:\d+: not a usable cassette"):
        adopted(path)
    assert path.read_text(encoding="utf-8") == text


def test_a_file_that_is_not_there_is_an_error(path: Path) -> None:
    with pytest.raises(CassetteError, match=r"stock\.yaml: there is no such file"):
        adopted(path)


def test_json_goes_to_yaml_beside_it_and_stays(tmp_path: Path) -> None:
    source = stock(tmp_path / "stock.json", (request(), answer()))
    before = source.read_bytes()
    done = adopted(source)
    assert (done.path, done.changed) == (tmp_path / "stock.yaml", True)
    assert source.read_bytes() == before
    assert json.loads(interactions(done.path)[0].content) == ANSWER
    assert not adopted(source).changed


def test_json_does_not_replace_another_cassette(tmp_path: Path) -> None:
    source = stock(tmp_path / "stock.json", (request(), answer()))
    other = stock(tmp_path / "stock.yaml", (request(), answer({"other": 1})))
    before = other.read_bytes()
    with pytest.raises(CassetteError, match=r"stock\.yaml is there already"):
        adopted(source)
    assert other.read_bytes() == before


def test_stock_reads_what_was_adopted_and_its_metadata(path: Path) -> None:
    stock(path, (request(), answer()), (request({"q": 2}), answer({"n": 2}, 500)), metadata={"seed": 7})
    adopted(path)
    requests, responses, metadata = FilesystemPersister.load_cassette(path, yamlserializer)
    assert [json.loads(each.body) for each in requests] == [QUESTION, {"q": 2}]
    assert [json.loads(each["body"]["string"]) for each in responses] == [ANSWER, {"n": 2}]
    assert [each["status"]["code"] for each in responses] == [200, 500]
    assert metadata == {"seed": 7}


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no links here")
def test_a_link_stays_a_link(tmp_path: Path, path: Path) -> None:
    real = stock(tmp_path / "real.yaml", (request(), answer()))
    path.symlink_to(real)
    adopted(path)
    assert path.is_symlink()
    assert read_tape(real)[0].ours
