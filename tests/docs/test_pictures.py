"""docs/pictures: drawn from what the code does today, and telling it as it is."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib
import pytest
from click.testing import CliRunner

from scripts.drawings import ladder, window
from scripts.drawings.command import FOLDER, RECORDED, drawn, main
from scripts.drawings.window import MSS, Flow

LARGEST = 30_000  # octets
NAMES = ("cwnd-light.svg", "cwnd-dark.svg", "demo-light.svg", "demo-dark.svg")
TRANSCRIPT = RECORDED.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def flows() -> tuple[Flow, Flow]:
    cubic, reno = window.recorded()
    return cubic, reno


def test_the_pictures_show_what_the_simulator_and_the_demo_say_today(
    flows: tuple[Flow, Flow],
) -> None:
    figures = {
        "cwnd": window.digest(list(flows)), "demo": ladder.digest(ladder.lines(TRANSCRIPT)),
    }  # fmt: skip
    for name in NAMES:
        text = (FOLDER / name).read_text(encoding="utf-8")
        assert figures[name.partition("-")[0]] in text, "make it anew: scripts/pictures"


def test_the_same_matplotlib_draws_the_same_files() -> None:
    pictures = drawn(TRANSCRIPT)
    assert set(pictures) == set(NAMES)
    for name, text in pictures.items():
        there = (FOLDER / name).read_text(encoding="utf-8")
        if f"Matplotlib v{matplotlib.__version__}," in there:
            assert text == there, f"{name}: make it anew: scripts/pictures"
        else:
            assert len(text) == pytest.approx(len(there), rel=0.5)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_small_and_needs_nothing_from_elsewhere(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert len(text) < LARGEST
    assert ET.fromstring(text).find("{http://www.w3.org/2000/svg}title") is not None
    links = re.findall(r'(?:href|src)="([^"]*)"|url\(([^)]*)\)', text)
    assert all(link.startswith("#") for pair in links for link in pair if link)


def test_the_windows_do_what_is_written_beside_them(flows: tuple[Flow, Flow]) -> None:
    cubic, reno = flows
    lost_us = reno.lost_us
    assert cubic.lost_us == lost_us
    before = reno.at(lost_us - 1)
    assert cubic.at(lost_us - 1) == before
    assert [reno.at(80_000 * turn + 70_000) // MSS for turn in range(4)] == [10, 20, 40, 80]
    assert cubic.at(lost_us) == pytest.approx(0.7 * before, abs=MSS)
    assert reno.at(lost_us) == pytest.approx(0.5 * before, abs=MSS)
    grown = (reno.at(4_900_000) - reno.at(900_000)) / MSS
    assert grown == pytest.approx(4.0 / 0.08, rel=0.05)
    assert cubic.at(2_500_000) > 0.92 * before > reno.at(2_500_000)


def test_the_ladder_goes_from_closed_to_closed() -> None:
    found = ladder.lines(TRANSCRIPT)
    assert [line.state for line in found if line.state] == [
        "LISTEN", "SYN_RECEIVED", "ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "CLOSED",
    ]  # fmt: skip
    assert [(line.way, line.text) for line in found[1:4]] == [
        ("<", "SYN"), (">", "SYN, ACK 1"), ("<", "ACK 1"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no connection"):
        ladder.lines("nothing of the kind")


def form(transcript: str) -> list[str]:
    """Heads and states of a transcript in their order; how many segments there are may differ."""
    heads = re.findall(r"^(?:A private|curl opens|What curl|The network).*$", transcript, re.M)
    return [*heads, *re.findall(r" ([A-Z][A-Z_12]+)$", transcript, re.M)]


@pytest.mark.live
def test_the_demo_still_prints_what_the_ladder_was_drawn_from(
    kernel_rights: None, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, ["--record", "--folder", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {*NAMES, RECORDED.name}
    now = (tmp_path / RECORDED.name).read_text(encoding="utf-8")
    assert form(now) == form(TRANSCRIPT)
    assert len(form(now)) > 15
    texts, before = ({line.text for line in ladder.lines(text) if line.way}
                     for text in (now, TRANSCRIPT))  # fmt: skip
    assert {"SYN", "SYN, ACK 1"} <= texts & before
