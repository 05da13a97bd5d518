"""The reason of a BGP session that is down, from the kernel's counters."""

from collections.abc import Mapping

import pytest

from lab.status.overview import refused_by_md5

WRONG, NONE = "TcpExtTCPMD5Failure", "TcpExtTCPMD5NotFound"


@pytest.mark.parametrize(
    ("counted", "reason"),
    [
        ({WRONG: 0, NONE: 0, "TcpExtTCPMD5Unexpected": 0, "TcpExtSyncookiesSent": 7}, ""),
        ({}, ""),
        ({WRONG: 3}, "the node refused TCP segments by TCP MD5 since its start: 3 with a wrong password"),
        (
            {NONE: 2, WRONG: 3},
            "the node refused TCP segments by TCP MD5 since its start: 3 with a wrong password, 2 without a password",
        ),
    ],
)
def test_refused_segments_are_counted(counted: Mapping[str, int], reason: str) -> None:
    assert refused_by_md5(counted) == reason
