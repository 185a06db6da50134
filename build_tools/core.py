"""Which folders mypyc compiles, and the compiled copy of an editable checkout.

The same sources become one C extension, and are imported under their usual names. What
`scripts/compiled` uses is a copy of the package in `.compiled/`, made again when a source has
changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
COPIES: Final = ROOT / ".compiled"

# The folders of `pystack` that are compiled, with all that lies in them: the way of a segment, and
# the network of simulated worlds. What must stay Python lies elsewhere: `parts` looks things up
# while running and makes classes; `path`, like the rest of `sim`, is open to users' own classes, or
# is a class of asyncio's.
FOLDERS: Final = ("wire", "cc", "ip", "tcp", "udp", "stack", "sockets", "sim/network")
PYTHON: Final = "wire/codec"  # in them and not compiled: it chooses C, or its twins in Python

MISSING: Final = (
    "mypy is not installed, which compiles the core: pip install 'mypy>=1.19' setuptools, "
    "or leave PYSTACK_COMPILED unset"
)


def modules(root: Path = ROOT) -> list[str]:
    """The modules to be compiled, as paths below `root`."""
    return [
        path.relative_to(root).as_posix()
        for folder in FOLDERS
        for path in sorted((root / "pystack" / folder).rglob("*.py"))
        if path.name != "__init__.py" and not path.is_relative_to(root / "pystack" / PYTHON)
    ]


def extensions() -> list[object]:
    """The C extensions, for setuptools; the working directory is the root of the sources.

    Raises SystemExit when mypy is not there or does not agree with the sources.
    """
    try:
        from mypyc.build import mypycify
    except ImportError:
        raise SystemExit(f"error: {MISSING}") from None
    options = ["--config-file=", "--strict", "--ignore-missing-imports"]
    return list(mypycify([*options, *modules(Path())], opt_level="3", multi_file=False))


def fingerprint() -> str:
    """A name for the sources, the interpreter and the compiler as they are now."""
    total = hashlib.sha256(f"{sys.version} {sysconfig.get_platform()}".encode())
    for path in sorted([*ROOT.glob("pystack/**/*.py"), Path(__file__)]):
        total.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return total.hexdigest()[:16]


def copy() -> Path:
    """Where the compiled copy of these sources is, or would be."""
    return COPIES / fingerprint()


def make() -> Path:
    """The compiled copy, made now if there is none. Raises SystemExit when that fails."""
    COPIES.mkdir(exist_ok=True)
    with open(COPIES / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one at a time
        made = copy()
        if made.is_dir():
            return made
        print("compiled: compiling, which takes a few minutes", file=sys.stderr)
        for old in COPIES.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
        unfinished = COPIES / "unfinished"
        shutil.copytree(
            ROOT / "pystack", unfinished / "pystack", ignore=shutil.ignore_patterns("__pycache__")
        )
        done = subprocess.run(
            [sys.executable, __file__, "--build"], cwd=unfinished, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{done.stdout}{done.stderr}error: the core could not be compiled")
        shutil.rmtree(unfinished / "build")
        # Imported before any script or the working directory comes to the front of the path
        (unfinished / "sitecustomize.py").write_text("import pystack\n")
        unfinished.rename(made)
        return made


def build() -> None:
    """Compile what lies in the working directory, in place."""
    from setuptools import Distribution

    distribution = Distribution({"name": "compiled", "ext_modules": extensions()})
    distribution.script_name = "compiled"
    distribution.command_options["build_ext"] = {"inplace": ("compiled", "1")}
    distribution.run_command("build_ext")


def environment(made: Path) -> dict[str, str]:
    """An environment in which every Python imports `pystack` from the copy `made`."""
    before = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(made), *before])}


def become() -> None:
    """Replace this process by the command of its arguments. Raises OSError when there is none."""
    made = environment(make())
    sys.stdout.flush()
    try:
        os.execvpe(sys.argv[1], sys.argv[1:], made)
    except OSError as error:
        raise OSError(error.errno, error.strerror, sys.argv[1]) from None


if __name__ == "__main__":
    if sys.argv[1:] == ["--build"]:
        build()
    else:
        sys.path.insert(0, str(ROOT))
        from scripts.programs import ending

        sys.exit(ending.run("compiled", "build_tools.core", "become"))
