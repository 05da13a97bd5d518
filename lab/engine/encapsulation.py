"""Links made of kernel tunnels: a device at each end that sends to the other end's address (ip-link(8)).

The outer TTL is fixed if the kind allows it: inherited from an inner eBGP packet it would be 1, and the first router
would drop the outer packet. Outer packets have DF set if the kind supports it, for path MTU discovery.
"""

import os
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pyroute2 import IPRoute, WireGuard
from pyroute2.netlink.exceptions import NetlinkError

from lab.topology import Address, Encapsulation, Link

_VXLAN_PORT = 4789
_WIREGUARD_PORTS = range(51820, 61820)
_TTL = 64
_NO_LIMIT = 0x1
"""IP6_TNL_F_IGN_ENCAP_LIMIT: omit the tunnel encapsulation limit option (RFC 2473), which takes 8 bytes."""
_ALL_PREFIXES = ["0.0.0.0/0", "::/0"]


def end_creators(link: Link, encapsulation: Encapsulation, mtu: int) -> Sequence[Callable[[], None]]:
    """Return functions that create the two ends of a kernel tunnel, each to be called in its node's namespace.

    They are in the order of the link's endpoints, and raise `OSError` if the kernel refuses. The outer addresses need
    not exist yet.
    """
    local, remote = encapsulation.outer
    number = zlib.crc32(" ".join(f"{e.node}:{e.interface}" for e in link.endpoints).encode())
    if encapsulation.kind == "wireguard":
        return _wireguard_creators(link, (local, remote), mtu, _WIREGUARD_PORTS[number % len(_WIREGUARD_PORTS)])
    return [
        _creator({"ifname": end.interface, "mtu": mtu, **_device(encapsulation, here, there, number)}, end.mac)
        for end, here, there in zip(link.endpoints, (local, remote), (remote, local), strict=True)
    ]


def _device(encapsulation: Encapsulation, local: Address, remote: Address, number: int) -> Mapping[str, Any]:
    """Return pyroute2's options for a device of a kind."""
    ends = {"local": str(local), "remote": str(remote), "ttl": _TTL}
    match encapsulation.kind, local.version:
        case "vxlan", version:
            suffix = "6" if version == 6 else ""
            return {
                "kind": "vxlan",
                "vxlan_id": 1 + number % (1 << 23),
                "vxlan_port": _VXLAN_PORT,
                f"vxlan_local{suffix}": str(local),
                f"vxlan_group{suffix}": str(remote),
            }
        case "gre", 6:
            return _named("ip6gre", {**ends, "flags": _NO_LIMIT})
        case "ipip", 6:
            return _named("ip6tnl", {**ends, "flags": _NO_LIMIT})
        case kind, _:
            return _named(kind, {**ends, "pmtudisc": 1})


def _named(kind: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"kind": kind, **{f"{kind}_{key}": value for key, value in options.items()}}


def _creator(request: Mapping[str, Any], mac: str | None = None) -> Callable[[], None]:
    def work() -> None:
        with _kernel_errors(), IPRoute() as ip:
            ip.link("add", **request, **({"address": mac} if mac else {}))

    return work


def _wireguard_creators(
    link: Link, outer: tuple[Address, Address], mtu: int, port: int
) -> Sequence[Callable[[], None]]:
    """Return functions that create two devices with new keys, which allow all traffic from each other (wg(8))."""
    keys = [X25519PrivateKey.generate() for _ in outer]

    def work(here: int) -> None:
        there = 1 - here
        interface = link.endpoints[here].interface
        _creator({"ifname": interface, "kind": "wireguard", "mtu": mtu})()
        peer = {
            "public_key": b64encode(keys[there].public_key().public_bytes_raw()).decode(),
            "endpoint_addr": str(outer[there]),
            "endpoint_port": port,
            "allowed_ips": _ALL_PREFIXES,
        }
        with _kernel_errors(), WireGuard() as wireguard:
            private = b64encode(keys[here].private_bytes_raw()).decode()
            wireguard.set(interface, private_key=private, listen_port=port, peer=peer)

    return [lambda: work(0), lambda: work(1)]


@contextmanager
def _kernel_errors() -> Iterator[None]:
    """Raise the kernel's errors as `OSError`."""
    try:
        yield
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error
