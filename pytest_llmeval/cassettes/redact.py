"""What may reach the disk: headers on a list, and no text that holds a secret."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

REQUEST_HEADERS = {"content-type", "anthropic-version", "anthropic-beta", "openai-beta"}
RESPONSE_HEADERS = {"content-type", "location"}

KEY_VARIABLE = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|ORG_ID|ORGANIZATION)$", re.IGNORECASE)
SHORTEST_SECRET = 8

KEY_SHAPES = (
    ("an API key (sk-...)", r"(?<![A-Za-z0-9_-])sk-(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{20,}"),
    ("a Google API key", r"(?<![A-Za-z0-9_-])AIza[0-9A-Za-z_-]{30,}"),
    ("a Groq, Hugging Face or GitHub token", r"(?<![A-Za-z0-9_])(gsk_|hf_|gh[pousr]_|github_pat_)[A-Za-z0-9_]{20,}"),
    ("an AWS access key id", r"(?<![A-Za-z0-9])(AKIA|ASIA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
    ("a Slack token", r"(?<![A-Za-z0-9])xox[abposr]-[A-Za-z0-9-]{10,}"),
    ("a bearer token", r"\b[Bb]earer [A-Za-z0-9._~+/-]{16,}"),
    ("a JSON web token", r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"),
    ("a private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    ("a signed URL", r"(?i)[?&](X-Amz-Signature|X-Goog-Signature|sig)=[A-Za-z0-9%/+=_-]{16,}"),
)


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


class SecretScanner:
    """Looks for the values of the environment's key variables, and for the shapes of known keys.

    Args:
        environ: Usually `os.environ`. Variables whose name ends in KEY, TOKEN, SECRET, PASSWORD and the like count.
        also: Names of further variables that hold a secret.
        ignored: Values that are no secret, such as the stand-in for a key that is not set.
    """

    def __init__(self, environ: Mapping[str, str], also: Iterable[str] = (), ignored: Iterable[str] = ()) -> None:
        self._environ = environ
        self._also = set(also)
        self._ignored = tuple(ignored) or ("\0",)
        self._known: set[tuple[str, str]] = set()
        self._literals: list[tuple[str, str]] = []
        self._shapes = [(what, re.compile(shape)) for what, shape in KEY_SHAPES]
        self.learn()

    def learn(self) -> None:
        """Take up what the environment holds now; what it once held stays known."""
        for name, value in list(self._environ.items()):
            if len(value) < SHORTEST_SECRET or (name, value) in self._known or value.startswith(self._ignored):
                continue
            if name in self._also or KEY_VARIABLE.search(name):
                self._known.add((name, value))
                self._literals += [(form, f"the value of {name}") for form in _forms(value)]

    def find(self, text: str) -> list[Finding]:
        """Return every secret in `text`, by line."""
        findings = {
            Finding(what, text.count("\n", 0, position) + 1)
            for form, what in self._literals
            if (position := text.find(form)) >= 0
        }
        for what, shape in self._shapes:
            match = shape.search(text)
            if match:
                findings.add(Finding(f"what looks like {what}", text.count("\n", 0, match.start()) + 1))
        return sorted(findings, key=lambda finding: (finding.line, finding.what))


def _forms(value: str) -> set[str]:
    """Return how a secret may be written: plain, in a URL, in JSON (once and twice escaped), in base64."""
    forms = {value, quote(value, safe="")}
    escaped = json.dumps(value)[1:-1]
    forms |= {escaped, json.dumps(escaped)[1:-1]}
    raw = value.encode()
    for shift in range(3):
        # Base64 of a text that holds the value, at each of the three alignments; the edges depend on neighbours.
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        start = (shift * 8 + 5) // 6
        whole = encoded[start : len(encoded) - (1 if (shift + len(raw)) % 3 else 0)]
        if len(whole) >= SHORTEST_SECRET:
            forms |= {whole, whole.replace("+", "-").replace("/", "_")}
    return forms
