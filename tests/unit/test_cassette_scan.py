"""`scan` finds secrets in the files of stock vcrpy and in ours, however they are laid out."""

from __future__ import annotations

import base64
import gzip
import json
import os
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml

from pytest_llmeval.cassettes import scan as scanning
from pytest_llmeval.cassettes.format import Interaction, Tape, dumps
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.cassettes.scan import scan, scan_file
from pytest_llmeval.errors import CassetteError

TOKEN = "9fX2mQ7bTzLw4Rk8Vn3Hs6Yd"


def cassette(
    request_headers: dict[str, Any] | None = None,
    headers: dict[str, Any] | None = None,
    body: Any = "",
    uri: str = "https://h/v1",
    string: Any = "",
) -> dict[str, Any]:
    """Return the data of a cassette as stock vcrpy lays it out."""
    request = {"body": body, "headers": request_headers or {}, "method": "POST", "uri": uri}
    response = {"body": {"string": string}, "headers": headers or {}, "status": {"code": 200, "message": "OK"}}
    return {"interactions": [{"request": request, "response": response}], "version": 1}


def found_in(text: str | bytes, tmp_path: Path, name: str = "c.yaml", **environ: str) -> list[tuple[int, str]]:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = scan_file(path, SecretScanner(environ))
    assert TOKEN not in repr(found)
    return [(item.line, item.what) for item in found]


def whats_in(data: dict[str, Any], tmp_path: Path, **environ: str) -> set[str]:
    """Return what is found in a cassette, the same as YAML and, where that can be, as JSON."""
    as_yaml = {what for _, what in found_in(yaml.dump(data), tmp_path, **environ)}
    try:
        text = json.dumps(data, indent=4)
    except TypeError:
        return as_yaml
    as_json = {what for _, what in found_in(text, tmp_path, "c.json", **environ)}
    assert as_json == as_yaml
    return as_yaml


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", [f"Bearer {TOKEN}"]),
        ("authorization", [TOKEN]),
        ("authorization", TOKEN),
        ("Authorization", ["Basic " + base64.b64encode(b"me:some-password").decode()]),
        ("X-Api-Key", ["a-password-in-words-alone"]),
        ("x-goog-api-key", [TOKEN]),
        ("Cookie", ["lang=en; session=a1b2"]),
        ("Set-Cookie", ["__cf_bm=q1w2e3; path=/; HttpOnly"]),
        ("openai-organization", ["acme-research"]),
        ("OpenAI-Project", ["proj-of-acme"]),
        ("X-Amz-Security-Token", [TOKEN]),
    ],
)
def test_a_header_that_lets_in_or_tells_the_account_is_found(name: str, value: Any, tmp_path: Path) -> None:
    assert f"the header {name.lower()}" in whats_in(cassette(request_headers={name: value}), tmp_path)
    assert f"the header {name.lower()}" in whats_in(cassette(headers={name: value}), tmp_path)


@pytest.mark.parametrize(
    "value",
    [
        "REDACTED",
        "Bearer DUMMY",
        "XXX",
        "***",
        "<token>",
        "fake",
        "Bearer ***",
        "sk-xxxx",
        "",
        "[FILTERED]",
        "Bearer test",
    ],
)
def test_a_header_that_was_redacted_is_none(value: str, tmp_path: Path) -> None:
    headers = {"authorization": [value], "x-api-key": [value], "openai-organization": [value]}
    cookies = {"set-cookie": [f"session={value}; path=/"], "cookie": [f"a={value}; b={value}"]}
    assert whats_in(cassette(headers, cookies), tmp_path) == set()
    assert whats_in(cassette({"cookie": [value]}, {"date": ["Mon, 23 Nov 2026 21:23:20 GMT"]}), tmp_path) == set()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (cassette(uri=f"https://h/v1?alt=sse&key={TOKEN}"), "the URL parameter key"),
        (cassette(uri=f"https://me:{TOKEN}@h/v1"), "the password in a URL"),
        (cassette(headers={"location": [f"https://h/x?sig={TOKEN}"]}), "the URL parameter sig"),
        (cassette(body=f"grant_type=client_credentials&client_secret={TOKEN}"), "the form field client_secret"),
        (cassette(string=json.dumps({"access_token": TOKEN, "expires_in": 3600})), "the field access_token"),
        (cassette(string=f"It is sk-proj-{TOKEN}."), "what looks like an API key (sk-...)"),
        (cassette(string=f"https://b/x?a=1&X-Amz-Signature={TOKEN}"), "what looks like a signed URL"),
        (cassette(string="word " * 40 + f"sk-proj-{TOKEN} " + "word " * 40), "what looks like an API key (sk-...)"),
    ],
)
def test_a_secret_is_found_by_its_place_or_its_shape(data: dict[str, Any], what: str, tmp_path: Path) -> None:
    assert what in whats_in(data, tmp_path)


