"""Every mode forwards what it declares, and the measurement detects differences."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.compare import passage
from lab.compare.facts import Facts, Mtu, declared_facts, find_disagreements
from lab.compare.labs import CLIENT, SERVER, hub, kernel_pair, pair
from lab.compare.memory import measure_hub
from lab.compare.survey import ALTERNATIVES, declare_kernel_tunnel, find_hub_disagreements
from lab.core.errors import NotSupported
from lab.core.process import this_process
from lab.runtime.lab import Lab
from lab.topology import EncapsulationKind, Topology
from lab.tunnel import modes

pytestmark = pytest.mark.docker

OPENVPN = "2.7"
# The daemon does not matter here, and BIRD starts faster than FRR on an emulated processor; `lab modes` itself uses
# FRR, see test_program.
DAEMON = "bird"


@contextmanager
def running(topology: Topology) -> Iterator[Lab]:
    try:
        lab = Lab.deploy(topology, owner=this_process())
    except NotSupported as error:
        pytest.skip(str(error))
    try:
        yield lab
    finally:
        lab.destroy()


def name() -> str:
    return f"compare-{os.getpid()}"


DCO = pytest.param("dco", marks=pytest.mark.needs_kernel("ovpn"))


@pytest.mark.parametrize("mode", [*sorted(modes().keys() - {"iroute", "dco"}), DCO])
def test_mode_forwards_what_it_declares(mode: str) -> None:
    with running(pair(mode, openvpn=OPENVPN, transport="udp", name=name(), daemon=DAEMON)) as lab:
        assert find_disagreements(declared_facts(modes()[mode]), passage.facts(lab)) == ()


def test_measurement_detects_undeclared_limits() -> None:
    said = declared_facts(modes()["iroute"])
    with running(pair("iroute", openvpn=OPENVPN, transport="udp", name=name(), daemon=DAEMON)) as lab:
        with lab.tunnel(SERVER, CLIENT).configured(iroute=["ipv4"], tun_mtu=1400):
            lab.wait_ready()
            seen = passage.facts(lab)
        assert seen == Facts(needs_iroute=True, families=("ipv4",), multicast=("ipv4",), mtu=Mtu(1400, 1400))
        assert len(find_disagreements(said, seen)) == 3
        lab.wait_ready()
        assert find_disagreements(said, passage.facts(lab)) == ()


@pytest.mark.parametrize(
    "kind",
    [kind if kind == "vxlan" else pytest.param(kind, marks=pytest.mark.needs_kernel(kind)) for kind in ALTERNATIVES],
)
def test_kernel_tunnel_forwards_what_is_declared(kind: EncapsulationKind) -> None:
    with running(kernel_pair(kind, openvpn=OPENVPN, name=name(), daemon=DAEMON)) as lab:
        assert find_disagreements(declare_kernel_tunnel(kind).facts, passage.facts(lab)) == ()


# tests/kernel/test_dco_hub.py tests at length that a DCO hub routes for all its clients.
@pytest.mark.parametrize(
    "mode", ["iroute", "shared-iroute", "tap", pytest.param(*DCO.values, marks=[*DCO.marks, pytest.mark.thorough])]
)
def test_hub_routes_for_the_declared_number_of_clients(mode: str) -> None:
    with running(hub(mode, 3, openvpn=OPENVPN, name=name())) as lab:
        seen = measure_hub(lab)
        assert find_hub_disagreements(modes()[mode], seen) == ()
        own_pages = seen.memory // seen.processes
        assert own_pages > 1 << 20, "an OpenVPN process with TLS needs more than a MiB"
