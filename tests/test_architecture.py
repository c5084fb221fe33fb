"""The rules of the source tree, read off its syntax. `LAYERS` and `IMPORTERS` are the whole of what is decided."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "pytest_llmeval"

#: From the bottom up. A module imports from its own layer or from those before it. A folder stands for all its modules.
LAYERS = {
    "values": (
        "errors candidates mixes cases response runheader records runlines running testlog options settings standins "
        "stats display catalog markers strategies settingsfile"
    ),
    "logic": (
        "pacing breaker cassettes providers prices tariffs recorded bounds ledger budget jsontext checks compare "
        "comparators fieldscores scoring samples projectfiles images casefiles caseyaml caseids caserows datasets "
        "templates promptfiles questions runs merging schema verdicts gate figures measuring published listing "
        "measured shortlist whatif tasks comparison comparing asked sources attribution casefigures"
    ),
    "doing": (
        "workers client collected heirs inventory recordings staleness roster runningtest session readahead outcomes "
        "plan gittree recordedmessages provenance runfiles judging evaluating"
    ),
    "output": "reports",
    "pytest side": (
        "hookspecs workerlink collector lifecycle masking parametrizing repeats widefixtures upcoming fetching "
        "progress budgeting planning saving farworkers assembly gating quarantine actions plugin collecting baselines "
        "kept origins regression commands cli"
    ),
}

#: Who may import what is neither ours nor in the standard library. `plugin` is loaded in every run of every project,
#: so that nothing in here but pytest may be needed at its import.
IMPORTERS = {
    "pytest": (
        "budgeting collecting gating hookspecs lifecycle options parametrizing planning plugin quarantine regression "
        "repeats"
    ),
    "pluggy": "actions collector farworkers fetching masking progress saving widefixtures workerlink",
    "anyio": "budget",
    "vcr": "cassettes.others",
    "yaml": "caseyaml cassettes.dumper cassettes.foreign cassettes.leaves cassettes.plainyaml",
    "openai": "providers.openai",
    "anthropic": "providers.anthropic",
    "httpx2": "providers.clients",
    "pydantic": "mixes settings checks caserows datasets runs schema",
    "pydantic_core": "caseids cassettes.format",
    "jinja2": "templates",
    "jsonschema": "checks",
    "referencing": "checks",
    "tomlkit": "settingsfile",
    "genai_prices": "prices published",
    "rapidfuzz": "cassettes.stale compare",
    "numpy": "stats.means stats.power stats.quantities stats.scores stats.signflips",
    "scipy": "stats.intervals stats.means stats.power stats.proportions stats.quantities stats.scores",
    "rich": "fieldscores jsontext reports.inventory reports.terminal",
}

#: These load what takes long to import, and are themselves imported where they are needed, inside of functions.
LAZY = (
    "cassettes.dumper cassettes.foreign cassettes.others cassettes.plainyaml providers.openai providers.anthropic "
    "mixes providers.mixing providers.routing "
    "reports.terminal reports.inventory reports.plan session settings collecting collector lifecycle masking repeats "
    "widefixtures hookspecs fetching progress upcoming readahead parametrizing datasets templates budgeting planning "
    "runs schema saving farworkers kept casefiles caseyaml assembly gating judging reports.sections measuring "
    "quarantine reports.catalog reports.monthly reports.shortlist reports.checklist reports.whatif reports.tasks "
    "comparing baselines origins regression reports.comparison evaluating "
    "stats.means stats.power stats.quantities stats.scores stats.signflips"
)

LONGEST_FILE = 400
LONGEST_FUNCTION = 40
LONGEST = {"plugin": 300}
NOT_NAMES = {"utils", "util", "helpers", "common", "misc", "base_utils"}


@dataclass(frozen=True)
class Import:
    """One import: by whom, of which module, and whether only when a function is called."""

    by: str
    module: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.by}:{self.line} imports {self.module}"


@cache
def modules() -> dict[str, Path]:
    """Return the package's files by module name, without the package's own: ``cassettes.store``."""
    folder = ROOT / PACKAGE
    parts = {path: path.relative_to(folder).with_suffix("").parts for path in sorted(folder.rglob("*.py"))}
    return {".".join(names).removesuffix(".__init__"): path for path, names in parts.items()}


@cache
def tree(path: Path) -> ast.Module:
    """Return a file's syntax."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports() -> tuple[Import, ...]:
    """Return every import of the package, but for those that only a type checker sees."""
    return tuple(found for name, path in modules().items() for found in _imports(name, tree(path), lazy=False))


