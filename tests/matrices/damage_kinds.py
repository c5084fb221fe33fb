"""Recorded cassettes of several kinds, and all that can happen to such a file."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import anthropic
import httpx2
import openai
import requests
import vcr

from pytest_llmeval.cassettes import transport
from pytest_llmeval.cassettes.engine import Engine
from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.matching import HTTPRequest
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.cassettes.store import Cassette, running_cassette
from tests.chat_server import ChatServer
from tests.servers import Reply, ScriptedServer

MESSAGES: list[Any] = [{"role": "user", "content": "Grüße 😀 \\ \"'"}]


class Refused(BaseException):
    """What pytest's own failure is: no SDK catches it."""


def refuse(message: str) -> NoReturn:
    raise Refused(message)


@dataclass(frozen=True)
class Kind:
    """A cassette as it was recorded.

    Attributes:
        ask: Asks all that was asked when it was recorded; returns what came back.
        answers: What came back then.
        sealed: Whether we wrote it.
    """

    name: str
    raw: bytes
    ask: Callable[[], list[str]]
    answers: list[str]
    tape: tuple[Interaction, ...]
    sealed: bool = True

    @property
    def requests(self) -> list[HTTPRequest]:
        """The recorded requests."""
        return [HTTPRequest(one.method, one.uri, deepcopy(one.request_headers), one.body) for one in self.tape]


@dataclass(frozen=True)
class Variant:
    """A damaged file. `found` is whether anyone could tell, without a seal, that something is wrong."""

    damage: str
    raw: bytes
    found: bool = False


def engine() -> Engine:
    """Return what a run has, without secrets."""
    return Engine(fail=refuse, scanner=SecretScanner({}))


@contextmanager
def played(path: Path, mode: str) -> Iterator[Cassette]:
    """Let requests of this process go through a cassette."""
    cassette = Cassette(path, mode, engine())
    with transport.installed(), running_cassette.entered(cassette):
        try:
            yield cassette
        finally:
            cassette.close()


class Clients:
    """Real clients; a plain one each, as making one takes longer than all else here."""

    def __init__(self, url: str, binary: str) -> None:
        self.url = url
        self.binary = binary
        self.http = httpx2.Client(verify=False)
        self.openai = openai.OpenAI(base_url=url, api_key="k", max_retries=0, http_client=self.http)
        root = url.removesuffix("/v1")
        self.anthropic = anthropic.Anthropic(base_url=root, api_key="k", max_retries=0, http_client=self.http)

    def chat(self, **request: Any) -> str:
        answer = self.openai.chat.completions.create(model="m", messages=MESSAGES, **request)
        if request.get("stream"):
            return "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
        return answer.choices[0].message.content or ""

    def one(self) -> list[str]:
        return [self.chat()]

    def stream(self) -> list[str]:
        with self.anthropic.messages.stream(model="m", max_tokens=9, messages=MESSAGES) as stream:
            return ["".join(stream.text_stream)]

    def several(self) -> list[str]:
        return [self.chat(), self.chat(), self.chat(stream=True), self.chat(temperature=0.5)]

    def bytes(self) -> list[str]:
        return [self.http.post(self.binary, json={"a": 1}).content.hex()]

    def plain(self, post: Callable[..., Any] | None = None) -> list[str]:
        """Ask twice, without an SDK."""
        bodies = [{"model": "m", "messages": MESSAGES, "n": n} for n in (1, 2)]
        answers = [(post or self.http.post)(f"{self.url}/chat/completions", json=body).json() for body in bodies]
        return [answer["choices"][0]["message"]["content"] for answer in answers]


def _recorded(name: str, folder: Path, ask: Callable[[], list[str]]) -> Kind:
    path = folder / f"{name.replace(' ', '-')}.yaml"
    with played(path, "once"):
        answers = ask()
    return Kind(name, path.read_bytes(), ask, answers, tuple(read_tape(path)[0].interactions))


@contextmanager
def recorded(folder: Path) -> Iterator[list[Kind]]:
    """Record one cassette of each kind, by real clients from real servers; the last one with stock vcrpy."""
    with ChatServer(count=True) as server, ScriptedServer() as scripted:
        clients = Clients(server.url, scripted.url)
        scripted.script(Reply((bytes(range(256)),), content_type="application/octet-stream"))
        path = folder / "stock.yaml"
        with vcr.use_cassette(str(path)), requests.Session() as session:
            answers = clients.plain(session.post)
        tape = tuple(read_tape(path)[0].interactions)
        with clients.http:
            yield [
                _recorded("OpenAI", folder, clients.one),
                _recorded("Anthropic, streamed", folder, clients.stream),
                _recorded("four requests", folder, clients.several),
                _recorded("binary body", folder, clients.bytes),
                Kind("stock vcrpy", path.read_bytes(), clients.plain, answers, tape, sealed=False),
            ]


