"""What a server's faults lead to: what the user sees, what is recorded, what replay then gives.

Run as a script for the whole table: ``python -m tests.matrices.faults``. Names of servers as arguments try those alone.
With the path of aimock's ``cli.js`` in the environment variable AIMOCK_CLI, that one is tried too.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.matrices.fault_cells import FAULTS, TOOL, TOOL_ARGUMENTS, Cell, cells_of
from tests.matrices.fault_clients import Seen, cut_short, run_cell
from tests.matrices.fault_mocks import AIMock, FakeLLM, LLMock, Mock
from tests.matrices.fault_project import FaultProject, Trace
from tests.matrices.fault_server import CAN, TOKENS, FaultServer
from tests.matrices.matrix import Matrix, report

MOCKS: tuple[type[Mock], ...] = (LLMock, FakeLLM, AIMock)
TITLE = "A bad answer is never recorded nor scored, a good one that came after it is, once, and replays as it was"
HEADS = ("server", "fault", "protocol", "the user sees", "recorded", "replay gives")
#: Stock modules that an official client may let an error through from.
CLIENTS = ("openai", "anthropic", "httpx2", "json", "builtins")
#: A line of a traceback that is in our code.
OUR_FRAME = re.compile(r"^\S*pytest_llmeval/\S+\.py:\d+: ", re.MULTILINE)


class Bare(Cell):
    """A cell that is asked without the plugin, under a name of its own."""

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(f"{prompt} without the plugin" for prompt in super().prompts)


@dataclass
class Case:
    """One cell with all that came of it.

    Attributes:
        bare: What the same client saw without the plugin; None where that was not tried.
        tape: Recorded interactions.
    """

    cell: Cell
    bare: list[Seen] | None
    recorded: Trace
    tape: list[dict[str, Any]]
    replayed: Trace

    def lost(self) -> list[str]:
        """Return what is not as a user would want it."""
        found = [*self._seen_wrong(), *self._recorded_wrong(), *self._replayed_wrong()]
        return [f"{self.cell.key}: {'; '.join(found)}"] if found else []

    @property
    def answers(self) -> list[Seen]:
        """The whole, good answers that the test got."""
        return [seen for prompt, seen in self._by_prompt() if self._is_good(seen, first=prompt.startswith("First"))]

    def _by_prompt(self) -> list[tuple[str, Seen]]:
        prompts = self.cell.prompts
        count = len(self.recorded.seen)
        # Asking again repeats the last question.
        return list(zip([*prompts, *[prompts[-1]] * (count - len(prompts))], self.recorded.seen, strict=False))

    def _is_good(self, seen: Seen, *, first: bool) -> bool:
        cell = self.cell
        if "error" in seen or not seen["finish"]:
            return False
        if cell.fault == "tools" and not first:
            calls = [[name, json.loads(arguments)] for name, arguments in seen["tools"]]
            return calls == [[TOOL, TOOL_ARGUMENTS]]
        text = f"first answer to {cell.key}" if first else cell.text()
        return bool(seen["content"] == cut_short(text)) and (cell.server != "own" or tuple(seen["tokens"]) == TOKENS)

    def _seen_wrong(self) -> Iterable[str]:
        cell, trace = self.cell, self.recorded
        if not trace.seen:
            yield f"nothing was seen: {trace.failed[-300:]}"
            return
        last = trace.seen[-1]
        if cell.way == "llm":
            yield from self._llm_wrong(last)
        elif self.bare is not None:
            # An official client must not behave in another way because it is being recorded.
            if not _alike(self.bare, trace.seen):
                yield f"the client saw {_short(trace.seen)}, and without the plugin {_short(self.bare)}"
        elif "error" in last and last["module"].partition(".")[0] not in CLIENTS:
            yield f"the client raised {_short([last])}"
        if "error" not in last and trace.failed:
            yield f"a failure of ours: {trace.failed[-300:]}"
        if cell.course in ("lasting", "after") and self._is_good(last, first=False):
            yield "the server did not fail"

    def _llm_wrong(self, last: Seen) -> Iterable[str]:
        cell, trace = self.cell, self.recorded
        errors = [seen for seen in trace.seen if "error" in seen]
        for error in errors:
            if error["error"] != "ProviderError" or error["kind"] not in cell.kind.kinds:
                yield f"{_short([error])} instead of a ProviderError of kind {'/'.join(sorted(cell.kind.kinds))}"
        if cell.recovers and not self._is_good(last, first=False):
            yield f"no good answer: {_short([last])}"
        elif not cell.recovers and "error" not in last:
            yield f"an answer that is none: {_short([last])}"
        if "error" in last:
            if OUR_FRAME.search(trace.failed) or last["message"][:60] not in trace.failed:
                yield f"a traceback of ours: {trace.failed[-500:]}"
            outcome, score = trace.record.get("outcome"), trace.record.get("score")
            if (outcome, score) != ("error", None):
                yield f"counted as {outcome} with score {score}"

    def _recorded_wrong(self) -> Iterable[str]:
        wanted = len(self.answers)
        if len(self.tape) != wanted:
            yield f"{len(self.tape)} recorded, {wanted} good"
        for interaction in self.tape:
            text = str(interaction["response"]["body"]["string"])
            first = "First [" in str(interaction["request"]["body"])
            if interaction["response"]["status"]["code"] != 200 or not _is_whole(text, self.cell, first):
                yield f"recorded: {text[-200:]!r}"

    def _replayed_wrong(self) -> Iterable[str]:
        trace, good = self.replayed, self.answers
        if not _alike(trace.seen, good):
            yield f"replay gave {_short(trace.seen)} for {_short(good)}"
        for now, then in zip(trace.seen, good, strict=False):
            if self.cell.way == "llm" and (now.get("replayed"), now.get("timed")) != (True, then["timed"]):
                yield f"replayed as {now.get('replayed')} with times {now.get('timed')} for {then['timed']}"
        complete = len(good) == len(self.cell.prompts)
        if complete and trace.failed:
            yield f"replay failed: {trace.failed[-300:]}"
        elif not complete and not _is_miss(trace.failed):
            yield f"replay does not say what is missing: {trace.failed[-500:] or trace.seen}"

    def columns(self) -> tuple[str, str, str]:
        """Return what the user saw, what was recorded, and what replay gave, in a word each."""
        last = self.recorded.seen[-1] if self.recorded.seen else {"error": "nothing"}
        if "error" in last:
            seen = f"{last['error']} {last.get('kind') or ''}".strip()
        else:
            seen = "answer" if self._is_good(last, first=False) else "half an answer"
        missing = len(self.replayed.seen) < len(self.cell.prompts)
        return seen, str(len(self.tape)), "miss" if missing else "answer"


def _is_whole(text: str, cell: Cell, first: bool) -> bool:
    """Whether a recorded body is a whole answer of its protocol that says what it should."""
    if cell.fault == "tools" and not first:
        words = [TOOL, "city"]
    else:
        words = ["first answer to" if first else "This answers", cell.key]
    if cell.fault == "big" and not first:
        words = [cell.key]
    if not cell.streamed:
        try:
            answer = json.loads(text)
        except ValueError:
            return False
        return ("choices" in answer or "content" in answer) and all(word in text for word in words)
    # Servers cut texts, and so words, where they like.
    said = "".join(re.findall(r'"(?:content|text|arguments|partial_json|name)": ?"((?:[^"\\]|\\.)*)"', text))
    end = "[DONE]" if cell.protocol == "openai" else "message_stop"
    return end in text and all(word in said for word in words)


def _is_miss(text: str) -> bool:
    said = "No recording: " in text or " is stale: " in text or "all 1 recorded answers are used up" in text
    return said and "Record again:  pytest " in text and "Traceback" not in text and not OUR_FRAME.search(text)


def _alike(these: Sequence[Seen], those: Sequence[Seen]) -> bool:
    keys = ("content", "tools", "tokens", "finish", "error", "message")
    # Addresses of objects differ from one run to the next.
    plain = [
        [re.sub(r"0x[0-9a-f]+", "0x", repr([seen.get(key) for key in keys])) for seen in s] for s in (these, those)
    ]
    return plain[0] == plain[1]


def _short(seen: Sequence[Seen]) -> str:
    return repr([{k: v for k, v in one.items() if k in ("error", "kind", "message", "content")} for one in seen])[:400]


def all_cells() -> list[Cell]:
    """Return the cells of all servers that can be had here."""
    cells = cells_of("own", CAN)
    for mock in MOCKS:
        if mock is not AIMock or AIMock.there():
            cells += cells_of(mock.name, mock.can)
    return cells


def bare_runs(cells: Iterable[Cell], server: FaultServer) -> dict[str, list[Seen]]:
    """Return what official clients see of our server without the plugin, by the cells' keys."""

    def ask(cell: Cell) -> list[Seen]:
        seen: list[Seen] = []
        with suppress(Exception):
            run_cell(Bare.of(cell.key), server.urls, None, seen.append)
        # What the other runs saw went through JSON too, which puts halves of letters together.
        passed_on: list[Seen] = json.loads(json.dumps(seen))
        return passed_on

    chosen = [cell for cell in cells if cell.server == "own" and cell.way == "client"]
    with ThreadPoolExecutor(8) as pool:
        return dict(zip([cell.key for cell in chosen], pool.map(ask, chosen), strict=True))


