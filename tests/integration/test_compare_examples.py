"""What a comparison says of answers that two real models gave: of a worse prompt, and of a tie."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.test_examples import BLOCKED, copy_examples, run_as_ci

#: What the models answered to the tickets without the four examples that the prompt had.
WORSE = Path(__file__).with_name("worse_prompt")
EDITED = '    return [{"role": "user", "content": message}]\n'
TICKETS = ["examples/tickets", "-k", "test_ticket and not through and not all"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder above a copy of the examples that is under git, with a run of it as the baseline."""
    folder = tmp_path_factory.mktemp("compared")
    copy_examples(folder)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
        subprocess.run(command, cwd=folder, check=True)
    assert "48 passed" in run(folder, *TICKETS, "--llm-report=baseline.jsonl")
    return folder


def run(folder: Path, *arguments: str, module: str = "pytest") -> str:
    done = run_as_ci(folder, "-m", module, *(BLOCKED if module == "pytest" else []), *arguments, columns=200)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def edited(project: Path) -> str:
    """Return what is said of a prompt that lost its examples."""
    tests = project / "examples" / "tickets" / "test_tickets.py"
    text = tests.read_text(encoding="utf-8")
    begin, end = text.index("    turns = []"), text.index("\n\nMESSAGES = [")
    tests.write_text(text[:begin] + EDITED + text[end:], encoding="utf-8")
    shutil.copytree(WORSE, project / "examples/tickets/llm_cassettes/test_tickets", dirs_exist_ok=True)
    return run(project, *TICKETS, "--llm-compare=baseline.jsonl").partition(" LLM comparison ")[2]


def test_a_prompt_that_lost_its_examples_is_worse_for_both_models(edited: str) -> None:
    assert "smollm2 0.51 → 0.35 (−0.17, 95% −0.27…−0.06): worse. 13 cases lost: locked-out, coupon, " in edited
    assert "gemma3 0.64 → 0.15 (−0.49, 95% −0.56…−0.41): worse. 24 cases lost: " in edited


def test_each_loss_follows_the_edit_whose_words_are_shown(edited: str) -> None:
    for count in (13, 24):
        assert f"{count} of {count} losses follow the prompt edit, the messages: [-user: The coat is warm" in edited


def test_the_shorter_prompt_is_read_faster_and_that_is_told_too(edited: str) -> None:
    assert "latency p50 1.84 s → 1.09 s (−41%, 95% −45%…−36%): better" in edited


def test_two_models_that_nothing_separates_are_called_a_tie(project: Path) -> None:
    run(project, "examples/reviews", "--llm-report=reviews.jsonl")
    told = run(project, "compare", "reviews.jsonl", module="pytest_llmeval.cli")
    assert "rank 1 smollm2, gemma3: cannot be separated" in told
    assert (
        "gemma3 → smollm2 0.45 → 0.52 (+0.07, 95% −0.05…+0.19): cannot tell: 61 cases resolve differences of 0.17 or "
        "more; about 680 would resolve 0.05."
    ) in told
