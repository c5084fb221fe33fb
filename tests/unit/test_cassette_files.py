"""A cassette that would hold a secret is not written, wherever in a request or an answer it stands."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from pytest_llmeval.cassettes.files import write_tape
from pytest_llmeval.cassettes.format import Interaction, Tape
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
