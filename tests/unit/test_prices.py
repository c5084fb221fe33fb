from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.prices import NOT_BILLED, NOT_BILLED_SOURCE, TotalCost, cost_of, format_usd, total_cost
from pytest_llmeval.records import Call
from pytest_llmeval.response import Cost, Usage
from pytest_llmeval.settings import Prices

JUNE = datetime(2025, 6, 1, 12, tzinfo=UTC)
USAGE = Usage(input_tokens=1500, output_tokens=500)
MINI = Candidate("mini", "openai", "gpt-4o-mini")


def cost(candidate: Candidate = MINI, usage: Usage = USAGE, **changes: Any) -> Cost:
    given: dict[str, Any] = {"model": candidate.model, "billing": "openai", "hosting": "api", "when": JUNE}
    return cost_of(candidate, usage, **(given | changes))


def priced_by_user(**prices: Any) -> Candidate:
    return replace(MINI, prices=Prices(**prices))


# (provider, model): USD per 1M tokens in and out, on 2025-06-01, as the vendors' price pages said.
PUBLISHED = {
    ("openai", "gpt-4o"): "0.00875",  # 2.50, 10
    ("openai", "gpt-4o-mini"): "0.000525",  # 0.15, 0.60
    ("anthropic", "claude-sonnet-4-20250514"): "0.012",  # 3, 15
    ("anthropic", "claude-3-5-haiku-20241022"): "0.0032",  # 0.80, 4
    ("google", "gemini-2.0-flash"): "0.00035",  # 0.10, 0.40
    ("mistral", "mistral-small-latest"): "0.0003",  # 0.10, 0.30
    ("together", "meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo"): "0.00176",  # 0.88, 0.88
    ("together", "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo"): "0.00036",  # 0.18, 0.18
    ("groq", "llama-3.1-8b-instant"): "0.000115",  # 0.05, 0.08
    ("fireworks", "accounts/fireworks/models/llama-v3p1-8b-instruct"): "0.0004",  # 0.20, 0.20
    ("openrouter", "openai/gpt-4o-mini"): "0.000525",  # 0.15, 0.60
}


@pytest.mark.parametrize(("billing", "model"), PUBLISHED)
def test_a_request_costs_what_the_vendor_published_at_its_date(billing: str, model: str) -> None:
    answer = cost(Candidate("x", "x", model), billing=billing)
    assert answer == Cost(Decimal(PUBLISHED[billing, model]), "priced", "genai-prices", "2025-06-01")


@pytest.mark.parametrize(
    ("when", "amount"),
    [
        (datetime(2025, 6, 9, 23, 59, tzinfo=UTC), "0.035"),
        (datetime(2025, 6, 10, tzinfo=UTC), "0.007"),
        (datetime(2025, 6, 10, 1, tzinfo=timezone(timedelta(hours=2))), "0.035"),
        (datetime(2025, 6, 10, 0, 0), "0.007"),
    ],
)
def test_the_price_of_the_day_of_the_call_counts(when: datetime, amount: str) -> None:
    assert cost(Candidate("o3", "openai", "o3"), when=when).amount == Decimal(amount)


def test_as_of_is_the_day_in_utc() -> None:
    assert cost(when=datetime(2025, 6, 10, 1, tzinfo=timezone(timedelta(hours=2)))).as_of == "2025-06-09"


def test_the_model_that_answered_is_priced_before_the_one_that_was_asked_for() -> None:
    assert cost(model="gpt-4o-2024-08-06").amount == Decimal("0.00875")


def test_the_model_that_was_asked_for_is_priced_where_the_answering_one_is_not_listed() -> None:
    assert cost(model="deployment-7").amount == Decimal("0.000525")
    assert cost(model=None).amount == Decimal("0.000525")


