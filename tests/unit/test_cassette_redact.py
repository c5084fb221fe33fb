"""No secret passes the scanner, and no harmless text is taken for one."""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
import threading
import uuid
from typing import Any
from urllib.parse import quote

import pytest

from pytest_llmeval.cassettes.matching import HTTPRequest
from pytest_llmeval.cassettes.redact import RESPONSE_HEADERS, SecretScanner, kept_headers
from pytest_llmeval.cassettes.secrets import HINTS_BY_SIGN, KEY_SHAPES, is_placeholder
from pytest_llmeval.cassettes.views import RUN, _runs

KEY = 'Zk9/"+q7\\Lm2=Xv'
TOKEN = "9fX2mQ7bTzLw4Rk8Vn3Hs6Yd"


@pytest.fixture
def scanner() -> SecretScanner:
    environ = {"OPENAI_API_KEY": KEY, "HOME": "/home/someone", "SHORT_KEY": "abc", "INHOUSE": "horse-battery-1"}
    return SecretScanner(environ, also=["INHOUSE"])


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" for char in text)


def b64(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        json.dumps(KEY),
        json.dumps(json.dumps(KEY)),
        json.dumps(json.dumps(json.dumps({"a": [KEY]}))),
        repr(KEY),
        quote(KEY, safe=""),
        quote(quote(KEY, safe=""), safe=""),
        "".join(f"%{ord(char):02x}" for char in KEY),
        escaped(KEY),
        escaped(KEY).replace("\\", "\\\\"),
        KEY.replace("&", "&amp;").replace('"', "&quot;"),
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
        b64(KEY),
        b64(f"x{KEY}y"),
        b64(f"xx{KEY}yy"),
        base64.urlsafe_b64encode(f"user:{KEY}".encode()).decode(),
        b64(b64(f"the key is {KEY}, or so it seems")),
        base64.encodebytes(("x" * 70 + KEY + "y" * 70).encode()).decode().strip().replace("\n", "\n  "),
        b64(gzip.compress(f"the key is {KEY}".encode(), mtime=0)),
        str([KEY[:4], KEY[4:9], KEY[9:]]),
    ],
)
def test_a_key_is_found_and_masked_however_it_is_written(scanner: SecretScanner, form: str) -> None:
    text = f"first line\nsecond {form} line\n"
    (finding,) = scanner.find(text)
    assert finding.what == "the value of OPENAI_API_KEY"
    assert finding.line == 2
    masked = scanner.mask(text)
    assert "[masked: the value of OPENAI_API_KEY]" in masked
    assert not scanner.find(masked)
    assert masked.startswith("first line\nsecond ")
    assert masked.endswith("line\n")


def test_a_finding_never_holds_the_secret(scanner: SecretScanner) -> None:
    assert KEY not in str(scanner.find(KEY))


def test_a_variable_named_in_the_settings_is_looked_for(scanner: SecretScanner) -> None:
    assert scanner.find("... horse-battery-1 ...")


@pytest.mark.parametrize(
    "name",
    ["GROQ_API_KEY", "HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK", "OPENAI_ORG_ID", "DB_PASSWORD"],
)
def test_what_a_variable_is_called_tells_that_it_holds_a_secret(name: str) -> None:
    (finding,) = SecretScanner({name: TOKEN}).find(f"<{TOKEN}>")
    assert finding.what == f"the value of {name}"


def test_the_password_in_a_url_is_a_secret() -> None:
    scanner = SecretScanner({"DATABASE_URL": f"postgres://app:{TOKEN}@db/prod", "PROXY": "http://proxy:8080"})
    assert [finding.what for finding in scanner.find(TOKEN)] == ["the password in DATABASE_URL"]
    assert not scanner.find("postgres://app@db/prod and http://proxy:8080")


