from __future__ import annotations

from decimal import Decimal

import pytest

from pytest_llmeval.candidates import Candidate, is_unpinned, resolve_candidate, split_names
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.settings import ModelSettings, Prices

PROVIDERS = ["anthropic", "gemini", "openai", "together"]


def resolve(name: str, **aliases: ModelSettings) -> Candidate:
    return resolve_candidate(name, PROVIDERS, aliases)


def refused(name: str, **aliases: ModelSettings) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(name, **aliases)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([], []),
        (["a"], ["a"]),
        (["a,b", "c"], ["a", "b", "c"]),
        ([" a , ,b ", "", "a"], ["a", "b"]),
        (["openai:ft:gpt-4o-mini:org::id"], ["openai:ft:gpt-4o-mini:org::id"]),
    ],
)
def test_names_are_split_at_commas_once_each(values: list[str], names: list[str]) -> None:
    assert split_names(values) == names


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("openai:gpt-4o-mini", "openai", "gpt-4o-mini"),
        ("openai:ft:gpt-4o-mini:org::id", "openai", "ft:gpt-4o-mini:org::id"),
        ("together:meta-llama/Llama-3.1-8B", "together", "meta-llama/Llama-3.1-8B"),
        ("openai: gpt-4o ", "openai", "gpt-4o"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("chatgpt-4o-latest", "openai", "chatgpt-4o-latest"),
        ("o3-mini", "openai", "o3-mini"),
        ("claude-haiku-4-5", "anthropic", "claude-haiku-4-5"),
        ("gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
    ],
)
def test_a_name_says_provider_and_model(name: str, provider: str, model: str) -> None:
    assert resolve(name) == Candidate(name, provider, model)


def test_an_alias_brings_its_settings() -> None:
    prices = Prices(gpu_hour=Decimal(2))
    entry = ModelSettings(
        model="openai:llama",
        base_url="http://gpu:8000/v1",
        api_key_env="TEAM_KEY",
        hosting="self-hosted",
        parameters={"top_k": 1},
        prices=prices,
        structured_output="prompt",
        timeout=5,
        max_retries=0,
    )
    assert resolve("house", house=entry) == Candidate(
        name="house",
        provider="openai",
        model="llama",
        base_url="http://gpu:8000/v1",
        api_key_env="TEAM_KEY",
        hosting="self-hosted",
        parameters={"top_k": 1},
        prices=prices,
        structured_output="prompt",
        timeout=5,
        max_retries=0,
    )


def test_an_alias_may_point_to_a_bare_id_and_hide_one() -> None:
    entry = ModelSettings(model="gpt-4o-mini")
    assert resolve("gpt-4o", **{"gpt-4o": entry}) == Candidate("gpt-4o", "openai", "gpt-4o-mini")


def test_an_alias_does_not_point_to_an_alias() -> None:
    said = refused("a", a=ModelSettings(model="b"), b=ModelSettings(model="openai:x"))
    assert said.startswith("model 'b' of alias 'a': neither 'provider:model'")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("opnai:x", "unknown provider 'opnai'. Did you mean 'openai'? Known: anthropic, gemini, openai, together."),
        ("xyz:x", "unknown provider 'xyz'. Known: anthropic, gemini, openai, together."),
        ("openai:", "no model after 'openai:'"),
        ("openai: ", "no model after 'openai: '"),
        ("smoll", "Did you mean 'smol'? Aliases in the settings: smol. Providers: anthropic,"),
        ("openai", "no model after 'openai'. Write for example 'openai:gpt-4o-mini'."),
        ("gpt4o", "neither 'provider:model', nor an alias, nor a well-known model id. Aliases in the settings: smol."),
        ("", "candidate ''"),
    ],
)
def test_a_name_that_stands_for_nothing_is_explained(name: str, said: str) -> None:
    assert said in refused(name, smol=ModelSettings(model="openai:smol"))


@pytest.mark.parametrize("name", ["gpt-4o claude-x", "openai:gpt-4o anthropic:claude-x", "small gpt-4o", "no such"])
def test_names_with_blanks_between_are_several(name: str) -> None:
    aliases = {"small": ModelSettings(model="openai:x")}
    commas = ",".join(name.split())
    with pytest.raises(ConfigError, match=rf"[Bb]etween names.*{commas!r}|{commas!r}.*between names"):
        resolve_candidate(name, ["openai", "anthropic"], aliases)


def test_a_model_or_an_alias_may_have_a_blank_in_its_name() -> None:
    aliases = {"my small": ModelSettings(model="openai:x")}
    assert resolve_candidate("my small", ["openai"], aliases).model == "x"
    assert resolve_candidate("openai:my model", ["openai"], aliases).model == "my model"


def test_a_wrong_model_of_an_alias_names_the_alias() -> None:
    said = refused("smol", smol=ModelSettings(model="opnai:smol"))
    assert said.startswith("model 'opnai:smol' of alias 'smol': unknown provider 'opnai'.")


def test_equal_candidates_are_one_key_of_a_dict() -> None:
    one, other = (Candidate("x", "openai", "x", parameters={"a": 1}) for _ in range(2))
    assert {one: 1}[other] == 1
    assert Candidate("x", "openai", "x", parameters={"a": 2}) != one


@pytest.mark.parametrize(
    ("name", "unpinned"),
    [
        ("openai:gpt-4o", True),
        ("openai:gpt-4o-2024-08-06", False),
        ("openai:gpt-3.5-turbo-0125", False),
        ("openai:gpt-5", True),
        ("claude-sonnet-4-5", True),
        ("claude-sonnet-4-5-20250929", False),
        ("anthropic:claude-3-5-sonnet-latest", True),
        ("openai:gpt-4-1106-preview", False),
        ("gemini-2.5-flash-preview-05-20", False),
        ("gemini-2.0-flash-001", False),
        ("gemini-2.0-flash", True),
        ("together:meta-llama/Llama-3.1-8B", False),
        ("openai:ft:gpt-4o-2024-08-06:org::id", False),
        ("openai:ft:gpt-4o-mini:org::id", True),
        ("openai:ft:gpt-4o-mini:org::abc-1234", True),
        ("openrouter:openai/gpt-4o", True),
        ("openrouter:openai/gpt-4o:nitro", True),
        ("openrouter:openai/gpt-4o-2024-08-06", False),
        ("openrouter:openai/gpt-4o-2024-08-06:nitro", False),
        ("openrouter:anthropic/claude-haiku-4.5", True),
        ("openrouter:google/gemini-2.0-flash-001", False),
        ("openrouter:mistralai/mistral-small-24b-instruct-2501", False),
        ("openrouter:openrouter/auto", True),
        ("openrouter:openai/gpt-oss-20b:free", False),
        ("openrouter:google/gemma-3-27b-it", False),
        ("openrouter:meta-llama/llama-3.1-8b-instruct", False),
        ("groq:openai/gpt-oss-20b", False),
    ],
)
def test_an_id_that_can_move_to_another_model_is_told(name: str, unpinned: bool) -> None:
    assert is_unpinned(resolve_candidate(name, [*PROVIDERS, "groq", "openrouter"], {})) is unpinned


def test_a_model_at_ones_own_endpoint_is_ones_own_business() -> None:
    assert not is_unpinned(Candidate("x", "openai", "gpt-4o", base_url="http://127.0.0.1:1/v1"))
    assert is_unpinned(Candidate("x", "ollama", "llama3:latest", base_url="http://127.0.0.1:1/v1"))
