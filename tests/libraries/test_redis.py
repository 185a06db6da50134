"""redis-py's asyncio client, and a real redis-server."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis import asyncio as redis
from redis import exceptions

from tests.libraries.link import Link
from tests.surroundings import PATIENCE

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="not installed: redis-server"),
]

client = pytest.mark.cell("redis", "client", "commands, pipelines, publish and subscribe")

PORT = 6379


@asynccontextmanager
async def redis_server(link: Link) -> AsyncIterator[asyncio.subprocess.Process]:
    """At the kernel's address, keeping nothing; it listens."""
    certificates = link.certificates
    port = ("--port", "0", "--tls-port") if link.tls else ("--port",)
    secured = (
        "--tls-cert-file", str(certificates.certificate), "--tls-key-file", str(certificates.key),
        "--tls-ca-cert-file", str(certificates.authority), "--tls-auth-clients", "no",
        "--tls-protocols", "TLSv1.3",
    )  # fmt: skip
    process = await link.start(
        "redis-server", "--bind", link.theirs, *port, str(PORT), "--protected-mode", "no",
        "--save", "", "--appendonly", "no", *(secured if link.tls else ()),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = b""
        while b"Ready to accept connections" not in line:
            line = await process.stdout.readline()
            assert line, "redis-server has ended"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def connected(link: Link, **options: Any) -> redis.Redis:
    """A client of that server, which verifies its certificate."""
    secured = {"ssl": True, "ssl_ca_certs": str(link.certificates.authority)} if link.tls else {}
    return redis.Redis(host=link.theirs, port=PORT, **secured, **options)


@client
def test_pipelines_and_values_of_a_megabyte(link: Link) -> None:
    value = random.Random(6).randbytes(1_000_000)

    async def main() -> None:
        async with redis_server(link), connected(link) as one:
            assert await one.set("key", value)
            assert await one.get("key") == value
            async with one.pipeline(transaction=True) as pipeline:
                for number in range(1000):
                    pipeline.incrby("sum", number)
                sums = await pipeline.execute()
            assert sums[-1] == 499_500
            async with one.pipeline(transaction=False) as pipeline:
                for number in range(20):
                    pipeline.set(f"key {number}", value)
                    pipeline.get(f"key {number}")
                assert await pipeline.execute() == [True, value] * 20

    link.run(main)


@client
def test_many_tasks_share_a_pool(link: Link) -> None:
    async def main() -> None:
        async with redis_server(link), connected(link, decode_responses=True) as one:

            async def count(name: str) -> None:
                for _ in range(20):
                    await one.incr(name)

            await asyncio.gather(*(count(f"name {number}") for number in range(30)))
            values = await one.mget(f"name {number}" for number in range(30))
            assert values == ["20"] * 30
            assert int((await one.info("clients"))["connected_clients"]) > 5

    link.run(main)


@client
def test_who_subscribes_hears_what_is_published(link: Link) -> None:
    async def main() -> None:
        async with redis_server(link), connected(link) as one, one.pubsub() as listening:
            await listening.subscribe("news")
            assert (await listening.get_message(timeout=PATIENCE))["type"] == "subscribe"
            assert await listening.get_message(timeout=0.05) is None  # a wait that is given up
            for number in range(100):
                assert await one.publish("news", str(number)) == 1
            heard = [await listening.get_message(timeout=PATIENCE) for _ in range(100)]
            assert [message["data"] for message in heard] == [b"%d" % n for n in range(100)]

    link.run(main)


@client
def test_an_answer_that_is_waited_for_comes_when_another_gives_it(link: Link) -> None:
    async def main() -> None:
        async with redis_server(link), connected(link) as one:
            waiting = asyncio.ensure_future(one.blpop("queue", timeout=10))
            while not (await one.info("clients"))["blocked_clients"]:
                pass
            await one.rpush("queue", "work")
            assert list(await waiting) == [b"queue", b"work"]

    link.run(main)


@client
def test_connections_that_the_server_has_ended_are_made_again(link: Link) -> None:
    """A pool looks whether an idle connection can be read: that is an end."""

    async def main() -> None:
        async with redis_server(link), connected(link) as one, connected(link) as other:
            first = await one.client_id()
            assert await one.client_id() == first  # the same connection again
            assert await other.client_kill_filter(_id=first) == 1
            assert await one.client_id() > first

    link.run(main)


@client
def test_a_server_that_goes_is_an_error_and_one_that_comes_back_is_found(link: Link) -> None:
    async def main() -> None:
        async with connected(link, retry=None) as one:
            async with redis_server(link) as process:
                assert await one.set("key", "value")
                process.kill()
                await process.wait()
                with pytest.raises(exceptions.ConnectionError):
                    await one.get("key")
                with pytest.raises(exceptions.ConnectionError, match="111"):  # refused
                    await one.get("key")
            async with redis_server(link):
                assert await one.get("key") is None

    link.run(main)
