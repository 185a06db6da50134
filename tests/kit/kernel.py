"""Plays the same scripts against the Linux kernel, in real time, over a TUN device.

For those who write scripts: `pytest tests/tcp --kernel` (as root; each test runs in a network
namespace of its own) shows where an expectation is not what Linux does. What cannot be the same is
loosened: times within `SLACK_US`, our timestamps by as much, PSH on segments with text.
Tests that ask for what only our host has (`history`, `host.sysctl` names without a Linux
counterpart) are skipped. Not part of the suite: it takes as long as the scripts say.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.kit.compare import Difference
from tests.kit.driver import Driver, Raw
from tests.kit.flow import Flow
from tests.kit.notation import Line, OptionSpec, TcpSpec
from tests.kit.packets.decode import Packet
from tests.kit.packets.encode import SYN, TCP
from tests.kit.tcp import ADDRESSES, PREFIX, Tcp
from tests.kit.variants import Variant

SLACK_US = 30_000
LATE_US = 80_000  # the wheel of its timers is coarse
PATIENCE_US = 2_000_000  # longer silences are cut short
ALIKE = {"tcp_loss_recovery": "rack"}  # settings of ours that are what Linux does anyway
CLONE_NEWNET = 0x4000_0000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
STATES = ("", "ESTABLISHED", "SYN_SENT", "SYN_RECEIVED", "FIN_WAIT_1", "FIN_WAIT_2", "TIME_WAIT",
          "CLOSED", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "SYN_RECEIVED")  # fmt: skip


# struct tcp_info of <linux/tcp.h>: 8 octets, 24 words, then these
INFO_WORDS = (  # noqa: SIM905
    "rto ato snd_mss rcv_mss unacked sacked lost retrans fackets last_data_sent last_ack_sent "
    "last_data_recv last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss "
    "reordering rcv_rtt rcv_space total_retrans"
).split()
INFO_TAIL = (
    ("Q", "pacing_rate max_pacing_rate bytes_acked bytes_received"),
    ("I", "segs_out segs_in notsent_bytes min_rtt data_segs_in data_segs_out"),
    ("Q", "delivery_rate busy_time rwnd_limited sndbuf_limited"),
    ("I", "delivered delivered_ce"),
    ("Q", "bytes_sent bytes_retrans"),
    ("I", "dsack_dups reord_seen rcv_ooopack snd_wnd"),
)


class KernelSocket(socket.socket):
    """A socket of the kernel with the calls that ours has besides."""

    def accept(self) -> tuple[KernelSocket, Any]:
        number, address = self._accept()  # type: ignore[attr-defined]
        return KernelSocket(self.family, self.type, self.proto, fileno=number), address

    def tcp_info(self) -> SimpleNamespace:
        octets = self.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 512)
        tail = [(code, name) for code, names in INFO_TAIL for name in names.split()]
        layout = struct.Struct("=8B24I" + "".join(code for code, _ in tail))
        values = layout.unpack_from(octets)
        known = dict(zip(INFO_WORDS + [name for _, name in tail], values[8:], strict=True))
        known |= {"state": values[0], "ca_state": values[1], "retransmits": values[2]}
        known["backoff"] = values[4]
        known["delivery_rate_app_limited"] = values[7] & 1
        return SimpleNamespace(**{f"tcpi_{name}": value for name, value in known.items()})


class KernelHost:
    """The kernel behind a TUN device as a `HostLike`; what is not TCP or ICMP is left out."""

    def __init__(self, version: int, mtu: int) -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            pytest.skip(f"no network namespace of its own: {os.strerror(ctypes.get_errno())}")
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", b"kit0", IFF_TUN | IFF_NO_PI))
        for command in (
            f"ip link set kit0 mtu {mtu} up",
            "ip link set lo up",
            f"ip addr add {ADDRESSES[4][0]}/{PREFIX[4]} dev kit0",
            f"ip -6 addr add {ADDRESSES[6][0]}/{PREFIX[6]} dev kit0 nodad",
        ):
            subprocess.run(command.split(), check=True)
        self.version = version
        self.sysctl("tcp_rmem", "4096 131072 6291456")

    @property
    def config(self) -> SimpleNamespace:
        """The settings that the kit itself looks at."""
        names = ("tcp_timestamps", "tcp_sack")
        path = Path("/proc/sys/net/ipv4")
        return SimpleNamespace(**{name: int((path / name).read_text()) for name in names})

    def receive(self, packets: Iterable[Raw], now_us: int) -> None:
        for packet, _gso_size, _state in packets:
            os.write(self.fd, packet)

    def transmit(self, now_us: int) -> list[Raw]:
        found: list[Raw] = []
        while True:
            try:
                packet = os.read(self.fd, 65536)
            except BlockingIOError:
                return found
            protocol = packet[9] if packet[0] >> 4 == 4 else packet[6]
            discovery = protocol == 58 and packet[40] in range(130, 144)
            if packet[0] >> 4 == self.version and not discovery and protocol != 0:
                found.append((packet, 0, 0))

    def next_deadline(self) -> int:
        return 0

    def on_time(self, now_us: int) -> None:
        pytest.skip("the kernel has its own clock")

    @property
    def counters(self) -> None:
        pytest.skip("the kernel's counters are not ours")

    def add_route(self, text: str) -> None:
        """The route of a network of ours, with these metrics."""
        net, *metrics = text.split()
        family, metric = ("6", "256") if ":" in net else ("4", "0")
        route = [net, "dev", "kit0", "metric", metric, *metrics]
        subprocess.run(["ip", f"-{family}", "route", "replace", *route], check=True)

    def sysctl(self, name: str, value: object) -> None:
        if name in ALIKE and value == ALIKE[name]:
            return
        if name == "tcp_initial_cwnd":
            for net in ("192.0.2.0/24", "2001:db8::/64"):
                self.add_route(f"{net} initcwnd {value}")
            return
        text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        path = Path("/proc/sys/net/ipv4") / name
        if not path.exists():
            pytest.skip(f"Linux has no {name}")
        try:
            path.write_text(text)
        except OSError as error:
            pytest.skip(f"Linux takes no {name} {text}: {error.strerror}")


class KernelTcp(Tcp):
    def __init__(self, variant: Variant, settings: dict[str, Any]) -> None:
        self.variant = variant
        self.version = variant.version
        local, remote = ADDRESSES[self.version]
        settings = dict(settings)
        if not settings.pop("isn", True):
            pytest.skip("the kernel's ISNs are its own")
        host = KernelHost(self.version, settings.pop("mtu", variant.mtu))
        Driver.__init__(self, host, local, remote, iss=variant.iss, irs=variant.irs,
                        start_us=time.monotonic_ns() // 1000)  # fmt: skip
        self.look_ahead_us = 500_000
        self.congestion = settings.pop("tcp_congestion_control", "cubic")
        self._learned: set[str] = set()
        self.default.shrinkable = True
        self.usual = {"tos": 0}
        self.sockets: list[socket.socket] = []
        for name in ("gso", "checksum_offload", "secret"):
            settings.pop(name, None)
        for name, value in settings.items():
            host.sysctl(name, value)

    def _batch(self) -> list[Raw]:
        return Driver._batch(self)  # the device is never full

    def close(self) -> None:
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        os.close(self.host.fd)

    def socket(self, version: int | None = None) -> Any:
        family = socket.AF_INET if (version or self.version) == 4 else socket.AF_INET6
        sock = KernelSocket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self.congestion.encode())
        except FileNotFoundError:
            pytest.skip(f"Linux has no congestion control {self.congestion}")
        self.sockets.append(sock)
        return sock

    def _accepted(self, *args: Any) -> Any:
        sock = super()._accepted(*args)
        sock.setblocking(False)
        self.sockets.append(sock)
        return sock

    def history(self, flow: str = "") -> list[str]:
        pytest.skip("the kernel keeps no history")

    def state(self, flow: str = "") -> str:
        known = self.flow(flow)
        name = "/proc/net/tcp" if self.version == 4 else "/proc/net/tcp6"
        for text in Path(name).read_text().splitlines()[1:]:
            words = text.split()
            ports = [int(word.rpartition(":")[2], 16) for word in words[1:3]]
            if ports == [known.local_port, known.remote_port]:
                return STATES[int(words[3], 16)]
        return "CLOSED"

    # -- real time -------------------------------------------------------------------------------

    def _advance(self, until_us: int) -> bool:
        while True:
            self.now_us = time.monotonic_ns() // 1000
            self._flush()
            if self._queue:
                return True
            left = until_us - self.now_us
            if left <= 0:
                return False
            select.select([self.host.fd], [], [], left / 1e6)

    def _line(self, line: Line, batch: list[Line], calls: dict[str, Any]) -> None:
        self.now_us = time.monotonic_ns() // 1000
        if line.direction == ">":
            low = max(0, line.low_us - SLACK_US)
            what = line.what
            if isinstance(what, TcpSpec):
                what = loosened(what)
            line = replace(line, low_us=low, high_us=line.high_us + LATE_US, what=what)
        if line.direction == "quiet" and line.high_us > PATIENCE_US:
            line = replace(line, low_us=0, high_us=SLACK_US * 3)
        super()._line(line, batch, calls)
        if line.direction == "<":
            time.sleep(0.002)  # the kernel answers in its own time

    def _differences(self, line: Line, packet: Packet, flow: Flow) -> list[Difference]:
        found = super()._differences(line, packet, flow)
        if packet.payload:
            found = [
                each for each in found
                if each[0] != "flags" or each[1].replace("P", "") != each[2].replace("P", "")
            ]  # fmt: skip
        return found

    def _bind(self, flow: Any, packet: Packet, spec: TcpSpec) -> None:
        super()._bind(flow, packet, spec)
        if packet.flags & SYN and flow.name not in self._learned:
            self._learned.add(flow.name)
            flow.iss = packet.seq
        if packet.protocol == TCP and packet.option("TS"):
            for option in spec.options:
                if option.name == "TS" and flow.ts_base is None and option.numbers[0].low:
                    middle = option.numbers[0].low + SLACK_US // 1000
                    flow.ts_base = (packet.option("TS") or (0,))[0] - middle & 0xFFFF_FFFF


def loosened(spec: TcpSpec) -> TcpSpec:
    """The same segment with room for what differs from machine to machine."""
    options = []
    for option in spec.options:
        if option.name == "TS":
            ours, echo = option.numbers
            if ours.low is not None:
                slack = SLACK_US // 1000
                ours = replace(ours, low=ours.low - slack, high=ours.low + 5 * slack)
            option = OptionSpec("TS", (ours, echo))
        options.append(option)
    return replace(spec, options=tuple(options))
