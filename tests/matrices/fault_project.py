"""The project whose tests are the cells of the matrix of faults, and how its runs are read back."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi
import yaml

from tests.matrices.fault_cells import Cell
from tests.matrices.fault_clients import Seen

ROOT = Path(__file__).parents[2]
KEY = re.compile(r"\w+\.[\w-]+\.(?:openai|anthropic)\.\w+\.\w+\.\w+\.\w+")

CONFTEST = """
import json
import os
from pathlib import Path

import anthropic._base_client
import openai._base_client

# The clients wait half a second before they try again, which some hundred cells cannot.
for sdk in (anthropic._base_client, openai._base_client):
    assert sdk.INITIAL_RETRY_DELAY
    sdk.INITIAL_RETRY_DELAY = 0.01

OUT = Path(__file__).parent / os.environ["FAULTS_PHASE"]
FAILED = {}


def pytest_runtest_logreport(report):
    if report.failed:
        FAILED.setdefault(report.nodeid, []).append(report.longreprtext)


def pytest_llmeval_run_finished(run):
    (OUT / "run.json").write_text(json.dumps([test.to_json() for test in run.tests]), encoding="utf-8")


def pytest_sessionfinish():
    (OUT / "failed.json").write_text(json.dumps(FAILED), encoding="utf-8")
"""

TESTS = """
import json
import os
from pathlib import Path

import pytest

from tests.matrices.fault_cells import Cell
from tests.matrices.fault_clients import run_cell
from tests.matrices.fault_mocks import LLMock

HERE = Path(__file__).parent
PHASE = os.environ["FAULTS_PHASE"]
URLS = json.loads((HERE / "urls.json").read_text(encoding="utf-8"))
PORTS = json.loads((HERE / "ports.json").read_text(encoding="utf-8"))


def run(key, llm=None):
    cell = Cell.of(key)
    before = None
    if cell.server == "llmock" and PHASE == "record":
        before = lambda prompt: LLMock.prepare(PORTS["llmock"], cell, prompt)
    seen = []
    try:
        run_cell(cell, URLS[cell.server], llm, seen.append, before)
    finally:
        (HERE / PHASE / key).write_text(json.dumps(seen), encoding="utf-8")
"""
LLM_TEST = """
@pytest.mark.llm_models({alias!r})
@pytest.mark.parametrize("key", {keys!r})
def test_{name}(llm, key):
    run(key, llm)
"""
CLIENT_TEST = """
@pytest.mark.llm_cassette
@pytest.mark.parametrize("key", {keys!r})
def test_client(key):
    run(key)
