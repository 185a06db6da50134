"""A bulk sender on pystack or on the kernel's sockets, with a congestion control of choice.

    python -m scripts.side_by_side.sender pystack|kernel HOST --cc reno --seconds 10

prints "ready", begins at a line on stdin, and prints a line of JSON when it is over: how many
octets were sent, and how many of them again. The connection ends with a RST.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import sys
import time
from contextlib import suppress

from pystack.aio.endpoint.stack import Stack
from scripts.side_by_side.places import OURS, PORT, PREFIX, SENDER_DEVICE
from tests.live.punctual import be_punctual

BLOB = bytes(1 << 16)
TCP_INFO_SIZE = 232
BYTES_SENT_AT = 200  # in struct tcp_info: tcpi_bytes_sent and tcpi_bytes_retrans, both u64
RST_ON_CLOSE = struct.pack("ii", 1, 0)

Counts = dict[str, int]


def wait_for_the_word() -> None:
    print("ready", flush=True)
    sys.stdin.readline()


async def by_pystack(host: str, cc: str, seconds: float, ecn: int) -> Counts:
    settings = {"tcp_congestion_control": cc, "tcp_ecn": ecn}
    async with Stack.over_tun(SENDER_DEVICE, f"{OURS}/{PREFIX}", sysctl=settings) as stack:
        wait_for_the_word()
        _, writer = await stack.open_connection(host, PORT)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    writer.write(BLOB)
                    await writer.drain()
        info = writer.get_extra_info("tcp_info")
        writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE
        )
        writer.transport.abort()
    return {"sent": info.tcpi_bytes_sent, "again": info.tcpi_bytes_retrans}


def by_kernel(host: str, cc: str, seconds: float) -> Counts:
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, cc.encode())
        wait_for_the_word()
        sock.connect((host, PORT))
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                sock.send(BLOB)
            except TimeoutError:
                break
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
    sent, again = struct.unpack_from("=QQ", info, BYTES_SENT_AT)
    return {"sent": sent, "again": again}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=("pystack", "kernel"))
    parser.add_argument("host")
    parser.add_argument("--cc", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--ecn", type=int, default=2)  # tcp_ecn; the kernel's is set already
    arguments = parser.parse_args()
    be_punctual()
    host, cc, seconds = arguments.host, arguments.cc, arguments.seconds
    if arguments.side == "pystack":
        counts = asyncio.run(by_pystack(host, cc, seconds, arguments.ecn))
    else:
        counts = by_kernel(host, cc, seconds)
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main()
