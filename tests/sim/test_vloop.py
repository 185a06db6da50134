"""asyncio in virtual time: ordinary programs, and what they may not do."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from pystack import sim


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while text := await reader.read(65536):
        writer.write(text)
        await writer.drain()
    writer.close()


def two_hosts(world: sim.World) -> tuple[sim.SimHost, sim.SimHost]:
    client, server = world.host("client"), world.host("server")
    world.link(client, server, rate="100mbit", delay="20ms")
    return client, server


def test_an_echo_server_and_its_client() -> None:
    async def main() -> float:
        world = sim.World(seed=1)
        client, server = two_hosts(world)
        await server.start_server(echo, port=7)
        reader, writer = await client.open_connection("server", 7)
        for _ in range(10):
            writer.write(b"x" * 100_000)
            await writer.drain()
            assert await reader.readexactly(100_000) == b"x" * 100_000
        writer.close()
        await writer.wait_closed()
        return world.now_s

    first = sim.run(main())
    assert 0.5 < first < 2
    assert sim.run(main()) == first


def test_time_jumps_and_is_exact() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        times = []
        for pause in (0.1, 3600.0, 0.000001, 86400.0 * 30, 0.3, 0.0):
            await asyncio.sleep(pause)
            times.append(loop.time() - began)
            began = loop.time()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(10), 2.5)
        times.append(loop.time() - began)
        return times

    began = time.monotonic()
    assert sim.run(main()) == pytest.approx([0.1, 3600, 1e-6, 86400 * 30, 0.3, 0, 2.5], abs=1e-9)
    assert time.monotonic() - began < 5


def test_a_world_may_be_made_before() -> None:
    world = sim.World(seed=1)
    client, server = two_hosts(world)
    world.run(for_s=2)

    async def main() -> tuple[float, bytes]:
        await server.start_server(echo, port=7)
        reader, writer = await client.open_connection("server", 7, family=socket.AF_INET6)
        writer.write(b"hello")
        answer = await reader.readexactly(5)
        with pytest.raises(RuntimeError, match=r"asyncio\.sleep"):
            world.run(for_s=1)
        return world.now_s, answer

    now, answer = sim.run(main(), world=world)
    assert answer == b"hello"
    assert now == pytest.approx(2.08, abs=1e-3)
    world.run(for_s=1)  # and used afterwards
    assert world.now_s == pytest.approx(now + 1)


def test_a_host_of_another_world_is_refused() -> None:
    client, _ = two_hosts(sim.World())

    async def main() -> None:
        await client.open_connection("server", 7)

    with pytest.raises(RuntimeError, match="give it to run as well"):
        sim.run(main())
    with pytest.raises(RuntimeError, match="give it to run as well"):
        asyncio.run(main())


def test_a_deadlock_names_the_tasks_and_where_they_wait() -> None:
    async def asks(client: sim.SimHost) -> None:
        reader, _ = await client.open_connection("server", 7)
        await reader.readexactly(1)

    async def main() -> None:
        client, server = two_hosts(sim.World(seed=1))
        kept: list[asyncio.StreamWriter] = []  # from Python 3.13 on one that nobody holds is closed
        await server.start_server(lambda reader, writer: kept.append(writer), port=7)
        asking = asyncio.create_task(asks(client), name="who asks")
        await asking

    with pytest.raises(sim.DeadlockError) as caught:
        sim.run(main())
    text = str(caught.value)
    assert "who asks: test_a_deadlock_names" in text
    assert "StreamReader._wait_for_data" in text
    assert f"{__file__}, line " in text


def test_the_end_of_the_main_task_is_the_end_of_the_others() -> None:
    ended: list[str] = []

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def main() -> str:
        task = asyncio.create_task(never())
        await asyncio.sleep(1)
        return "done" if not task.done() else "what?"

    assert sim.run(main()) == "done"
    assert ended == ["cancelled"]


def test_a_loop_that_never_pauses_is_found() -> None:
    turns = 0

    async def main() -> None:
        nonlocal turns
        await asyncio.sleep(1)
        while True:
            turns += 1
            await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="100000 turns of the loop without a pause"):
        sim.run(main())
    assert turns == 99_999


def test_descriptors_threads_and_processes_are_refused() -> None:
    async def main() -> None:
        for call in (
            lambda: asyncio.open_connection("127.0.0.1", 7),
            lambda: asyncio.start_server(echo, "127.0.0.1", 7),
            lambda: asyncio.create_subprocess_exec("true"),
        ):
            with pytest.raises(RuntimeError, match="no descriptors, threads or processes"):
                await call()  # type: ignore[no-untyped-call]
        loop = asyncio.get_running_loop()
        said: list[str] = []

        def in_thread() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except RuntimeError as error:
                said.append(str(error))

        thread = threading.Thread(target=in_thread)
        thread.start()
        thread.join()
        assert said == ["virtual time has one thread: no other may call into it"]

    sim.run(main())


def test_what_goes_to_a_thread_is_done_at_once_and_takes_no_time() -> None:
    async def main() -> None:
        before = asyncio.get_running_loop().time()
        assert await asyncio.to_thread(sum, [1, 2]) == 3
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        assert asyncio.get_running_loop().time() == before

    sim.run(main())


def test_asyncios_own_calls_find_the_hosts_of_a_world_by_name_and_address() -> None:
    async def main() -> float:
        client, server = two_hosts(sim.World(seed=1))
        async with await asyncio.start_server(echo, server.address, 7) as listening:
            assert listening.sockets[0].getsockname() == (server.address, 7)
            reader, writer = await asyncio.open_connection(server.name, 7)
            assert writer.get_extra_info("sockname")[0] == client.address
            writer.write(b"text")
            writer.write_eof()
            assert await reader.read() == b"text"
            writer.close()
        return asyncio.get_running_loop().time()

    assert sim.run(main()) == sim.run(main())


def test_a_host_that_is_here_is_where_connections_begin_and_wildcards_listen() -> None:
    async def main() -> None:
        client, server = two_hosts(sim.World(seed=1))
        with server.as_default():
            listening = await asyncio.start_server(echo, None, 7)
            _, writer = await asyncio.open_connection(server.address, 7)
            assert writer.get_extra_info("sockname")[0] == server.address
            writer.close()
        assert {one.getsockname()[0] for one in listening.sockets} == {"0.0.0.0", "::"}
        with client.as_default():
            _, writer = await asyncio.create_task(asyncio.open_connection(server.address, 7))
            assert writer.get_extra_info("sockname")[0] == client.address
            writer.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(client.address, 7)
        listening.close()

    sim.run(main())


def test_a_year_is_as_exact_as_a_second() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(365 * 86400)
        before = loop.time()
        times = []
        for _ in range(100):
            await asyncio.sleep(0.000_001)
            times.append(round((loop.time() - before) * 1e6))
        return times

    assert sim.run(main()) == list(range(1, 101))


def test_a_hosts_name_is_found_however_it_is_spelt_and_exactly_before_all() -> None:
    async def main() -> list[str]:
        world = sim.World(seed=1)
        one, other, third = (world.host(name) for name in ("client", "Client", "Büro a"))
        places = {host.addresses[0]: host.name for host in (one, other, third)}
        found = []
        for name in ("client", "Client", "CLIENT.", b"CLIENT", "BÜRO A.", "client.."):
            try:
                infos = await asyncio.get_running_loop().getaddrinfo(name, 7)
                found.append(places[infos[0][4][0]])
            except socket.gaierror:
                found.append("nobody")
        return found

    assert sim.run(main()) == ["client", "Client", "client", "client", "Büro a", "nobody"]


def test_unknown_names_are_not_found() -> None:
    async def main() -> None:
        client, server = two_hosts(sim.World(seed=1))
        with pytest.raises(socket.gaierror, match="nobody"):
            await client.open_connection("nobody", 7)
        with pytest.raises(ConnectionRefusedError):
            await client.open_connection(server.address, 7)
        loop = asyncio.get_running_loop()
        for name in ("nobody", b"nobody", "", None):
            with pytest.raises(socket.gaierror) as caught:
                await loop.getaddrinfo(name, 7)
            assert caught.value.errno == socket.EAI_NONAME

    sim.run(main())


def test_a_name_leads_to_all_addresses_of_its_host_and_to_those_of_a_family() -> None:
    async def main() -> None:
        two_hosts(sim.World(seed=1))
        loop = asyncio.get_running_loop()
        stream = socket.SOCK_STREAM, socket.IPPROTO_TCP, ""
        v4 = (socket.AF_INET, *stream, ("10.0.0.2", 7))
        v6 = (socket.AF_INET6, *stream, ("fd00::2", 7, 0, 0))
        assert await loop.getaddrinfo("server", 7) == [v4, v6]
        assert await loop.getaddrinfo(b"server", "7", family=socket.AF_INET) == [v4]
        assert await loop.getaddrinfo("server", 7, family=socket.AF_INET6) == [v6]
        assert [place[4][1] for place in await loop.getaddrinfo("server", None)] == [0, 0]

    sim.run(main())


def test_leaving_a_host_closes_what_is_open() -> None:
    async def main() -> bytes:
        client, server = two_hosts(sim.World(seed=1))
        got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.set_result(await reader.read())

        async with client:
            await server.start_server(takes, port=7)
            _, writer = await client.open_connection("server", 7)
            writer.write(b"the last words")
        with pytest.raises(RuntimeError, match="closed"):
            await client.open_connection("server", 7)
        with pytest.raises(TimeoutError):
            await server.open_connection(client.address, 7)
        return await got

    assert sim.run(main()) == b"the last words"


def test_a_loop_runs_up_to_its_end_and_on_from_there() -> None:
    loop = sim.VirtualLoop()
    loop.end_us = loop.now_us() + 2_500_000
    task = loop.create_task(asyncio.sleep(10), name="sleeper")
    with pytest.raises(sim.OutOfTimeError, match="sleeper"):
        loop.run_until_complete(task)
    assert loop.now_us() == loop.end_us
    loop.end_us += 10_000_000
    loop.run_until_complete(task)
    assert loop.now_us() == loop.end_us - 2_500_000
    loop.close()


def test_what_goes_on_for_ever_without_a_task_comes_to_its_end_too() -> None:
    world = sim.World(seed=1)

    def again() -> None:
        world.after(1, again)

    again()
    loop = sim.VirtualLoop(world.events)
    loop.end_us = loop.now_us() + 10_500_000
    with pytest.raises(sim.OutOfTimeError):
        loop.run_until_complete(loop.create_future())
    assert world.now_s == 10.5
    loop.close()


def test_a_plain_socket_turns_into_one_of_the_host_from_which_its_address_is_reached() -> None:
    async def main() -> None:
        client, server = two_hosts(sim.World(seed=1))
        loop = asyncio.get_running_loop()
        async with await asyncio.start_server(echo, server.address, 7):
            with socket.socket() as sock:  # as aiohttp's client does
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setblocking(False)
                await loop.sock_connect(sock, (server.address, 7))
                assert sock.getsockname()[0] == client.address
                assert sock.getpeername() == (server.address, 7)
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
                await loop.sock_sendall(sock, b"text")
                sock.shutdown(socket.SHUT_WR)
                assert await loop.sock_recv(sock, 10) == b"text"
            assert sock.fileno() == -1
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                sock.setblocking(False)
                with pytest.raises(NotImplementedError):
                    await loop.sock_connect(sock, (server.address, 7))

    sim.run(main())
