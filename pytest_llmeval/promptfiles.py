"""Prompts that live in files: ``system="@prompts/extract.md"``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llmeval.errors import ConfigError
from pytest_llmeval.projectfiles import find_file, read_text, shown_path

if TYPE_CHECKING:
    from pytest_llmeval.cases import Case

MARK = "@"


def is_template(text: str) -> bool:
    """Whether a text has places for fields.

    >>> is_template("Answer {{ input }}"), is_template("Return {}.")
    (True, False)
    """
    return "{{" in text or "{%" in text


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A file with a prompt in it.

    Attributes:
        name: Its path, relative to the rootdir.
        text: What stands in it, without the line end at its end.
        sha256: Of its content with line ends as LF: the same on every system.
    """

    name: str
    text: str
    sha256: str


class PromptFiles:
    """Reads each file once a session.

    Args:
        root: pytest's rootdir.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[Path, PromptFile] = {}

    def read(self, written: str, folder: Path) -> PromptFile:
        """Return a file, looked for in `folder` and then in the rootdir.

        Raises:
            ConfigError: There is none, or it is not UTF-8.
        """
        path = find_file(written, list(dict.fromkeys([folder, self.root])), "prompt")
        if path not in self._files:
            name = shown_path(path, self.root)
            text = read_text(path, name)
            digest = hashlib.sha256(text.encode()).hexdigest()
            # As Jinja2 does with a template: whether a text has fields must not change its end.
            self._files[path] = PromptFile(name, text.removesuffix("\n"), digest)
        return self._files[path]


class Prompts:
    """Makes the text that is sent of what the author of a test wrote: names of files, templates, or the text itself.

    Args:
        files: The files of the session.
        folder: Where the test file is.
    """

    def __init__(self, files: PromptFiles, folder: Path) -> None:
        self._files = files
        self._folder = folder

    def text(
        self, written: str, argument: str, case: Case | None, note: Callable[[str, str], None] = lambda *_: None
    ) -> str:
        """Return the text.

        Args:
            written: ``@path``, ``@@`` for text that begins with the mark, or text. What goes over several lines is
                text. Text with ``{{`` or ``{%`` in it is a template: in a file always, else where there is a case.
            argument: ``system`` or ``prompt``, for messages.
            case: What fills the template.
            note: Told the name and the SHA-256 of a file that was used.

        Raises:
            ConfigError: The file or the template cannot be used.
        """
        if not isinstance(written, str):
            raise ConfigError(f"{argument}={written!r}: should be text.")
        name, text, filled = argument, written, case is not None
        if written.startswith(MARK) and "\n" not in written.rstrip("\n"):
            if written.startswith(MARK * 2):
                text = written[1:]
            else:
                file = self._read(written, argument)
                note(file.name, file.sha256)
                name, text, filled = file.name, file.text, True
        if not filled or not is_template(text):
            return text
        from pytest_llmeval.templates import render

        return render(text, name, case)

    def _read(self, written: str, argument: str) -> PromptFile:
        try:
            return self._files.read(written[1:].strip(), self._folder)
        except ConfigError as exc:
            raise ConfigError(f"{argument}={written!r}: {exc} For text that begins with @, write @@.") from None
