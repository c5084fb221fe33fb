"""``llmeval monthly`` and ``llmeval breakeven``, from flags and from a run that was kept."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest

from tests.integration.conftest import Command, Done, Project

TESTS = """
import pytest

@pytest.mark.parametrize("n", range(3))
def test_it(llm, n):
    llm.complete(f"question {n}")
"""
BREAK_EVEN = ["--requests=1M", "--tokens=2000", "--price=6.25", "--gpu-month=1460", "--tokens-per-second=500"]


def months(done: Done) -> dict[str, str]:
    """Return what each strategy costs a month, as it is printed."""
    assert done.status == 0, done.err
    rows = re.findall(r"^(\S.*?) {2,}(\$[\d.]+|\?) +(\$[\d,.]+|\?)", done.out, re.MULTILINE)
    return {name: cost for name, _, cost in rows}


@pytest.fixture
def kept(project: Project) -> None:
    """Keep a run of the candidate `chat`: 120 tokens in at $1, 20 out at $10 for 1M: $0.00032 a request."""
    project.write(TESTS)
    project.outcomes("--llm-save=main", passed=3)


def test_a_month_is_priced_to_the_cent_for_each_model(command: Command) -> None:
    done = command("monthly", "--requests=1M", "--catalog=reference")
    found = months(done)
    assert {name: found[name] for name in ("GPT-4o", "GPT-4o mini", "Claude Sonnet", "Claude Haiku")} == {
        "GPT-4o": "$8,750.00",
        "GPT-4o mini": "$525.00",
        "Claude Sonnet": "$12,000.00",
        "Claude Haiku": "$3,200.00",
    }
    assert {name: found[name] for name in ("Gemini 2.0 Flash", "Mistral Small")} == {
        "Gemini 2.0 Flash": "$350.00",
        "Mistral Small": "$300.00",
    }
    assert (found["Llama 3.1 70B (Together)"], found["Llama 3.1 8B (Together)"]) == ("$1,760.00", "$360.00")
    assert "GPT-4o mini               $0.000525" in done.out
    assert "Claude Sonnet: $11,250.00 is published, $12,000.00 is what the prices" in done.out
    assert "prices of\nreference as of 2025-06-01" in done.out


def test_a_split_is_compared_with_one_model_for_all(command: Command) -> None:
    routed = ["--split=gpt-4o-mini=70%,Claude Sonnet=30%", "--split=GPT-4o mini=0.7,gpt-4o=0.3"]
    asked = ["monthly", "openai:gpt-4o", "Claude Sonnet", "--requests=1M", "--tokens=2000", "--catalog=reference"]
    done = command(*asked, *routed)
    assert list(months(done).items()) == [
        ("70% GPT-4o mini + 30% GPT-4o", "$4,275.00"),
        ("70% GPT-4o mini + 30% Claude Sonnet", "$5,925.00"),
        ("GPT-4o", "$12,500.00"),
        ("Claude Sonnet", "$18,000.00"),
    ]
    assert "30% GPT-4o: $4,550.00 is published, $4,275.00" in done.out
    assert "is not counted" in done.out
    more = months(command(*asked, *routed, "--routing-cost=0.000025"))
    assert more["70% GPT-4o mini + 30% Claude Sonnet"] == "$5,950.00"


def test_a_table_over_volumes_fits_80_columns(command: Command) -> None:
    done = command("monthly", "--requests=1M", "--catalog=reference", "--volumes=10K,100000,1.5M,2M")
    assert [line for line in done.out.splitlines() if len(line) > 80] == []
    assert re.search(r"^strategy +10K +100K +1.5M$", done.out, re.MULTILINE)
    assert re.search(r"^GPT-4o +\$87.50 +\$875.00 +\$13,125.00$", done.out, re.MULTILINE)


def test_a_run_gives_tokens_and_costs_as_measured(command: Command, kept: None) -> None:
    done = command("monthly", "--run=main", "--requests=1M")
    assert months(done) == {"chat": "$320.00"}
    assert "chat: 120 in, 20 out (mean of 3)" in " ".join(done.out.split())
    beside = command("monthly", "chat", "gpt-4o", "--run=main", "--requests=1M", "--split=chat=50%,gpt-4o=50%",
                     "--catalog=reference")  # fmt: skip
    assert months(beside) == {"chat": "$320.00", "50% chat + 50% gpt-4o": "$410.00", "gpt-4o": "$500.00"}
    assert "Of gpt-4o nothing was measured: 120 tokens in and 20 out" in " ".join(beside.out.split())


def test_a_catalog_that_is_not_there_is_told_where_a_run_needs_none_too(command: Command, kept: None) -> None:
    assert "refernce" in command("monthly", "--run=main", "--requests=1M", "--catalog=refernce").err


def test_a_classifier_is_priced_by_what_it_reads(command: Command) -> None:
    asked = ["monthly", "--requests=1M", "--tokens-in=500", "--tokens-out=100", "--catalog=reference"]
    asked += ["--split=gpt-4o-mini=70%,Claude Sonnet=30%"]
    without = command(*asked, "--format=json")
    done = command(*asked, "--classifier=gpt-4o-mini")
    told = " ".join(done.out.split())
    assert "gpt-4o-mini reads 550 tokens, its instructions too, and writes 10, which adds $0.0000885 to a" in told
    (was,) = (row for row in json.loads(without.out)["strategies"] if "+" in row["strategy"])
    (now,) = (
        row
        for row in json.loads(command(*asked, "--classifier=gpt-4o-mini", "--format=json").out)["strategies"]
        if "+" in row["strategy"]
    )
    assert Decimal(now["monthly_usd"]) - Decimal(was["monthly_usd"]) == Decimal("88.50")


def keep_runs_of_mixes(project: Project) -> None:
    """Keep `main` with two models and a router of them, and `mixes` with the router alone: it asks its classifier."""
    project.add_model("small", 'model = "openai:chat"')
    project.add_model("wordy", 'model = "openai:wordy"\nprices = { input = 1, output = 2 }')
    router = '[tool.llmeval.models.routed]\nrouter = { simple = "small", complex = "wordy", classifier = "small" }'
    project.add_settings(router)
    project.write(TESTS)
    project.server.says = lambda body: "complex" if body["max_tokens"] == 10 else None
    project.run("--llm-save=main", models="small,wordy,routed").assert_outcomes(passed=9)
    project.run("--llm-save=mixes", models="routed").assert_outcomes(passed=3)


def test_what_was_not_measured_is_priced_by_single_models_and_not_by_sums_of_mixes(
    command: Command, project: Project
) -> None:
    keep_runs_of_mixes(project)
    split = ["--requests=1M", "--catalog=reference", "--classifier=gpt-4o-mini"]
    for run, members in (
        ("main", "small=50%,wordy=50%"),
        ("main", "gpt-4o=50%,gpt-4o-mini=50%"),
        ("main", "routed=50%,gpt-4o=50%"),
        ("mixes", "gpt-4o=50%,gpt-4o-mini=50%"),
    ):
        told = " ".join(command("monthly", f"--run={run}", f"--split={members}", *split).out.split())
        assert "gpt-4o-mini reads 170 tokens, its instructions too" in told
        assert ("nothing was measured: 120 tokens in and 20 out" in told) == ("gpt-4o" in members)


def test_a_free_model_is_said_to_need_a_machine(command: Command, project: Project) -> None:
    project.add_model("own", 'model = "openai:own"\nprices = "free"')
    project.write(TESTS)
    project.run("--llm-save=main", models="own").assert_outcomes(passed=3)
    done = command("monthly", "--run=main", "--requests=1M")
    assert "costs nothing a token; `llmeval breakeven` prices it" in " ".join(done.out.split())


def test_figures_are_there_for_scripts(command: Command) -> None:
    done = command("monthly", "gpt-4o", "--requests=1M", "--catalog=reference", "--volumes=10K", "--format=json")
    (row,) = json.loads(done.out)["strategies"]
    assert (row["monthly_usd"], row["per_request_usd"], row["volumes_usd"]) == (
        "8750.00",
        "0.00875",
        {"10000": "87.50"},
    )
    found = json.loads(command("breakeven", *BREAK_EVEN, "--format=json").out)
    assert (found["gpus"], found["savings"], found["crossover"]) == (3, "8120.00", 116_800)
    assert found["volumes"]["5000000"]["gpus"] == 13


@pytest.mark.parametrize(
    ("utilization", "said"),
    [
        ("1.0", "$2,920.00 a month: 2 GPUs x $1,460.00, at utilization 1"),
        ("0.6", "$4,380.00 a month: 3 GPUs x $1,460.00, at utilization 0.6"),
    ],
)
def test_an_api_is_held_against_gpus_at_a_utilization(command: Command, utilization: str, said: str) -> None:
    done = command("breakeven", *BREAK_EVEN, f"--utilization={utilization}")
    assert said in done.out
    assert "$12,500.00 a month: 1,000,000 requests x 2,000 tokens / 1e6 x\n" in done.out
    assert f"savings        {'$9,580.00' if utilization == '1.0' else '$8,120.00'} a month" in done.out
    assert "crossover      116,800 requests a month" in done.out
    assert re.search(r"^500,000 +\$6,250.00 +", done.out, re.MULTILINE)
    assert "under about 100,000 requests an API is nearly always cheaper" in done.out


def test_gpus_are_counted_exactly_at_their_limit(command: Command) -> None:
    # 100 x 0.29 x 2,592,000 / 1,000 = 75,168.
    asked = ["--tokens=1000", "--price=6.25", "--gpu-month=1460", "--tokens-per-second=100", "--utilization=0.29"]
    assert "1 GPU x" in command("breakeven", "--requests=75168", *asked).out
    assert "2 GPUs x" in command("breakeven", "--requests=75169", *asked).out


def test_a_model_and_an_hourly_price_stand_for_theirs(command: Command) -> None:
    asked = ["breakeven", "--requests=1M", "--tokens=2000", "--tokens-per-second=500", "--catalog=reference"]
    done = command(*asked, "--model=gpt-4o", "--gpu-hour=2")
    assert "$12,500.00 a month" in done.out
    assert "3 GPUs x $1,440.00" in done.out


def test_a_run_costs_the_same_in_both_commands(command: Command, project: Project) -> None:
    # Tokens that do not divide evenly, and a price of many digits.
    project.add_model("odd", 'model = "openai:odd"\nprices = { input = 0.0137, output = 0.0731 }')
    project.write(TESTS)
    project.run("--llm-save=main", models="odd").assert_outcomes(passed=3)
    (month,) = months(command("monthly", "--run=main", "--requests=10M")).values()
    done = command("breakeven", "--run=main", "--api=odd", "--own=odd", "--requests=10M", "--gpu-month=1460")
    assert f"API {month} a month" in " ".join(done.out.split())


def test_a_run_gives_what_is_not_said(command: Command, kept: None) -> None:
    done = command("breakeven", "--run=main", "--api=chat", "--own=chat", "--requests=1M", "--gpu-month=1460")
    assert done.status == 0, done.err
    assert "$320.00 a month: 1,000,000 requests x 140 tokens" in done.out
    assert "answering one by one; a server that batches serves more" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["monthly", "--requests=1M"], "which models?"),
        (["monthly", "gpt-40", "--requests=1M", "--catalog=reference"], "Did you mean 'gpt-4o'?"),
        (["monthly", "--requests=1M", "--split=a=0.5"], "add up to 50%, not 100%"),
        (["monthly", "--requests=1M", "--run=nothing"], "neither a file nor a kept run"),
        (["monthly", "gpt-4o", "--requests=1M", "--tokens=9", "--tokens-in=9"], "--tokens and --tokens-in: both say"),
        (["monthly", "--requests=1M", "--run=main", "--tokens-out=9"], "--run=main and --tokens-out: both say"),
        (["monthly", "gpt-4o", "--requests=1M", "--classifier=gpt-4o-mini"], "Add --split"),
        (
            ["monthly", "--requests=1M", "--split=gpt-4o=0.5,openai:gpt-4o=0.5", "--catalog=reference"],
            "two of these are openai:gpt-4o",
        ),
        (["breakeven", "--requests=1M", "--tokens=2000"], "not known: --price or --model, --gpu-month"),
        (["breakeven", *BREAK_EVEN, "--utilization=1.5"], "utilization is 1.5; it must be at most 1"),
        (["breakeven", *BREAK_EVEN, "--gpu-hour=1"], "--gpu-month and --gpu-hour: give one of them"),
        (["breakeven", *BREAK_EVEN, "--model=gpt-4o"], "--price and --model: give one of them"),
    ],
)
def test_what_cannot_be_used_is_told_without_a_traceback(command: Command, arguments: list[str], said: str) -> None:
    done = command(*arguments)
    assert done.status == 2
    assert said in done.err


def test_a_candidate_that_the_run_has_not_is_told(command: Command, kept: None) -> None:
    done = command("breakeven", "--run=main", "--api=chart", "--requests=1M")
    assert "chart: not a candidate of the run. Did you mean 'chat'?" in done.err