def test_the_path_of_a_file_with_credentials_is_no_secret() -> None:
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": "/home/me/service-account-7f3a9.json"}
    assert not SecretScanner(environ).find("see /home/me/service-account-7f3a9.json")


@pytest.mark.parametrize(
    "text",
    [
        f"sk-proj-{TOKEN}",
        "sk-ant-api03-AAAAbbbbCCCC1111dddd",
        f"sk-or-v1-{TOKEN.lower()}",
        f"\\nsk-{TOKEN}",
        "AIzaSyA1234567890qwertzuiopqrstuvwxyz12",
        f"gsk_{TOKEN}",
        f"hf_{TOKEN}abcdef",
        f"ghp_{TOKEN}ABCDEFGHIJ01",
        f"xai-{TOKEN * 3}",
        "AKIAY3FODNN7QW2RT5UI",
        f"Authorization: Bearer {TOKEN}",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        f"-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx{TOKEN}",
        f'"-----BEGIN PRIVATE KEY-----\\nMIIEowIBAAKCAQEAx{TOKEN}"',
        "https://bucket/x?X-Amz-Signature=8f3e45a7b89abcdef0123456789abcdef",
        f"https://b.example.com/i.png?se=2026&sig={TOKEN}%3D",
        f"Rate limit reached in organization org-{TOKEN} on tokens per min",
        b64(f"the file has sk-proj-{TOKEN} in it"),
        b64(f"a {b64(f'b sk-proj-{TOKEN} c')} d"),
        escaped(f"sk-proj-{TOKEN}"),
        b64(gzip.compress(f"sk-proj-{TOKEN}".encode(), mtime=0)),
    ],
)
def test_the_shape_of_a_key_is_enough(text: str) -> None:
    scanner = SecretScanner({})
    assert scanner.find(f"x {text} y")
    assert "[masked: " in scanner.mask(f"x {text} y")


