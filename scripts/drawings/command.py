"""The command line of `scripts/pictures`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from pystack.cli.calling.failures import Failure
from scripts.drawings import ladder, window
from scripts.drawings.theme import THEMES
from scripts.programs.tables import write

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
RECORDED = FOLDER / "demo.txt"


def recorded() -> str:
    """What `pystack demo` prints now. Raises Failure with its message when it fails."""
    command = [sys.executable, "-m", "pystack.cli.main", "demo"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Failure(done.stderr.strip(), "pictures")
    return done.stdout


def drawn(transcript: str) -> dict[str, str]:
    """Name and text of each picture, the ladder being that of a demo's transcript."""
    flows, lines = window.recorded(), ladder.lines(transcript)
    pictures = {}
    for theme in THEMES:
        pictures[f"cwnd-{theme.name}.svg"] = window.picture(flows, theme)
        pictures[f"demo-{theme.name}.svg"] = ladder.picture(lines, theme)
    return pictures


@click.command(epilog="Example: scripts/pictures --record")
@click.option("--record", is_flag=True, help="Run `pystack demo` anew, with the kernel's TCP.")
@click.option("--folder", default=FOLDER, type=click.Path(file_okay=False, path_type=Path),
              help="Where they go; by default docs/pictures.")  # fmt: skip
def main(record: bool, folder: Path) -> None:
    """Draw how the congestion window goes through a loss, in a simulated network, and the segments
    of `pystack demo`; each for light and for dark backgrounds.

    The demo is the one in docs/pictures/demo.txt, which --record replaces by a new one. So the same
    command draws the same files, until the code changes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if record:
        write(folder / RECORDED.name, recorded())
    transcript = (folder if record else FOLDER) / RECORDED.name
    for name, text in drawn(transcript.read_text(encoding="utf-8")).items():
        write(folder / name, text)
        click.echo(folder / name)
