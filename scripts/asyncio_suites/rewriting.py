"""Test modules with the loopback addresses in their source replaced.

A test's addresses are mostly those that its asyncio side listens at or connects to: the stack's.
Those that a blocking server in a thread listens at are the kernel's; `KERNEL_SIDE` names the
functions that make such servers. "localhost" stands for the stack by its name (see `places`),
so it is replaced for the kernel's side only, and not outside of functions, where it stands in
certificates.

A coroutine that blocks in `sock.accept()`, `connect()` or `recv()` awaits it instead: a socket of
the stack cannot wait while its own loop stands still.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import itertools
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import CodeType, ModuleType

from scripts.asyncio_suites.places import ADDRESSES_ONLY, KERNELS, OURS

# patterns for a module's functions, with their classes and the functions that they stand in
KERNEL_SIDE: Mapping[str, Collection[str]] = {
    "test.test_asyncio.functional": ("*",),
    "test.test_asyncio.utils": ("*",),
    "test.test_asyncio.test_streams": ("*.test_drain_raises.server",),
    "test.test_asyncio.test_ssl": ("TestSSL.tcp_server",),
    "tests/test_sockets.py": ("TestTCPStream.*",),
    "tests/streams/test_tls.py": ("TestTLSStream.*",),
}
_NOT_PLACES = {"server_hostname", "hostname", "tls_hostname"}  # names in certificates


@dataclass(frozen=True)
class _Change:
    """What stands between two offsets (octets of UTF-8) of a source, and what shall."""

    begin: int
    end: int
    text: bytes


class _Source:
    """A source with its tree. Lines stay where they are when it is changed."""

    def __init__(self, text: str, kernel_side: Collection[str]) -> None:
        self._octets = text.encode()
        lines = self._octets.splitlines(keepends=True)
        self._lines = [0, *itertools.accumulate(len(line) for line in lines)]
        self._kernel_side = kernel_side
        self.tree = ast.parse(text)
        self._awaited = {
            node.value for node in ast.walk(self.tree) if isinstance(node, ast.Await)
        }

    def changed(self) -> str:
        """The source with all its changes."""
        octets = self._octets
        changes = self._changes(self.tree, (), False)
        for one in sorted(changes, key=lambda one: one.begin, reverse=True):
            octets = octets[: one.begin] + one.text + octets[one.end :]
        return octets.decode()

    def _changes(
        self, node: ast.AST, names: tuple[str, ...], in_coroutine: bool
    ) -> Iterator[_Change]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names = (*names, node.name)
            in_coroutine = isinstance(node, ast.AsyncFunctionDef)
        if in_coroutine and isinstance(node, ast.Call) and _blocks(node):
            if node not in self._awaited and ADDRESSES_ONLY not in os.environ:
                yield from self._awaiting(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            new = self._replaced(node.value, names)
            if new != node.value:
                begin, end = self._extent(node)
                lines = self._octets.count(b"\n", begin, end)
                yield _Change(begin, end, repr(new).encode() + b"\n" * lines)
            return
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.keyword) and node.arg in _NOT_PLACES
        ):
            return
        for child in ast.iter_child_nodes(node):
            yield from self._changes(child, names, in_coroutine)

    def _extent(self, node: ast.expr) -> tuple[int, int]:
        """Where it begins and ends, in octets."""
        begin = self._lines[node.lineno - 1] + node.col_offset
        return begin, self._lines[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)

    def _awaiting(self, call: ast.Call) -> Iterator[_Change]:
        """`sock.accept()` as `(await sock.awaited('accept'))`."""
        assert isinstance(call.func, ast.Attribute)
        begin, end = self._extent(call)
        after_sock = self._extent(call.func.value)[1]
        arguments = self._extent(call.args[0])[0] if call.args else end - 1
        comma = ", " if call.args else ""
        yield _Change(begin, begin, b"(await ")
        lines = b"\n" * self._octets.count(b"\n", after_sock, arguments)
        text = f".awaited({call.func.attr!r}{comma}".encode() + lines
        yield _Change(after_sock, arguments, text)
        yield _Change(end, end, b")")

    def _replaced(self, text: str, names: tuple[str, ...]) -> str:
        place = ".".join(names)
        kernels = any(fnmatchcase(place, pattern) for pattern in self._kernel_side)
        addresses = KERNELS if kernels else OURS
        if text == "::1":
            return addresses[6]
        if text == "localhost":
            return "kernel.test" if names and kernels else text
        return text.replace("127.0.0.1", addresses[4])


def _blocks(call: ast.Call) -> bool:
    """Whether it is such a call of a socket: it has as many arguments as they have."""
    return isinstance(call.func, ast.Attribute) and not call.keywords and (
        (call.func.attr, len(call.args)) in (("accept", 0), ("connect", 1), ("recv", 1))
    )


def rewritten(source: str, kernel_side: Collection[str] = ()) -> str:
    """`source` with its loopback addresses replaced; its lines keep their numbers."""
    return _Source(source, kernel_side).changed()


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        """Compiled again: what lies in __pycache__ is of the source as it stands."""
        path = self.get_filename(fullname)
        text = importlib.util.decode_source(self.get_data(path))
        return compile(rewritten(text, KERNEL_SIDE.get(fullname, ())), path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of a package, to be rewritten when they are loaded."""

    def __init__(self, package: str) -> None:
        self._package = package + "."

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """As `importlib` wants it."""
        if not name.startswith(self._package):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install(package: str) -> None:
    """Have modules of `package` rewritten when they are imported from now on."""
    sys.meta_path.insert(0, Finder(package))
