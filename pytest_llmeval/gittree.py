"""A project at an earlier commit: what git has of it, without a network and without running what the project brings."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_llmeval.display import escape
from pytest_llmeval.errors import RunError

#: Seconds. Git answers in milliseconds, but for a huge repository on a slow disk.
PATIENCE = 10.0
# A monitor of the file system and hooks are programs that the repository names.
QUIET = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
#: By these, git tells its hooks of the repository and of the index that it is about to write (`git rev-parse
#: --local-env-vars`): a command of ours that heeds them would write there.
LOCAL = frozenset({
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT", "GIT_COMMON_DIR"),
    *("GIT_DIR", "GIT_GRAFT_FILE", "GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_INTERNAL_SUPER_PREFIX"),
    *("GIT_NO_REPLACE_OBJECTS", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_REPLACE_REF_BASE", "GIT_SHALLOW_FILE"),
    "GIT_WORK_TREE",
})  # fmt: skip
ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def run_git(
    folder: Path, *arguments: str, patience: float | None = PATIENCE
) -> subprocess.CompletedProcess[bytes] | None:
    """Run a git command in a folder; return None where there is no git, or it takes too long."""
    command = ["git", *QUIET, "-C", str(folder), *arguments]
    try:
        return subprocess.run(  # noqa: S603 - a fixed command
            command,
            capture_output=True,
            timeout=patience,
            env={**{name: value for name, value in os.environ.items() if name not in LOCAL}, **ENVIRONMENT},
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


class GitTree:
    """A repository at one commit.

    Args:
        folder: Any folder in it.
        ref: A branch, a tag, a commit, or whatever else git takes for one: ``HEAD~1``.

    Attributes:
        ref: As it was written.
        commit: The commit that it stands for.
        top: The folder of the whole repository.

    Raises:
        RunError: There is no git, no repository, or no such commit.
    """

    def __init__(self, folder: Path, ref: str) -> None:
        self.ref = ref
        if shutil.which("git") is None:
            raise RunError("git is not installed, or not on the PATH.")
        done = run_git(folder, "rev-parse", "--show-toplevel")
        if done is None or done.returncode:
            raise RunError(f"{folder} is in no git repository that can be used{_why(done)}.")
        self.top = Path(done.stdout.decode("utf-8", "replace").strip())
        wanted = f"{ref}^{{commit}}"
        self.commit = self._said(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted) if ref else ""
        if not self.commit:
            raise RunError(
                f"git knows no commit {escape(ref)!r} here. Write a branch, a tag or a commit; a shallow clone, as "
                "CI often makes it, has to fetch it first (actions/checkout: fetch-depth: 0)."
            )

    @staticmethod
    def _said(folder: Path, *arguments: str) -> str:
        done = run_git(folder, *arguments)
        return done.stdout.decode("utf-8", "replace").strip() if done is not None and done.returncode == 0 else ""

    def inside(self, path: Path) -> Path | None:
        """Return a path relative to the repository; None for one that is not in it."""
        top, resolved = self.top.resolve(), path.resolve()
        return resolved.relative_to(top) if resolved.is_relative_to(top) else None

    def files(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder of the commit, relative to the repository."""
        done = run_git(self.top, "ls-tree", "--name-only", "-z", self.commit, "--", f"{folder.as_posix()}/")
        if done is None or done.returncode:
            return []
        return [Path(name).name for name in done.stdout.decode("utf-8", "replace").split("\0") if name]

    def read(self, file: Path) -> bytes:
        """Return the content of a file of the commit.

        Raises:
            RunError: It cannot be read.
        """
        done = run_git(self.top, "cat-file", "--filters", f"{self.commit}:{file.as_posix()}", patience=None)
        if done is None or done.returncode:
            raise RunError(f"git cannot read {file.as_posix()} at {self.ref}{_why(done)}.")
        return done.stdout

    @contextlib.contextmanager
    def checked_out(self) -> Iterator[Path]:
        """Check the commit out into a folder of its own, which is gone in the end, whatever happens.

        Raises:
            RunError: It cannot be checked out.
        """
        with tempfile.TemporaryDirectory(prefix="llmeval-", ignore_cleanup_errors=True) as home:
            folder = Path(home, "tree")
            try:
                done = run_git(
                    self.top, "worktree", "add", "--quiet", "--detach", str(folder), self.commit, patience=None
                )
                if done is None or done.returncode:
                    raise RunError(f"git cannot check out {self.ref}{_why(done)}.")
                yield folder.resolve()
            finally:
                run_git(self.top, "worktree", "remove", "--force", "--force", str(folder), patience=None)


def _why(done: subprocess.CompletedProcess[bytes] | None) -> str:
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() if done is not None else []
    # Advice may follow.
    said = next((line for line in lines if line.startswith("fatal:")), lines[-1] if lines else "")
    return f": {escape(said)}" if said else ""
