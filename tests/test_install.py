"""pip makes a working package out of the source tree and out of the sdist, with and without C."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

ROOT = Path(__file__).resolve().parent.parent
CODEC = "from pystack.wire import codec; print('twins' if codec.PURE else 'C')"
METADATA = """
import re
from importlib.metadata import metadata
found = metadata("pystack-tcp")
print(found["License-Expression"])
for line in found.get_all("Requires-Dist"):
    if "extra ==" not in line:
        print(re.match(r"[\\w.-]+", line)[0])
"""
TOOLS = ("build", "setuptools>=77", "cffi")
INDEX_FAILURES = ("Could not find a version", "No matching distribution", "ConnectionError")


def run(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command without the settings of the process that tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PY")}
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
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    for name in ("pystack", "csrc"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
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


def test_the_sdist_holds_all_that_a_build_needs(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    sources = {f"csrc/{path.name}" for path in (ROOT / "csrc").iterdir() if path.is_file()}
    assert sources | {"pyproject.toml", "LICENSE", "pystack/py.typed"} <= names
    assert "pystack/wire/_fast.pyi" in names
    assert not [name for name in names if name.endswith((".so", "_fast.c"))]


def test_the_sdist_installs_into_a_fresh_environment(sdist: Path, tmp_path: Path) -> None:
    fresh = Venv(tmp_path / "venv")
    done = fresh.pip("install", sdist)
    assert done.returncode == 0, done.stdout + done.stderr
    assert fresh.codec() == "C"
    assert fresh.codec(PYSTACK_PURE="1") == "twins"
    assert (fresh.home / "bin" / "pystack").exists()
    shown = run(fresh.python, "-c", METADATA, cwd=fresh.home).stdout.split()
    assert shown[0] == "MIT"
    assert {"cffi", "python-pytun", "pyroute2"} <= set(shown)


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
    assert fresh.codec() == "twins"


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
    assert (copy / "pystack/wire/_fast.pyi").exists()
    assert bool(list(copy.glob("pystack/wire/_fast*.so"))) == (codec == "C")
    assert venv.pip("uninstall", "-y", "pystack-tcp").returncode == 0


def test_a_source_tree_installs_as_it_lies(venv: Venv, tree: Path) -> None:
    done = venv.pip("install", "--no-deps", "--no-build-isolation", tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert venv.codec() == "C"
    assert venv.pip("uninstall", "-y", "pystack-tcp").returncode == 0
