"""NetworkManager's connections on the user's node, by nmcli(1)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lab.runtime.node import LabNode
from tests.helpers.static_routes import SERVICE, Vpn, expect_no_device

ROUTES = {
    "ipv4.routes": f"{SERVICE['ipv4']}/32, 192.168.100.0/24 1",
    "ipv6.routes": f"{SERVICE['ipv6']}/128",
}
"""Routes by address and prefix length, without a gateway, one with a metric."""
ONLY_ITS_NETWORK = {"ipv4.never-default": "yes", "ipv6.never-default": "yes"}
"""In the dialogue: use this connection only for resources on its network."""
OWN_ROUTES = {"ipv4.ignore-auto-routes": "yes", "ipv6.ignore-auto-routes": "yes"}
OWN_DNS = {"ipv4.ignore-auto-dns": "yes", "ipv6.ignore-auto-dns": "yes"}


def nmcli(node: LabNode, *argv: str) -> str:
    """Run nmcli; raises if it fails."""
    return node.exec("nmcli", *argv).raise_on_error().stdout


@contextmanager
def connection(
    vpn: Vpn, kind: str, data: Mapping[str, str], settings: Mapping[str, str], secrets: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Add a VPN connection in the context, which is not up; yields its name."""
    name = "office"
    words = [word for setting in settings.items() for word in setting]
    for key, pairs in (("vpn.data", data), ("vpn.secrets", secrets or {})):
        if pairs:
            words += [key, ", ".join(f"{option}={value}" for option, value in pairs.items())]
    nmcli(vpn.user, "con", "add", "type", "vpn", "con-name", name, "vpn-type", kind, *words)
    try:
        yield name
    finally:
        nmcli(vpn.user, "con", "delete", name)
        expect_no_device(vpn)


def up(vpn: Vpn, name: str) -> None:
    """Bring a connection up; `ifname` is needed since NetworkManager manages no other device here."""
    nmcli(vpn.user, "con", "up", name, "ifname", "lo")
