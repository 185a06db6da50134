"""Counts of one stack, named after Linux's SNMP and netstat counters. A leaf: anyone may import.

`dropped[reason]` counts packets by the DROP_… reasons of `wire.consts`.
"""

from __future__ import annotations

from pystack.printed import counted, printed
from pystack.wire.consts import DROP_NAMES


class Counters:
    """Plain ints, only ever increased by the stack, save `curr_estab` and `tw_curr`."""

    __slots__ = (
        "in_packets", "out_packets", "in_segs", "out_segs", "in_errs", "out_rsts",
        "active_opens", "passive_opens", "attempt_fails", "estab_resets", "curr_estab",
        "retrans_segs", "timeouts", "fast_retrans", "listen_overflows", "listen_drops",
        "challenge_acks", "tw_recycled", "tw_curr", "ooo_queued", "dsack_sent", "dsack_recv",
        "sack_reneging", "spurious_recoveries", "loss_probes", "timeout_rehash",
        "fastopen_active", "fastopen_active_fail", "fastopen_passive", "fastopen_passive_fail",
        "fastopen_passive_alt_key", "fastopen_listen_overflow", "fastopen_cookie_reqd",
        "fastopen_blackhole",
        "mtu_probe_success", "mtu_probe_fail",
        "udp_in_datagrams", "udp_out_datagrams", "udp_no_ports", "udp_in_errors",
        "udp_rcvbuf_errors", "udp_csum_errors",
        "icmp_in", "icmp_out", "reassembled", "owner_errors", "part_errors", "dropped",
    )  # fmt: skip

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)
        self.dropped = [0] * len(DROP_NAMES)

    in_packets: int
    out_packets: int
    in_segs: int
    out_segs: int
    in_errs: int
    out_rsts: int
    active_opens: int
    passive_opens: int
    attempt_fails: int
    estab_resets: int
    curr_estab: int
    retrans_segs: int
    timeouts: int
    fast_retrans: int
    listen_overflows: int
    listen_drops: int
    challenge_acks: int
    tw_recycled: int
    tw_curr: int
    ooo_queued: int
    dsack_sent: int
    dsack_recv: int
    sack_reneging: int
    spurious_recoveries: int
    loss_probes: int
    timeout_rehash: int
    fastopen_active: int
    fastopen_active_fail: int
    fastopen_passive: int
    fastopen_passive_fail: int
    fastopen_passive_alt_key: int
    fastopen_listen_overflow: int
    fastopen_cookie_reqd: int
    fastopen_blackhole: int
    mtu_probe_success: int
    mtu_probe_fail: int
    udp_in_datagrams: int
    udp_out_datagrams: int
    udp_no_ports: int
    udp_in_errors: int
    udp_rcvbuf_errors: int
    udp_csum_errors: int
    icmp_in: int
    icmp_out: int
    reassembled: int
    owner_errors: int
    part_errors: int
    dropped: list[int]

    def __repr__(self) -> str:
        return printed(self, lambda: counted(self.as_dict()) or "all 0")

    def as_dict(self) -> dict[str, int]:
        """All counters that are not 0, drops as `dropped_<reason>`."""
        out = {
            name: value
            for name in self.__slots__
            if name != "dropped" and (value := getattr(self, name))
        }
        for reason, count in enumerate(self.dropped):
            if count:
                out["dropped_" + DROP_NAMES[reason]] = count
        return out