def _imports(by: str, node: ast.AST, *, lazy: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(by, alias.name, child.lineno, lazy)
        elif isinstance(child, ast.ImportFrom):
            for alias in child.names:
                yield Import(by, _target(child, alias.name), child.lineno, lazy)
        else:
            inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(by, child, lazy=inside)


def _target(node: ast.ImportFrom, name: str) -> str:
    assert node.level == 0, f"line {node.lineno}: imports are absolute"
    module = node.module or ""
    inner = f"{module}.{name}".removeprefix(f"{PACKAGE}.")
    return f"{PACKAGE}.{inner}" if module.split(".")[0] == PACKAGE and inner in modules() else module


def ours(found: Import) -> str | None:
    """Return the module of the package that is imported, ``__init__`` for the package itself, or None."""
    if found.module == PACKAGE:
        return "__init__"
    return found.module.removeprefix(f"{PACKAGE}.") if found.module.startswith(f"{PACKAGE}.") else None


def layer(module: str) -> int:
    """Return the number of a module's layer."""
    for number, names in enumerate(LAYERS.values()):
        if module.split(".")[0] in names.split():
            return number
    raise LookupError(module)


def told(found: list[Import]) -> list[str]:
    """Return imports as text, for a failure that can be read."""
    return [str(each) for each in found]


def test_every_module_has_a_layer() -> None:
    placed = " ".join(LAYERS.values()).split()
    assert [name for name in modules() if name != "__init__" and name.split(".")[0] not in placed] == []


def test_the_tables_name_only_what_there_is() -> None:
    tops = {name.split(".")[0] for name in modules()}
    listed = " ".join([*LAYERS.values(), *IMPORTERS.values(), LAZY]).split()
    assert [name for name in listed if name not in modules() and name not in tops] == []
    used = {found.module.split(".")[0] for found in imports()}
    assert sorted(set(IMPORTERS) - used) == []


def test_imports_point_downward() -> None:
    upward = [
        found
        for found in imports()
        if (target := ours(found)) and "__init__" not in (target, found.by) and layer(found.by) < layer(target)
    ]
    assert told(upward) == []


def test_no_module_of_the_package_needs_the_package_itself() -> None:
    assert told([found for found in imports() if ours(found) == "__init__"]) == []


def test_imports_form_no_circle() -> None:
    needs: dict[str, set[str]] = {name: set() for name in modules()}
    for found in imports():
        target = ours(found)
        if target and not found.lazy:
            needs[found.by].add(target)
    while free := [name for name, targets in needs.items() if not targets & needs.keys()]:
        for name in free:
            del needs[name]
    assert needs == {}


def test_each_library_is_imported_by_the_files_that_are_listed() -> None:
    outside = [
        found
        for found in imports()
        if ours(found) is None
        and (library := found.module.split(".")[0]) not in sys.stdlib_module_names
        and found.by not in IMPORTERS.get(library, "").split()
    ]
    assert told(outside) == []


def test_what_takes_long_to_import_is_imported_when_needed() -> None:
    # What is itself imported when needed may need it at once.
    lazy = set(LAZY.split())
    eager = [found for found in imports() if not found.lazy and ours(found) in lazy and found.by not in lazy]
    assert told(eager) == []


def test_the_plugin_needs_little_more_than_pytest_and_the_standard_library() -> None:
    reached, pending = set(), ["plugin", "__init__"]
    while pending:
        name = pending.pop()
        for found in imports():
            if found.by == name and not found.lazy and found.module not in reached:
                reached.add(found.module)
                if target := ours(found):
                    pending.append(target)
    others = {module for module in reached if module.split(".")[0] not in sys.stdlib_module_names}
    assert others == {"pytest", f"{PACKAGE}.options", f"{PACKAGE}.errors", f"{PACKAGE}.markers"}


def test_names_say_what_a_module_is_for() -> None:
    assert [name for name in modules() if name.split(".")[-1] in NOT_NAMES] == []


@pytest.mark.parametrize("name", modules())
def test_a_file_and_its_functions_are_short(name: str) -> None:
    path = modules()[name]
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines < LONGEST.get(name, LONGEST_FILE)
    functions = [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {f"{function.name}, line {function.lineno}": _length(function) for function in functions}
    assert {where: length for where, length in lengths.items() if length >= LONGEST_FUNCTION} == {}


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function, decorators and docstring apart."""
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node) is None:
        return total
    docstring = node.body[0]
    return total - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)
