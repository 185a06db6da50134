"""The packets that the peer's lines describe."""

from __future__ import annotations

import ipaddress
import struct

from tests.kit.flow import Flow, pattern
from tests.kit.notation import (
    IcmpSpec,
    Line,
    OptionSpec,
    ScriptError,
    TcpSpec,
    UdpSpec,
    Value,
)  # fmt: skip
from tests.kit.packets import encode
from tests.kit.packets.icmp_names import is_error, type_and_code

PORT = 80
"""Where a first incoming segment of a flow goes if nothing else is said."""

Fields = dict[str, int | bytes | str]


def packets(line: Line, flow: Flow, last_sent: bytes) -> list[bytes]:
    """The packet of a `<` line, or its fragments. `last_sent` is what an ICMP error quotes."""
    what = line.what
    if isinstance(what, TcpSpec):
        packet = tcp_packet(what, flow, line.ip)
    elif isinstance(what, IcmpSpec):
        packet = icmp_packet(what, flow, line.ip, last_sent)
    else:
        assert isinstance(what, UdpSpec)
        src, dst = addresses(flow, line.ip)
        segment = encode.udp(src, dst, what.src_port, what.dst_port, pattern(0, what.length))
        packet = around(src, dst, encode.UDP, segment, line.ip)
    size = line.ip.get("frag")
    return encode.fragments(packet, size) if isinstance(size, int) else [packet]


def number(fields: Fields, key: str, default: int) -> int:
    value = fields.get(key, default)
    assert isinstance(value, int)
    return value


def octets(fields: Fields, key: str) -> bytes:
    value = fields.get(key, b"")
    assert isinstance(value, bytes)
    return value


def addresses(flow: Flow, fields: Fields) -> tuple[bytes, bytes]:
    """Source and destination of an incoming packet; `[from …, to …]` wins over the flow's."""
    src, dst = flow.remote, flow.local
    if "from" in fields:
        src = ipaddress.ip_address(str(fields["from"])).packed
    if "to" in fields:
        dst = ipaddress.ip_address(str(fields["to"])).packed
    return src, dst


def around(src: bytes, dst: bytes, protocol: int, upper: bytes, fields: Fields) -> bytes:
    """The IP packet, with what the line's prefix asks for."""
    extensions = [
        (header, octets(fields, key))
        for key, header in (
            ("hbh", encode.HOP_BY_HOP),
            ("rthdr", encode.ROUTING),
            ("dstopt", encode.DESTINATION_OPTIONS),
        )
        if key in fields
    ]
    packet = encode.ip(
        src,
        dst,
        protocol,
        upper,
        tos=number(fields, "tos", 0) | number(fields, "ecn", 0),
        ttl=number(fields, "ttl", 64),
        ident=number(fields, "id", 0),
        df="nodf" not in fields and "frag" not in fields,
        options=octets(fields, "ipopt"),
        extensions=extensions,
        label=number(fields, "label", 0),
        version=number(fields, "version", 4 if len(src) == 4 else 6),
        spoil_checksum="badipsum" in fields,
        extra_length=number(fields, "iplen", 0),
    )
    return packet + octets(fields, "tail")


def tcp_packet(spec: TcpSpec, flow: Flow, fields: Fields) -> bytes:
    """One segment of the peer. Binds a flow without ports: to port 80 here, and its own there."""
    if flow.local_port is None or flow.remote_port is None:
        flow.bind(flow.local_port or PORT, flow.remote_port or flow.default_remote_port)
    assert flow.local_port is not None
    assert flow.remote_port is not None
    assert spec.flags is not None
    seq = spec.seq.exact
    length = spec.length.exact
    payload = spec.data
    if payload is None:
        offset = seq - 1 + (spec.flags & encode.SYN > 0)
        payload = pattern(0 if spec.seq.absolute else offset, length)
    if len(payload) != length:
        raise ScriptError(f"the data has {len(payload)} octets, not {length}")
    if spec.window is not None:
        flow.window = spec.window.exact
    src, dst = addresses(flow, fields)
    flow.note_incoming(spec)
    segment = encode.tcp(
        src,
        dst,
        number(fields, "sport", flow.remote_port),
        number(fields, "dport", flow.local_port),
        flow.their_wire(spec.seq),
        0 if spec.ack is None else flow.our_wire(spec.ack),
        spec.flags,
        flow.window,
        options(spec.options, flow),
        payload,
        urgent=0 if spec.urgent is None else spec.urgent.exact,
        reserved=number(fields, "reserved", 0),
        data_offset=number(fields, "offset", 0) if "offset" in fields else None,
        spoil_checksum="badsum" in fields,
    )
    return around(src, dst, encode.TCP, segment, fields)


