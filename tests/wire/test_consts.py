"""Numbers that others have assigned, and names of ours that go by numbers."""

from __future__ import annotations

from pystack.wire import consts


def test_tcp_options_have_their_numbers_of_iana() -> None:
    assert {name: value for name, value in vars(consts).items() if name.startswith("OPT_")} == {
        "OPT_EOL": 0, "OPT_NOP": 1, "OPT_MSS": 2, "OPT_WSCALE": 3, "OPT_SACK_PERMITTED": 4,
        "OPT_SACK": 5, "OPT_TIMESTAMPS": 8, "OPT_FASTOPEN": 34, "OPT_ACCECN0": 172,
        "OPT_ACCECN1": 174, "OPT_EXPERIMENT_1": 253, "OPT_EXPERIMENT_2": 254,
    }  # fmt: skip


def test_protocols_and_flags_have_their_numbers_of_iana() -> None:
    names = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE")
    assert [getattr(consts, name) for name in names] == [1 << bit for bit in range(9)]
    assert {name: value for name, value in vars(consts).items() if name.startswith("IPPROTO")} == {
        "IPPROTO_HOPOPTS": 0, "IPPROTO_ICMP": 1, "IPPROTO_TCP": 6, "IPPROTO_UDP": 17,
        "IPPROTO_ROUTING": 43, "IPPROTO_FRAGMENT": 44, "IPPROTO_ICMPV6": 58, "IPPROTO_DSTOPTS": 60,
    }  # fmt: skip


def test_each_reason_of_a_drop_has_its_own_name() -> None:
    reasons = {
        name.removeprefix("DROP_").lower(): value
        for name, value in vars(consts).items()
        if name.startswith("DROP_") and isinstance(value, int)
    }
    names = enumerate(consts.DROP_NAMES)
    assert reasons == {name: number for number, name in names if number}
    assert consts.DROP_NAMES[0] == ""
