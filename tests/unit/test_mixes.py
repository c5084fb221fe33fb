from __future__ import annotations

from typing import Any

import pytest

from pytest_llmeval.candidates import leaves_of, resolve_candidate
from pytest_llmeval.errors import ConfigError
from pytest_llmeval.settings import Settings, parse_settings

MODEL = {"model": "openai:m"}


def settings(**models: dict[str, Any]) -> Settings:
    return parse_settings({"models": models}, "llmeval.toml")


def faults(**models: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings(**models)
    head, *lines = str(caught.value).splitlines()
    assert head == "llmeval.toml: settings that cannot be used:"
    return [line.strip() for line in lines]


def test_a_fallback_is_read() -> None:
    entry = settings(
        a=MODEL,
        safe={
            "fallback": ["a", "openai:gpt-4o"],
            "fallback_on": ["refusal", "invalid_json"],
            "circuit_breaker": {"failures": 3, "cooldown": 5},
        },
    ).models["safe"]
    assert (entry.kind, entry.members) == ("fallback", ("a", "openai:gpt-4o"))
    assert (entry.circuit_breaker.failures, entry.circuit_breaker.cooldown) == (3, 5)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({**MODEL, "fallback": ["a", "b"]}, "models.x: model and fallback exclude each other: an alias is one of them"),
        ({}, "models.x.model: required, but not there"),
        ({"fallback": ["a"]}, "models.x.fallback: name at least two candidates"),
        ({"fallback": []}, "models.x.fallback: name at least two candidates"),
        ({"fallback": ["a", "a"]}, "models.x.fallback: names 'a' more than once"),
        ({"fallback": "a"}, 'models.x.fallback: write a list: fallback = ["a"]'),
        ({"fallback": ["a", "x"]}, "models.x: made of itself: x -> x"),
        (
            {"fallback": ["a", "b"], "prices": "free"},
            "models.x.prices: a fallback has none of its own; set it for the candidates that it names",
        ),
        ({**MODEL, "fallback_on": ["refusal"]}, "models.x.fallback_on: only a fallback has that"),
        (
            {"fallback": ["a", "b"], "circuit_breaker": {"failure": 3}},
            "models.x.circuit_breaker.failure: unknown key. Did you mean 'failures'?",
        ),
    ],
)
def test_a_fault_is_told_in_one_line(entry: dict[str, Any], said: str) -> None:
    assert faults(a=MODEL, b=MODEL, x=entry) == [said]


def test_a_router_and_a_cascade_are_read() -> None:
    models = settings(
        a=MODEL,
        b=MODEL,
        router={"router": {"simple": "a", "complex": "b", "classifier": "a", "prompt": "Which?"}},
        cascade={"cascade": ["a", "b"], "escalate_on": ["low_score"], "min_score": 0.5},
        plain={"cascade": ["a", "b"]},
    ).models
    assert (models["router"].kind, models["router"].members) == ("router", ("a", "b", "a"))
    assert (models["cascade"].kind, models["cascade"].members) == ("cascade", ("a", "b"))
    assert models["plain"].escalate_on == ("invalid_json", "cut_off")


