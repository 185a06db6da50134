"""The replaceable parts of a stack and its connections, by kind and name.

A kind is one row of KINDS: what it is called, the setting that chooses it for a stack, and the
variable of the TCB that has it. Names come in by `register_variant`; one that ends in `-n`
stands for a family: `every-n` is asked for as `every-4`, and its factory gets the 4. Congestion
controls are kept in `cc.registry` and are a kind here as well, so that there is one way to choose.

Classes, contracts and defaults stand beside their subjects in `tcp`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from errno import EINVAL, ENOENT, EOPNOTSUPP
from typing import Any, Final

from pystack import arguments
from pystack.cc import registry
from pystack.cc.base import CongestionControl
from pystack.config import Config
from pystack.ip.route_metrics import RouteMetrics
from pystack.parts.guard import guarded
from pystack.tcp.header import options
from pystack.tcp.policies import (
    ack_policies,
    contracts,
    experimental_option,
    initial_window,
    isn,
    loss_detection,
    nagle,
    rack,
    rtt_estimators,
)
from pystack.tcp.policies.part import Part
from pystack.tcp.recovery import recovery  # fmt: skip
from pystack.tcp.state.states import ESTABLISHED
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_settings

Factory = Callable[..., Any]

CONGESTION_CONTROL: Final = "congestion_control"
ISN: Final = "isn"
LOSS_RECOVERY: Final = "loss_recovery"
OPTION: Final = "option"
NONE: Final = "none"  # the name of no experimental option
_FAMILY: Final = "-n"
_LONGEST_NAME: Final = 31


@dataclass(frozen=True, slots=True)
class Kind:
    """`words` for messages; `setting` of Config; `slot` of the TCB, "" for a part of the stack;
    `must` is the call that each class has to bring itself, "" where all have a default."""

    name: str
    words: str
    setting: str
    slot: str
    base: type
    must: str = ""


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("ack_policy", "ACK policy", "tcp_ack_policy", "ack_policy", contracts.AckPolicy,
             "wait_us"),
        Kind("rtt_estimator", "RTT estimator", "tcp_rtt_estimator", "rtt_estimator",
             contracts.RttEstimator, "on_sample"),
        Kind("nagle_policy", "Nagle policy", "tcp_nagle_policy", "nagle_policy",
             contracts.NaglePolicy, "holds"),
        Kind("initial_window", "initial window", "tcp_initial_window", "initial_window",
             contracts.InitialWindow, "in_bytes"),
        Kind(LOSS_RECOVERY, "loss recovery", "tcp_loss_recovery", "loss",
             contracts.LossDetection),
        Kind("pacing", "pacing", "tcp_pacing_policy", "pacing", contracts.Pacing),
        Kind(OPTION, "experimental option", "tcp_experimental_option", "option",
             experimental_option.ExperimentalOption),
        Kind(ISN, "ISN generator", "tcp_isn", "", isn.IsnGenerator, "initial_sequence"),
        Kind(CONGESTION_CONTROL, "congestion control", "tcp_congestion_control", "cc",
             CongestionControl),
    )
}  # fmt: skip

_factories: Final[dict[str, dict[str, Factory]]] = {
    "ack_policy": {
        "delayed": ack_policies.Delayed,
        "quick": ack_policies.Quick,
        "every-n": ack_policies.EveryN,
        "ack-rate": ack_policies.AckRate,
        "ack-rate-n": ack_policies.AckRate,
    },
    "rtt_estimator": {"linux": rtt_estimators.Linux, "rfc6298": rtt_estimators.Rfc6298},
    "nagle_policy": {"minshall": nagle.Minshall, "nagle": nagle.Nagle, "off": nagle.Off},
    "initial_window": {
        "linux": initial_window.Linux,
        "rfc6928": initial_window.Rfc6928,
        "rfc3390": initial_window.Rfc3390,
        "rfc5681": initial_window.Rfc5681,
    },
    LOSS_RECOVERY: {
        "rack": rack.Rack, "rfc6675": loss_detection.Rfc6675, "newreno": loss_detection.NewReno,
    },
    "pacing": {"fq": contracts.Pacing},
    OPTION: {NONE: type(None)},
    ISN: {"rfc6528": isn.Rfc6528},
}
_BUILT_IN: Final = frozenset((
    *(factory for known in _factories.values() for factory in known.values()),
    *map(registry.factory, registry.names()),
))  # fmt: skip
# our own, which need no number and no guard, by kind and name
_ready: Final[dict[tuple[str, str], Factory]] = {
    (kind, name): factory
    for kind, known in _factories.items()
    for name, factory in known.items()
    if not name.endswith(_FAMILY)
}
_shared: Final[dict[tuple[str, str], Part]] = {}  # parts that serve all connections
_by_setting: Final = {kind.setting: kind.name for kind in KINDS.values()}
_of_connections: Final = [
    (kind.name, kind.slot, kind.setting)
    for kind in KINDS.values()
    if kind.slot and kind.name not in (CONGESTION_CONTROL, OPTION)
]


# -- names ----------------------------------------------------------------------------------------
def register_variant(kind: str, name: str, factory: Factory) -> None:
    """Make a part of `kind` (a key of KINDS) known as `name`, in place of one of that name.

    `factory` is a class derived from the kind's base class, or a function that returns an object of
    one. It is called without arguments for each connection (once for all if the class
    says `shared`), with the number for a name that ends in `-n`, for `isn` with the stack's
    secret, for `congestion_control` with MSS and initial window. Raises ValueError for an unknown
    kind or a bad name, TypeError for a factory that makes no such part and for a class without
    the call that its kind is about.
    """
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{kind!r} can't be replaced: there is {', '.join(KINDS)}")
    arguments.text("name", name, "mine")
    if kind == CONGESTION_CONTROL:
        registry.register(name, factory)
        return
    plain = name.isascii() and name.isprintable() and not set(name) & set(" =,")
    if not name or len(name) > _LONGEST_NAME or not plain:
        raise ValueError(f"{name!r} is no name: 1 to {_LONGEST_NAME} ASCII characters, no ' =,'")
    about = KINDS[kind]
    arguments.factory(about.words, about.base, factory)
    if about.must and isinstance(factory, type) and _lacks(factory, about):
        raise TypeError(f"{about.words} {name!r}: {factory.__name__} has no {about.must}()")
    _factories[kind][name] = factory
    _ready.pop((kind, name), None)
    for known in [key for key in _shared if key[0] == kind]:
        del _shared[known]


def _lacks(given: type, kind: Kind) -> bool:
    """Whether a class has not overridden the call that its kind asks for."""
    return next(one for one in given.__mro__ if kind.must in vars(one)) is kind.base


def names(kind: str) -> list[str]:
    """All known names of a kind, sorted. Raises OSError ENOENT for an unknown kind."""
    if kind not in KINDS:
        raise OSError(ENOENT, f"{kind!r} can't be replaced: there is {', '.join(KINDS)}")
    return registry.names() if kind == CONGESTION_CONTROL else sorted(_factories[kind])


def check(kind: str, name: str) -> None:
    """Raises OSError ENOENT, telling what there is, unless `name` is a `kind`; EINVAL for one that
    can't be made, such as a number that its family does not take."""
    if kind == CONGESTION_CONTROL:
        if name not in registry.names():
            raise _unknown(kind, name)
    elif kind == ISN:
        _find(kind, name)
    else:
        make(kind, name)


