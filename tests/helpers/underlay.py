"""What networks between two sites do to packets, and tell nobody."""

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
        """The link to `branch` has a smaller MTU, and its ICMP "fragmentation needed" is filtered (RFC 2923, 2.1)."""
        with self._rules("output", "icmp type destination-unreachable icmp code frag-needed drop"):
            self._set_mtu(mtu)
            try:
                yield
            finally:
                self._set_mtu(1500)  # before the filter goes: nobody shall learn of it

    @contextmanager
    def without_fragments(self) -> Iterator[None]:
        """Fragments are dropped, as by many firewalls (RFC 8900, 3.5)."""
        # Before connection tracking, which would put fragments together.
        with self._rules("prerouting", "ip frag-off & 0x3fff != 0 drop"):
            yield

    @contextmanager
    def clamping(self) -> Iterator[None]:
        """The MSS of TCP connections is lowered to what the path takes, in both directions."""
        with self._rules("forward", "tcp flags syn tcp option maxseg size set rt mtu"):
            yield

    @contextmanager
    def losing(self, real_address: str) -> Iterator[None]:
        """What belongs to a client's address and port, as its server sees them, is lost: a NAT has forgotten it."""
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
