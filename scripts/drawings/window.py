"""The congestion window through a loss: one segment of a transfer is lost, in a simulated network.

Reno and CUBIC each have the path for themselves, and lose the same segment.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import matplotlib
from matplotlib.axes import Axes

from pystack import Recorder
from pystack.recorder import RECOVERY_ENTERED
from pystack.sim import World
from pystack.sim.traffic import Bulk, Sink
from scripts.drawings.theme import SETTINGS, Theme, figure, svg

PATH: Final = "rate 25mbit delay 40ms limit 200 out: nth 100"
SECONDS: Final = 5.0
MSS: Final = 1448  # octets of text: an MTU of 1500 less IPv4, TCP and its timestamps
TITLE: Final = "The congestion window of Reno and of CUBIC through the loss of one segment"


@dataclass(frozen=True, slots=True)
class Flow:
    """A transfer: when the window was how large, in µs since the first row and in octets."""

    name: str
    times_us: list[int]
    cwnd: list[int]
    lost_us: int

    def at(self, time_us: int) -> int:
        """The window at that time, in octets."""
        before = [size for when, size in zip(self.times_us, self.cwnd, strict=True)
                  if when <= time_us]  # fmt: skip
        return before[-1]


def recorded() -> list[Flow]:
    """CUBIC's flow and Reno's."""
    return [_recorded(name) for name in ("cubic", "reno")]


def _recorded(name: str) -> Flow:
    world = World(seed=1)
    sender, receiver = world.host("sender"), world.host("receiver")
    world.link(sender, receiver, impair=PATH)
    Sink(receiver, 5001)
    bulk = Bulk(sender, receiver, 5001, cc=name)
    with Recorder().attach(bulk.socket) as recorder:
        world.run(for_s=SECONDS + 0.5)
    rows = list(zip(recorder["time_us"], recorder["cwnd"], recorder["event"], strict=True))
    first_us = rows[0][0]
    lost_us = [when - first_us for when, _, event in rows if event & RECOVERY_ENTERED]
    assert len(lost_us) == 1, f"{name} lost something {len(lost_us)} times"
    times_us: list[int] = []
    cwnd: list[int] = []
    for when, size, _ in rows:
        # half a segment is all that can be seen
        if when - first_us < SECONDS * 1e6 and (not cwnd or abs(size - cwnd[-1]) >= MSS // 2):
            times_us.append(when - first_us)
            cwnd.append(size)
    return Flow(name, times_us, cwnd, lost_us[0])


def digest(flows: list[Flow]) -> str:
    """The SHA-256 of all that is drawn."""
    return "sha256 " + hashlib.sha256(repr(flows).encode()).hexdigest()


def picture(flows: list[Flow], theme: Theme) -> str:
    """The SVG."""
    with matplotlib.rc_context(SETTINGS):
        drawing = figure(theme, 8.5, 4.0)
        axes = drawing.add_axes((0.085, 0.14, 0.895, 0.76))
        axes.set_facecolor(theme.page)
        for flow, colour in zip(flows, (theme.first, theme.second), strict=True):
            _draw(axes, flow, colour, since_us=flow.lost_us)
        _draw(axes, flows[0], theme.ink, until_us=flows[0].lost_us)  # the same for both
        _axes(axes, theme)
        _notes(axes, flows, theme)
        return svg(drawing, TITLE, digest(flows))


def _draw(
    axes: Axes, flow: Flow, colour: str, since_us: int = 0, until_us: int = int(SECONDS * 1e6)
) -> None:
    rows = [(when, size) for when, size in zip(flow.times_us, flow.cwnd, strict=True)
            if since_us < when < until_us]  # fmt: skip
    rows = [(since_us, flow.at(since_us)), *rows, (until_us, flow.at(until_us - 1))]
    axes.plot(
        [when / 1e6 for when, _ in rows], [size / MSS for _, size in rows], color=colour,
        linewidth=2.2, drawstyle="steps-post", solid_joinstyle="round",
    )  # fmt: skip


def _axes(axes: Axes, theme: Theme) -> None:
    axes.set_xlim(0, SECONDS)
    axes.set_ylim(0, 128)
    axes.set_xlabel("time since the connection was opened (s)", color=theme.faint)
    axes.set_ylabel("congestion window (segments)", color=theme.faint)
    axes.tick_params(colors=theme.faint, length=0, pad=7)
    axes.grid(color=theme.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _notes(axes: Axes, flows: list[Flow], theme: Theme) -> None:
    cubic, reno = flows
    lost_s, before, after = cubic.lost_us / 1e6, cubic.at(cubic.lost_us - 1), reno.at(reno.lost_us)
    box = {"facecolor": theme.page, "edgecolor": "none", "pad": 1}  # hides the grid
    axes.plot([lost_s, lost_s], [before / MSS, after / MSS], color=theme.faint, linewidth=1.2,
              linestyle=(0, (2, 2)), zorder=1)  # fmt: skip
    axes.plot([lost_s], [before / MSS], marker="X", markersize=10, color=theme.alarm, zorder=3,
              markeredgecolor=theme.page)  # fmt: skip
    axes.text(lost_s + 0.1, before / MSS + 7, "one segment was lost", color=theme.alarm,
              weight="bold", va="center")  # fmt: skip
    axes.text(0.24, 22, "slow start doubles the\nwindow each round trip", color=theme.ink,
              va="center", bbox=box)  # fmt: skip
    axes.text(2.3, cubic.at(3_000_000) / MSS + 5, "CUBIC keeps 70 %, then climbs fast",
              color=theme.first, weight="bold", va="bottom")  # fmt: skip
    axes.text(1.6, reno.at(1_600_000) / MSS - 6,
              "Reno keeps 50 %, then adds one segment per round trip",
              color=theme.second, weight="bold", va="top", bbox=box)  # fmt: skip
    axes.set_title("simulated: 25 Mbit/s, round trip 80 ms", color=theme.faint, fontsize=10,
                   loc="right")  # fmt: skip