def try_cells(cells: Sequence[Cell], folder: Path, mode: str = "once") -> tuple[list[Case], list[str]]:
    """Record, look at the disk, and replay with the servers gone; return the cases and files that should not be."""
    names = {cell.server for cell in cells}
    mocks = [mock(folder, cells) for mock in MOCKS if mock.name in names]
    server = FaultServer()
    with ExitStack() as stack:
        server.start()
        stack.callback(server.stop)
        for mock in mocks:
            mock.start()
            stack.callback(mock.stop)
        for mock in mocks:
            mock.wait()
        urls = {"own": server.urls, **{mock.name: mock.urls for mock in mocks}}
        port = next((mock.port for mock in mocks if mock.name == "llmock"), 0)
        project = FaultProject(folder, cells, urls, port)
        recorded = project.run("record", mode)
        bare = bare_runs(cells, server)
    tapes, strange = project.recordings()
    replayed = project.run("replay", "none")
    cases = [Case(cell, bare.get(cell.key), recorded[cell.key], tapes[cell.key], replayed[cell.key]) for cell in cells]
    return cases, strange


def faults_matrix(cells: Sequence[Cell], folder: Path, mode: str = "once") -> Matrix:
    """Try cells and return the table, a line for each server, fault and protocol."""
    cases, strange = try_cells(cells, folder, mode)
    rows: dict[tuple[str, str, str], list[Case]] = defaultdict(list)
    for case in cases:
        rows[case.cell.server, case.cell.fault, case.cell.protocol].append(case)
    matrix = Matrix(TITLE, HEADS)
    order = {name: place for place, name in enumerate(FAULTS)}
    for server, fault, protocol in sorted(rows, key=lambda row: (row[0] != "own", row[0], order[row[1]], row[2])):
        row = rows[server, fault, protocol]
        columns = [_counted(case.columns()[place] for case in row) for place in range(3)]
        lost = [what for case in row for what in case.lost()]
        matrix.add(server, fault, protocol, *columns, tried=len(row), lost=lost)
    if strange:
        matrix.add("", "files that are no cell's", "", "", "", "", tried=len(strange), lost=strange)
    return matrix


def _counted(words: Iterable[str]) -> str:
    return ", ".join(f"{word}: {count}" for word, count in Counter(words).most_common())


def main(arguments: Sequence[str]) -> int:
    """Try everything and print it."""
    cells = [cell for cell in all_cells() if not arguments or cell.server in arguments]
    status = 0
    for mode, chosen in (
        ("once", [cell for cell in cells if cell.server == "own"]),
        ("new", [cell for cell in cells if cell.server != "own"]),
    ):
        if chosen:
            with tempfile.TemporaryDirectory() as folder:
                status |= report(faults_matrix(chosen, Path(folder), mode))
    return status if cells else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
