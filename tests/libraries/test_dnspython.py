"""dnspython's asyncio resolver: over UDP, over TCP where the answer is long, and over TLS."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dns.asyncresolver
import dns.flags
import dns.message
import dns.nameserver
import dns.resolver
import dns.rrset
import pytest

from tests.libraries.link import Link

pytestmark = pytest.mark.live

PORT = 53
WITHOUT = {"TLS": "it is TCP's way of DNS, in the row below"}
ONLY_TLS = {"plain": "it is UDP's and TCP's way of DNS, in the row above"}
over_udp = pytest.mark.cell("dnspython", "client", "DNS over UDP, and TCP", without=WITHOUT)
over_tls = pytest.mark.cell("dnspython", "client", "DNS over TLS", without=ONLY_TLS)


def answer(packed: bytes, *, in_datagram: bool) -> bytes | None:
    """To a question: addresses of `host…`, 3000 octets of text for `long…`; of others nothing."""
    question = dns.message.from_wire(packed)
    reply = dns.message.make_response(question)
    name = question.question[0].name
    kind = question.question[0].rdtype.name
    if name.labels[0].startswith(b"host"):
        text = "192.0.2.7" if kind == "A" else "2001:db8::7"
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", kind, text))
    elif name.labels[0].startswith(b"long"):
        words = " ".join([f'"{"x" * 250}"'] * 12)
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", words))
    else:
        return None
    if in_datagram and len(reply.to_wire()) > 512:
        reply.answer.clear()
        reply.flags |= dns.flags.TC
    return reply.to_wire()


class DatagramServer(asyncio.DatagramProtocol):
    """On a kernel socket, which a stack's loop leaves to asyncio."""

    asked = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        reply = answer(data, in_datagram=True)
        if reply is not None:
            self.transport.sendto(reply, addr)


async def serve_stream(reader: StreamReader, writer: StreamWriter) -> None:
    """One question after the other, each behind its length."""
    while length := await reader.read(2):
        question = await reader.readexactly(int.from_bytes(length, "big"))
        reply = answer(question, in_datagram=False)
        assert reply is not None
        writer.write(len(reply).to_bytes(2, "big") + reply)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def name_server(link: Link) -> AsyncIterator[DatagramServer]:
    """At the kernel's address and PORT; with TLS on streams only."""
    listening = link.socket()
    listening.bind((link.theirs, PORT))
    streams = await asyncio.start_server(serve_stream, sock=listening, ssl=link.server_tls())
    datagrams = link.socket(socket.SOCK_DGRAM)
    datagrams.bind((link.theirs, PORT))
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(DatagramServer, sock=datagrams)
    async with streams:
        yield protocol
    transport.close()


def resolver(link: Link) -> dns.asyncresolver.Resolver:
    """Asks that server only."""
    made = dns.asyncresolver.Resolver(configure=False)
    made.nameservers = [link.theirs]
    made.lifetime = 5
    return made


@over_udp
def test_names_are_resolved_many_at_a_time(link: Link) -> None:
    async def main() -> None:
        async with name_server(link) as server:
            asking = resolver(link)
            found = await asking.resolve("host.test", "AAAA")
            assert [record.address for record in found] == ["2001:db8::7"]
            many = await asyncio.gather(*(asking.resolve(f"host{n}.test") for n in range(50)))
            assert all(found[0].address == "192.0.2.7" for found in many)
            assert server.asked == 51

    link.run(main)


@over_udp
def test_a_long_answer_is_fetched_over_tcp(link: Link) -> None:
    async def main() -> None:
        async with name_server(link) as server:
            found = await resolver(link).resolve("long.test", "TXT")
            assert sum(map(len, found[0].strings)) == 3000
            assert server.asked == 1

    link.run(main)


@over_udp
def test_a_question_without_an_answer_is_asked_again_and_given_up(link: Link) -> None:
    async def main() -> None:
        async with name_server(link) as server:
            asking = resolver(link)
            asking.timeout, asking.lifetime = 0.2, 1
            with pytest.raises(dns.resolver.LifetimeTimeout):
                await asking.resolve("silent.test")
            assert server.asked > 1

    link.run(main)


@over_tls
def test_names_are_resolved_over_tls(link: Link) -> None:
    async def main() -> None:
        async with name_server(link) as server:
            asking = resolver(link)
            asking.nameservers = [
                dns.nameserver.DoTNameserver(
                    link.theirs, PORT, verify=str(link.certificates.authority)
                )
            ]
            assert (await asking.resolve("host.test"))[0].address == "192.0.2.7"
            assert sum(map(len, (await asking.resolve("long.test", "TXT"))[0].strings)) == 3000
            assert server.asked == 0

    link.run(main)
