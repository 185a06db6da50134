"""What `pystack doctor` finds, also where something is missing."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from pystack.device import probe, rights
from tests.live.namespace import Namespace

DOCTOR = """
import asyncio, dataclasses, json
from pystack.device.probe import run_checks
checks = asyncio.run(run_checks([("198.18.0.2/24", None), ("fd00:198:18::2/64", None)]))
print(json.dumps([dataclasses.asdict(check) for check in checks]))
"""


def found(namespace: Namespace, *wrapper: str) -> dict[str, probe.Check]:
    result = namespace.run([*wrapper, sys.executable, "-c", DOCTOR])
    assert namespace.links() == {"lo"}
    return {entry["name"]: probe.Check(**entry) for entry in json.loads(result.stdout)}


def test_a_missing_package_is_named_with_its_remedy() -> None:
    check = probe.check_package("no_such_package_anywhere")
    assert not check.ok
    assert check.remedy == "pip install no_such_package_anywhere"
    assert all(probe.check_package(name).ok for name in probe.PACKAGES)


def test_an_address_that_is_none_is_a_finding() -> None:
    check = asyncio.run(probe.check_addresses([("198.18.0.2/32", None)]))
    assert not check.ok
    assert "leaves no address" in check.detail


def test_a_namespace_that_is_absent_is_a_finding() -> None:
    check = asyncio.run(probe.check_addresses([("198.18.0.2/24", None)], "no-such-namespace"))
    assert not check.ok
    assert "ip netns add" in check.remedy


@pytest.mark.live
def test_with_rights_all_that_is_required_is_there(namespace: Namespace) -> None:
    checks = found(namespace)
    assert [check for check in checks.values() if check.required and not check.ok] == []
    assert checks["offload"].ok
    assert checks["CAP_NET_ADMIN"].ok


@pytest.mark.live
def test_every_failure_says_what_to_do(namespace: Namespace, own_mounts: None) -> None:
    hide = 'mount -t tmpfs none /dev/net && ip link set lo up && exec "$@"'
    drop = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    checks = found(namespace, "unshare", "--mount", "sh", "-c", hide, "-", *drop)
    failed = {name for name, check in checks.items() if not check.ok}
    assert {"/dev/net/tun", "CAP_NET_ADMIN", "offload"} <= failed
    assert all(check.remedy for check in checks.values() if not check.ok)
    assert "modprobe tun" in checks["/dev/net/tun"].remedy
    assert "demo" not in checks["CAP_NET_ADMIN"].remedy  # which needs the node as well


# root in name only, as which nothing but a user namespace helps
NO_RIGHTS = ("setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all", "--")


def hidden(*mounts: str) -> tuple[str, ...]:
    """A wrapper that mounts before it runs its command."""
    return ("unshare", "--mount", "sh", "-c", " && ".join([*mounts, 'exec "$@"']), "-")


@pytest.mark.live
def test_without_proc_nothing_else_is_blamed(namespace: Namespace) -> None:
    checks = found(namespace, *hidden("mount -t tmpfs none /proc"))
    assert checks["CAP_NET_ADMIN"].ok
    assert checks["offload"].ok
    for name in ("user namespaces", "IPv6"):
        assert not checks[name].ok
        assert "/proc is not mounted" in checks[name].detail
        assert "mount -t proc proc /proc" in checks[name].remedy
    assert not any("sysctl" in check.remedy for check in checks.values())


@pytest.mark.live
def test_without_proc_and_rights_proc_is_what_is_missing(namespace: Namespace) -> None:
    checks = found(namespace, *hidden("mount -t tmpfs none /proc"), *NO_RIGHTS)
    assert not checks["CAP_NET_ADMIN"].ok
    assert "/proc is not mounted" in checks["user namespaces"].detail
    assert "could not be tried" in checks["offload"].detail
    assert not any("sysctl" in check.remedy for check in checks.values())


@pytest.mark.live
def test_where_the_sysctls_are_hidden_ipv6_is_not_said_to_be_off(namespace: Namespace) -> None:
    check = found(namespace, *hidden("mount -t tmpfs none /proc/sys"))["IPv6"]
    assert check.detail == "whether new devices have it cannot be told: /proc/sys is hidden"
    assert "sysctl" not in check.remedy


@pytest.mark.live
def test_a_switch_that_forbids_user_namespaces_is_named(namespace: Namespace) -> None:
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    inside = ("unshare", "--user", "--map-root-user", "sh", "-c", script, "-")
    check = found(namespace, *inside, *NO_RIGHTS)["user namespaces"]
    assert "user.max_user_namespaces is 0" in check.detail
    assert "sysctl user.max_user_namespaces=10000" in check.remedy


@pytest.mark.live
def test_a_switched_off_ipv6_is_told_by_its_switch(namespace: Namespace) -> None:
    off = "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6"
    read_only = "mount -o bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys"
    check = found(namespace, *hidden(off, read_only))["IPv6"]
    assert check.detail == "switched off for new devices"
    assert "sysctl net.ipv6.conf.default.disable_ipv6=0" in check.remedy


def test_capabilities_are_told_as_proc_has_them() -> None:
    status = Path("/proc/self/status").read_text()
    (effective,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    bits = int(effective, 16)
    assert [rights.capable(number) for number in range(41)] == [
        bool(bits >> number & 1) for number in range(41)
    ]


@pytest.mark.live
def test_an_address_of_another_interface_is_found(namespace: Namespace) -> None:
    namespace.run(["ip", "addr", "add", "10.7.0.1/24", "dev", "lo"])
    check = asyncio.run(probe.check_addresses([("10.7.0.2/24", None)], namespace.path))
    assert not check.ok
    assert check.detail == "10.7.0.1 is in use on lo"
    namespace.run(["ip", "addr", "flush", "dev", "lo"])
    assert asyncio.run(probe.check_addresses([("10.7.0.2/24", None)], namespace.path)).ok
