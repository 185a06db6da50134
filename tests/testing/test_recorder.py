"""`Recorder`: what it writes down of a connection, in which form, and for whom."""

from __future__ import annotations

import asyncio
import csv
import io
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pystack import Recorder
from pystack import recorder as recording
from pystack.aio.endpoint.stack import Stack
from pystack.cc.base import INFINITE_SSTHRESH
from pystack.path.faults import Cut, Loss, Reordering
from pystack.path.link import Delay, Link, Stage
from pystack.sockets import Host, Socket
from pystack.sockets.constants import AF_INET, AF_INET6
from tests.aio.two_stacks import RIGHT, two_stacks
from tests.kit.pair import Pair
from tests.kit.tcp import Tcp

MSS = 1460
RTT_US = 20_000


def pair(fault: Stage | None = None, *, loss: float = 0, seed: int = 1) -> Pair:
    """Two hosts 20 ms apart; what the near one sends meets a fault, or gets lost at that rate."""
    hosts = [Host((f"198.18.0.{n}/24", f"fd00::{n}/64"), secret=b"%d" % n * 16) for n in (1, 2)]
    fault = fault or Loss(loss, Random(seed))
    there = Link(Cut(), fault, Delay(RTT_US // 2))
    return Pair(hosts[0], hosts[1], there, Delay(RTT_US // 2))


def opened(way: Pair, client: Socket | None = None, port: int = 80) -> tuple[Socket, Socket]:
    """A connection from near to far: its two sockets."""
    listener = way.far.socket()
    listener.bind(("", port))
    listener.listen()
    client = client or way.near.socket()
    with suppress(BlockingIOError):
        client.connect(("198.18.0.2", port))
    assert way.run(listener.poll, within_s=100)
    server, _ = listener.accept()
    return client, server


def carry(way: Pair, sender: Socket, receiver: Socket, length: int) -> None:
    """So many octets from one to the other, and their ACKs."""
    data = bytes(length)
    done = got = 0

    def over() -> bool:
        nonlocal done, got
        with suppress(BlockingIOError):
            while done < length:
                done += sender.send(data[done:])
        with suppress(BlockingIOError):
            while part := receiver.recv(1 << 20):
                got += len(part)
        return got == length

    assert way.run(over, within_s=1000)
    way.run(lambda: False, within_s=1)


def rows(recorder: Recorder) -> list[dict[str, int]]:
    """All rows by name."""
    return [
        dict(zip(recorder.columns, row, strict=True))
        for row in zip(*recorder.columns.values(), strict=True)
    ]


def events(recorder: Recorder) -> list[str]:
    """The events' names."""
    return [recording.event_names(event) for event in recorder["event"]]


# -- rows ------------------------------------------------------------------------------------------


@pytest.mark.variants("ipv4", "ipv6")
def test_each_row_is_what_was_true_when_its_event_was_over(tcp: Tcp) -> None:
    sock = tcp.established(wscale=7, rtt=0.1)
    with Recorder().attach(sock) as recorder:
        sock.send(tcp.data(3 * MSS))
        tcp.play(
            """
            +0   > . 1:1461(1460) ack 1
            +0   > . 1461:2921(1460) ack 1
            +0   > P. 2921:4381(1460) ack 1
            +0.1 < . 1:1(0) ack 2921
            +0.1 < . 1:1(0) ack 4381
            +1 quiet
            """
        )
    first, *acks = rows(recorder)
    info = sock.tcp_info()
    assert first == {
        "time_us": first["time_us"], "connection": 0, "event": recording.SENT,
        "cwnd": 10 * MSS, "ssthresh": INFINITE_SSTHRESH, "pipe": 3 * MSS, "srtt_us": 100_000,
        "rto_us": 300_000, "pacing_rate": first["pacing_rate"], "delivery_rate": 0,
        "sent": 3 * MSS, "acked": 0, "lost": 0, "retransmitted": 0, "spurious": 0,
    }  # fmt: skip
    assert [row["event"] for row in acks] == [recording.ACKED, recording.ACKED]
    assert [row["time_us"] - first["time_us"] for row in acks] == [100_000, 200_000]
    assert [row["acked"] for row in acks] == [2 * MSS, 3 * MSS]
    assert [row["pipe"] for row in acks] == [MSS, 0]
    assert acks[-1]["srtt_us"] == info.tcpi_rtt
    assert acks[-1]["rto_us"] == info.tcpi_rto
    assert acks[-1]["cwnd"] == info.tcpi_snd_cwnd * MSS


@pytest.mark.variants("ipv4")
def test_a_timeout_and_the_recovery_from_it_are_events(tcp: Tcp) -> None:
    sock = tcp.established(wscale=7, rtt=0.1)
    with Recorder().attach(sock) as recorder:
        sock.send(tcp.data(MSS))
        tcp.play(
            """
            +0   > P. 1:1461(1460) ack 1
            +0.3 > P. 1:1461(1460) ack 1
            +0.1 < . 1:1(0) ack 1461
            +1 quiet
            """
        )
    assert events(recorder) == [
        "sent", "rto+lost+recovery_entered", "retransmitted", "acked+recovery_left"
    ]  # fmt: skip
    assert list(recorder["sent"]) == [MSS, MSS, 2 * MSS, 2 * MSS]
    assert list(recorder["lost"]) == [0, MSS, MSS, MSS]
    assert list(recorder["retransmitted"]) == [0, 0, MSS, MSS]
    assert list(recorder["cwnd"])[1] == MSS


def test_the_totals_agree_with_the_connections_own_over_a_bad_way() -> None:
    way = pair(loss=0.02)
    client, server = opened(way)
    with Recorder().attach(client) as recorder:
        carry(way, client, server, 3_000_000)
    info = client.tcp_info()
    assert recorder["acked"][-1] == info.tcpi_bytes_acked == 3_000_000
    assert recorder["sent"][-1] == info.tcpi_bytes_sent
    assert recorder["retransmitted"][-1] == info.tcpi_bytes_retrans > 0
    assert recorder["lost"][-1] >= recorder["retransmitted"][-1] - recorder["spurious"][-1] > 0
    for name in ("time_us", "sent", "acked", "lost", "retransmitted", "spurious"):
        assert list(recorder[name]) == sorted(recorder[name])
    seen = set("+".join(events(recorder)).split("+"))
    assert {
        "sent", "acked", "lost", "retransmitted", "recovery_entered", "recovery_left"
    } <= seen  # fmt: skip
    assert max(recorder["delivery_rate"]) > 0


def test_a_needless_retransmission_and_what_is_taken_back_for_it_are_events() -> None:
    # later than the reordering that RACK allows for
    way = pair(Reordering(0.005, Random(1), behind=1000, hold_us=12_000))
    client, server = opened(way)
    with Recorder().attach(client) as recorder:
        carry(way, client, server, 3_000_000)
    again, spurious = recorder["retransmitted"][-1], recorder["spurious"][-1]
    assert again == spurious > 0  # nothing was lost
    for wanted in (recording.SPURIOUS, recording.UNDO, recording.UNDO | recording.RECOVERY_LEFT):
        assert any(event & wanted == wanted for event in recorder["event"])


def test_recovery_is_entered_and_left_in_turn() -> None:
    way = pair(loss=0.01, seed=3)
    client, server = opened(way)
    with Recorder().attach(client) as recorder:
        carry(way, client, server, 2_000_000)
    inside = False
    for event in recorder["event"]:
        if event & recording.RECOVERY_LEFT:
            assert inside
            inside = False
        if event & recording.RECOVERY_ENTERED:
            inside = True
    assert not inside


# -- how many --------------------------------------------------------------------------------------


def test_every_thins_out_plain_rows_and_no_others() -> None:
    kept = []
    for every in (1, 10):
        way = pair(loss=0.01)
        client, server = opened(way)
        with Recorder(every=every).attach(client) as recorder:
            carry(way, client, server, 2_000_000)
        kept.append(rows(recorder))
    plain = recording.SENT | recording.ACKED
    special = [[row for row in some if row["event"] & ~plain] for some in kept]
    assert special[0] == special[1] != []
    count = len(kept[0]) - len(special[0])
    assert len(kept[1]) - len(special[1]) == -(-count // 10)


def test_limit_keeps_the_newest_rows() -> None:
    way = pair()
    client, server = opened(way)
    with Recorder(limit=50).attach(client) as recorder:
        for _ in range(20):
            carry(way, client, server, 50_000)
            assert len(recorder) <= 50
    assert len(recorder) >= 25
    assert {len(column) for column in recorder.columns.values()} == {len(recorder)}
    assert recorder["acked"][-1] == 1_000_000
    assert recorder["time_us"][0] > 10_000_000


@pytest.mark.parametrize("options", [{"every": 0}, {"limit": -1}, {"limit": 1}])
def test_bounds_that_make_no_sense_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no recording"):
        Recorder(**options)


# -- whom ------------------------------------------------------------------------------------------


def test_a_socket_may_be_given_before_it_is_connected() -> None:
    way = pair()
    sock = way.near.socket()
    with Recorder().attach(sock) as recorder:
        client, server = opened(way, sock)
        carry(way, client, server, 10_000)
    assert recorder["acked"][-1] == 10_000
    assert recorder.connections == [(client.getsockname(), ("198.18.0.2", 80))]


def test_a_listener_has_all_its_connections_recorded_those_that_wait_already_too() -> None:
    way = pair()
    listener = way.far.socket(AF_INET6)
    listener.bind(("", 80))
    listener.listen()
    clients = []
    recorder = Recorder()
    for family, address in ((AF_INET, "198.18.0.2"), (AF_INET6, "fd00::2"), (AF_INET6, "fd00::2")):
        clients.append(way.near.socket(family))
        with suppress(BlockingIOError):
            clients[-1].connect((address, 80))
        way.run(lambda: False, within_s=1)
        recorder.attach(listener)
    for number in range(3):
        server, _ = listener.accept()
        carry(way, server, clients[number], 1000 * (number + 1))
    recorder.detach()
    acked = [
        max(row["acked"] for row in rows(recorder) if row["connection"] == number)
        for number in range(max(recorder["connection"]) + 1)
        if any(row["connection"] == number for row in rows(recorder))
    ]
    assert acked == [1000, 2000, 3000]
    peers = {theirs[:2] for _, theirs in recorder.connections}
    assert peers == {client.getsockname()[:2] for client in clients}


def test_nothing_is_recorded_after_the_with_statement() -> None:
    way = pair()
    listener = way.far.socket()
    listener.bind(("", 81))
    listener.listen()
    client, server = opened(way)
    with Recorder().attach(client).attach(listener) as recorder:
        carry(way, client, server, 1000)
    count = len(recorder)
    carry(way, client, server, 1000)
    other = way.near.socket()
    with suppress(BlockingIOError):
        other.connect(("198.18.0.2", 81))
    way.run(listener.poll, within_s=1)
    carry(way, listener.accept()[0], other, 1000)
    assert len(recorder) == count > 0


def test_accepted_connections_are_left_too() -> None:
    way = pair()
    client = way.near.socket()
    listener = way.far.socket()
    listener.bind(("", 80))
    listener.listen()
    with Recorder().attach(listener) as recorder:
        with suppress(BlockingIOError):
            client.connect(("198.18.0.2", 80))
        assert way.run(listener.poll, within_s=1)
        server, _ = listener.accept()
        carry(way, server, client, 1000)
    count = len(recorder)
    carry(way, server, client, 1000)
    assert len(recorder) == count > 0


def test_what_is_no_connection_of_ours_is_refused() -> None:
    for other in (None, 7, io.StringIO()):
        with pytest.raises(TypeError, match="no connection of pystack"):
            Recorder().attach(other)
    sock = pair().near.socket()
    sock.close()
    with pytest.raises(OSError, match="closed"):
        Recorder().attach(sock)


@two_stacks()
async def test_a_server_and_a_stream_writer_may_be_given(left: Stack, right: Stack) -> None:
    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        writer.write(await reader.readexactly(5000))
        writer.close()

    server = await right.start_server(serve, RIGHT, 80)
    theirs = Recorder().attach(server)
    reader, writer = await left.open_connection(RIGHT, 80)
    ours = Recorder().attach(writer)
    transport = Recorder().attach(writer.transport)  # the last one has it
    writer.write(bytes(5000))
    await reader.readexactly(5000)
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(1)
    assert len(ours) == 0
    assert transport["acked"][-1] == theirs["acked"][-1] == 5000
    assert theirs.connections[0][0] == (RIGHT, 80)


# -- columns ---------------------------------------------------------------------------------------


def recorded(length: int = 100_000) -> tuple[Recorder, Pair, Socket, Socket]:
    way = pair()
    client, server = opened(way)
    recorder = Recorder().attach(client)
    carry(way, client, server, length)
    return recorder, way, client, server


def test_a_column_is_a_buffer_of_64_bit_integers() -> None:
    recorder, *_ = recorded()
    for column in recorder.columns.values():
        view = memoryview(column)
        assert (view.format, view.itemsize, view.ndim, len(view)) == ("q", 8, 1, len(recorder))


def test_a_view_stays_what_it_was_while_recording_goes_on() -> None:
    recorder, way, client, server = recorded()
    count = len(recorder)
    views = {name: memoryview(recorder[name]) for name in ("cwnd", "acked")}
    before = {name: bytes(view) for name, view in views.items()}
    carry(way, client, server, 100_000)
    assert len(recorder) > count
    assert {name: bytes(view) for name, view in views.items()} == before
    assert recorder["acked"].tobytes().startswith(before["acked"])
    assert {len(column) for column in recorder.columns.values()} == {len(recorder)}


def test_numpy_shares_the_memory() -> None:
    numpy: Any = pytest.importorskip("numpy")
    recorder, *_ = recorded()
    column = recorder["cwnd"]
    for seen in (numpy.asarray(column), numpy.frombuffer(column, dtype=numpy.int64)):
        assert seen.dtype == numpy.int64
        assert (seen.ctypes.data, len(seen)) == column.buffer_info()


def test_polars_shares_the_memory() -> None:
    numpy: Any = pytest.importorskip("numpy")
    polars: Any = pytest.importorskip("polars")
    recorder, *_ = recorded()
    columns = {name: numpy.asarray(column) for name, column in recorder.columns.items()}
    frame = polars.DataFrame(columns)
    assert frame.columns == list(recorder.columns)
    for name, column in recorder.columns.items():
        assert frame[name].dtype == polars.Int64
        seen = frame[name].to_numpy(allow_copy=False)
        assert (seen.ctypes.data, len(seen)) == column.buffer_info()


# -- files -----------------------------------------------------------------------------------------


def test_csv_has_names_above_and_the_events_in_words(tmp_path: Path) -> None:
    recorder, *_ = recorded()
    file = tmp_path / "run.csv"
    recorder.to_csv(file)
    text = io.StringIO()
    recorder.to_csv(text)
    assert file.read_text() == text.getvalue()
    read = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert [row.pop("event") for row in read] == events(recorder)
    wanted = rows(recorder)
    for row in wanted:
        del row["event"]
    assert [{name: int(value) for name, value in row.items()} for row in read] == wanted


def test_parquet_has_the_very_numbers(tmp_path: Path) -> None:
    polars: Any = pytest.importorskip("polars")
    recorder, *_ = recorded()
    file = tmp_path / "run.parquet"
    recorder.to_parquet(file)
    frame = polars.read_parquet(file)
    assert frame.columns == list(recorder.columns)
    assert frame.rows(named=True) == rows(recorder)


def test_without_polars_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="pip install polars"):
        Recorder().to_parquet("never.parquet")
