"""pip makes a working package out of the source tree and out of the sdist, with and without C;
`scripts/wheels` makes what others can install."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pystack import __version__ as VERSION
from tests.surroundings import for_an_index

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parent.parent
CODEC = "from pystack.wire import codec; print('twins' if codec.PURE else 'C')"
METADATA = """
from importlib.metadata import metadata
import pystack
found = metadata("pystack-tcp")
print(found["License-Expression"])
print(found["Version"], pystack.__version__)
for line in found.get_all("Requires-Dist"):
    if "extra ==" not in line:
        print(line)
"""
NO_DEVICE = """
import asyncio, pystack

async def main():
    async with pystack.Stack.over_tun("tun0", "198.18.0.2/24"):
        raise AssertionError("what speaks with the kernel is not here")

try:
    asyncio.run(main())
except pystack.SetupError as error:
    print(error)
"""
TYPED = """
import pystack
from pystack.sockets import Host

reveal_type(Host(["10.0.0.1/24"], secret=bytes(32)).socket())
number: int = pystack.__version__
"""
FOLDERS = ("pystack", "csrc", "build_tools", "tests", "docs", "scripts")
FILES = ("pyproject.toml", "MANIFEST.in", "LICENSE", "README.md")
MADE = {"PKG-INFO", "setup.cfg"}  # by setuptools, for the sdist
TOOLS = ("build", "setuptools>=77", "cffi")
INDEX_FAILURES = ("Could not find a version", "No matching distribution", "ConnectionError")


def run(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that may have to reach the package index."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PY")}
    kept |= for_an_index()
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=kept | environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


class Venv:
    """A fresh virtual environment in `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.python = home / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)

    def pip(self, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return run(
            self.python, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", *words,
            cwd=self.home, **environment,
        )  # fmt: skip

    def codec(self, **environment: str) -> str:
        """Which codec an installed pystack takes, asked from a folder without sources."""
        done = run(self.python, "-c", CODEC, cwd=self.home, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Venv:
    """One that has the build tools, so that not each build downloads them."""
    venv = Venv(tmp_path_factory.mktemp("tools"))
    done = venv.pip("install", *TOOLS)
    if done.returncode and any(text in done.stderr for text in INDEX_FAILURES):
        pytest.skip("no package index to install the build tools from")
    assert done.returncode == 0, done.stderr
    return venv


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the sources are, without anything that a build has left."""
    copy = tmp_path_factory.mktemp("tree") / "pystack-tcp"
    copy.mkdir()
    ignored = shutil.ignore_patterns("*.so", "__pycache__", ".*")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in FILES:
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def sdist(venv: Venv, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    done = run(
        venv.python, "-m", "build", "--sdist", "--no-isolation", "-o", folder, tree, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = folder.iterdir()
    return found


def test_the_sdist_holds_all_of_the_sources_and_nothing_that_is_built(
    sdist: Path, tree: Path
) -> None:
    with tarfile.open(sdist) as archive:
        names = {one.name.partition("/")[2] for one in archive if one.isfile()}
        modes = {one.name.partition("/")[2]: one.mode for one in archive}
    files = {path.relative_to(tree) for path in tree.rglob("*") if path.is_file()}
    built = {path for path in files if {"build", "__pycache__"} & set(path.parts)}
    assert names == {path.as_posix() for path in files - built} | MADE
    assert {"tests/conftest.py", "docs/architecture.md", "csrc/wire.h"} <= names
    assert modes["scripts/setup"] & 0o111


def test_the_sdist_installs_into_a_fresh_environment(sdist: Path, tmp_path: Path) -> None:
    fresh = Venv(tmp_path / "venv")
    done = fresh.pip("install", sdist)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fresh.codec() == "C"
    assert fresh.codec(PYSTACK_PURE="1") == "twins"
    assert (fresh.home / "bin" / "pystack").exists()
    done = run(fresh.python, "-c", METADATA, cwd=fresh.home)
    licence, versions, *requirements = done.stdout.splitlines()
    assert licence == "MIT"
    assert versions.split() == [VERSION, VERSION]
    wanted = [Requirement(line) for line in requirements]
    for system, more in (("linux", {"python-pytun", "pyroute2"}), ("darwin", set())):
        names = {
            one.name for one in wanted
            if one.marker is None or one.marker.evaluate({"sys_platform": system})
        }  # fmt: skip
        assert names == {"cffi", "dpkt"} | more


def test_with_pystack_pure_a_wheel_for_every_machine_is_built(
    venv: Venv, sdist: Path, tmp_path: Path
) -> None:
    done = venv.pip(
        "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, sdist,
        PYSTACK_PURE="1", CC="/bin/false",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    fresh = Venv(tmp_path / "venv")
    assert fresh.pip("install", "--no-deps", wheel).returncode == 0
    assert fresh.pip("install", "dpkt").returncode == 0
    assert fresh.codec() == "twins"
    done = run(fresh.python, ROOT / "scripts/packaging/wheel_works.py", "Python", cwd=fresh.home)
    assert done.returncode == 0, done.stderr
    done = run(fresh.python, "-c", NO_DEVICE, cwd=fresh.home)
    assert done.stdout == "python-pytun is not installed: pip install python-pytun\n"


def test_a_failed_compile_fails_the_install_and_names_the_way_around(
    venv: Venv, sdist: Path, tmp_path: Path
) -> None:
    done = venv.pip(
        "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, sdist, CC="/bin/false"
    )
    assert done.returncode != 0
    assert not list(tmp_path.iterdir())
    (line,) = [line for line in done.stderr.splitlines() if "PYSTACK_PURE=1" in line]
    assert "could not be compiled" in line


@pytest.mark.parametrize(("pure", "codec"), [("0", "C"), ("1", "twins")])
def test_a_source_tree_can_be_installed_for_editing(
    venv: Venv, tree: Path, tmp_path: Path, pure: str, codec: str
) -> None:
    copy = tmp_path / "tree"
    shutil.copytree(tree, copy)
    done = venv.pip("install", "--no-deps", "--no-build-isolation", "-e", copy, PYSTACK_PURE=pure)
    assert done.returncode == 0, done.stdout + done.stderr
    assert venv.codec() == codec
    assert run(venv.python, "-c", "import tests", cwd=venv.home).returncode == 1
    assert not list(copy.glob("*.egg-info"))
    assert (copy / "pystack/wire/_fast.pyi").exists()
    assert bool(list(copy.glob("pystack/wire/_fast*.so"))) == (codec == "C")
    assert venv.pip("uninstall", "-y", "pystack-tcp").returncode == 0


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_see_what_is_installed_for_editing(
    venv: Venv, tree: Path, tmp_path: Path, checker: str
) -> None:
    copy = tmp_path / "a tree"
    shutil.copytree(tree, copy)
    done = venv.pip("install", "--no-deps", "--no-build-isolation", "-e", copy, PYSTACK_PURE="1")
    assert done.returncode == 0, done.stdout + done.stderr
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "prog.py").write_text(TYPED)
    words: list[str | Path] = [sys.executable, "-m", "mypy", "--python-executable", venv.python]
    if checker == "pyright":
        found = shutil.which("pyright")
        if found is None:
            pytest.skip("pyright is not installed")
        words = [found, "--pythonpath", venv.python]
    done = run(*words, "prog.py", cwd=elsewhere)
    assert done.returncode == 1
    assert re.search(r'"h?.*Socket"', done.stdout), done.stdout
    assert '"str"' in done.stdout
    assert len(re.findall(r"\berror\b: ", done.stdout)) == 1, done.stdout
    (copy / "pystack" / "made_later.py").write_text("NUMBER = 7\n")
    done = run(venv.python, "-c", "from pystack.made_later import NUMBER", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert venv.pip("uninstall", "-y", "pystack-tcp").returncode == 0


def test_a_checkout_that_is_not_installed_knows_its_version(tree: Path) -> None:
    done = run(sys.executable, "-S", "-c", "import pystack; print(pystack.__version__)", cwd=tree)
    assert done.stdout == f"{VERSION}\n"
    places = [
        path.name for path in (tree / "pyproject.toml", tree / "pystack" / "__init__.py")
        if f'"{VERSION}"' in path.read_text()
    ]  # fmt: skip
    assert places == ["__init__.py"]


def test_a_source_tree_installs_as_it_lies(venv: Venv, tree: Path) -> None:
    done = venv.pip("install", "--no-deps", "--no-build-isolation", tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert venv.codec() == "C"
    assert venv.pip("uninstall", "-y", "pystack-tcp").returncode == 0


def test_a_release_has_an_sdist_a_wheel_for_any_new_linux_and_a_pure_one(
    venv: Venv, tree: Path, tmp_path: Path
) -> None:
    """The script installs both wheels into fresh environments and moves data there."""
    copy = tmp_path / "a tree"
    shutil.copytree(tree, copy)
    done = run(copy / "scripts" / "wheels", tmp_path / "made", cwd=tmp_path, PYTHON=sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    machine = platform.machine()
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert names == {
        f"pystack_tcp-{VERSION}.tar.gz",
        f"pystack_tcp-{VERSION}-py3-none-any.whl",
        f"pystack_tcp-{VERSION}-cp311-abi3-manylinux2014_{machine}.manylinux_2_17_{machine}.whl",
    }
    assert f"pystack {VERSION} works, with the codec in C" in done.stdout
    assert f"pystack {VERSION} works, with the codec in Python" in done.stdout
    assert not list(copy.glob("*.egg-info"))


def test_cibuildwheel_makes_one_wheel_for_each_processor_and_libc(
    venv: Venv, tree: Path
) -> None:
    assert venv.pip("install", "cibuildwheel").returncode == 0
    found = []
    for machine in ("x86_64", "aarch64"):
        words = (venv.home / "bin" / "cibuildwheel", "--platform", "linux", "--archs", machine)
        done = run(*words, "--print-build-identifiers", tree, cwd=venv.home)
        assert done.returncode == 0, done.stderr
        found += done.stdout.split()
    assert sorted(found) == [
        f"cp311-{libc}_{machine}"
        for libc in ("manylinux", "musllinux") for machine in ("aarch64", "x86_64")
    ]  # fmt: skip
