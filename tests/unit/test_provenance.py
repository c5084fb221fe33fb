from __future__ import annotations

import os
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from pytest_llmeval.candidates import Candidate
from pytest_llmeval.provenance import (
    candidate_info,
    context_of,
    git_state,
    new_header,
    prices_used,
    with_provenance,
)
from pytest_llmeval.records import Call, Run, TestRecord
from pytest_llmeval.runheader import CandidateInfo, End
from pytest_llmeval.settings import Prices


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("a = 1\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def test_the_commit_and_whether_tracked_files_differ_from_it(repository: Path) -> None:
    commit, dirty = git_state(repository)
    assert commit is not None
    assert (len(commit), dirty) == (40, False)
    (repository / "new.py").touch()
    assert git_state(repository) == (commit, False)
    (repository / "a.py").write_text("a = 2\n")
    assert git_state(repository) == (commit, True)


def test_without_a_repository_or_without_git_nothing_is_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) == (None, None)
    git(tmp_path, "init", "-q")
    assert git_state(tmp_path) == (None, None)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == (None, None)


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
def test_no_program_is_started_that_the_repository_names(repository: Path) -> None:
    hook = repository / "hook.sh"
    hook.write_text(f"#!/bin/sh\ntouch {repository / 'ran'}\n")
    hook.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(hook))
    assert git_state(repository)[1] is False
    assert not (repository / "ran").exists()


def test_a_header_tells_versions_and_when(tmp_path: Path) -> None:
    header = new_header(tmp_path, mode="none", name="main")
    assert {"python", "pytest", "pytest-llmeval", "openai", "anthropic", "genai-prices"} <= header.versions.keys()
    assert (header.schema_version, header.name, header.mode, len(header.id)) == (1, "main", "none", 32)
    assert header.started is not None
    assert header.started.endswith("Z")
    assert header.id != new_header(tmp_path, mode="none").id


def test_a_candidate_is_told_without_what_may_be_a_key() -> None:
    candidate = Candidate(
        "inhouse",
        "openai",
        "our-model",
        base_url="https://user:hunter22@gpu1.example/v1?api_key=sesame99&zone=1",
        api_key_env="INHOUSE_KEY",
        parameters={
            "temperature": 0.2,
            "extra_headers": {"Authorization": "Bearer sesame99", "X-Team": "a"},
            "extra_query": "sesame99",
        },
        prices=Prices(input=Decimal("0.20"), output=Decimal("0.60")),
    )
    info = candidate_info(candidate)
    assert "hunter22" not in repr(info)
    assert "sesame99" not in repr(info)
    assert info == CandidateInfo(
        "inhouse",
        "openai",
        "our-model",
        "https://gpu1.example/v1?zone=1",
        "api",
        {"temperature": 0.2, "extra_headers": ["Authorization", "X-Team"], "extra_query": "(not kept)"},
        {"input": "0.20", "output": "0.60"},
        "auto",
        private=False,
    )


@pytest.mark.parametrize(
    ("candidate", "hosting", "prices"),
    [
        (Candidate("a", "ollama", "llama"), "local", None),
        (Candidate("a", "ollama", "llama", base_url="http://gpu1/v1"), "self-hosted", None),
        (Candidate("a", "openai", "gpt", hosting="self-hosted", prices="free"), "self-hosted", "free"),
        (Candidate("a", "inhouse", "large"), None, None),
        (Candidate("a", "openai", "gpt", base_url="no url"), None, None),
        (
            Candidate("a", "openai", "gpt", prices=Prices(gpu_hour=Decimal("2.5"), concurrency=8)),
            "api",
            {"gpu_hour": "2.5", "concurrency": 8},
        ),
    ],
)
def test_where_a_candidate_runs_and_what_it_costs(candidate: Candidate, hosting: str, prices: object) -> None:
    info = candidate_info(candidate)
    assert (info.hosting, info.prices) == (hosting, prices)


def priced(day: str, candidate: str = "mini", model: str | None = "gpt-4o-mini-2024-07-18") -> Call:
    return Call(candidate, model, cost="0.1", cost_status="priced", cost_source="genai-prices", cost_as_of=day)


def test_days_with_the_same_prices_stand_together() -> None:
    known = {"mini": CandidateInfo("mini", "openai", "gpt-4o-mini"), "o3": CandidateInfo("o3", "openai", "o3")}
    calls = [priced("2025-07-01"), priced("2025-06-01"), priced("2025-06-03")]
    # Its price fell on the tenth of June.
    calls += [priced("2025-06-01", "o3", "o3"), priced("2025-07-01", "o3", None)]
    calls += [Call("mini", cost="0.1", cost_status="priced", cost_source="user", cost_as_of="2025-06-01")]
    prices = prices_used([TestRecord("test_x", "mini", calls=calls)], known)
    assert [(price.candidate, price.first, price.last, price.input) for price in prices] == [
        ("mini", "2025-06-01", "2025-07-01", "0.15"),
        ("o3", "2025-07-01", "2025-07-01", "2"),
        ("o3", "2025-06-01", "2025-06-01", "10"),
    ]


def test_a_price_that_is_not_known_any_more_is_no_price() -> None:
    prices = prices_used([TestRecord("t", "x", calls=[priced("2025-06-01", "x", "no-such-model")])], {})
    assert [(price.model, price.input, price.output) for price in prices] == [("no-such-model", None, None)]


def test_a_run_gets_its_candidates_in_the_order_of_its_reports(tmp_path: Path) -> None:
    known = {name: CandidateInfo(name, "openai", name) for name in ("by-marker", "a")}
    run = Run(["b", "a"], tests=[TestRecord("t", "by-marker"), TestRecord("u", "a"), TestRecord("v", "")])
    made = with_provenance(run, new_header(tmp_path, mode="none"), known, End())
    assert made.header is not None
    assert made.header.candidates == [CandidateInfo("b"), known["a"], known["by-marker"]]
    assert list(made.by_candidate()) == list(run.by_candidate())


@pytest.mark.parametrize(
    ("info", "context"),
    [
        (CandidateInfo("a", "openai", "gpt-4o", context=4096), 4096),
        (CandidateInfo("a", "gemini", "gemini-1.5-pro"), 2_000_000),
        (CandidateInfo("a", "openai", "gpt-4o-2024-08-06"), 128_000),
        (CandidateInfo("a", "openai", "gpt-4o", endpoint="http://10.0.0.7/v1"), None),
        (CandidateInfo("a", "vllm", "meta-llama/Llama-3.1-8B-Instruct"), None),
        (CandidateInfo("a", "inhouse", "gpt-4o"), None),
        (CandidateInfo("a"), None),
    ],
    ids=["user", "catalog", "published", "own address", "own server", "own provider", "nothing known"],
)
def test_the_context_is_what_the_user_the_catalog_or_genai_prices_says(
    info: CandidateInfo, context: int | None
) -> None:
    assert context_of(info) == context


def test_a_run_that_is_kept_knows_the_contexts(tmp_path: Path) -> None:
    known = {"mini": CandidateInfo("mini", "openai", "gpt-4o-mini")}
    made = with_provenance(Run(candidates=["mini"]), new_header(tmp_path, mode="none"), known, End())
    assert made.header is not None
    assert made.header.candidates[0].context == 128_000
