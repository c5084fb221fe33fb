"""Cassettes that stock vcrpy and pytest-recording really recorded: replayed as they are, adopted, and then by both.

``python -m tests.matrices.migration`` prints the tables.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent
from typing import Any

from pytest_llmeval.cassettes.adopt import adopt
from pytest_llmeval.cassettes.format import Tape, loads
from pytest_llmeval.cassettes.redact import SecretScanner
from pytest_llmeval.errors import CassetteError
from tests import chat_server
from tests.chat_server import ChatServer
from tests.matrices import migration_app as app
from tests.matrices.matrix import Matrix, report

ROOT = Path(__file__).parents[2]
CLIENTS = "Cassettes of stock vcrpy {version}: replayed as they are, adopted, and then by us and by stock"
TESTS = "Cassettes of pytest-recording: found where it keeps them, replayed, adopted, and then by us and by it"
#: Plugins that are installed beside ours and have no part in this.
OTHERS = ("llmock", "asyncio", "anyio", "rerunfailures", "randomly", "timeout", "pytest_cov", "cacheprovider")
PHASES = {
    "record": ("-pno:llmeval", "--record-mode=once"),
    "stock": ("-pno:llmeval", "--record-mode=none"),
    "ours": ("-pno:recording", "--llm-record=none"),
}
LONGEST_RUN = 300

CONFTEST = """
    import os, pytest

    def pytest_configure(config):
        for name in ("vcr", "default_cassette", "block_network", "llm_cassette"):
            config.addinivalue_line("markers", name)
"""
TEST_APP = """
    import os
    from pathlib import Path
    import pytest
    from tests.matrices import migration_app as app

    def marked(case):
        return pytest.mark.llm_cassette(ignore=list(app.SETTINGS[case.setting].ignore))

    CASES = app.cases(whole=os.environ["MIGRATION_WHOLE"] == "yes")

    @pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=marked(case)) for case in CASES])
    def test_case(case, request):
        name = "".join("-" if char in "/:" else char for char in request.node.name)
        app.play(case, Path(__file__), name)
"""
TEST_RECORDED = """
    import os, pytest
    from tests.matrices import migration_app as app

    pytestmark = [pytest.mark.vcr, pytest.mark.llm_cassette]
    BASE = os.environ["MIGRATION_PLAIN"]
    LONG = pytest.param("x" * 300, id="x" * 300)
    AWKWARD = [LONG, "a/b", "c:d", 'e"f', "g\\\\h", "i|j", "k*?<>l", "m'n", "50%", "o p", "q.r", "é", "s[t]", "u::v"]

    @pytest.fixture(scope="module")
    def vcr_config():
        return {"filter_headers": ["authorization", "x-api-key"]}

    @pytest.fixture(autouse=True)
    def noted(request):
        answers = []
        yield answers
        owner = f"{request.cls.__qualname__}." if request.cls else ""
        app.note(owner + request.node.name, answers=answers)

    def test_plain(noted):
        noted += app.openai_plain(BASE, "", app.QUESTIONS)

    @pytest.mark.parametrize("value", AWKWARD)
    def test_ids(noted, value):
        noted += app.requests_json(BASE, "", [value, "again"])

    @pytest.mark.parametrize("one", [1, 2])
    @pytest.mark.parametrize("two", ["x", "y"])
    def test_two_ids(noted, one, two):
        noted += app.httpx_plain(BASE, "", [f"{one} {two}"])

    class TestInClass:
        def test_plain(self, noted):
            noted += app.anthropic_streamed(BASE, "", app.QUESTIONS)

        class TestNested:
            @pytest.mark.parametrize("value", ["a/b", "c"])
            def test_ids(self, noted, value):
                noted += app.openai_async(BASE, "", [value])

    @pytest.mark.default_cassette("named.yaml")
    def test_named(noted):
        noted += app.urllib3_json(BASE, "", app.QUESTIONS)

    @pytest.mark.default_cassette("named_without_suffix")
    def test_named_without_suffix(noted):
        noted += app.urllib_json(BASE, "", app.QUESTIONS)

    @pytest.mark.block_network
    def test_blocked(noted):
        noted += app.aiohttp_json(BASE, "", app.QUESTIONS)

    @pytest.mark.vcr(serializer="json")
    def test_in_json(noted):
        noted += app.openai_streamed(BASE, "", app.QUESTIONS)

    @pytest.mark.vcr(match_on=["method", "uri"])
    def test_with_settings(noted):
        noted += app.anthropic_async(BASE, "", app.QUESTIONS)
"""


class PackingServer(ChatServer):
    """Packs its answers, as the providers' servers do, and refuses what it is asked to refuse."""

    def __init__(self, *, packed: bool) -> None:
        super().__init__(count=True)
        self.packed = packed
        self.busy: set[str] = set()
        self._server.RequestHandlerClass = _PackingHandler

    def take(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int, int]:
        number, status = super().take(body, headers)
        words = chat_server.question_of(body).split()
        if words[:1] == ["busy"] and words[-1] not in self.busy:
            # Once, so that trying again helps.
            self.busy.add(words[-1])
            status = 429
        elif words[:1] in (["deny"], ["break"]):
            status = int(words[1])
        return number, status


