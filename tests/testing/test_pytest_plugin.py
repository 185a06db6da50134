"""The pytest plugin: tests of tests."""

from __future__ import annotations

import re
import subprocess

import dpkt

from tests.surroundings import PATIENCE
from tests.testing.inner_pytest import Inner

pytest_plugins = ["pytester"]



# -- what a test gets ----------------------------------------------------------------------------
def test_two_hosts_and_a_link_in_virtual_time(inner: Inner) -> None:
    inner.passes(
        """
@pytest.mark.network(rtt="40ms")
async def test_it(network):
    begin = network.now_s
    wall = time.monotonic()
    reader, writer = await connected(network)
    assert network.now_s - begin == 0.04
    assert writer.get_extra_info("peername") == (network.server.address, 7)
    assert network.client.name == "client"
    await asyncio.sleep(1000)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    assert network.now_s == 1000.08
    assert time.monotonic() - wall < 10
    await closed(writer)
""",
        1,
    )


def test_the_words_of_the_mark_make_the_network(inner: Inner) -> None:
    inner.passes(
        """
@pytest.mark.network(loss=0.2, duplicate=0.2, corrupt=0.1, reorder=0.2, rtt="10ms")
async def test_bad(network):
    reader, writer = await connected(network)
    text = bytes(range(256)) * 200
    writer.write(text)
    assert await reader.readexactly(len(text)) == text
    counts = network.link.counts()
    for name in "lost", "duplicated", "corrupted":
        assert counts["out"][name] > 0 < counts["in"][name]
    assert counts["out"]["sent"] > 40
    await closed(writer)

@pytest.mark.network("out: rate 8mbit limit 10", rtt="2ms", mtu=1000, ipv6=False)
async def test_slow(network):
    reader, writer = await connected(network)
    writer.write(bytes(1_000_000))
    await reader.readexactly(1_000_000)
    assert 1 < network.now_s < 1.5
    assert network.link.counts()["out"]["dropped"] > 0
    assert writer.get_extra_info("tcp_info").tcpi_snd_mss <= 960
    await closed(writer)

@pytest.mark.network(sysctl={"tcp_sack": 0}, cc="reno", ipv6=True)
async def test_hosts(network):
    for host in network.client, network.server:
        assert host.sysctl("tcp_sack") == "0"
        assert host.sysctl("tcp_congestion_control") == "reno"
        assert ":" in host.address
    _, writer = await connected(network)
    await closed(writer)

async def test_without_a_word(network):
    _, writer = await connected(network)
    assert network.now_s == 0.001
    await closed(writer)
""",
        4,
    )


def test_the_closest_mark_says_what_holds(inner: Inner) -> None:
    inner.passes(
        """
pytestmark = pytest.mark.network(rtt="100ms", seed=5)

async def rtt(network):
    _, writer = await connected(network)
    await closed(writer)
    return writer.get_extra_info("tcp_info").tcpi_rtt / 1000

async def test_of_the_module(network):
    _, writer = await connected(network)
    assert network.now_s == 0.1
    await closed(writer)

@pytest.mark.network(rtt="50ms")
class TestClass:
    async def test_of_the_class(self, network):
        _, writer = await connected(network)
        assert (network.now_s, network.seed) == (0.05, 5)
        await closed(writer)

    @pytest.mark.network(delay="10ms")
    async def test_of_the_function(self, network):
        _, writer = await connected(network)
        assert network.now_s == 0.02
        await closed(writer)

@pytest.mark.network(rtt="50ms")
@pytest.mark.parametrize("expected", [
    pytest.param(0.004, marks=pytest.mark.network(rtt="4ms")),
    pytest.param(0.008, marks=pytest.mark.network(rtt="8ms")),
    0.05,
])
async def test_of_the_parameters(network, expected):
    _, writer = await connected(network)
    assert network.now_s == expected
    await closed(writer)
""",
        6,
    )


