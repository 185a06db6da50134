"""The name of a flow: both addresses and both ports, our side first."""

from __future__ import annotations

import pytest

from pystack.wire import flow_key
from tests.wire import crafted

OURS, PEER = 0x1234, 0xFEDC


@pytest.mark.parametrize(
    ("local", "remote", "text"),
    [
        (crafted.OURS4, crafted.PEER4, f"{crafted.OURS4}:4660 -> {crafted.PEER4}:65244"),
        (crafted.OURS6, crafted.PEER6, f"[{crafted.OURS6}]:4660 -> [{crafted.PEER6}]:65244"),
    ],
)
def test_each_part_of_a_name_is_read_as_it_was_written(local: str, remote: str, text: str) -> None:
    here, there = crafted.mapped(local), crafted.mapped(remote)
    key = flow_key.flow_key(here, there, OURS, PEER)
    assert key == crafted.key(local, remote, OURS, PEER)
    assert len(key) == flow_key.KEY_SIZE
    assert (flow_key.local_address(key), flow_key.remote_address(key)) == (here, there)
    assert (flow_key.local_port(key), flow_key.remote_port(key)) == (OURS, PEER)
    assert flow_key.local_end(key) == (here, OURS)
    assert flow_key.remote_end(key) == (there, PEER)
    assert flow_key.ends(key, "->") == text
