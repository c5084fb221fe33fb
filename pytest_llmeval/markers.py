"""The markers, each as `pytest --markers` explains it."""

from __future__ import annotations

from typing import Any

MARKERS = (
    "llm_models(*names): candidates of this test, instead of --llm-models",
    "llm_cases(source, **request): cases of this test, a file, a list or a function; what is asked for each (prompt, "
    "system, max_tokens, ...)",
    "llm_repeat(n, min_pass_rate=None): independent samples of this test, instead of --llm-repeat; min_pass_rate: the "
    "share of them that has to pass (0.8), if not each one has to",
    "llm_known_failing(reason=None, models=(), cases=(), tags=()): run and show this test, but let its failure fail "
    "nothing and count nowhere; of some candidates, cases or tags alone",
    "llm_params(**request): defaults of `llm.complete` in this test (system, temperature, max_tokens, ...)",
    "llm_task(name): which task of the application this test is for; [tool.llmeval.tasks.NAME] says its model, "
    "temperature, max_tokens",
    "llm_cassette(ignore=[]): record and replay what this test asks, though it takes no fixture of pytest-llmeval; "
    "ignore: parts of its requests that make no difference",
)

#: Those that say how often a test runs: on one of its parameters, they come when that is settled.
OF_FUNCTIONS = {"llm_cases", "llm_models", "llm_repeat"}


def misplaced(test: Any) -> str:
    """Return what to say of a marker that a single parameter of a test has, and that would be passed over in silence.

    Args:
        test: A test function of pytest, before it is parametrized.
    """
    # Parameters that are made one by one as they are asked for are not to be used up here.
    given = [values for marker in test.iter_markers("parametrize") for values in marker.args[1:2]]
    values = [value for each in given if isinstance(each, list | tuple) for value in each]
    marks = [mark.name for value in values for mark in getattr(value, "marks", ())]
    found = next((name for name in marks if name in OF_FUNCTIONS), "")
    return found and (
        f"{test.nodeid}: {found} stands on a single parameter, where it comes too late: it says how often the test "
        "runs. Put it on the test, or give what differs a test of its own."
    )
