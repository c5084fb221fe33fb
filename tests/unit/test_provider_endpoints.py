from __future__ import annotations

import pytest

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.providers.endpoints import ANTHROPIC, OPENAI, OPENAI_COMPATIBLE, Connection, connection_of
from pytest_llmeval.standins import MISSING_KEY

ROWS = {endpoint.name: endpoint for endpoint in (*OPENAI_COMPATIBLE, ANTHROPIC)}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in ROWS.values():
        for name in (*row.key_envs, row.base_url_env):
            if name:
                monkeypatch.delenv(name, raising=False)


def connect(name: str, base_url: str | None = None, **settings: str) -> Connection:
    return connection_of(ROWS[name], Candidate("x", name, "m", base_url=base_url, **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "hosting", "billing"),
    [
        ("openai", "api", "openai"),
        ("anthropic", "api", "anthropic"),
        ("gemini", "api", "google"),
        ("openrouter", "api", "openrouter"),
        ("ollama", "local", None),
        ("vllm", "local", None),
    ],
)
def test_a_row_says_who_hosts_and_who_bills(name: str, hosting: str, billing: str | None) -> None:
    connection = connect(name)
    assert (connection.hosting, connection.billing) == (hosting, billing)


@pytest.mark.parametrize("name", ["ollama", "vllm"])
def test_a_server_on_another_machine_is_self_hosted(name: str) -> None:
    assert connect(name, "http://gpu.internal:8000/v1").hosting == "self-hosted"
    assert connect(name, "http://[::1]:8000/v1").hosting == "local"


def test_a_loopback_address_alone_does_not_make_a_paid_protocol_free() -> None:
    assert connect("openai", "http://127.0.0.1:4000/v1").hosting == "api"
    assert connect("openai", "http://127.0.0.1:4000/v1", hosting="local").hosting == "local"


def test_nobody_publishes_the_price_of_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect("openai", "https://gateway.example/v1").billing is None
    assert connect("openai", "https://api.openai.com/v1/").billing == "openai"
    assert not connect("openrouter", "https://gateway.example/v1").reports_cost
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://gateway.example")
    assert connect("anthropic").billing is None


def test_a_missing_key_is_the_dummy_and_keeps_its_variables_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (connect("groq").key, connect("groq").key_env) == (f"{MISSING_KEY}-GROQ_API_KEY", "GROQ_API_KEY")
    monkeypatch.setenv("GROQ_API_KEY", " k\n")
    assert connect("groq").key == "k"
    assert (connect("ollama").key, connect("ollama").key_env) == ("unused", None)


def test_the_second_variable_is_taken_where_the_first_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token")
    assert (connect("anthropic").key, connect("anthropic").key_env) == ("token", "ANTHROPIC_AUTH_TOKEN")


def test_a_key_is_not_sent_to_an_address_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert connect("openai").key == "secret"
    assert connect("openai", "https://evil.example/v1").key == "unused"
    assert connect("openai", "https://evil.example/v1", api_key_env="OPENAI_API_KEY").key == "secret"


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://x/v1", "http://", "http://x:port/v1", "nonsense"])
def test_what_is_no_url_is_a_config_error_that_shows_it(url: str) -> None:
    with pytest.raises(ConfigError, match="is not an http"):
        connection_of(OPENAI, Candidate("x", "openai", "m", base_url=url))
