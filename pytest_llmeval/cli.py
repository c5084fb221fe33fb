"""`llmeval ...`: what is not a test run."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module, metadata

from pytest_llmeval.display import escape_lines
from pytest_llmeval.errors import LLMEvalError

#: Each is a module of `commands`.
COMMANDS = (
    *("cases", "providers", "models", "shortlist", "monthly", "breakeven", "checklist", "whatif", "tasks"),
    *("show", "compare", "merge", "export", "cassettes", "scan", "settings"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status: 0 fine, 1 something was found, 2 it could not be done."""
    arguments = _parser().parse_args(argv)
    # A command is over before garbage matters; looking for it among 100,000 records takes seconds.
    enabled = gc.isenabled()
    gc.disable()
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except LLMEvalError as exc:
        print(f"llmeval: {escape_lines(str(exc))}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # `llmeval cassettes | head` has seen enough; nothing more may be written, at the exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        if enabled:
            gc.enable()
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="llmeval",
        description="Look after datasets, runs and recorded answers of LLM evaluations.",
    )
    parser.add_argument("--version", action="version", version=f"llmeval {metadata.version('pytest-llmeval')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"pytest_llmeval.commands.{name}").add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
