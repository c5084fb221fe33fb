"""``git:REF``: the run of an earlier commit: the one that was kept in it, or its tests replayed from its recordings."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pytest_llmeval.candidates import split_names
from pytest_llmeval.display import escape_lines
from pytest_llmeval.errors import ConfigError, RunError
from pytest_llmeval.gittree import LOCAL, GitTree
from pytest_llmeval.options import OPTIONS
from pytest_llmeval.records import Run
from pytest_llmeval.runfiles import RUN
from pytest_llmeval.runs import load_run
from pytest_llmeval.settings import load_settings

GIT = "git:"
#: Options of ours that say what is asked, and whom; the others are about what becomes of a run.
KEPT = ("--llm-models", "--llm-repeat", "--llm-concurrency")
#: Options of others that would write files, or stop at what fails, with and without a value.
WITH_VALUE = ("--junitxml", "--junit-xml", "--junitprefix", "--cov-report", "--cov-config", "--html", "--csv",
              "--basetemp", "--report-log")  # fmt: skip
WITHOUT_VALUE = ("--sw", "--stepwise", "--sw-skip", "--stepwise-skip", "--pdb", "--trace", "--cov-append")
FOLDER = Path(__file__).resolve().parents[1]


def baseline_at(
    ref: str,
    *,
    rootdir: Path,
    run_dir: Path,
    start: Path,
    arguments: Sequence[str] = (),
    name: str | None = None,
    one_process: Sequence[str] = (),
) -> Run:
    """Return the run of an earlier commit.

    A run that was kept and committed is taken: that of the name that follows the commit (``main:nightly``), else of the
    name under which this run is kept, or of the commit's own name. Without one, the tests of the commit are replayed
    from its recordings, in a checkout of their own, offline.

    Args:
        ref: The commit: a branch, a tag, a hash.
        rootdir: Folder of the project.
        run_dir: Where runs are kept.
        start: Where pytest was started.
        arguments: pytest's, which select tests and candidates.
        name: Name under which this run is kept.
        one_process: Arguments that keep pytest-xdist out.

    Raises:
        RunError: git, the commit, or its recordings are not there.
    """
    commit, _, kept = ref.partition(":")
    tree = GitTree(rootdir, commit)
    folder = tree.inside(run_dir)
    files = tree.files(folder) if folder is not None else []
    names = [file.removesuffix(RUN) for file in files if file.endswith(RUN)]
    if kept and kept not in names:
        there = f" Kept there: {', '.join(names)}." if names else ""
        raise RunError(f"no run is kept as {kept!r} at {commit}.{there}")
    chosen = next((each for each in (kept, name, commit) if each and each in names), None)
    if chosen is not None and folder is not None:
        return _kept(tree, folder / f"{chosen}{RUN}")
    return _replayed(tree, rootdir, start, [*arguments], one_process)


def _kept(tree: GitTree, file: Path) -> Run:
    with tempfile.TemporaryDirectory(prefix="llmeval-", ignore_cleanup_errors=True) as home:
        copy = Path(home, file.name)
        copy.write_bytes(tree.read(file))
        shown = f"{tree.ref}:{file.as_posix()}"
        try:
            run = load_run(copy)
        except RunError as exc:
            raise RunError(str(exc).replace(str(copy), shown)) from None
        run.remarks = [remark.replace(str(copy), shown) for remark in run.remarks]
    return run


def _replayed(tree: GitTree, rootdir: Path, start: Path, arguments: Sequence[str], one_process: Sequence[str]) -> Run:
    with tree.checked_out() as folder, tempfile.TemporaryDirectory(prefix="llmeval-") as home:
        report = Path(home, "run.jsonl")
        below = tree.inside(start) or tree.inside(rootdir) or Path()
        if not (folder / below).is_dir():
            raise RunError(f"there is no folder {below.as_posix()} at {tree.ref}.")
        own = [
            *("-q", "--maxfail=0", "--llm-record=none", "--llm-compare=", f"--llm-report={report}"),
            *("-o", f"llm_run_dir={home}", *one_process),
        ]
        there = _Earlier(tree, folder, rootdir, start)
        moved = there.known([_moved(each, tree, folder) for each in replay_arguments(arguments)])
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-P", "-m", "pytest", *moved, *own],
            cwd=folder / below,
            env=_environment(tree, folder, there.known),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if not report.is_file():
            raise RunError(_failed(tree.ref, done.stdout.decode("utf-8", "replace")))
        run = load_run(report)
    if not run.by_candidate():
        raise RunError(_failed(tree.ref, done.stdout.decode("utf-8", "replace")))
    if all(test.outcome == "error" and test.recording in ("missing", "stale") for test in run.tests):
        raise RunError(
            f"the tests of {tree.ref} have no recordings there that they could be replayed from. Commit recordings, or "
            "keep a run with --llm-save=NAME and commit that."
        )
    if run.header is not None:
        run.header.commit, run.header.dirty = tree.commit, False
    return run


def _failed(ref: str, said: str) -> str:
    from pytest_llmeval.collecting import essence

    return f"the tests of {ref} could not be replayed. pytest said there:\n{escape_lines(essence(said))}"


def replay_arguments(arguments: Iterable[str]) -> list[str]:
    """Return those of pytest's arguments that say which tests are run, and how; not what becomes of their run.

    >>> replay_arguments(["tests", "-k", "refund", "--llm-models=small", "--llm-save", "main", "--junitxml=x.xml"])
    ['tests', '-k', 'refund', '--llm-models=small']
    """
    ours = {option.name: not option.switch for option in OPTIONS if option.flag and option.name not in KEPT}
    dropped = {**ours, **dict.fromkeys(WITH_VALUE, True), **dict.fromkeys(WITHOUT_VALUE, False)}
    kept: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, _ = argument.partition("=")
        if name not in dropped:
            kept.append(argument)
        elif dropped[name] and not equals:
            next(remaining, None)
    return kept


def _moved(argument: str, tree: GitTree, folder: Path) -> str:
    """Return an argument that names a path of the project in full as that of the checkout."""
    lead, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    file, colons, test = value.partition("::")
    inner = tree.inside(Path(file)) if Path(file).is_absolute() else None
    return argument if inner is None else f"{lead}{equals}{folder / inner}{colons}{test}"


class _Earlier:
    """What the project had at a commit.

    Args:
        tree: The commit.
        folder: Where it is checked out.
        rootdir: Folder of the project.
        start: Where pytest was started.
    """

    def __init__(self, tree: GitTree, folder: Path, rootdir: Path, start: Path) -> None:
        self._ref = tree.ref
        self._start, self._below = start, folder / (tree.inside(start) or Path())
        self._roots = rootdir, folder / (tree.inside(rootdir) or Path())

    def known(self, arguments: Sequence[str]) -> list[str]:
        """Return pytest's arguments without files and candidates that are new since: they have nothing to compare with.

        Raises:
            RunError: Nothing is left of either.
        """
        kept: list[str] = []
        for argument, last in zip(arguments, ["", *arguments], strict=False):
            if last == "--llm-models":
                kept.append(self._candidates(argument))
            elif argument.startswith("--llm-models="):
                kept.append(f"--llm-models={self._candidates(argument.partition('=')[2])}")
            elif argument.startswith("-") or (last.startswith("-") and "=" not in last) or not self._is_new(argument):
                kept.append(argument)
        if len(kept) < len(arguments) and not any(self._is_there(each) for each in kept):
            raise RunError(f"none of these tests is there at {self._ref}.")
        return kept

    def _is_there(self, argument: str) -> bool:
        return not argument.startswith("-") and os.path.exists(self._below / argument.partition("::")[0])  # noqa: PTH110

    def _is_new(self, argument: str) -> bool:
        now = os.path.exists(self._start / argument.partition("::")[0])  # noqa: PTH110
        return now and not self._is_there(argument)

    def _candidates(self, written: str) -> str:
        try:
            now, then = (load_settings(root).models for root in self._roots)
        except ConfigError:
            # pytest tells of it.
            return written
        names = split_names([written])
        kept = [name for name in names if name in then or name not in now]
        if not kept:
            raise RunError(f"none of the candidates is known at {self._ref}: {', '.join(map(escape_lines, names))}.")
        return ",".join(kept)


def _environment(tree: GitTree, folder: Path, known: Callable[[Sequence[str]], list[str]]) -> Mapping[str, str]:
    """Return an environment in which the code of the checkout is imported, rather than that of the working tree.

    The summary of a step, coverage and workers are this run's, and not those of the one that is compared with.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COV_CORE_", "PYTEST_XDIST", "GITHUB_")) and name not in LOCAL
    }
    environment["PYTHONPATH"] = os.pathsep.join(_import_paths(tree, folder))
    if "PYTEST_ADDOPTS" in environment:
        given = replay_arguments(shlex.split(environment["PYTEST_ADDOPTS"]))
        environment["PYTEST_ADDOPTS"] = shlex.join(known(given))
    return environment


def _import_paths(tree: GitTree, folder: Path) -> Iterator[str]:
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    for entry in dict.fromkeys([*given, *(entry or os.getcwd() for entry in sys.path), *_redirected()]):  # noqa: PTH109
        inner = tree.inside(Path(entry))
        # This plugin itself stays what it is: the checkout may have one that knows less. So do installed packages.
        if inner is not None and Path(entry).resolve() != FOLDER and (folder / inner).is_dir():
            yield str(folder / inner)
        elif entry in given:
            yield entry


def _redirected() -> Iterator[str]:
    """Yield the folders of packages that are installed in place by a finder, as setuptools and `editables` do.

    On the path of the replay, they come before such finders.
    """
    for finder in sys.meta_path:
        home = sys.modules.get(getattr(finder, "__module__", ""))
        for places in (getattr(home, "MAPPING", None), getattr(finder, "_redirections", None)):
            if isinstance(places, Mapping):
                # A package or its `__init__.py`, or a module.
                files = (Path(place) for place in places.values() if isinstance(place, str))
                yield from (str((file.parent if file.name == "__init__.py" else file).parent) for file in files)