def options(specs: tuple[OptionSpec, ...], flow: Flow) -> bytes:
    return b"".join(_option(spec, flow) for spec in specs)


def _option(spec: OptionSpec, flow: Flow) -> bytes:
    values = spec.numbers
    if spec.name == "nop":
        return b"\1"
    if spec.name == "eol":
        return b"\0"
    if spec.name == "mss":
        return struct.pack("!BBH", 2, 4, values[0].exact)
    if spec.name == "wscale":
        return struct.pack("!BBB", 3, 3, values[0].exact)
    if spec.name == "sackOK":
        return b"\4\2"
    if spec.name == "sack":
        edges = [flow.our_wire(value) for value in values]
        return struct.pack(f"!BB{len(edges)}I", 5, 2 + 4 * len(edges), *edges)
    if spec.name == "TS":
        return struct.pack(
            "!BBII", 8, 10, values[0].exact & 0xFFFF_FFFF, _echo(values[1], flow) & 0xFFFF_FFFF
        )
    return spec.raw


def _echo(value: Value, flow: Flow) -> int:
    """A timestamp of ours that the peer sends back; 0 stays 0."""
    if value.absolute or value.exact == 0 or flow.ts_base is None:
        return value.exact
    return value.exact + flow.ts_base


def icmp_packet(spec: IcmpSpec, flow: Flow, fields: Fields, last_sent: bytes) -> bytes:
    """An ICMP message to us. An error quotes `last_sent`, or a segment with the given numbers.

    `quote N` is how many octets of the transport header are quoted: 8 by default in IPv4, all
    that fits in 1280 octets in IPv6. The sender is the peer unless `[from …]` names a router.
    """
    src, dst = addresses(flow, fields)
    kind, code = type_and_code(spec.name, flow.version)
    numbers = spec.numbers
    if "id" in numbers or "seq" in numbers:
        rest = struct.pack("!HH", numbers.get("id", 0), numbers.get("seq", 0))
    elif "mtu" in numbers:
        rest = struct.pack("!I", numbers["mtu"])
    elif "pointer" in numbers:
        rest = struct.pack("!I", numbers["pointer"] << (24 if flow.version == 4 else 0))
    else:
        rest = bytes(4)
    body = pattern(0, spec.length) if spec.data is None else spec.data
    if spec.data is None and not spec.length and is_error(kind, flow.version):
        quoted = last_sent if spec.quoted is None else quoted_segment(spec.quoted, flow)
        if not quoted:
            raise ScriptError("nothing was sent yet that an ICMP error could quote")
        head = (quoted[0] & 15) * 4 if flow.version == 4 else 40
        shown = numbers.get("quote", 8 if flow.version == 4 else 1280 - 48 - head)
        body = quoted[: head + shown]
    message = encode.icmp(src, dst, kind, code, rest, body)
    protocol = encode.ICMP if flow.version == 4 else encode.ICMPV6
    packet = around(src, dst, protocol, message, fields)
    if "badsum" in fields:
        packet = packet[:-1] + bytes([packet[-1] ^ 0x5A])
    return packet


def quoted_segment(spec: TcpSpec, flow: Flow) -> bytes:
    """A segment of ours as a router would quote it."""
    ack = 0 if spec.ack is None else flow.their_wire(spec.ack)
    segment = encode.tcp(
        flow.local,
        flow.remote,
        flow.local_port or 0,
        flow.remote_port or 0,
        flow.our_wire(spec.seq),
        ack,
        spec.flags or encode.ACK,
        0,
        payload=bytes(spec.length.exact),
    )
    return encode.ip(flow.local, flow.remote, encode.TCP, segment)
