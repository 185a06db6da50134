"""The scripts: none ends in silence, each has help at once; what they tell who lacks something."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.help.__main__ import texts

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "scripts"
SCRIPTS = sorted(path for path in FOLDER.iterdir() if path.is_file() and os.access(path, os.X_OK))
IDS = [path.name for path in SCRIPTS]
ALL = [*SCRIPTS, ROOT / ".ci" / "run"]
NEEDS_NO_SETUP = ("setup", "fresh-root", "wheels")
PARTS = sorted(FOLDER.glob("bash/*.sh"))

SMALL_TOOLS = (
    "bash", "cat", "cp", "cut", "dirname", "env", "flock", "getent", "grep", "head", "mkdir",
    "mktemp", "readlink", "realpath", "rm", "sha256sum", "sort", "stat", "tail", "tee",
)  # fmt: skip

# without the others no script begins
BROKEN_TOOLS = [tool for tool in SMALL_TOOLS if tool not in ("bash", "dirname", "readlink")]

# As much of a Python as scripts/setup calls. What matches FAIL ends with status 1, without a word.
PYTHON = """\
#!/usr/bin/env bash
[[ -z ${FAIL:-} || $* != *"$FAIL"* ]] || exit 1
case $* in
    *"-m venv"*) mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python" ;;
    *'"python%d.%d"'*) echo python3.99 ;;
    -V*) echo "Python 3.99.0" ;;
    *sysconfig*) echo /nowhere ;;
    *_base_executable*) echo /base ;;
esac
"""


def run(
    *command: str | Path, cwd: Path | None = None, path: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with these variables and no others of this process."""
    home = {"HOME": str(cwd or "/nonexistent"), "LANG": "C"}
    return subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, cwd=cwd,
        env={**home, "PATH": str(path) if path else os.environ["PATH"], **environment},
        timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("script", ALL, ids=[*IDS, ".ci/run"])
def test_each_script_is_strict_bash_whose_failures_are_told(script: Path) -> None:
    text = script.read_text()
    assert os.access(script, os.X_OK)
    assert text.startswith("#!/usr/bin/env bash\n")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "set -Eeuo pipefail"
    assert lines[1].startswith("source ")
    assert lines[1].endswith('bash/steps.sh"')
    assert run("bash", "-n", script).returncode == 0


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_has_nothing_to_say() -> None:
    assert run("shellcheck", "-x", *ALL, *PARTS).stdout == ""


# -- help -----------------------------------------------------------------------------------------
@pytest.fixture
def bare_checkout(tmp_path: Path) -> Path:
    """The scripts and nothing else, in a path with a space, on a machine without any Python."""
    checkout = tmp_path / "a checkout"
    shutil.copytree(FOLDER, checkout / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", checkout / ".ci" / "run")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in SMALL_TOOLS:
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    return checkout


def everything(folder: Path) -> list[tuple[str, int]]:
    """Each file below a folder, with the time of its last change."""
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("name", IDS)
def test_help_needs_nothing_and_changes_nothing(
    bare_checkout: Path, tmp_path: Path, name: str, option: str
) -> None:
    before = everything(bare_checkout)
    result = run(f"scripts/{name}", option, cwd=bare_checkout, path=tmp_path / "bin")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.casefold().startswith(f"usage: scripts/{name} ")
    assert result.stdout.isascii()
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert everything(bare_checkout) == before


def test_a_script_may_be_called_by_a_link(bare_checkout: Path, tmp_path: Path) -> None:
    link = tmp_path / "mine"
    link.symlink_to(bare_checkout / "scripts" / "bench")
    result = run(link, "--help", cwd=tmp_path, path=tmp_path / "bin")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: scripts/bench ")


@pytest.mark.parametrize("command", ["serve", "run", "demo", "nc", "doctor"])
def test_help_of_a_command_needs_nothing_either(
    bare_checkout: Path, tmp_path: Path, command: str
) -> None:
    result = run("scripts/pystack", command, "--help", cwd=bare_checkout, path=tmp_path / "bin")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: scripts/pystack {command} ")


@pytest.mark.parametrize(("name", "text"), texts(), ids=[name for name, _ in texts()])
def test_help_is_what_the_program_says_of_itself(name: str, text: str) -> None:
    written = (FOLDER / "help" / name).read_text()
    assert written.split() == text.split(), "python -m scripts.help writes it anew"


# -- nothing fails in silence ---------------------------------------------------------------------
@pytest.fixture
def machine(bare_checkout: Path, tmp_path: Path) -> Path:
    """That checkout with what setup reads, and a machine that has a (false) Python and compiler,
    for somebody who is not root."""
    for name in ("pyproject.toml", "csrc", "build_tools", "pystack/wire/consts.py"):
        target = bare_checkout / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, target)
    (bare_checkout / "build_tools" / "__pycache__").mkdir(exist_ok=True)  # as pip's build leaves it
    for name, text in (("python3", PYTHON), ("id", "#!/bin/sh\necho 1000\n"),
                       ("cc", "#!/bin/sh\nexec /bin/cat >/dev/null\n")):  # fmt: skip
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return bare_checkout


