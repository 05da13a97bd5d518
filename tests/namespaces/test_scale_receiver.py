"""The discarding receiver: when the first prefix arrives."""

import socket
import threading
import time
from collections.abc import Callable
from ipaddress import ip_address

from scapy.contrib.bgp import BGPNLRI_IPv4, BGPUpdate

from lab.measure.scale.receiver import Receiver
from lab.measure.scale.updates import KEEPALIVE, UPDATE, message
from tests.helpers.sandbox import Sandbox

END_OF_RIB = message(UPDATE, bytes(4))
"""End-of-RIB (RFC 4724, section 2): an UPDATE without prefixes."""
ROUTE = message(UPDATE, bytes(BGPUpdate(nlri=[BGPNLRI_IPv4(prefix="10.1.0.0/17")])))


def test_table_begins_with_the_first_prefix(sandbox: Callable[[], Sandbox]) -> None:
    ours, theirs = socket.socketpair()
    node = sandbox()
    node.ip(("link", "set", {"index": 1, "state": "up"}))
    with Receiver(node.namespace, ip_address("127.0.0.1"), 65003) as receiver, theirs:
        receiver._session = ours
        theirs.sendall(message(KEEPALIVE) + END_OF_RIB)
        caused: list[float] = []

        def announce() -> None:
            caused.append(time.monotonic())
            theirs.sendall(ROUTE)

        later = threading.Timer(0.2, announce)  # by then the receiver has read the messages before
        later.start()
        delivery = receiver.read(announced=1, stalled=30)
        later.join()
    assert 0 < caused[0] <= delivery.first <= delivery.last
    assert delivery.carried.announced == 1
