"""``llmeval cassettes``: look after recordings: list them, delete what no test uses, adopt those of others."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llmeval.cassettes.paths import shown_path
from pytest_llmeval.display import escape, escape_lines
from pytest_llmeval.errors import CassetteError, ConfigError

if TYPE_CHECKING:
    from pytest_llmeval.cassettes.adopt import Adopted
    from pytest_llmeval.inventory import Entry, Known


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("cassettes", help="list recordings: age, models, tokens, cost, whether they are used")
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders; default: this folder")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--prune", action="store_true", help="list and delete those that no test uses any more")
    what.add_argument("--adopt", action="store_true", help="rewrite those of vcrpy and pytest-recording to our form")
    parser.set_defaults(run=_cassettes)


def _cassettes(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.cassettes.scan import cassettes_in
    from pytest_llmeval.collecting import collect

    paths = [path.resolve() for path in arguments.paths or [Path()]]
    for path in paths:
        if not path.exists():
            raise ConfigError(f"{path}: there is no such file or folder.")
    # Folders that are given may hold each other.
    files = list(dict.fromkeys(file for path in paths for file in (cassettes_in(path) if path.is_dir() else [path])))
    known, config = collect([path for path in paths if path.is_dir()] or [Path()])
    if arguments.adopt:
        return _adopt(files, config)
    from pytest_llmeval.inventory import entry_of

    entries = [entry_of(path, known) for path in files]
    return _prune(entries, known, paths) if arguments.prune else _list(entries, known)


def _list(entries: Sequence[Entry], known: Known) -> int:
    from pytest_llmeval.reports.inventory import totals

    _print_entries(entries)
    print(totals(entries))
    for entry in entries:
        if entry.damaged:
            print(escape(entry.damaged))
    if known.why_not:
        print(f"Which are unused cannot be told: {escape_lines(known.why_not)}", file=sys.stderr)
    elif any(entry.used is False for entry in entries):
        print("Delete those that are unused:  llmeval cassettes --prune")
    return 1 if any(entry.damaged for entry in entries) else 0


def _prune(entries: Sequence[Entry], known: Known, named: Sequence[Path]) -> int:
    from pytest_llmeval.inventory import remove, unused_of
    from pytest_llmeval.reports.inventory import awaited_lines, totals

    if known.why_not:
        raise ConfigError(
            f"nothing was deleted, since which recordings are unused cannot be told: {escape_lines(known.why_not)}"
        )
    unused, awaited = unused_of(entries, named)
    for line in awaited_lines(awaited):
        print(escape(line))
    if not unused:
        print("Nothing was deleted." if awaited else "No recording is unused.")
        return 0
    _print_entries(unused)
    left = remove((entry.path for entry in unused), known.root_of)
    for path in left:
        print(escape(f"{path}: could not be deleted"), file=sys.stderr)
    print(f"Deleted {totals([entry for entry in unused if entry.path not in left])}")
    return 2 if left else 0


def _adopt(files: Sequence[Path], config: Any) -> int:
    from pytest_llmeval.cassettes.adopt import adopt
    from pytest_llmeval.cassettes.redact import SecretScanner
    from pytest_llmeval.session import Hooks

    scanner = SecretScanner(os.environ)
    redact = Hooks.of(config).redact if config is not None else None
    adopted = failed = 0
    for path in files:
        try:
            done = adopt(path, scanner, redact)
        except CassetteError as exc:
            print(escape(scanner.mask(str(exc))), file=sys.stderr)
            failed += 1
            continue
        if done.changed:
            adopted += 1
            print(escape(scanner.mask(_told(path, done))))
    print(f"{adopted} adopted, {len(files) - adopted - failed} in our form already, {failed} left as they were")
    return 1 if failed else 0


def _told(path: Path, done: Adopted) -> str:
    """Say what became of a file that was adopted."""
    dropped = {
        "headers of requests": done.request_headers,
        "headers of answers": done.answer_headers,
        "parameters of URLs": done.parameters,
    }
    parts = [f"{what} ({', '.join(sorted(names))})" for what, names in dropped.items() if names]
    text = f"{shown_path(path)}: {done.interactions} answer{'s' * (done.interactions != 1)}"
    text += f"; dropped {'; '.join(parts)}" if parts else ""
    if done.parameters:
        text += "; vcrpy finds them still if filter_query_parameters names those"
    if done.path != path:
        text += f"; written to {shown_path(done.path)}: the JSON stays as it was, secrets included, and can be deleted"
    return text


def _print_entries(entries: Sequence[Entry]) -> None:
    from pytest_llmeval.reports.inventory import render_entries

    # Whoever reads a pipe wants whole paths.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() or "COLUMNS" in os.environ else None
    print(render_entries(entries, datetime.now(UTC), width=width), end="")
