"""A cassette's file is written again and again while it grows, beside other processes that may do the same."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pytest_llmeval.cassettes.autosave import REST, Autosave
from pytest_llmeval.cassettes.files import read_tape, write_tape
from pytest_llmeval.cassettes.format import Interaction, Tape
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.cassettes.writing import Writer
from pytest_llmeval.errors import SecretError

KEY = "9fX2mQ7bTzLw4Rk8Vn3Hs6Yd"


def answer(text: str) -> Interaction:
    return Interaction("POST", "https://a.example/v1", b"{}", {}, 200, "OK", {}, text.encode())


def texts(path: Path) -> list[str]:
    return [each.content.decode() for each in read_tape(path)[0].interactions]


@pytest.mark.parametrize(
    ("theirs_cut", "ours_cut", "kept"),
    [(False, False, "theirs"), (False, True, "theirs"), (True, True, "theirs"), (True, False, "ours")],
)
def test_of_two_that_record_the_same_the_first_stays_unless_only_it_is_cut_off(
    tmp_path: Path, *, theirs_cut: bool, ours_cut: bool, kept: str
) -> None:
    path, scanner = tmp_path / "a.yaml", SecretScanner({})
    write_tape(path, Tape([answer("theirs")], incomplete=theirs_cut), scanner)
    writer = Writer(path, scanner)
    writer.write(Tape([answer("ours")], incomplete=ours_cut), first_wins=True)
    assert texts(path) == [kept]


def test_a_file_that_another_has_recorded_is_not_written_over_later(tmp_path: Path) -> None:
    path, scanner = tmp_path / "a.yaml", SecretScanner({})
    write_tape(path, Tape([answer("theirs")]), scanner)
    writer = Writer(path, scanner)
    first, second = answer("first"), answer("second")
    writer.write(Tape([first], incomplete=True), first_wins=True)
    writer.write(Tape([first, second]), first_wins=False)
    assert texts(path) == ["theirs"]


@pytest.mark.parametrize("there", [True, False])
def test_what_holds_a_secret_after_all_is_taken_back(tmp_path: Path, *, there: bool) -> None:
    environ: dict[str, str] = {}
    path, scanner = tmp_path / "a.yaml", SecretScanner(environ)
    if there:
        write_tape(path, Tape([answer("before")]), scanner)
    before = path.read_bytes() if there else b""
    writer, first = Writer(path, scanner), answer(f"the key is {KEY}")
    writer.write(Tape([first], incomplete=True), first_wins=False)
    assert texts(path) == [f"the key is {KEY}"]
    environ["BANK_API_KEY"] = KEY
    scanner.learn()
    with pytest.raises(SecretError):
        writer.write(Tape([first, answer("second")]), first_wins=False)
    assert (path.read_bytes() if there else b"") == before
    assert path.exists() is there
    assert not writer.written


@pytest.mark.parametrize("incomplete", [True, False])
def test_what_holds_a_secret_after_all_is_told_also_where_nothing_came_since(
    tmp_path: Path, *, incomplete: bool
) -> None:
    environ: dict[str, str] = {}
    path = tmp_path / "a.yaml"
    writer, first = Writer(path, SecretScanner(environ)), answer(f"the key is {KEY}")
    writer.write(Tape([first], incomplete=True), first_wins=False)
    environ["BANK_API_KEY"] = KEY
    with pytest.raises(SecretError):
        writer.write(Tape([first], incomplete=incomplete), first_wins=False)
    assert not path.exists()


def test_a_secret_in_the_name_of_the_file_is_taken_back_too(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    path = tmp_path / f"test_it[{KEY}].yaml"
    writer, first = Writer(path, SecretScanner(environ)), answer("first")
    writer.write(Tape([first], incomplete=True), first_wins=False)
    environ["BANK_API_KEY"] = KEY
    with pytest.raises(SecretError):
        writer.write(Tape([first, answer("second")]), first_wins=False)
    assert not path.exists()


@pytest.mark.parametrize("cut", [True, False])
def test_what_was_whole_before_is_put_back_where_a_secret_comes_later(tmp_path: Path, *, cut: bool) -> None:
    path, scanner = tmp_path / "a.yaml", SecretScanner({"BANK_API_KEY": KEY})
    write_tape(path, Tape([answer("before")], incomplete=cut), scanner)
    writer, first = Writer(path, scanner), answer("first")
    writer.write(Tape([first], incomplete=True), first_wins=False)
    with pytest.raises(SecretError):
        writer.write(Tape([first, answer(KEY)]), first_wins=False)
    assert texts(path) == (["first"] if cut else ["before"])


def test_an_unfinished_file_does_not_replace_what_another_has_finished_meanwhile(tmp_path: Path) -> None:
    path, scanner = tmp_path / "a.yaml", SecretScanner({})
    ours, theirs = Writer(path, scanner), Writer(path, scanner)
    first, second, third = answer("first"), answer("second"), answer("theirs")
    ours.write(Tape([first], incomplete=True), first_wins=True)
    theirs.write(Tape([third]), first_wins=True)
    assert texts(path) == ["theirs"]
    ours.write(Tape([first, second], incomplete=True), first_wins=False)
    assert texts(path) == ["theirs"]


def test_where_each_answer_brings_a_cookie_the_last_ones_are_looked_for_the_next_time(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    path, scanner = tmp_path / "a.yaml", SecretScanner(environ)
    writer, first = Writer(path, scanner), answer(f"the key is {KEY}")
    writer.prepare([first])
    environ["BANK_API_KEY"] = KEY
    with writer.as_prepared():
        writer.write(Tape([first], incomplete=True), first_wins=False)
    assert path.exists()
    writer.prepare([first])
    with writer.as_prepared(), pytest.raises(SecretError):
        writer.write(Tape([first], incomplete=True), first_wins=False)
    assert not path.exists()


def test_what_was_written_before_the_answer_with_the_secret_stays(tmp_path: Path) -> None:
    path, scanner = tmp_path / "a.yaml", SecretScanner({"BANK_API_KEY": KEY})
    writer, first = Writer(path, scanner), answer("first")
    writer.write(Tape([first], incomplete=True), first_wins=False)
    with pytest.raises(SecretError):
        writer.write(Tape([first, answer(KEY)]), first_wins=False)
    assert texts(path) == ["first"]
    assert read_tape(path)[0].incomplete


class Growing:
    """Takes note of when it was saved."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.saved = threading.Semaphore(0)
        self.error = error

    def prepare(self) -> None:
        pass

    def save(self) -> None:
        self.saved.release()
        if self.error:
            raise self.error


