from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_llmeval.errors import RunError
from pytest_llmeval.runfiles import RunFile, find_run, put_lines


def test_what_is_appended_is_on_disk_at_once_and_in_place_at_the_end(tmp_path: Path) -> None:
    file = RunFile(tmp_path / "runs" / "main.jsonl")
    file.add("a\n")
    file.add("b\n")
    assert file.partial.read_text() == "a\nb\n"
    assert not file.path.exists()
    file.finish(["b\n", "a\n"])
    assert [path.name for path in file.path.parent.iterdir()] == ["main.jsonl"]
    assert file.path.read_text() == "b\na\n"


def test_a_run_that_is_cut_leaves_the_last_whole_one_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "main.jsonl"
    path.write_text("baseline")
    file = RunFile(path)
    file.add("a\n")
    file.leave("end\n")
    assert path.read_text() == "baseline"
    assert file.partial.read_text() == "a\nend\n"


def test_two_runs_of_one_name_do_not_mix(tmp_path: Path) -> None:
    first, second = RunFile(tmp_path / "main.jsonl"), RunFile(tmp_path / "main.jsonl")
    for file, line in ((first, "first\n"), (second, "second\n"), (first, "first\n")):
        file.add(line)
    assert second.partial.read_text() == "second\n"
    first.finish(["first\n"])
    second.finish(["second\n"])
    assert [path.name for path in tmp_path.iterdir()] == ["main.jsonl"]


def test_a_run_that_begins_anew_does_not_go_on_with_what_a_kill_left(tmp_path: Path) -> None:
    (tmp_path / "main.jsonl.partial").write_text("old\n")
    file = RunFile(tmp_path / "main.jsonl")
    file.add("new\n")
    assert file.partial.read_text() == "new\n"
    file.close()


def test_a_place_that_cannot_be_written_is_told_at_the_end_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    file = RunFile(tmp_path / "file" / "main.jsonl")
    file.add("a\n")
    file.add("b\n")
    with pytest.raises(RunError, match=r"main\.jsonl: the report could not be written: \w"):
        file.finish(["a\n"])
    with pytest.raises(RunError, match=r"main\.jsonl\.partial: the report could not be written: \w"):
        file.leave("end\n")


FULL = """
import resource, sys
from pathlib import Path
from pytest_llmeval.errors import RunError
from pytest_llmeval.runfiles import RunFile

resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
file = RunFile(Path("main.jsonl"))
for number in range(100):
    file.add(f"{number:0100}" + chr(10))
try:
    file.finish(f"{number:0100}" + chr(10) for number in range(100))
except RunError as exc:
    print(exc)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits are a matter of POSIX")
def test_a_disk_that_is_full_keeps_what_there_was_and_what_went_on_it(tmp_path: Path) -> None:
    (tmp_path / "main.jsonl").write_text("baseline")
    done = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "main.jsonl: the report could not be written: File too large.\n"
    assert done.stderr == ""
    assert (tmp_path / "main.jsonl").read_text() == "baseline"
    kept = (tmp_path / "main.jsonl.partial").read_text().splitlines()
    assert kept[:40] == [f"{number:0100}" for number in range(40)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["main.jsonl", "main.jsonl.partial"]


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    put_lines(path, ["old"])

    def parts() -> list[str]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        put_lines(path, (part for _ in range(1) for part in parts()))
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]


@pytest.mark.skipif(sys.platform == "win32", reason="files that are open cannot be replaced there")
def test_whoever_reads_a_report_meanwhile_reads_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    put_lines(path, ["old"])
    with path.open() as file:
        put_lines(path, ["new"])
        assert file.read() == "old"
    assert path.read_text() == "new"


def test_what_kills_left_beside_is_removed(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (".0123abcd.tmp", ".4567abcd.tmp", "mine.tmp"))
    for path in (old, new, other):
        path.touch()
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    put_lines(tmp_path / "report.md", ["x"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".4567abcd.tmp", "mine.tmp", "report.md"]


def test_a_run_is_found_by_file_by_name_and_where_a_kill_left_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs"
    folder.mkdir()
    for name in ("runs/main.jsonl", "runs/main.jsonl.partial", "runs/cut.jsonl.partial", "other.jsonl", "main"):
        (tmp_path / name).touch()
    assert find_run("other.jsonl", folder) == Path("other.jsonl")
    assert find_run("cut", folder) == folder / "cut.jsonl.partial"
    assert find_run("main", folder) == Path("main")
    (tmp_path / "main").unlink()
    assert find_run("main", folder) == folder / "main.jsonl"


@pytest.mark.parametrize("name", ["mian", "../main", "no/where.jsonl", ""])
def test_a_run_that_there_is_not_names_those_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunError, match="No run is kept in"):
        find_run(name, tmp_path)
    (tmp_path / "main.jsonl").touch()
    told = "Did you mean 'main'.*" if name == "mian" else ""
    with pytest.raises(
        RunError, match=rf"^{re.escape(name)}: neither a file nor a kept run\..*{told}Kept runs: main\."
    ):
        find_run(name, tmp_path)
