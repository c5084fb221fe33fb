"""``llmeval cases``: what a dataset holds, and all that is wrong with it."""

from __future__ import annotations

import json

from tests.integration.conftest import Project
from tests.integration.test_cases import TICKETS, write_tickets
from tests.integration.test_cassettes_command import llmeval


def test_a_dataset_is_described(project: Project) -> None:
    write_tickets(project, *TICKETS, {"id": "again", "input": "Where is it?"})
    done = llmeval(project, "cases", "tickets.jsonl")
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "tickets.jsonl: 4 cases",
        "  tags      orders 2, urgent 1, (none) 2",
        "  fields    input 4, weight 1",
        "  expected  (text) 3, (none) 1",
        "  tokens    mean 4 (at most 6), p95 6 (at most 8), max 6 (at most 8) a case: its own text, "
        "UTF-8 bytes / 4 (/ 3)",
        "  same      late = again",
    ]


def test_all_faults_of_all_files_are_listed(project: Project) -> None:
    project.write("".join(f"{json.dumps({'input': n})}\n" for n in range(30)), "bad.jsonl")
    project.write("- input: a\n", "good.yaml")
    done = llmeval(project, "cases", "bad.jsonl", "none.csv", "good.yaml")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[:30] == [f"bad.jsonl:{n + 1}: input: should be text (it is {n}). Put it in quotes" for n in range(30)]
    assert lines[30] == "30 faults"
    assert lines[31].startswith("none.csv: there is no such dataset in ")
    assert lines[32] == "good.yaml: 1 case"


def test_hostile_data_cannot_steer_the_terminal(project: Project) -> None:
    rows = [{"id": "a", "input": "\x1b[31m", "\x1b]0;x\x07": 1}, {"id": "\x1b[2J", "input": 5}]
    write_tickets(project, rows[0], name="a\x1b[31m.jsonl")
    write_tickets(project, *rows, name="b.jsonl")
    done = llmeval(project, "cases", "a\x1b[31m.jsonl", "b.jsonl")
    assert done.returncode == 1
    assert not any(char in done.stdout for char in "\x1b\x07")


def test_help_says_what_the_command_does(project: Project) -> None:
    done = llmeval(project, "cases", "--help")
    assert done.returncode == 0
    assert "Check datasets and say what is in them; no model is asked." in done.stdout
    assert llmeval(project, "cases").returncode == 2
