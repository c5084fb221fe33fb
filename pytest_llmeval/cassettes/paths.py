"""Where a recording lives: a pure function of the test's node id."""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

FIXTURES = "_fixtures"
SAFE = re.compile(r"[a-z0-9_.\[\]=,@-]+")
UNSAFE = re.compile(r"[^A-Za-z0-9_.\[\]+=,@-]+")
LOOKS_HASHED = re.compile(r"-[0-9a-f]{8}$")
# How the name of one more sample of a test goes on, whole or cut.
MORE = re.compile(r"(?P<stem>.*)[-[](?P<id>sample\d+\]|sample\d*|s|sa|sam|samp|sampl|)")
# Names that Windows reserves, with or without a suffix.
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
# Together with the folder's name and a hash each, a path stays under 200 characters.
LONGEST = {"module": 28, "candidate": 24, "test": 60}
# What pytest-recording takes out of a cassette's name, and the length that it takes for a file system's limit.
STOCK_REPLACED = re.compile(r"""[<>?%*:|"'/\\]""")
STOCK_LONGEST = 255
# Suffixes of its files, and how many characters of a name it keeps free for each: it counts "json" without the dot.
STOCK_SUFFIXES = {".yaml": 5, ".json": 4}


def file_name(name: str, longest: int = LONGEST["test"]) -> str:
    """Return `name` as a file name that is safe on every system; different names give different ones.

    A name that is safe and lower-case stays as it is. Any other keeps what is readable and gets eight hex digits of
    its SHA-256, since what was replaced, or what a case-blind file system cannot tell apart, could collide.

    >>> file_name("test_extract"), file_name("test_extract[Ärger/1]")
    ('test_extract', 'test_extract[-rger-1]-4db41af7')
    """
    usable = SAFE.fullmatch(name) and not LOOKS_HASHED.search(name) and not RESERVED.match(name)
    if usable and len(name) <= longest and name.strip(".") == name:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_readable(name, longest)}-{digest}"


def _readable(name: str, longest: int = LONGEST["test"]) -> str:
    readable = UNSAFE.sub("-", name)[:longest].strip(".")
    return f"{'_' if RESERVED.match(readable.lower()) else ''}{readable}"


def named_after(name: str) -> str | None:
    """Return what a file was named after, less its parameters; None if that was cut, or characters in it replaced.

    >>> named_after("TestA.test_x[a-b]-4db41af7"), named_after("test_x"), named_after("test_gr-e-4db41af7")
    ('TestA.test_x', 'test_x', None)
    """
    readable = LOOKS_HASHED.sub("", name)
    base, bracket, _ = readable.partition("[")
    # Dots at the end of what was cut are gone too.
    altered = readable != name and ("-" in base or (not bracket and len(readable) >= LONGEST["test"] - 1))
    return None if altered else base


def is_sample_of(name: str, names: frozenset[str]) -> bool:
    """Whether a file is named after one more sample of a test that has one of the names, as far as a name tells.

    How many samples there are depends on the run; the first one has the name that the test has without any.

    >>> names = frozenset({"test_x.yaml", "test_y[a].yaml"})
    >>> [is_sample_of(f"{name}.yaml", names) for name in ("test_x[sample2]", "test_y[a-sample10]", "test_y[sample2]")]
    [True, True, False]
    """
    readable = LOOKS_HASHED.sub("", name.removesuffix(".yaml"))
    cut = readable != name.removesuffix(".yaml") and len(readable) >= LONGEST["test"] - 1
    more = MORE.fullmatch(readable)
    stems = [more["stem"]] if more and (cut or more["id"].endswith("]")) else []
    return any(stem in _stems(names) for stem in [*stems, *[readable] * cut])


@lru_cache(maxsize=256)
def _stems(names: frozenset[str]) -> frozenset[str]:
    return frozenset(LOOKS_HASHED.sub("", name.removesuffix(".yaml")).removesuffix("]") for name in names)


def is_of_fixture(name: str, fixture: str) -> bool:
    """Whether a file may hold what a fixture recorded: behind its name come its parameter, its end or its origin.

    >>> [is_of_fixture(name, "answer") for name in ("answer", "answer[b]@root-end", "answer-0-4db41af7", "answers")]
    [True, True, True, False]
    """
    readable = _readable(fixture)
    return name.startswith(readable) and not re.match(r"[A-Za-z0-9_.]", name[len(readable) :])


def candidate_folder(candidate: str) -> str:
    """Return the folder of a candidate's recordings.

    >>> candidate_folder("openai:gpt-4o-mini")
    'openai+gpt-4o-mini'
    """
    # Windows refuses the colon; a plus of the name itself is not safe above, so the two cannot be mixed up.
    return "+".join(file_name(part, LONGEST["candidate"]) for part in candidate.split(":", 1))


