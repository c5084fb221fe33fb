"""A cassette that is saved while a call still decides whom to ask next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from pytest_llmeval.cassettes import detours
from pytest_llmeval.cassettes.autosave import Autosave
from pytest_llmeval.cassettes.detours import Detour, Failure, NotAskedError
from pytest_llmeval.cassettes.engine import Engine
from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.format import Interaction
from pytest_llmeval.cassettes.matching import HTTPRequest
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.cassettes.store import Cassette

JSON = [("content-type", "application/json")]


def fail(message: str) -> NoReturn:
    raise AssertionError(message)


def cassette(path: Path, mode: str = "once") -> Cassette:
    # It is saved when the test says so.
    return Cassette(path, mode, Engine(fail, SecretScanner({}), autosave=Autosave(pause=3600.0)))


def request(host: str) -> HTTPRequest:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "q"}]}).encode()
    return HTTPRequest(
        "POST", f"https://{host}.example/v1/chat/completions", {"content-type": ["application/json"]}, body
    )


def answer(text: str) -> bytes:
    return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


@contextmanager
def calling() -> Iterator[Detour]:
    detour = Detour()
    detour.begin()
    token = detours.current.set(detour)
    try:
        yield detour
    finally:
        detours.current.reset(token)


def record_with_fallback(growing: Cassette, *, save: bool) -> None:
    with calling() as detour:
        growing.open(request("first")).done(200, "OK", JSON, answer("of the first"))
        detour.answered()
    with calling() as detour:
        # The same question again: now the first fails, and the second is asked instead.
        growing.open(request("first")).done(503, "", JSON, b"{}")
        if save:
            growing.prepare()
            growing.save()
        detour.failed(Failure("first", "server", 503))
        growing.open(request("second")).done(200, "OK", JSON, answer("of the second"))
        detour.answered()


@pytest.mark.parametrize("save", [False, True])
def test_a_save_while_a_fallback_decides_does_not_lose_why_another_was_asked(tmp_path: Path, *, save: bool) -> None:
    path = tmp_path / "a.yaml"
    growing = cassette(path)
    record_with_fallback(growing, save=save)
    growing.close(passed=True)
    assert not read_tape(path)[0].incomplete
    replaying = cassette(path, "none")
    with calling():
        assert replaying.open(request("first")).recorded is not None
    with calling(), pytest.raises(NotAskedError):
        replaying.open(request("first"))


def test_an_answer_is_not_written_before_it_says_whom_it_came_instead_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    growing = cassette(path)
    taken = Detour.taken

    def taken_while_it_is_saved(self: Detour, cassette: Cassette, interaction: Interaction) -> None:
        # As another thread may at this moment.
        growing.prepare()
        taken(self, cassette, interaction)

    monkeypatch.setattr(Detour, "taken", taken_while_it_is_saved)
    record_with_fallback(growing, save=False)
    growing.close(passed=True)
    assert ["instead_of" in each.meta for each in read_tape(path)[0].interactions] == [False, True]
