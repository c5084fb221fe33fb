"""Names of cassettes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import cast

import pytest
from pytest_recording._vcr import use_cassette
from pytest_recording.plugin import get_default_cassette_name

from pytest_llmeval.cassettes.paths import cassette_path, file_name, is_sample_of, stock_paths, without_candidate

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


STOCK_IDS = ["a", "a/b", "c:d", 'e"f', "g\\h", "i|j", "k*?<>l", "m'n", "50%", "o p", "q.r", "s[t]", "u::v", "x" * 300]


@pytest.mark.parametrize("ids", STOCK_IDS)
@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_the_path_of_stock_is_where_pytest_recording_writes(tmp_path: Path, ids: str, suffix: str) -> None:
    options = {"serializer": suffix} if suffix == "json" else {}
    for owner, test in ((None, "test_a"), (type("TestB", (), {}), "TestA::TestB::test_a")):
        name = get_default_cassette_name(owner, f"test_a[{ids}]")
        folder = str(tmp_path / "cassettes" / "test_m")
        opened = use_cassette(name, folder, "none", [], options, cast(pytest.Config, _NoHooks()))._args_getter()
        assert Path(opened["path_transformer"](opened["path"])) in stock_paths(
            tmp_path / "test_m.py", f"{test}[{ids}]", None
        )


class _NoHooks:
    """As much of pytest's configuration as pytest-recording asks for."""

    class hook:  # noqa: N801 - pytest's name
        @staticmethod
        def pytest_recording_configure(config: object, vcr: object) -> None:
            pass


def test_the_path_of_stock_is_tried_with_the_candidate_first_and_yaml_first() -> None:
    paths = stock_paths(Path("t/test_m.py"), "test_a[chat-1]", "chat")
    assert [path.name for path in paths] == [
        "test_a[chat-1].yaml",
        "test_a[chat-1].json",
        "test_a[1].yaml",
        "test_a[1].json",
    ]
    assert {path.parent for path in paths} == {Path("t/cassettes/test_m")}


def test_a_test_without_candidate_has_one_name_with_stock() -> None:
    assert [path.name for path in stock_paths(Path("test_m.py"), "test_a", None)] == ["test_a.yaml", "test_a.json"]


def test_a_named_cassette_of_stock_and_a_folder_of_its_own_are_heeded() -> None:
    paths = stock_paths(Path("t/test_m.py"), "test_a[chat]", "chat", folder=Path("t/tapes"), default="sub/own.yaml")
    assert paths[0] == Path("t/tapes/sub/own.yaml")


@pytest.mark.parametrize("length", range(40, 70))
@pytest.mark.parametrize("case", ["test_{}", "test_[{}]", "test_[{}Ä]", "Test.test_[{}]"])
def test_one_more_sample_of_a_test_is_known_by_its_name_whole_or_cut(case: str, length: int) -> None:
    name = case.format("x" * length)
    other = case.format("y" * length)
    names = frozenset(f"{file_name(each)}.yaml" for each in (name, "test_b"))
    for number in (2, 10, 100):
        sample = f"{name[:-1]}-sample{number}]" if name.endswith("]") else f"{name}[sample{number}]"
        more = f"{other[:-1]}-sample{number}]" if name.endswith("]") else f"{other}[sample{number}]"
        assert is_sample_of(f"{file_name(sample)}.yaml", names)
        assert not is_sample_of(f"{file_name(more)}.yaml", names)


@pytest.mark.parametrize(
    "name",
    ["test_a[x-2]", "test_a[x]", "test_a[sample2]", "test_a[x-samples]", "test_a[x-sample2", "test_a[X]", "test_a["],
)
def test_what_is_no_sample_is_not_taken_for_one(name: str) -> None:
    assert not is_sample_of(f"{file_name(name)}.yaml", frozenset({"test_a[x-].yaml", f"{file_name('test_a[Y]')}.yaml"}))
