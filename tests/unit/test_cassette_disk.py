"""Files written whole or not at all, and what killed runs leave beside them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from threading import Thread

import pytest

from pytest_llmeval.cassettes import disk
from pytest_llmeval.errors import CassetteError

LEFTOVER = ".0123abcd.tmp"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_run_left_is_removed_with_the_next_file_written_there(tmp_path: Path) -> None:
    for name, age in ((LEFTOVER, 60), (".89abcdef.tmp", 0), ("notes.tmp", 60), (".gitkeep", 60)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    disk.put(tmp_path / "a.yaml", b"text")
    # The second may be of a run that goes on; the others are not ours.
    assert names(tmp_path) == [".89abcdef.tmp", ".gitkeep", "a.yaml", "notes.tmp"]


def test_a_file_is_written_though_another_process_takes_its_temporary_file_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace
    taken: list[str] = []

    def take_away_once(temporary: str, target: Path) -> None:
        if not taken:
            taken.append(temporary)
            Path(temporary).unlink()
        replace(temporary, target)

    monkeypatch.setattr(os, "replace", take_away_once)
    disk.put(tmp_path / "a.yaml", b"text")
    assert taken
    assert (tmp_path / "a.yaml").read_bytes() == b"text"
    assert names(tmp_path) == ["a.yaml"]


def test_threads_that_write_one_file_do_not_mix_their_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    texts = [bytes([65 + number]) * 100_000 for number in range(8)]
    threads = [Thread(target=disk.put, args=(path, text)) for text in texts for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in texts
    assert names(tmp_path) == ["a.yaml"]


def test_the_first_wins_where_that_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.yaml"
    disk.put(path, b"first", first_wins=True)
    disk.put(path, b"second", first_wins=True)
    assert path.read_bytes() == b"first"
    disk.put(path, b"third")
    assert path.read_bytes() == b"third"
    assert names(path.parent) == ["a.yaml"]


@pytest.mark.parametrize("first_wins", [False, True])
def test_a_folder_in_the_place_of_the_file_is_told(tmp_path: Path, first_wins: bool) -> None:
    (tmp_path / "a.yaml" / "inside").mkdir(parents=True)
    with pytest.raises(CassetteError, match=r"a\.yaml: cannot be written: .+ Move away what is in its place"):
        disk.put(tmp_path / "a.yaml", b"text", first_wins=first_wins)
    assert names(tmp_path) == ["a.yaml"]


def test_a_file_in_the_place_of_a_folder_is_told_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("mine")
    with pytest.raises(CassetteError, match=r"folder/b/a\.yaml: cannot be written: .*folder is no folder"):
        disk.check_writable(tmp_path / "folder" / "b" / "a.yaml")
    disk.check_writable(tmp_path / "other" / "b" / "a.yaml")
    assert names(tmp_path) == ["folder"]
