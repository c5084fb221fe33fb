"""``llmeval models``: the catalog as it was published, and lists of models with the user's own."""

from __future__ import annotations

import json
import re

import pytest

from tests.integration.conftest import Command, Project

# name, input, output, context; then time to first token, tokens/s, time for 500 tokens.
PRICES = """
GPT-4o | 2.50 | 10.00 | 128K
GPT-4o mini | 0.15 | 0.60 | 128K
o3 | 10.00 | 40.00 | 200K
Claude Sonnet | 3.00 | 15.00 | 200K
Claude Haiku | 0.80 | 4.00 | 200K
Claude Opus | 15.00 | 75.00 | 200K
Gemini 1.5 Pro | 1.25 | 5.00 | 2M
Gemini 2.0 Flash | 0.10 | 0.40 | 1M
Mistral Large | 2.00 | 6.00 | 128K
Mistral Small | 0.10 | 0.30 | 128K
Llama 3.1 70B (Together) | 0.88 | 0.88 | 128K
Llama 3.1 8B (Together) | 0.18 | 0.18 | 128K
"""
LATENCIES = """
GPT-4o | 300 ms | 80 | 6.5 s
GPT-4o mini | 200 ms | 120 | 4.4 s
o3 | 2-30 s of thinking | 40 | 15-45 s
Claude Sonnet | 400 ms | 70 | 7.5 s
Claude Haiku | 200 ms | 150 | 3.5 s
Gemini 2.0 Flash | 150 ms | 200 | 2.7 s
Llama 3.1 70B, self-hosted, one A100 | 200 ms | 50 | 10.2 s
"""
SCORES = """
GPT-4o | 88.7 | 90.2 | 76.6 | 95.8
Claude Sonnet | 88.7 | 92.0 | 78.3 | 96.4
Claude Opus | 91.0 | 93.1 | 82.1 | 97.2
o3 | 89.5 | 92.7 | 96.7 | 98.9
Gemini 1.5 Pro | 85.9 | 84.1 | 67.7 | 91.0
Llama 3.1 405B | 88.6 | 89.0 | 73.8 | 96.8
Llama 3.1 70B | 86.0 | 80.5 | 68.0 | 93.0
Mistral Large | 84.0 | 81.0 | 65.2 | 91.2
"""
STRENGTHS = """
code generation | Claude Sonnet, GPT-4o
extraction, classification | GPT-4o mini, Mistral Small, Claude Haiku
long documents | Claude Sonnet (200K), Gemini 1.5 Pro (2M)
complex reasoning, math | o3, Claude Opus
creative writing | Claude Sonnet, GPT-4o
throughput over 10,000 requests/min | GPT-4o mini, Gemini 2.0 Flash, self-hosted Llama
data that must not leave | self-hosted Llama or Mistral
multilingual | GPT-4o, Gemini
"""


def table(text: str) -> list[str]:
    return [re.sub(r" \| ", "  ", line) for line in text.strip().splitlines()]


def rows(text: str, heading: str) -> list[str]:
    """Return the rows of a section, with two blanks between their cells."""
    section = text.split(heading, 1)[1].split("\n\n", 1)[0]
    return [re.sub(r" {2,}", "  ", line) for line in section.splitlines()]


def test_the_reference_catalog_is_shown_as_it_was_published(command: Command) -> None:
    text = command("models", "--catalog=reference", width=200).out
    prices = [line for line in rows(text, "Price and context") if line]
    assert [row for row in table(PRICES) if not any(line.startswith(row) for line in prices)] == []
    assert set(table(LATENCIES)) <= set(rows(text, "Typical latency"))
    assert set(table(SCORES)) <= set(rows(text, "benchmark scores"))
    assert table(STRENGTHS) == rows(text, "Strengths by task")[1:]
    assert "directional only" in text
    assert "prices of reference as of 2025-06-01" in text
    assert "o3: 15-45 s is as published; TTFT + 500 / rate gives 14.5-42.5 s" in text
    assert re.search(r"^Claude Haiku +anthropic:claude-3-5-haiku-20241022$", text, re.MULTILINE)


def test_a_later_day_has_its_own_prices(command: Command) -> None:
    text = command("models", "--catalog=reference", "--on=2025-06-10", width=200).out
    assert "o3  2.00  8.00  200K" in "\n".join(rows(text, "Price and context"))
    assert "prices of reference as of 2025-06-10: o3" in text


def test_tables_fit_80_columns(command: Command) -> None:
    for arguments in (["--catalog=reference"], ["--where", "source!=openrouter", "--where", "provider!=openrouter"]):
        assert [line for line in command("models", *arguments).out.splitlines() if len(line) > 80] == []


def test_models_of_the_settings_are_listed_with_their_own_prices(command: Command, project: Project) -> None:
    project.write(
        """
        [tool.pytest.ini_options]
        filterwarnings = ["error"]
        [tool.llmeval.models.inhouse]
        model = "vllm:qwen"
        prices = { input = 0.02, output = 0.05 }
        """,
        "pyproject.toml",
    )
    (found,) = json.loads(command("models", "--where", "source=settings", "--format=json").out)
    assert (found["id"], found["input"], found["output"], found["hosting"]) == ("inhouse", "0.02", "0.05", "local")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--catalog=refernce"], "Did you mean 'reference'?"),
        (["--on=June"], "YYYY-MM-DD"),
        (["--where=outpt<1"], "Did you mean 'output'?"),
        (["--catalog=reference", "--where=output>1M"], "no model meets all conditions"),
    ],
)
def test_what_cannot_be_used_is_told(command: Command, arguments: list[str], said: str) -> None:
    done = command("models", *arguments)
    assert (done.status, done.out) == (2, "")
    assert said in done.err


def test_providers_are_listed_with_their_addresses_and_whether_there_is_a_key(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_secret")
    monkeypatch.delenv("TOGETHER_API_KEY", raising=False)
    done = command("providers", width=120)
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines() if line.strip()}
    assert rows["groq"] == ["api", "GROQ_API_KEY", "yes", "https://api.groq.com/openai/v1"]
    assert rows["together"] == ["api", "TOGETHER_API_KEY", "no", "https://api.together.xyz/v1"]
    assert rows["ollama"] == ["self-hosted", "any", "-", "http://localhost:11434/v1"]
    assert "gsk_secret" not in done.out
    data = json.loads(command("providers", "--format=json").out)
    assert {"provider": "gemini", "key_variables": ["GEMINI_API_KEY"]}.items() <= data[-2].items()
