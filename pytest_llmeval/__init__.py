"""Make LLM quality a regression test: candidates, scores, cassettes and a verdict in plain pytest."""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pytest_llmeval import compare
    from pytest_llmeval.candidates import Candidate
    from pytest_llmeval.cases import Case
    from pytest_llmeval.checks import assert_json, is_valid_json
    from pytest_llmeval.client import LLM
    from pytest_llmeval.datasets import load_cases
    from pytest_llmeval.errors import ConfigError, LLMEvalError, ProviderError, RunError
    from pytest_llmeval.evaluating import evaluate
    from pytest_llmeval.merging import merge_runs
    from pytest_llmeval.providers.base import Provider, Request
    from pytest_llmeval.records import Call, Run, TestRecord
    from pytest_llmeval.reports.formats import save_run
    from pytest_llmeval.response import Cost, Response, ToolCall, Usage
    from pytest_llmeval.runs import load_run
    from pytest_llmeval.scoring import FieldScores, assert_fields, record_score, score_fields
    from pytest_llmeval.settings import Prices

__all__ = [
    "LLM",
    "Call",
    "Candidate",
    "Case",
    "ConfigError",
    "Cost",
    "FieldScores",
    "LLMEvalError",
    "Prices",
    "Provider",
    "ProviderError",
    "Request",
    "Response",
    "Run",
    "RunError",
    "TestRecord",
    "ToolCall",
    "Usage",
    "assert_fields",
    "assert_json",
    "compare",
    "evaluate",
    "is_valid_json",
    "load_cases",
    "load_run",
    "merge_runs",
    "record_score",
    "save_run",
    "score_fields",
]

# pytest imports this package in every run of every project, so a name is imported when it is first used.
_HOMES = {
    "candidates": ("Candidate",),
    "cases": ("Case",),
    "checks": ("assert_json", "is_valid_json"),
    "client": ("LLM",),
    "datasets": ("load_cases",),
    "evaluating": ("evaluate",),
    "errors": ("ConfigError", "LLMEvalError", "ProviderError", "RunError"),
    "merging": ("merge_runs",),
    "providers.base": ("Provider", "Request"),
    "records": ("Call", "Run", "TestRecord"),
    "reports.formats": ("save_run",),
    "response": ("Cost", "Response", "ToolCall", "Usage"),
    "runs": ("load_run",),
    "scoring": ("FieldScores", "assert_fields", "record_score", "score_fields"),
    "settings": ("Prices",),
}


def __getattr__(name: str) -> object:
    if name == "compare":
        return import_module(f"{__name__}.compare")
    for home, names in _HOMES.items():
        if name in names:
            value: object = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