"""
MODEL = """
[tool.llmeval.models.{alias}]
model = "{protocol}:m"
base_url = "{url}"
max_retries = {retries}
timeout = {timeout}
"""


@dataclass
class Trace:
    """What one run left of a cell.

    Attributes:
        seen: What came of each question.
        failed: What pytest printed of its failure, or an empty string.
        record: Its `TestRecord`.
    """

    seen: list[Seen] = field(default_factory=list)
    failed: str = ""
    record: dict[str, Any] = field(default_factory=dict)


class FaultProject:
    """A folder with a test for each cell."""

    def __init__(self, folder: Path, cells: Iterable[Cell], urls: Mapping[str, dict[str, str]], port: int) -> None:
        self.folder = folder
        self.cells = list(cells)
        self._urls = urls
        (folder / "urls.json").write_text(json.dumps(urls), encoding="utf-8")
        (folder / "ports.json").write_text(json.dumps({"llmock": port}), encoding="utf-8")
        (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
        (folder / "test_cells.py").write_text(self._tests(), encoding="utf-8")
        (folder / "pyproject.toml").write_text(self._settings(), encoding="utf-8")
        (folder / "one.pem").write_text(_one_certificate(), encoding="ascii")

    def _tests(self) -> str:
        by_alias: dict[str, list[str]] = {}
        for cell in self.cells:
            by_alias.setdefault(cell.alias if cell.way == "llm" else "", []).append(cell.key)
        clients = by_alias.pop("", [])
        parts = [LLM_TEST.format(alias=a, name=a.replace("-", "_"), keys=keys) for a, keys in by_alias.items()]
        return "\n".join([TESTS, *parts, CLIENT_TEST.format(keys=clients)])

    def _settings(self) -> str:
        by_alias = {cell.alias: cell for cell in self.cells}
        models = [
            MODEL.format(
                alias=alias,
                protocol=cell.protocol,
                url=self._urls[cell.server][cell.protocol],
                retries=cell.max_retries,
                timeout=cell.timeout,
            )
            for alias, cell in by_alias.items()
        ]
        # The mocks' control addresses go by that name.
        scope = 'asyncio_default_fixture_loop_scope = "function"'
        return "\n".join([f'[tool.pytest.ini_options]\nllm_passthrough = ["localhost"]\n{scope}', *models])

    def run(self, phase: str, mode: str) -> dict[str, Trace]:
        """Run all tests in a process of their own; return what they left, by the cells' keys.

        Raises:
            RuntimeError: The run itself broke.
        """
        out = self.folder / phase
        out.mkdir()
        options = ["-q", "-pno:cacheprovider", "-pno:randomly", "-pno:llmock", "-pno:xdist", f"--llm-record={mode}"]
        command = [sys.executable, "-m", "pytest", *options, "test_cells.py"]
        env = {**self._environment(), "FAULTS_PHASE": phase}
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True)
        (out / "output.txt").write_text(done.stdout + done.stderr, encoding="utf-8")
        if done.returncode not in (0, 1):
            raise RuntimeError(f"{phase}: exit status {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return self._read(out)

    def _environment(self) -> dict[str, str]:
        strange = ("_API_KEY", "_AUTH_TOKEN", "_BASE_URL", "_PROXY", "_proxy")
        env = {name: value for name, value in os.environ.items() if not name.endswith(strange) and name != "CI"}
        # Reading all certificates takes most of the time in which a client is built, and nothing here uses TLS.
        return {**env, "PYTHONPATH": str(ROOT), "SSL_CERT_FILE": str(self.folder / "one.pem"), "COLUMNS": "120"}

    def _read(self, out: Path) -> dict[str, Trace]:
        traces = {cell.key: Trace() for cell in self.cells}
        for key, trace in traces.items():
            if (out / key).exists():
                trace.seen = json.loads((out / key).read_text(encoding="utf-8"))
        for nodeid, texts in json.loads((out / "failed.json").read_text(encoding="utf-8")).items():
            traces[_key_in(nodeid)].failed = "\n".join(texts)
        for record in json.loads((out / "run.json").read_text(encoding="utf-8")):
            traces[_key_in(record["nodeid"])].record = record
        return traces

    def recordings(self) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
        """Return the recorded interactions by cell, read by a plain YAML parser, and the files that are none of them.

        A recording belongs to the cell that its requests name.
        """
        tapes: dict[str, list[dict[str, Any]]] = {cell.key: [] for cell in self.cells}
        strange = []
        for path in (self.folder / "llm_cassettes").rglob("*"):
            if path.is_dir():
                continue
            text = path.read_text(encoding="utf-8")
            interactions = yaml.load(text, yaml.CSafeLoader)["interactions"] if path.suffix == ".yaml" else []
            keys = {_key_in(interaction["request"]["body"]) for interaction in interactions}
            if len(keys) == 1 and not tapes[min(keys)]:
                tapes[keys.pop()] = interactions
            else:
                strange.append(str(path.relative_to(self.folder)))
        return tapes, strange


def _key_in(text: str) -> str:
    # The name of a candidate may stand before the key, joined with a hyphen; no server's name has one.
    found = KEY.search(text)
    assert found is not None, text
    return found[0]


def _one_certificate() -> str:
    text = Path(certifi.where()).read_text(encoding="utf-8")
    end = "-----END CERTIFICATE-----\n"
    return text[text.index("-----BEGIN CERTIFICATE-----") : text.index(end) + len(end)]
