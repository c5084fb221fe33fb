"""The markers, each as `pytest --markers` explains it."""

from __future__ import annotations

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
