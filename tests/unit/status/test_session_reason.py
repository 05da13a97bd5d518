"""The reason of a BGP session that is down, from the kernel's counters."""

import pytest

from lab.status.overview import refused_by_md5

NETSTAT = """\
TcpExt: SyncookiesSent TCPMD5NotFound TCPMD5Unexpected TCPMD5Failure
TcpExt: 0 {} 0 {}
IpExt: InNoRoutes
IpExt: 0
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (NETSTAT.format(0, 0), ""),
        ("", ""),
        (NETSTAT.format(0, 3), "the node refused TCP segments by TCP MD5 since its start: 3 with wrong password"),
        (
            NETSTAT.format(2, 3),
            "the node refused TCP segments by TCP MD5 since its start: 3 with wrong password, 2 with no password",
        ),
    ],
)
def test_refused_segments_are_counted(text: str, reason: str) -> None:
    assert refused_by_md5(text) == reason
