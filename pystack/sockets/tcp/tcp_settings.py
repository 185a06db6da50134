"""The options of one socket: kept here before there is a connection, put into effect on it.

A listening socket's options go to the connections that it takes, when their handshake ends.
Settings are never changed in place, since connections may share them: `tcp_options` copies first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Final

from pystack.compiling import mypyc_attr
from pystack.config import Config
from pystack.parts import variants
from pystack.sockets.constants import IP_PMTUDISC_DO, IP_PMTUDISC_WANT
from pystack.stack.listener import Listener
from pystack.tcp import recording
from pystack.tcp.ecn import ecn
from pystack.tcp.state.variables import UNLIMITED
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_settings
from pystack.wire.address import is_v4
from pystack.wire.consts import DEFAULT_MSS_IPV4

_ECN_MASK = 0x03
FIN_TIMEOUT_MAX = 120  # seconds; TCP_LINGER2 takes no more


@mypyc_attr(native_class=False)  # mypyc does not know slots=True
@dataclass(slots=True)
class Settings:
    """Options as the user set them; 0 (where 0 is a value: -1) for those left alone.

    Times are in the unit of the option: s, and ms for `user_timeout`. Buffers are as Linux
    reports them, doubled.
    """

    kept: Mapping[str, int | bytes] = field(default_factory=dict)  # see `options.Shared`
    tells: bool = False
    reuse_address: bool = False
    reuse_port: bool = False
    keepalive: bool = False
    linger: bool = False
    linger_time: int = 0
    oob_inline: bool = False
    rcvlowat: int = 1
    sndbuf: int = 0
    rcvbuf: int = 0
    nodelay: bool = False
    cork: bool = False
    max_seg: int = 0
    keepalive_time: int = 0
    keepalive_intvl: int = 0
    keepalive_probes: int = 0
    syn_retries: int = 0
    linger2: int = 0  # -1: an orphan does not stay in FIN_WAIT_2
    defer_accept: int = 0  # repeats of the SYN,ACK, as Linux keeps it
    fastopen: int = 0  # connections in their handshake, of a listener
    fastopen_connect: bool = False
    fastopen_no_cookie: bool = False
    fastopen_key: bytes = b""
    window_clamp: int = 0
    quick_ack: bool = True
    congestion: str = ""
    variants: tuple[tuple[str, str], ...] = ()  # kind and name, congestion control apart
    user_timeout: int = 0
    notsent_lowat: int = 0
    max_pacing_rate: int = UNLIMITED
    tos: int = 0
    tclass: int = 0
    ttl: int = -1
    hops: int = -1
    mtu_discover: int = -1
    mtu_discover_v6: int = -1
    recverr: bool = False
    recverr_v6: bool = False
    v6only: bool = False
    recorder: Callable[[Tcb], recording.Observer] | None = None  # makes one for a connection

    # -- into effect ----------------------------------------------------------------------------
    def apply(self, tcb: Tcb) -> None:
        """Put all that was set into effect on a new connection."""
        if self.keepalive:
            user_settings.set_keepalive(tcb, True)
        if self.oob_inline:
            user_settings.set_oob_inline(tcb, True)
        if self.sndbuf:
            user_settings.set_sndbuf(tcb, self.sndbuf)
        if self.rcvbuf:
            user_settings.set_rcvbuf(tcb, self.rcvbuf)
        if self.nodelay:
            user_settings.set_nodelay(tcb, True)
        if self.cork:
            user_settings.set_cork(tcb, True)
        if self.max_seg:
            user_settings.set_max_seg(tcb, self.max_seg)
        if self.keepalive_time or self.keepalive_intvl or self.keepalive_probes:
            self.apply_keepalive_times(tcb)
        if self.syn_retries:
            user_settings.set_syn_retries(tcb, self.syn_retries)
        if self.linger2:
            self.apply_linger2(tcb)
        if self.window_clamp:
            user_settings.set_window_clamp(tcb, self.window_clamp)
        if self.user_timeout:
            user_settings.set_user_timeout(tcb, self.user_timeout * 1000)
        if self.notsent_lowat:
            self.apply_notsent_lowat(tcb)
        if self.max_pacing_rate != UNLIMITED:
            user_settings.set_max_pacing_rate(tcb, self.max_pacing_rate)
        if self.congestion:
            self.apply_congestion(tcb)
        if self.variants:
            variants.choose(tcb, self.variants)
        if (
            self.tos or self.tclass or self.ttl >= 0 or self.hops >= 0
            or self.mtu_discover >= 0 or self.mtu_discover_v6 >= 0
            or self.recverr or self.recverr_v6
        ):  # fmt: skip
            self.apply_ip(tcb)
        if self.recorder is not None:
            self.apply_recorder(tcb)

    def apply_recorder(self, tcb: Tcb) -> None:
        """Attach what watches the connection, if there is something."""
        recording.attach(tcb, self.recorder(tcb) if self.recorder is not None else None)

    def apply_keepalive_times(self, tcb: Tcb) -> None:
        """TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT, those that were set."""
        user_settings.set_keepalive_times(
            tcb,
            self.keepalive_time * 1_000_000 if self.keepalive_time else None,
            self.keepalive_intvl * 1_000_000 if self.keepalive_intvl else None,
            self.keepalive_probes or None,
        )

    def apply_keepalive_probes(self, tcb: Tcb) -> None:
        """TCP_KEEPINTVL and TCP_KEEPCNT, those that were set."""
        user_settings.set_keepalive_times(
            tcb, None, self.keepalive_intvl * 1_000_000 or None, self.keepalive_probes or None
        )

    def apply_linger2(self, tcb: Tcb) -> None:
        """TCP_LINGER2: 0 is `tcp_fin_timeout`."""
        seconds = self.linger2 or tcb.config.tcp_fin_timeout
        user_settings.set_linger2(tcb, seconds * 1_000_000 if seconds > 0 else -1)

    def apply_notsent_lowat(self, tcb: Tcb) -> None:
        """TCP_NOTSENT_LOWAT: 0 is `tcp_notsent_lowat`; the number is unsigned."""
        user_settings.set_notsent_lowat(
            tcb, self.notsent_lowat & 0xFFFF_FFFF or tcb.config.tcp_notsent_lowat
        )

    def apply_congestion(self, tcb: Tcb) -> None:
        """TCP_CONGESTION: another algorithm takes over the windows of the one before."""
        make = variants.make_congestion_control
        cc = make(self.congestion, tcb.eff_mss, tcb.cc.cwnd, tcb.config)
        user_settings.set_congestion(tcb, cc)

    def apply_variants(self, tcb: Tcb) -> None:
        """TCP_VARIANT: other parts go on where those before them were."""
        if self.congestion and self.congestion != tcb.cc.name:
            self.apply_congestion(tcb)
        variants.choose(tcb, self.variants)

    def apply_ip(self, tcb: Tcb) -> None:
        """What the IP header of this connection's packets says. An AF_INET6 socket has both
        sets of options, of which the one of the connection's addresses counts."""
        v4 = tcb.v4
        tos = self.tos if v4 else self.tclass
        ttl = self.ttl if v4 else self.hops
        user_settings.set_ip(tcb, tos=tos, ttl=user_settings.default_ttl(tcb) if ttl < 0 else ttl)
        df = self.dont_fragment(v4)
        if df >= 0:
            user_settings.set_ip(tcb, df=df)
        if self.recverr or self.recverr_v6 or tcb.user.recverr:
            user_settings.set_recverr(tcb, self.recverr if v4 else self.recverr_v6)

    def dont_fragment(self, v4: bool) -> int:
        """Whether packets get DF, -1 when the host decides."""
        mode = self.mtu_discover if v4 else self.mtu_discover_v6
        # as Linux sends TCP: only these two set DF
        return int(mode in (IP_PMTUDISC_WANT, IP_PMTUDISC_DO)) if mode >= 0 else -1

    def ttl_of(self, config: Config, v4: bool) -> int:
        """The TTL or hop limit that packets get."""
        ttl = self.ttl if v4 else self.hops
        return config.ip_default_ttl if ttl < 0 else ttl

    def apply_to_listener(self, listener: Listener, config: Config) -> None:
        """What the SYN,ACK shows, and when a connection may be accepted."""
        v4 = is_v4(listener.local)
        listener.v6only = self.v6only
        listener.rcvbuf = self.rcvbuf or config.tcp_rmem[1]
        if (df := self.dont_fragment(v4)) >= 0:
            listener.df = df
        listener.rcvbuf_locked = bool(self.rcvbuf)
        listener.max_seg = self.max_seg
        listener.window_clamp = self.window_clamp
        listener.tos = self.tos if v4 else self.tclass
        listener.ttl = self.ttl_of(config, v4)
        listener.defer_accept = self.defer_accept
        listener.fast_accepts.configure(
            self.fastopen, self.fastopen_no_cookie, self.fastopen_key
        )
        listener.option = dict(self.variants).get(variants.OPTION, "")
        name = self.congestion or config.tcp_congestion_control
        cc = variants.make_congestion_control(name, DEFAULT_MSS_IPV4, DEFAULT_MSS_IPV4)
        listener.ecn = ecn.wanted_by(cc)
        listener.ect = cc.ect if cc.scalable else 0

    # -- what a child does not inherit ----------------------------------------------------------
    def inherited(self) -> Settings:
        """What an accepted connection has."""
        if not (self.defer_accept or self.fastopen or self.fastopen_key):
            return self
        settings = Settings(*values_of(self))
        settings.defer_accept = settings.fastopen = 0
        settings.fastopen_key = b""
        return settings


# to copy one by `Settings(*values_of(one))`: `dataclasses.replace` takes four times as long
values_of: Final = attrgetter(*(one.name for one in fields(Settings)))


def seconds_to_repeats(seconds: int, config: Config) -> int:
    """How many SYN,ACKs are sent in that time (TCP_DEFER_ACCEPT; Linux: 1, 2, 4 … s apart)."""
    timeout = most = 0
    repeats = period = 0
    timeout = max(config.tcp_rto_initial_ms // 1000, 1)
    most = config.tcp_rto_max_ms // 1000
    while seconds > period and repeats < 255:
        repeats += 1
        period += timeout
        timeout = min(timeout << 1, most)
    return repeats


def repeats_to_seconds(repeats: int, config: Config) -> int:
    """The inverse: in how many seconds that many SYN,ACKs are sent."""
    timeout = max(config.tcp_rto_initial_ms // 1000, 1)
    most = config.tcp_rto_max_ms // 1000
    period = 0
    for _ in range(repeats):
        period += timeout
        timeout = min(timeout << 1, most)
    return period
