"""``llmeval scan``: find secrets in recordings."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from pytest_llmeval.display import escape


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("scan", help="find secrets in recordings, also in those of vcrpy and pytest-recording")
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders; default: this folder")
    parser.set_defaults(run=_scan)


def _scan(arguments: argparse.Namespace) -> int:
    from pytest_llmeval.cassettes.redact import SecretScanner
    from pytest_llmeval.cassettes.scan import scan

    scanner = SecretScanner(os.environ)
    result = scan(arguments.paths or [Path()], scanner)
    for found in result.found:
        # Names of files come from anywhere, and may hold a secret themselves.
        print(escape(scanner.mask(f"{found.path}:{found.line}: {found.what}")))
    secrets = len(result.found) - result.damaged
    damaged = f", {result.damaged} damaged" if result.damaged else ""
    print(
        f"{result.files} {'file' if result.files == 1 else 'files'} scanned, "
        f"{secrets} {'finding' if secrets == 1 else 'findings'}{damaged}"
    )
    return 1 if result.found else 0