def setup(machine: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    tools = machine.parent / "bin"
    return run("scripts/setup", *options, cwd=machine, path=tools, **environment)


def test_setup_makes_the_environment_once(machine: Path) -> None:
    first = setup(machine)
    assert first.returncode == 0, first.stderr
    assert "setup: making .venv with Python 3.99.0" in first.stderr
    assert "setup: installing pystack[cli] into .venv" in first.stderr
    again = setup(machine)
    assert again.returncode == 0
    assert "making" not in again.stderr + again.stdout
    assert "installing" not in again.stderr + again.stdout


def test_setup_keeps_what_it_installed_before(machine: Path) -> None:
    assert "pystack[cli,test]" in setup(machine, "--test").stderr
    assert "installing" not in setup(machine).stderr
    assert "pystack[cli,docs,test]" in setup(machine, "--docs").stderr
    assert "installing" not in setup(machine, "--test").stderr
    with (machine / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    assert "pystack[cli,docs,test]" in setup(machine).stderr


def assert_told(result: subprocess.CompletedProcess[str], script: str) -> None:
    """It has failed, and its last line says at what, and what to do."""
    assert result.returncode == 2, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"{script}: "), result.stderr
    said, _, advice = last.removeprefix(f"{script}: ").partition(": ")
    assert said
    assert advice or "(" in said, last


@pytest.mark.parametrize("tool", [*BROKEN_TOOLS, "cc", "id", "python3"])
def test_setup_tells_which_step_has_failed_whatever_tool_fails(machine: Path, tool: str) -> None:
    """Each tool in turn fails without a word; setup goes on without it, or tells."""
    broken = machine.parent / "bin" / tool
    broken.unlink()
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    result = setup(machine)
    if result.returncode == 0:
        stamp = machine / ".venv" / ".pystack-setup"
        assert stamp.read_text().splitlines()[1:] == ["cli"]
    else:
        assert_told(result, "setup")


@pytest.mark.parametrize("call", ["-m venv", "-m pip install", "SOABI", "import ensurepip"])
def test_setup_tells_which_step_has_failed_whatever_python_does(machine: Path, call: str) -> None:
    assert_told(setup(machine, FAIL=call), "setup")


def test_setup_tells_who_has_no_place_for_temporary_files(machine: Path) -> None:
    result = setup(machine, TMPDIR="/nonexistent")
    assert_told(result, "setup")
    assert "no temporary file could be made" in result.stderr


def test_after_a_failed_install_the_next_setup_does_it_again(machine: Path) -> None:
    assert setup(machine, FAIL="-m pip install").returncode == 2
    assert "installing pystack" in setup(machine).stderr


def test_a_folder_that_holds_something_else_is_left_alone(machine: Path) -> None:
    folder = machine / "thesis"
    folder.mkdir()
    (folder / "chapter").write_text("one")
    result = setup(machine, "--venv", str(folder))
    assert_told(result, "setup")
    assert f"{folder} holds something else" in result.stderr
    assert (folder / "chapter").read_text() == "one"
    assert setup(machine, "--venv", "--test").returncode == 2


def test_after_a_setup_that_was_killed_the_next_one_goes_on(machine: Path) -> None:
    """Nothing that it started keeps its lock, or writes to the terminal any more."""
    tools = machine.parent / "bin"
    python = PYTHON.replace('*"-m venv"*) ', '*"-m venv"*) kill -KILL $PPID; ')
    (tools / "python3").write_text(python)
    killed = setup(machine)
    assert killed.returncode == -9
    (tools / "python3").write_text(PYTHON)
    assert setup(machine).returncode == 0


@pytest.mark.parametrize("signal", ["INT", "TERM", "HUP"])
def test_a_signal_ends_setup_with_a_line_and_nothing_left(
    machine: Path, tmp_path: Path, signal: str
) -> None:
    tools = machine.parent / "bin"
    python = PYTHON.replace('*"-m venv"*) ', f'*"-m venv"*) kill -{signal} $PPID; ')
    (tools / "python3").write_text(python)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    result = setup(machine, TMPDIR=str(temporary))
    assert result.returncode < 0
    assert result.stderr.splitlines()[-1].startswith(f"setup: ended by SIG{signal} while making")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("name", [name for name in IDS if name not in NEEDS_NO_SETUP])
def test_a_script_whose_setup_fails_adds_nothing_to_what_that_said(
    machine: Path, name: str
) -> None:
    words = {"compiled": ["true"], "pystack": ["doctor"]}.get(name, [])
    result = run(f"scripts/{name}", *words, cwd=machine, path=machine.parent / "bin",
                 FAIL="-m venv")  # fmt: skip
    assert_told(result, "setup")
    assert result.stderr.count("could not be made") == 1
    assert result.stderr.count("failed while") == 0


@pytest.mark.parametrize("name", [name for name in IDS if name not in NEEDS_NO_SETUP])
def test_a_script_whose_program_is_missing_says_so(machine: Path, name: str) -> None:
    (machine / "scripts" / "setup").write_text("#!/bin/sh\n")
    words = {"compiled": ["true"], "pystack": ["doctor"]}.get(name, [])
    result = run(f"scripts/{name}", *words, cwd=machine, path=machine.parent / "bin")
    assert result.returncode != 0
    assert result.stderr.splitlines()[-1].startswith(f"{name}: failed"), result.stderr


def test_setup_refuses_what_it_does_not_know() -> None:
    result = run(FOLDER / "setup", "--fast")
    assert result.returncode == 2
    assert result.stderr == "setup: unknown option --fast, see scripts/setup --help\n"


def test_a_checkout_that_cannot_be_written_to_is_told(machine: Path) -> None:
    namespace = ["unshare", "--map-root-user", "--mount"]
    if run(*namespace, "true").returncode != 0:
        pytest.skip("no mount namespace may be made here")
    command = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && "$1/scripts/setup"'
    (machine.parent / "bin" / "mount").symlink_to("/bin/mount")
    result = run(*namespace, "sh", "-c", f"PATH={machine.parent / 'bin'}; {command}", "-", machine)
    assert_told(result, "setup")
    assert f"{machine} cannot be written to: clone it" in result.stderr
    assert result.stderr.count("\n") == 1


# -- what to install ------------------------------------------------------------------------------
def test_who_is_not_root_is_told_exactly_what_to_install(machine: Path) -> None:
    (machine.parent / "bin" / "cc").unlink()
    result = setup(machine)
    packages = result.stderr.partition("sudo apt-get install ")[2].partition(")")[0].split()
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert {"gcc", "libc6-dev", "python3.99-dev", "curl", "netcat-openbsd"} <= set(packages)
    assert not (machine / ".venv").exists()


def test_another_python_makes_the_environment_anew(machine: Path) -> None:
    tools = machine.parent / "bin"
    assert setup(machine).returncode == 0
    other = tools / "python3.98"
    other.write_text(PYTHON.replace("/nowhere", "/elsewhere").replace("/base", "/other"))
    other.chmod(0o755)
    assert "making" not in setup(machine, PYTHON=str(tools / "python3")).stderr
    assert "making .venv" in setup(machine, PYTHON=str(other)).stderr
    assert "making" not in setup(machine, PYTHON=str(other)).stderr
    assert "making" not in setup(machine).stderr  # it stays
    refused = setup(machine, PYTHON="/nonexistent/python3")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


def test_a_python_that_is_too_old_is_refused(machine: Path) -> None:
    old = machine.parent / "bin" / "python3.9"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = setup(machine, PYTHON=str(old))
    assert result.returncode == 2
    assert result.stderr == f"setup: PYTHON={old} is no Python 3.11 or newer\n"


def test_without_any_python_its_package_is_named(machine: Path) -> None:
    (machine.parent / "bin" / "python3").unlink()
    result = setup(machine)
    assert result.returncode == 2
    assert "python3 python3-venv python3-dev" in result.stderr


# A machine for root with an apt-get, which writes down what it is called with.
APT_GET = """\
#!/bin/sh
echo "$*" >>"$0.log"
case $* in *-testsuite*) exit "${TESTSUITE:-0}" ;; esac
"""
DPKG_QUERY = """\
#!/bin/sh
case $* in *python3.99) echo "3.99.0-1" ;; *) exit 1 ;; esac
"""


@pytest.fixture
def roots_machine(machine: Path) -> Path:
    """That machine for root, whose Python is Debian's; it lacks curl and all else."""
    tools = machine.parent / "bin"
    python = PYTHON.replace("case $* in", "case $* in\n    *test_asyncio*) exit 1 ;;\n"
                            "    *base_prefix\\)*) echo /usr ;;", 1)  # fmt: skip
    for name, text in (("id", "#!/bin/sh\necho 0\n"), ("apt-get", APT_GET), ("python3", python),
                       ("dpkg-query", DPKG_QUERY)):  # fmt: skip
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    return machine


def asked_of_apt(machine: Path) -> str:
    log = machine.parent / "bin" / "apt-get.log"
    return log.read_text() if log.exists() else ""


@pytest.mark.parametrize("options", [["--test", "--python-only"], ["--docs", "--python-only"]])
def test_root_gets_no_packages_for_what_needs_no_kernel(
    roots_machine: Path, options: list[str]
) -> None:
    assert setup(roots_machine, *options, CI="true").returncode == 0
    assert asked_of_apt(roots_machine) == ""


@pytest.mark.parametrize("name", ["behaviour", "calls", "pictures", "compiled", "docs"])
def test_a_script_that_needs_no_kernel_brings_none_of_its_tools(
    roots_machine: Path, name: str
) -> None:
    words = {"compiled": ["true"]}.get(name, [])
    run(f"scripts/{name}", *words, cwd=roots_machine, path=roots_machine.parent / "bin")
    assert (roots_machine / ".venv" / ".pystack-setup").exists()
    assert asked_of_apt(roots_machine) == ""


def test_the_tests_of_cpython_come_under_ci_or_when_asked_for(roots_machine: Path) -> None:
    assert setup(roots_machine, "--test").returncode == 0
    assert "tshark" in asked_of_apt(roots_machine)
    assert "testsuite" not in asked_of_apt(roots_machine)
    assert setup(roots_machine, "--asyncio-tests").returncode == 0
    assert asked_of_apt(roots_machine).count("libpython3.99-testsuite=3.99.0-1\n") == 1
    assert setup(roots_machine, "--test", CI="true").returncode == 0
    assert asked_of_apt(roots_machine).count("libpython3.99-testsuite=3.99.0-1\n") == 2


def test_where_they_are_not_to_be_had_for_this_very_python_it_says_so(roots_machine: Path) -> None:
    result = setup(roots_machine, "--asyncio-tests", TESTSUITE="100")
    assert result.returncode == 0
    last = result.stderr.splitlines()[-1]
    assert last == "setup: without libpython3.99-testsuite=3.99.0-1 some of it will not work"


def test_a_python_with_a_later_patch_is_no_reason_to_install_anew(machine: Path) -> None:
    assert setup(machine).returncode == 0
    python = machine / ".venv" / "bin" / "python"
    python.write_text(python.read_text().replace("3.99.0", "3.99.1"))
    result = setup(machine, "--python-only")
    assert (result.returncode, result.stderr) == (0, "")