def test_code_that_knows_nothing_of_it_finds_the_hosts_by_name(inner: Inner) -> None:
    inner.passes(
        """
@pytest.mark.network(rtt="40ms")
async def test_streams():
    loop = asyncio.get_running_loop()
    begin = loop.time()
    server = await asyncio.start_server(echo, "server", 80)
    anywhere = await asyncio.start_server(echo, port=81)
    for port in 80, 81:
        reader, writer = await asyncio.open_connection("server", port)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        await closed(writer)
    assert loop.time() - begin == pytest.approx(4 * 0.04)

@pytest.mark.network(rtt="40ms", time="real")
async def test_streams_in_real_time():
    await asyncio.start_server(echo, "server", 80)
    begin = time.monotonic()
    reader, writer = await asyncio.open_connection("server", 80)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    assert 0.08 <= time.monotonic() - begin < 10
    await closed(writer)

class Shout(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data.upper(), address)

class Hear(asyncio.DatagramProtocol):
    def __init__(self):
        self.heard = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, address):
        self.heard.set_result(data)

@pytest.mark.parametrize("reality", [
    pytest.param(False, marks=pytest.mark.network(time="virtual")),
    pytest.param(True, marks=pytest.mark.network(time="real")),
])
@pytest.mark.network(rtt="40ms")
async def test_datagrams(network, reality):
    loop = asyncio.get_running_loop()
    server, _ = await loop.create_datagram_endpoint(Shout, local_addr=("server", 53))
    client, protocol = await loop.create_datagram_endpoint(Hear, remote_addr=("server", 53))
    begin = loop.time()
    client.sendto(b"hello")
    assert await protocol.heard == b"HELLO"
    took = loop.time() - begin
    assert took == pytest.approx(0.04) or (reality and took > 0.04)
    server.close()
    client.close()

@pytest.mark.network(rtt="40ms")
async def test_the_other_way(network):
    await asyncio.start_server(echo, "client", 80)
    with network.server.as_default():
        reader, writer = await asyncio.open_connection("client", 80)
    assert writer.get_extra_info("sockname")[0] == network.server.address
    await closed(writer)
""",
        5,
    )


def test_libraries_run_as_they_are(inner: Inner) -> None:
    inner.passes_apart(
        """
import socket
import aiohttp, httpx
from aiohttp import web

@pytest.fixture
async def site():
    async def hello(request):
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "server", 80).start()
    yield "http://server/"
    await runner.cleanup()

@pytest.mark.network(rtt="1s")
async def test_httpx(network, site):
    wall = time.monotonic()
    async with httpx.AsyncClient() as client:
        for seconds in 2, 1, 1:  # the first one connects
            begin = network.now_s
            response = await client.get(site)
            assert response.text == "hello"
            assert network.now_s - begin == pytest.approx(seconds, abs=0.01)
    assert time.monotonic() - wall < 10

@pytest.mark.network(rtt="1s", timeout="20s")
async def test_httpx_gives_up(network, site):
    network.link.down()
    async with httpx.AsyncClient(timeout=5) as client:
        with pytest.raises(httpx.ConnectTimeout):
            await client.get(site)
    assert network.now_s == pytest.approx(5)

@pytest.mark.parametrize("own", [
    pytest.param("virtual", marks=pytest.mark.network(time="virtual")),
    pytest.param("real", marks=pytest.mark.network(time="real")),
])
@pytest.mark.network(rtt="20ms", loss=0.02)
async def test_aiohttp_makes_its_own_sockets(network, site, own):
    made = socket.socket
    async with aiohttp.ClientSession() as session:
        async with session.get(site) as response:
            assert await response.text() == "hello"
    assert network.link.counts()["out"]["sent"] > 3

async def test_sockets_of_the_kernel_work_beside_it(network):
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            client.sendall(b"hello")
            accepted, _ = server.accept()
            with accepted:
                assert accepted.recv(100) == b"hello"

def test_sockets_are_the_kernels_again():
    assert socket.socket.__module__ == "socket"
""",
        6,
    )


def test_an_application_behind_a_server_and_tls(inner: Inner) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=server",
         "-addext", "subjectAltName=DNS:server"],
        cwd=inner.pytester.path, check=True, capture_output=True, timeout=PATIENCE,
    )  # fmt: skip
    inner.passes_apart(
        """
import ssl
import httpx, uvicorn

async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

@pytest.mark.network(rtt="1s")
async def test_it(network):
    config = uvicorn.Config(application, "server", 443, lifespan="off", log_level="warning",
                            ssl_certfile="cert.pem", ssl_keyfile="key.pem")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    context = ssl.create_default_context(cafile="cert.pem")
    async with httpx.AsyncClient(verify=context) as client:
        begin = network.now_s
        assert (await client.get("https://server/")).text == "hello"
        # one round trip for TCP, one for TLS 1.3, one to ask
        assert network.now_s - begin == pytest.approx(3, abs=0.1)
    server.should_exit = True
    await serving
""",
        1,
    )


