"""Questions of several rules about a server's inner table, and about the packets that reach it."""

from ipaddress import IPv4Network, IPv6Network

from lab.advise.across import inner_networks
from lab.advise.rule import Judgement, safe, unknown
from lab.advise.subject import Subject
from lab.configs.openvpn.client_options import Gap, Network
from lab.configs.openvpn.configuration import Directive

CHECK_DCO = "look for `DCO` in the server's log, or set `disable-dco`"
"""How to find out which data channel a server uses."""


def no_inner_table(subject: Subject) -> Judgement | None:
    """Return a judgement for an end without an inner table of addresses, else None."""
    if subject.end.role != "server":
        return safe("only a process in `mode server` has an inner table")
    if subject.end.device == "tap":
        return safe("a tap server learns MAC addresses instead", *[d.spot for d in subject.end.all("dev")[:1]])
    if subject.end.device is None:
        return unknown("the file does not set the kind of device", do="set `dev tun` or `dev-type tun`")
    return None


def without_inner_routes(subject: Subject, why: str) -> Judgement:
    """Return the judgement where no inner route is known: safe, unless a source of them cannot be read."""
    return unknown_source(subject.client_options.gaps[0]) if subject.client_options.gaps else safe(why)


def unknown_source(gap: Gap) -> Judgement:
    """Return the judgement for options of clients from a source that cannot be read."""
    return unknown(gap.why, gap.spot, do="run `lab advise` where its files are, or look for `iroute` in them")


def tunnel_versions(subject: Subject) -> frozenset[int]:
    """Return the versions of IP of which the tunnel has addresses; both if the files have none."""
    found: set[int] = {interface.version for interface in inner_networks(subject.end)}
    pushed = {"ifconfig-push": 4, "ifconfig-ipv6-push": 6}
    found |= {pushed[d.name] for entry in subject.client_options.entries for d in entry.directives if d.name in pushed}
    return frozenset(found or (4, 6))


def carried_versions(subject: Subject) -> frozenset[int] | None:
    """Return the versions of IP whose routes a routing daemon exchanges through the tunnel; None if unknown."""
    router, runs = subject.router, subject.runs
    if router is None or router.gaps or runs.unclear or runs.possible or not runs.spots:
        return None
    if any(found.protocol == "ospf6" for found in runs.interior):  # version 3 of OSPF can carry either
        return None
    found: set[int] = {4 if family == "ipv4" else 6 for n in runs.neighbors for family in n.families}
    return frozenset(found | {6 if i.protocol == "ripng" else 4 for i in runs.interior})


def is_net30(subject: Subject) -> bool:
    """Return True if the other end's address may not be on the device's link: `topology net30`, set or by default.

    Each client then has a subnet of four addresses, and the server's own address is in none of them.
    """
    servers = [end for end in (subject.end, subject.peer) if end is not None and end.role == "server"]
    if not servers or servers[0].device == "tap" or not servers[0].has("server", "ifconfig"):
        return False
    setting = servers[0].last("topology")
    release = subject.release if servers[0] is subject.end else subject.peer_release
    return setting.argument(0) == "net30" if setting is not None else release != "2.7"


def may_be_in_the_kernel(subject: Subject) -> bool:
    """Return True if DCO supports the server's topology: on 2.6 the default is net30, which it does not support."""
    return subject.end.has("topology") or subject.release != "2.6"


def one_client_only(subject: Subject) -> Directive | None:
    """Return the option by which a server has one client only: `max-clients 1`, or one common name; None without it."""
    end = subject.end
    limit = end.last("max-clients")
    if limit and limit.argument(0) == "1":
        return limit
    name = end.last("verify-x509-name")
    unnamed = end.has("duplicate-cn", "username-as-common-name", "verify-client-cert", "client-cert-not-required")
    return name if name and name.argument(1) in (None, "subject", "name") and not unnamed else None


def may_refuse_clients(subject: Subject) -> Directive | None:
    """Return the option of a program that may refuse clients; None without one."""
    return subject.end.last("tls-verify", "auth-user-pass-verify", "plugin")


def is_within(network: Network, wider: Network) -> bool:
    """Return True if a network is part of another one."""
    if isinstance(network, IPv4Network):
        return isinstance(wider, IPv4Network) and network.subnet_of(wider)
    return isinstance(wider, IPv6Network) and network.subnet_of(wider)
