"""Find secrets in cassettes that are there already: ours, and those of stock vcrpy and pytest-recording."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_plus

from pytest_llmeval.cassettes import leaves
from pytest_llmeval.cassettes.leaves import Leaf
from pytest_llmeval.cassettes.matching import SECRET_PARAMETERS
from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.cassettes.redact import Finding, SecretScanner
from pytest_llmeval.cassettes.secrets import (
    ACCOUNT_HEADERS,
    CREDENTIAL_HEADERS,
    SHORTEST_SECRET,
    could_be_key,
    is_placeholder,
    keys_in_header,
    secret_parameters,
)
from pytest_llmeval.cassettes.views import readings
from pytest_llmeval.display import escape
from pytest_llmeval.errors import CassetteError

SUFFIXES = {".yaml", ".yml", ".json"}
HOMES = {"cassettes", "llm_cassettes"}
LEFT_OUT = {
    *(".git", ".hg", ".svn", ".venv", "venv", "node_modules", "__pycache__", "site-packages"),
    *(".tox", ".nox", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".eggs"),
}
#: Larger files are read in parts, as text alone. A secret is shorter than what two parts share.
LARGEST = 64_000_000
OVERLAP = 65_536

_NAMES = "|".join(sorted(CREDENTIAL_HEADERS | ACCOUNT_HEADERS, key=len, reverse=True))
#: A header as it stands in YAML or JSON, where the file as a whole cannot be parsed.
_HEADER_LINE = re.compile(
    rf"^[ \t-]*[\"']?(?P<name>{_NAMES})[\"']?[ \t]*:\s*(?:-[ \t]+|\[\s*)?[\"']?(?P<value>[^\s\"'\[\]{{}}][^\r\n\"']*)",
    re.IGNORECASE | re.MULTILINE,
)
_FORM = re.compile(r"[\w.%+-]+=[^\s&]*(?:&[\w.%+-]+=[^\s&]*)*")
#: What servers that hand out tokens call them. A model's answer about such a server has no random value there.
_FIELD = re.compile(
    r"""\\*"(?P<name>access_?token|refresh_?token|id_?token|client_?secret|api_?key|secret_?access_?key|session_?token)"""
    r"""\\*"\s*:\s*\\*"(?P<value>[^"\\]{8,})""",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Found:
    """A secret in a file, or that a file is damaged. Holds nothing of the secret."""

    path: Path
    line: int
    what: str
    damaged: bool = False


@dataclass(slots=True)
class Scan:
    """What a scan gave: how many files it read, and what it found, by file and line."""

    files: int = 0
    found: list[Found] = field(default_factory=list)

    @property
    def damaged(self) -> int:
        """How many files are damaged."""
        return sum(found.damaged for found in self.found)


def scan(paths: Sequence[Path], scanner: SecretScanner) -> Scan:
    """Look for secrets in files, and in what looks like a cassette in folders.

    Raises:
        CassetteError: A path does not exist, or a file cannot be read.
    """
    for path in paths:
        if not path.exists():
            raise CassetteError(f"{escape(scanner.mask(str(path)))}: no such file or folder.")
    result = Scan()
    for path in _files(paths):
        result.files += 1
        result.found += scan_file(path, scanner)
    return result


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    seen: set[str] = set()
    for path in paths:
        for file in cassettes_in(path) if path.is_dir() else [path]:
            real = os.path.realpath(file)
            if real not in seen:
                seen.add(real)
                yield file


