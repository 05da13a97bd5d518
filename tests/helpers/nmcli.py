"""NetworkManager's connections on the user's machine, by its own command (nmcli(1))."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lab.runtime.node import LabNode
from tests.helpers.static_routes import SERVICE, Vpn, expect_no_device

ROUTES = {
    "ipv4.routes": f"{SERVICE['ipv4']}/32, 192.168.100.0/24 1",
    "ipv6.routes": f"{SERVICE['ipv6']}/128",
}
"""Address and prefix length, no gateway, and where one is given a metric."""
ONLY_ITS_NETWORK = {"ipv4.never-default": "yes", "ipv6.never-default": "yes"}
"""The dialogue says: use this connection only for resources on its network."""
OWN_ROUTES = {"ipv4.ignore-auto-routes": "yes", "ipv6.ignore-auto-routes": "yes"}
OWN_DNS = {"ipv4.ignore-auto-dns": "yes", "ipv6.ignore-auto-dns": "yes"}


def nmcli(node: LabNode, *argv: str) -> str:
    """Ask NetworkManager for something; raises where it refuses."""
    return node.exec("nmcli", *argv).raise_on_error().stdout


@contextmanager
def connection(
    vpn: Vpn, kind: str, data: Mapping[str, str], settings: Mapping[str, str], secrets: Mapping[str, str] | None = None
) -> Iterator[str]:
    """A VPN connection for a while, not yet up; yields its name."""
    name = "office"
    told = [word for key, value in settings.items() for word in (key, value)]
    for key, pairs in (("vpn.data", data), ("vpn.secrets", secrets or {})):
        if pairs:
            told += [key, ", ".join(f"{option}={value}" for option, value in pairs.items())]
    nmcli(vpn.user, "con", "add", "type", "vpn", "con-name", name, "vpn-type", kind, *told)
    try:
        yield name
    finally:
        nmcli(vpn.user, "con", "delete", name)
        expect_no_device(vpn)


def up(vpn: Vpn, name: str) -> None:
    """Connect. NetworkManager manages no wire here, so it is told which device to take for the one below."""
    nmcli(vpn.user, "con", "up", name, "ifname", "lo")