def test_a_model_that_nobody_lists_is_unknown_and_the_reason_names_it() -> None:
    answer = cost(Candidate("x", "openai", "gpt-nine"), model="gpt-nine-mini")
    assert (answer.amount, answer.status) == (None, "unknown")
    assert answer.source == "genai-prices does not know 'gpt-nine-mini' or 'gpt-nine' of 'openai'"


def test_an_endpoint_whose_prices_nobody_publishes_is_unknown() -> None:
    answer = cost(billing=None)
    assert (answer.amount, answer.status) == (None, "unknown")
    assert "set `prices`" in answer.source


def test_a_provider_id_that_only_resembles_a_known_one_gets_no_price() -> None:
    assert cost(billing="my-openai-proxy").status == "unknown"


def test_cached_tokens_are_part_of_the_input_and_cost_their_own_price() -> None:
    # 500 at 0.15 + 1000 at 0.075 + 500 at 0.60
    assert cost(usage=replace(USAGE, cached_tokens=1000)).amount == Decimal("0.00045")


def test_tokens_written_to_the_cache_cost_their_own_price() -> None:
    haiku = Candidate("h", "anthropic", "claude-3-5-haiku-20241022")
    usage = replace(USAGE, cached_tokens=200, cache_write_tokens=1000)
    # 300 at 0.80 + 200 at 0.08 + 1000 at 1.00 + 500 at 4.00
    assert cost(haiku, usage, billing="anthropic").amount == Decimal("0.003256")


def test_reasoning_tokens_are_not_counted_twice() -> None:
    assert cost(usage=replace(USAGE, reasoning_tokens=400)).amount == Decimal("0.000525")


def test_a_long_prompt_pays_the_price_of_its_tier() -> None:
    pro = Candidate("p", "gemini", "gemini-1.5-pro")
    assert cost(pro, Usage(128_000, 0), billing="google").amount == Decimal("0.16")
    assert cost(pro, Usage(128_001, 0), billing="google").amount == Decimal("0.3200025")


@pytest.mark.parametrize(
    ("billing", "model", "usage"),
    [
        ("openai", "gpt-4o-mini", replace(USAGE, cache_write_tokens=10)),
        ("mistral", "mistral-large-latest", replace(USAGE, cached_tokens=10)),
        ("openai", "text-embedding-3-small", USAGE),
        ("openrouter", "meta-llama/llama-3.1-8b-instruct:free", USAGE),
    ],
)
def test_a_token_class_without_a_price_makes_the_cost_unknown(billing: str, model: str, usage: Usage) -> None:
    answer = cost(Candidate("x", "x", model), usage, billing=billing)
    assert (answer.amount, answer.status) == (None, "unknown")
    assert "no price for the model's" in answer.source


def test_a_token_class_without_a_price_does_not_matter_when_it_has_no_tokens() -> None:
    embedding = Candidate("x", "openai", "text-embedding-3-small")
    assert cost(embedding, Usage(1_000_000, 0)).amount == Decimal("0.02")


@pytest.mark.parametrize("usage", [Usage(), Usage(input_tokens=10), Usage(output_tokens=10)])
@pytest.mark.parametrize("candidate", [MINI, priced_by_user(input=1, output=2)])
def test_a_call_without_a_token_count_is_unknown_not_free(candidate: Candidate, usage: Usage) -> None:
    answer = cost(candidate, usage)
    assert (answer.amount, answer.status) == (None, "unknown")
    assert "no token usage" in answer.source


@pytest.mark.parametrize(
    "usage", [replace(USAGE, cached_tokens=1501), Usage(-1, 5), Usage(5, -1), replace(USAGE, cached_tokens=-1)]
)
def test_a_token_count_that_does_not_add_up_is_unknown(usage: Usage) -> None:
    answer = cost(usage=usage)
    assert (answer.status, answer.source) == ("unknown", "the reported token usage does not add up")


def test_the_amount_of_a_known_call_without_tokens_is_zero() -> None:
    assert cost(usage=Usage(0, 0)) == Cost(Decimal(0), "priced", "genai-prices", "2025-06-01")


