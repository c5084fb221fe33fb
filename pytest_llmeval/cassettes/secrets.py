"""What a secret looks like: names that hold one, shapes of known keys, and values that only stand in for one."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

SHORTEST_SECRET = 8

KEY_VARIABLE = re.compile(
    r"(KEY|KEY_ID|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|ORG_ID|ORGANIZATION|PROJECT_ID|BEARER_TOKEN\w*)$",
    re.IGNORECASE,
)

ADDRESS_VARIABLE = re.compile(
    r"UR[IL]|DSN|PROXY|CONN|ENDPOINT|HOST|BROKER|BACKEND|DATABASE|REDIS|MONGO|AMQP", re.IGNORECASE
)

#: Headers whose values let their bearer in.
CREDENTIAL_HEADERS = frozenset({
    *("authorization", "proxy-authorization", "x-api-key", "api-key", "apikey", "x-goog-api-key", "x-auth-token"),
    *("x-access-token", "x-amz-security-token", "ocp-apim-subscription-key", "x-functions-key", "x-subscription-token"),
    *("cookie", "set-cookie"),
})  # fmt: skip
#: Headers that tell whose account it is.
ACCOUNT_HEADERS = frozenset({"openai-organization", "openai-project", "anthropic-organization-id"})


def _key(beginning: str, rest: str) -> str:
    """Return the shape of what begins where a word begins.

    That is asked behind the beginning: what begins with plain text is found many times as fast.
    """
    return rf"{beginning}(?<![A-Za-z0-9_-]{beginning}){rest}"


#: A key has its random part in one piece: "sk-" also stands at the start of slugs, and in the middle of base64.
_RANDOM = r"(?=[A-Za-z0-9_-]{0,200}?(?=[A-Za-z0-9]{0,80}[0-9])(?=[A-Za-z0-9]{0,80}[A-Za-z])[A-Za-z0-9]{16})"
#: What is said of it; texts of which it holds one; the shape.
KEY_SHAPES = tuple(
    (what, tuple(hints.split("|")), re.compile(shape))
    for what, hints, shape in (
        ("an API key (sk-...)", "sk-", _key("sk-", rf"{_RANDOM}[A-Za-z0-9_-]{{20,}}")),
        ("a Langfuse key", "-lf-", _key("[sp]k-lf-", r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")),
        ("a Stripe key", "k_live_", _key("[rs]k_live_", r"[A-Za-z0-9]{20,}")),
        ("a Google API key", "AIza", _key("AIza", r"[0-9A-Za-z_-]{30,}")),
        ("a Google access token", "ya29.", _key(r"ya29\.", r"[0-9A-Za-z_-]{30,}")),
        ("a Groq key", "gsk_", _key("gsk_", r"[A-Za-z0-9]{20,}")),
        ("a Hugging Face token", "hf_", _key("hf_", r"[A-Za-z0-9]{30,}")),
        ("an xAI key", "xai-", _key("xai-", rf"{_RANDOM}[A-Za-z0-9]{{60,}}")),
        ("a Perplexity key", "pplx-", _key("pplx-", r"[A-Za-z0-9]{40,}")),
        ("an NVIDIA key", "nvapi-", _key("nvapi-", r"[A-Za-z0-9_-]{40,}")),
        ("a Replicate token", "r8_", _key("r8_", r"[A-Za-z0-9]{30,}")),
        ("a LangSmith key", "lsv2_", _key("lsv2_", r"[a-z]{2}_[0-9a-f]{32}")),
        ("a GitHub token", "ghp_|gho_|ghu_|ghs_|ghr_", _key("gh[pousr]_", r"[A-Za-z0-9]{30,}")),
        ("a GitHub token", "github_pat_", _key("github_pat_", r"[A-Za-z0-9_]{30,}")),
        ("a GitLab token", "glpat-", _key("glpat-", r"[A-Za-z0-9_-]{20,}")),
        ("an AWS access key id", "AKIA|ASIA", r"A[KS]IA(?<![A-Za-z0-9/+=_-]A[KS]IA)[0-9A-Z]{16}(?![A-Za-z0-9/+=_-])"),
        (
            "a Slack token",
            "xoxa-|xoxb-|xoxo-|xoxp-|xoxs-|xoxr-",
            _key("xox[abposr]-", r"[0-9]{5,}-[A-Za-z0-9-]{10,}"),
        ),
        ("a bearer token", "earer ", rf"\b[Bb]earer {_RANDOM}[A-Za-z0-9._~+/-]{{16,}}"),
        ("a JSON web token", ".eyJ", _key("eyJ", r"[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*")),
        (
            "a private key",
            "PRIVATE KEY-----",
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\+[rn]|[A-Z][A-Za-z-]+: [^\\\n]*)*"
            r"[A-Za-z0-9+/]{40,}[A-Za-z0-9+/=\s\\]*",
        ),
        (
            "a signed URL",
            "ignature=|sig=",
            r"(?<=[?&;])(?:(?:X-Amz-|X-Goog-|x-amz-|x-goog-)?[Ss]ignature|sig)=(?=[^&\s\"'<>]*[0-9])[A-Za-z0-9%/+=_.~-]{16,}",
        ),
        ("an organisation id", "org-", _key("org-", r"(?=[A-Za-z0-9]*[0-9])[A-Za-z0-9]{20,32}(?![A-Za-z0-9_-])")),
        ("a project id", "proj_", _key("proj_", r"(?=[A-Za-z0-9]*[0-9])[A-Za-z0-9]{20,32}(?![A-Za-z0-9_-])")),
    )
)


def _by_sign() -> tuple[tuple[re.Pattern[str], dict[str, tuple[str, re.Pattern[str]]]], ...]:
    found: dict[str, dict[str, tuple[str, re.Pattern[str]]]] = {}
    for what, hints, shape in KEY_SHAPES:
        sign = next((sign for sign in "-_.= " if all(sign in hint for hint in hints)), "")
        found.setdefault(sign, {}).update(dict.fromkeys(hints, (what, shape)))
    return tuple((_any_of(sign, hints), hints) for sign, hints in found.items())


def _any_of(sign: str, hints: Iterable[str]) -> re.Pattern[str]:
    """Return what finds any of several texts by a character that all have: what is around it is looked at after it."""
    if not sign:
        return re.compile("|".join(map(re.escape, hints)))
    sides = [(before, re.escape(after)) for before, _, after in (hint.partition(sign) for hint in hints)]
    sign = re.escape(sign)
    ways = [after for before, after in sides if not before]
    # One look at the last character before it rules most out.
    last = "".join(sorted({re.escape(before[-1]) for before, _ in sides if before}))
    within = "|".join(f"(?<={re.escape(before)}{sign}){after}" for before, after in sides if before)
    ways += [f"(?<=[{last}]{sign})(?:{within})"] if last else []
    return re.compile(f"{sign}(?:{'|'.join(ways)})")


#: What texts with keys hold, with the shapes of such keys, and what finds any of them. They are told apart by a
#: character that all have: one is looked for much faster than several, and base64 has hardly any of these.
HINTS_BY_SIGN = _by_sign()

#: Published in the manuals of AWS and of jwt.io; models repeat them.
KNOWN_EXAMPLES = ("EXAMPLE", "eyJzdWIiOiIxMjM0NTY3ODkwIiwi")

_WORDS = """
a an and any anything abc admin api apikey assistant auth aws azure anthropic bad bar basic baz bearer bearertoken blank
bogus change changeme ci client code default demo dev development dummy empty en example examples fake foo for gemini
google groq gsk guest hello here hf host id ignore ignored in insert invalid is it key keys letmein llama llamacpp
llmeval lm lmstudio local localhost minio minioadmin missing mistral mock mocked model my mykey mysecret mytoken need
needed nil no noauth none nope not notneeded null of oauth ollama only openai or org our pass passwd password pk
placeholder postgres mysql proj project pw qux qwerty rabbitmq random redis replace required require root sample secret
server session sk some something string stub studio test tester testing tests text the this to together token tokens
unused us use used user username v value vllm whatever with world wrong x your yourapikey yourkey
"""
_MARKERS = """
changeme censored dummy example fake filtered hidden insert masked noauth notneeded placeholder redacted removed
sanitized scrubbed unneeded unused your yourapikey yourkey
"""
_SAYS_SO = frozenset(_MARKERS.split())
_SAYS_NOTHING = frozenset(_WORDS.split()) | _SAYS_SO
_WORD = re.compile(r"[A-Za-z0-9]+")
_PARTS = re.compile(r"([a-z]*)([0-9]*)([a-z]*)")
_ALPHABET, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "01234567890123456789012345678901234567890"
_WRAPPED = re.compile(r"<.*>|\[.*\]|\{.*\}|%.*%|\$.*", re.DOTALL)


def is_placeholder(value: str) -> bool:
    """Whether a text only stands in for a secret: made of words that say so, or of hardly any different characters.

    >>> [is_placeholder(text) for text in ("not-needed", "sk-no-key-required", "test123", "<KEY>", "xxxxxxxxxxxx")]
    [True, True, True, True, True]
    >>> [is_placeholder(text) for text in ("sk-9fX2mQ7bTz", "correct-horse-battery", "fake-9f8e7d6c5b4a")]
    [False, False, False]
    """
    text = value.strip()
    if not text or _WRAPPED.fullmatch(text):
        return True
    words = [word.lower() for word in _WORD.findall(text)]
    if "**" in text or "..." in text or "\u2026" in text:
        # What is left of a key that was made unreadable.
        return all(len(word) <= 8 for word in words)
    if all(map(_says_nothing, words)):
        return True
    return bool(_SAYS_SO.intersection(words)) and not any(is_random(word) for word in words if not _says_nothing(word))


def _says_nothing(word: str) -> bool:
    parts = _PARTS.fullmatch(word)
    if parts is None:
        return _is_worn(word)
    head, digits, tail = parts.groups()
    counted = len(digits) <= 4 or digits in _DIGITS or _is_worn(digits)
    return counted and all(
        part in _SAYS_NOTHING or _is_worn(part) or (len(part) != 2 and part in _ALPHABET) for part in (head, tail)
    )


def _is_worn(part: str) -> bool:
    """Whether a text is one or two characters over and over."""
    return len(set(part)) <= (2 if len(part) >= 6 else 1)


_PIECE = re.compile(r"[A-Za-z0-9]{8,}")


def is_random(value: str) -> bool:
    """Whether a text has a piece that no word and no number looks like: letters and digits mixed, or mixed case.

    >>> is_random("session=8f3ka92mx"), is_random("2025-11-23T20:15:00Z"), is_random("en-US")
    (True, False, False)
    """
    for piece in _PIECE.findall(value):
        letters = sum(char.isalpha() for char in piece)
        if (0 < letters < len(piece)) and not piece.rstrip("0123456789").isalpha():
            return True
        if letters and letters < len(piece) and len(piece) - letters >= 3:
            return True
        if letters == len(piece) >= 16 and not (piece.islower() or piece.isupper() or piece.istitle()):
            return True
    return False


def could_be_key(value: str) -> bool:
    """Whether what a request carries in the place of a key is one: not a placeholder, nor an ordinary word."""
    if len(value) < SHORTEST_SECRET or is_placeholder(value):
        return False
    return is_random(value) or (len(value) >= 20 and len(set(value)) >= 8)


def may_hold_secret(name: str) -> bool:
    """Whether an environment variable is called so that it may hold a key, or an address with a password.

    >>> may_hold_secret("BANK_API_KEY"), may_hold_secret("DATABASE_URL"), may_hold_secret("PYTEST_CURRENT_TEST")
    (True, True, False)
    """
    return KEY_VARIABLE.search(name) is not None or ADDRESS_VARIABLE.search(name) is not None


def secrets_of(name: str, value: str, *, sure: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the secrets that an environment variable holds: (the secret, what it is).

    Args:
        name: The variable.
        value: Its value.
        sure: Whether it is known to hold a key, whatever it is called.
    """
    value = value.strip()
    what = f"the value of {name}"
    if sure or KEY_VARIABLE.search(name):
        is_path = name.upper().endswith("CREDENTIALS") and value.startswith(("/", "~", "./", "../"))
        if len(value) >= SHORTEST_SECRET and not is_path and not is_placeholder(value):
            yield value, what
            if "\n" in value or "\\n" in value:
                lines = re.split(r"[\s,]+|\\n", value)
                yield from ((line, f"a part of {what}") for line in lines if len(line) >= 32 and is_random(line))
    elif "://" in value and "@" in value:
        password = password_of(value)
        if len(password) >= SHORTEST_SECRET and not is_placeholder(password):
            yield password, f"the password in {name}"