def without_candidate(test: str, candidate: str) -> str:
    """Return the name of a test without the candidate's part of its parameter id.

    >>> without_candidate("test_x[openai:gpt-4o]", "openai:gpt-4o"), without_candidate("test_x[smol-case1]", "smol")
    ('test_x', 'test_x[case1]')
    """
    base, bracket, rest = test.partition("[")
    if not bracket or not candidate:
        return test
    ids = rest.removesuffix("]")
    if ids == candidate:
        return base
    if ids.startswith(f"{candidate}-"):
        return f"{base}[{ids[len(candidate) + 1 :]}]"
    if ids.endswith(f"-{candidate}"):
        return f"{base}[{ids[: -len(candidate) - 1]}]"
    return f"{base}[{ids.replace(f'-{candidate}-', '-', 1)}]"


def cassette_path(module: Path, test: str, candidate: str | None, folder: str = "llm_cassettes") -> Path:
    """Return the cassette of one test: ``<folder>/<module>/<candidate>/<test and case>.yaml``.

    Args:
        module: The test file.
        test: Class and function with the parameter id, as in the node id: ``TestX::test_y[smol-case1]``.
        candidate: Name of the candidate, or None for a test without one.
        folder: Name of the folder beside the test file, or an absolute path.
    """
    home = _home(module, candidate, folder)
    name = test if candidate is None else without_candidate(test, candidate)
    return Path(f"{home}{os.sep}{file_name(name.replace('::', '.'))}.yaml")


def module_folder(module: Path, folder: str = "llm_cassettes") -> Path:
    """Return the folder of all recordings of a test file."""
    return module.parent / folder / file_name(module.stem, LONGEST["module"])


@lru_cache(maxsize=256)
def _home(module: Path, candidate: str | None, folder: str) -> Path:
    root = module_folder(module, folder)
    return root if candidate is None else root / candidate_folder(candidate)


def fixture_path(
    home: Path, fixture: str, scope_node: str, candidate: str | None, folder: str = "llm_cassettes"
) -> Path:
    """Return the cassette of a fixture that is wider than a test.

    Args:
        home: The test file for a module or class fixture; for wider ones the folder of the conftest that defines it.
        fixture: Its name, with the index of its parameter if it has any.
        scope_node: The class for a class fixture, else an empty string.
        candidate: Name of the candidate if the fixture asks for it.
        folder: Name of the folder beside the test file, or an absolute path.
    """
    root = home.parent / folder / file_name(home.stem, LONGEST["module"]) if home.suffix == ".py" else home / folder
    name = file_name(f"{scope_node}.{fixture}" if scope_node else fixture)
    # A candidate's folder never begins with an underscore of ours: names that do come hashed or unchanged.
    shared = root / FIXTURES
    return (shared / candidate_folder(candidate) if candidate else shared) / f"{name}.yaml"


def stock_paths(
    file: Path, test: str, candidate: str | None, *, folder: Path | None = None, default: str | None = None
) -> list[Path]:
    """Return where pytest-recording would keep the cassette of a test: the likeliest first, none of them twice.

    With the candidate in the parameter id comes before without: the first is of this candidate for sure, the second is
    what a test recorded before it took `llm`. Files written with ``serializer="json"`` come after YAML.

    Args:
        file: The test file.
        test: Class and function with the parameter id, as in the node id: ``TestX::test_y[smol-case1]``.
        candidate: Name of the candidate, or None for a test without one.
        folder: What the fixture `vcr_cassette_dir` returns, where a project has its own.
        default: The argument of the marker `default_cassette`, if the test has it.

    >>> for path in stock_paths(Path("tests/test_x.py"), "TestA::test_y[openai:mini-1]", "openai:mini"):
    ...     print(path.as_posix())
    tests/cassettes/test_x/TestA.test_y[openai-mini-1].yaml
    tests/cassettes/test_x/TestA.test_y[openai-mini-1].json
    tests/cassettes/test_x/TestA.test_y[1].yaml
    tests/cassettes/test_x/TestA.test_y[1].json
    """
    home = file.parent / "cassettes" / file.stem if folder is None else folder
    tests = [test] if candidate is None else [test, without_candidate(test, candidate)]
    names = [default] if default is not None else [_stock_name(name) for name in tests]
    return list(dict.fromkeys(home / _stock_file(name, suffix) for name in names for suffix in STOCK_SUFFIXES))


def _stock_name(test: str) -> str:
    """Return pytest-recording's name for a test."""
    base, bracket, ids = test.partition("[")
    # Of nested classes, only the innermost counts.
    return STOCK_REPLACED.sub("-", ".".join(base.split("::")[-2:]) + bracket + ids)


def _stock_file(name: str, suffix: str) -> str:
    longest = STOCK_LONGEST - STOCK_SUFFIXES[suffix]
    if len(name) > longest:
        digest = hashlib.md5(name.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        name = f"{name[: longest - len(digest) - 3]}...{digest}"
    return name if name.endswith(suffix) else f"{name}{suffix}"


def shown_path(path: Path) -> str:
    """Return a path as messages show it: relative to the working directory where it is below that."""
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return str(path)
