"""No secret passes the scanner."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from pytest_llmeval.cassettes.redact import RESPONSE_HEADERS, SecretScanner, kept_headers

KEY = 'Zk9/"+q7\\Lm2=Xv'


@pytest.fixture
def scanner() -> SecretScanner:
    environ = {"OPENAI_API_KEY": KEY, "HOME": "/home/someone", "SHORT_KEY": "abc", "INHOUSE": "hidden-value-1"}
    return SecretScanner(environ, also=["INHOUSE"])


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        json.dumps(KEY),
        json.dumps(json.dumps(KEY)),
        quote(KEY, safe=""),
        base64.b64encode(KEY.encode()).decode(),
        base64.b64encode(f"x{KEY}y".encode()).decode(),
        base64.b64encode(f"xx{KEY}yy".encode()).decode(),
        base64.urlsafe_b64encode(f"user:{KEY}".encode()).decode(),
    ],
)
def test_a_key_is_found_however_it_is_written(scanner: SecretScanner, form: str) -> None:
    (finding,) = scanner.find(f"first line\nsecond {form} line\n")
    assert finding.what == "the value of OPENAI_API_KEY"
    assert finding.line == 2


def test_a_finding_never_holds_the_secret(scanner: SecretScanner) -> None:
    assert KEY not in str(scanner.find(KEY))


def test_a_variable_named_in_the_settings_is_looked_for(scanner: SecretScanner) -> None:
    assert scanner.find("... hidden-value-1 ...")


@pytest.mark.parametrize(
    "text",
    [
        "sk-proj-abcDEF123456789012345678",
        "sk-ant-api03-AAAAbbbbCCCC1111dddd",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "gsk_0123456789abcdefABCDEF",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "AKIAIOSFODNN7EXAMPLE",
        "Authorization: Bearer abcdefghijklmnop1234",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----",
        "https://bucket/x?X-Amz-Signature=0123456789abcdef0123456789abcdef",
    ],
)
def test_the_shape_of_a_key_is_enough(text: str) -> None:
    assert SecretScanner({}).find(text)


@pytest.mark.parametrize(
    "text",
    [
        "task-oriented-dialogue-systems-are-nice",
        "desk-1",
        "sk-learn",
        "the bearer of bad news",
        "max_tokens: 1024",
        "abc",
    ],
)
def test_ordinary_text_is_let_through(scanner: SecretScanner, text: str) -> None:
    assert not scanner.find(text)


def test_headers_outside_the_list_are_dropped() -> None:
    headers = [
        ("Content-Type", "application/json"),
        ("Set-Cookie", "a=b"),
        ("openai-organization", "org-1"),
        ("X-Request-Id", "r"),
    ]
    assert kept_headers(headers, RESPONSE_HEADERS) == {"content-type": ["application/json"]}
