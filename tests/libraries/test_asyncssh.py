"""asyncssh's client and OpenSSH's server, and the other way round."""

from __future__ import annotations

import asyncio
import getpass
import hashlib
import os
import random
import shlex
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.libraries.link import Link
from tests.surroundings import PATIENCE

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        shutil.which("sshd", path="/usr/sbin:/usr/bin") is None or shutil.which("scp") is None,
        reason="not installed: openssh-server, openssh-client",
    ),
]

WITHOUT = {"TLS": "SSH has its own encryption"}
client = pytest.mark.cell("asyncssh", "client", "commands, scp, forwarding", without=WITHOUT)
server = pytest.mark.cell("asyncssh", "server", "commands, scp, sftp", without=WITHOUT)

PORT = 2222
ANY = {4: "0.0.0.0", 6: "::"}
PROGRAM = Path(__file__).with_name("ssh_forward.py")
LONG = 50_000_000  # octets in the files


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys `host` and `user`, and OpenSSH's file of who is known."""
    folder = tmp_path_factory.mktemp("keys")
    for name in "host", "user":
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / name)
        key.write_public_key(folder / f"{name}.pub")
        (folder / name).chmod(0o600)
    kind, octets = (folder / "host.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text(f"* {kind} {octets}\n")
    return folder


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 MB that look like chance."""
    path = tmp_path_factory.mktemp("files") / "long"
    path.write_bytes(random.Random(4).randbytes(LONG))
    return path


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- our client ------------------------------------------------------------------------------------
def _needs_root() -> None:
    """Skips where root is one by name, in a user namespace: sshd wants a folder of root's own, in
    which it gives up its rights."""
    place = Path("/run/sshd")
    if not place.exists() and os.access(place.parent, os.W_OK):
        place.mkdir(mode=0o755)
    if not place.exists() or place.stat().st_uid != os.getuid():
        pytest.skip("OpenSSH's server is for root itself")


@asynccontextmanager
async def running_sshd(link: Link, keys: Path) -> AsyncIterator[None]:
    """OpenSSH's server at the kernel's addresses, for the user who runs the tests."""
    _needs_root()
    settings = {
        "ListenAddress": ANY[link.version], "Port": PORT, "PidFile": "none", "UsePAM": "no",
        "HostKey": f'"{keys}/host"', "AuthorizedKeysFile": f'"{keys}/user.pub"',
        "StrictModes": "no",
        "PermitRootLogin": "prohibit-password", "PasswordAuthentication": "no", "UseDNS": "no",
        "ClientAliveInterval": 2, "ClientAliveCountMax": 1,  # its children end with their peer
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    path = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    assert path is not None
    process = await link.start(path, "-D", "-e", "-f", "/dev/null", *options)
    try:
        assert process.stderr is not None
        line = (await process.stderr.readline()).decode()
        assert "listening on" in line, line
        yield
    finally:
        process.kill()
        await process.communicate()


@asynccontextmanager
async def sshd(link: Link, keys: Path) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """A connection to such a server."""
    async with (
        running_sshd(link, keys),
        asyncssh.connect(
            link.theirs, PORT, username=getpass.getuser(), client_keys=[keys / "user"],
            known_hosts=str(keys / "known_hosts"), config=None, agent_path=None,
        ) as connection,
    ):  # fmt: skip
        yield connection


@client
def test_commands_run_on_openssh_several_at_a_time(link: Link, keys: Path) -> None:
    async def main() -> None:
        async with sshd(link, keys) as connection:
            done = await connection.run("cat; echo error >&2; exit 3", input="text")
            assert (done.stdout, done.stderr, done.exit_status) == ("text", "error\n", 3)
            commands = [connection.run(f"echo {number}") for number in range(5)]
            several = await asyncio.gather(*commands)
            assert [one.stdout for one in several] == [f"{number}\n" for number in range(5)]

    link.run(main)


@client
def test_scp_brings_50_mb_to_openssh_and_back(
    link: Link, keys: Path, long_file: Path, tmp_path: Path
) -> None:
    there, back = tmp_path / "there", tmp_path / "back"

    async def main() -> None:
        async with sshd(link, keys) as connection:
            place = (connection, shlex.quote(str(there)))  # a shell of the other side reads it
            await asyncssh.scp(long_file, place)
            assert digest(there) == digest(long_file)
            await asyncssh.scp(place, back)

    link.run(main)
    assert digest(back) == digest(long_file)


@client
def test_a_forwarded_port_is_served_by_the_stack(link: Link, keys: Path) -> None:
    """In a program of its own, as asyncssh makes the listening socket by itself."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    async def main() -> None:
        listening = link.socket()
        listening.bind((ANY[link.version], 0))
        there = (link.theirs, str(listening.getsockname()[1]))
        async with await asyncio.start_server(answer, sock=listening), running_sshd(link, keys):
            words = (str(keys), link.theirs, str(PORT), link.ours, "7000", *there)
            with link.program("python", str(PROGRAM), *words) as program:
                await asyncio.to_thread(program.until, "ready")
                reader, writer = await asyncio.open_connection(sock=await link.connection(7000))
                writer.write(b"round about\n")
                assert await reader.read() == b"ROUND ABOUT\n"
                writer.close()
                await asyncio.to_thread(program.stop)

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


# -- our server ------------------------------------------------------------------------------------
async def run_command(process: asyncssh.SSHServerProcess[str]) -> None:
    text = await process.stdin.read()
    process.stdout.write(f"{process.command}: {text}")
    process.stderr.write("error\n")
    process.exit(3)


@asynccontextmanager
async def served(link: Link, keys: Path, folder: Path) -> AsyncIterator[None]:
    """asyncssh at our address, with the files of `folder`."""
    async with asyncssh.listen(
        link.ours, PORT, server_host_keys=[keys / "host"], allow_scp=True,
        authorized_client_keys=str(keys / "user.pub"), process_factory=run_command,
        sftp_factory=partial(asyncssh.SFTPServer, chroot=str(folder)),
    ):  # fmt: skip
        yield


async def openssh(
    link: Link, keys: Path, name: str, *words: str, **options: Any
) -> tuple[int, bytes, bytes]:
    """What `ssh` or `scp` of the kernel's side gives: exit status, output, errors."""
    settings = ("BatchMode=yes", f'UserKnownHostsFile="{keys}/known_hosts"', "LogLevel=ERROR")
    always = [word for one in settings for word in ("-o", one)]
    port = "-p" if name == "ssh" else "-P"
    return await link.namespace.arun(
        [name, "-F", "none", "-i", str(keys / "user"), *always, port, str(PORT), *words], **options
    )


def at(link: Link, path: str = "") -> str:
    """A place on our server, as scp has it."""
    host = f"[{link.ours}]" if link.version == 6 else link.ours
    return f"someone@{host}:{path}"


@server
def test_openssh_runs_a_command(link: Link, keys: Path, tmp_path: Path) -> None:
    async def main() -> None:
        async with served(link, keys, tmp_path):
            words = (f"someone@{link.ours}", "do it")
            got = await openssh(link, keys, "ssh", *words, input=b"text")
            assert got == (3, b"do it: text", b"error\n")

    link.run(main)


@server
@pytest.mark.parametrize(
    ("protocol", "expected"),
    [("-O", 0), ("-s", 1)],  # asyncssh ends sftp without an exit status, which scp takes for 1
    ids=["scp", "sftp"],
)
def test_openssh_brings_50_mb_and_fetches_it(
    link: Link, keys: Path, long_file: Path, tmp_path: Path, protocol: str, expected: int
) -> None:
    back = tmp_path / "back"

    async def main() -> None:
        async with served(link, keys, tmp_path):
            there = at(link, "/there")
            got = await openssh(link, keys, "scp", protocol, str(long_file), there)
            assert got == (expected, b"", b"")
            assert digest(tmp_path / "there") == digest(long_file)
            got = await openssh(link, keys, "scp", protocol, there, str(back))
            assert got == (expected, b"", b"")

    link.run(main)
    assert digest(back) == digest(long_file)


@server
def test_a_key_that_is_not_known_is_refused(link: Link, keys: Path, tmp_path: Path) -> None:
    async def main() -> None:
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(tmp_path / "user")
        (tmp_path / "user").chmod(0o600)
        shutil.copy(keys / "known_hosts", tmp_path)
        async with served(link, keys, tmp_path):
            status, _, err = await openssh(link, tmp_path, "ssh", f"someone@{link.ours}", "true")
            assert status == 255
            assert b"Permission denied" in err

    link.run(main)
