"""Names of cassettes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from pytest_llmeval.cassettes.paths import cassette_path, file_name, without_candidate

AWKWARD = [
    "test_a",
    "test_A",
    "test_a[x]",
    "test_a[x-y]",
    "test_a[x/y]",
    "test_a[x:y]",
    "test_a[x\\y]",
    "test_a[..]",
    "test_a[" + "x" * 300 + "]",
    "test_a[" + "x" * 301 + "]",
    "test_a[ü]",
    "test_a[\\u4f60]",
    "con",
    "con.txt",
    "CON",
    "test_a.",
    "test_a ",
    "test_a-1a2b3c4d",
    "TestX.test_a",
    "testx.test_a",
    '*?<>|"',
    "",
]


def test_names_do_not_collide_even_on_a_case_blind_file_system() -> None:
    names = [file_name(name).lower() for name in AWKWARD]
    assert len(set(names)) == len(AWKWARD)


@pytest.mark.parametrize("name", AWKWARD)
def test_names_are_safe_on_windows_and_short(name: str) -> None:
    result = file_name(name)
    assert result
    assert not set(result) & set('<>:"/\\|?*')
    assert result.isascii()
    assert result.isprintable()
    assert result[-1] not in ". "
    assert result.split(".")[0].lower() not in {"con", "prn", "aux", "nul"}
    assert len(result) <= 90


def test_a_plain_name_stays_readable() -> None:
    path = cassette_path(Path("tests/test_tickets.py"), "test_extract[smollm2-case-07]", "smollm2")
    assert path == Path("tests/llm_cassettes/test_tickets/smollm2/test_extract[case-07].yaml")


def test_the_longest_path_stays_under_200_characters() -> None:
    path = cassette_path(Path("test_" + "m" * 100 + ".py"), "test_" + "t" * 300 + "[" + "c" * 99 + "]", "c" * 99)
    assert len(path.as_posix()) < 200


@pytest.mark.parametrize(
    ("ids", "left"),
    [("c", ""), ("c-x", "[x]"), ("x-c", "[x]"), ("x-c-y", "[x-y]"), ("c-c", "[c]"), ("cx", "[cx]")],
)
def test_the_candidate_is_taken_out_of_the_parameter_id(ids: str, left: str) -> None:
    assert without_candidate(f"test_a[{ids}]", "c") == f"test_a{left}"


def test_a_candidate_cannot_leave_the_folder() -> None:
    for candidate in ("../../etc", "..", "/abs", "a:../../b", "openai:..", "~", "a\0b"):
        path = cassette_path(Path("tests/test_x.py"), "test_a", candidate)
        assert path.parts[:3] == ("tests", "llm_cassettes", "test_x")
        assert ".." not in path.parts
        assert len(path.parts) == 5


def test_candidates_of_like_names_have_different_folders() -> None:
    names = ["a:b", "a/b", "a+b", "a:b:c", "a:b/c", "a-b", "A:b"]
    folders = {cassette_path(Path("t.py"), "test_a", name).parent.name.lower() for name in names}
    assert len(folders) == len(names)
    assert all(first != second for first, second in itertools.combinations(sorted(folders), 2))
