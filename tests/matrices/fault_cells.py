"""The cells of the matrix of faults: what is asked of whom, how it fails, and what a user would want of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from functools import cache
from itertools import product

PROTOCOLS = ("openai", "anthropic")
CALLS = ("sync", "async")
SHAPES = ("plain", "streamed")
#: The adapters behind `llm`, and the official client that the code under test builds itself.
WAYS = ("llm", "client")

TOOL = "get_weather"
TOOL_ARGUMENTS = {"city": "Zürich", "days": 3}
BIG = 2 * 1024 * 1024
#: Seconds that a client waits where nothing will ever come, and where something will.
SHORT, LONG = 0.5, 20.0


@dataclass(frozen=True)
class Fault:
    """One way in which a server can fail, or be unusual.

    Attributes:
        kinds: What `ProviderError.kind` may say of it; empty where the answer is good.
        retried: Shapes in which the official clients try again by themselves.
        shapes: Shapes in which there is such a fault.
    """

    name: str
    kinds: frozenset[str] = frozenset()
    retried: tuple[str, ...] = ()
    shapes: tuple[str, ...] = SHAPES

    @property
    def good(self) -> bool:
        return not self.kinds

    @property
    def slow(self) -> bool:
        """Whether only the client's time-out ends it."""
        return self.kinds == {"timeout"}


def _fault(name: str, *kinds: str, retried: Iterable[str] = (), shapes: Iterable[str] = SHAPES) -> Fault:
    return Fault(name, frozenset(kinds), tuple(retried), tuple(shapes))


FAULTS = {
    fault.name: fault
    for fault in (
        _fault("429-after", "rate_limit", retried=SHAPES),
        _fault("429", "rate_limit", retried=SHAPES),
        _fault("500", "server", retried=SHAPES),
        _fault("503", "server", retried=SHAPES),
        _fault("reset-before", "connection", retried=SHAPES),
        # The clients read a plain body before they return, so they still can try again.
        _fault("reset-mid", "connection", retried=("plain",)),
        _fault("hang", "timeout", retried=SHAPES),
        _fault("hang-mid", "timeout", shapes=("streamed",)),
        _fault("cut-json", "malformed"),
        # Ends as a whole answer does, but for what says that it is one.
        _fault("cut-stream", "truncated", shapes=("streamed",)),
        _fault("bad-utf8", "malformed"),
        _fault("empty", "malformed"),
        _fault("html", "malformed"),
        _fault("error-in-200", "server", "rate_limit"),
        _fault("gzip"),
        _fault("gzip-cut", "malformed", "connection", "truncated"),
        # A good answer that is called text/plain: the clients read it all the same.
        _fault("mislabelled"),
        # Cut between the halves of an emoji, as servers do that count in UTF-16.
        _fault("split-letter", shapes=("streamed",)),
        _fault("big"),
        _fault("tools"),
    )
}


@dataclass(frozen=True)
class Cell:
    """One case.

    Attributes:
        course: ``lasting``: the fault never ends. ``passing``: it comes once, and the client tries again. ``again``:
            it comes once, and the code under test asks again. ``after``: it follows a good answer and never ends.
            ``always``: the answer is good.
    """

    server: str
    fault: str
    protocol: str
    call: str
    shape: str
    way: str
    course: str

    @property
    def key(self) -> str:
        return ".".join(astuple(self))

    @classmethod
    def of(cls, key: str) -> Cell:
        return cls(*key.split("."))

    @property
    def kind(self) -> Fault:
        return FAULTS[self.fault]

    @property
    def streamed(self) -> bool:
        return self.shape == "streamed"

    @property
    def prompts(self) -> tuple[str, ...]:
        """Return the questions of this cell, each with its key."""
        last = f"Answer [{self.key}]"
        return (f"First [{self.key}]", last) if self.course == "after" else (last,)

    @property
    def max_retries(self) -> int:
        # A time-out that comes for ever need not be waited for twice.
        return int(self.course == "passing" or (self.course == "lasting" and not self.kind.slow))

    @property
    def timeout(self) -> float:
        return SHORT if self.kind.slow else LONG

    @property
    def alias(self) -> str:
        """Return the candidate that asks this."""
        return f"{self.server}-{self.protocol}-{self.max_retries}{'-short' if self.kind.slow else ''}"

    @property
    def recovers(self) -> bool:
        """Whether a good answer is to be had, by a client that notices each fault."""
        return self.course in ("passing", "again", "always")

    def text(self) -> str:
        """Return what a good answer to the last question says, as far as all servers can say it."""
        return _big(self.key) if self.fault == "big" else f"This answers {self.key}: grüezi, 你好 🎉"


@cache
def _big(key: str) -> str:
    # Without white space, at which servers cut a stream: one of them into a chunk a word.
    return "".join(f"{key}/{line:07d}," for line in range(BIG // (len(key) + 9)))


def courses(fault: Fault, shape: str) -> Iterator[str]:
    """Yield how long a fault can last in a shape."""
    if fault.good:
        yield "always"
        return
    yield from ("lasting", "again", "after")
    if shape in fault.retried:
        yield "passing"


def cells_of(server: str, can: Iterable[tuple[str, str, str]]) -> list[Cell]:
    """Return the cells of a server, given the (fault, shape, course) that it can do."""
    wanted = set(can)
    return [
        Cell(server, fault.name, protocol, call, shape, way, course)
        for fault in FAULTS.values()
        for shape in fault.shapes
        for course in courses(fault, shape)
        if (fault.name, shape, course) in wanted
        for protocol, call, way in product(PROTOCOLS, CALLS, WAYS)
    ]


def quarter(cells: Iterable[Cell]) -> list[Cell]:
    """Return two cells of each fault, shape and course: of both protocols and both ways, sync and async by turns."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.fault, cell.shape, cell.course), []).append(cell)
    chosen = []
    for turn, group in enumerate(groups.values()):
        call = CALLS[turn % 2]
        other = WAYS if turn // 2 % 2 else WAYS[::-1]
        pairs = list(zip(PROTOCOLS, other, strict=True))
        chosen += [cell for cell in group if cell.call == call and (cell.protocol, cell.way) in pairs]
    return chosen