@pytest.mark.parametrize("usage", [USAGE, Usage(150_000, 700, cached_tokens=140_000), Usage(9, 9, reasoning_tokens=4)])
def test_amounts_agree_with_genai_prices_for_every_model_whose_price_is_known(usage: Usage) -> None:
    counts = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )
    compared = 0
    for provider in get_snapshot().providers:
        for model in provider.models:
            answer = cost(Candidate("x", "x", model.id), usage, billing=provider.id)
            if answer.amount is not None:
                theirs = genai_prices.calc_price(
                    counts, model.id, provider_id=provider.id, genai_request_timestamp=JUNE
                )
                assert answer.amount == theirs.total_price, (provider.id, model.id)
                compared += 1
    assert compared > 500


def test_what_the_provider_reports_comes_before_every_other_price() -> None:
    for candidate in (MINI, priced_by_user(input=1, output=1), replace(MINI, prices="free")):
        answer = cost(candidate, Usage(), hosting="local", billing=None, reported=0.00123)
        assert answer == Cost(Decimal("0.00123"), "priced", "provider", "2025-06-01")


def test_a_reported_zero_is_a_price() -> None:
    assert cost(reported=0) == Cost(Decimal(0), "priced", "provider", "2025-06-01")


@pytest.mark.parametrize("reported", [float("nan"), float("inf"), -0.1, Decimal("NaN")])
def test_a_report_that_is_no_amount_is_passed_over(reported: Decimal | float) -> None:
    assert cost(reported=reported).source == "genai-prices"


def test_prices_of_the_user_come_before_published_ones_and_before_local() -> None:
    own = priced_by_user(input=1, output=2, cached_input="0.5", cache_write=3)
    usage = replace(USAGE, cached_tokens=400, cache_write_tokens=100)
    # 1000 at 1 + 500 at 2 + 400 at 0.5 + 100 at 3
    assert cost(own, usage, hosting="local") == Cost(Decimal("0.0025"), "priced", "user", "2025-06-01")


def test_cached_tokens_without_a_price_of_the_user_are_estimated_at_the_input_price() -> None:
    answer = cost(priced_by_user(input=1, output=2), replace(USAGE, cached_tokens=400))
    assert (answer.amount, answer.status) == (Decimal("0.0025"), "estimated")
    assert answer.source == "user; cached tokens at the input price"


@pytest.mark.parametrize("prices", [{}, {"input": 1}, {"output": 1}, {"cached_input": 1}])
def test_tokens_that_the_user_set_no_price_for_make_the_cost_unknown(prices: dict[str, int]) -> None:
    answer = cost(priced_by_user(**prices))
    assert (answer.amount, answer.status) == (None, "unknown")
    assert answer.source.startswith("`prices` of the model has no `")


def test_a_machine_by_the_hour_costs_its_share_of_the_wall_time() -> None:
    own = priced_by_user(gpu_hour=2, concurrency=4)
    answer = cost(own, Usage(), hosting="self-hosted", billing=None, latency_ms=1800.0)
    assert (answer.amount, answer.status) == (Decimal("0.00025"), "estimated")


def test_a_machine_by_the_hour_without_a_latency_is_unknown() -> None:
    assert cost(priced_by_user(gpu_hour=2)).status == "unknown"


@pytest.mark.parametrize(
    ("candidate", "hosting", "source"),
    [(MINI, "local", "local; hardware is not counted"), (replace(MINI, prices="free"), "api", "declared free")],
)
def test_a_call_is_free_only_on_the_users_machine_or_when_declared(
    candidate: Candidate, hosting: str, source: str
) -> None:
    assert cost(candidate, Usage(), hosting=hosting) == Cost(Decimal(0), "free", source, "2025-06-01")


