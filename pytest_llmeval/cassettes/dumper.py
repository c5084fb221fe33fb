"""Write plain data as the YAML of a cassette: texts of several lines are blocks, as they stand."""

from __future__ import annotations

import re
from typing import Any

import yaml

# What keeps a text from being a block as it stands.
NOT_IN_BLOCK = re.compile("[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010fffe]|[\u2028\u2029\ufeff]| \n| $")


class _Dumper(yaml.SafeDumper):
    """Python's dumper: libyaml falls back to one quoted line on any emoji."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True

    def analyze_scalar(self, scalar: str) -> Any:
        """Tell what a text may be written as; PyYAML looks at each character, which takes seconds for megabytes."""
        if "\n" not in scalar or NOT_IN_BLOCK.search(scalar):
            return super().analyze_scalar(scalar)
        return yaml.emitter.ScalarAnalysis(
            scalar=scalar,
            empty=False,
            multiline=True,
            allow_flow_plain=False,
            allow_block_plain=False,
            allow_single_quoted=False,
            allow_double_quoted=True,
            allow_block=True,
        )

    def write_literal(self, text: str) -> None:
        """Write a text as a block, line by line where PyYAML goes character by character."""
        if NOT_IN_BLOCK.search(text):
            super().write_literal(text)
            return
        hints = self.determine_block_hints(text)
        self.write_indicator(f"|{hints}", True)
        self.open_ended = self.open_ended or hints.endswith("+")
        self.write_line_break()
        indent = " " * (self.indent or 0)
        lines = text.removesuffix("\n").split("\n")
        self.stream.write("".join(f"{indent}{line}\n" if line else "\n" for line in lines))
        self.line += len(lines)
        self.column, self.whitespace, self.indention = 0, True, True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _represent_chunks(dumper: yaml.SafeDumper, chunk: tuple[Any, ...]) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", chunk, flow_style=True)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(tuple, _represent_chunks)


def dump(data: Any) -> str:
    r"""Return the YAML text of plain data.

    >>> dump({"text": "a\nb"})
    'text: |-\n  a\n  b\n'
    """
    text: str = yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10**9)
    return text
