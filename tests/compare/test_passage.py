"""Every mode is what it declares, as its packets show, and the measurement sees it where one is not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.compare import passage
from lab.compare.facts import Facts, Mtu, declared, disagreements
from lab.compare.labs import CLIENT, SERVER, beside, hub, pair
from lab.compare.memory import measure_hub
from lab.compare.survey import ALTERNATIVES, declared_of, hub_disagreements
from lab.core.errors import NotSupported
from lab.core.process import this_process
from lab.runtime.lab import Lab
from lab.topology import EncapsulationKind, Topology
from lab.tunnel import modes

pytestmark = pytest.mark.docker

OPENVPN = "2.7"
# What passes is no matter of the daemon, and BIRD starts in a fraction of what FRR takes of an emulated processor;
# `lab modes` itself compares with FRR, see test_program.
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
def test_what_passes_is_what_the_mode_declares(mode: str) -> None:
    with running(pair(mode, openvpn=OPENVPN, transport="udp", name=name(), daemon=DAEMON)) as lab:
        assert disagreements(declared(modes()[mode]), passage.facts(lab)) == ()


def test_what_does_not_pass_is_seen_and_with_its_options_the_mode_is_what_it_declares() -> None:
    said = declared(modes()["iroute"])
    with running(pair("iroute", openvpn=OPENVPN, transport="udp", name=name(), daemon=DAEMON)) as lab:
        with lab.tunnel(SERVER, CLIENT).configured(iroute=["ipv4"], tun_mtu=1400):
            lab.wait_ready()
            seen = passage.facts(lab)
        assert seen == Facts(needs_iroute=True, families=("ipv4",), multicast=("ipv4",), mtu=Mtu(1400, 1400))
        assert len(disagreements(said, seen)) == 3
        lab.wait_ready()
        assert disagreements(said, passage.facts(lab)) == ()


@pytest.mark.parametrize(
    "kind",
    [kind if kind == "vxlan" else pytest.param(kind, marks=pytest.mark.needs_kernel(kind)) for kind in ALTERNATIVES],
)
def test_a_kernel_tunnel_is_what_is_said_of_it(kind: EncapsulationKind) -> None:
    with running(beside(kind, openvpn=OPENVPN, name=name(), daemon=DAEMON)) as lab:
        assert disagreements(declared_of(kind).facts, passage.facts(lab)) == ()


# That the kernel's hub routes for all its clients tests/kernel/test_dco_hub.py shows at length.
@pytest.mark.parametrize(
    "mode", ["iroute", "shared-iroute", "tap", pytest.param(*DCO.values, marks=[*DCO.marks, pytest.mark.thorough])]
)
def test_a_hub_routes_for_as_many_clients_as_its_mode_declares(mode: str) -> None:
    with running(hub(mode, 3, openvpn=OPENVPN, name=name())) as lab:
        seen = measure_hub(lab)
        assert hub_disagreements(modes()[mode], seen) == ()
        own_pages = seen.memory // seen.processes
        assert own_pages > 1 << 20, "an OpenVPN process with TLS in less than a MiB is none"
