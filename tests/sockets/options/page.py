"""docs/evidence/options.md: every option of Linux 6.18, what our sockets make of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.sockets.options.answers import Summary
from tests.sockets.options.different import REASONS
from tests.sockets.options.names import OPTIONS

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "evidence" / "options.md"

# taken options that change something; the others are kept and told, as where Linux has no use
# of them either
EFFECTS: Final[dict[str, str]] = {
    "SO_REUSEADDR": "who may bind", "SO_REUSEPORT": "several at a port, by hash of the flow",
    "SO_BROADCAST": "UDP: EACCES without it", "SO_SNDBUF": "size", "SO_RCVBUF": "size",
    "SO_SNDBUFFORCE": "size", "SO_RCVBUFFORCE": "size", "SO_KEEPALIVE": "probes of an idle peer",
    "SO_OOBINLINE": "the urgent octet", "SO_NO_CHECK": "UDP over IPv4: no checksum",
    "SO_LINGER": "0 s: a RST", "SO_RCVLOWAT": "TCP: when poll says readable",
    "SO_BINDTODEVICE": "the one interface; ENODEV for others",
    "SO_TIMESTAMP": "ancillary data", "SO_TIMESTAMPNS": "ancillary data",
    "SO_TIMESTAMP_NEW": "ancillary data", "SO_TIMESTAMPNS_NEW": "ancillary data",
    "SO_TIMESTAMPING": "ancillary data and error queue, in software",
    "SO_TIMESTAMPING_NEW": "as SO_TIMESTAMPING", "SO_RXQ_OVFL": "UDP: ancillary data",
    "SO_RCVMARK": "UDP: ancillary data", "SO_RCVPRIORITY": "UDP: ancillary data",
    "SO_MAX_PACING_RATE": "TCP: pacing", "SO_ZEROCOPY": "TCP: the error queue says copied",
    "TCP_NODELAY": "Nagle", "TCP_MAXSEG": "MSS", "TCP_CORK": "partial segments wait",
    "TCP_KEEPIDLE": "time", "TCP_KEEPINTVL": "time", "TCP_KEEPCNT": "count", "TCP_SYNCNT": "count",
    "TCP_LINGER2": "time", "TCP_DEFER_ACCEPT": "time", "TCP_WINDOW_CLAMP": "window",
    "TCP_QUICKACK": "ACKs", "TCP_CONGESTION": "algorithm", "TCP_USER_TIMEOUT": "time",
    "TCP_FASTOPEN": "queue limit", "TCP_FASTOPEN_CONNECT": "data on the SYN",
    "TCP_FASTOPEN_KEY": "cookies", "TCP_FASTOPEN_NO_COOKIE": "cookies",
    "TCP_NOTSENT_LOWAT": "bound of what waits", "TCP_INQ": "ancillary data",
    "UDP_CORK": "parts of a datagram", "UDP_NO_CHECK6_TX": "no checksum",
    "UDP_NO_CHECK6_RX": "no checksum is taken", "UDP_SEGMENT": "one call, many datagrams",
    "UDP_GRO": "many datagrams, one call", "IP_TOS": "header", "IP_TTL": "header",
    "IP_MTU_DISCOVER": "DF", "IP_RECVERR": "error queue", "IP_PKTINFO": "UDP: ancillary data",
    "IP_RECVTTL": "UDP: ancillary data", "IP_RECVTOS": "UDP: ancillary data",
    "IP_RECVORIGDSTADDR": "UDP: ancillary data", "IP_FREEBIND": "who may bind",
    "IP_TRANSPARENT": "who may bind", "IP_BIND_ADDRESS_NO_PORT": "connect takes the port",
    "IP_LOCAL_PORT_RANGE": "ports", "IP_MULTICAST_TTL": "UDP: header",
    "IPV6_UNICAST_HOPS": "header", "IPV6_TCLASS": "header", "IPV6_MTU_DISCOVER": "fragments",
    "IPV6_RECVERR": "error queue", "IPV6_V6ONLY": "no IPv4", "IPV6_MULTICAST_HOPS": "UDP: header",
    "IPV6_RECVPKTINFO": "UDP: ancillary data", "IPV6_2292PKTINFO": "UDP: ancillary data",
    "IPV6_RECVHOPLIMIT": "UDP: ancillary data", "IPV6_2292HOPLIMIT": "UDP: ancillary data",
    "IPV6_RECVTCLASS": "UDP: ancillary data", "IPV6_ORIGDSTADDR": "UDP: ancillary data",
    "IPV6_FREEBIND": "who may bind", "IPV6_TRANSPARENT": "who may bind",
}  # fmt: skip

_HEAD: Final = """\
# Socket options: every one of Linux 6.18

Written by `python -m tests.sockets.options`, from two lists of answers: the kernel's, measured as
root on Linux 6.18, and that of a stack. Each option is read and set, with numbers, with octets of
wrong lengths and with values of its own, on fresh, listening and connected sockets of TCP and UDP,
over IPv4 and IPv6; tests compare all answers.

**taken**: set and told, with the effect that is named; without one it is *kept* and told. **told**:
can be read only. **refused**: as Linux refuses, or with a sentence that names it. The last column
is empty where every answer is Linux's.

| option | TCP | UDP | effect | where it differs from Linux |
|---|---|---|---|---|
"""


def verdict(lines: list[str]) -> str:
    """What becomes of an option, by the answers of one kind of socket."""
    if not lines:
        return ""
    answers = [part.split(" ", 1) for line in lines for part in line.split("; ")]
    fresh = [said for asked, said in answers if said]
    if any(said.startswith("->") for said in fresh):
        return "taken"
    got = [said for asked, said in answers if asked == "get"] or ["E"]
    return "refused" if all(said[:1] == "E" for said in got) else "told"


def text(ours: Summary, linux: Summary) -> str:
    """The whole page."""
    rows = []
    for name in OPTIONS:
        kinds = ours[name]
        cells = [
            verdict([line for kind, line in kinds.items() if kind.startswith(protocol)])
            for protocol in ("TCP", "UDP")
        ]
        effect = EFFECTS.get(name, "")
        if not effect:
            cells = ["kept" if cell == "taken" else cell for cell in cells]
        differs = REASONS.get(name, "") if kinds != linux[name] else ""
        rows.append(f"| {name} | {cells[0]} | {cells[1]} | {effect} | {differs} |")
    return _HEAD + "\n".join(rows) + "\n"
