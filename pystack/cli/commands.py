"""The commands there are."""

from __future__ import annotations

import click

from pystack import __version__
from pystack.cli.demo import demo
from pystack.cli.doctor import doctor
from pystack.cli.failures import Commands
from pystack.cli.nc import nc
from pystack.cli.run import run
from pystack.cli.serve import serve


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="pystack")
def pystack() -> None:
    """A TCP written in Python, behind a TUN device of this machine.

    \b
    Example:
      pystack demo                 watch a connection, segment by segment; needs no root
      sudo pystack serve           then, elsewhere: curl http://198.18.0.2/
      sudo pystack run -- uvicorn app:app --host 198.18.0.2
      pystack doctor               when something does not work
    """


for command in (serve, run, demo, nc, doctor):
    pystack.add_command(command)