CHANCE = random.Random(7)
HARMLESS = [
    "task-oriented-dialogue-systems-are-nice, desk-1, sk-learn, risk-2024-assessment-of-the-whole-portfolio",
    "sk-SK is the locale of Slovakia; /sk/sk-12-prihlaska-na-kurz-2024-jesen",
    "pip install sk-learn-contrib-imbalanced-2024-preview",
    "the bearer of bad news; Bearer authentication-with-tokens; a bearer internationalization-specialist",
    "Authorization: Bearer YOUR_API_KEY, Bearer <token>, Bearer $OPENAI_API_KEY, Bearer ${TOKEN}",
    "Set OPENAI_API_KEY=sk-your-api-key-here-1234567890123456 or sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "Incorrect API key provided: sk-proj-********************************abcd. Find your key at https://example.com",
    "max_tokens: 1024, total_tokens=1234567890123456, secret santa, password reset, the key to success",
    "AKIAIOSFODNN7EXAMPLE and wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY are AWS's own examples",
    "openssl writes -----BEGIN PRIVATE KEY----- at the top, then the base64, then -----END PRIVATE KEY-----",
    f"commit {CHANCE.randbytes(20).hex()}, sha256:{CHANCE.randbytes(32).hex()}, etag {CHANCE.randbytes(16).hex()}",
    " ".join(str(uuid.UUID(bytes=CHANCE.randbytes(16))) for _ in range(50)),
    f"data:image/png;base64,{b64(CHANCE.randbytes(300_000))}",
    base64.urlsafe_b64encode(CHANCE.randbytes(300_000)).decode(),
    base64.encodebytes(CHANCE.randbytes(60_000)).decode(),
    json.dumps({"embedding": b64(CHANCE.randbytes(6144)), "signature": b64(CHANCE.randbytes(900))}),
    json.dumps({"id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "system_fingerprint": "fp_44709d6fcb"}),
    json.dumps({"id": "msg_01XFDUDYJgAACzvnptvVoYEL", "tool_use_id": "toolu_01A09q90qw90lq917835lq9"}),
    json.dumps({"id": "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b", "call_id": "call_12345xyz"}),
    json.dumps({"request_id": "req_011CSHoEeqs5C35K2UUqR7Fy", "file": "file-abc123def456ghi789jkl012"}),
    "https://cdn.example.com/a.png?v=8f3e45a7b89abcdef&width=1200&design=8f3e45a7b89abcdef0123",
    "github.com/org-wide/settings, org-mode, org-chart-2025, proj_management, project-x",
    "hf_hub_download(repo_id='x'), gsk_learn, ghp, xoxo-hugs-and-kisses, r8_g8_b8_a8_format",
    "C:\\Users\\new\\task-1 \\n \\u00e9\\u4e2d\\u6587 100%25 &amp; %E2%82%AC, é, 中文, \U0001f600",
    "def f(api_key: str = '', token: str | None = None): headers = {'x-api-key': api_key, 'cookie': cookie}",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIn0.SflKxwRJSMeKKF2QT4",
    "lorem ipsum " * 5000,
]


@pytest.mark.parametrize("text", HARMLESS, ids=[text[:24] for text in HARMLESS])
def test_ordinary_text_is_let_through(scanner: SecretScanner, text: str) -> None:
    assert scanner.find(text) == []
    assert scanner.find(json.dumps({"content": text})) == []
    assert scanner.find_in_body(text.encode()) == []


@pytest.mark.parametrize(
    "value",
    [
        *("not-needed", "test", "sk-no-key-required", "dummy", "EMPTY", "ollama", "lm-studio", "token-abc123", "none"),
        *(
            "test-key",
            "sk-test-1234",
            "fake_api_key",
            "changeme",
            "your-api-key-here",
            "<your key>",
            "${API_KEY}",
            "xxx",
        ),
        *("sk-xxxxxxxxxxxxxxxxxxxxxxxx", "0000000000000000", "12345678", "REDACTED", "***", "[secure]", "unused"),
        *("sk-...abcd", "a-placeholder-for-the-local-model", "$OPENAI_API_KEY", "%KEY%", "llmeval-no-key", ""),
    ],
)
def test_what_stands_in_for_a_key_makes_no_text_unwritable(value: str) -> None:
    assert is_placeholder(value)
    scanner = SecretScanner({"OPENAI_API_KEY": value, "LOCAL_KEY": value}, also=["LOCAL_KEY"])
    scanner.learn_request(request(authorization=f"Bearer {value}", cookie=f"session={value}"))
    assert scanner.find(f"The words {value} may be in an answer.") == []


@pytest.mark.parametrize("word", ["assistant", "completion", "anonymous", "internal-service", "customer"])
def test_a_word_that_a_request_carries_as_its_key_is_no_secret(word: str) -> None:
    scanner = SecretScanner({})
    scanner.learn_request(request(authorization=f"Bearer {word}", x_api_key=word, cookie=f"role={word}"))
    assert scanner.find(f'{{"role": "{word}"}}') == []


def request(uri: str = "https://h/v1", **headers: str) -> HTTPRequest:
    return HTTPRequest("POST", uri, {name.replace("_", "-"): [value] for name, value in headers.items()}, b"")


@pytest.mark.parametrize(
    "carrier",
    [
        request(authorization=f"Bearer {TOKEN}"),
        request(authorization=f"Basic {b64(f'user:{TOKEN}')}"),
        request(authorization=TOKEN),
        request(Api_Key=TOKEN),
        request(x_goog_api_key=TOKEN),
        request(cookie=f"lang=en; session={TOKEN}"),
        request(f"https://h/v1?key={TOKEN}"),
        request(f"https://user:{TOKEN}@h/v1"),
        request(authorization=f"AWS4-HMAC-SHA256 Credential={TOKEN}/20250101/us-east-1, Signature=0123456789abcdef"),
    ],
)
def test_what_a_request_carries_as_its_key_is_a_secret_from_then_on(carrier: HTTPRequest) -> None:
    scanner = SecretScanner({})
    assert scanner.find(TOKEN) == []
    scanner.learn_request(carrier)
    (finding,) = scanner.find(f"Incorrect API key provided: {TOKEN}")
    assert finding.what.startswith("what a request carried in ")


def test_cookies_and_accounts_of_an_answer_are_secrets_from_then_on() -> None:
    scanner = SecretScanner({})
    headers = [("Set-Cookie", f"__cf_bm={TOKEN}; path=/"), ("openai-organization", "user-8fj3kq9sm2xl")]
    scanner.learn_answer(headers, b"")
    assert len(scanner.find(f"{TOKEN} user-8fj3kq9sm2xl")) == 2
    scanner.learn_answer([("openai-organization", "acme-corp"), ("Set-Cookie", "lang=en-US-posix; path=/")], b"")
    assert scanner.find("acme-corp en-US-posix") == []


def test_tokens_that_change_with_each_request_do_not_pile_up() -> None:
    scanner = SecretScanner({"OPENAI_API_KEY": KEY})
    chance = random.Random(1)
    tokens = [chance.randbytes(12).hex() for _ in range(1000)]
    for token in tokens:
        scanner.learn_request(request(authorization=f"Bearer {token}"))
    assert not scanner.find(tokens[0])
    assert scanner.find(tokens[-1])
    assert scanner.find(KEY)


def event(data: object) -> str:
    return f"data: {json.dumps(data)}\n\n"


def openai_delta(piece: str) -> object:
    return {"choices": [{"index": 0, "delta": {"content": piece}}]}


def tool_delta(piece: str) -> object:
    return {"choices": [{"delta": {"tool_calls": [{"index": 1, "function": {"arguments": piece}}]}}]}


def partial_json(piece: str) -> object:
    return {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": piece}}


def responses_delta(piece: str) -> object:
    return {"type": "response.function_call_arguments.delta", "item_id": "i", "output_index": 0, "delta": piece}


def gemini_part(piece: str) -> object:
    return {"candidates": [{"content": {"parts": [{"text": piece}]}}]}


@pytest.mark.parametrize("shape", [openai_delta, tool_delta, partial_json, responses_delta, gemini_part])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_a_key_that_is_split_over_events_is_found(scanner: SecretScanner, shape: object, size: int) -> None:
    assert callable(shape)
    text = f"The key is {KEY}."
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    bodies = {
        "events": "".join(event(shape(piece)) for piece in pieces) + "data: [DONE]\n\n",
        "lines": "\n".join(json.dumps(shape(piece)) for piece in pieces),
        "list": json.dumps([shape(piece) for piece in pieces]),
        "frames": "".join(f"\x00\x01\x02:event{json.dumps(shape(piece))}\x03" for piece in pieces),
    }
    for name, body in bodies.items():
        assert scanner.find_in_body(body.encode()), name


def test_texts_that_come_in_turns_are_told_apart(scanner: SecretScanner) -> None:
    pieces = [KEY[start : start + 4] for start in range(0, len(KEY), 4)]
    body = "".join(
        event({"choices": [{"index": 0, "delta": {"content": piece}}]})
        + event({"choices": [{"index": 1, "delta": {"content": "other"}}]})
        for piece in pieces
    )
    assert scanner.find_in_body(body.encode())


def test_an_event_that_bedrock_packs_is_unpacked(scanner: SecretScanner) -> None:
    pieces = [KEY[:5], KEY[5:9], KEY[9:]]
    events = [{"type": "content_block_delta", "delta": {"text": piece}} for piece in pieces]
    body = "\x00\x0b".join(json.dumps({"bytes": b64(json.dumps(each))}) for each in events)
    assert scanner.find_in_body(body.encode())


def test_a_stream_of_harmless_pieces_is_let_through(scanner: SecretScanner) -> None:
    chance = random.Random(3)
    events = [
        {
            "id": "c1",
            "obfuscation": b64(chance.randbytes(9)),
            "choices": [{"delta": {"content": "sk-" if n % 50 else "."}}],
        }
        for n in range(500)
    ]
    assert scanner.find_in_body("".join(map(event, events)).encode()) == []


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(f"x{KEY}".encode(), mtime=0),
        f"--b\r\n\r\n{KEY}\r\n--b--".encode(),
        b"\x00\xff\xfe" + KEY.encode("utf-16-le") + b"\x00",
        b"\xff\x00" + KEY.encode() + b"\x01",
    ],
)
def test_a_key_in_bytes_is_found(scanner: SecretScanner, body: bytes) -> None:
    assert scanner.find_in_body(body) == ["the value of OPENAI_API_KEY"]


def test_what_dots_leave_of_a_key_is_masked() -> None:
    scanner = SecretScanner({"OPENAI_API_KEY": TOKEN})
    masked = scanner.mask(f"headers = {{'a': '{TOKEN[:12]}...{TOKEN[-9:]}'}}, and then ... {TOKEN[:4]}")
    assert TOKEN[:8] not in masked
    assert TOKEN[-8:] not in masked
    assert masked.endswith(f"and then ... {TOKEN[:4]}")


def test_the_pieces_in_which_a_stream_brought_a_key_are_masked() -> None:
    scanner = SecretScanner({"OPENAI_API_KEY": TOKEN})
    pieces = [TOKEN[start : start + 6] for start in range(0, len(TOKEN), 6)]
    body = "".join(event(openai_delta(piece)) for piece in pieces)
    scanner.learn_answer([], body.encode())
    masked = scanner.mask(body)
    assert not any(piece in masked for piece in pieces)
    assert masked.count("choices") == len(pieces)


@pytest.mark.parametrize(
    "text",
    [
        f"[(b'Server', b'x'), (b'Set-Cookie', b'__cf_bm={TOKEN}; path=/'), (b'Age', b'1')]",
        f"Headers({{'server': 'x', 'openai-organization': 'acme-research-lab', 'cookie': 'a={TOKEN}'}})",
        f'{{"x-api-key": "{TOKEN}", "b": 1}}',
        f"authorization: {TOKEN}\nhost: h",
        f"GET https://h/v1?alt=sse&key={TOKEN}&b=1",
        f"https://me:{TOKEN}@h/v1",
        f"x-amz-security-token:{TOKEN}",
    ],
)
def test_what_stands_in_the_place_of_a_credential_is_masked(text: str) -> None:
    masked = SecretScanner({}).mask(text)
    assert TOKEN not in masked
    assert "acme-research-lab" not in masked
    assert "[masked: the " in masked


@pytest.mark.parametrize(
    "text",
    [
        "cookie: monster is hungry today",
        "the authorization: who gives it?",
        "headers = {'authorization': f'Bearer {key}'}",
        "{'x-api-key': '[secure]', 'authorization': '<redacted>'}",
        "GET /v1?key=name&page_token=8f3e45a7b89abcdef",
        "Signature: def sig(a, b): ...",
        "1 passed in 0.2s",
    ],
)
def test_harmless_text_is_shown_as_it_is(scanner: SecretScanner, text: str) -> None:
    assert scanner.mask(text) == text


def test_a_name_that_was_cut_is_refused_all_the_same() -> None:
    scanner = SecretScanner({"OPENAI_API_KEY": f"a/{TOKEN}"})
    assert scanner.find_cut(f"test_it[a-{TOKEN[:16]}-1a2b3c4d.yaml") == ["the value of OPENAI_API_KEY"]
    assert scanner.find_cut("llm_cassettes/test_chat/test_it.yaml") == []


def test_headers_outside_the_list_are_dropped() -> None:
    headers = [
        ("Content-Type", "application/json"),
        ("Set-Cookie", "a=b"),
        ("openai-organization", "org-1"),
        ("X-Request-Id", "r"),
    ]
    assert kept_headers(headers, RESPONSE_HEADERS) == {"content-type": ["application/json"]}


IMAGE = random.Random(7).randbytes(150_000)


def with_key(at: int, key: bytes = f" {TOKEN} ".encode()) -> bytes:
    """Return the bytes of an image in which a key stands."""
    return IMAGE[:at] + key + IMAGE[at:]


@pytest.mark.parametrize("at", [0, 100, 20_000, 75_001, 149_999, 150_000])
@pytest.mark.parametrize(
    "form",
    [
        lambda data: b64(data),
        lambda data: base64.urlsafe_b64encode(data).decode(),
        lambda data: base64.encodebytes(data).decode().replace("\n", "\n    "),
        lambda data: json.dumps("first\n" + b64(data)),
        lambda data: json.dumps(base64.encodebytes(data).decode()),
        lambda data: quote("data:image/png," + b64(data), safe=""),
        lambda data: data.hex(),
    ],
)
def test_a_key_in_an_image_is_found_wherever_it_stands(form: Any, at: int) -> None:
    scanner = SecretScanner({"BANK_API_KEY": TOKEN})
    text = f'{{"url": "data:image/png;base64,{form(with_key(at))}"}}\nafter it\n'
    assert {finding.what for finding in scanner.find(text)} == {"the value of BANK_API_KEY"}
    assert scanner.find_in_body(text.encode()) == ["the value of BANK_API_KEY"]
    masked = scanner.mask(text)
    assert masked.startswith('{"url": "data:image/png;')
    assert masked.endswith('"}\nafter it\n')
    assert not scanner.find(masked)


@pytest.mark.parametrize(
    "key",
    [
        f" sk-proj-{TOKEN} ".encode(),
        f" {TOKEN} ".encode("utf-16-le"),
        b" " + b64(f"the key is {TOKEN}, or so it seems").encode() + b" ",
        b' "\\u0039\\u0066X2mQ7bTzLw4Rk8Vn3Hs6Yd" ',
    ],
)
def test_a_key_in_an_image_is_found_in_other_clothes(key: bytes) -> None:
    scanner = SecretScanner({"BANK_API_KEY": TOKEN})
    data = with_key(60_000, key)
    assert scanner.find(b64(data))
    assert scanner.find_in_body(b"--x\r\ncontent-type: image/png\r\n\r\n" + data + b"\r\n--x--\r\n")


@pytest.mark.parametrize("before", ["", "/", "x"])
def test_a_key_that_touches_an_image_is_found(before: str) -> None:
    scanner = SecretScanner({"BANK_API_KEY": "9fX2:mQ7bTzLw4Rk8", "OTHER_KEY": "Rk8Vn3Hs6Yd+9fX2mQ7"})
    image = b64(IMAGE)
    assert scanner.find(f"{before}9fX2:mQ7bTzLw4Rk8{image}")
    assert scanner.find(f"{image}9fX2:mQ7bTzLw4Rk8")
    assert scanner.find(f"{image}Rk8Vn3Hs6Yd+9fX2mQ7{image}")


def test_what_stands_around_images_has_its_line_and_its_place() -> None:
    scanner = SecretScanner({"BANK_API_KEY": TOKEN})
    image = b64(IMAGE)
    text = f"one\n{image}\n<{TOKEN}>\n{image} {image}\nend {TOKEN}"
    assert [finding.line for finding in scanner.find_all(text)] == [3, 5]
    assert scanner.mask(text) == text.replace(TOKEN, "[masked: the value of BANK_API_KEY]")


def test_what_is_learned_later_is_found_in_an_image_that_was_looked_at_before() -> None:
    environ = {"A_KEY": "some-other-9fX2mQ7bTz"}
    scanner = SecretScanner(environ)
    text = b64(with_key(70_000))
    assert not scanner.find(text)
    environ["BANK_API_KEY"] = TOKEN
    scanner.learn()
    assert scanner.find(text)


def test_a_password_that_is_not_ascii_is_found_in_bytes_that_are_no_text() -> None:
    scanner = SecretScanner({"DB_PASSWORD": "pässwörter-9f3"})
    for encoding in ("utf-8", "latin-1"):
        body = with_key(5, " pässwörter-9f3 ".encode(encoding))
        assert scanner.find_in_body(body)
        assert scanner.find(b64(body))


class Changing(dict[str, str]):
    """An environment in which pytest takes a variable away while another thread looks at it."""

    def __getitem__(self, name: str) -> str:
        if name == "PYTEST_CURRENT_TEST":
            raise KeyError(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def items(self) -> Any:
        return ((name, self[name]) for name in self)


def test_a_variable_that_is_gone_when_it_is_looked_at_costs_no_answer() -> None:
    scanner = SecretScanner(Changing({"PYTEST_CURRENT_TEST": "test_it (call)", "BANK_API_KEY": TOKEN}))
    assert [finding.what for finding in scanner.find(f"x {TOKEN}")] == ["the value of BANK_API_KEY"]


@pytest.mark.parametrize("name", ["BANK_API_KEY", "DATABASE_URL", "HTTPS_PROXY", "INHOUSE"])
def test_what_a_variable_holds_later_is_learned_too(name: str) -> None:
    environ = {name: "nothing yet", "PLAIN": "https://me:9fX2mQ7bTzLw4Rk8@host/"}
    scanner = SecretScanner(environ, also=["INHOUSE"])
    assert scanner.find("9fX2mQ7bTzLw4Rk8") != []
    environ[name] = f"https://me:{TOKEN}@host/" if name in ("DATABASE_URL", "HTTPS_PROXY") else TOKEN
    environ["NEW"] = "https://me:8gY3nR8cUaMx5Sl9@host/"
    scanner.learn()
    assert scanner.find(TOKEN) != []
    assert scanner.find("8gY3nR8cUaMx5Sl9") != []


def test_threads_may_learn_while_the_environment_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    scanner, faults, stop = SecretScanner(os.environ), [], threading.Event()

    def learn() -> None:
        try:
            while not stop.is_set():
                scanner.learn()
        except Exception as exc:
            faults.append(exc)

    threads = [threading.Thread(target=learn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(3000):
        os.environ["LLMEVAL_CHANGING_KEY"] = f"9fX2mQ7bTz{number % 7}"
        del os.environ["LLMEVAL_CHANGING_KEY"]
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []


@pytest.mark.parametrize("seed", range(20))
def test_runs_that_are_looked_for_fast_are_the_same(seed: int) -> None:
    chance = random.Random(seed)
    encoded = [base64.encodebytes(chance.randbytes(chance.randint(1, 300))).decode() for _ in range(40)]
    between = [" ", "\n  ", "\r\n", "é", "\\n", "=", '"', "a-b/c"]
    text = "".join(part + chance.choice(between) for part in encoded)
    text = text.replace("\n", "\r\n\t") if seed % 3 == 0 else text
    assert [match.span() for match in _runs(text)] == [match.span() for match in RUN.finditer(text)]


def test_each_hint_of_a_key_is_found_whatever_stands_around_it() -> None:
    found = {hint: finder for finder, hints in HINTS_BY_SIGN for hint in hints}
    assert set(found) == {hint for _, hints, _ in KEY_SHAPES for hint in hints}
    for hint, finder in found.items():
        for around in ("", "a", "-", "_", "--", "sk", "\n", "é", "=.", hint[:-1]):
            assert finder.search(f"{around}{hint}{around}"), (around, hint)
    assert not any(finder.search("Content-type: x_y. a=b, not a hint") for finder in found.values())
