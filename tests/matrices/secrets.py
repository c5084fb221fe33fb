"""Secrets in every place where one can be: none may reach a file, the terminal, a report or a log.

`python -m tests.matrices.secrets` runs pytest for each of them, at its most talkative, with a test that passes and one
that fails; then has stock vcrpy record the same, for `llmeval scan` to find. With ``--together``, one run has them all.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import indent
from types import TracebackType
from typing import Any

from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.cassettes.scan import scan
from tests.matrices.matrix import Matrix, report
from tests.matrices.secret_canaries import CANARIES, DROPPED, REFUSED, Asked, Canary
from tests.servers import Reply

ROOT = Path(__file__).parents[2]
WINDOW = 6
LONGEST_RUN = 300
TALKATIVE = (
    *("-vv", "--log-level=DEBUG", "--showlocals", "-rA", "--junitxml=report.xml", "-ojunit_logging=all"),
    *("-olog_cli=true", "-olog_cli_level=DEBUG", "--log-file=run.log", "--log-file-level=DEBUG", "--durations=3"),
)
OTHERS = ("llmock", "recording", "asyncio", "anyio", "rerunfailures", "randomly", "timeout", "pytest_cov", "xdist")
CONFTEST = """
import json

def pytest_llmeval_run_finished(run):
    with open("records.jsonl", "w") as file:
        file.writelines(json.dumps(test.to_json()) + "\\n" for test in run.tests)
"""
MODULE = """
import base64, gzip, json, logging, os, warnings
import pytest

URL = "{url}/{slug}"
PLANTED = os.environ.get("{planted}", "")

def b64(text):
    return base64.b64encode(text.encode()).decode()

def ask(record_property=lambda name, value: None):
{code}
    return answer

{marks}
def test_passes({arguments}):
{code}

{marks}
def test_fails({arguments}):
{code}
    assert answer == "another answer"
"""
STOCK = """
import importlib, sys
import vcr

for name in sys.argv[1:]:
    with vcr.use_cassette(f"stock/{name}.yaml"):
        try:
            importlib.import_module(f"test_{name}").ask()
        except Exception as exc:
            print(name, type(exc).__name__)
"""


class Server:
    """Answer each canary's requests as it wants, under a path of its own."""

    def __init__(self, canaries: Iterable[Canary]) -> None:
        self._canaries = {canary.slug: canary for canary in canaries}
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        canaries = self._canaries

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.headers.get("transfer-encoding") == "chunked":
                    body = self._chunks()
                slug = self.path.split("/")[1].partition("?")[0]
                headers = {name.lower(): value for name, value in self.headers.items()}
                self._send(canaries[slug].reply(Asked(self.path, headers, body)))

            def do_GET(self) -> None:
                self.do_POST()

            def _chunks(self) -> bytes:
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                self.send_header("content-type", reply.content_type)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.chunked:
                    self.send_header("transfer-encoding", "chunked")
                else:
                    self.send_header("content-length", str(sum(map(len, reply.pieces))))
                self.end_headers()
                for piece in reply.pieces:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if reply.chunked else piece)
                    self.wfile.flush()
                if reply.chunked:
                    self.wfile.write(b"0\r\n\r\n")

            def log_message(self, *args: Any) -> None:
                pass

        return Handler


class Traces:
    """Finds what is left of a secret: any six characters of it in a row, as they are or encoded.

    It shares nothing with the scanner under test.
    """

    def __init__(self, canary: Canary) -> None:
        core = canary.core.encode()
        self._parts = {core[start : start + WINDOW] for start in range(len(core) - WINDOW + 1)}
        whole = canary.secret.encode()
        self._encoded = {whole.hex().encode(), whole.hex().upper().encode()}
        for shift in range(3):
            text = base64.b64encode(b"\0" * shift + whole)
            self._encoded |= {text[6:-6], text[6:-6].replace(b"+", b"-").replace(b"/", b"_")}

    def in_data(self, data: bytes) -> bool:
        """Whether bytes hold a trace of the secret."""
        views = _views(data)
        return any(part in views for part in (*self._parts, *self._encoded))


@lru_cache(maxsize=2048)
def _views(data: bytes, depth: int = 3) -> bytes:
    """Return all that can be read in bytes, one after the other."""
    found = [data, data.replace(b"\0", b""), _decoded(data)]
    if depth:
        found += (_views(inner, depth - 1) for inner in _packed(data))
    return b"\n".join(found)


def _decoded(data: bytes) -> bytes:
    text = data.decode("latin-1")
    text = re.sub(r"\\+u00([0-9a-fA-F]{2})|\\+x([0-9a-fA-F]{2})|%([0-9a-fA-F]{2})", _character, text)
    return text.encode("latin-1", "replace")


