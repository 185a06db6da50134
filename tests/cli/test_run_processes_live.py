"""`pystack run` and programs that fork, replace themselves, or leave threads and hooks behind."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.cli.program import Program
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

OWN = "198.18.0.2"
SERVE = """\
import asyncio, os, socket, sys
async def serve(sock):
    async def hello(reader, writer):
        writer.write(b"hello from %d" % os.getpid())
        writer.close()
    async with await asyncio.start_server(hello, sock=sock) as server:
        print("serving", os.getpid(), flush=True)
        await server.serve_forever()
"""
PRE_FORK = SERVE + """\
class Wrapped:  # as gunicorn's
    def __init__(self, sock): self.sock = sock
    def __getattr__(self, name): return getattr(self.sock, name)
sock = socket.create_server(("198.18.0.2", 7000))
child = os.fork()
if not child:
    asyncio.run(serve(Wrapped(sock)))
print("waited", os.waitpid(child, 0)[1], flush=True)
"""
TWO_WORKERS = SERVE + """\
sock = socket.create_server(("198.18.0.2", 7000))
for _ in range(4):
    if not os.fork():
        asyncio.run(serve(sock))
import time; time.sleep(600)
"""
DAEMON = SERVE + """\
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
asyncio.run(serve(socket.create_server(("198.18.0.2", 7000))))
"""
BUSY_CHILD = SERVE + """\
import threading
async def nothing():
    async with await asyncio.start_server(print, "127.0.0.1", 0):
        await asyncio.sleep(600)
if not os.fork():
    asyncio.run(nothing())
asyncio.run(serve(socket.create_server(("198.18.0.2", 7000))))
"""


CONNECTS = """\
import asyncio, multiprocessing
async def sockname():
    reader, writer = await asyncio.open_connection("198.18.0.1", 8000)
    writer.close()
    return writer.get_extra_info("sockname")[0]
def child():
    print("child", asyncio.run(sockname()), flush=True)
for _ in range(2):
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
print("parent", asyncio.run(sockname()))
"""
WATCHES = """\
import asyncio, os, socket
sock = socket.create_server(("198.18.0.2", 7000))
sock.setblocking(False)
child = os.fork()
if child:
    os.waitpid(child, 0)
loop = asyncio.new_event_loop()
def accepted():
    client, _ = sock.accept()
    client.send(b"accepted")
    client.close()
