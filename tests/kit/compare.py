"""Whether a packet that the stack sent is the one that a script line describes."""

from __future__ import annotations

from tests.kit.flow import Flow, flag_letters, signed
from tests.kit.notation import IcmpSpec, Line, OptionSpec, TcpSpec, Value
from tests.kit.packets.decode import Packet
from tests.kit.packets.encode import FIN, ICMP, ICMPV6, SYN, TCP
from tests.kit.packets.icmp_names import type_and_code

Difference = tuple[str, str, str]
"""(what, as the script has it, as it was sent)"""


def differences(line: Line, packet: Packet, flow: Flow, usual: dict[str, int]) -> list[Difference]:
    """Everything in which `packet` is not what `line` says; `usual` are tos, ttl, df by default.

    A timestamp of ours that the line names as the first one fixes where ours are counted from.
    """
    if isinstance(line.what, TcpSpec):
        if packet.protocol != TCP:
            return [("protocol", "TCP", str(packet.protocol))]
        found = _tcp(line.what, packet, flow)
    elif isinstance(line.what, IcmpSpec):
        if packet.protocol not in (ICMP, ICMPV6):
            return [("protocol", "ICMP", str(packet.protocol))]
        found = _icmp(line.what, packet)
    else:
        return [("what", str(line.what), "a packet")]
    return found + _ip(line, packet, flow, usual)


def _ip(line: Line, packet: Packet, flow: Flow, usual: dict[str, int]) -> list[Difference]:
    asked = line.ip
    wanted = dict(usual)
    for key in ("tos", "ttl", "id", "label", "sport", "dport"):
        value = asked.get(key)
        if isinstance(value, int):
            wanted[key] = value
    ecn = asked.get("ecn")
    if isinstance(ecn, int):
        wanted["tos"] = wanted.get("tos", 0) & ~3 | ecn
    if "df" in asked or "nodf" in asked:
        wanted["df"] = int("df" in asked)
    if packet.version == 6:
        wanted.pop("df", None)
    actual = {
        "tos": packet.tos,
        "ttl": packet.ttl,
        "id": packet.ident,
        "label": packet.label,
        "sport": packet.src_port,
        "dport": packet.dst_port,
        "df": int(packet.df),
    }
    found = [
        (key, str(value), str(actual[key])) for key, value in wanted.items() if actual[key] != value
    ]
    if isinstance(line.what, TcpSpec) and not flow.owns(packet):
        found.append(
            (
                "4-tuple",
                f"ports {flow.local_port}, {flow.remote_port}",
                f"{packet.src.hex()}:{packet.src_port} to {packet.dst.hex()}:{packet.dst_port}",
            )
        )
    return found


def _tcp(spec: TcpSpec, packet: Packet, flow: Flow) -> list[Difference]:
    if spec.flags is None:
        return []
    found: list[Difference] = []

    def check(what: str, value: Value, wire: int, base: int | None) -> None:
        actual = wire if value.absolute or base is None else signed(wire - base)
        if not value.allows(actual):
            found.append((what, str(value), str(actual)))

    if spec.flags != packet.flags:
        found.append(("flags", flag_letters(spec.flags), flag_letters(packet.flags)))
    syn_fin = packet.flags & (SYN | FIN)
    check("seq", spec.seq, packet.seq, flow.iss)
    if not spec.length.allows(len(packet.payload)):
        found.append(("length", str(spec.length), str(len(packet.payload))))
    elif not spec.seq.is_exact and not syn_fin:
        check("end", spec.end, packet.seq + len(packet.payload), flow.iss)
    if spec.ack is not None:
        check("ack", spec.ack, packet.ack, flow.irs)
    if spec.window is not None:
        check("win", spec.window, packet.window, 0)
    check("urg", spec.urgent or Value(0, 0), packet.urgent, 0)
    if spec.data is not None and spec.data != packet.payload:
        found.append(("data", repr(spec.data), repr(packet.payload)))
    return found + _options(spec, packet, flow)


def _options(spec: TcpSpec, packet: Packet, flow: Flow) -> list[Difference]:
    wanted = spec.options
    got = packet.options
    if spec.more_options:
        got = got[: len(wanted)]
    names = [option.name for option in wanted]
    if names != [name for name, _ in got]:
        sent = ",".join(name for name, _ in packet.options)
        return [("options", ",".join(names) or "none", sent or "none")]
    found: list[Difference] = []
    for option, (name, numbers) in zip(wanted, got, strict=True):
        if name == "raw":
            if option.raw != bytes(numbers):
                found.append(("raw option", option.raw.hex(), bytes(numbers).hex()))
        elif not _same_numbers(option, numbers, flow):
            values = " ".join(map(str, option.numbers))
            found.append((name, values, " ".join(map(str, _relative(name, numbers, flow)))))
    return found


def _same_numbers(option: OptionSpec, numbers: tuple[int, ...], flow: Flow) -> bool:
    if option.name == "TS":
        ours = option.numbers[0]
        if flow.ts_base is None and ours.is_exact and not ours.absolute:
            flow.ts_base = (numbers[0] - ours.exact) & 0xFFFF_FFFF
    relative = _relative(option.name, numbers, flow)
    return len(numbers) == len(option.numbers) and all(
        value.allows(wire if value.absolute else number)
        for value, wire, number in zip(option.numbers, numbers, relative, strict=True)
    )


def _relative(name: str, numbers: tuple[int, ...], flow: Flow) -> tuple[int, ...]:
    if name == "TS":
        return flow.our_ts(numbers[0]), numbers[1]
    if name == "sack":
        return tuple(flow.their_number(edge) for edge in numbers)
    return numbers


def _icmp(spec: IcmpSpec, packet: Packet) -> list[Difference]:
    found: list[Difference] = []
    kind, code = type_and_code(spec.name, packet.version)
    if (kind, code) != (packet.kind, packet.code):
        found.append(("type, code", f"{kind}, {code}", f"{packet.kind}, {packet.code}"))
    for key, actual in (
        ("id", packet.rest[0] << 8 | packet.rest[1]),
        ("seq", packet.rest[2] << 8 | packet.rest[3]),
        ("pointer", packet.rest[0] if packet.version == 4 else int.from_bytes(packet.rest)),
        ("mtu", int.from_bytes(packet.rest[2:] if packet.version == 4 else packet.rest)),
    ):
        if key in spec.numbers and spec.numbers[key] != actual:
            found.append((key, str(spec.numbers[key]), str(actual)))
    if spec.data is not None and spec.data != packet.payload:
        found.append(("data", repr(spec.data), repr(packet.payload)))
    elif spec.length and spec.length != len(packet.payload):
        found.append(("length", str(spec.length), str(len(packet.payload))))
    return found