def _character(match: re.Match[str]) -> str:
    return chr(int("".join(part or "" for part in match.groups()), 16))


def _packed(data: bytes) -> Iterator[bytes]:
    if data.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            yield zlib.decompressobj(wbits=31).decompress(data)
    for run in re.findall(rb"(?:[A-Za-z0-9+/=_-]{16,}\s*)+", data):
        text = re.sub(rb"[\s=]", b"", run).replace(b"-", b"+").replace(b"_", b"/")
        for shift in range(4):
            piece = text[shift:]
            piece = piece[: len(piece) // 4 * 4]
            if piece:
                yield base64.b64decode(piece)


class Project:
    """Test files that plant secrets, and runs of them."""

    def __init__(self, folder: Path, server: Server, canaries: Sequence[Canary]) -> None:
        self.folder = folder
        self.canaries = canaries
        settings = ['[tool.pytest.ini_options]\nllm_cassette_dir = "recordings"\n']
        for canary in canaries:
            name = f"PLANTED_{canary.slug}_HERE"
            takes = ["llm"] if canary.settings else []
            takes += ["record_property"] if "record_property" in canary.code else []
            takes += ["key"] if canary.parameter else []
            marks = [f'@pytest.mark.llm_models("{canary.slug}")' if canary.settings else "@pytest.mark.llm_cassette"]
            if canary.parameter:
                (variable,) = canary.env
                marks.append(f'@pytest.mark.parametrize("key", [os.environ["{variable}"]])')
            if canary.settings:
                url = f"{server.url}/{canary.slug}" + ("" if "anthropic:" in canary.settings else "/v1")
                settings.append(f'[tool.llmeval.models.{canary.slug}]\nbase_url = "{url}"\n{canary.settings}\n')
            values = {"url": server.url, "slug": canary.slug, "planted": name, "arguments": ", ".join(takes)}
            text = MODULE.format(code=indent(canary.code, "    "), marks="\n".join(marks), **values)
            (folder / f"test_{canary.slug}.py").write_text(text, encoding="utf-8")
        (folder / "pyproject.toml").write_text("\n".join(settings), encoding="utf-8")
        (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")

    @property
    def env(self) -> dict[str, str]:
        """The environment, with the secrets of all."""
        secret = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|ORG|PROXY|BASE_URL|^CI$", re.IGNORECASE)
        env = {name: value for name, value in os.environ.items() if not secret.search(name)}
        env |= {"PYTHONPATH": str(ROOT), "COLUMNS": "200", "NO_PROXY": "127.0.0.1", "AWS_EC2_METADATA_DISABLED": "true"}
        for canary in self.canaries:
            planted = {name: value for name, value in canary.env.items() if name != "PLANTED"}
            if "PLANTED" in canary.env:
                planted[f"PLANTED_{canary.slug}_HERE"] = canary.env["PLANTED"]
            env |= planted
        return env

    def run(self, style: str = "long") -> bytes:
        """Run the tests at their most talkative; return what reaches the terminal."""
        command = [sys.executable, "-m", "pytest", *TALKATIVE, f"--tb={style}", "--llm-record=once"]
        command += [f"-pno:{name}" for name in OTHERS]
        return self._start(command)

    def record_stock(self) -> bytes:
        """Have stock vcrpy record what the same tests do."""
        (self.folder / "stock").mkdir()
        return self._start([sys.executable, "-c", STOCK, *(canary.slug for canary in self.canaries)])

    def _start(self, command: list[str]) -> bytes:
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, timeout=LONGEST_RUN, check=False
        )
        return done.stdout + b"\n" + done.stderr

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield the name and content of each file; the name is a part of what is looked at."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                name = path.relative_to(self.folder).as_posix()
                yield name, name.encode() + b"\n" + path.read_bytes()


def where_seen(canary: Canary, terminal: bytes, files: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """Return, by column, where a trace of the secret is: an empty text for nowhere."""
    traces = Traces(canary)
    seen = {"files": "", "terminal": "seen" if traces.in_data(terminal) else "", "log": "", "report": ""}
    for name, data in files:
        if traces.in_data(data):
            column = {"run.log": "log", "report.xml": "report", "records.jsonl": "report"}.get(name, "files")
            seen[column] = f"{seen[column]} {name}".strip()
    return seen


def written(canary: Canary, terminal: bytes, files: Sequence[tuple[str, bytes]]) -> str:
    """Return what was done with the recordings of a canary."""
    folder = f"recordings/test_{canary.slug}"[:30]
    if any(name.startswith(folder) for name, _ in files):
        return DROPPED
    told = re.search(
        rb"test_" + canary.slug[:18].encode() + rb"[^\n]*not written, since it would hold a secret", terminal
    )
    return REFUSED if told else "not kept"


def add_row(matrix: Matrix, canary: Canary, terminal: bytes, files: Sequence[tuple[str, bytes]]) -> None:
    """Add what came of one canary."""
    seen = where_seen(canary, terminal, files)
    done = written(canary, terminal, files)
    lost = [f"seen in {column}: {what}" for column, what in seen.items() if what]
    if done != canary.written:
        lost.append(f"should be {canary.written}")
    module = f"test_{canary.slug}.py::"
    if canary.answers and f"\nPASSED {module}test_passes".encode() not in terminal:
        lost.append("the test did not get its answer")
    if f"\nFAILED {module}test_fails".encode() not in terminal:
        lost.append("the test did not fail")
    matrix.add(canary.place, done, *(what or "-" for what in seen.values()), lost=["; ".join(lost)] if lost else [])


SDK = {"OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_API_KEY"}
HEADS = ("secret planted in", "recording", "files", "terminal", "log", "report")


def one_by_one(canaries: Sequence[Canary] = CANARIES) -> Matrix:
    """Run pytest once for each canary."""
    matrix = Matrix("No secret in any file, on the terminal, in a log or a report (a run of pytest each)", HEADS)
    with Server(canaries) as server, ThreadPoolExecutor(2) as pool, tempfile.TemporaryDirectory() as home:

        def run(number: int) -> tuple[bytes, list[tuple[str, bytes]]]:
            folder = Path(home, str(number))
            folder.mkdir()
            project = Project(folder, server, [canaries[number]])
            return project.run("native" if number % 3 == 2 else "long"), list(project.files())

        for canary, (terminal, files) in zip(canaries, pool.map(run, range(len(canaries))), strict=True):
            add_row(matrix, canary, terminal, files)
    return matrix


def together(canaries: Sequence[Canary] = CANARIES) -> Matrix:
    """Run all tests in one run of pytest for each set of variables that do not collide."""
    matrix = Matrix("No secret in any file, on the terminal, in a log or a report (few runs)", HEADS)
    for number, group in enumerate(apart(canaries)):
        with Server(group) as server, tempfile.TemporaryDirectory() as home:
            project = Project(Path(home), server, group)
            terminal = project.run("native" if number % 3 == 2 else "long")
            files = list(project.files())
            for canary in group:
                add_row(matrix, canary, terminal, files)
    return matrix


def apart(canaries: Sequence[Canary]) -> list[list[Canary]]:
    """Return groups in which no two canaries want different values of one variable; first those of most."""
    groups: list[list[Canary]] = []
    # What the SDKs take from the environment by themselves would be in the recordings of others too.
    for canary in sorted(canaries, key=lambda canary: not SDK.isdisjoint(canary.env)):
        names = canary.env.keys() - {"PLANTED"}
        free = (group for group in groups if SDK.isdisjoint(canary.env) and not _share(names, group))
        group = next(free, None)
        if group is None:
            groups.append(group := [])
        group.append(canary)
    return groups


def _share(names: Iterable[str], group: Sequence[Canary]) -> bool:
    return any(name in canary.env for name in names for canary in group)


def found_in_stock(canaries: Sequence[Canary] = CANARIES) -> Matrix:
    """Let stock vcrpy record the same, and `llmeval scan` find it."""
    matrix = Matrix(
        "`llmeval scan` finds what stock vcrpy wrote", ("secret planted in", "in stock's file", "scan says")
    )
    for group in apart(canaries):
        with Server(group) as server, tempfile.TemporaryDirectory() as home:
            project = Project(Path(home), server, group)
            project.record_stock()
            for canary in group:
                path = project.folder / "stock" / f"{canary.slug}.yaml"
                there = path.is_file() and Traces(canary).in_data(path.read_bytes())
                if not there:
                    matrix.add(canary.place, "no", "-", tried=0)
                    continue
                # Of the environment, what this canary planted is known; what others did is not.
                result = scan([path], SecretScanner({**canary.env, "PLANTED": ""}))
                lost = [] if result.found else ["not found"]
                whats = {found.what for found in result.found}
                lost += ["the secret is told"] if Traces(canary).in_data(repr(whats).encode()) else []
                matrix.add(canary.place, "yes", ", ".join(sorted(whats)), lost=["; ".join(lost)] if lost else [])
    return matrix


def main(argv: Sequence[str]) -> int:
    """Print the tables; return 1 if a secret was seen, or not found."""
    first = together if "--together" in argv else one_by_one
    return max([report(first()), report(found_in_stock())])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
