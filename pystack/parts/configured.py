"""The configuration of a stack that is about to be opened, from the settings that a user gives."""

from __future__ import annotations

from collections.abc import Mapping
from errno import ENOENT

from pystack import arguments
from pystack.config import Config
from pystack.errors import SetupError
from pystack.parts import entry_points


def configured(sysctl: Mapping[str, str | int]) -> Config:
    """A configuration with these settings. Raises SetupError for one that does not exist, TypeError
    for what is no dict of them."""
    config = Config()
    for name, value in arguments.mapping("sysctl", sysctl, "{'tcp_sack': 0}").items():
        arguments.text("sysctl", name, "tcp_sack")
        try:
            config.set(name, value)
        except OSError as error:
            hint = "see pystack/config.py for all names and their values"
            raise SetupError(error.errno or ENOENT, str(error.strerror), hint) from None
    try:
        entry_points.find_chosen(config)
    except OSError as error:
        problem, _, hint = str(error.strerror).partition(": ")
        raise SetupError(error.errno or ENOENT, problem, hint) from None
    return config
