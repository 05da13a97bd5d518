"""Faults of the network between two sites that no ICMP message reports."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.runtime.node import LabNode


@dataclass(frozen=True)
class Underlay:
    """The router between the two sites: `hq` is behind its `eth1`, `branch` behind its `eth2`."""

    transit: LabNode

    @contextmanager
    def narrow(self, mtu: int) -> Iterator[None]:
        """Lower the MTU of the link to `branch`, and filter ICMP "fragmentation needed" (RFC 2923, 2.1)."""
        with self._rules("output", "icmp type destination-unreachable icmp code frag-needed drop"):
            self._set_mtu(mtu)
            try:
                yield
            finally:
                self._set_mtu(1500)  # before the filter is removed, so that no ICMP message passes

    @contextmanager
    def without_fragments(self) -> Iterator[None]:
        """Drop fragments, as many firewalls do (RFC 8900, 3.5)."""
        # Before connection tracking, which would reassemble fragments.
        with self._rules("prerouting", "ip frag-off & 0x3fff != 0 drop"):
            yield

    @contextmanager
    def clamping(self) -> Iterator[None]:
        """Lower the MSS of TCP connections to the path MTU, in both directions."""
        with self._rules("forward", "tcp flags syn tcp option maxseg size set rt mtu"):
            yield

    @contextmanager
    def losing(self, real_address: str) -> Iterator[None]:
        """Drop packets from and to a client's address and port at its server, as if a NAT had lost its state."""
        protocol, port = real_address.partition(":")[0][:3], real_address.rpartition(":")[2]
        protocol = protocol if protocol in ("tcp", "udp") else "{ tcp, udp }"
        ways = (f"meta l4proto {protocol} th {end} {port} drop" for end in ("sport", "dport"))
        with self._rules("forward", *ways):
            yield

    @contextmanager
    def _rules(self, hook: str, *rules: str) -> Iterator[None]:
        table = f"inet {hook}"
        priority = -450 if hook == "prerouting" else 0
        chain = f"add chain {table} here {{ type filter hook {hook} priority {priority}; }}"
        self._nft(f"add table {table}", chain, *(f"add rule {table} here {rule}" for rule in rules))
        try:
            yield
        finally:
            self._nft(f"delete table {table}")

    def _nft(self, *commands: str) -> None:
        self.transit.exec("nft", "; ".join(commands)).raise_on_error()

    def _set_mtu(self, mtu: int) -> None:
        self.transit.exec("ip", "link", "set", "eth2", "mtu", str(mtu)).raise_on_error()
