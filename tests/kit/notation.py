"""The script notation: text to `Line`s. No clock, no host, no relative-to-absolute arithmetic.

The notation is packetdrill's, with what an exact comparison needs besides; README.md beside
this file describes it for those who write tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal

FLAG_LETTERS = {"F": 0x01, "S": 0x02, "R": 0x04, "P": 0x08, ".": 0x10, "U": 0x20,
                "E": 0x40, "W": 0x80, "A": 0x100}  # fmt: skip
ECN_WORDS = {"ect1": 1, "ect0": 2, "ce": 3}
NUMBER_KEYS = frozenset(("tos", "ttl", "id", "label", "sport", "dport", "reserved", "offset",
                         "frag", "gso", "version", "iplen"))  # fmt: skip
HEX_KEYS = frozenset(("ipopt", "hbh", "dstopt", "rthdr", "tail"))
FLAG_KEYS = frozenset(("df", "nodf", "badsum", "badipsum"))
TEXT_KEYS = frozenset(("from", "to"))

SCALE = {"": 1_000_000, "s": 1_000_000, "ms": 1_000, "us": 1}


class ScriptError(Exception):
    """The script itself makes no sense."""


@dataclass(frozen=True)
class Value:
    """A number of a script: exact, a range, or anything; `absolute` is not made relative."""

    low: int | None
    high: int | None
    absolute: bool = False

    @property
    def exact(self) -> int:
        if self.low is None or self.low != self.high:
            raise ScriptError("a range or * can only stand where a segment goes out")
        return self.low

    @property
    def is_exact(self) -> bool:
        return self.low is not None and self.low == self.high

    def allows(self, number: int) -> bool:
        return (self.low is None or self.low <= number) and (
            self.high is None or number <= self.high
        )

    def shifted(self, by: int) -> Value:
        low = None if self.low is None else self.low + by
        return Value(low, None if self.high is None else self.high + by, self.absolute)

    def __str__(self) -> str:
        mark = "=" if self.absolute else ""
        if self.low is None and self.high is None:
            return "*"
        return f"{mark}{self.low}" if self.low == self.high else f"{mark}{self.low}..{self.high}"


ANY = Value(None, None)


@dataclass(frozen=True)
class OptionSpec:
    """One option of a script: numbers as `Value`s, or the octets of a raw one."""

    name: str
    numbers: tuple[Value, ...] = ()
    raw: bytes = b""


@dataclass(frozen=True)
class TcpSpec:
    """A TCP segment of a script. `flags` None: `>` any one segment, whatever it be."""

    flags: int | None
    seq: Value = ANY
    end: Value = ANY
    ack: Value | None = None
    window: Value | None = None
    urgent: Value | None = None
    options: tuple[OptionSpec, ...] = ()
    more_options: bool = False
    data: bytes | None = None
    length: Value = ANY


@dataclass(frozen=True)
class IcmpSpec:
    """An ICMP message of a script, by family-neutral name; numbers by keyword."""

    name: str
    numbers: dict[str, int] = field(default_factory=dict)
    quoted: TcpSpec | None = None
    data: bytes | None = None
    length: int = 0


@dataclass(frozen=True)
class UdpSpec:
    src_port: int
    dst_port: int
    length: int


@dataclass(frozen=True)
class Line:
    """One line: what happens between `low_us` and `high_us` after the line before.

    `direction` is ">" (the stack sends), "<" (a packet comes in), "quiet" or "call".
    `batch`: comes in together with the line before, in one `receive`.
    """

    number: int
    text: str
    low_us: int
    high_us: int
    batch: bool
    direction: str
    flow: str = ""
    what: TcpSpec | IcmpSpec | UdpSpec | str = ""
    ip: dict[str, int | bytes | str] = field(default_factory=dict)


TIME = re.compile(
    r"\+(?P<at>[\d.]+?)(?P<unit>us|ms|s|)(?:~(?P<slack>[\d.]+?)(?P<sunit>us|ms|s|)"
    r"|\.\.(?P<to>[\d.]+?)(?P<tunit>us|ms|s|))?$"
)


def microseconds(text: str, unit: str) -> int:
    value = Decimal(text) * SCALE[unit]
    if value != int(value):
        raise ScriptError(f"{text}{unit} is not a whole number of microseconds")
    return int(value)


def parse(script: str) -> list[Line]:
    """All lines; comments (`#` or `//` to the end of line) and blank lines left out."""
    lines = []
    for number, text in enumerate(script.splitlines(), 1):
        bare = re.split(r"(?:^|\s)(?:#|//)", text, maxsplit=1)[0].strip()
        if bare:
            try:
                lines.append(parse_line(number, bare))
            except (ScriptError, ValueError, ArithmeticError) as error:
                raise ScriptError(f"line {number}: {bare!r}: {error}") from error
    return lines


def parse_line(number: int, text: str) -> Line:
    when, _, rest = text.partition(" ")
    rest = rest.strip()
    batch = when == "&"
    low, high = (0, 0) if batch else parse_time(when)
    if rest == "quiet":
        return Line(number, text, low, high, False, "quiet")
    if rest.startswith("call "):
        return Line(number, text, low, high, False, "call", what=rest[5:].strip())
    match = re.match(r"(\w*)([<>])\s*(?:\[([^]]*)\])?\s*(.*)$", rest)
    if not match:
        raise ScriptError("neither <, >, quiet nor call")
    flow, direction, prefix, segment = match.groups()
    if batch and direction != "<":
        raise ScriptError("& joins packets that come in")
    if direction == "<" and low != high:
        raise ScriptError("a packet comes in at one exact time")
    ip = parse_prefix(prefix or "")
    what: TcpSpec | IcmpSpec | UdpSpec
    if segment.startswith("icmp"):
        what = parse_icmp(segment[4:].strip())
    elif segment.startswith("udp"):
        what = parse_udp(segment[3:].strip())
    else:
        what = parse_tcp(segment, direction)
    return Line(number, text, low, high, batch, direction, flow, what, ip)


def parse_time(text: str) -> tuple[int, int]:
    match = TIME.match(text)
    if not match:
        raise ScriptError(f"{text!r} is no time: +0.2, +0.2~0.01, +0.2..0.3, +200ms or &")
    at = microseconds(match["at"], match["unit"])
    if match["slack"]:
        slack = microseconds(match["slack"], match["sunit"])
        return max(0, at - slack), at + slack
    if match["to"]:
        return at, microseconds(match["to"], match["tunit"])
    return at, at


def parse_value(text: str) -> Value:
    """`7`, `0x7`, `*`, `3..9`, `3..`, each also with `=` before (absolute)."""
    absolute = text.startswith("=")
    text = text.removeprefix("=")
    if text == "*":
        return ANY
    low, dots, high = text.partition("..")
    if not dots:
        return Value(int(low, 0), int(low, 0), absolute)
    return Value(int(low, 0) if low else None, int(high, 0) if high else None, absolute)


def parse_prefix(text: str) -> dict[str, int | bytes | str]:
    """`[tos 0x10, ttl 1, id 7, df, ce, ipopt 0x0101, from 10.0.0.1, …]`."""
    found: dict[str, int | bytes | str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = item.partition(" ")
        if key in ECN_WORDS:
            found["ecn"] = ECN_WORDS[key]
        elif key in NUMBER_KEYS:
            found[key] = int(value, 0)
        elif key in HEX_KEYS:
            found[key] = bytes.fromhex(value.strip().removeprefix("0x"))
        elif key in TEXT_KEYS:
            found[key] = value.strip()
        elif key in FLAG_KEYS and not value:
            found[key] = 1
        else:
            raise ScriptError(f"[{item}] is not known")
    return found


TCP = re.compile(
    r"(?P<flags>[FSRP.UEWA]+|-)\s+(?P<seq>=?-?[\w*.]+):(?P<end>=?-?[\w*.]+)\((?P<length>[\w*.]+)\)"
    r"(?:\s+ack\s+(?P<ack>\S+))?(?:\s+win\s+(?P<win>\S+))?(?:\s+urg\s+(?P<urg>\S+))?"
    r"(?:\s*<(?P<options>[^>]*)>)?(?:\s*\"(?P<data>[^\"]*)\")?$"
)


def parse_tcp(text: str, direction: str) -> TcpSpec:
    if text == "*" and direction == ">":
        return TcpSpec(None)
    match = TCP.match(text)
    if not match:
        raise ScriptError('not: FLAGS seq:end(length) [ack N] [win N] [urg N] [<options>] ["…"]')
    flags = 0
    for letter in match["flags"].replace("-", ""):
        flags |= FLAG_LETTERS[letter]
    seq, end, length = (parse_value(match[key]) for key in ("seq", "end", "length"))
    if (seq.is_exact and end.is_exact and length.is_exact) and (
        (end.exact - seq.exact) & 0xFFFF_FFFF != length.exact
    ):
        raise ScriptError(f"{seq}:{end} is not {length} octets long")
    if bool(flags & 0x10) != (match["ack"] is not None) and not (
        direction == "<" and match["ack"] is not None
    ):
        raise ScriptError("`ack N` and the flag `.` go together")
    options, more = parse_options(match["options"] or "")
    data = match["data"]
    return TcpSpec(
        flags,
        seq,
        end,
        None if match["ack"] is None else parse_value(match["ack"]),
        None if match["win"] is None else parse_value(match["win"]),
        None if match["urg"] is None else parse_value(match["urg"]),
        options,
        more,
        None if data is None else data.encode().decode("unicode_escape").encode("latin-1"),
        length,
    )


FAST_OPEN = {"FO": (34, b""), "FOEXP": (254, b"\xf9\x89")}


def parse_options(text: str) -> tuple[tuple[OptionSpec, ...], bool]:
    """The options in order, and whether `...` allows any others behind them."""
    found = []
    more = False
    for item in filter(None, (part.strip() for part in text.split(","))):
        if more:
            raise ScriptError("... can only stand at the end of the options")
        words = item.split()
        name = words[0]
        if item == "...":
            more = True
        elif name in ("nop", "eol", "sackOK") and len(words) == 1:
            found.append(OptionSpec(name))
        elif name in ("mss", "wscale") and len(words) == 2:
            found.append(OptionSpec(name, (parse_value(words[1]),)))
        elif name == "TS" and len(words) == 5 and words[1] == "val" and words[3] == "ecr":
            found.append(OptionSpec(name, (parse_value(words[2]), parse_value(words[4]))))
        elif name == "sack" and len(words) > 1:
            edges = [edge for block in words[1:] for edge in block.split(":")]
            if len(edges) % 2:
                raise ScriptError("a SACK block is left:right")
            found.append(OptionSpec(name, tuple(parse_value(edge) for edge in edges)))
        elif name in FAST_OPEN and len(words) <= 2:
            value = FAST_OPEN[name][1] + bytes.fromhex("".join(words[1:]))
            raw = bytes((FAST_OPEN[name][0], 2 + len(value))) + value
            found.append(OptionSpec("raw", raw=raw))
        elif name == "raw" and len(words) == 2:
            found.append(OptionSpec(name, raw=bytes.fromhex(words[1].removeprefix("0x"))))
        else:
            raise ScriptError(f"option {item!r} is not known")
    return tuple(found), more


ICMP = re.compile(
    r"(?P<name>type\s+\w+\s+code\s+\w+|[a-z_]+(?:\s+(?:net|host|proto|port|frag_needed|source_route"
    r"|prohibited|isolated|transit|reassembly|header|option|next_header))?)"
    r"(?P<numbers>(?:\s+(?:mtu|id|seq|pointer|quote)\s+\w+)*)"
    r"(?:\s*\((?P<length>\d+)\))?(?:\s*\[(?P<quoted>[^]]+)\])?(?:\s*\"(?P<data>[^\"]*)\")?$"
)


def parse_icmp(text: str) -> IcmpSpec:
    match = ICMP.match(text)
    if not match:
        raise ScriptError("not: icmp NAME [mtu N] [id N] [seq N] [quote N] [(length)] [[a:b(n)]]")
    words = match["numbers"].split()
    numbers = {key: int(value, 0) for key, value in zip(words[::2], words[1::2], strict=True)}
    quoted = None
    if match["quoted"]:
        inner = match["quoted"]
        quoted = parse_tcp(inner if inner[0] in "FSRP.-" else f"- {inner}", "<")
    data = match["data"]
    return IcmpSpec(
        " ".join(match["name"].split()),
        numbers,
        quoted,
        None if data is None else data.encode("latin-1"),
        int(match["length"] or 0),
    )


def parse_udp(text: str) -> UdpSpec:
    match = re.match(r"(\d+):(\d+)\s*\((\d+)\)$", text)
    if not match:
        raise ScriptError("not: udp sport:dport(length)")
    return UdpSpec(int(match[1]), int(match[2]), int(match[3]))
