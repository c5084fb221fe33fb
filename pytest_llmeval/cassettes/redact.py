"""What may reach the disk and the terminal: headers on a list, and no text that holds a secret."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pytest_llmeval.cassettes.matching import SECRET_PARAMETERS, HTTPRequest
from pytest_llmeval.cassettes.secrets import (
    ACCOUNT_HEADERS,
    CREDENTIAL_HEADERS,
    HINTS_BY_SIGN,
    KNOWN_EXAMPLES,
    SHORTEST_SECRET,
    KnownSecret,
    could_be_key,
    is_placeholder,
    is_random,
    keys_in_header,
    known,
    may_hold_secret,
    secret_parameters,
    secrets_of,
)
from pytest_llmeval.cassettes.views import (
    LONG_RUN,
    View,
    encoded_runs,
    has_text,
    is_readable,
    long_runs,
    overlapping,
    readings,
    split_texts,
    unescaped,
    without_middles,
    without_seams,
)

REQUEST_HEADERS = {"content-type", "anthropic-version", "anthropic-beta", "openai-beta"}
RESPONSE_HEADERS = {"content-type", "location"}

#: Tokens that are new with each request would fill the memory, and each is looked for in every text.
MOST_LEARNED = 200
MOST_RUNS = 1000
DEEPEST = 3
SHORTEST_PIECE = 5
#: How much of a secret must be left where a text was cut off for it to count.
SHORTEST_REST = 8


def kept_headers(headers: Iterable[tuple[str, str]], allowed: set[str]) -> dict[str, list[str]]:
    """Return the headers that may be written, by lower-case name."""
    kept: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() in allowed:
            kept.setdefault(name.lower(), []).append(value)
    return dict(sorted(kept.items()))


@dataclass(frozen=True, slots=True)
class Finding:
    """A secret that was found: what it is (never the secret), and the line it is on."""

    what: str
    line: int


@dataclass(frozen=True, slots=True)
class Span:
    """Where in a text a secret stands, and what it is."""

    start: int
    end: int
    what: str


class SecretScanner:
    """Looks for the values of key variables, for what requests carried as keys, and for the shapes of known keys.

    Args:
        environ: Usually `os.environ`. Variables whose name ends in KEY, TOKEN, SECRET, PASSWORD and the like count.
        also: Names of further variables that hold a secret.
        ignored: Values that are no secret, such as the stand-in for a key that is not set.

    Attributes:
        version: Another number whenever it has learned of a secret.
    """

    def __init__(self, environ: Mapping[str, str], also: Iterable[str] = (), ignored: Iterable[str] = ()) -> None:
        self._environ = environ
        self._also = set(also)
        self._ignored = tuple(ignored) or ("\0",)
        self._lock = threading.Lock()
        self._variables: set[tuple[str, str]] = set()
        self._harmless: set[str] = set()
        self._environed: set[tuple[str | bytes, str | bytes]] = set()
        self._own: dict[str, KnownSecret] = {}
        self._learned: dict[str, KnownSecret] = {}
        self._seen: set[str] = set()
        self._known: tuple[KnownSecret, ...] = ()
        self._in_ascii = True
        self.version = 0
        self._runs: dict[tuple[int, bool, bytes], tuple[Span, ...]] = {}
        # A log record is formatted several times, by each handler.
        self._masked = lru_cache(maxsize=64)(self._mask)
        self.learn()

    def learn(self) -> None:
        """Take up what the environment holds now; what it once held stays known."""
        # This is asked for each answer, and hardly ever is anything new. So it is not decoded, as `os.environ` would.
        # A copy, as what is there may be gone when it is looked at: pytest sets a variable for each test.
        now = set(dict(getattr(self._environ, "_data", self._environ)).items())
        for name, value in sorted((os.fsdecode(name), os.fsdecode(value)) for name, value in now - self._environed):
            if name in self._harmless:
                continue
            if name not in self._also and not may_hold_secret(name):
                self._harmless.add(name)
            if len(value) < SHORTEST_SECRET or (name, value) in self._variables:
                continue
            with self._lock:
                self._variables.add((name, value))
                for secret, what in secrets_of(name, value, sure=name in self._also):
                    if not secret.startswith(self._ignored):
                        self._own.setdefault(secret, known(secret, what))
                        self._renew()
        self._environed = now

    def learn_request(self, request: HTTPRequest) -> None:
        """Take up what a request carries as keys: they may be nowhere in the environment, and be echoed."""
        for name, values in request.headers.items():
            if name.lower() in CREDENTIAL_HEADERS:
                for value in values:
                    self._learn_header(name.lower(), value, f"what a request carried in its header {name.lower()}")
        if "?" in request.uri or "@" in request.uri:
            for what, value in secret_parameters(request.uri, SECRET_PARAMETERS):
                if could_be_key(value):
                    self._learn(value, f"what a request carried in {what}")

    def learn_answer(self, headers: Iterable[tuple[str, str]], content: bytes) -> None:
        """Take up cookies and account ids of an answer, and the pieces in which its stream brought a secret."""
        for name, value in headers:
            if name.lower() in ACCOUNT_HEADERS or name.lower() in CREDENTIAL_HEADERS:
                self._learn_header(name.lower(), value, f"what an answer had in its header {name.lower()}")
        for pieces in split_texts(content.decode("utf-8", "replace")):
            for span in self._spans("".join(pieces)):
                for piece in overlapping(pieces, span.start, span.end):
                    if SHORTEST_PIECE <= len(piece) < span.end - span.start:
                        self._learn(piece, f"a piece of {span.what}")

    def _learn_header(self, name: str, value: str, what: str) -> None:
        if value in self._seen:
            return
        self._seen.add(value)
        # Account ids and cookies are also plain words and dates.
        fits = could_be_key if name in CREDENTIAL_HEADERS and "cookie" not in name else is_random
        for secret in keys_in_header(name, value):
            if len(secret) >= SHORTEST_SECRET and fits(secret):
                self._learn(secret, what)

    def _learn(self, secret: str, what: str) -> None:
        with self._lock:
            if secret in self._own or secret in self._learned or secret.startswith(self._ignored):
                return
            if len(self._learned) >= MOST_LEARNED:
                del self._learned[next(iter(self._learned))]
                self._seen.clear()
            self._learned[secret] = known(secret, what)
            self._renew()

    def _renew(self) -> None:
        # The longest first: of a key that holds another one, all is to go.
        secrets = [*self._own.values(), *self._learned.values()]
        self._known = tuple(sorted(secrets, key=lambda secret: -len(secret.value)))
        self._in_ascii = all(secret.value.isascii() for secret in secrets)
        self._masked.cache_clear()
        self._runs.clear()
        self.version += 1

    def knows(self, text: str) -> bool:
        """Whether a text holds the value of a key variable as it is."""
        return any(secret in text for secret in self._own)

    def find_all(self, text: str) -> list[Finding]:
        """Return what secrets are in a text, with every line on which they stand."""
        spans = {(span.what, span.start) for span in self._spans(text)}
        breaks = [match.start() for match in re.finditer("\n", text)] if spans else []
        return sorted({Finding(what, bisect_left(breaks, start) + 1) for what, start in spans}, key=_by_line)

    def find(self, text: str) -> list[Finding]:
        """Return what secrets are in a text, each with its first line."""
        first: dict[str, int] = {}
        for span in self._spans(text):
            first[span.what] = min(span.start, first.get(span.what, span.start))
        findings = {Finding(what, text.count("\n", 0, start) + 1) for what, start in first.items()}
        return sorted(findings, key=_by_line)

    def find_in_body(self, body: bytes) -> list[str]:
        """Return what secrets are in a body: also in one that is packed, and split over the events of a stream."""
        found: dict[str, None] = {}
        for text in readings(body):
            found.update((finding.what, None) for finding in self.find(text))
            if not found:
                found.update((finding.what, None) for finding in self.find_split(text))
        found.update(dict.fromkeys(self._foreign(body)))
        return list(found)

    def find_split(self, text: str) -> list[Finding]:
        """Return what secrets a stream carries in pieces; their line is the first."""
        whats = {span.what for pieces in split_texts(text) for span in self._spans("".join(pieces))}
        return [Finding(f"{what}, split over the events of a stream", 1) for what in sorted(whats)]

    def find_cut(self, text: str) -> list[str]:
        """Return what secrets a text holds, if only their beginning: names of files are cut and made safe."""
        found = [finding.what for finding in self.find(text)]
        for secret in self._known:
            safe = re.sub(r"[^A-Za-z0-9_.\[\]+=,@-]+", "-", secret.value)
            if safe[: max(SHORTEST_REST, min(len(safe), 2 * SHORTEST_REST))] in text:
                found.append(secret.what)
        return list(dict.fromkeys(found))

    def mask(self, text: str) -> str:
        """Return a text with each secret replaced by what it is; the text itself if it holds none.

        >>> SecretScanner({"BANK_API_KEY": "9fX2mQ7bTz"}).mask("key=9fX2mQ7bTz!")
        'key=[masked: the value of BANK_API_KEY]!'
        """
        return self._masked(text) if len(text) >= SHORTEST_SECRET else text

    def _mask(self, text: str) -> str:
        spans = sorted((*self._spans(text), *self._cut(text), *placed(text)), key=lambda span: (span.start, -span.end))
        parts: list[str] = []
        at = 0
        for span in spans:
            if span.start >= at:
                parts += (text[at : span.start], f"[masked: {span.what}]")
            at = max(at, span.end)
        return "".join([*parts, text[at:]]) if parts else text

    def _spans(self, text: str, depth: int = 0) -> Iterator[Span]:
        """Yield where secrets stand: as they are, escaped (twice at most), in a list of pieces, and encoded."""
        runs = long_runs(text) if len(text) >= LONG_RUN else []
        if not runs:
            yield from self._around_runs(text, depth)
            return
        rest = without_middles(text, runs)
        yield from _back([rest], self._around_runs(rest.text, depth))
        for start, end in runs:
            for span in self._in_run(text[start:end], depth, escaped=text[max(start - 1, 0)] in "\\%"):
                yield Span(start + span.start, start + span.end, span.what)

    def _in_run(self, run: str, depth: int, *, escaped: bool) -> tuple[Span, ...]:
        """Return where secrets stand in a long run, which is in a text, in a body, and in the next request."""
        key = depth, escaped, hashlib.sha256(run.encode()).digest()
        found = self._runs.get(key)
        if found is None:
            if len(self._runs) >= MOST_RUNS:
                self._runs.clear()
            spans = [*self._plain(run), *(self._encoded(run, depth, escaped=escaped) if depth < DEEPEST else ())]
            found = self._runs[key] = tuple(spans)
        return found

    def _around_runs(self, text: str, depth: int) -> Iterator[Span]:
        yield from self._plain(text)
        views: list[View] = []
        for _ in range(2):
            view = unescaped(views[-1].text if views else text)
            if view is None:
                break
            views.append(view)
            yield from _back(views, self._plain(view.text))
        seamless = without_seams(text)
        if seamless is not None:
            yield from _back([seamless], self._plain(seamless.text))
            view = unescaped(seamless.text)
            if view is not None:
                yield from _back([seamless, view], self._plain(view.text))
        if depth < DEEPEST:
            yield from self._encoded(text, depth)
            if views:
                yield from _back(views, self._encoded(views[-1].text, depth))

    def _plain(self, text: str) -> Iterator[Span]:
        for secret in self._known:
            for form in secret.forms:
                at = text.find(form)
                while at >= 0:
                    yield Span(at, at + len(form), secret.what)
                    at = text.find(form, at + len(form))
        for any_hint, hints in HINTS_BY_SIGN:
            if any_hint.search(text):
                for what, shape in {hints[hint]: None for hint in hints if hint in text}:
                    yield from _shaped(text, shape, f"what looks like {what}")

    def _encoded(self, text: str, depth: int, *, escaped: bool = False) -> Iterator[Span]:
        for start, end, data in encoded_runs(text, escaped=escaped):
            if self._in_ascii and not has_text(data):
                continue
            for reading in readings(data):
                if len(reading) < SHORTEST_SECRET:
                    continue
                spans = self._spans(reading, depth + 1) if is_readable(reading) else self._plain(reading)
                first = next(iter(spans), None)
                if first is not None:
                    yield Span(start, end, first.what)
            yield from (Span(start, end, what) for what in self._foreign(data))

    def _foreign(self, data: bytes) -> Iterator[str]:
        """Yield what secrets bytes hold that are not in plain letters, which is all that is read of what is no text."""
        for secret in self._known:
            if not secret.value.isascii():
                encodings = (secret.value.encode(name, "replace") for name in ("utf-8", "latin-1"))
                if any(value in data for value in encodings):
                    yield secret.what

    def _cut(self, text: str) -> Iterator[Span]:
        """Yield what is left of secrets beside the dots by which pytest shortens long values."""
        at = text.find("...")
        if at < 0:
            return
        ends = SHORTEST_REST
        likely = [known for known in self._known if known.value[:ends] in text or known.value[-ends:] in text]
        while at >= 0 and likely:
            after = at + 3
            for secret in likely:
                value = secret.value
                for length in range(min(len(value) - 1, 200), SHORTEST_REST - 1, -1):
                    if text.endswith(value[:length], 0, at):
                        yield Span(at - length, at, f"the beginning of {secret.what}")
                        break
                for length in range(min(len(value) - 1, 200), SHORTEST_REST - 1, -1):
                    if text.startswith(value[-length:], after):
                        yield Span(after, after + length, f"the end of {secret.what}")
                        break
            at = text.find("...", after)


def _shaped(text: str, shape: re.Pattern[str], what: str) -> Iterator[Span]:
    for match in shape.finditer(text):
        if not (is_placeholder(match.group()) or any(known in match.group() for known in KNOWN_EXAMPLES)):
            yield Span(*match.span(), what)


def _by_line(finding: Finding) -> tuple[int, str]:
    return finding.line, finding.what


def _back(views: list[View], spans: Iterable[Span]) -> Iterator[Span]:
    """Yield spans of the last view as spans of the text that the first one was made from."""
    for span in spans:
        start, end = span.start, span.end
        for view in reversed(views):
            start, end = view.origin(start), view.origin(end)
        yield Span(start, end, span.what)


_NAMES = "|".join(sorted(CREDENTIAL_HEADERS | ACCOUNT_HEADERS, key=len, reverse=True))
_QUOTED = re.compile(
    rf"""(?P<q>\\*['"])(?P<name>{_NAMES})(?P=q)\s*[:,]\s*[\[(]?\s*b?(?P<v>\\*['"])(?P<value>.*?)(?P=v)""", re.IGNORECASE
)
_UNQUOTED = re.compile(rf"(?<![\w-])(?P<name>{_NAMES})\s*[:=]\s*(?P<value>[^\s'\"][^\r\n'\"]*)", re.IGNORECASE)
_PARAMETERS = re.compile(
    rf"[?&](?P<name>{'|'.join(map(re.escape, SECRET_PARAMETERS))})=(?P<value>[^&\s\"'<>]+)", re.IGNORECASE
)
_USERINFO = re.compile(r"://[^\s/:@'\"]{0,100}:(?P<value>[^\s/@'\"]{1,200})@")
_HINTS = ("auth", "cookie", "token", "key", "openai-", "anthropic-", "sig", "secret", "passw", "credential", "@")


def placed(text: str) -> Iterator[Span]:
    """Yield what stands where credentials do: behind the names of headers and parameters, before the host in a URL."""
    lower = text.lower()
    if not any(hint in lower for hint in _HINTS):
        return
    for pattern, where in ((_QUOTED, "header"), (_UNQUOTED, "header"), (_PARAMETERS, "URL parameter")):
        for match in pattern.finditer(text):
            value = match["value"]
            # A name and a colon also stand in ordinary sentences.
            if len(value) >= SHORTEST_SECRET and not is_placeholder(value) and (where != "header" or _fits(match)):
                yield Span(*match.span("value"), f"the value of the {where} {match['name'].lower()}")
    for match in _USERINFO.finditer(text):
        if not is_placeholder(match["value"]):
            yield Span(*match.span("value"), "the password in a URL")


def _fits(match: re.Match[str]) -> bool:
    return match.re is _QUOTED or is_random(match["value"])
