"""The cache of path MTUs (RFC 1191, RFC 8201)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystack.config import Config
from pystack.ip.path_mtu import MAX_ENTRIES, PathMtu
from pystack.wire.address import pack
from tests.stack.ip_family import NOW_US, SECOND_US

PEER4, PEER6 = pack("198.18.0.1"), pack("fd00::1")
both_versions = pytest.mark.parametrize("peer", [PEER4, PEER6], ids=("IPv4", "IPv6"))


def cache(device_mtu: int = 1500, **settings: int) -> PathMtu:
    return PathMtu(Config(**settings), device_mtu)


@pytest.mark.requirement("RFC1191-S3-1")
@both_versions
def test_a_message_lowers_the_mtu_and_never_raises_it(peer: bytes) -> None:
    paths = cache()
    assert paths.mtu(peer) == 1500
    assert paths.learn(peer, 1400, NOW_US)
    assert paths.mtu(peer) == 1400
    assert not paths.learn(peer, 1450, NOW_US)
    assert not paths.learn(peer, 1400, NOW_US)
    assert paths.mtu(peer) == 1400
    assert paths.learn(peer, 1300, NOW_US)
    assert paths.mtu(peer) == 1300


@both_versions
@pytest.mark.parametrize("mtu", [1500, 1501, 65535, 0xFFFF_FFFF])
def test_what_does_not_narrow_the_device_is_not_remembered(peer: bytes, mtu: int) -> None:
    paths = cache()
    assert not paths.learn(peer, mtu, NOW_US)
    assert len(paths) == 0
    assert paths.next_deadline() == 0


@both_versions
def test_other_destinations_are_not_concerned(peer: bytes) -> None:
    paths = cache()
    paths.learn(peer, 1300, NOW_US)
    assert paths.mtu(pack("198.18.0.9")) == 1500
    assert paths.mtu(pack("fd00::9")) == 1500


@pytest.mark.requirement("RFC8201-S4-1")
@pytest.mark.parametrize("mtu", [0, 1, 68, 1279])
def test_an_ipv6_mtu_below_1280_is_ignored(mtu: int) -> None:
    paths = cache()
    assert not paths.learn(PEER6, mtu, NOW_US)
    assert paths.mtu(PEER6) == 1500
    assert paths.learn(PEER6, 1280, NOW_US)


@pytest.mark.requirement("RFC1191-S3-1")
@pytest.mark.parametrize("mtu", [1, 67, 68, 296, 551])
def test_an_ipv4_mtu_below_min_pmtu_stays_there_and_lets_routers_fragment(mtu: int) -> None:
    paths = cache()
    assert paths.learn(PEER4, mtu, NOW_US)
    assert paths.mtu(PEER4) == 552
    assert paths.is_locked(PEER4)
    assert not paths.learn(PEER4, mtu, NOW_US)


def test_a_lock_stays_when_the_same_mtu_is_reported_again() -> None:
    paths = cache()
    paths.learn(PEER4, 300, NOW_US)
    assert not paths.learn(PEER4, 552, NOW_US + 1)
    assert paths.is_locked(PEER4)


def test_a_device_below_min_pmtu_keeps_its_mtu_and_is_locked() -> None:
    paths = cache(device_mtu=500)
    assert paths.learn(PEER4, 300, NOW_US)  # packets go without DF from now on
    assert paths.mtu(PEER4) == 500
    assert paths.is_locked(PEER4)


def test_at_min_pmtu_and_above_nothing_is_locked() -> None:
    paths = cache()
    assert paths.learn(PEER4, 552, NOW_US)
    assert paths.mtu(PEER4) == 552
    assert not paths.is_locked(PEER4)
    assert not paths.is_locked(PEER6)


@pytest.mark.requirement("RFC1191-S3-2")
@pytest.mark.parametrize(
    ("quoted", "mtu"),
    [(1500, 1006), (1492, 1006), (1400, 1006), (1006, 552), (576, 552), (0, 1006)],
)
def test_without_a_next_hop_mtu_the_next_lower_likely_one_is_taken(quoted: int, mtu: int) -> None:
    paths = cache()
    assert paths.learn(PEER4, 0, NOW_US, quoted)
    assert paths.mtu(PEER4) == mtu
    assert paths.is_locked(PEER4) == (quoted <= 1006 and quoted > 0)


@pytest.mark.requirement("RFC1191-S3-2")
def test_repeated_messages_without_an_mtu_step_down_to_the_least_one() -> None:
    paths = cache(device_mtu=9000)
    seen = []
    while paths.learn(PEER4, 0, NOW_US, paths.mtu(PEER4)):
        seen.append(paths.mtu(PEER4))
    assert seen == [8166, 4352, 2002, 1492, 1006, 552]


@pytest.mark.requirement("RFC1191-S3-3", "RFC8201-S4-3")
@both_versions
def test_a_larger_mtu_is_tried_again_ten_minutes_after_the_last_message(peer: bytes) -> None:
    paths = cache()
    paths.learn(peer, 1300, NOW_US)
    paths.learn(peer, 1300, NOW_US + 100 * SECOND_US)
    due_us = NOW_US + 700 * SECOND_US
    assert paths.next_deadline() == due_us
    assert paths.on_time(due_us - 1) == []
    assert paths.mtu(peer) == 1300
    assert paths.on_time(due_us) == [peer]
    assert paths.mtu(peer) == 1500
    assert paths.next_deadline() == 0


def test_a_message_after_the_expiry_is_judged_by_the_devices_mtu() -> None:
    paths = cache()
    paths.learn(PEER4, 1300, NOW_US)
    assert paths.learn(PEER4, 1400, NOW_US + 600 * SECOND_US)
    assert paths.mtu(PEER4) == 1400


def test_the_oldest_entry_expires_first_and_makes_room_first() -> None:
    paths = cache()
    peers = [PEER4[:12] + i.to_bytes(4, "big") for i in range(MAX_ENTRIES + 1)]
    for i, peer in enumerate(peers[:-1]):
        paths.learn(peer, 1400, NOW_US + i)
    paths.learn(peers[0], 1300, NOW_US + SECOND_US)
    paths.learn(peers[-1], 1400, NOW_US + SECOND_US)
    assert len(paths) == MAX_ENTRIES
    assert paths.mtu(peers[0]) == 1300
    assert paths.mtu(peers[1]) == 1500
    assert paths.next_deadline() == NOW_US + 2 + 600 * SECOND_US
    assert paths.on_time(NOW_US + 3 + 600 * SECOND_US) == peers[2:4]


@both_versions
def test_the_devices_mtu_bounds_what_was_learnt(peer: bytes) -> None:
    paths = cache(device_mtu=9000)
    paths.learn(peer, 1400, NOW_US)
    paths.device_mtu = 1300
    assert paths.mtu(peer) == 1300
    paths.device_mtu = 9000
    assert paths.mtu(peer) == 1400


@given(
    st.sampled_from((PEER4, PEER6)),
    st.lists(
        st.tuples(st.integers(0, 1 << 32), st.integers(0, 65535), st.integers(0, 10**9)),
        max_size=30,
    ),
)
def test_until_an_entry_expires_its_mtu_only_falls_and_keeps_the_least(
    peer: bytes, messages: list[tuple[int, int, int]]
) -> None:
    paths = cache()
    now_us = NOW_US
    for mtu, quoted, later_us in messages:
        now_us += later_us
        paths.on_time(now_us)
        before = paths.mtu(peer)
        lowered = paths.learn(peer, mtu, now_us, quoted)
        after = paths.mtu(peer)
        assert after <= before
        assert lowered == (after < before)
        assert after >= (552 if peer == PEER4 else 1280)
