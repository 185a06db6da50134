"""What a process of tests takes from who has started it, made the same everywhere.

A shell hands on more than words: signals that are ignored (`nohup`, `&` in a script) or blocked, a
closed stdin, a umask, limits, a terminal, and variables that change what Python, pip, curl and ssh
do. A test that fails for one of them says nothing about us. `settle` and `settled_environment`
put this process, and with it all that it starts, into a known state. What `pystack` itself does in
odd surroundings is tested in tests/cli/test_surroundings.py, which makes them on purpose.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

DESCRIPTORS = 4096  # at once: 500 connections with both ends in one process, and what serves them
_HOME = "pystack-home-"
PATIENCE = 120.0  # s, for what takes about one on an idle machine: a net, never waited for

# Read by Python, by pytest, by what draws on terminals, or by a shell that is not interactive. One
# of these is a choice of who runs the suite: PYTHONPATH (scripts/compiled puts a copy in front).
_DROPPED = (
    "TERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "PY_COLORS", "CLICOLOR",
    "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM", "LANGUAGE", "BASH_ENV",
    "ENV", "CDPATH",
    "POSIXLY_CORRECT", "SSLKEYLOGFILE", "PYSTACK_CALLED_AS", "PYTEST_ADDOPTS", "PYTEST_PLUGINS",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_DEBUG", "MPLBACKEND", "CURL_HOME", "CURL_SSL_BACKEND",
    "TZDIR", "DISPLAY", "WAYLAND_DISPLAY", "SSH_AUTH_SOCK", "SSH_ASKPASS", "PYTHON",
)  # fmt: skip
_DROPPED_PREFIXES = ("PYTHON", "LC_", "XDG_", "PG", "REDIS", "UVICORN_", "GREP_", "WIRESHARK_")
_KEPT = ("PYTHONPATH", "PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX")
_SET = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
# how pip and others reach the world; no test needs it but to install packages
_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "OPENSSL_CONF")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY")
# of pip, what would put packages elsewhere than into the environment that a test has made
_OF_PIP = (
    "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV",
    "PIP_NO_BUILD_ISOLATION", "PIP_NO_DEPS", "PIP_DRY_RUN", "PIP_REPORT", "PIP_LOG", "PIP_QUIET",
    "PIP_VERBOSE", "PIP_EDITABLE", "PIP_REQUIREMENT",
)  # fmt: skip
# Python itself ignores these; a child has them as they should be (subprocess's restore_signals)
_PYTHONS_OWN = (signal.SIGPIPE, signal.SIGXFSZ)

as_found: Mapping[str, str] = dict(os.environ)  # before anything was changed


def settle() -> None:
    """Signals, standard descriptors, umask and limits of this process, for good."""
    open_standard_descriptors()
    settle_signals()
    os.umask(0o022)
    if descriptors() < DESCRIPTORS:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        enough = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))


def descriptors() -> int:
    """How many this process may have open at once."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def open_standard_descriptors() -> None:
    """One that is closed would be the next file's, and a child would take that for its stdin."""
    for number, mode in (0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY):
        try:
            os.fstat(number)
        except OSError:
            made = os.open(os.devnull, mode)
            if made != number:
                os.dup2(made, number)
                os.close(made)
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, closefd=False)


def settle_signals() -> None:
    """No signal is blocked; none is ignored in what this process starts.

    SIGINT interrupts, as Python has it. Any other that was ignored still does nothing to this
    process, which `nohup` may have started: it has a handler, and a handler ends with `exec`.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals():
        if signal.getsignal(number) is not signal.SIG_IGN or number in _PYTHONS_OWN:
            continue
        if number == signal.SIGINT:
            signal.signal(number, signal.default_int_handler)
        elif number == signal.SIGCHLD:
            signal.signal(number, signal.SIG_DFL)  # ignored, it takes away the status of children
        else:
            signal.signal(number, _nothing)


def _nothing(number: int, frame: FrameType | None) -> None:
    pass


@contextmanager
def settled_environment() -> Iterator[None]:
    """Meanwhile `os.environ` is `environment(…)` of what it was, and HOME an empty folder.

    Not from the import on: pytest's own output is to be as its user wants it. The home of a run
    that another has started, as a worker, is within that one's: it goes with it, even if it was
    killed, as workers are on Ctrl-C.
    """
    before = dict(os.environ)
    outer = before.get("HOME", "")
    within = outer if Path(outer).name.startswith(_HOME) and os.path.isdir(outer) else None
    with tempfile.TemporaryDirectory(
        prefix=_HOME, dir=within, ignore_cleanup_errors=True
    ) as home:
        _replace(environment(before) | {"HOME": home})
        try:
            yield
        finally:
            _replace(before)


def _replace(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()


def environment(found: Mapping[str, str]) -> dict[str, str]:
    """`found` without what changes how programs behave, in English and UTF-8, at UTC."""
    kept = {name: value for name, value in found.items() if not _is_dropped(name)}
    # users of Debian have not the folders of ip, tcpdump and sshd in theirs
    path = found.get("PATH", os.defpath).split(":")
    path += [folder for folder in ("/usr/sbin", "/sbin") if folder not in path]
    return kept | _SET | {"PATH": ":".join(path)}


def _is_dropped(name: str) -> bool:
    if name in _KEPT:
        return False
    return (
        name in _DROPPED or name in _OF_PIP or name in _TRUST or name.upper() in _PROXIES
        or name.startswith(_DROPPED_PREFIXES)
    )  # fmt: skip


def for_an_index() -> dict[str, str]:
    """Variables with which pip reaches the package index that this machine's user has set up:
    proxies, certificates, and the places of pip's own settings."""
    names = ("HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", *_TRUST)
    return {
        name: text for name, text in as_found.items() if name in names or name.upper() in _PROXIES
    }