def password_of(url: str) -> str:
    """Return the password in a URL, or an empty string."""
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""


def keys_in_header(name: str, value: str) -> Iterator[str]:
    """Yield the secrets in a header: the token without its scheme, the password of Basic, the value of each cookie."""
    if name in ("cookie", "set-cookie"):
        pairs = value.split(";") if name == "cookie" else value.split(";", 1)[:1]
        yield from (pair.partition("=")[2].strip().strip('"') for pair in pairs)
        return
    scheme, _, token = value.strip().partition(" ")
    if not token:
        yield scheme
    elif scheme.lower() == "basic":
        yield token
        try:
            decoded = base64.b64decode(token, validate=False).decode("utf-8", "replace")
        except ValueError:
            return
        yield decoded.partition(":")[2] or decoded
    elif "=" in token and "," in token:
        # A signature of the request, as AWS wants it, is worth nothing elsewhere; the id of the key is.
        credential = re.search(r"Credential=([^/,\s]+)", token)
        if credential:
            yield credential.group(1)
    else:
        yield token.strip()


@dataclass(frozen=True, slots=True)
class KnownSecret:
    """A value that is to be found: what it is, and each text that it may stand as."""

    value: str
    what: str
    forms: tuple[str, ...]


def known(value: str, what: str) -> KnownSecret:
    """Return a value with its forms: plain, hex, base64 at each alignment. Escaped forms are undone in the text."""
    raw = value.encode("utf-8", "surrogatepass")
    forms = {value, raw.hex(), raw.hex().upper()}
    for shift in range(3):
        # Base64 of a text that holds the value, at each of the three alignments; the edges depend on neighbours.
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        start = (shift * 8 + 5) // 6
        whole = encoded[start : len(encoded) - (1 if (shift + len(raw)) % 3 else 0)]
        if len(whole) >= SHORTEST_SECRET:
            forms |= {whole, whole.replace("+", "-").replace("/", "_")}
    return KnownSecret(value, what, tuple(sorted(forms)))


def secret_parameters(uri: str, names: Mapping[str, object] | frozenset[str] | set[str]) -> Iterator[tuple[str, str]]:
    """Yield (what it is, value) for each parameter of a URL that holds a secret, and for a password in it."""
    for pair in re.split(r"[&;]", uri.partition("?")[2].partition("#")[0]):
        name, equals, value = pair.partition("=")
        if equals and unquote(name).lower() in names:
            yield f"the URL parameter {unquote(name)}", unquote(value)
    password = password_of(uri)
    if password:
        yield "the password in a URL", password
