"""The kernel's counters of packets without a route, in /proc/net/netstat and /proc/net/snmp6."""

import os
from pathlib import Path

import pytest

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


def test_counter_is_read_from_its_own_group() -> None:
    assert counters._of_columns(NETSTAT, "IpExt", "InNoRoutes") == 17
    assert counters._of_lines(SNMP6, "Ip6InNoRoutes") == 4


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_this_kernel_has_the_counter(family: Family) -> None:
    if family == "ipv6" and not Path("/proc/self/net/snmp6").exists():
        pytest.skip("this kernel lacks ipv6")
    assert counters.without_route(Namespace(os.getpid()), family) >= 0