def test_a_self_hosted_model_without_prices_is_not_free() -> None:
    assert cost(hosting="self-hosted", billing=None).status == "unknown"


def test_the_price_list_is_not_imported_before_a_price_is_looked_up() -> None:
    code = "import sys, pytest_llmeval.prices; print('genai_prices' in sys.modules, 'pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def call(amount: str | None = None, status: str = "priced", **changes: Any) -> Call:
    return Call("a", cost=amount, cost_status=status if amount is not None else "unknown", **changes)


def test_a_total_counts_calls_by_how_their_cost_is_known() -> None:
    calls = [call("0.1"), call("0.2"), call("0.05", "estimated"), call("0", "free"), call()]
    assert total_cost(calls) == TotalCost(Decimal("0.35"), unpriced=1, estimated=1, free=1, priced=2)


def test_a_total_adds_up_without_rounding() -> None:
    assert total_cost([call("0.1")] * 3).amount == Decimal("0.3")


@pytest.mark.parametrize("kind", sorted(NOT_BILLED))
def test_a_call_that_was_refused_costs_nothing(kind: str) -> None:
    assert total_cost([call("0.1"), call(error="x", error_kind=kind)]) == TotalCost(Decimal("0.1"), priced=1)


@pytest.mark.parametrize("kind", ["timeout", "truncated", "connection", "unknown", None])
def test_a_call_that_failed_on_the_way_may_have_been_billed(kind: str | None) -> None:
    assert total_cost([call(error="x", error_kind=kind)]).unpriced == 1


@pytest.mark.parametrize(
    ("calls", "text"),
    [
        ([call("0.0123")], "$0.0123"),
        ([call("0.0123"), call()], "≥ $0.0123 (1 call unpriced)"),
        ([call("0.0123"), call(), call()], "≥ $0.0123 (2 calls unpriced)"),
        ([call("0", "free")], "free"),
        ([call("0", "free"), call("1.5")], "$1.50"),
        ([call("0", "free"), call()], "≥ $0.00 (1 call unpriced)"),
        ([call("0")], "$0.00"),
        ([call()], "?"),
        ([], "-"),
    ],
)
def test_a_total_reads_as_what_is_known(calls: list[Call], text: str) -> None:
    assert str(total_cost(calls)) == text


def test_the_mean_per_request_leaves_out_calls_of_unknown_cost() -> None:
    assert total_cost([call("0.1"), call("0.3"), call()]).per_request == Decimal("0.2")
    assert total_cost([call()]).per_request is None


def test_a_mix_of_which_a_part_is_unknown_counts_once_and_its_known_part_in_the_total_alone() -> None:
    mix = Call("mix", calls=[call("0.4"), call("0.1"), call()])
    found = total_cost([mix, call("0.2")])
    assert (found.amount, found.part, found.unpriced, found.priced) == (Decimal("0.7"), Decimal("0.5"), 1, 1)
    assert found.per_request == Decimal("0.2")
    assert str(total_cost([mix, mix])) == "≥ $1.00 (2 calls unpriced)"
    assert total_cost([mix]).per_request is None
    assert TotalCost.from_json(found.to_json()) == found


def test_a_mix_that_nobody_was_billed_for_costs_what_one_candidate_would() -> None:
    refused = Call(
        "mix", error="no key", error_kind="auth", cost="0", cost_status="free", cost_source=NOT_BILLED_SOURCE
    )
    assert str(total_cost([refused])) == str(total_cost([Call("a", error="no key", error_kind="auth")])) == "-"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.5", "$0.50"),
        ("12.3456", "$12.35"),
        ("1234567.891", "$1,234,567.89"),
        ("0.00000012345", "$0.000000123"),
        ("5.25E-4", "$0.000525"),
        ("0.09999", "$0.10"),
    ],
)
def test_money_shows_three_digits_and_never_an_exponent(amount: str, text: str) -> None:
    assert format_usd(Decimal(amount)) == text
