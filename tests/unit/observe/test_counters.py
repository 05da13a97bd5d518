"""The kernel's counters in /proc/net, by the names that nstat(8) has for them."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.engine import Namespace
from lab.observe import counters
from lab.topology import Family

NETSTAT = """\
TcpExt: SyncookiesSent InNoRoutes
TcpExt: 5 6
IpExt: InNoRoutes InTruncatedPkts InMcastPkts
IpExt: 17 0 3
"""
SNMP6 = """\
Ip6InReceives                   	90
Ip6InNoRoutes                   	4
Ip6OutNoRoutes                  	8
"""


def test_counter_carries_the_name_of_its_group() -> None:
    found = dict(counters.of_columns(NETSTAT))
    assert (found["IpExtInNoRoutes"], found["TcpExtInNoRoutes"]) == (17, 6)
    assert dict(counters.of_lines(SNMP6))["Ip6InNoRoutes"] == 4


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_this_kernel_has_the_counter(family: Family) -> None:
    if family == "ipv6" and not Path("/proc/self/net/snmp6").exists():
        pytest.skip("this kernel lacks ipv6")
    assert counters.without_route(Namespace(os.getpid()), family) >= 0


def test_counters_of_this_kernel_are_those_that_are_asked_for() -> None:
    found = counters.counters(Namespace(os.getpid()))
    assert {counters.DROPPED_BY_RP_FILTER, counters.DROPPED_BY_TTL, *counters.REFUSED_BY_MD5} <= set(found)
    assert {"IpForwarding", "TcpCurrEstab", "UdpInDatagrams"} <= set(found)


def test_kernel_without_the_counter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    none: Mapping[str, int] = {}
    monkeypatch.setattr(counters, "counters", lambda _: none)
    with pytest.raises(EnvironmentBroken, match="no counter IpExtInNoRoutes"):
        counters.without_route(Namespace(os.getpid()), "ipv4")


def test_namespace_that_has_ended_has_no_counters() -> None:
    assert counters.counters(Namespace(2**22 + 1)) == {}  # beyond the kernel's largest process number