def kind_of(setting: str) -> str:
    """The kind that a setting of Config chooses, "" if it chooses none."""
    return _by_setting.get(setting, "")


def check_settings(config: Config) -> None:
    """Raises as `check` for a setting whose part does not exist."""
    for setting, kind in _by_setting.items():
        check(kind, getattr(config, setting))


def parse(text: str) -> list[tuple[str, str]]:
    """Kinds and names of "kind=name", several separated by commas. Raises OSError EINVAL for
    another form, and as `check`."""
    pairs = []
    for word in text.split(","):
        kind, equals, name = word.partition("=")
        if not equals:
            raise OSError(EINVAL, f"{word!r} is not of the form kind=name")
        names(kind)
        check(kind, name)
        pairs.append((kind, name))
    return pairs


def _unknown(kind: str, name: str) -> OSError:
    known = ", ".join(names(kind))
    return OSError(ENOENT, f"there is no {KINDS[kind].words} {name!r}: there is {known}")


# -- parts ----------------------------------------------------------------------------------------
def make(kind: str, name: str, *given: Any) -> Any:
    """A part of any kind but congestion control, perhaps a shared one that is in use already.
    `given` are arguments for its factory. Raises as `check`."""
    part = _shared.get((kind, name))
    if part is not None:
        return part
    made: Part | None
    ready = _ready.get((kind, name))
    if ready is not None:
        made = ready(*given)
    else:
        factory, number = _find(kind, name)
        made = _called(kind, name, factory, number or given)
    if made is None:
        return None
    made.name = name
    if made.shared and not given:
        _shared[kind, name] = made
    return made


