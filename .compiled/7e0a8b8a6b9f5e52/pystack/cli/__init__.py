"""The doors: the `pystack` command with `serve`, `nc`, `demo` and `doctor`.

Needs the extra `cli` (click, aiohttp). `main` is the entry point; `commands` says what there is;
each command has a file of its name, the rest is what they rest on.
"""
