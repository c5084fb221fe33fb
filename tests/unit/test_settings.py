from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.settings import Prices, Settings, load_settings, parse_settings

BAD_NAME = "a name cannot be empty, hold a comma, or begin or end with a blank"


def faults(data: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_settings(data, "some/pyproject.toml", "tool.llmeval")
    head, *lines = str(caught.value).splitlines()
    assert head == "some/pyproject.toml: settings that cannot be used:"
    return [line.strip() for line in lines]


def model(**settings: Any) -> dict[str, Any]:
    return {"models": {"smol": {"model": "openai:smol", **settings}}}


def test_a_whole_entry_is_read() -> None:
    settings = parse_settings(
        model(
            base_url="http://127.0.0.1:8000/v1",
            api_key_env="TEAM_KEY",
            hosting="self-hosted",
            parameters={"temperature": "omit", "top_k": 3},
            prices={"gpu_hour": 2.5, "concurrency": 4},
            structured_output="prompt",
            timeout=30,
            max_retries=0,
        ),
        "x",
    )
    entry = settings.models["smol"]
    assert (entry.timeout, entry.max_retries, entry.structured_output) == (30, 0, "prompt")
    assert entry.parameters == {"temperature": "omit", "top_k": 3}
    assert entry.prices == Prices(gpu_hour=Decimal("2.5"), concurrency=4)


def test_prices_are_exact_decimals() -> None:
    prices = parse_settings(model(prices={"input": 0.15, "output": "0.60"}), "x").models["smol"].prices
    assert prices == Prices(input=Decimal("0.15"), output=Decimal("0.60"))


@pytest.mark.parametrize("prices", ["free", None, Prices(input=Decimal(1))])
def test_prices_may_also_be(prices: object) -> None:
    assert parse_settings(model(prices=prices), "x").models["smol"].prices == prices


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"modles": {}}, "tool.llmeval.modles: unknown key. Did you mean 'models'?"),
        (model(base_ulr="x"), "tool.llmeval.models.smol.base_ulr: unknown key. Did you mean 'base_url'?"),
        (model(xyz=1), "tool.llmeval.models.smol.xyz: unknown key."),
        (model(prices={"inptu": 1}), "tool.llmeval.models.smol.prices.inptu: unknown key. Did you mean 'input'?"),
        (
            {"models": {"prices": {"model": "openai:x", "base_ulr": 1}}},
            "tool.llmeval.models.prices.base_ulr: unknown key. Did you mean 'base_url'?",
        ),
        ({"models": {"smol": {}}}, "tool.llmeval.models.smol.model: required, but not there"),
        ({"models": {"smol": 3}}, "tool.llmeval.models.smol: should be a table (it is 3)"),
        ({"models": 3}, "tool.llmeval.models: should be a table (it is 3)"),
        (model(prices="fre"), "tool.llmeval.models.smol.prices: Input should be 'free' (it is 'fre')"),
        (model(prices=3), "tool.llmeval.models.smol.prices: should be a table (it is 3)"),
        (
            model(prices={"input": -1}),
            "tool.llmeval.models.smol.prices.input: Input should be greater than or equal to 0 (it is -1)",
        ),
        (
            model(hosting="cloud"),
            "tool.llmeval.models.smol.hosting: Input should be 'api', 'self-hosted' or 'local' (it is 'cloud')",
        ),
        ({"models": {"a,b": {"model": "x"}}}, f"tool.llmeval.models.a,b: {BAD_NAME}"),
        ({"models": {" a": {"model": "x"}}}, f"tool.llmeval.models. a: {BAD_NAME}"),
        ({"models": {"": {"model": "x"}}}, f"tool.llmeval.models.: {BAD_NAME}"),
    ],
)
def test_a_fault_is_told_in_one_line(data: dict[str, Any], said: str) -> None:
    assert faults(data) == [said]


@pytest.mark.parametrize("price", [float("nan"), float("inf"), "cheap", True])
def test_a_price_that_is_no_amount_is_refused(price: object) -> None:
    (fault,) = faults(model(prices={"input": price}))
    assert fault.startswith("tool.llmeval.models.smol.prices.input: ")


def test_settings_are_read_once_and_cannot_be_changed() -> None:
    entry = parse_settings(model(), "x").models["smol"]
    with pytest.raises(ValueError, match="frozen"):
        entry.timeout = 3


def test_no_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings()
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nkey = 1\n")
    assert load_settings(tmp_path) == Settings()


def test_llmeval_toml_comes_before_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.llmeval.models.shared]\nmodel = "openai:x"\n')
    assert list(load_settings(tmp_path).models) == ["shared"]
    (tmp_path / "llmeval.toml").write_text('[models.own]\nmodel = "openai:x"\n')
    assert list(load_settings(tmp_path).models) == ["own"]


@pytest.mark.parametrize("content", [b"[models\n", b'[models.x]\nmodel = "\xff"\n'])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "llmeval.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"llmeval\.toml: not valid TOML"):
        load_settings(tmp_path)


def test_a_text_in_the_place_of_a_list_is_told() -> None:
    with pytest.raises(ConfigError, match=r'cassettes\.ignore: write a list: ignore = \["metadata\.id"\]'):
        parse_settings({"cassettes": {"ignore": "metadata.id"}}, "x")


def test_a_table_of_ours_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nllmeval = 3\n")
    with pytest.raises(ConfigError, match=r"pyproject\.toml.*\n.*tool\.llmeval: should be a table \(it is 3\)"):
        load_settings(tmp_path)
