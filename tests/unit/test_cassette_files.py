"""A cassette that would hold a secret is not written, wherever in a request or an answer it stands."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from pytest_llmeval.cassettes.files import write_tape
from pytest_llmeval.cassettes.format import Interaction, Tape, dumps
from pytest_llmeval.cassettes.passages import Passages
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.errors import SecretError

KEY = "9fX2mQ7bTzLw4Rk8Vn3Hs6Yd"
ESCAPED = "".join(f"\\u{ord(char):04x}" for char in KEY)
PIECES = [KEY[at : at + 6] for at in range(0, len(KEY), 6)]
BODIES = {
    "plain": f"the key is {KEY}",
    "object": json.dumps({"a": {"b": [KEY]}}),
    "escaped": f'{{"a": "{ESCAPED}"}}',
    "object in text": json.dumps({"a": json.dumps({"b": KEY})}),
    "base64 in object": json.dumps({"a": base64.b64encode(f"the key is {KEY}".encode()).decode()}),
    "lines of base64": json.dumps({"a": base64.encodebytes(f"{'the key is ' * 20}{KEY}".encode()).decode()}),
    "key twice": f'{{"a": "{KEY}", "a": 1}}',
    "key of an object": json.dumps({KEY: 1}),
    "not JSON after all": f'{{"a": "{KEY}", }}',
    "two objects": f'{{"a": 1}}{{"a": "{KEY}"}}',
    "DEL beside it": f'{{"a": "\\u007f{KEY}\\u2028"}}',
    "pieces": json.dumps([{"text": piece} for piece in PIECES]),
    "pieces of a stream": "".join(f"data: {json.dumps({'text': piece})}\n\n" for piece in PIECES),
}
PACKED = {
    "UTF-16": json.dumps({"a": KEY}).encode("utf-16-le"),
    "gzip": gzip.compress(json.dumps({"a": KEY}).encode(), mtime=0),
    "gzip in object": json.dumps({"a": base64.b64encode(gzip.compress(KEY.encode(), mtime=0)).decode()}).encode(),
}


def tape(kind: str, *, body: bytes = b"{}", content: bytes = b"{}") -> Tape:
    headers = {"content-type": [kind]} if kind else {}
    return Tape([Interaction("POST", "https://a.example/v1", body, headers, 200, "OK", headers, content)])


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/event-stream", ""])
@pytest.mark.parametrize("place", ["body", "content"])
@pytest.mark.parametrize("form", [*BODIES, *PACKED])
def test_a_secret_is_refused_in_whatever_body_it_stands(tmp_path: Path, form: str, place: str, kind: str) -> None:
    body = PACKED[form] if form in PACKED else BODIES[form].encode()
    with pytest.raises(SecretError, match="the value of BANK_API_KEY") as caught:
        write_tape(tmp_path / "a.yaml", tape(kind, **{place: body}), SecretScanner({"BANK_API_KEY": KEY}))
    assert KEY not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    # To whom it is no secret, it is written.
    write_tape(tmp_path / "a.yaml", tape(kind, **{place: body}), SecretScanner({}))
    assert (tmp_path / "a.yaml").is_file()


@pytest.mark.parametrize("form", [*BODIES, *PACKED])
def test_what_was_no_secret_when_it_was_written_before_may_be_one_now(tmp_path: Path, form: str) -> None:
    body = PACKED[form] if form in PACKED else BODIES[form].encode()
    environ: dict[str, str] = {}
    scanner, known, first, second = SecretScanner(environ), Passages(), tape("", body=body), tape("")
    write_tape(tmp_path / "a.yaml", first, scanner, known)
    before = (tmp_path / "a.yaml").read_bytes()
    environ["BANK_API_KEY"] = KEY
    scanner.learn()
    with pytest.raises(SecretError, match="the value of BANK_API_KEY"):
        write_tape(tmp_path / "a.yaml", Tape([*first.interactions, *second.interactions]), scanner, known)
    assert (tmp_path / "a.yaml").read_bytes() == before


def test_where_a_secret_stands_is_told_once_with_its_line_in_the_file(tmp_path: Path) -> None:
    interactions = [each for body in (b"{}", KEY.encode(), KEY.encode()) for each in tape("", body=body).interactions]
    with pytest.raises(SecretError) as caught:
        write_tape(tmp_path / "a.yaml", Tape(interactions), SecretScanner({"BANK_API_KEY": KEY}))
    line = dumps(Tape(interactions)).splitlines().index(f"    body: {KEY}") + 1
    assert f"(line {line}: the value of BANK_API_KEY)" in str(caught.value)


def test_a_packed_secret_is_told_with_the_number_of_its_request(tmp_path: Path) -> None:
    interactions = [
        each for body in (b"{}", BODIES["pieces of a stream"].encode()) for each in tape("", body=body).interactions
    ]
    with pytest.raises(SecretError, match=r"\(request 2: the value of BANK_API_KEY"):
        write_tape(tmp_path / "a.yaml", Tape(interactions), SecretScanner({"BANK_API_KEY": KEY}))
