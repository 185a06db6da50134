"""A program: `ssh -L host:port:host:port` by asyncssh, until its stdin ends.

    python ssh_forward.py FOLDER SSHD_HOST SSHD_PORT HOST PORT THERE_HOST THERE_PORT

FOLDER has the keys. asyncssh binds the socket that it listens on by itself.
"""

import asyncio
import getpass
import sys
from pathlib import Path

import asyncssh


async def main(folder: str, ssh_host: str, ssh_port: str, *places: str) -> None:
    host, port, there_host, there_port = places
    keys = Path(folder)
    async with asyncssh.connect(
        ssh_host, int(ssh_port), username=getpass.getuser(), client_keys=[keys / "user"],
        known_hosts=str(keys / "known_hosts"), config=None, agent_path=None,
    ) as connection:  # fmt: skip
        await connection.forward_local_port(host, int(port), there_host, int(there_port))
        print("ready", flush=True)
        await connection.wait_closed()


asyncio.run(main(*sys.argv[1:]))
