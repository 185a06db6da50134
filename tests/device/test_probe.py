"""What `pystack doctor` finds, also where something is missing."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from pystack.device import probe
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
def test_every_failure_says_what_to_do(namespace: Namespace) -> None:
    hide = 'mount -t tmpfs none /dev/net && ip link set lo up && exec "$@"'
    drop = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    checks = found(namespace, "unshare", "--mount", "sh", "-c", hide, "-", *drop)
    failed = {name for name, check in checks.items() if not check.ok}
    assert {"/dev/net/tun", "CAP_NET_ADMIN", "offload"} <= failed
    assert all(check.remedy for check in checks.values() if not check.ok)
    assert "modprobe tun" in checks["/dev/net/tun"].remedy


@pytest.mark.live
def test_an_address_of_another_interface_is_found(namespace: Namespace) -> None:
    namespace.run(["ip", "addr", "add", "10.7.0.1/24", "dev", "lo"])
    check = asyncio.run(probe.check_addresses([("10.7.0.2/24", None)], namespace.path))
    assert not check.ok
    assert check.detail == "10.7.0.1 is in use on lo"
    namespace.run(["ip", "addr", "flush", "dev", "lo"])
    assert asyncio.run(probe.check_addresses([("10.7.0.2/24", None)], namespace.path)).ok
