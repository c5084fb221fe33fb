"""kill -9 while answers are recorded: what is on disk, and what the next run pays for.

``python -m tests.matrices.kills --kills 200``. Each kill has a seed; ``--seed N --kills 1`` repeats what it was.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pytest_llmeval.cassettes.files import read_tape
from pytest_llmeval.cassettes.format import HEADER, SEAL, Interaction
from pytest_llmeval.errors import CassetteError
from tests.matrices.kill_site import ALL_CALLS, BEFORE, CALLS, Site, answers_in, site
from tests.matrices.matrix import Matrix, report
from tests.matrices.processes import Ended, finish, start

XDIST = ("-p", "xdist", "-n2")
VICTIMS = ("process", "controller", "worker", "group")


@dataclass(frozen=True)
class Kill:
    """One kill: whom, in which mode, and when, as a function of the seed; or before which step of a write."""

    victim: str
    mode: str
    seed: int
    step: int | None = None

    @property
    def xdist(self) -> bool:
        """Whether the run has workers."""
        return self.victim != "process"

    def __str__(self) -> str:
        when = f"seed {self.seed}" if self.step is None else f"before step {self.step}"
        return f"{self.victim}, --llm-record={self.mode}, {when}"


@dataclass
class Aftermath:
    """What a kill left.

    Attributes:
        lost: What should not have been.
        struck: Whether anything was still running when the kill came.
        finished: Tests that were finished before, with the answers that they saw.
        on_disk: How many answers were on disk.
        leftovers: Temporary files.
        orphans: Seconds that the rest of the run lived on.
    """

    lost: list[str] = field(default_factory=list)
    struck: bool = True
    finished: dict[str, list[str]] = field(default_factory=dict)
    on_disk: int = 0
    leftovers: int = 0
    orphans: float = 0.0


def try_kill(place: Site, kill: Kill) -> Aftermath:
    """Kill a run, look at what it left, and let two others go on from there."""
    place.prepare(kill.mode, kill.seed)
    after = Aftermath()
    with place.watched() as wait:
        ended = (_killed_under_xdist if kill.xdist else _killed)(place, kill, after, wait)
    if after.orphans == float("inf"):
        after.lost.append("processes of the run are still there after a minute")
    after.finished = place.finished()
    _look(place, kill, after, ended)
    seen = _go_on(place, after)
    after.lost += [
        f"{test} was finished with {answers}, now it gets {seen.get(test)}"
        for test, answers in after.finished.items()
        if seen.get(test) != answers
    ]
    after.lost = [f"{kill}: {what}" for what in after.lost]
    return after


def _killed(place: Site, kill: Kill, after: Aftermath, wait: Callable[[], float]) -> Ended:
    """Kill a run without workers."""
    asked = len(place.server.asked)
    pid = place.nursery.start(place.command(kill.mode, step=kill.step))
    if kill.step is None:
        _wait_for(place, kill, asked, lambda: _alive(pid))
        _send(pid)
    ended = place.nursery.finish()
    after.orphans = wait()
    after.struck = ended.code == -signal.SIGKILL
    return ended


def _killed_under_xdist(place: Site, kill: Kill, after: Aftermath, wait: Callable[[], float]) -> Ended:
    """Kill a run with workers: one of its processes, or all."""
    asked = len(place.server.asked)
    process = start(place.command(kill.mode, *XDIST, step=kill.step))
    if kill.step is None:
        _wait_for(place, kill, asked, lambda: process.poll() is None)
        victim = place.pid(f"gw{kill.seed % 2}") if kill.victim == "worker" else process.pid
        if victim is None or process.poll() is not None:
            after.struck = False
        elif kill.victim == "group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            _send(victim)
    # Where the controller is left, the run goes on without the worker.
    after.orphans = 0.0 if kill.victim == "worker" else wait()
    ended = finish(process)
    after.orphans = max(after.orphans, wait())
    after.struck = after.struck and (ended.code != 0)
    return ended


def _wait_for(place: Site, kill: Kill, asked: int, running: Callable[[], bool]) -> None:
    """Wait for a moment of the recording that the seed decides: after so many requests, and some milliseconds."""
    rng = random.Random(kill.seed)
    missing = ALL_CALLS - answers_in(place.recordings) if kill.mode == "new" else ALL_CALLS
    requests, pause = rng.randrange(1, missing), rng.uniform(0, 0.02)
    while len(place.server.asked) - asked < requests and running():
        time.sleep(0.001)
    time.sleep(pause)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _send(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _look(place: Site, kill: Kill, after: Aftermath, ended: Ended) -> None:
    """Check what is on disk."""
    files = [path for path in place.recordings.rglob("*") if path.is_file()]
    leftovers = [path for path in files if path.suffix == ".tmp"]
    after.leftovers = len(leftovers)
    if len(leftovers) > (2 if kill.xdist else 1):
        after.lost.append(f"more temporary files than processes: {[path.name for path in leftovers]}")
    after.lost += [f"{path} is no recording" for path in files if path.suffix not in (".tmp", ".yaml")]
    after.lost += [what for path in files if path.suffix == ".yaml" for what in _not_whole(path)]
    after.on_disk = answers_in(place.recordings)
    for test, answers in after.finished.items():
        path = place.cassette(test)
        recorded = [_content(interaction) for interaction in read_tape(path)[0].interactions]
        if Counter(recorded) != Counter(answers):
            after.lost.append(f"{test} was finished, and {path.name} has {len(recorded)} of its {len(answers)} answers")
    if kill.victim == "worker" and after.struck and len(CALLS) - len(after.finished) > 1:
        after.lost.append(f"one worker died, and {len(CALLS) - len(after.finished)} tests did not finish")
    if kill.victim == "worker" and after.struck and "crashed" not in ended.output:
        after.lost.append("nobody was told that a worker died")
    # As if the next run came later, so that leftovers cannot be those of a run that is still there.
    for path in leftovers:
        os.utime(path, (time.time() - 3600, time.time() - 3600))


def _go_on(place: Site, after: Aftermath) -> dict[str, list[str]]:
    """Record what is missing, then replay; return what the tests see."""
    times = {path.parent: path.parent.stat().st_mtime_ns for path in place.recordings.rglob("*.tmp")}
    asked = len(place.server.asked)
    with place.watched():
        ended = place.nursery.run(place.command("new"))
        first, paid = place.finished(), len(place.server.asked) - asked
        if ended.code or len(first) != len(CALLS):
            after.lost.append(f"--llm-record=new ends with {ended.code}: {ended.output[-1500:]}")
        if paid != ALL_CALLS - after.on_disk:
            after.lost.append(f"{ALL_CALLS - after.on_disk} answers were missing, {paid} were asked for")
        written = [folder for folder, before in times.items() if folder.stat().st_mtime_ns != before]
        after.lost += [f"{path} is still there" for folder in written for path in folder.glob("*.tmp")]
        ended = place.nursery.run(place.command("none"))
        second = place.finished()
    if ended.code or second != first:
        after.lost.append(f"--llm-record=none ends with {ended.code}: {ended.output[-1500:]}")
    if len(place.server.asked) - asked != paid:
        after.lost.append("--llm-record=none asked the server")
    return second


def _not_whole(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    try:
        tape, _ = read_tape(path)
    except CassetteError as exc:
        yield str(exc)
        return
    if not text.startswith(HEADER) or not SEAL.match(text.splitlines()[-1]) or not tape.interactions:
        yield f"{path} is not sealed, or empty"


def _content(interaction: Interaction) -> str:
    """Return the text of an answer."""
    if "event-stream" in interaction.content_type:
        return str(interaction.meta["text"])
    content: str = json.loads(interaction.content)["choices"][0]["message"]["content"]
    return content


def kills(count: int, seed: int) -> list[Kill]:
    """Return a plan of random kills: three tenths of them under ``-n2``, as many of each kind of victim there."""
    plan = []
    modes = ("once", "once", "new", "all")
    for index in range(count):
        # With seeds of their own, so that one kill can be repeated alone.
        number = seed + index
        victim = VICTIMS[1 + number // 10 % 3] if number % 10 in (3, 6, 9) else "process"
        plan.append(Kill(victim, modes[number % 4], number))
    return plan


def steps() -> list[Kill]:
    """Return a plan of kills before each step of the first writes: folders, temporary file, its new name, its end."""
    # Where folders are to be made, there are more of them.
    return [Kill("process", mode, 7, step) for mode in BEFORE for step in range(1, 17 if mode == "once" else 9)]


def tried(plan: list[Kill], places: list[Site]) -> Matrix:
    """Try a plan; each row gathers the kills of one kind."""
    matrix = Matrix(
        "kill -9 while answers are recorded: every file whole, no finished test lost, only what is missing paid for",
        ("killed", "--llm-record", "when", "tests finished", "answers kept", "temp. files", "orphans lived"),
    )
    # Those under xdist take longest, so they come first.
    waiting = deque(sorted(plan, key=lambda kill: not kill.xdist))

    def try_some(place: Site) -> list[tuple[Kill, Aftermath]]:
        done: list[tuple[Kill, Aftermath]] = []
        while True:
            try:
                kill = waiting.popleft()
            except IndexError:
                return done
            done.append((kill, try_kill(place, kill)))

    with ThreadPoolExecutor(len(places)) as pool:
        done = [pair for some in pool.map(try_some, places) for pair in some]
    kinds: dict[tuple[str, str, str], list[Aftermath]] = {}
    for kill, after in sorted(done, key=lambda pair: plan.index(pair[0])):
        # What came too late killed nobody.
        if after.struck or after.lost:
            when = "at random" if kill.step is None else "before a step of a write"
            kinds.setdefault((kill.victim, kill.mode, when), []).append(after)
    for kind, group in kinds.items():
        matrix.add(*kind, *_summed(group), tried=len(group), lost=["; ".join(a.lost) for a in group if a.lost])
    return matrix


def _summed(group: list[Aftermath]) -> tuple[str, str, str, str]:
    tests = [len(after.finished) for after in group]
    kept = [after.on_disk for after in group]
    return (
        f"{min(tests)}-{max(tests)} of {len(CALLS)}",
        f"{min(kept)}-{max(kept)} of {ALL_CALLS}",
        str(sum(after.leftovers for after in group)),
        f"{max(after.orphans for after in group):.1f} s at most",
    )


def main() -> int:
    """Kill as often as asked, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="random kills, beside those before each step")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first; the next ones count up")
    args = parser.parse_args()
    print(f"seeds {args.seed} to {args.seed + args.kills - 1}", file=sys.stderr)
    plan = kills(args.kills, args.seed) + (steps() if args.kills > 1 else [])
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        places = [stack.enter_context(site(Path(folder))) for _ in range(2)]
        return report(tried(plan, places))


if __name__ == "__main__":
    sys.exit(main())
