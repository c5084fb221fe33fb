"""Settings that are changed in their file."""

from __future__ import annotations

import tomllib

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.settingsfile import task_tables, with_models

UNDER = ("tool", "llmeval")
MODELS = {"sort": "small", "code gen": 'odd"name'}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[project]\nname = 'app' # ours\n",
        "[tool.a]\nx = 1\n[build-system]\nrequires = []\n[tool.llmeval.models.s] # hi\nmodel = 'm'\n[tool.b]\ny = 2\n",
        "[tool.llmeval]\ntasks = {sort = {temperature = 0}}\n",
        "[tool.llmeval.tasks.sort]\nmodel = 'large'  # for now\n[tool.llmeval.tasks.sort.parameters]\nseed = 1\n",
        "[tool.llmeval.tasks.'code gen']\r\nmodel = 'large'  # for now\r\n[tool.x]\r\n",
    ],
)
def test_only_the_models_of_tasks_change(text: str) -> None:
    changed = with_models(text, UNDER, MODELS)
    data, was = tomllib.loads(changed), tomllib.loads(text)
    tasks = data["tool"]["llmeval"]["tasks"]
    assert {name: task["model"] for name, task in tasks.items()} == MODELS
    assert (changed.count("\r\n") > 0) == ("\r\n" in text)
    for comment in ("# ours", "# hi", "# for now"):
        assert (comment in changed) == (comment in text)
    old = was.get("tool", {}).get("llmeval", {}).get("tasks", {})
    assert {name: task | {"model": MODELS[name]} for name, task in old.items()} == {name: tasks[name] for name in old}
    del data["tool"]["llmeval"]["tasks"]
    was.setdefault("tool", {}).setdefault("llmeval", {}).pop("tasks", None)
    assert data == was


@pytest.mark.parametrize(
    "text", ["[tool.x]\r\ny = 1\r\n", "[tool.llmeval]\r\n[tool.x]\r\n", "[tool.llmeval.tasks.sort]\r\ntemperature = 1"]
)
def test_lines_that_are_added_end_as_all_others_of_the_file(text: str) -> None:
    changed = with_models(text, UNDER, MODELS)
    assert changed.count("\n") == changed.count("\r\n") > text.count("\n")
    assert "\r" not in with_models(text.replace("\r", ""), UNDER, MODELS)


@pytest.mark.parametrize("text", ["[tool.llmeval]\ntasks.sort.temperature = 0\n[tool.x]\n", "[tool]\nllmeval = 3\n"])
def test_what_cannot_be_changed_alone_is_left_to_its_owner(text: str) -> None:
    with pytest.raises(ConfigError, match="Change them by hand"):
        with_models(text, UNDER, MODELS)


def test_tables_of_tasks_keep_what_was_set() -> None:
    text = """
[tool.llmeval.tasks.sort]
temperature = 1.0
model = "old"
parameters = {stop = ["\\n", 'a"b']}
[tool.llmeval.tasks.sort.requirements]
max_cost_per_request = 0.5
[tool.llmeval.tasks.other]
model = "x"
"""
    told = tomllib.loads(task_tables(text, UNDER, [*MODELS, "other"], MODELS))["tool"]["llmeval"]["tasks"]
    assert told == {
        "sort": {
            "model": "small",
            "temperature": 1.0,
            "parameters": {"stop": ["\n", 'a"b']},
            "requirements": {"max_cost_per_request": 0.5},
        },
        "code gen": {"model": 'odd"name'},
        "other": {"model": "x"},
    }
