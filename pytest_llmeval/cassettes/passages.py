"""What a cassette's text is made of, passage by passage, and whether a secret stands in one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_llmeval.cassettes.detours import passed_over
from pytest_llmeval.cassettes.format import Interaction, is_json_object, laid_out
from pytest_llmeval.cassettes.redact import SecretScanner

#: How YAML has a body that cannot stand in the text as it is.
BINARY = "!!binary"


@dataclass(slots=True)
class Passage:
    """A part of a cassette's text.

    Attributes:
        text: As it is written.
        interactions: What it is the text of.
        clean: For which `SecretScanner.version` it is known to hold no secret.
    """

    text: str
    interactions: Sequence[Interaction] = ()
    clean: int | None = None

    def is_clean(self, scanner: SecretScanner, since: int | None = None) -> bool:
        """Whether it holds no secret; looked for once, unless the scanner has learned more, up to version `since`."""
        version = scanner.version
        if self.clean is None or self.clean < (version if since is None else since):
            if scanner.find(self.text) or any(scanner.find_in_body(body) for _, _, body in self._hidden()):
                return False
            self.clean = version
        return True

    def secrets_in_text(self, scanner: SecretScanner) -> list[tuple[int, str]]:
        """Return the secrets that stand in the text as it is, by line from 0."""
        return [(finding.line - 1, finding.what) for finding in scanner.find(self.text)]

    def secrets_in_bodies(self, scanner: SecretScanner) -> list[tuple[str, int, str]]:
        """Return the secrets that are packed or split in a body: in what, of which interaction from 0, and which."""
        return [(name, number, what) for name, number, body in self._hidden() for what in scanner.find_in_body(body)]

    def _hidden(self) -> Iterable[tuple[str, int, bytes]]:
        """Yield the bodies of which something may not stand in the text."""
        shown = BINARY not in self.text
        for number, interaction in enumerate(self.interactions):
            for name, body in (("request", interaction.body), ("answer", interaction.content)):
                # All that a JSON object says stands in the text.
                if not (shown and is_json_object(body)):
                    yield name, number, body
            for each in passed_over([interaction]):
                yield "request that failed before", number, each.body


class Passages:
    """The passages of one cassette, which is written again and again while it grows.

    Safe to use from several threads: at worst, two do the same.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, Passage] = {}

    def __iter__(self) -> Iterator[Passage]:
        return iter(list(self._by_id.values()))

    def of_all(self, interactions: Iterable[Interaction]) -> list[Passage]:
        """Return the passages of all interactions that there are; those of others are forgotten."""
        passages = [self.of(interaction) for interaction in interactions]
        self._by_id = {id(passage.interactions[0]): passage for passage in passages}
        return passages

    def of(self, interaction: Interaction) -> Passage:
        """Return the passage of an interaction, which no longer changes."""
        found = self._by_id.get(id(interaction))
        if found is None:
            # It holds on to the interaction, so that no other gets its id.
            found = self._by_id[id(interaction)] = Passage(laid_out(interaction), (interaction,))
        return found


def secrets_in(path: Path, passages: Iterable[Passage], scanner: SecretScanner, since: int | None = None) -> list[str]:
    """Return where secrets are: in the file's name, by line of its text, or in a body, packed or split."""
    # Folder of the module, of the candidate, and the test with its parameters.
    found = [f"the name of the file: {what}" for what in scanner.find_cut("/".join(path.parts[-3:]))]
    in_text: dict[str, int] = {}
    in_bodies: list[str] = []
    line = number = 1
    for passage in passages:
        if not passage.is_clean(scanner, since):
            for below, what in passage.secrets_in_text(scanner):
                in_text.setdefault(what, line + below)
            in_bodies += [f"{name} {number + n}: {what}" for name, n, what in passage.secrets_in_bodies(scanner)]
        line += passage.text.count("\n")
        number += len(passage.interactions)
    found += [f"line {where}: {what}" for what, where in in_text.items()]
    return found or in_bodies
