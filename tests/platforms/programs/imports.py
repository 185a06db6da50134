"""Imports every module of pystack; prints those that cannot be, and why."""

import pkgutil
from importlib import import_module

import pystack

names = [module.name for module in pkgutil.walk_packages(pystack.__path__, "pystack.")]
assert len(names) > 200, names
for name in names:
    if name == "pystack.__main__":
        continue
    try:
        import_module(name)
    except ImportError as error:
        print(name, error, sep="\t")
