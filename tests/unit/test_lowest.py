"""The file of oldest versions says what pyproject.toml admits."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def versions(lines: list[str], operator: str) -> dict[str, tuple[int, ...]]:
    found = {}
    for line in lines:
        match = re.fullmatch(rf"([a-z0-9-]+){operator}([0-9.]+)", line)
        if match:
            numbers = [int(part) for part in match.group(2).split(".")]
            found[match.group(1)] = tuple(numbers + [0] * (3 - len(numbers)))
    return found


def test_the_lowest_versions_are_those_of_the_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest = versions((ROOT / "tests" / "lowest.txt").read_text(encoding="utf-8").splitlines(), "==")
    assert versions(project["dependencies"], ">=") == lowest
