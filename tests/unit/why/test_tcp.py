"""Segments that a kernel refused, in words."""

from lab.why.tcp import refused_by_md5


def test_refused_segments_are_counted_by_reason() -> None:
    counted = {"TcpExtTCPMD5NotFound": 5, "TcpExtTCPMD5Unexpected": 0, "TcpExtTCPMD5Failure": 2, "TcpExtTCPLoss": 4}
    assert refused_by_md5(counted) == (
        "TcpExtTCPMD5Failure: 2 segments with a wrong password, TcpExtTCPMD5NotFound: 5 segments without a password"
    )


def test_kernel_without_the_counters_refused_nothing() -> None:
    assert refused_by_md5({}) == ""