def test_fixtures_may_be_coroutines_and_asynchronous_generators(inner: Inner) -> None:
    result = inner.passes(
        """
@pytest.fixture
async def address(network):
    await asyncio.sleep(1)
    return network.server.address

@pytest.fixture
async def connection(network, address):
    await network.server.start_server(echo, port=7)
    reader, writer = await network.client.open_connection(address, 7)
    yield reader, writer
    await closed(writer)
    print("closed after", network.now_s)

@pytest.fixture(autouse=True)
async def loop():
    yield asyncio.get_running_loop()

async def test_it(connection, loop):
    assert loop is asyncio.get_running_loop()
    reader, writer = connection
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"

class TestMethods:
    @pytest.fixture
    async def own(self):
        self.seen = True
        return 7

    async def test_it(self, own, network):
        assert own == 7 and self.seen

def test_that_is_no_coroutine(connection, network):
    async def talk():
        connection[1].write(b"hello")
        return await connection[0].readexactly(5)

    assert network.run(talk()) == b"hello"
""",
        3,
        "-s",
    )
    assert len(re.findall("closed after 1.00", result.stdout.str())) == 2


def test_an_asynchronous_fixture_that_fails_is_an_error_at_its_line(inner: Inner) -> None:
    result = inner.run(
        """
@pytest.fixture
async def broken(network):
    await asyncio.sleep(1)
    assert network is None

@pytest.fixture
async def twice(network):
    yield 1
    yield 2

@pytest.fixture
async def stuck(network):
    yield
    await asyncio.Event().wait()

async def test_broken(broken): pass
async def test_twice(twice): pass
async def test_stuck(stuck): pass
"""
    )
    result.assert_outcomes(passed=2, errors=3)
    result.stdout.fnmatch_lines(
        [
            ">       assert network is None",
            "*ValueError: fixture twice has more than one yield",
            ">       await asyncio.Event().wait()",
            "E*Failed: everything waits, and nothing is left to happen:",
        ]
    )


def test_a_world_of_ones_own(inner: Inner) -> None:
    inner.passes(
        """
@pytest.mark.network(seed=9)
async def test_it(world):
    assert world.seed == 9 and not world.hosts
    hosts = [world.host(name) for name in ("one", "two", "three")]
    router = world.router("router")
    for host in hosts:
        world.link(host, router, delay="5ms")
    await asyncio.start_server(echo, "three", 7)
    for host in hosts[:2]:
        _, writer = await host.open_connection("three", 7)
        await closed(writer)
    assert world.now_s == pytest.approx(0.04)

async def test_both(network, world):
    assert network.world is world
    assert [host.name for host in world.hosts] == ["server", "client"]
""",
        2,
    )


def test_the_link_changes_in_the_midst_of_a_test(inner: Inner) -> None:
    inner.passes(
        """
async def turns(network, reader, writer):
    begin = network.now_s
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    return round(network.now_s - begin, 6)

@pytest.mark.parametrize("reality", [
    pytest.param(False, marks=pytest.mark.network(time="virtual")),
    pytest.param(True, marks=pytest.mark.network(time="real")),
])
@pytest.mark.network(rtt="20ms", loss="0%")
async def test_it(network, reality):
    link = network.link
    reader, writer = await connected(network)
    assert await turns(network, reader, writer) >= 0.02
    link.change(rtt="100ms")
    took = await turns(network, reader, writer)
    assert took == 0.1 or (reality and 0.1 < took)
    assert "lost" in link.counts()["out"]  # the rest of what was said still holds
    link.impair("delay 10ms")
    took = await turns(network, reader, writer)
    assert took == 0.02 or (reality and 0.02 < took)
    link.down("in")
    writer.write(b"hello")
    await asyncio.sleep(0.1)
    assert link.counts()["in"]["cut_off"] > 0 == link.counts()["out"]["cut_off"]
    link.up()
    assert await reader.readexactly(5) == b"hello"
    await closed(writer)
    for mistake in (lambda: link.down("left"), lambda: link.change(seed=1),
                    lambda: link.impair("dely 1ms")):
        with pytest.raises(ValueError):
            mistake()
""",
        2,
    )


def test_captures(inner: Inner) -> None:
    inner.passes(
        """
@pytest.mark.parametrize("reality", [
    pytest.param(False, marks=pytest.mark.network(time="virtual")),
    pytest.param(True, marks=pytest.mark.network(time="real")),
])
async def test_it(network, reality):
    network.pcap(f"own-{reality}.pcapng", network.server)
    _, writer = await connected(network)
    await closed(writer)
""",
        2,
        "--network-pcap=captures",
    )
    folder = inner.pytester.path
    files = [*folder.glob("captures/*.pcapng"), *folder.glob("own-*.pcapng")]
    assert len(files) == 4
    for file in files:
        with file.open("rb") as opened:
            packets = [dpkt.ip.IP(octets) for _, octets in dpkt.pcapng.Reader(opened)]
        assert [packet.tcp.dport for packet in packets if packet.tcp.flags == 2] == [7]
        assert len(packets) >= 5
