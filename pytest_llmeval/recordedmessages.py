"""What was asked in two runs, word by word: read from their recordings, which a run's own file leaves out."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.format import Interaction, loads
from pytest_llmeval.cassettes.matching import json_body
from pytest_llmeval.errors import CassetteError, RunError
from pytest_llmeval.gittree import GitTree
from pytest_llmeval.records import Call, Run, TestRecord

#: Answers come in while a run goes on, and the clocks of several machines differ a little.
SLACK = timedelta(minutes=5)


class RecordedMessages:
    """Finds the messages of a test in the recordings of two runs.

    The later run's are on the disk; the earlier one's in the commit that it was made of, else on the disk too. A
    recording that is not the one which a run replayed or made is passed over: it may say something else.

    Args:
        before: The earlier run.
        after: The later one.
        rootdir: Folder of the project.
    """

    def __init__(self, before: Run, after: Run, rootdir: Path) -> None:
        self._before = before
        self._after = after
        self._rootdir = rootdir
        self._tree: GitTree | None = None
        self._looked = False

    def __call__(self, old: TestRecord, new: TestRecord) -> tuple[str, str] | None:
        """Return the messages of the first call that asks otherwise than before; None where they are not at hand."""
        pairs = enumerate(zip(old.calls, new.calls, strict=False))
        index = next((n for n, (was, now) in pairs if was.messages_digest != now.messages_digest), None)
        if index is None:
            return None
        later = _messages(self._on_disk(new), new, index, self._after)
        for interactions in (self._committed(old), self._on_disk(old)):
            earlier = _messages(interactions, old, index, self._before)
            if earlier is not None and later is not None and earlier != later:
                return earlier, later
        return None

    def _on_disk(self, test: TestRecord) -> list[Interaction]:
        try:
            return read_tape(self._rootdir / test.cassette)[0].interactions if test.cassette else []
        except (CassetteError, ValueError):
            return []

    def _committed(self, test: TestRecord) -> list[Interaction]:
        tree = self._commit()
        if tree is None or not test.cassette:
            return []
        path = self._rootdir / test.cassette
        inner = tree.inside(path)
        try:
            return loads(tree.read(inner).decode("utf-8"), path).interactions if inner is not None else []
        except (CassetteError, RunError, ValueError):
            return []

    def _commit(self) -> GitTree | None:
        commit = self._before.header.commit if self._before.header is not None else None
        if not self._looked and commit:
            self._looked = True
            try:
                self._tree = GitTree(self._rootdir, commit)
            except RunError:
                # The project may have moved to another repository, or a clone may lack the commit.
                self._tree = None
        return self._tree


def _messages(interactions: list[Interaction], test: TestRecord, index: int, run: Run) -> str | None:
    """Return the messages of one call of a test, if the recording is that of the call."""
    if len(interactions) != len(test.calls) or not _is_of(interactions[index], test.calls[index], run):
        return None
    body = json_body(interactions[index].body)
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list):
        return None
    return "\n".join(_text(message) for message in messages if _role(message) != "system")


def _is_of(interaction: Interaction, call: Call, run: Run) -> bool:
    when, header = interaction.recorded_at, run.header
    if when is None:
        return False
    try:
        if call.replayed:
            return call.recorded_at is not None and datetime.fromisoformat(call.recorded_at) == when
        began = datetime.fromisoformat(header.started) if header is not None and header.started else None
        ended = datetime.fromisoformat(run.end.finished) if run.end is not None and run.end.finished else None
        return began is not None and ended is not None and began - SLACK <= when <= ended + SLACK
    except (ValueError, TypeError):
        return False


def _role(message: Any) -> str:
    return str(message.get("role", "")) if isinstance(message, dict) else ""


def _text(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else message
    parts = content if isinstance(content, list) else [content]
    texts = [str(part.get("text", f"({part.get('type')})")) if isinstance(part, dict) else str(part) for part in parts]
    return f"{_role(message)}: {' '.join(texts)}"
