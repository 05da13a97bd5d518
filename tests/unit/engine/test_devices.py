"""Devices, queues and tables as read by netlink, compared with sysfs and iproute2."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.engine import devices


def test_devices_are_those_of_sysfs() -> None:
    found = devices.devices()
    for path in Path("/sys/class/net").iterdir():
        if (path / "ifindex").exists():
            device = found[path.name]
            assert device.name == path.name
            assert device.index == int((path / "ifindex").read_text())
            assert device.mtu == int((path / "mtu").read_text())
    assert found["lo"].kind == ""


@pytest.mark.skipif(not shutil.which("ip"), reason="needs iproute2")
def test_kinds_and_queues_are_those_of_iproute2() -> None:
    listed = subprocess.run(["ip", "-details", "-json", "link"], capture_output=True, text=True, check=True).stdout
    found = devices.devices()
    for link in json.loads(listed):
        if link["ifname"] in found:  # it may have gone meanwhile
            assert found[link["ifname"]].kind == link.get("linkinfo", {}).get("info_kind", "")
            if link["qdisc"] == "noqueue":
                assert devices.queue_handles(link["ifindex"]) in ([], [0])


def test_netlink_error_gives_no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_NFNL_SUBSYS_NFTABLES", 200)  # no such subsystem
    assert devices.netdev_tables() == []


@pytest.mark.skipif(not shutil.which("ip"), reason="needs iproute2")
def test_addresses_of_a_device_are_those_of_iproute2() -> None:
    listed = subprocess.run(["ip", "-json", "address"], capture_output=True, text=True, check=True).stdout
    for link in json.loads(listed):
        if link["ifname"] in devices.devices():  # it may have gone meanwhile
            known = {f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if "local" in a}
            assert set(map(str, devices.addresses_of(link["ifname"]))) == known
    assert "127.0.0.1/8" in map(str, devices.addresses_of("lo"))
    assert devices.addresses_of("nosuch0") == ()
