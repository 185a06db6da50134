"""The commands there are."""

from __future__ import annotations

import io
import sys

import click

from pystack import __version__
from pystack.cli.calling.examples import Example
from pystack.cli.calling.failures import Commands
from pystack.cli.demo import demo
from pystack.cli.doctor import doctor
from pystack.cli.nc import nc
from pystack.cli.run import run
from pystack.cli.serve import serve

_EXAMPLES = (
    Example("demo", remark="a connection, segment by segment"),
    Example("serve", root=True, remark="then, elsewhere: curl http://198.18.0.2/"),
    Example("run -- uvicorn app:app --host 198.18.0.2", root=True),
    Example("doctor", remark="when something does not work"),
)


@click.group(
    cls=Commands, examples=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="pystack")
def pystack() -> None:
    """A TCP written in Python, behind a TUN device of this machine."""
    _write_what_the_locale_has()


def _write_what_the_locale_has() -> None:
    """A character that it has not is a question mark, no reason to end."""
    for stream in sys.stdout, sys.stderr:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


for command in (serve, run, demo, nc, doctor):
    pystack.add_command(command)