loop.add_reader(sock, accepted)
print("serving", flush=True)
loop.run_forever()
"""


def said(namespace: Namespace) -> str:
    return namespace.run(["nc", "-d", "-w", "10", OWN, "7000"]).stdout


def running(namespace: Namespace, code: str, *options: str) -> Program:
    return Program("run", "--netns", namespace.path, *options, "--", "python", "-c", code)


@pytest.mark.parametrize("options", [(), ("--impair", "delay 5ms")], ids=["plain", "impaired"])
def test_a_child_that_was_forked_before_any_loop_serves(
    namespace: Namespace, options: tuple[str, ...]
) -> None:
    with running(namespace, PRE_FORK, *options) as program:
        program.until("serving")
        child = program.out.split()[1]
        assert child != str(program.pid)
        for _ in range(3):
            assert said(namespace) == f"hello from {child}"
        program.end(signal.SIGTERM)
        gone = f"while kill -0 {child} || ip link show tun0; do sleep 0.05; done"
        namespace.run(["timeout", str(PATIENCE), "sh", "-c", gone])


def test_a_child_connects_and_the_stack_comes_back(namespace: Namespace) -> None:
    server = namespace.popen([sys.executable, "-m", "http.server", "8000"])
    try:
        until_ready = "until ss -ltn | grep -q :8000; do sleep 0.05; done"
        namespace.run(["sh", "-c", until_ready])
        with running(namespace, CONNECTS) as program:
            assert program.end() == 0, program.err
            assert program.out.splitlines() == [f"child {OWN}"] * 2 + [f"parent {OWN}"]
            assert program.err == ""
    finally:
        server.kill()
        server.wait()


def test_a_child_that_watches_a_socket_before_its_loop_runs_has_the_stack(
    namespace: Namespace,
) -> None:
    with running(namespace, WATCHES) as program:
        program.until("serving")
        assert said(namespace) == "accepted"
        program.end(signal.SIGTERM)


def test_a_second_worker_ends_the_program_with_one_sentence(namespace: Namespace) -> None:
    with running(namespace, TWO_WORKERS) as program:
        assert program.end() == 2
        told = program.err.splitlines()
        assert len(told) == 1, told
        assert "and only one can: leave out further workers" in told[0]


def test_a_program_that_cannot_go_on_forks_no_more(namespace: Namespace) -> None:
    code = SERVE + (
        "sock = socket.create_server(('198.18.0.2', 7000))\n"
        "forks = 0\n"
        "while True:\n"
        "    try:\n"
        "        if not os.fork(): asyncio.run(serve(sock))\n"
        "        forks += 1\n"
        "    except SystemExit: break\n"
        "for call in os.fork, os.forkpty, os.fork:\n"
        "    try: call()\n"
        "    except SystemExit as error: print(error.code, flush=True)\n"
    )
    with running(namespace, code) as program:
        assert program.end() == 2
        told = program.err.splitlines()
        assert len(told) == 1, told
        assert program.out.endswith("\n2\n2\n2\n")


def test_a_daemon_has_the_stack_when_its_parents_have_gone(namespace: Namespace) -> None:
    with running(namespace, DAEMON) as program:
        program.until("serving")
        daemon = program.out.split()[1]
        try:
            assert program.wait() == 0
            assert said(namespace) == f"hello from {daemon}"
        finally:
            namespace.run(["kill", daemon])


def test_a_child_with_a_loop_for_other_things_leaves_the_stack_to_its_parent(
    namespace: Namespace,
) -> None:
    with running(namespace, BUSY_CHILD) as program:
        program.until("serving")
        assert said(namespace) == f"hello from {program.pid}"
        program.end(signal.SIGTERM)


@pytest.mark.parametrize("listens", [False, True], ids=["nothing", "a listener"])
def test_a_fork_meets_no_thread_of_ours(namespace: Namespace, listens: bool) -> None:
    code = (
        "import os, socket, threading, time, warnings\n"
        "warnings.simplefilter('always')\n"
        "tasks = lambda: len(os.listdir('/proc/self/task'))\n"
        f"sock = socket.create_server(('198.18.0.2', 7000)) if {listens} else None\n"
        "assert threading.enumerate() == [threading.main_thread()]\n"
        "hook = []\n"
        "os.register_at_fork(after_in_parent=lambda: hook.append(tasks()))\n"
        "for number in range(20):\n"
        "    if not os.fork(): os._exit(tasks() - 1)\n"
        "    assert os.wait()[1] == 0\n"
        "    while tasks() == 1: time.sleep(0.01)\n"  # that for refusals comes again
        "print('done', set(hook))\n"
    )
    with running(namespace, code) as program:
        assert program.end() == 0, program.err
        assert program.out == "done {1}\n"
        assert "Warning" not in program.err


def test_a_program_ends_as_python_does(namespace: Namespace) -> None:
    code = SERVE + (
        "import atexit, concurrent.futures, threading, time\n"
        "sock = socket.create_server(('198.18.0.2', 7000))\n"
        "loop = asyncio.new_event_loop()\n"
        "def ended():\n"
        "    print('hook', len(sock.getsockname()), flush=True)\n"
        "atexit.register(ended)\n"
        "concurrent.futures.ThreadPoolExecutor().submit(print, 'pool', flush=True)\n"
        "def later():\n"
        "    time.sleep(0.2); print('thread', flush=True)\n"
        "threading.Thread(target=later).start()\n"
        "raise SystemExit(3)\n"
    )
    with running(namespace, code) as program:
        assert program.end() == 3, program.err
        assert program.out.splitlines() == ["pool", "thread", "hook 2"]


def test_a_program_that_becomes_another_is_told_so(namespace: Namespace) -> None:
    code = f"import os; os.execv({sys.executable!r}, ['python', '-c', 'print(1)'])"
    with running(namespace, code) as program:
        assert program.end() == 0
        assert program.out == "1\n"
        assert f"the program becomes {sys.executable}, which knows nothing" in program.err


@pytest.mark.parametrize(("port", "used"), [("7", True), ("", False)], ids=["used", "unused"])
def test_a_stack_that_no_packet_went_through_is_told(
    namespace: Namespace, port: str, used: bool
) -> None:
    code = (
        "import asyncio, subprocess, sys\n"
        "async def main():\n"
        "    if sys.argv[1:]:\n"
        "        try: await asyncio.open_connection('198.18.0.1', sys.argv[1])\n"
        "        except ConnectionRefusedError: pass\n"
        "asyncio.run(main())\n"
        "subprocess.run(['true'])\n"
    )
    words = ["python", "-c", code, *([port] if port else [])]
    with Program("run", "--netns", namespace.path, "--", *words) as program:
        assert program.end() == 0
        line = "pystack run: no packet went through the stack"
        assert (line in program.err) == (not used)
        assert program.err.count("\n") == (not used)
