"""curl on the kernel's side, HTTP served over pystack; and pystack fetching from the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pystack.aio.endpoint.stack import Stack
from tests.live.http_program import ADDRESSES
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

SIZE = 200_000_000
SMALL = 20_000
VERSIONS = pytest.mark.parametrize("version", [4, 6], ids=["IPv4", "IPv6"])


@dataclass
class Folder:
    """What is served: `big` of 200 MB and a few small files."""

    path: Path
    big: str  # the SHA-256
    small: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    path = tmp_path_factory.mktemp("served")
    text = os.urandom(SMALL)
    known = hashlib.sha256()
    with open(path / "big", "wb") as file:
        for _ in range(SIZE // 1_000_000):
            part = os.urandom(1_000_000)
            known.update(part)
            file.write(part)
    (path / "small").write_bytes(text)
    yield Folder(path, known.hexdigest(), hashlib.sha256(text).hexdigest())
    (path / "big").unlink()


@dataclass
class Served:
    """The program that serves the folder, and the namespace that its device lies in."""

    namespace: Namespace
    folder: Folder

    def url(self, version: int, name: str) -> str:
        host = ADDRESSES[version]
        return f"http://{host if version == 4 else f'[{host}]'}/{name}"

    def shell(self, command: str) -> str:
        """The output of a command line with curl in it."""
        return self.namespace.run(["bash", "-o", "pipefail", "-c", command]).stdout

    def curl(self, *arguments: str) -> str:
        return self.namespace.run(["curl", "-q", "-sS", "-m", str(PATIENCE), *arguments]).stdout


@pytest.fixture(scope="module", params=[True, False], ids=["offload", "plain"])
def served(request: pytest.FixtureRequest, kernel_rights: None, folder: Folder) -> Iterator[Served]:
    with Namespace() as namespace:
        command = [
            sys.executable, "-m", "tests.live.http_program", "--netns", namespace.path,
            "--dir", str(folder.path), "--offload" if request.param else "--no-offload",
        ]  # fmt: skip
        # setpriv: it ends with us, whatever becomes of us
        with subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as program:
            assert program.stdout is not None
            assert program.stdin is not None
            assert program.stdout.readline() == b"ready\n"
            yield Served(namespace, folder)
            program.stdin.close()
            assert program.wait(PATIENCE) == 0


@VERSIONS
def test_a_file_of_200_mb_is_fetched_whole(served: Served, version: int) -> None:
    command = f"curl -q -sS '{served.url(version, 'big')}' | sha256sum"
    assert served.shell(command).split()[0] == served.folder.big


@VERSIONS
def test_a_file_of_200_mb_is_put_whole(served: Served, version: int) -> None:
    file = str(served.folder.path / "big")
    assert served.curl("-T", file, served.url(version, "put")) == served.folder.big


@VERSIONS
def test_requests_that_follow_each_other_share_a_connection(served: Served, version: int) -> None:
    urls = [served.url(version, "port")] * 20
    out = served.curl("-w", "\n%{num_connects} %{local_port}\n", *urls).splitlines()
    ports = set(out[::2])
    assert len(ports) == 1
    assert out[1::2] == [f"1 {ports.pop()}"] + [out[-1].replace("1 ", "0 ", 1)] * 19


@VERSIONS
def test_a_connection_closed_after_each_request_is_a_new_one_each_time(
    served: Served, version: int
) -> None:
    urls = [served.url(version, "port")] * 20
    ports = served.curl("-H", "Connection: close", "-w", "\n", *urls).split()
    assert len(set(ports)) == 20


@VERSIONS
def test_200_transfers_50_at_a_time_are_all_right(
    served: Served, version: int, tmp_path: Path
) -> None:
    url = served.url(version, "small?[1-200]")
    served.curl("-Z", "--parallel-max", "50", "--parallel-immediate", "-o", f"{tmp_path}/#1", url)
    files = list(tmp_path.iterdir())
    assert len(files) == 200
    for file in files:
        assert hashlib.sha256(file.read_bytes()).hexdigest() == served.folder.small


@VERSIONS
def test_what_is_left_in_the_midst_of_it_disturbs_nobody(served: Served, version: int) -> None:
    command = f"curl -q -sS '{served.url(version, 'big')}' | head -c 3000000 | sha256sum"
    for _ in range(3):
        served.namespace.run(["bash", "-c", command])
    assert served.curl(served.url(version, "port")).isdigit()


# -- pystack fetches ------------------------------------------------------------------------------
@pytest.mark.parametrize("offload", [True, False], ids=["offload", "plain"])
@VERSIONS
def test_a_file_of_200_mb_is_fetched_from_the_kernel(
    namespace: Namespace, folder: Folder, version: int, offload: bool
) -> None:
    peer = ADDRESSES[version].removesuffix("2") + "1"

    async def fetch(stack: Stack) -> str:
        reader, writer = await stack.open_connection(peer, 8000)
        writer.write(b"GET /big HTTP/1.0\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.split()[1] == b"200", head
        known = hashlib.sha256()
        while part := await reader.read(1 << 20):
            known.update(part)
        writer.close()
        return known.hexdigest()

    async def main() -> None:
        async with (
            asyncio.timeout(PATIENCE),
            Stack.over_tun(
                "tun0", f"{ADDRESSES[4]}/24", addr6=f"{ADDRESSES[6]}/64", offload=offload,
                netns=namespace.path,
            ) as stack,
        ):  # fmt: skip
            command = [sys.executable, "-u", "-m", "http.server", "-b", peer]
            server = await namespace.start([*command, "-d", str(folder.path), "8000"])
            assert server.stdout is not None
            await server.stdout.readline()  # it listens
            assert await fetch(stack) == folder.big
            with contextlib.suppress(ProcessLookupError):
                server.kill()

    asyncio.run(main())
