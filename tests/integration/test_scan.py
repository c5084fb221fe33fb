"""`llmeval scan`: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pytest_llmeval.cli import main
from tests.integration.conftest import Project

TOKEN = "9fX2mQ7bTzLw4Rk8Vn3Hs6Yd"
ROOT = Path(__file__).parents[2]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_findings_are_printed_by_file_and_line_without_the_secret(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BANK_API_KEY", TOKEN)
    write(here / "cassettes" / "a.yaml", f"interactions:\n- b: {TOKEN}\n- c: gsk_{TOKEN[::-1]}\n")
    write(here / "cassettes" / "b.yaml", "interactions: []\n")
    assert main(["scan"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "cassettes/a.yaml:2: the value of BANK_API_KEY",
        "cassettes/a.yaml:3: what looks like a Groq key",
        "2 files scanned, 2 findings",
    ]


def test_nothing_found_is_success(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "a.yaml", "interactions: []\n")
    assert main(["scan", "a.yaml"]) == 0
    assert capsys.readouterr().out == "1 file scanned, 0 findings\n"


def test_a_damaged_file_is_no_success(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "a.yaml", "interactions:\n- [\n")
    assert main(["scan", "a.yaml"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("a.yaml:3: damaged: ")
    assert lines[1] == "1 file scanned, 0 findings, 1 damaged"


def test_a_path_that_is_not_there_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "nowhere\x1b[2J"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "llmeval: nowhere\\x1b[2J: no such file or folder.\n"
    assert captured.out == ""


def test_hostile_names_cannot_steer_the_terminal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"\x1b[2J\x1b]0;title\x07 sk-proj-{TOKEN}.yaml"
    try:
        write(here / name, f"interactions: [gsk_{TOKEN}]")
    except OSError:
        pytest.skip("this file system has no such names")
    assert main(["scan", "."]) == 1
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert TOKEN not in out
    assert len(out.splitlines()) == 3


def test_what_we_record_ourselves_is_clean(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write('def test_it(llm):\n    assert llm.complete("Hi", stream=True).content\n')
    project.outcomes(passed=1)
    capsys.readouterr()
    assert main(["scan", str(project.path)]) == 0
    assert capsys.readouterr().out == "1 file scanned, 0 findings\n"


@pytest.mark.parametrize("serializer", ["yaml", "json"])
def test_what_stock_vcrpy_records_is_told_by_its_headers(
    project: Project, serializer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    import httpx
    import vcr

    path = project.path / f"stock.{serializer}"
    with vcr.use_cassette(str(path), serializer=serializer):
        headers = {"authorization": "Bearer the-words-of-a-key", "cookie": "session=a1b2c3"}
        httpx.post(f"{project.server.url}/chat/completions?key={TOKEN}", json={}, headers=headers)
    assert main(["scan", str(path)]) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    whats = {line.partition(": ")[2] for line in lines}
    assert whats == {"the header authorization", "the header cookie", "the header set-cookie", "the URL parameter key"}
    assert last == "1 file scanned, 4 findings"
    text = path.read_text(encoding="utf-8").splitlines()
    shown = {line.partition(": ")[2]: text[int(line.split(":")[-2]) - 1] for line in lines}
    assert "the-words-of-a-key" in shown["the header authorization"]
    assert "a-cookie-value" in shown["the header set-cookie"]


def test_the_hook_of_pre_commit_runs_the_command_on_cassettes(here: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["id"] == "llmeval-scan"
    path = write(here / "tests" / "cassettes" / "test_x" / "a.yaml", json.dumps({"interactions": [f"gsk_{TOKEN}"]}))
    command = hook["entry"].split()
    assert command[0] == "llmeval"
    assert main([*command[1:], str(path)]) == 1
    import re

    names = ["llm_cassettes/test_x/chat/test_y[a].yaml", "tests/cassettes/a.yml", "cassettes/a.json"]
    assert all(re.search(hook["files"], name) for name in names)
    assert not any(re.search(hook["files"], name) for name in ("mycassettes/a.yaml", "cassettes/a.py", "a.yaml"))
