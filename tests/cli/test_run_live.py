"""`pystack run` against the kernel's curl and nc: programs that know nothing of pystack."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.live.namespace import Namespace

pytestmark = pytest.mark.live

OWN, KERNELS = "198.18.0.2", "198.18.0.1"
OWN6 = "fd00:198:18::2"

SERVER = """\
import asyncio
import sys

async def serve(reader, writer):
    line = await reader.readline()
    writer.write(b"you said " + line)
    writer.close()

async def main():
    server = await asyncio.start_server(serve, sys.argv[1] or None, 7000)
    print("ready", __name__, flush=True)
    async with server:
        await server.serve_forever()

asyncio.run(main())
"""

CLIENT = """\
import asyncio
import sys

async def main():
    reader, writer = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    print(writer.get_extra_info("peername")[0], flush=True)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print((await reader.read()).decode().splitlines()[0], flush=True)
    writer.close()

asyncio.run(main())
"""


@pytest.fixture
def server(tmp_path: Path) -> str:
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    return str(script)


@pytest.fixture
def client(tmp_path: Path) -> str:
    script = tmp_path / "client.py"
    script.write_text(CLIENT)
    return str(script)


def devices(namespace: Namespace) -> list[str]:
    lines = namespace.run(["ip", "-oneline", "link"]).stdout.splitlines()
    return [line.split()[1].rstrip(":") for line in lines]


def said(namespace: Namespace, address: str) -> str:
    return namespace.run(["nc", "-N", "-w", "10", address, "7000"], input="hello\n").stdout


@pytest.mark.parametrize("host", [OWN, OWN6, "0.0.0.0", ""])
def test_a_script_serves_nc(namespace: Namespace, server: str, host: str) -> None:
    with Program("run", "--netns", namespace.path, "--", server, host) as program:
        program.until("ready __main__")
        for address in (OWN, OWN6):
            if host in (address, "") or (host == "0.0.0.0" and address == OWN):
                assert said(namespace, address) == "you said hello\n"
        assert program.stop() == 130
        assert program.err.splitlines()[-1] == "KeyboardInterrupt"  # as without us
        assert "runpy" not in program.err
    assert devices(namespace) == ["lo"]


@pytest.mark.parametrize("how", ["python", "module", "command", "code"])
def test_a_program_is_started_as_its_users_do(
    namespace: Namespace, server: str, how: str, tmp_path: Path
) -> None:
    words = {
        "python": ["python", server, OWN],
        "module": ["python3", "-m", "server", OWN],
        "command": [str(tmp_path / "served"), OWN],
        "code": ["python", "-c", SERVER, OWN],
    }[how]
    (tmp_path / "served").write_text(f"#!{sys.executable}\n{SERVER}")
    there = ["env", "-C", str(tmp_path)]
    with Program("run", "--netns", namespace.path, *words, prefix=there) as it:
        it.until("ready __main__")
        assert said(namespace, OWN) == "you said hello\n"
        it.end(signal.SIGTERM)


def test_connections_go_where_their_address_is(namespace: Namespace, client: str) -> None:
    kernels = namespace.popen([sys.executable, "-m", "http.server", "8000"])
    try:
        names = ("--name", f"web={KERNELS}", "--addr6", "none")
        until_ready = "until ss -ltn | grep -q :8000; do sleep 0.05; done"
        namespace.run(["sh", "-c", until_ready])
        with Program("run", "--netns", namespace.path, *names, client, "web", "8000") as program:
            assert program.end() == 0, program.err
            assert program.out.splitlines() == [KERNELS, "HTTP/1.0 200 OK"]
        with Program("run", "--netns", namespace.path, client, "127.0.0.1", "1") as program:
            assert program.end() == 1  # the kernel's, outside of the namespace
            assert "ConnectionRefusedError" in program.err
        with Program("run", "--netns", namespace.path, client, KERNELS, "1") as program:
            assert program.end() == 1
            assert "ConnectionRefusedError" in program.err
    finally:
        kernels.kill()
        kernels.wait()


def test_a_programs_exit_status_is_ours(namespace: Namespace, tmp_path: Path) -> None:
    script = tmp_path / "ends.py"
    for text, status in (("raise SystemExit(7)", 7), ("1 / 0", 1), ("", 0)):
        script.write_text(text)
        with Program("run", "--netns", namespace.path, str(script)) as program:
            assert program.end() == status
            assert ("ZeroDivisionError" in program.err) == (status == 1)
    assert devices(namespace) == ["lo"]


def test_what_no_except_clause_catches_is_told_as_python_tells_it(namespace: Namespace) -> None:
    for text, told in (
        ("raise BaseExceptionGroup('all', [SystemExit(7)])", "BaseExceptionGroup: all"),
        ("import asyncio; raise asyncio.CancelledError", "asyncio.exceptions.CancelledError"),
        ("raise GeneratorExit", "GeneratorExit"),
    ):
        words = ("run", "--netns", namespace.path, "--", "python", "-c", text)
        with Program(*words) as program:
            assert program.end() == 1
            assert told in program.err
            assert program.err.count("File ") == 1  # no frame of ours


IN_A_THREAD = """\
import http.server, threading
server = http.server.HTTPServer(("198.18.0.2", 8000), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=server.serve_forever).start()
"""
IN_A_CHILD = """\
import os, select, socket
sock = socket.create_server(("198.18.0.2", 8000))
print(os.fork(), flush=True)
select.select([sock], [], [])
"""


@pytest.mark.parametrize(
    "words", [["-m", "http.server", "--bind", OWN], ["-c", IN_A_THREAD], ["-c", IN_A_CHILD]],
    ids=["main", "thread", "child"],
)  # fmt: skip
def test_a_server_without_a_loop_ends_and_tells_why(
    namespace: Namespace, words: list[str]
) -> None:
    with Program("run", "--netns", namespace.path, "--", "python", *words) as program:
        assert program.end() == 2
        line = "pystack run: the program listens at the stack, but runs no asyncio event loop"
        assert [line in one for one in program.err.splitlines()] == [True], program.err
    assert devices(namespace) == ["lo"]


def test_a_program_that_still_begins_is_no_server_without_a_loop(namespace: Namespace) -> None:
    code = (
        "import asyncio, socket, time\n"
        "sock = socket.create_server(('198.18.0.2', 80))\n"
        "end = time.monotonic() + 11\n"
        "while time.monotonic() < end: pass\n"
        "async def main():\n"
        "    async with await asyncio.start_server(print, sock=sock): print('served')\n"
        "asyncio.run(main())\n"
    )
    with Program("run", "--netns", namespace.path, "--", "python", "-c", code) as program:
        assert program.end() == 0
        assert program.out == "served\n"


def test_a_parent_whose_child_has_served_is_no_server_without_a_loop(namespace: Namespace) -> None:
    code = (
        "import asyncio, os, socket, time\n"
        "sock = socket.create_server(('198.18.0.2', 80))\n"
        "async def main():\n"
        "    async with await asyncio.start_server(print, sock=sock): await asyncio.sleep(4)\n"
        "if os.fork() == 0:\n"
        "    asyncio.run(main())\n"
        "    os._exit(0)\n"
        "print(os.wait()[1], flush=True)\n"
        "time.sleep(3)\n"  # 5 seconds from the beginning are over, from the child's end not
    )
    with Program("run", "--netns", namespace.path, "--", "python", "-c", code) as program:
        assert program.end() == 0, program.err
        assert program.out == "0\n"


def test_threads_are_waited_for_as_python_does(namespace: Namespace) -> None:
    code = (
        "import asyncio, threading\n"
        "async def main():\n"
        "    server = await asyncio.start_server(print, '198.18.0.2', 80)\n"
        "    await asyncio.sleep(0.3)\n"
        "    print(server.sockets[0].getsockname(), flush=True)\n"
        "threading.Thread(target=lambda: asyncio.run(main())).start()\n"
    )
    with Program("run", "--netns", namespace.path, "--", "python", "-c", code) as program:
        assert program.end() == 0, program.err
        assert program.out == f"('{OWN}', 80)\n"
    assert devices(namespace) == ["lo"]


def test_a_loop_that_the_program_left_unclosed_is_closed(namespace: Namespace) -> None:
    code = "import asyncio; asyncio.new_event_loop().run_until_complete(asyncio.sleep(0)); print(1)"
    with Program("run", "--netns", namespace.path, "--", "python", "-c", code) as program:
        assert program.end() == 0, program.err
        assert program.out == "1\n"
        assert "Traceback" not in program.err
    assert devices(namespace) == ["lo"]


REFUSED = """\
import asyncio, sys, time

