"""Builds `pystack.wire._fast`: cffi (API mode) makes the glue, setuptools compiles it.

The glue keeps to Python's limited API whatever it is compiled for, so one module, and one wheel, is
for every CPython from 3.11 on; those without a GIL and other Pythons get one of their own.

With PYSTACK_PURE=1 in the environment, and on Windows, nothing is compiled and the wheel is a pure
one. With PYSTACK_COMPILED=1 mypyc compiles the core too (build_tools/core.py), into a wheel only: a
checkout that is installed for editing would go on with what was compiled before the edit.
"""

from __future__ import annotations

import os
import runpy
import sys
import sysconfig
from pathlib import Path

from setuptools import Distribution, Extension
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.editable_wheel import editable_wheel
from setuptools.command.egg_info import egg_info
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent.parent
WISH = os.environ.get("PYSTACK_PURE", "")
PURE = WISH != "0" if WISH else sys.platform == "win32"  # the C is for POSIX
COMPILED = os.environ.get("PYSTACK_COMPILED", "") not in ("", "0")
FAST = "pystack.wire._fast"
OLDEST = "cp311"  # the oldest Python of them, `requires-python`
LIMITED = (
    sys.implementation.name == "cpython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
    and not hasattr(sys, "gettotalrefcount")  # a debug build
)
EDITABLE = ROOT / ".editable"

HINT = (
    "the C module of pystack could not be compiled: install a C compiler and the headers of "
    "Python (Debian, Ubuntu: apt-get install gcc python3-dev; macOS: xcode-select --install), or "
    "set PYSTACK_PURE=1 to "
    "install without it, with the slower Python codec"
)


NO_EDITING = (
    "PYSTACK_COMPILED=1 is for wheels: what is installed for editing stays as it is written; "
    "scripts/compiled runs a command with a compiled copy"
)


def add_core(distribution: Distribution) -> None:
    """Compile the core as well."""
    compiled = runpy.run_path(str(ROOT / "build_tools" / "core.py"))
    distribution.ext_modules = [*(distribution.ext_modules or []), *compiled["extensions"]()]


def write_consts(path: Path) -> None:
    """Write pystack/wire/consts.py as C macros: the numbers have one source."""
    consts = runpy.run_path(str(ROOT / "pystack" / "wire" / "consts.py"))
    lines = [f"#define {k} {v}" for k, v in consts.items() if k.isupper() and isinstance(v, int)]
    path.write_text("\n".join(lines) + "\n")


def write_glue(path: Path) -> None:
    """Write the C source of the extension module itself."""
    import cffi  # a build requirement: with PYSTACK_PURE=1 it need not be there

    ffi = cffi.FFI()
    ffi.cdef((ROOT / "csrc" / "interface.h").read_text())
    ffi.set_source(FAST, '#include <stdint.h>\n#include "interface.h"')
    ffi.emit_c_code(str(path))


class BuildExt(build_ext):
    """Emit the generated sources, then compile; a failure names the way around it."""

    def finalize_options(self) -> None:
        if COMPILED and (self.inplace or self.editable_mode):
            raise SystemExit(f"error: {NO_EDITING}")
        super().finalize_options()

    def build_extensions(self) -> None:
        if PURE:
            self.extensions = []
        super().build_extensions()

    def copy_extensions_to_source(self) -> None:
        if PURE:
            return
        # Python would prefer one that was made for it alone
        own = ROOT / "pystack" / "wire" / f"_fast.{sysconfig.get_config_var('SOABI')}.so"
        own.unlink(missing_ok=True)
        super().copy_extensions_to_source()

    def build_extension(self, ext: Extension) -> None:
        if ext.name != FAST:
            super().build_extension(ext)
            return
        made = Path(self.build_temp).resolve() / "made"
        made.mkdir(parents=True, exist_ok=True)
        write_consts(made / "consts.h")
        write_glue(made / "_fast.c")
        ext.sources = [*ext.sources, str(made / "_fast.c")]
        ext.include_dirs = [*ext.include_dirs, str(made)]
        if not LIMITED:
            ext.py_limited_api = False
            ext.define_macros = [*ext.define_macros, ("_CFFI_NO_LIMITED_API", "1")]
        try:
            super().build_extension(ext)
        except Exception as error:
            raise SystemExit(f"error: {error}\nerror: {HINT}") from error


class BdistWheel(bdist_wheel):
    """A wheel without the C module is one for every machine; one may have the core compiled."""

    def finalize_options(self) -> None:
        if PURE:
            self.distribution.ext_modules = []
        elif LIMITED and not COMPILED:
            self.py_limited_api = OLDEST
        super().finalize_options()

    def run(self) -> None:
        if COMPILED and not PURE:
            add_core(self.distribution)
        super().run()


class EditableWheel(editable_wheel):
    """Puts `.editable` on the path, which holds a link to `pystack` and nothing else.

    setuptools' own way is an import hook, which mypy and pyright know nothing of; the checkout
    itself on the path would offer `tests` and `scripts` to every program.
    """

    def finalize_options(self) -> None:
        try:
            EDITABLE.mkdir(exist_ok=True)
            link = EDITABLE / "pystack"
            if not link.is_symlink():
                link.symlink_to(Path("..") / "pystack", target_is_directory=True)
            self.distribution.package_dir = {"": EDITABLE.name}
        except OSError:
            pass  # no links here (Windows): setuptools' import hook serves
        super().finalize_options()


class EggInfo(egg_info):
    """Puts its files into `build`. Beside the sources they look like a distribution with all that
    the sdist holds, and pytest takes the tests in it for those of a plugin."""

    def finalize_options(self) -> None:
        if self.egg_base is None:
            (ROOT / "build").mkdir(exist_ok=True)
            self.egg_base = "build"
        super().finalize_options()


class Sdist(sdist):
    """Leaves out `build`."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        sources = [name for name in files if Path(name).parts[0] != "build"]
        super().make_release_tree(base_dir, sources)