@pytest.mark.parametrize(
    "value",
    [
        TOKEN,
        f"é {TOKEN} \u2028 long words that are folded " * 3,
        json.dumps({"a": json.dumps({"b": TOKEN})}),
        "".join(f"\\u{ord(char):04x}" for char in TOKEN),
        base64.b64encode(f"user:{TOKEN}".encode()).decode(),
        b"\x00\xff" + TOKEN.encode(),
        gzip.compress(f"the key is {TOKEN}".encode() * 9, mtime=0),
        b"\xff\xfe" + TOKEN.encode("utf-16-le"),
    ],
)
def test_the_value_of_a_variable_is_found_in_every_body(value: str | bytes, tmp_path: Path) -> None:
    for data in (cassette(body=value), cassette(string=value)):
        assert whats_in(data, tmp_path, OPENAI_API_KEY=TOKEN) == {"the value of OPENAI_API_KEY"}


def test_a_secret_that_is_split_over_events_is_found(tmp_path: Path) -> None:
    text = f"The key is sk-proj-{TOKEN}, keep it."
    pieces = [text[start : start + 3] for start in range(0, len(text), 3)]
    stream = "".join(f"data: {json.dumps({'choices': [{'delta': {'content': piece}}]})}\n\n" for piece in pieces)
    what = "what looks like an API key (sk-...), split over the events of a stream"
    assert whats_in(cassette(string=stream), tmp_path) == {what}
    assert whats_in(cassette(string=stream.encode() + b"\xff"), tmp_path) == {what}


def test_our_own_files_are_read(tmp_path: Path) -> None:
    body = json.dumps({"choices": [{"message": {"content": f"It is sk-proj-{TOKEN}."}}]}).encode()
    types = {"content-type": ["application/json"]}
    tape = Tape([Interaction("POST", "https://h/v1", b'{"q": 1}', types, 200, "OK", types, body)])
    text = dumps(tape)
    (found,) = found_in(text, tmp_path)
    assert "sk-proj-" in text.splitlines()[found[0] - 1]


def test_a_line_is_told_where_the_secret_stands(tmp_path: Path) -> None:
    text = f"""\
        interactions:
        - request:
            body: "one two sk-proj-\\
              {TOKEN}"
            headers:
              x-api-key:
              - {TOKEN}
            method: POST
            uri: https://h/v1?key={TOKEN}
          response:
            body:
              string: |
                first
                gsk_{TOKEN}
        version: 1
    """
    assert found_in(dedent(text), tmp_path) == [
        (3, "what looks like an API key (sk-...)"),
        (7, "the header x-api-key"),
        (9, "the URL parameter key"),
        (14, "what looks like a Groq key"),
    ]


def test_lines_of_json_are_told(tmp_path: Path) -> None:
    text = json.dumps(cassette({"x-api-key": [TOKEN], "a": ["é"]}, {"set-cookie": ["s=a1b2c3"]}), indent=4)
    found = found_in(text, tmp_path, "c.json")
    lines = text.splitlines()
    assert [(what, lines[line - 1].strip()) for line, what in found] == [
        ("the header x-api-key", f'"{TOKEN}"'),
        ("the header set-cookie", '"s=a1b2c3"'),
    ]


def test_tags_of_python_run_nothing_and_hide_nothing(tmp_path: Path) -> None:
    text = f"""\
        interactions:
        - request:
            body: !!python/object/new:_io.BytesIO
              state: !!python/tuple
              - !!binary {base64.b64encode(f"x sk-proj-{TOKEN}".encode()).decode()}
            headers: !!python/object/apply:os.system
              args: [touch {tmp_path}/pwned]
            uri: !!python/unicode 'https://h/v1?key={TOKEN}'
        """
    whats = {what for _, what in found_in(dedent(text), tmp_path)}
    assert whats == {"what looks like an API key (sk-...)", "the URL parameter key"}
    assert not (tmp_path / "pwned").exists()


