"""A terminal, as far as pytest and the progress line use one: what stands on its screen after some bytes came."""

from __future__ import annotations

import re
from collections.abc import Iterator

SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b([78D])|([\r\n\b])|([^\x1b\r\n\b]+)", re.DOTALL)


class Screen:
    """A screen of some rows and columns; `history` is what was scrolled off at its top.

    >>> screen = Screen(rows=2, columns=9)
    >>> screen.feed("one\\r\\ntwo\\r\\nthr\\x1b7\\x1b[A\\rTWO\\x1b8ee")
    >>> screen.text()
    'one\\nTWO\\nthree'
    """

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        self.rows, self.columns = rows, columns
        self.history: list[str] = []
        self._lines = [[" "] * columns for _ in range(rows)]
        self._row = self._column = 0
        self._saved = (0, 0)

    def feed(self, text: str) -> None:
        """Take what a process wrote."""
        for number, command, single, control, plain in SEQUENCE.findall(text):
            if plain:
                self._put(plain)
            elif command:
                self._command(command, int(number) if number.isdigit() else 1, number)
            elif single == "7":
                self._saved = self._row, self._column
            elif single == "8":
                self._row, self._column = self._saved
            elif control == "\r":
                self._column = 0
            elif control == "\b":
                self._column = max(0, self._column - 1)
            else:
                # A line feed, or an index.
                self._down()

    def _command(self, command: str, number: int, parameters: str) -> None:
        if command == "A":
            self._row = max(0, self._row - number)
        elif command == "B":
            self._row = min(self.rows - 1, self._row + number)
        elif command == "K":
            self._lines[self._row][self._column :] = [" "] * (self.columns - self._column)
        elif command != "m":
            raise NotImplementedError(f"ESC [ {parameters} {command}")

    def _put(self, text: str) -> None:
        for character in text:
            if self._column == self.columns:
                self._column = 0
                self._down()
            self._lines[self._row][self._column] = character
            self._column += 1

    def _down(self) -> None:
        if self._row < self.rows - 1:
            self._row += 1
        else:
            self.history.append("".join(self._lines.pop(0)).rstrip())
            self._lines.append([" "] * self.columns)

    def lines(self) -> Iterator[str]:
        """Yield the lines on the screen."""
        return ("".join(line).rstrip() for line in self._lines)

    def text(self) -> str:
        """Return all lines that there were, without empty ones at the end."""
        return "\n".join([*self.history, *self.lines()]).rstrip()
