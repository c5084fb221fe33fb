from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_llmeval import farworkers
from pytest_llmeval.cassettes.format import Interaction, Tape, dumps
from pytest_llmeval.cassettes.paths import cassette_path
from pytest_llmeval.farworkers import HOME, Receiver, is_far, place_of
from pytest_llmeval.options import Options

NAME = "tests/llm_cassettes/test_a/chat/test_it.yaml"


def options_at(root: Path, **changes: Any) -> Options:
    given = Options(
        models=(),
        models_from="",
        record="once",
        record_why="",
        summary="on",
        max_age=None,
        max_age_fails=False,
        concurrency=8,
        worker=(0, 1),
        repeat=1,
        max_cost=None,
        unknown_price="error",
        dry_run=False,
        require=(),
        require_fail=False,
        fail_on=("", ""),
        gate="established",
        require_pinned=False,
        save=None,
        compare=None,
        reports=(),
        run_dir=root / ".llmeval" / "runs",
        cassette_dir="llm_cassettes",
        passthrough=(),
        rootdir=root,
        invocation_dir=root,
        given=True,
    )
    return replace(given, **changes)


def sealed(answer: str = "Hi", *, incomplete: bool = False) -> str:
    json = {"content-type": ["application/json"]}
    interaction = Interaction("POST", "http://x/v1", b"{}", json, 200, "OK", json, f'{{"a": "{answer}"}}'.encode())
    return dumps(Tape([interaction], incomplete=incomplete))


