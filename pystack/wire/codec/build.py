"""Writing headers and checksums, cutting a super-segment: Python twin of csrc/build.c."""

from __future__ import annotations

from struct import Struct
from typing import Any, Final

from pystack.wire import consts
from pystack.wire.address import is_v4
from pystack.wire.codec.internet_checksum import add, pseudo_sum, sum16
from pystack.wire.codec.layout import Layout, locate, tcp_header
from pystack.wire.codec.parser import TCP

_IPV4: Final = Struct("!BBHHHBBH4s4s")
_IPV6: Final = Struct("!IHBB32s")
_TIMESTAMPS: Final = Struct("!III")
_TIMESTAMPS_HEAD: Final = 0x0101080A  # NOP, NOP, kind 8, length 10


def _write_ipv4_checksum(ip: memoryview, header: int) -> None:
    ip[10:12] = b"\0\0"
    ip[10:12] = (sum16(ip[:header]) ^ 0xFFFF).to_bytes(2, "big")


def build_tcp(
    arena: Any,
    off: int,
    key: bytes,
    seq: int,
    ack: int,
    flags: int,
    wnd: int,
    urgent: int,
    tos: int,
    ttl: int,
    ident: int,
    df: int,
    timestamps: int,
    tsval: int,
    tsecr: int,
    options: bytes,
    length: int,
    checksum_state: int,
    /,
) -> int:
    at = Layout()
    header = consts.TCP_HEADER + (12 if timestamps else 0) + len(options)
    n = header + length
    if is_v4(key):
        at.put(4, consts.IPPROTO_TCP, consts.IPV4_HEADER)
        ip = memoryview(arena)[off : off + at.upper + n]
        _IPV4.pack_into(
            ip, 0, 0x45, tos, at.upper + n & 0xFFFF, ident & 0xFFFF, 0x4000 if df else 0, ttl,
            consts.IPPROTO_TCP, 0, key[12:16], key[28:32],
        )  # fmt: skip
        _write_ipv4_checksum(ip, consts.IPV4_HEADER)
    else:
        at.put(6, consts.IPPROTO_TCP, consts.IPV6_HEADER)
        ip = memoryview(arena)[off : off + at.upper + n]
        first = 6 << 28 | tos << 20 | ident & 0xFFFFF
        _IPV6.pack_into(ip, 0, first, n & 0xFFFF, consts.IPPROTO_TCP, ttl, key[:32])
    tcp = ip[at.upper :]
    ports = int.from_bytes(key[32:36], "big")
    bits = header // 4 << 12 | flags & 0x1FF
    TCP.pack_into(tcp, 0, ports >> 16, ports & 0xFFFF, seq, ack, bits, wnd, 0, urgent)
    if timestamps:
        _TIMESTAMPS.pack_into(tcp, consts.TCP_HEADER, _TIMESTAMPS_HEAD, tsval, tsecr)
    tcp[header - len(options) : header] = options
    total = pseudo_sum(ip, at, n)
    if checksum_state == consts.CHECKSUM_COMPLETE:
        total = add(total, sum16(tcp)) ^ 0xFFFF
    tcp[16:18] = total.to_bytes(2, "big")
    return at.upper + header


def complete_checksum(arena: Any, off: int, length: int, /) -> None:
    ip = memoryview(arena)[off : off + length]
    at = Layout()
    if locate(ip, at) or at.fragment:
        return
    n = at.end - at.upper
    if at.protocol == consts.IPPROTO_TCP and n >= consts.TCP_HEADER:
        field = at.upper + 16
    elif at.protocol == consts.IPPROTO_UDP and n >= 8:
        field = at.upper + 6
    else:
        return
    ip[field : field + 2] = b"\0\0"
    total = add(pseudo_sum(ip, at, n), sum16(ip[at.upper : at.end])) ^ 0xFFFF
    if total == 0 and at.protocol == consts.IPPROTO_UDP:
        total = 0xFFFF  # RFC 768: zero would mean that there is none
    ip[field : field + 2] = total.to_bytes(2, "big")


def cut(
    arena: Any, off: int, length: int, gso_size: int, out: Any, out_off: int, lengths: Any, /
) -> int:
    whole = memoryview(arena)[off : off + length]
    at = Layout()
    if gso_size == 0 or locate(whole, at):
        return 0
    headers = tcp_header(whole, at)
    if headers == 0:
        return 0
    headers += at.upper
    text = at.end - headers
    room = memoryview(out)
    done = count = 0
    while True:
        size = min(gso_size, text - done)
        total = headers + size
        piece = room[out_off : out_off + total]
        piece[:headers] = whole[:headers]
        piece[headers:] = whole[headers + done : headers + done + size]
        if at.version == 4:
            ident = int.from_bytes(whole[4:6], "big") + count & 0xFFFF
            piece[2:6] = (total << 16 | ident).to_bytes(4, "big")
            _write_ipv4_checksum(piece, (piece[0] & 15) * 4)
        else:
            piece[4:6] = (total - consts.IPV6_HEADER).to_bytes(2, "big")
        _write_piece(piece, at, total, done, size == text - done)
        lengths[2 * count : 2 * count + 2] = total.to_bytes(2, "little")
        count += 1
        out_off += total
        done += size
        if done >= text:
            return count


def _write_piece(piece: memoryview, at: Layout, total: int, done: int, last: bool) -> None:
    """The TCP header of the piece that begins `done` bytes into the text, and its checksum."""
    tcp = piece[at.upper :]
    source, target, seq, ack, bits, wnd, _, urgent = TCP.unpack_from(tcp)
    if not last:
        bits &= ~(consts.FIN | consts.PSH)
    if done > 0:
        bits &= ~consts.CWR
    if urgent <= done:  # RFC 6093: the pointer names the octet after the urgent data
        bits &= ~consts.URG
    urgent = urgent - done if bits & consts.URG else 0
    seq = seq + done & 0xFFFF_FFFF
    TCP.pack_into(tcp, 0, source, target, seq, ack, bits, wnd, 0, urgent)
    number = add(pseudo_sum(piece, at, total - at.upper), sum16(tcp)) ^ 0xFFFF
    tcp[16:18] = number.to_bytes(2, "big")
