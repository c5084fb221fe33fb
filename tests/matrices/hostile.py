"""Cassettes that are made to run code, or to use up time and memory."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.format import HEADER
from pytest_llmeval.errors import CassetteError
from tests.matrices.matrix import Matrix

WITH_LINE = re.compile(r"damaged\.yaml:[1-9][0-9]*: not a usable cassette: .+ Restore the file")

# In place of CANARY stands a file that code would make.
TAGS = (
    "!!python/object/apply:os.system ['touch CANARY']",
    "!!python/object/new:os.system ['touch CANARY']",
    "!!python/object/apply:subprocess.check_output [[touch, CANARY]]",
    "!!python/object/apply:builtins.eval [\"open('CANARY', 'w')\"]",
    "!!python/object/apply:builtins.exec {args: [\"open('CANARY', 'w')\"]}",
    "!!python/object/new:type {args: [x, !!python/tuple [], {}], state: {extend: !!python/name:exec }, listitems: 'x'}",
    "!!python/object:subprocess.Popen {args: [touch, CANARY]}",
    "!!python/object/new:_io.BytesIO {state: !!python/object/apply:os.system ['touch CANARY']}",
    "!!python/object/apply:builtins.iter {args: !!python/object/apply:os.system ['touch CANARY']}",
    "!!python/name:os.system ''",
    "!!python/module:os ''",
    "!!js/function 'function () {}'",
    "!own 'x'",
    "!!set {a, b}",
    "!!int 'x'",
    "!!int ''",
    "!!bool 'x'",
    "!!float ''",
    "!!binary '\\xff'",
    "{<<: {a: 1}}",
    "{? [a] : b}",
    "*nothing",
)
ENTRY = """- request: {{method: POST, uri: '{uri}', body: {body}, headers: {headers}}}
  response: {{status: {{code: 200, message: OK}}, headers: {headers}, body: {{string: {string}}}}}
"""


def _file(first: str = "", **parts: str) -> str:
    values = {"uri": "http://h/", "body": "''", "headers": "{}", "string": "hello"} | parts
    return f"{first}interactions:\n{ENTRY.format(**values)}version: 1\n"


def tagged(canary: Path) -> Iterator[tuple[str, str]]:
    """Return files with tags where each value of a cassette stands."""
    for tag in TAGS:
        text = tag.replace("CANARY", str(canary))
        for place in ("string", "body"):
            yield f"{tag.split()[0]} as {place}", _file(**{place: text})
        yield f"{tag.split()[0]} as header", _file(headers=f"{{content-type: [{text}]}}")
        yield f"{tag.split()[0]} beside the interactions", _file(first=f"x: {text}\n")
        yield f"{tag.split()[0]} as the whole file", f"{text}\n"


def bombs() -> Iterator[tuple[str, str]]:
    """Return small files that want all the time or memory there is."""
    laughs = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)]
    yield "aliases of lists", _file(first="".join(["a0: &a0 [lol]\n", *laughs]), body="*a11")
    maps = [f"b{n}: &b{n} {{{', '.join(f'k{k}: *b{n - 1}' for k in range(10))}}}\n" for n in range(1, 12)]
    yield "aliases of mappings", _file(first="".join(["b0: &b0 {k: v}\n", *maps]), headers="*b11")
    yield "an alias of itself", _file(first="a: &a [*a]\n", body="*a")
    long = (
        f"x: &x '{'y' * 300_000}'\ninteractions:\n" + ENTRY.format(uri="u", body="*x", headers="{}", string="*x") * 3000
    )
    yield "a long text, mentioned often", f"{long}version: 1\n"
    for name, part in (("lists", "["), ("mappings", "{a: "), ("list items", "- "), ("keys", "? ")):
        yield f"nested {name}", _file(first=f"x:\n  {part * 100_000}\n")
    yield "nested JSON", '{"interactions": ' + "[" * 100_000
    yield "a number to the base of 60", _file(first=f"x: {'1:' * 200_000}1\n")
    yield "a long number", _file(first=f"x: {'1' * 200_000}\n")
    packed = base64.b64encode(gzip.compress(bytes(300 * 2**20), 6)).decode()
    yield "a packed body", _file(headers="{content-encoding: [gzip]}", string=f"!!binary {packed}")


def hostile(folder: Path) -> Matrix:
    """Try to run code, and to use up time and memory: as it is, and with a seal, which is no secret."""
    matrix = Matrix(
        "A cassette from a stranger runs no code, and takes less than a second and 200 MB to refuse",
        ("cassette", "refused", "most CPU time", "most memory"),
    )
    canary, path = folder / "canary", folder / "damaged.yaml"
    for title, group in (("with a tag or a wrong value", tagged(canary)), ("with a bomb", bombs())):
        lost, count, seconds, peak = [], 0, 0.0, 0.0
        for name, text in group:
            for sealed in (False, True):
                body = HEADER + text if sealed else text
                path.write_text(f"{body}checksum: sha256:{_digest(body)}\n" if sealed else body, encoding="utf-8")
                message, took, size = _measured(path)
                count, seconds, peak = count + 1, max(seconds, took), max(peak, size)
                if not WITH_LINE.search(message) or canary.exists() or took > 1 or size > 200:
                    canary.unlink(missing_ok=True)
                    lost.append(f"{name}, sealed {sealed}: {message[:300]!r}, {took:.1f} s, {size:.0f} MB")
        matrix.add(title, count - len(lost), f"{seconds:.2f} s", f"{peak:.0f} MB", tried=count, lost=lost)
    return matrix


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _measured(path: Path) -> tuple[str, float, float]:
    """Return the message of a refused file, the CPU seconds, and the megabytes that Python took at most."""
    message = ""
    took, size = 0.0, 0.0
    for memory in (False, True):
        if memory:
            # Slows all down, so it is looked at on its own.
            tracemalloc.start()
        since = time.process_time()
        try:
            tape, _ = read_tape(path)
            message = f"read, with {len(tape.interactions)} interactions"
        except CassetteError as exc:
            message = str(exc)
        except Exception as exc:
            message = f"raises {exc!r}"
        if memory:
            size = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
        else:
            took = time.process_time() - since
    return message, took, size
