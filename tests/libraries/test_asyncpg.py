"""asyncpg, and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import io
import os
import pwd
import random
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.libraries.link import Link

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))  # Debian has them there

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not PROGRAMS, reason="not installed: postgresql"),
    pytest.mark.skipif(os.getuid() != 0, reason="PostgreSQL runs as another user: needs root"),
]

client = pytest.mark.cell("asyncpg", "client", "queries, COPY, LISTEN, pools")

PORT = 5432
PASSWORD = "secret"


class Cluster:
    """A folder of PostgreSQL's. `as_its_user` are the words before a command of its."""

    def __init__(self, folder: Path) -> None:
        user = pwd.getpwnam("postgres")
        self.data = folder / "data"
        self.as_its_user = [
            "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
            "--pdeathsig", "KILL", "--",
        ]  # fmt: skip
        self._owner = (user.pw_uid, user.pw_gid)
        self.give(folder)

    def give(self, path: Path) -> Path:
        """Make it the owner, as which it reads keys."""
        os.chown(path, *self._owner)
        return path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Made once; not in pytest's folder, into which no other user may look."""
    alone = ["setpriv", "--reuid=65534", "--clear-groups", "true"]
    if subprocess.run(alone, check=False, capture_output=True).returncode:
        pytest.skip("PostgreSQL runs as another user, and this root has no other: a user namespace")
    with tempfile.TemporaryDirectory(prefix="pystack-postgresql-") as name:
        folder = Path(name)
        made = Cluster(folder)
        password = folder / "password"
        password.write_text(PASSWORD)
        subprocess.run(
            [*made.as_its_user, str(PROGRAMS[-1]), "-D", str(made.data), "--username", "tester",
             "--auth", "scram-sha-256", "--pwfile", str(password), "--no-sync"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        hosts = made.data / "pg_hba.conf"
        hosts.write_text("host all all all scram-sha-256\n")
        yield made


@asynccontextmanager
async def postgresql(link: Link, cluster: Cluster) -> AsyncIterator[None]:
    """At the kernel's address."""
    settings = {
        "listen_addresses": link.theirs, "port": PORT, "unix_socket_directories": "",
        "fsync": "off", "ssl": "on" if link.tls else "off", "ssl_min_protocol_version": "TLSv1.3",
    }  # fmt: skip
    if link.tls:
        key = cluster.data / "key.pem"
        key.write_bytes(link.certificates.key.read_bytes())
        certificate = cluster.data / "certificate.pem"
        certificate.write_bytes(link.certificates.certificate.read_bytes())
        cluster.give(key).chmod(0o600)
        settings |= {"ssl_cert_file": certificate, "ssl_key_file": key}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    program = str(PROGRAMS[-1].with_name("postgres"))
    process = await link.start(*cluster.as_its_user, program, "-D", str(cluster.data), *options)
    assert process.stderr is not None
    try:
        line = b""
        while b"ready to accept connections" not in line:
            line = await process.stderr.readline()
            assert line, "PostgreSQL has ended"
        yield
    finally:
        process.send_signal(2)  # the "fast" way to end: connections too
        await process.communicate()


def place(link: Link) -> dict[str, Any]:
    """What asyncpg is told of it."""
    return {
        "host": link.theirs, "port": PORT, "user": "tester", "database": "postgres",
        "password": PASSWORD, "ssl": link.client_tls() or False,
    }  # fmt: skip


@asynccontextmanager
async def connected(link: Link, cluster: Cluster) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    async with postgresql(link, cluster):
        connection = await asyncpg.connect(**place(link))
        try:
            yield connection
        finally:
            await connection.close()


@client
def test_queries_and_values_of_a_megabyte(link: Link, cluster: Cluster) -> None:
    value = random.Random(1).randbytes(1_000_000)

    async def main() -> None:
        async with connected(link, cluster) as connection:
            secured = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            assert await connection.fetchval(secured) is link.tls
            assert await connection.fetchval("SELECT $1::bytea", value) == value
            rows = await connection.fetch("SELECT i, i * i AS square FROM generate_series(1, 9) i")
            assert [row["square"] for row in rows] == [i * i for i in range(1, 10)]
            with pytest.raises(asyncpg.UndefinedTableError):
                await connection.fetch("SELECT * FROM nothing_of_that_name")

    link.run(main)


@client
def test_copy_goes_both_ways(link: Link, cluster: Cluster) -> None:
    lines = b"".join(b"%d\tline number %d\n" % (number, number) for number in range(100_000))

    async def main() -> None:
        async with connected(link, cluster) as connection:
            await connection.execute("CREATE TEMP TABLE lines (number int, line text)")
            await connection.copy_to_table("lines", source=io.BytesIO(lines))
            back = io.BytesIO()
            await connection.copy_from_table("lines", output=back)
            assert back.getvalue() == lines

    link.run(main)


@client
def test_who_listens_is_notified(link: Link, cluster: Cluster) -> None:
    async def main() -> None:
        heard: asyncio.Queue[str] = asyncio.Queue()
        async with connected(link, cluster) as connection:
            await connection.add_listener("news", lambda *args: heard.put_nowait(args[3]))
            other = await asyncpg.connect(**place(link))
            async with other.transaction():
                notes = "SELECT pg_notify('news', i::text) FROM generate_series(0, 9) i"
                await other.execute(notes)
            assert [await heard.get() for _ in range(10)] == [str(number) for number in range(10)]
            await other.close()

    link.run(main)


@client
def test_a_query_that_takes_too_long_is_cancelled_by_a_connection_of_its_own(
    link: Link, cluster: Cluster
) -> None:
    async def main() -> None:
        async with connected(link, cluster) as connection:
            with pytest.raises(TimeoutError):
                await connection.execute("SELECT pg_sleep(60)", timeout=0.2)
            assert await connection.fetchval("SELECT 7") == 7  # the same one goes on

    link.run(main)


@client
def test_tasks_share_a_pool_and_a_connection_that_is_ended_is_an_error(
    link: Link, cluster: Cluster
) -> None:
    async def main() -> None:
        async with (
            postgresql(link, cluster),
            asyncpg.create_pool(**place(link), min_size=2, max_size=5) as pool,
        ):
            queries = [pool.fetchval("SELECT $1::int + 1", number) for number in range(50)]
            assert await asyncio.gather(*queries) == list(range(1, 51))
            with pytest.raises(asyncpg.ConnectionDoesNotExistError):
                await pool.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            assert await pool.fetchval("SELECT 8") == 8

    link.run(main)
