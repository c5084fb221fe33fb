"""How commands print figures: a screen as wide as the terminal, or JSON for scripts; and which project they are of."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pytest_llmeval.errors import ConfigError

if TYPE_CHECKING:
    from pytest_llmeval.records import Run
    from pytest_llmeval.reports.terminal import Screen
    from pytest_llmeval.settings import Requirements, Settings


def add_format(parser: argparse.ArgumentParser) -> None:
    """Declare ``--format``."""
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def new_screen() -> Screen:
    """Return an empty screen as wide as the terminal."""
    from pytest_llmeval.reports.terminal import NARROWEST, Screen

    width = max(shutil.get_terminal_size().columns, NARROWEST)
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return Screen(width, color, sys.stdout.encoding or "utf-8")


def print_json(data: Any) -> None:
    """Print a document for scripts and notebooks."""
    from pytest_llmeval.runlines import safe_json

    print(safe_json(data, indent=2))


def project_settings() -> Settings:
    """Return the settings of the project that this process runs in.

    Raises:
        ConfigError: They cannot be used.
    """
    from pytest_llmeval.collecting import read_configuration
    from pytest_llmeval.settings import load_settings

    return load_settings(read_configuration().rootdir)


def asked_requirements(written: Sequence[str], run: Run | None = None) -> Requirements:
    """Return the requirements of the command line, over those that a run was made with, or else the project's.

    Raises:
        ConfigError: Some cannot be used.
    """
    from pytest_llmeval.settings import Requirements, parse_requirements

    own = Requirements.from_json(run.header.requirements) if run is not None and run.header is not None else None
    return parse_requirements(map(_spelled_out, written), own or project_settings().requirements, "--requirements")


def _spelled_out(requirement: str) -> str:
    """Write the number of a requirement in digits: ``context_needed=128K``."""
    from pytest_llmeval.listing import number

    key, sign, value = requirement.partition("=")
    if not value.strip().lower().endswith(("k", "m")):
        return requirement
    try:
        return f"{key}{sign}{number(value):f}"
    except ValueError:
        return requirement


def day(text: str | None) -> date | None:
    """Return a day that was written on the command line.

    Raises:
        ConfigError: It is none.
    """
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--on={text}: write a day as YYYY-MM-DD: 2025-06-01.") from None


def whole(text: str) -> int:
    """Return a whole number from 1 that may end with K or M; for argparse.

    >>> whole("500K"), whole("1,000,000")
    (500000, 1000000)
    """
    value = amount(text)
    if not value or value != int(value):
        raise argparse.ArgumentTypeError(f"{text!r}: write a whole number from 1, such as 500000, 500K or 1M")
    return int(value)


def amount(text: str) -> Decimal:
    """Return a number that is not negative and may end with K or M; for argparse."""
    from pytest_llmeval.listing import number

    try:
        return number(text.replace(",", ""))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: write a number, such as 0.5, 6.25 or 1M") from None


def volumes(text: str) -> tuple[int, ...]:
    """Return several whole numbers with commas between them; for argparse."""
    return tuple(whole(part) for part in text.split(",") if part.strip())
