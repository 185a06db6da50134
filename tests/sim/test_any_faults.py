"""Whatever the network does and whenever either end closes: octets arrive intact and in order, or
there is an error, in bounded time; and nothing is left."""

from __future__ import annotations

from contextlib import suppress
from random import Random

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pystack.sim import SimHost, World
from pystack.sockets.constants import AF_INET, AF_INET6
from tests.sim.speaker import Plan, Speaker
from tests.sim.watched import Watched

TEXT = Random("tests").randbytes(120_000)
PORT = 7
PATIENCE_S = 8_000  # SYNs, R2, keep-alive, FIN_WAIT_2, 2 MSL, what is known of path MTUs
EVENTS = 200_000

FAULTS = (
    "loss 1%", "loss 10%", "loss gemodel 2% 30%", "duplicate 3%", "corrupt 2%", "nth 3,4,9",
    "reorder 10% gap 5", "outage 300ms 700ms every 5s", "spike 200ms 400ms every 3s", "ack-thin 4",
    "delay 20ms 10ms", "delay 5ms", "at 500ms mtu 1280", "at 1s loss 20%",
)  # fmt: skip
RATES = (
    "", "rate 100mbit limit 1000", "rate 10mbit limit 20", "rate 500kbit limit 10 ack-filter",
    "rate 5mbit queue codel", "rate 5mbit queue fq_codel", "rate 2mbit limit 10kb",
    "rate 5mbit limit 60 queue red",
)  # fmt: skip
DEATHS = ("", "", "", "at 400ms loss 100%", "at 2s loss 100%")


@st.composite
def words(draw: st.DrawFn) -> str:
    """Both directions of an impairment."""
    parts = []
    for direction in ("out:", "in:"):
        faults = draw(st.lists(st.sampled_from(FAULTS), unique_by=lambda fault: fault.split()[0]))
        now = [fault for fault in faults if not fault.startswith("at ")]
        later = [fault for fault in faults if fault.startswith("at ")]
        delay = [] if any(fault.startswith("delay") for fault in now) else ["delay 1ms"]
        rate, death = draw(st.sampled_from(RATES)), draw(st.sampled_from(DEATHS))
        parts.append(" ".join([direction, *delay, *now, rate, *([death] if death else later)]))
    return " ".join(parts)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """What one end does."""
    length = draw(st.sampled_from((0, 1, 1460, 20_000, 120_000)))
    ending = draw(st.sampled_from(("", "", "close", "abort", "shutdown")))
    sizes = tuple(draw(st.lists(st.sampled_from((1, 100, 1448, 9_000, 65_536)), min_size=1)))
    if length >= 20_000 and max(sizes) < 1448:
        sizes += (9_000,)  # a hundred thousand events of single octets tell nothing more
    return Plan(
        text=TEXT[:length],
        sizes=sizes,
        pause_us=draw(st.sampled_from((0, 0, 1_000, 250_000) if length > 1000 else (0, 1_000))),
        bite=draw(st.sampled_from((700, 4096, 1 << 20))),
        ending=ending,
        end_us=draw(st.integers(1, 3_000_000)) if ending else 0,
    )


@st.composite
def sysctls(draw: st.DrawFn) -> dict[str, str | int]:
    """Settings of one end."""
    return {
        "tcp_sack": draw(st.sampled_from((1, 1, 0))),
        "tcp_timestamps": draw(st.sampled_from((1, 1, 0))),
        "tcp_window_scaling": draw(st.sampled_from((1, 1, 0))),
        "tcp_congestion_control": draw(st.sampled_from(("cubic", "reno", "bbr"))),
        "tcp_rmem": draw(st.sampled_from(("4096 131072 6291456", "4096 8192 100000"))),
    }


def near_the_end(host: SimHost, before: int) -> None:
    """Sequence numbers wrap `before` octets after the ISS."""
    host.host.isn = lambda key, now_us: (1 << 32) - before


CRUMB = Plan(text=TEXT[:1460], sizes=(1,), pause_us=1_000, bite=700, ending="", end_us=0)
SILENT = Plan(text=b"", sizes=(1,), pause_us=0, bite=700, ending="", end_us=0)
NO_SACK: dict[str, str | int] = {"tcp_sack": 0}
OUTAGE = "out: delay 1ms outage 300ms 700ms every 5s  in: delay 1ms loss 1%"


@example(OUTAGE, (CRUMB, SILENT), ({}, NO_SACK), False, 0, 0)  # duplicates of a short tail in LOSS
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    words(), st.tuples(plans(), plans()), st.tuples(sysctls(), sysctls()), st.booleans(),
    st.sampled_from((0, 1, 1000, 50_000)), st.integers(0, 1 << 32),
)  # fmt: skip
def test_the_stream_arrives_intact_or_an_error_is_reported(
    impair: str, both: tuple[Plan, Plan], settings: tuple[dict[str, str | int], ...], v6: bool,
    wraps_after: int, seed: int,
) -> None:  # fmt: skip
    world = World(seed)
    one, other = (world.host(name, sysctl=own) for name, own in zip("ab", settings, strict=True))
    world.link(one, other, impair=impair)
    if wraps_after:
        near_the_end(one, wraps_after)
        near_the_end(other, wraps_after)
    watched = Watched(world)
    speakers: list[Speaker] = []
    family = AF_INET6 if v6 else AF_INET
    listener = other.socket(family)
    listener.bind(("", PORT))
    listener.listen()

    def accept(events: int) -> None:
        with suppress(BlockingIOError):
            while not listener.closed:
                socket, _ = listener.accept()
                speakers.append(Speaker(world, socket, both[1]))
                speakers[-1].act()

    listener.on_events = accept
    client = one.socket(family)
    with suppress(BlockingIOError):
        client.connect((other.addresses[v6], PORT))
    speakers.append(Speaker(world, client, both[0]))

    world.run(for_s=PATIENCE_S)
    assert world.events.count < EVENTS
    assert all(speaker.over for speaker in speakers)
    assert len(speakers) <= 2
    for speaker in speakers:
        assert speaker.at_eof or speaker.gave_up or speaker.error
    if len(speakers) == 2:
        for writer, reader in (speakers, speakers[::-1]):
            told = writer.plan.text[: writer.written]
            assert bytes(reader.received) == told[: len(reader.received)]
            if reader.at_eof:
                assert len(reader.received) == len(told)
    listener.close()
    watched.check_nothing_is_left()
