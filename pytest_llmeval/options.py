"""Command-line options and ini keys, each declared once; read once into a frozen `Options`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from decimal import Decimal

MODES = ("none", "once", "new", "stale", "all", "live")
SUMMARIES = ("on", "off")
UNKNOWN_PRICES = ("error", "ignore")
GATES = ("established", "strict")
CONCURRENCY = 8
#: What a report can be, by the end of its file's name.
REPORT_SUFFIXES = (".jsonl", ".json", ".md", ".csv")
# A name becomes a file's name on every system, and must not look like a path, a flag or `git:REF`.
RUN_NAME = re.compile(r"[^\W_][\w.+@-]{0,99}(?<![.])")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Option:
    """One setting of a run: a command-line flag, an ini key, or both (the flag wins)."""

    name: str
    help: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    many: bool = False
    flag: bool = True
    ini: bool = True
    switch: bool = False

    @property
    def dest(self) -> str:
        """Name of the ini key, and of the attribute that argparse sets: ``llm_models``."""
        return self.name.removeprefix("--").replace("-", "_")


OPTIONS = (
    Option("--llm-models", "candidates: 'provider:model', aliases or well-known ids, comma-separated", many=True),
    Option(
        "--llm-record",
        "none: replay only; once: record tests that have no recording; new: record what is missing; stale: record "
        "again what is stale, missing or too old; all: record everything again; live: ask, keep nothing. Default: none "
        "where CI is set, else once",
        choices=MODES,
    ),
    Option(
        "--llm-max-age",
        "warn of recordings older than this (36h, 90d, 12w); with ':fail' behind it, fail their tests: 90d:fail",
    ),
    Option("--llm-repeat", "independent samples of each test that asks a candidate: 10; default: 1", default="1"),
    Option("--llm-concurrency", "most requests in flight to a provider, in all processes together (default: 8)"),
    Option(
        "--llm-summary",
        "table of candidates at the end: on (default) or off; what is wrong with recordings is told all the same",
        default="on",
        choices=SUMMARIES,
    ),
    Option(
        "--llm-max-cost",
        "most that the calls of this run may cost, in USD: 5 or 0.50; what it does not reach is not run",
    ),
    Option(
        "--llm-unknown-price",
        "under --llm-max-cost, a call whose price is unknown is an error (default), or is made and counted: ignore",
        default="error",
        choices=UNKNOWN_PRICES,
    ),
    Option(
        "--llm-dry-run",
        "show what the tests will ask, what is recorded already, and what the rest costs; run nothing",
        ini=False,
        switch=True,
    ),
    Option(
        "--llm-require-pinned",
        "refuse candidates whose id may become another model without notice: aliases such as gpt-4o, and *-latest",
        ini=False,
        switch=True,
    ),
    Option(
        "--llm-require",
        "requirement of candidates, key=value, over [tool.llmeval.requirements]: max_latency_ms=2000; may be given "
        "several times",
        many=True,
        ini=False,
    ),
    Option("--llm-require-fail", "fail the run where no candidate meets all requirements", ini=False, switch=True),
    Option(
        "--llm-fail-on",
        "conditions that fail the run, comma-separated: 'score<0.8, pass<0.9, p95>2s, cost>0.01'; with --llm-compare "
        "also on changes: 'score<-0.02, json<-0.01, p95>+300ms'",
    ),
    Option(
        "--llm-gate",
        "--llm-fail-on fails the run for what the cases establish (established, default), or also for what may be "
        "noise and what nobody knows (strict)",
        default="established",
        choices=GATES,
    ),
    Option("--llm-save", "keep this run under a name, to show, merge or compare it later", ini=False),
    Option(
        "--llm-compare",
        "say what got better or worse since a run: its name (--llm-save), its file, or git:REF for a commit",
        ini=False,
    ),
    Option(
        "--llm-report", "write this run to a file: .jsonl, .json, .md or .csv; may be given several times", many=True
    ),
    Option("--llm-run-dir", "folder of the runs that are kept", default=".llmeval/runs", flag=False),
    Option("--llm-cassette-dir", "folder of the recordings beside each test file", default="llm_cassettes", flag=False),
    Option("--llm-passthrough", "hosts (host or host:port) whose traffic is left alone", many=True, flag=False),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for.

    Attributes:
        models: Names of candidates, as written.
        models_from: Where they were written: ``--llm-models``, ``llm_models`` or an empty string.
        record: Record mode.
        record_why: Why that mode is on, for the report header.
        concurrency: Most requests in flight to a provider, in all processes together.
        worker: Number of this process among the workers of pytest-xdist, and how many they are; (0, 1) without.
        summary: ``on`` or ``off``.
        max_age: How old a recording may be; None for any age.
        max_age_fails: Whether a test fails whose recording is older, instead of a line in the summary.
        repeat: How many independent samples of each test.
        max_cost: Most that the calls of the run may cost, in USD; None for any amount.
        unknown_price: ``error`` or ``ignore``: what becomes of calls without a price under `max_cost`.
        dry_run: Whether to show what the run would ask and cost, instead of running it.
        require: Requirements that were given as ``key=value``.
        require_fail: Whether the run fails where no candidate meets all requirements.
        fail_on: Conditions that fail the run, and where they were written; two empty strings without any.
        gate: ``established`` or ``strict``.
        require_pinned: Whether candidates are refused whose id may become another model without notice.
        save: Name under which this run is kept, if it is.
        compare: Run to compare this one with, as written: a name, a file, or ``git:REF``; None for no comparison.
        reports: Files to write this run to.
        run_dir: Folder of the runs that are kept.
        cassette_dir: Name of the folder beside each test file, or an absolute path.
        passthrough: Hosts that are left alone.
        rootdir: pytest's rootdir.
        invocation_dir: Where pytest was started.
        given: Whether any option or ini key of ours was given.
    """

    models: tuple[str, ...]
    models_from: str
    record: str
    record_why: str
    concurrency: int
    worker: tuple[int, int]
    summary: str
    max_age: timedelta | None
    max_age_fails: bool
    repeat: int
    max_cost: Decimal | None
    unknown_price: str
    dry_run: bool
    require: tuple[str, ...]
    require_fail: bool
    fail_on: tuple[str, str]
    gate: str
    require_pinned: bool
    save: str | None
    compare: str | None
    reports: tuple[Path, ...]
    run_dir: Path
    cassette_dir: str
    passthrough: tuple[str, ...]
    rootdir: Path
    invocation_dir: Path
    given: bool

    def share(self, most: int) -> int:
        """Return this process's part of what all processes together may have in flight: 1 at least."""
        number, workers = self.worker
        return max(1, most // workers + (number < most % workers))

    def holds_recordings(self, path: Path) -> bool:
        """Whether a path is a folder of recordings, and of no tests."""
        own = Path(self.cassette_dir).parts
        # The name first: this is asked of every file.
        if not own or path.name != own[-1] or path.parts[-len(own) :] != own or not path.is_dir():
            return False
        # Whoever keeps recordings among the tests would lose those.
        return not any(name.endswith(".py") for _, _, names in os.walk(path) for name in names)


def add_options(parser: pytest.Parser) -> None:
    """Declare every option and ini key to pytest."""
    group = parser.getgroup("llmeval", "LLM evaluation (pytest-llmeval)")
    for option in OPTIONS:
        if option.flag:
            keywords: dict[str, Any] = {"action": "append"} if option.many else {}
            if option.switch:
                keywords["action"] = "store_true"
            if option.choices:
                keywords["choices"] = option.choices
            group.addoption(option.name, dest=option.dest, default=None, help=option.help, **keywords)
        if option.ini:
            kind: Any = "linelist" if option.many else "string"
            parser.addini(option.dest, option.help, type=kind, default=[] if option.many else "")


def read_options(config: pytest.Config) -> Options:
    """Return the options of this run.

    Raises:
        pytest.UsageError: An ini key has a value that cannot be used.
    """
    values = {option.dest: _value(config, option) for option in OPTIONS}
    record, why = _record_mode(values["llm_record"])
    models, models_from = values["llm_models"]
    max_age, max_age_fails = _max_age(*values["llm_max_age"])
    return Options(
        models=tuple(models),
        models_from=models_from,
        record=record,
        record_why=why,
        concurrency=_count(*values["llm_concurrency"], default=CONCURRENCY),
        worker=_worker(config),
        summary=values["llm_summary"][0],
        max_age=max_age,
        max_age_fails=max_age_fails,
        repeat=_repeat(*values["llm_repeat"]),
        max_cost=_max_cost(*values["llm_max_cost"]),
        unknown_price=values["llm_unknown_price"][0],
        dry_run=bool(values["llm_dry_run"][0]),
        require=tuple(values["llm_require"][0]),
        require_fail=bool(values["llm_require_fail"][0]),
        fail_on=(values["llm_fail_on"][0] or "", values["llm_fail_on"][1]),
        gate=values["llm_gate"][0],
        require_pinned=bool(values["llm_require_pinned"][0]),
        save=_run_name(*values["llm_save"]),
        # The replay of an earlier commit takes the option back by an empty one.
        compare=values["llm_compare"][0] or None,
        reports=_reports(*values["llm_report"], config.invocation_params.dir, config.rootpath),
        run_dir=config.rootpath / values["llm_run_dir"][0],
        cassette_dir=values["llm_cassette_dir"][0],
        passthrough=tuple(values["llm_passthrough"][0]),
        rootdir=config.rootpath,
        invocation_dir=config.invocation_params.dir,
        given=any(source for _, source in values.values()),
    )


def _value(config: pytest.Config, option: Option) -> tuple[Any, str]:
    """Return a value and where it was written; an empty string for the default."""
    if option.flag:
        given = config.getoption(option.dest)
        # An empty text is no default: "--llm-max-cost=$BUDGET" must not run without one where BUDGET is not set.
        if given is not None:
            return given, option.name
    if option.ini:
        written = config.getini(option.dest)
        if written:
            if option.choices and written not in option.choices:
                raise pytest.UsageError(
                    f"{option.dest} = {written!r} in {config.inipath}: choose from {', '.join(option.choices)}."
                )
            return written, option.dest
    return ([] if option.many else option.default), ""


def _record_mode(value: tuple[Any, str]) -> tuple[str, str]:
    mode, source = value
    if mode:
        return mode, f"from {source}"
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return "none", "default where CI is set"
    return "once", "default"


def _count(written: str | None, source: str, *, default: int) -> int:
    if not written:
        return default
    if not re.fullmatch(r"[0-9]{1,6}", written.strip()) or not int(written):
        raise pytest.UsageError(f"{source}={written}: write a whole number, 1 or more.")
    return int(written)


def _worker(config: pytest.Config) -> tuple[int, int]:
    given = getattr(config, "workerinput", None)
    if given is None:
        return 0, 1
    workers = max(1, int(given["workercount"]))
    # A worker that takes the place of one that crashed gets a number of its own.
    number = re.search(r"[0-9]+$", str(given["workerid"]))
    return (int(number[0]) if number else 0) % workers, workers


UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def _max_age(written: str | None, source: str) -> tuple[timedelta | None, bool]:
    if not written:
        return None, False
    match = re.fullmatch(r"(\d{1,5})([hdw])(:warn|:fail)?", written.strip())
    if match is None:
        raise pytest.UsageError(
            f"{source}={written}: write a number of hours, days or weeks: 36h, 90d, 12w; and ':fail' behind it to fail "
            "the tests of older recordings: 90d:fail."
        )
    return timedelta(**{UNITS[match[2]]: int(match[1])}), match[3] == ":fail"


def _repeat(written: str, source: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", written.strip()):
        raise pytest.UsageError(f"{source}={written}: write how many samples as a whole number from 1: 10.")
    return int(written)


def _max_cost(written: str | None, source: str) -> Decimal | None:
    if written is None:
        return None
    match = re.fullmatch(r"\$?([0-9]{1,12}(\.[0-9]{1,12})?|\.[0-9]{1,12})", written.strip())
    if match is None:
        raise pytest.UsageError(
            f"{source}={written}: write an amount of USD, 0 or more, with a point for cents: 5, 0.50 or 1200."
        )
    from decimal import Decimal

    return Decimal(match[1])


def is_run_name(name: str) -> bool:
    """Whether a run can be kept under a name: it can be the name of a file on every system.

    >>> is_run_name("main-2025.1"), is_run_name("a/b"), is_run_name("main.json"), is_run_name("nul")
    (True, False, False, False)
    """
    return bool(RUN_NAME.fullmatch(name)) and not RESERVED.match(name) and not _suffix(name)


def _run_name(name: str | None, source: str) -> str | None:
    if name is None or is_run_name(name):
        return name
    if "/" in name or "\\" in name or _suffix(name):
        raise pytest.UsageError(f"{source}={name}: write a name, not a file; --llm-report=FILE writes to a file.")
    raise pytest.UsageError(
        f"{source}={name}: begin a name with a letter or a digit, and go on with those and . _ + @ - (100 at most)."
    )


def _reports(written: list[str], source: str, invocation_dir: Path, rootdir: Path) -> tuple[Path, ...]:
    known = ", ".join(REPORT_SUFFIXES)
    unknown = [file for file in written if not _suffix(file)]
    if unknown:
        raise pytest.UsageError(f"{source}={unknown[0]}: a report's name ends with one of {known}.")
    # What stands in a configuration file is of the project, wherever pytest is started.
    home = invocation_dir if source == "--llm-report" else rootdir
    return tuple(dict.fromkeys(home / file for file in written))


def _suffix(file: str) -> str:
    suffix = Path(file).suffix.lower()
    return suffix if suffix in REPORT_SUFFIXES else ""
