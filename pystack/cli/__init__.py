"""What does the `pystack` command do?

`main` is the entry point, `commands` the list of the commands. Each command has a file of its name
(`serve`, `run`, `nc`, `demo`, `doctor`). `calling` has what all of them begin and end with,
`terminal` the standard streams, `report` what is told of connections, `services` what is served;
`private_network` and `child` are the other side of `demo`. Needs the extra `cli` (click, aiohttp).
"""