def _find(kind: str, name: str) -> tuple[Factory, tuple[int, ...]]:
    """The factory of a name, and the number if it is one of a family."""
    factories = _factories[kind]
    factory = factories.get(name)
    if factory is not None and not name.endswith(_FAMILY):
        return factory, ()
    head, _, number = name.rpartition("-")
    factory = factories.get(head + _FAMILY)
    if factory is None or not (number.isascii() and number.isdecimal()):
        raise _unknown(kind, name)
    return factory, (int(number),)


def _called(kind: str, name: str, factory: Factory, given: tuple[Any, ...]) -> Any:
    """What `factory` makes. Raises OSError EINVAL when it raises or makes no such part."""
    words, base = KINDS[kind].words, KINDS[kind].base
    try:
        if isinstance(factory, type) and factory in _BUILT_IN:
            part = factory(*given)
        else:
            part = guarded(words, base, factory, given)
    except Exception as error:
        raise OSError(EINVAL, f"{words} {name!r} can't be made: {error}") from error
    if not isinstance(part, base) and not (part is None and name == NONE):
        raise OSError(EINVAL, f"{words} {name!r} can't be made: {part!r} is no {base.__name__}")
    return part


def make_congestion_control(
    name: str, mss: int, cwnd: int, config: Config | None = None
) -> CongestionControl:
    """A congestion control for segments of `mss` bytes and a window of `cwnd` bytes, with the
    parameters that `config` has for it. Raises as `check`."""
    try:
        factory = registry.factory(name)
    except KeyError:
        raise _unknown(CONGESTION_CONTROL, name) from None
    cc: CongestionControl
    if isinstance(factory, type) and factory in _BUILT_IN:
        cc = factory(mss, cwnd)
    else:
        cc = _called(CONGESTION_CONTROL, name, factory, (mss, cwnd))
    if config is not None:
        for parameter in cc.parameters:
            setattr(cc, parameter, getattr(config, parameter))
    return cc


def equip(tcb: Tcb) -> None:
    """Give a new connection the parts that its stack's settings choose, except the experimental
    option, which it may have already."""
    config = tcb.config
    for kind, slot, setting in _of_connections:
        name = getattr(config, setting)
        part = _shared.get((kind, name))
        setattr(tcb, slot, make(kind, name) if part is None else part)


def choose(tcb: Tcb, chosen: Iterable[tuple[str, str]]) -> None:
    """Give a connection other parts, where they are not the ones it has. Raises as `check`."""
    for kind, name in chosen:
        slot = KINDS[kind].slot
        if name_of(getattr(tcb, slot)) != name:
            setattr(tcb, slot, make(kind, name))
            if kind == LOSS_RECOVERY and tcb.state >= ESTABLISHED:
                recovery.loss_chosen(tcb)
            elif kind == OPTION:
                options.set_eff_mss(tcb)


def follow_route(tcb: Tcb, metrics: RouteMetrics) -> None:
    """Give a connection what the route to its peer asks for, parts that no user has chosen among
    it. Raises as `check` for a congestion control that is gone."""
    user_settings.take_route(tcb, metrics)
    if metrics.initcwnd and type(tcb.initial_window) is initial_window.Linux:
        tcb.initial_window = initial_window.OfRoute(metrics.initcwnd)
    if metrics.quickack and type(tcb.ack_policy) is ack_policies.Delayed:
        tcb.ack_policy = make("ack_policy", "quick")
    if metrics.congctl:
        cc = make_congestion_control(metrics.congctl, tcb.eff_mss, tcb.cc.cwnd)
        user_settings.set_congestion(tcb, cc)


def of(tcb: Tcb | None, kind: str) -> Any:
    """The part that a connection has, None for none. Raises OSError ENOENT for an unknown kind."""
    names(kind)
    slot = KINDS[kind].slot
    return getattr(tcb, slot) if tcb is not None and slot else None


def name_of(part: Any) -> str:
    """The name by which a part was chosen; NONE for no experimental option."""
    return NONE if part is None else str(part.name)


def check_for_socket(kind: str) -> None:
    """Raises OSError EOPNOTSUPP for a kind of which a stack has one for all connections."""
    if not KINDS[kind].slot:
        raise OSError(EOPNOTSUPP, f"there is one {KINDS[kind].words} per stack: set it there")


def in_use(tcb: Tcb | None, chosen: dict[str, str], config: Config) -> list[tuple[str, str]]:
    """Kind and name of each part of a connection, or of one that would be opened now; `chosen` are
    the names that its socket has chosen."""
    found = []
    for kind in KINDS.values():
        if not kind.slot:
            name = getattr(config, kind.setting)
        elif tcb is not None:
            name = name_of(getattr(tcb, kind.slot))
        else:
            name = chosen.get(kind.name) or getattr(config, kind.setting)
        found.append((kind.name, name))
    return found
