from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.projectfiles import find_file, read_text, shown_path


def test_the_first_folder_that_has_a_file_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        (folder / "both").write_text("", encoding="utf-8")
    (second / "one").write_text("", encoding="utf-8")
    assert find_file("both", [first, second]) == first / "both"
    assert find_file("one", [first, second]) == second / "one"
    assert find_file("../b/one", [first]) == second / "one"
    assert find_file(second / "one", [first]) == second / "one"


def test_a_name_that_would_steer_a_terminal_does_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^a\\x1b\[31m: there is no such file in "):
        find_file("a\x1b[31m", [tmp_path])


def test_a_folder_that_is_not_there_has_no_nearest_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x/a\.md: there is no such prompt in .*/x\.$"):
        find_file("x/a.md", [tmp_path], "prompt")


@pytest.mark.parametrize(("path", "shown"), [("/p/a/b", "a/b"), ("/q/b", "../q/b"), ("/b", "../b"), ("/p", ".")])
def test_paths_are_shown_relative_to_the_root_where_they_are_near(path: str, shown: str) -> None:
    assert shown_path(Path(path), Path("/p")) == shown


def test_paths_that_are_far_from_the_root_are_shown_whole() -> None:
    assert shown_path(Path("/x/y"), Path("/p/q/r")) == "/x/y"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^x: cannot be read: Is a directory"):
        read_text(tmp_path, "x")