def test_what_was_noted_is_saved_once() -> None:
    autosave, growing = Autosave(pause=0.0), Growing()
    autosave.note(growing)
    autosave.note(growing)
    assert growing.saved.acquire(timeout=30)
    assert not growing.saved.acquire(timeout=0.5)
    autosave.note(growing)
    assert growing.saved.acquire(timeout=30)


def test_what_is_over_is_not_saved() -> None:
    autosave, over, other = Autosave(pause=0.2), Growing(), Growing()
    autosave.note(over)
    autosave.forget(over)
    autosave.note(other)
    assert other.saved.acquire(timeout=30)
    assert not over.saved.acquire(blocking=False)


@pytest.mark.parametrize("error", [OSError("full"), pytest.fail.Exception("a hook's"), SystemExit(3)])
def test_what_fails_does_not_keep_others_from_being_saved(error: BaseException) -> None:
    autosave, bad, good = Autosave(pause=0.0), Growing(error), Growing()
    for _ in range(2):
        autosave.note(bad)
        autosave.note(good)
        assert bad.saved.acquire(timeout=30)
        assert good.saved.acquire(timeout=30)


def test_what_takes_long_to_save_is_left_alone_for_longer() -> None:
    now, spent = [100.0], [7.0]

    class Slow(Growing):
        def prepare(self) -> None:
            # What is done once for each part counts for less.
            spent[0] += 10.0

        def save(self) -> None:
            spent[0] += 2.0
            super().save()

    autosave, slow = Autosave(0.0, lambda: now[0], lambda: spent[0]), Slow()
    autosave.note(slow)
    assert slow.saved.acquire(timeout=30)
    # The thread notes how long it took, and ends.
    while any(thread.name == "llmeval-autosave" for thread in threading.enumerate()):
        time.sleep(0.01)
    autosave.note(slow)
    now[0] += REST * 2.0 - 1.0
    assert not slow.saved.acquire(timeout=0.5)
    now[0] += 2.0
    assert slow.saved.acquire(timeout=30)


def test_where_no_thread_can_be_started_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    autosave, growing = Autosave(pause=0.0), Growing()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        autosave.note(growing)
    autosave.note(growing)
    assert growing.saved.acquire(timeout=30)