def cassettes_in(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that look like cassettes, of ours or of stock vcrpy."""
    # Links to folders are not followed, so none leads round in circles.
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in LEFT_OUT and not Path(root, name, "pyvenv.cfg").is_file()
        )
        for name in sorted(names):
            path = Path(root, name)
            if path.suffix.lower() in SUFFIXES and path.is_file() and _looks_like_cassette(path):
                yield path


def _looks_like_cassette(path: Path) -> bool:
    # The project itself may be in a folder of that name.
    if HOMES.intersection(Path(shown_path(path)).parts):
        return True
    # vcrpy sorts by name: the list comes before the version.
    head = _read(path, OVERLAP)
    return b"interactions" in head.replace(b"\0", b"")


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as exc:
        raise CassetteError(f"{escape(str(path))}: cannot be read: {exc.strerror or exc}.") from None


def scan_file(path: Path, scanner: SecretScanner) -> list[Found]:
    """Return what is found in one file.

    Raises:
        CassetteError: It cannot be read.
    """
    found = [Found(path, 1, f"the name of the file: {what}") for what in scanner.find_cut(path.name)]
    if path.stat().st_size > LARGEST:
        return [*found, *(Found(path, item.line, item.what) for item in _in_parts(path, scanner))]
    data = _read(path)
    text, encoding_fault = _decoded(data)
    raw = scanner.find_all(text)
    findings = {(item.line, item.what) for item in raw}
    parsed, fault = leaves.of(text)
    for index, leaf in enumerate(parsed):
        end = parsed[index + 1].line if index + 1 < len(parsed) else leaf.line + 1
        # What the text shows as it stands has a line of its own already.
        shown = {item.what for item in raw if leaf.line <= item.line <= max(end, leaf.line)}
        findings |= {(item.line, item.what) for item in _in_leaf(leaf, scanner) if item.what not in shown}
    fault = fault or encoding_fault
    if fault is not None:
        findings |= {(item.line, item.what) for item in _header_lines(text)}
        line, reason = fault
        told = f"damaged: {scanner.mask(reason)}; its text was searched as it stands"
        found.append(Found(path, line, told, damaged=True))
    return [*found, *(Found(path, line, what) for line, what in sorted(findings))]


def _decoded(data: bytes) -> tuple[str, tuple[int, str] | None]:
    """Return a file's text, and the line and kind of a fault in it, if there is one."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace"), None
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError as exc:
        return data.decode("latin-1"), (data.count(b"\n", 0, exc.start) + 1, "not UTF-8")


def _in_parts(path: Path, scanner: SecretScanner) -> list[Finding]:
    findings: dict[Finding, None] = {}
    line, rest = 0, ""
    with path.open("rb") as file:
        while data := file.read(LARGEST // 4):
            text = rest + data.decode("latin-1")
            for item in (*scanner.find_all(text), *_header_lines(text)):
                findings[Finding(item.what, item.line + line)] = None
            rest = text[-OVERLAP:]
            line += text.count("\n", 0, len(text) - len(rest))
    return sorted(findings, key=lambda finding: (finding.line, finding.what))


def _header_lines(text: str) -> Iterator[Finding]:
    breaks = [match.start() for match in re.finditer("\n", text)]
    for match in _HEADER_LINE.finditer(text):
        name = match["name"].lower()
        if _holds_secret(name, match["value"]):
            yield Finding(f"the header {name}", bisect_right(breaks, match.start("value")) + 1)


def _holds_secret(name: str, value: str) -> bool:
    return any(not is_placeholder(secret) for secret in keys_in_header(name, value))


def _in_leaf(leaf: Leaf, scanner: SecretScanner) -> Iterator[Finding]:
    """Yield what one value of a file holds: by its place, and by what can be read in it."""
    header = leaf.header
    if header in CREDENTIAL_HEADERS or header in ACCOUNT_HEADERS:
        value = leaf.value if isinstance(leaf.value, str) else leaf.value.decode("latin-1")
        if _holds_secret(header, value):
            yield Finding(f"the header {header}", leaf.line)
        return
    for text in [leaf.value] if isinstance(leaf.value, str) else readings(leaf.value):
        for finding in (*scanner.find_all(text), *scanner.find_split(text)):
            yield Finding(finding.what, leaf.line_of(finding.line))
        if leaf.is_uri or header == "location":
            for what, value in secret_parameters(text, SECRET_PARAMETERS):
                if len(value) >= SHORTEST_SECRET and not is_placeholder(value):
                    yield Finding(what, leaf.line)
        if leaf.is_body:
            yield from _in_body(text, leaf)


def _in_body(text: str, leaf: Leaf) -> Iterator[Finding]:
    if _FORM.fullmatch(text.strip()):
        for pair in text.strip().split("&"):
            name, _, value = pair.partition("=")
            if unquote_plus(name).lower() in SECRET_PARAMETERS and could_be_key(unquote_plus(value)):
                yield Finding(f"the form field {unquote_plus(name).lower()}", leaf.line)
    for match in _FIELD.finditer(text):
        if could_be_key(match["value"]):
            yield Finding(f"the field {match['name'].lower()}", leaf.line_of(text.count("\n", 0, match.start()) + 1))
