"""Settings, under the names that Linux users know; one `Config` per stack.

Defaults are Linux's (6.x). Units are Linux's as well: seconds unless the name says `_ms` or
`_us`. This file alone reads the environment, once.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

# PYSTACK_PURE=1 asks for the Python twins of the C module (at build time too: csrc/).
PURE: Final = os.environ.get("PYSTACK_PURE", "") not in ("", "0")
# NO_COLOR, whatever its value, asks commands not to use colours (https://no-color.org). Without
# it FORCE_COLOR and CLICOLOR_FORCE ask for them where there is no terminal too; 0 is no wish.
NO_COLOR: Final = os.environ.get("NO_COLOR", "") != ""
FORCE_COLOR: Final = any(
    os.environ.get(name, "") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")
)
# What the terminal can do; nothing where that is not known.
DUMB_TERMINAL: Final = os.environ.get("TERM", "") in ("", "dumb", "unknown")
# How a script that runs the `pystack` command was called, for help that can be pasted.
CALLED_AS: Final = os.environ.get("PYSTACK_CALLED_AS", "")
UNDER_SUDO: Final = "SUDO_UID" in os.environ


@dataclass(slots=True)
class Config:
    """Settings of one stack. `set` takes them by the names that `sysctl` prints."""

    # -- opening --------------------------------------------------------------------------
    tcp_syn_retries: int = 6
    tcp_syn_linear_timeouts: int = 4  # so many repeats of a SYN come 1 s apart before doubling
    tcp_synack_retries: int = 5
    tcp_max_syn_backlog: int = 4096
    somaxconn: int = 4096
    tcp_abort_on_overflow: int = 0
    # TCP Fast Open, a sum: 1 as a client, 2 as a server, 4 data on a SYN without a cookie, 0x200
    # such data is taken, 0x400 all listeners take it without TCP_FASTOPEN
    tcp_fastopen: int = 1
    tcp_fastopen_key: str = ""  # of cookies, `,` and the one before it; "" for one by the secret
    tcp_fastopen_blackhole_timeout_sec: int = 0  # how long not to try after repeated silence
    ip_local_port_range: tuple[int, int] = (32768, 60999)
    # -- options --------------------------------------------------------------------------
    tcp_timestamps: int = 1  # 0 off, 1 with a random offset, 2 without the offset
    tcp_sack: int = 1
    tcp_dsack: int = 1
    tcp_window_scaling: int = 1
    # 0 off, 1 ask and answer, 2 answer; with accurate feedback (RFC 9768): 3 ask and answer,
    # 4 answer, and ask for the classic one, 5 answer
    tcp_ecn: int = 2
    # the AccECN option: 0 never, 1 when it has news, 2 whenever it fits, 3 even if what had it was
    # lost; with 1 at least so often per round trip (0 to 3)
    tcp_ecn_option: int = 2
    tcp_ecn_option_beacon: int = 3
    # a SYN that is not answered is repeated without; nothing is ECT where the path changes marks
    tcp_ecn_fallback: int = 1
    tcp_min_snd_mss: int = 48
    # -- retransmission ---------------------------------------------------------------------
    tcp_retries1: int = 3  # R1
    tcp_retries2: int = 15  # R2, as a time: that many doublings of tcp_rto_min
    tcp_orphan_retries: int = 0  # 0 means 8, as in Linux
    tcp_rto_min_us: int = 200_000
    tcp_rto_max_ms: int = 120_000
    tcp_rto_initial_ms: int = 1_000
    tcp_reordering: int = 3  # segments; the degree that is assumed, and the most it becomes
    tcp_max_reordering: int = 300
    tcp_early_retrans: int = 3  # tail loss probes (3, 4) or not
    tcp_frto: int = 2  # 0 off
    tcp_min_rtt_wlen: int = 300
    # -- path MTU discovery without ICMP (RFC 4821, RFC 8899) ----------------------------------
    tcp_mtu_probing: int = 0  # 0 off, 1 once timeouts tell of a black hole, 2 from the start
    tcp_base_mss: int = 1024  # octets of payload that the search begins with
    tcp_mtu_probe_floor: int = 48  # the least that timeouts lower it to
    tcp_probe_interval: int = 600  # s until a search that has ended begins anew
    tcp_probe_threshold: int = 8  # octets: bounds as close as that end a search
    # -- sending ----------------------------------------------------------------------------
    tcp_congestion_control: str = "cubic"
    tcp_initial_cwnd: int = 10  # segments, RFC 6928 (per route in Linux: `initcwnd`)
    tcp_slow_start_after_idle: int = 1
    tcp_notsent_lowat: int = 0xFFFF_FFFF
    tcp_pacing: int = 0  # our own name: pace whatever the congestion control says
    tcp_pacing_ss_ratio: int = 200  # per cent of cwnd/SRTT in slow start, and after it
    tcp_pacing_ca_ratio: int = 120
    tcp_min_tso_segs: int = 2
    tcp_tso_rtt_log: int = 9
    # when cubic's slow start ends; parameters of Linux's module tcp_cubic
    hystart: int = 1
    hystart_detect: int = 3  # the ACK train 1, the delay 2, both 3; RFC 9406 (not in Linux) 4
    hystart_low_window: int = 16
    hystart_ack_delta_us: int = 2000
    # -- parts that can be replaced, by name (`stack.variants`). Linux has no such settings -------
    tcp_ack_policy: str = "delayed"
    tcp_rtt_estimator: str = "linux"
    tcp_nagle_policy: str = "minshall"
    tcp_initial_window: str = "linux"
    tcp_isn: str = "rfc6528"
    tcp_experimental_option: str = "none"
    tcp_loss_recovery: str = "rack"
    tcp_pacing_policy: str = "fq"
    # -- buffers: minimum, default, maximum, in bytes -------------------------------------------
    tcp_rmem: tuple[int, int, int] = (4096, 131_072, 6_291_456)
    tcp_wmem: tuple[int, int, int] = (4096, 16_384, 4_194_304)
    rmem_max: int = 4_194_304
    wmem_max: int = 4_194_304
    rmem_default: int = 212_992  # of UDP sockets
    wmem_default: int = 212_992
    tcp_moderate_rcvbuf: int = 1
    # -- closing ----------------------------------------------------------------------------
    tcp_fin_timeout: int = 60
    tcp_msl_ms: int = 30_000  # TIME_WAIT lasts twice that (fixed in Linux)
    tcp_max_tw_buckets: int = 131_072
    tcp_rfc1337: int = 0
    # -- keep-alive ---------------------------------------------------------------------------
    tcp_keepalive_time: int = 7200
    tcp_keepalive_intvl: int = 75
    tcp_keepalive_probes: int = 9
    # -- defence ------------------------------------------------------------------------------
    tcp_invalid_ratelimit: int = 500  # ms between challenge ACKs of one connection
    tcp_challenge_ack_limit: int = 0x7FFF_FFFF  # per second and stack; this is none (Linux)
    tcp_max_ooo_holes: int = 256  # runs held out of order per connection
    # -- IP and ICMP ----------------------------------------------------------------------------
    ip_default_ttl: int = 64
    ip_no_pmtu_disc: int = 0
    icmp_echo_ignore_all: int = 0
    icmp_ratelimit: int = 1000  # ms between errors to one target
    icmp_msgs_per_sec: int = 1000
    icmp_msgs_burst: int = 50
    ipfrag_high_thresh: int = 4_194_304
    ipfrag_time: int = 60  # RFC 1122 §3.3.2 asks for 60 to 120 s, Linux takes 30
    mtu_expires: int = 600
    min_pmtu: int = 552

    def __repr__(self) -> str:
        return f"Config({', '.join(_changed(self))})"

    def set(self, name: str, value: str | int | Sequence[int]) -> None:
        """Set by a sysctl name, short or full (`tcp_sack`, `net.ipv4.tcp_sack`).

        Several numbers are separated by blanks, tabs or commas, or are a tuple. Raises OSError
        ENOENT for an unknown name and EINVAL for a value of the wrong form.
        """
        field = name.rsplit(".", 1)[-1].rsplit("/", 1)[-1]
        if field not in _TYPES:
            raise OSError(errno.ENOENT, f"no setting of that name: {name}")
        old = getattr(self, field)
        try:
            if isinstance(old, tuple):
                words = value if isinstance(value, (tuple, list)) else str(value)
                if isinstance(words, str):
                    words = words.replace(",", " ").split()
                parts = tuple(int(word) for word in words)
                if len(parts) != len(old) or list(parts) != sorted(parts) or parts[0] < 1:
                    raise ValueError
                new: object = parts
            elif isinstance(old, int):
                if not isinstance(value, (int, str)):
                    raise ValueError
                if isinstance(value, str):
                    new = int(value, 16 if value.strip()[:2].lower() == "0x" else 10)
                else:
                    new = value
                low, high = _BOUNDS.get(field, (0, _LARGEST))
                if not low <= new <= high:
                    raise ValueError
            else:
                new = str(value)
                if field in _FORMS and not _FORMS[field].fullmatch(new):
                    raise ValueError
        except (TypeError, ValueError):
            raise OSError(errno.EINVAL, f"{name} does not take the value {value!r}") from None
        setattr(self, field, new)

    def get(self, name: str) -> str:
        """A setting as `sysctl -n` prints it. Raises OSError ENOENT for an unknown name."""
        field = name.rsplit(".", 1)[-1].rsplit("/", 1)[-1]
        if field not in _TYPES:
            raise OSError(errno.ENOENT, f"no setting of that name: {name}")
        value = getattr(self, field)
        return "\t".join(map(str, value)) if isinstance(value, tuple) else str(value)


_LARGEST: Final = 0xFFFF_FFFF
_BOUNDS: Final = {  # Linux's, where there are narrower ones
    "tcp_syn_retries": (1, 127),
    "tcp_synack_retries": (0, 255),
    "tcp_retries1": (0, 255),
    "tcp_retries2": (0, 255),
    "tcp_orphan_retries": (0, 255),
    "tcp_timestamps": (0, 2),
    "tcp_ecn": (0, 5),
    "tcp_ecn_option": (0, 3),
    "tcp_ecn_option_beacon": (0, 3),
    "tcp_ecn_fallback": (0, 1),
    "tcp_min_snd_mss": (48, 65535),
    "tcp_mtu_probing": (0, 2),
    "tcp_base_mss": (1, 65535),
    "tcp_mtu_probe_floor": (1, 65535),
    "tcp_rto_min_us": (1, 120_000_000),
    "tcp_rto_max_ms": (1000, 120_000),
    "tcp_rto_initial_ms": (1, 120_000),
    "tcp_initial_cwnd": (1, 65535),
    "tcp_reordering": (1, 0x7FFF_FFFF),
    "tcp_max_reordering": (1, 0x7FFF_FFFF),
    "tcp_early_retrans": (0, 4),
    "tcp_min_rtt_wlen": (0, 86_400),
    "tcp_pacing_ss_ratio": (1, 1000),
    "tcp_pacing_ca_ratio": (1, 1000),
    "tcp_min_tso_segs": (1, 45),
    "tcp_tso_rtt_log": (0, 31),
    "hystart": (0, 1),
    "hystart_detect": (1, 4),
    "tcp_keepalive_time": (1, 32767),
    "tcp_keepalive_intvl": (1, 32767),
    "tcp_keepalive_probes": (1, 127),
    "tcp_max_ooo_holes": (1, 65536),
    "ip_default_ttl": (1, 255),
    "min_pmtu": (68, 65535),
}

_KEY: Final = "[0-9a-fA-F]{1,8}(-[0-9a-fA-F]{1,8}){3}"
_FORMS: Final = {"tcp_fastopen_key": re.compile(f"({_KEY}(,{_KEY})?)?")}
_TYPES: Final = frozenset(field.name for field in fields(Config))


def _changed(config: Config) -> list[str]:
    """Those settings that differ from the defaults, as the constructor takes them."""
    return [
        f"{field.name}={value!r}"
        for field in fields(config)
        if (value := getattr(config, field.name, field.default)) != field.default
    ]