async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "198.18.0.2", 80)
    print("serving", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    server.close()
    await server.wait_closed()

for what in ("importing", "between"):
    print(what, flush=True)
    sys.stdin.readline()
    asyncio.run(main())
print("over", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("options", [(), ("--impair", "delay 5ms")], ids=["plain", "impaired"])
def test_connections_are_refused_until_the_program_listens_and_between_two_loops(
    namespace: Namespace, tmp_path: Path, options: tuple[str, ...]
) -> None:
    script = tmp_path / "slow.py"
    script.write_text(REFUSED)

    def status(host: str) -> str:
        result = namespace.run(["nc", "-v", "-z", "-w", "10", host, "80"], check=False)
        return result.stderr.partition(") ")[2] or result.stderr

    with Program(
        "run", "--netns", namespace.path, *options, str(script), stdin=subprocess.PIPE
    ) as program:
        for moment in ("importing", "between"):
            program.until(moment)
            for host in (OWN, OWN, OWN6):
                assert "refused" in status(host)
            program.out = ""
            program.stdin.write(b"go on\n")
            program.stdin.flush()
            program.until("serving")
            for _ in range(3):  # none of them is lost, whoever has had the device before
                assert "succeeded" in status(OWN)
            program.stdin.write(b"go on\n")
            program.stdin.flush()
        program.until("over")
        assert "refused" in status(OWN)
        program.stdin.close()
        assert program.end() == 0
        assert "Traceback" not in program.err
    assert devices(namespace) == ["lo"]


def test_what_a_program_has_bound_before_its_loop_waits_for_it(
    namespace: Namespace, tmp_path: Path
) -> None:
    script = tmp_path / "bound.py"
    script.write_text(
        "import asyncio, socket, sys\n"
        "sock = socket.socket()\n"
        "sock.bind(('198.18.0.2', 80))\n"
        "sock.listen()\n"
        "print('bound', flush=True)\n"
        "sys.stdin.readline()\n"
        "async def main():\n"
        "    served = asyncio.Event()\n"
        "    def connected(reader, writer):\n"
        "        writer.close(); served.set()\n"
        "    async with await asyncio.start_server(connected, sock=sock):\n"
        "        await served.wait()\n"
        "asyncio.run(main())\n"
    )
    with Program("run", "--netns", namespace.path, str(script), stdin=subprocess.PIPE) as program:
        program.until("bound")
        client = namespace.popen(["nc", "-d", "-w", "20", OWN, "80"], stderr=subprocess.PIPE)
        on_its_way = "until ss -tn state syn-sent | grep -q :80; do sleep 0.05; done"
        namespace.run(["sh", "-c", on_its_way])
        program.stdin.write(b"go on\n")
        program.stdin.flush()
        assert client.wait(30) == 0
        assert program.end() == 0, program.err


def test_a_child_of_a_program_has_the_kernel_and_the_parent_goes_on(
    namespace: Namespace, tmp_path: Path
) -> None:
    script = tmp_path / "forks.py"
    script.write_text(
        "import asyncio, os, sys, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"  # Python 3.12: fork with threads
        "async def main():\n"
        "    async with await asyncio.start_server(lambda r, w: w.close(), '127.0.0.1', 0):\n"
        "        print('in the child', flush=True)\n"
        "async def serving():\n"
        "    async with await asyncio.start_server(lambda r, w: w.close(), '198.18.0.2', 80):\n"
        "        print('serving', flush=True)\n"
        "        await asyncio.to_thread(sys.stdin.readline)\n"
        "def child():\n"
        "    if os.fork() == 0:\n"
        "        try: asyncio.run(main()); asyncio.run(main())\n"
        "        except BaseException as error: print(repr(error), flush=True)\n"
        "        finally: os._exit(0)\n"
        "    os.wait()\n"
        "child()\n"
        "asyncio.run(serving())\n"
        "child()\n"
    )
    with Program("run", "--netns", namespace.path, str(script), stdin=subprocess.PIPE) as program:
        program.until("serving")
        assert namespace.run(["nc", "-z", "-w", "10", OWN, "80"], check=False).returncode == 0
        program.stdin.close()
        assert program.end() == 0
        assert program.out.splitlines() == [
            *["in the child"] * 2, "serving", *["in the child"] * 2,
        ]  # fmt: skip
        assert program.err == ""


def test_the_log_of_a_program_has_nothing_of_ours_in_it(namespace: Namespace) -> None:
    code = (
        "import logging; logging.basicConfig(level=logging.DEBUG)\n"
        "import asyncio\n"
        "async def main():\n"
        "    async with await asyncio.start_server(print, '198.18.0.2', 80):\n"
        "        await asyncio.sleep(0.3)\n"  # the link is looked at meanwhile
        "asyncio.run(main())"
    )
    with Program("run", "--netns", namespace.path, "--", "python", "-c", code) as program:
        assert program.end() == 0
        lines = [line for line in program.err.splitlines() if "no packet" not in line]
        assert {line.split(":")[1] for line in lines} <= {"asyncio"}  # its own loop's


def test_a_program_that_asks_for_netlinks_messages_gets_them(namespace: Namespace) -> None:
    code = (
        "import logging; logging.basicConfig(level=logging.DEBUG)\n"
        "logging.getLogger('pyroute2').setLevel(logging.DEBUG)\n"
        "import asyncio; asyncio.run(asyncio.sleep(0.1))\n"
        "logging.getLogger('pyroute2.netlink').debug('a message')"
    )
    with Program("run", "--netns", namespace.path, "--", "python", "-c", code) as program:
        assert program.end() == 0
        assert "DEBUG:pyroute2.netlink:a message" in program.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["no-such-command"], "no-such-command: no such command or script"),
        (["./missing.py"], "./missing.py: No such file or directory"),
        (["/bin/ls"], "/bin/ls is not written in Python: pystack can't get inside"),
        (["python", "-S", "x.py"], "with python -S there are no packages, pystack included"),
        (["python", "-x", "x.py"], "python's option -x can't be used here"),
        (["python", "--fast", "x.py"], "python has no option --fast"),
        (["python", "-W"], "python -W needs a value"),
        (["python", "-c"], "python -c needs a command"),
        (["/no/python3", "x.py"], "/no/python3: No such file or directory"),
        (["python", "-m", "no_such_module"], "no module named no_such_module"),
        (["--route", "10.0.0.1/8", "x.py"], "10.0.0.1/8 has host bits set"),
        (["--route", "default advms 1", "x.py"], "no metric of a route: did you mean advmss?"),
        (["--route", "default congctl x", "x.py"], "there is no congestion control 'x'"),
        (["--name", "web", "x.py"], "'web' is not of the form name=address"),
        ([], "Missing argument 'PROGRAM'"),
    ],
)
def test_what_cannot_be_run_is_told_in_one_line(words: list[str], line: str) -> None:
    with Program("run", *words) as program:
        assert program.end() == 2
        assert line in program.err
        assert program.err.count("\n") == 1
