"""Run a callback when a library is imported: at once if it is already, else right after it was executed.

An HTTP library costs up to 200 ms to import, and most test suites use one of them; so none is imported only to be
patched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


@contextmanager
def when_imported(name: str, callback: Callable[[ModuleType], object]) -> Iterator[None]:
    """Call `callback` with the top-level module `name` as soon as it is there; stop waiting at the end."""
    if sys.modules.get(name) is not None:
        # Another thread may be at it, and what it has so far is no module yet: this waits.
        callback(import_module(name))
        yield
        return
    finder = _Finder(name, callback)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Finds one module as usual, and wraps its loader."""

    def __init__(self, name: str, callback: Callable[[ModuleType], object]) -> None:
        self._name = name
        self._callback = callback

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Loader(spec.loader, self._callback)
        return spec


class _Loader(Loader):
    """Executes a module with its own loader, then calls back."""

    def __init__(self, loader: Loader, callback: Callable[[ModuleType], object]) -> None:
        self._loader = loader
        self._callback = callback

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # What the module sees of itself must be its own loader: importlib.resources asks it for files.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._callback(module)