def cut(kind: Kind) -> Iterator[Variant]:
    """Cut the file off at every byte."""
    end = len(kind.raw.rstrip(b"\n"))
    for length in range(end):
        yield Variant("cut off at a byte", kind.raw[:length], found=True)


def flipped(kind: Kind, rng: random.Random, count: int = 400) -> Iterator[Variant]:
    """Change one byte, or some."""
    for number in range(count):
        raw = bytearray(kind.raw)
        for _ in range(1 if number % 4 else rng.randrange(2, 9)):
            raw[rng.randrange(len(raw))] ^= rng.randrange(1, 256)
        yield Variant("bytes changed", bytes(raw))


def lines(kind: Kind, rng: random.Random) -> Iterator[Variant]:
    """Take lines out, double them, change their order."""
    whole = kind.raw.splitlines(keepends=True)
    for index in range(len(whole)):
        yield Variant("line deleted", b"".join(whole[:index] + whole[index + 1 :]))
        yield Variant("line doubled", b"".join(whole[: index + 1] + whole[index:]))
        other = rng.randrange(len(whole))
        swapped = list(whole)
        swapped[index], swapped[other] = swapped[other], swapped[index]
        if swapped != whole:
            yield Variant("lines swapped", b"".join(swapped))
        end = rng.randrange(index, len(whole)) + 1
        yield Variant("lines deleted", b"".join(whole[:index] + whole[end:]))


def spliced(kind: Kind, others: Iterable[Kind], rng: random.Random) -> Iterator[Variant]:
    """Put the beginning of one file and the end of another together, by lines as a bad merge does, or by bytes."""
    for other in others:
        for number in range(20):
            here, there = kind.raw, other.raw
            first, second = rng.randrange(1, len(here)), rng.randrange(1, len(there))
            if number % 2:
                first, second = here.rfind(b"\n", 0, first) + 1, there.rfind(b"\n", 0, second) + 1
            raw = here[:first] + there[second:]
            # Where the cuts are at the beginning, it is one of the two, undamaged.
            if raw not in (here, there):
                yield Variant("two files spliced", raw)
        yield Variant("two files, one after the other", here + there, found=True)


def converted(kind: Kind, rng: random.Random) -> Iterator[Variant]:
    """Do what editors, version control and file systems do."""
    raw = kind.raw
    text = raw.decode()
    middle = raw.index(b"\n", len(raw) // 2) + 1
    ours, theirs = raw[middle : middle + 80].splitlines()[0], b"something else"
    conflict = b"<<<<<<< HEAD\n%s\n=======\n%s\n>>>>>>> branch\n" % (ours, theirs)
    yield Variant("merge conflict", raw[:middle] + conflict + raw[middle:], found=True)
    yield Variant("merge conflict", b"<<<<<<< HEAD\n%s=======\n%s>>>>>>> branch\n" % (raw, raw), found=True)
    for line, other in ((b"    method: POST\n", b"    method: GET\n"), (b"      code: 200\n", b"      code: 404\n")):
        yield Variant("a key that stands twice", raw.replace(line, other + line, 1), found=True)
        yield Variant("a key that stands twice", raw.replace(line, line + other, 1), found=True)
    yield Variant("tabs for spaces", raw.replace(b"\n  ", b"\n\t"), found=True)
    yield Variant("UTF-16", text.encode("utf-16"), found=True)
    yield Variant("UTF-16", text.encode("utf-16-le"), found=True)
    yield Variant("UTF-16", text.encode("utf-16-be"), found=True)
    yield Variant("latin-1", text.encode("latin-1", "replace"))
    for _ in range(20):
        at = rng.randrange(len(raw))
        yield Variant("NULs", raw[:at] + b"\0" * rng.randrange(1, 5) + raw[at:], found=True)
    yield Variant("NULs", raw + b"\0" * 512, found=True)
    yield Variant("NULs", b"\0" * len(raw), found=True)
    yield Variant("byte order mark", b"\xef\xbb\xbf" + raw)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (b"ab" * 32, len(raw))
    yield Variant("Git LFS pointer", pointer, found=True)
    for empty in (b"", b"\n", b"---\n", b"null\n", b"{}\n", b"[]\n", b"# a comment\n", b"\xef\xbb\xbf"):
        yield Variant("nothing in it", empty, found=True)


def harmless(kind: Kind) -> Iterator[Variant]:
    """Do what must make no difference: git's line ends, and line ends at the end."""
    yield Variant("line ends of Windows", kind.raw.replace(b"\n", b"\r\n"))
    yield Variant("line ends at the end", kind.raw + b"\n\n")
    yield Variant("line ends at the end", kind.raw.rstrip(b"\n"))


def variants(kind: Kind, others: list[Kind], seed: int) -> Iterator[Variant]:
    """Return all variants of a cassette."""
    rng = random.Random(f"{seed} {kind.name}")
    yield from cut(kind)
    yield from flipped(kind, rng)
    yield from lines(kind, rng)
    yield from spliced(kind, others, rng)
    yield from converted(kind, rng)
    yield from harmless(kind)