def test_aliases_that_hold_each_other_and_deep_nests_are_read_in_no_time(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]
    assert found_in("\n".join([*lines, f"interactions: [gsk_{TOKEN}]"]), tmp_path)
    assert found_in(f"interactions: {'[' * 5000}gsk_{TOKEN}{']' * 5000}", tmp_path)
    nested = found_in(f'{{"interactions": {"[" * 100_000}"gsk_{TOKEN}"', tmp_path, "c.json")
    assert "what looks like a Groq key" in {what for _, what in nested}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: text.index("status")] + "  : [",
        lambda text: text.replace("  method", "\tmethod"),
        lambda text: text.replace("POST", "PO\x00ST"),
        lambda text: "{" + text,
    ],
)
def test_a_damaged_file_is_told_and_searched_all_the_same(damage: Any, tmp_path: Path) -> None:
    text = damage(yaml.dump(cassette({"Authorization": ["Bearer words-without-any-digit"]}, string=f"gsk_{TOKEN}")))
    whats = {what for _, what in found_in(text, tmp_path)}
    assert any(what.startswith("damaged: ") for what in whats)
    assert {"the header authorization", "what looks like a Groq key"} <= whats


def test_bytes_that_are_no_text_are_searched_all_the_same(tmp_path: Path) -> None:
    whats = {what for _, what in found_in(b"\xff\xff\xff interactions: gsk_" + TOKEN.encode(), tmp_path)}
    assert "what looks like a Groq key" in whats
    assert any("not UTF-8" in what for what in whats)
    text = yaml.dump(cassette(string=f"gsk_{TOKEN}")).encode("utf-16")
    assert {what for _, what in found_in(text, tmp_path)} == {"what looks like a Groq key"}


def test_a_file_that_is_too_large_for_the_memory_is_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "LARGEST", 400_000)
    filler = "- harmless words\n" * 30_000
    text = f"interactions:\n{filler}- gsk_{TOKEN}\n{filler}- x-api-key: {TOKEN}\n"
    assert found_in(text, tmp_path) == [(30_002, "what looks like a Groq key"), (60_003, "the header x-api-key")]


def write(folder: Path, name: str, text: str = f"interactions: [gsk_{TOKEN}]") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def files_with_findings(path: Path) -> list[str]:
    result = scan([path], SecretScanner({}))
    return sorted({found.path.relative_to(path).as_posix() for found in result.found})


def test_a_folder_is_searched_for_what_looks_like_a_cassette(tmp_path: Path) -> None:
    for name in ("a.yaml", "b/c.yml", "b/d.JSON", "llm_cassettes/x/e.yaml"):
        write(tmp_path, name)
    write(tmp_path, "tests/cassettes/old.yaml", f"key: gsk_{TOKEN}")
    write(tmp_path, "docker-compose.yaml", f"key: gsk_{TOKEN}")
    for name in ("notes.txt", ".git/a.yaml", ".venv/a.yaml", "node_modules/p/a.yaml", ".tox/a.yaml"):
        write(tmp_path, name)
    write(tmp_path, "myenv/pyvenv.cfg", "")
    write(tmp_path, "myenv/lib/a.yaml")
    expected = ["a.yaml", "b/c.yml", "b/d.JSON", "llm_cassettes/x/e.yaml", "tests/cassettes/old.yaml"]
    assert files_with_findings(tmp_path) == expected


def test_a_file_that_is_named_is_always_read_and_only_once(tmp_path: Path) -> None:
    path = write(tmp_path, "notes.txt", f"gsk_{TOKEN}")
    result = scan([path, tmp_path, path], SecretScanner({}))
    assert (result.files, len(result.found)) == (1, 1)


@pytest.mark.skipif(os.name != "posix", reason="links and named pipes need POSIX")
def test_links_lead_nowhere_twice_and_pipes_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "a/c.yaml")
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "gone.yaml").symlink_to(tmp_path / "nothing")
    (tmp_path / "a" / "again.yaml").symlink_to(tmp_path / "a" / "c.yaml")
    os.mkfifo(tmp_path / "a" / "pipe.yaml")
    result = scan([tmp_path], SecretScanner({}))
    assert (result.files, len(result.found)) == (1, 1)


def test_the_name_of_a_file_can_hold_a_secret(tmp_path: Path) -> None:
    path = write(tmp_path, f"test_it[sk-proj-{TOKEN}].yaml", "interactions: []")
    (found,) = scan_file(path, SecretScanner({}))
    assert found.what == "the name of the file: what looks like an API key (sk-...)"


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match=r"nowhere: no such file or folder"):
        scan([tmp_path, tmp_path / "nowhere"], SecretScanner({}))
