"""What is told of a connection: as JSON, as lines of text, and its options in a few words."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pystack.cc.base import INFINITE_SSTHRESH
from pystack.sockets.tcp.tcp_info import OPT_SACK, OPT_TIMESTAMPS, OPT_WSCALE, STATES, TcpInfo
from pystack.tcp.state.states import NAMES

_STATE_NAMES: Final = {number: NAMES[state] for state, number in STATES.items()}


def hostport(address: tuple[Any, ...]) -> str:
    """Such as "198.18.0.2:80", "[fd00::2]:80"; an IPv4 address on an IPv6 socket as the former."""
    host = str(address[0]).removeprefix("::ffff:")
    return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"


def negotiated(info: TcpInfo) -> str:
    """The options that both SYNs agreed on: "mss 1460, wscale 7/10, sack, timestamps"."""
    words = [f"mss {info.tcpi_snd_mss}"]
    if info.tcpi_options & OPT_WSCALE:
        words.append(f"wscale {info.tcpi_snd_wscale}/{info.tcpi_rcv_wscale}")
    if info.tcpi_options & OPT_SACK:
        words.append("sack")
    if info.tcpi_options & OPT_TIMESTAMPS:
        words.append("timestamps")
    return ", ".join(words)


def bytes_out(info: TcpInfo) -> int:
    """Bytes of text that were sent, each counted once: repeats are no further output."""
    return info.tcpi_bytes_sent - info.tcpi_bytes_retrans


def bytes_taken(info: TcpInfo) -> int:
    """Bytes of text that the connection was given to send: the rest of them is sent after a
    protocol has heard of its clean end."""
    return bytes_out(info) + info.tcpi_notsent_bytes


def facts(transport: asyncio.BaseTransport) -> dict[str, Any]:
    """All that the page shows, for JSON: times in µs, sizes in bytes, cwnd in segments."""
    info: TcpInfo = transport.get_extra_info("tcp_info")
    options = info.tcpi_options
    scaled = bool(options & OPT_WSCALE)
    ssthresh = info.tcpi_snd_ssthresh
    return {
        "local": _place(transport.get_extra_info("sockname")),
        "remote": _place(transport.get_extra_info("peername")),
        "state": _STATE_NAMES[info.tcpi_state],
        "options": {
            "mss": info.tcpi_snd_mss,
            "advertised_mss": info.tcpi_advmss,
            "window_scale": {"send": info.tcpi_snd_wscale, "receive": info.tcpi_rcv_wscale}
            if scaled
            else None,
            "sack": bool(options & OPT_SACK),
            "timestamps": bool(options & OPT_TIMESTAMPS),
        },
        "path_mtu": info.tcpi_pmtu,
        "rtt_us": info.tcpi_rtt,
        "rttvar_us": info.tcpi_rttvar,
        "min_rtt_us": info.tcpi_min_rtt,
        "rto_us": info.tcpi_rto,
        "cwnd_segments": info.tcpi_snd_cwnd,
        "ssthresh_segments": None if ssthresh >= INFINITE_SSTHRESH else ssthresh,
        "peer_window": info.tcpi_snd_wnd,
        "our_window": info.tcpi_rcv_wnd,
        "bytes_in": info.tcpi_bytes_received,
        "bytes_out": bytes_out(info),
        "bytes_retransmitted": info.tcpi_bytes_retrans,
        "segments_in": info.tcpi_segs_in,
        "segments_out": info.tcpi_segs_out,
        "retransmitted": info.tcpi_total_retrans,
    }


def lines(known: dict[str, Any]) -> list[tuple[str, str]]:
    """The facts for reading: name and value."""
    options = known["options"]
    words = [f"MSS {options['mss']}"]
    if options["window_scale"]:
        scale = options["window_scale"]
        words.append(f"wscale {scale['send']} (yours), {scale['receive']} (ours)")
    words += ["SACK"] if options["sack"] else []
    words += ["timestamps"] if options["timestamps"] else []
    ssthresh = known["ssthresh_segments"]
    return [
        ("your end", _text(known["remote"])),
        ("pystack's end", _text(known["local"])),
        ("state", known["state"]),
        ("options", ", ".join(words)),
        ("path MTU", f"{known['path_mtu']} bytes"),
        ("RTT", f"{_ms(known['rtt_us'])} ± {_ms(known['rttvar_us'])}"),
        ("RTO", _ms(known["rto_us"])),
        ("cwnd", _segments(known["cwnd_segments"])),
        ("ssthresh", "not set yet" if ssthresh is None else _segments(ssthresh)),
        ("window", f"{known['peer_window']:,} bytes (yours), {known['our_window']:,} (ours)"),
        ("received", f"{known['bytes_in']:,} bytes in {_segments(known['segments_in'])}"),
        ("sent", f"{known['bytes_out']:,} bytes in {_segments(known['segments_out'])}"),
        (
            "retransmitted",
            f"{known['bytes_retransmitted']:,} bytes in {_segments(known['retransmitted'])}",
        ),
    ]


def _place(address: tuple[Any, ...]) -> dict[str, Any]:
    host = str(address[0]).removeprefix("::ffff:")
    return {"address": host, "port": address[1], "version": 6 if ":" in host else 4}


def _text(place: dict[str, Any]) -> str:
    return hostport((place["address"], place["port"]))


def _segments(count: int) -> str:
    return f"{count:,} segment" + ("" if count == 1 else "s")


def _ms(microseconds: int) -> str:
    return f"{microseconds / 1000:.3f} ms"