PAIR = {"simple": "a", "complex": "b"}
DECIDERS = "classifier, rule, pattern, longer_than"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"router": PAIR}, f"models.x.router: needs one of {DECIDERS} to decide by; it has none"),
        (
            {"router": {**PAIR, "pattern": "x", "longer_than": 5}},
            f"models.x.router: needs one of {DECIDERS} to decide by; it has pattern and longer_than",
        ),
        (
            {"router": {**PAIR, "pattern": "x", "prompt": "Which?"}},
            "models.x.router.prompt: only a classifier is told that",
        ),
        ({"router": {"simple": "a", "pattern": "x"}}, "models.x.router.complex: required, but not there"),
        (
            {"router": {**PAIR, "classifer": "a", "pattern": "x"}},
            "models.x.router.classifer: unknown key. Did you mean 'classifier'?",
        ),
        ({"router": {**PAIR, "classifier": "x"}}, "models.x: made of itself: x -> x"),
        (
            {"router": {**PAIR, "pattern": "x"}, "circuit_breaker": {}},
            "models.x.circuit_breaker: only a fallback or a cascade has that",
        ),
        ({"cascade": ["a"]}, "models.x.cascade: name at least two candidates"),
        ({"cascade": ["a", "b"], "fallback_on": ["refusal"]}, "models.x.fallback_on: only a fallback has that"),
        (
            {"cascade": ["a", "b"], "min_score": 0.5},
            "models.x.min_score: means nothing unless escalate_on has 'low_score'",
        ),
    ],
)
def test_a_fault_of_a_router_or_cascade_is_told_in_one_line(entry: dict[str, Any], said: str) -> None:
    assert faults(a=MODEL, b=MODEL, x=entry) == [said]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("pattern", "(", "is no regular expression"),
        ("pattern", "x{99999999999999}", "is no regular expression"),
        ("rule", "ways.choose", "should match"),
        ("longer_than", -1, ""),
    ],
)
def test_what_decides_is_checked(key: str, value: object, said: str) -> None:
    (fault,) = faults(a=MODEL, b=MODEL, x={"router": {**PAIR, key: value}})
    assert fault.startswith(f"models.x.router.{key}: ")
    assert said in fault
    assert repr(value) in fault


def test_a_circle_is_told_once() -> None:
    said = faults(x={"fallback": ["y", "gpt-4o"]}, y={"fallback": ["gpt-4o", "z"]}, z={"fallback": ["x", "gpt-4o"]})
    assert said == ["models.x: made of itself: x -> y -> z -> x"]


def test_many_aliases_that_name_each_other_are_told_of_at_once() -> None:
    names = [f"a{number}" for number in range(24)]
    said = faults(**{name: {"fallback": [other for other in names if other != name]} for name in names})
    assert any("made of itself" in fault for fault in said)
    layers = {f"{side}{n}": {"fallback": [f"x{n + 1}", f"y{n + 1}"]} for n in range(40) for side in "xy"}
    assert any("40 deep" in fault for fault in faults(**layers, x40=MODEL, y40=MODEL))


def test_candidates_within_candidates_end_somewhere() -> None:
    deep = {f"m{n}": {"fallback": [f"m{n + 1}", "gpt-4o"]} for n in range(3)}
    assert settings(**deep, m3=MODEL).models["m0"].members == ("m1", "gpt-4o")
    assert faults(**deep, m3={"fallback": ["gpt-4o", "a"]}, a=MODEL) == [
        "models.m0: candidates within candidates, 4 deep; at most 3"
    ]


def test_all_faults_are_told_at_once() -> None:
    said = faults(x={"fallback": ["a"], "timeout": -1}, a={"modle": "openai:x"})
    assert [line.split(":")[0] for line in said] == [
        "models.x.timeout",
        "models.a.modle",
        "models.x.timeout",
        "models.x.fallback",
        "models.a.model",
    ]


def test_members_are_resolved_down_to_their_models() -> None:
    aliases = settings(a=MODEL, pair={"fallback": ["a", "gpt-4o"]}, safe={"fallback": ["pair", "gpt-4o-mini"]}).models
    candidate = resolve_candidate("safe", ["openai"], aliases)
    assert (candidate.provider, candidate.model) == ("fallback", "")
    assert [member.name for member in candidate.members] == ["pair", "gpt-4o-mini"]
    assert [leaf.name for leaf in leaves_of(candidate)] == ["a", "gpt-4o", "gpt-4o-mini"]


def test_unknown_members_are_told_with_the_nearest_names_all_at_once() -> None:
    aliases = settings(small=MODEL, safe={"fallback": ["smal", "opnai:gpt-4o"]}).models
    with pytest.raises(ConfigError) as caught:
        resolve_candidate("safe", ["openai"], aliases)
    head, *lines = str(caught.value).splitlines()
    assert head == "alias 'safe' names candidates that cannot be used:"
    assert ["candidate 'smal'" in lines[0], "Did you mean 'small'?" in lines[0]] == [True, True]
    assert "unknown provider 'opnai'. Did you mean 'openai'?" in lines[1]