class _PackingHandler(chat_server._Handler):
    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        self.path = self.path.partition("?")[0]
        super().do_POST()

    def _send(self, status: int, content_type: str, parts: list[str]) -> None:
        owner = self.server.owner
        assert isinstance(owner, PackingServer)
        if not owner.packed or "gzip" not in self.headers.get("accept-encoding", ""):
            super()._send(status, content_type, parts)
            return
        data = gzip.compress("".join(parts).encode())
        self.send_response(status)
        for name, value in {
            "content-type": content_type,
            "content-encoding": "gzip",
            "content-length": str(len(data)),
            "set-cookie": f"session={app.COOKIE}; Path=/",
            "retry-after-ms": "1",
            "openai-organization": "org-canary0123456789abcdef",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@dataclass
class Phase:
    """What a run of the project's tests gave: answers by test, and what failing tests said."""

    answers: dict[str, list[str]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


class Project:
    """The project whose tests are recorded by stock, then migrated."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")} | env
        for name in ("CI", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "PYTEST_ADDOPTS"):
            self.env.pop(name, None)
        self.env["PYTHONPATH"] = str(ROOT)
        for name, text in {"conftest.py": CONFTEST, "test_app.py": TEST_APP, "test_recorded.py": TEST_RECORDED}.items():
            (folder / name).write_text(dedent(text), encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")

    def run(self, phase: str) -> Phase:
        """Run all tests in a phase."""
        notes, xml = self.folder / "notes.jsonl", self.folder / "report.xml"
        notes.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-pno:warnings", f"--junitxml={xml}", *PHASES[phase]]
        done = subprocess.run(
            [*command, *(f"-pno:{name}" for name in OTHERS)],
            cwd=self.folder,
            env={**self.env, "MIGRATION_PHASE": phase, "MIGRATION_NOTES": str(notes)},
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN,
        )
        assert done.returncode in (0, 1), done.stdout + done.stderr
        result = Phase()
        for line in notes.read_text(encoding="utf-8").splitlines():
            noted = json.loads(line)
            result.answers[noted["name"]] = noted["answers"]
        for case in ET.parse(xml).iter("testcase"):
            for failure in [*case.iter("failure"), *case.iter("error")]:
                owner = case.attrib["classname"].partition(".")[2]
                name = f"{owner}.{case.attrib['name']}" if owner else name_of(case.attrib["name"])
                result.failures[name] = failure.text or failure.attrib.get("message", "")
        return result

    def cassettes(self) -> list[Path]:
        """Return the cassettes that stock wrote."""
        return sorted(path for path in (self.folder / "cassettes").rglob("*") if path.suffix in (".yaml", ".json"))


def name_of(test: str) -> str:
    """Return the case of a test of `test_app`; any other test stands for itself."""
    return test.removeprefix("test_case[").removesuffix("]") if test.startswith("test_case[") else test


@dataclass
class Migration:
    """All phases of all cases."""

    recorded: Phase
    as_it_is: Phase
    ours: Phase
    stock: Phase
    adopting: dict[str, list[str]]


@contextmanager
def recorded(folder: Path, *, whole: bool) -> Iterator[tuple[Project, Phase]]:
    """Record with stock; when this yields, the servers are gone."""
    with PackingServer(packed=False) as plain, PackingServer(packed=True) as packed:
        bases = {"MIGRATION_PLAIN": f"http://{plain.host}", "MIGRATION_PACKED": f"http://{packed.host}"}
        project = Project(folder, {**bases, "MIGRATION_WHOLE": "yes" if whole else "no"})
        result = project.run("record")
    yield project, result


def migrate(folder: Path, *, whole: bool) -> Migration:
    """Go through all phases."""
    with recorded(folder, whole=whole) as (project, result):
        as_it_is = project.run("ours")
        adopting = {path.name: adopt_one(path) for path in project.cassettes()}
        return Migration(result, as_it_is, project.run("ours"), project.run("stock"), adopting)


def adopt_one(path: Path) -> list[str]:
    """Adopt a cassette; return what is wrong with what came of it."""
    scanner = SecretScanner({"A_API_KEY": app.KEY})
    before = _tape(path)
    original = path.read_bytes()
    try:
        done = adopt(path, scanner)
    except CassetteError as exc:
        return [f"refused: {exc}"]
    text = done.path.read_text(encoding="utf-8")
    after = _tape(done.path)
    wrong = [f"{secret} is in the file" for secret in (app.KEY, app.COOKIE, "org-canary") if secret in text]
    if not done.changed or not after.ours:
        wrong.append("it was not rewritten")
    if _said(before) != _said(after):
        wrong.append("other questions or answers, or in another order")
    if any(not each.meta.get("recorded_at") for each in after.interactions):
        wrong.append("when it was recorded is lost")
    if any("event-stream" in each.content_type and "text" not in each.meta for each in after.interactions):
        wrong.append("a stream's text is not there")
    if "!!binary" in text.partition("response:")[2]:
        wrong.append("an answer cannot be read")
    again = adopt(path, scanner)
    if again.changed or done.path.read_text(encoding="utf-8") != text:
        wrong.append("adopting twice changes it again")
    if done.path != path and path.read_bytes() != original:
        wrong.append("the file of JSON was changed")
    return wrong


def _tape(path: Path) -> Tape:
    return loads(path.read_text(encoding="utf-8"), path)


def _said(tape: Tape) -> list[Any]:
    """Return what was asked and answered, in order, whatever its layout."""
    return [
        (each.method, each.uri.partition("?")[0], _value(each.body), each.status, _value(each.content))
        for each in tape.interactions
    ]


def _value(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def outcome(phase: Phase, name: str, wanted: list[str], loud: str) -> tuple[str, str]:
    """Return what became of a case in a phase, and what was lost in it, if anything."""
    failure, answers = phase.failures.get(name), phase.answers.get(name)
    if failure is not None:
        if loud and loud in failure and "cassettes/" in failure:
            return "told", ""
        said = [line for line in failure.splitlines() if line.startswith("E ")] or failure.strip().splitlines()
        return "failed", f"failed: {' '.join(said[-1].split())[:200]}"
    if loud:
        return "silent", "nothing was said of a request that was recorded in another way"
    if answers != wanted:
        return "wrong", f"{answers!r} instead of {wanted!r}"
    return "same", ""


def clients_matrix(migration: Migration, *, whole: bool) -> Matrix:
    """Return the table of clients and settings."""
    heads = ("setting", "clients", "as it is", "adopted", "replays adopted", "stock replays adopted")
    matrix = Matrix(CLIENTS.format(version=version("vcrpy")), heads)
    cases = app.cases(whole=whole)
    for name in app.SETTINGS:
        columns: list[Counter[str]] = [Counter() for _ in heads[2:]]
        lost = []
        clients = [case for case in cases if case.setting == name]
        for case in clients:
            for column, (shown, what), head in zip(columns, results(migration, case), heads[2:], strict=True):
                column[shown] += 1
                if what:
                    lost.append(f"{case.client}, {head}: {what}")
        told = [", ".join(f"{count} {word}" for word, count in column.items()) for column in columns]
        matrix.add(name, len(clients), *told, tried=len(columns) * len(clients), lost=lost)
    return matrix


def results(migration: Migration, case: app.Case) -> list[tuple[str, str]]:
    """Return what became of a case: as it is, of its file when adopted, by us then, by stock then."""
    wanted = migration.recorded.answers.get(case.name, ["it was not recorded"])
    loud = app.SETTINGS[case.setting].loud
    found = [wrong for file, wrong in migration.adopting.items() if _is_of(file, case.name)]
    wrong = found[0] if found else ["it has no cassette"]
    return [
        outcome(migration.as_it_is, case.name, wanted, loud),
        ("wrong" if wrong else "kept", "; ".join(wrong)),
        outcome(migration.ours, case.name, wanted, loud),
        outcome(migration.stock, case.name, wanted, ""),
    ]


def _is_of(file: str, case: str) -> bool:
    return file.rpartition(".")[0] == f"test_case[{case}]".replace("/", "-")


def tests_matrix(migration: Migration) -> Matrix:
    """Return the table of pytest-recording's tests."""
    matrix = Matrix(TESTS, ("test", "as it is", "replays adopted", "pytest-recording replays adopted"))
    cases = {case.name for case in app.cases(whole=True)}
    for name, wanted in migration.recorded.answers.items():
        if name in cases:
            continue
        phases = (migration.as_it_is, migration.ours, migration.stock)
        became = [outcome(phase, name, wanted or ["nothing was asked"], "") for phase in phases]
        shown = name if len(name) < 60 else f"{name[:30]}... ({len(name)} characters)"
        matrix.add(shown, *(word for word, _ in became), tried=3, lost=[what for _, what in became if what])
    return matrix


def matrices(folder: Path, *, whole: bool = True) -> list[Matrix]:
    """Record, migrate and return both tables.

    Args:
        folder: An empty one.
        whole: Whether every client asks under every setting.
    """
    migration = migrate(folder, whole=whole)
    return [clients_matrix(migration, whole=whole), tests_matrix(migration)]


def main() -> int:
    """Print the tables; return 1 if anything was lost."""
    with tempfile.TemporaryDirectory() as folder:
        return max(report(matrix) for matrix in matrices(Path(folder)))


if __name__ == "__main__":
    sys.exit(main())