class Home:
    """The controller's side, with a folder of tests."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self.root = root
        self.receiver = Receiver(options_at(root, **changes))
        (root / "tests").mkdir()

    @property
    def there(self) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*.yaml"))

    def take(self, parcel: Any) -> str:
        """Return what is told at the end, once a report has brought this."""
        report: Any = SimpleNamespace(llmeval_cassettes=[parcel])
        self.receiver.pytest_runtest_logreport(report)
        assert not hasattr(report, "llmeval_cassettes")
        lines: list[str] = []
        terminal: Any = SimpleNamespace(write_line=lambda line, **_: lines.append(line))
        self.receiver.pytest_terminal_summary(terminal)
        return "".join(lines).strip()

    def exit_status(self) -> int:
        session: Any = SimpleNamespace(exitstatus=0)
        self.receiver.pytest_sessionfinish(session)
        return int(session.exitstatus)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def parcel(**changes: str) -> dict[str, str]:
    return {"path": NAME, "text": sealed(), "mode": "once"} | changes


def test_a_folder_is_known_by_where_it_is_and_not_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert place_of(tmp_path / "a") == place_of(tmp_path / "b") != place_of(tmp_path)


def test_another_kernel_is_another_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = place_of(tmp_path)
    for boot in ("another", None):
        monkeypatch.setattr(farworkers, "BOOT", tmp_path / "boot")
        if boot:
            (tmp_path / "boot").write_text(boot)
        else:
            (tmp_path / "boot").unlink()
        assert place_of(tmp_path)[0] not in (here[0], "")
        assert place_of(tmp_path) == place_of(tmp_path)


def test_a_worker_is_far_if_its_rootdir_is_another_one(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    told = {HOME: tuple(place_of(tmp_path))}
    assert not is_far(SimpleNamespace(workerinput=told, rootpath=tmp_path))
    assert is_far(SimpleNamespace(workerinput=told, rootpath=tmp_path / "other"))
    assert not is_far(SimpleNamespace(workerinput={}, rootpath=tmp_path))
    assert not is_far(SimpleNamespace(rootpath=tmp_path))


def test_a_recording_comes_home_byte_for_byte(home: Home) -> None:
    assert home.take(parcel()) == "1 recording came home from workers on other machines."
    assert home.there == [NAME]
    assert (home.root / NAME).read_bytes() == sealed().encode()
    assert home.exit_status() == 0


def test_of_several_workers_that_record_the_same_the_first_wins(home: Home) -> None:
    home.take(parcel())
    assert home.take(parcel(text=sealed("Ho"))) == "1 recording came home from workers on other machines."
    assert (home.root / NAME).read_text() == sealed()


@pytest.mark.parametrize(
    ("before", "mode", "after", "told"),
    [
        (sealed(), "once", sealed(), ""),
        (sealed("Ho"), "once", sealed("Ho"), "1 recording .*: not taken, since there is another one here"),
        (sealed("Ho", incomplete=True), "once", sealed(), "1 recording came home"),
        (sealed("Ho"), "all", sealed(), "1 recording came home"),
        ("damaged", "all", "damaged", "could not be brought home: .*not a usable cassette"),
    ],
)
def test_what_is_here_already(home: Home, before: str, mode: str, after: str, told: str) -> None:
    path = home.root / NAME
    path.parent.mkdir(parents=True)
    path.write_text(before)
    said = home.take(parcel(mode=mode))
    assert re.search(told, said) if told else said == ""
    assert path.read_text() == after


REFUSED = {
    "absolute": ({"path": "/etc/llm_cassettes/a.yaml"}, "not one below the rootdir"),
    "upward": ({"path": "tests/llm_cassettes/../../../a.yaml"}, "not one below the rootdir"),
    "upward on Windows": ({"path": "tests/llm_cassettes/..\\..\\a.yaml"}, "not one below the rootdir"),
    "a drive": ({"path": "C:/llm_cassettes/a.yaml"}, "not one below the rootdir"),
    "a nul": ({"path": "tests/llm_cassettes/a\0.yaml"}, "not one below the rootdir"),
    "empty": ({"path": ""}, "not one below the rootdir"),
    "a program": ({"path": "tests/llm_cassettes/conftest.py"}, "no .yaml file"),
    "no suffix": ({"path": "tests/llm_cassettes/test_a"}, "no .yaml file"),
    "elsewhere": ({"path": "tests/docker-compose.yaml"}, "in no folder of recordings"),
    "a file of that name": ({"path": "tests/llm_cassettes.yaml"}, "in no folder of recordings"),
    "tests that are not here": ({"path": "other/llm_cassettes/a.yaml"}, "there is no folder other here"),
    "cut off": ({"text": sealed()[:-20]}, "not a usable cassette"),
    "changed": ({"text": sealed().replace("Hi", "Ho")}, "the checksum does not match"),
    "without a seal": ({"text": "version: 1\ninteractions: []\n"}, "it has no seal"),
    "a program in YAML": ({"text": "!!python/object/apply:os.system [exit]"}, "not a usable cassette"),
    "no text": ({"text": None}, "could not be brought home"),
    "no mode": ({"mode": ""}, ""),
    "what the worker says": ({"why_not": "it is outside of the worker's rootdir"}, "outside of the worker's rootdir"),
}


@pytest.mark.parametrize(("changes", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_recording_of_these_tests_is_told_and_not_written(
    home: Home, changes: dict[str, Any], reason: str
) -> None:
    told = home.take(parcel(**changes))
    if not reason:
        assert home.there == [NAME]
        return
    assert "could not be brought home: " in told
    assert reason in told
    assert home.there == []
    assert home.exit_status() == 1


@pytest.mark.parametrize("nonsense", [None, 7, "text", [], {}])
def test_what_is_no_parcel_at_all_breaks_nothing(home: Home, nonsense: object) -> None:
    assert "could not be brought home" in home.take(nonsense)
    assert home.exit_status() == 1


def test_a_link_does_not_lead_out_of_the_project(home: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (home.root / "tests" / "llm_cassettes").symlink_to(outside)
    assert "a link leads out of the rootdir" in home.take(parcel())
    assert list(outside.iterdir()) == []


def test_a_secret_of_this_machine_is_not_written(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BANK_API_KEY", "9fX2mQ7bTz")
    told = home.take(parcel(text=sealed("9fX2mQ7bTz")))
    assert "it would hold a secret" in told
    assert "9fX2mQ7bTz" not in told
    assert home.there == []


def test_a_recording_that_is_too_large_is_told(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farworkers, "LARGEST", 100)
    assert "it is too large" in home.take(parcel())


def test_a_disk_that_refuses_it_is_told(home: Home) -> None:
    (home.root / "tests" / "llm_cassettes").write_text("in the way")
    assert "could not be brought home: " in home.take(parcel())
    assert (home.root / "tests" / "llm_cassettes").read_text() == "in the way"
    assert home.exit_status() == 1


def test_one_shared_folder_of_recordings_below_the_rootdir_is_one_too(tmp_path: Path) -> None:
    home = Home(tmp_path, cassette_dir=str(tmp_path / "recorded"))
    path = cassette_path(tmp_path / "tests" / "test_a.py", "test_it", "chat", str(tmp_path / "recorded" / "tests"))
    name = path.relative_to(tmp_path).as_posix()
    assert "came home" in home.take(parcel(path=name))
    assert "in no folder of recordings" in home.take(parcel())
    assert home.there == [name]
