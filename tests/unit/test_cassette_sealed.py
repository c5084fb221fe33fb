"""The short way reads what the YAML parser reads, or gives up."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_llmeval.cassettes import sealed
from pytest_llmeval.cassettes.format import Interaction, Tape, dumps

PIECES = [
    "plain",
    "two words",
    "",
    " ",
    "  leading",
    "trailing ",
    "tab\t",
    "line\n",
    "\nline",
    "a\n\nb",
    "a\n\n",
    "\n",
    "\n\n",
    "  indented\nx",
    "x\n  indented\n",
    "# no comment",
    "a: b",
    "- item",
    "key:",
    "'",
    '"',
    "''",
    "it's",
    'say "hi"',
    "|",
    "|-",
    ">",
    "{",
    "{}",
    "[1]",
    "&a",
    "*a",
    "!x",
    "%",
    "@",
    "`",
    "null",
    "~",
    "true",
    "yes",
    "on",
    "1",
    "1.0",
    "1e3",
    "0x1f",
    "1_000",
    ".inf",
    "-1",
    "+1",
    "2026-11-01",
    "2026-11-01T10:00:00Z",
    "12:30:45",
    "=",
    "<<",
    "...",
    "---",
    "---\nx",
    "Grüße 😀",
    "\xa0",
    "\ufeff",
    "\x7f",
    "\x00",
    "\u2028",
    "a\rb",
    "trailing \nspace",
    "checksum: sha256:0",
    "1.5e-05",
]


def random_interaction(rng: random.Random) -> Interaction:
    def text() -> str:
        return "".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 4)))

    meta: dict[str, object] = {rng.choice("abcdef"): rng.choice([text(), 1, 0.25, 1e-7, 1e22, True, None, ((1.5, 3),)])}
    return Interaction(
        method=text(),
        uri=text(),
        body=rng.choice([text().encode(), json.dumps({"a": text(), "b": [text()]}).encode(), b"\xff\xfe", b""]),
        request_headers={text() or "x": [text()] for _ in range(rng.randrange(3))},
        status=rng.randrange(100, 600),
        reason=text(),
        headers={"content-type": [text(), text()][: rng.randrange(3)]},
        content=text().encode(),
        meta=rng.choice([{}, meta]),
    )


def test_what_it_reads_is_what_the_yaml_parser_reads() -> None:
    rng = random.Random(11)
    read = 0
    for _ in range(1500):
        text = dumps(Tape([random_interaction(rng) for _ in range(rng.randrange(3))], incomplete=rng.random() < 0.2))
        quick = sealed.read(text)
        if quick is not None:
            read += 1
            assert quick == yaml.safe_load(text)
    assert read > 100


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
def test_an_ordinary_cassette_is_read_the_short_way(content_type: str) -> None:
    content = b'{"choices": [{"message": {"content": "Hi \\"you\\" \xf0\x9f\x98\x80\\n"}}]}'
    if "json" not in content_type:
        content = b"data: " + content + b"\n\ndata: [DONE]\n\n"
    meta = {
        "recorded_at": "2026-11-01T10:00:00Z",
        "latency_ms": 12.5,
        "retries": 0,
        "text": "Hi\n",
        "chunks": ((1.0, 9),),
    }
    headers = {"content-type": [content_type]}
    one = Interaction("POST", "https://h/v1?a=1", b'{"model": "m"}', headers, 200, "OK", headers, content, meta)
    text = dumps(Tape([one, one]))
    assert sealed.read(text) is not None
    assert sealed.read(text) == yaml.safe_load(text)


def test_reading_what_we_wrote_needs_no_yaml_parser(tmp_path: Path) -> None:
    headers = {"content-type": ["application/json"]}
    one = Interaction(
        "POST", "https://h/v1", b'{"model": "m"}', headers, 200, "OK", headers, b'{"a": 1}', {"retries": 0}
    )
    path = tmp_path / "x.yaml"
    path.write_text(dumps(Tape([one])), encoding="utf-8")
    script = (
        "import sys; from pathlib import Path; import pytest_llmeval.session; "
        "from pytest_llmeval.cassettes.files import read_tape; "
        "print(len(read_tape(Path(sys.argv[1]))[0].interactions), 'yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"
