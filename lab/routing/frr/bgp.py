"""bgpd: RFC 4271 with the families of RFC 4760."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

from lab.engine.node import RunningNode
from lab.routing.frr.speaker import by_family
from lab.routing.frr.vty import Vty
from lab.routing.model import BfdState, Neighbor, Path, Rib, SessionState
from lab.routing.peers import RouterPlan
from lab.topology import Address, Family, Prefix

_FAMILIES: Mapping[Family, str] = {"ipv4": "ipv4 unicast", "ipv6": "ipv6 unicast"}
_AFI_SAFI: Mapping[str, Family] = {"ipv4Unicast": "ipv4", "ipv6Unicast": "ipv6"}

_BFD = {"Admin Down": BfdState.ADMIN_DOWN, "Init": BfdState.INIT, "Up": BfdState.UP}


class Bgp:
    """See `Speaker`."""

    daemons: tuple[str, ...] = ("bgpd",)
    # After `vtysh -b`, which marks the beginning and the end of a configuration, bgpd delays its sessions by four
    # seconds.
    reads_file = True
    shown: Mapping[str, tuple[str, str]] = {
        "bgp-summary.txt": ("bgpd", "show bgp summary"),
        "bgp-neighbors.json": ("bgpd", "show bgp neighbors json"),
        "rib-ipv4.json": ("bgpd", "show bgp ipv4 unicast json"),
        "rib-ipv6.json": ("bgpd", "show bgp ipv6 unicast json"),
        "bgpd-running-config.txt": ("bgpd", "show running-config"),
    }

    def loaded_line(self, plan: RouterPlan) -> tuple[str, str]:
        """See `Speaker`."""
        return "bgpd", f"router bgp {plan.asn}"

    def neighbors(self, node: RunningNode) -> Sequence[Neighbor]:
        """Read `show bgp neighbors json`."""
        with Vty(node.root, "bgpd") as bgpd:
            answer = bgpd.ask_json("show bgp neighbors json")
        return _neighbors(answer)

    def neighbors_of_all_vrfs(self, node: RunningNode) -> Sequence[Neighbor]:
        """Read `show bgp vrf all neighbors json`."""
        with Vty(node.root, "bgpd") as bgpd:
            answer = bgpd.ask_json("show bgp vrf all neighbors json")
        return [
            replace(neighbor, vrf=None if name == "default" else name)
            for name, facts in answer.items()
            if isinstance(facts, dict)
            for neighbor in _neighbors(facts)
        ]

    def rib(self, node: RunningNode, family: Family, vrf: str | None = None) -> Rib:
        """Read `show bgp ipv4 unicast json` or its IPv6 counterpart, of the default VRF or another one."""
        with Vty(node.root, "bgpd") as bgpd:
            answer = bgpd.ask_json(f"show bgp {f'vrf {vrf} ' if vrf else ''}{_FAMILIES[family]} json")
        return {
            (prefix := ip_network(text)): tuple(_path(prefix, facts) for facts in paths)
            for text, paths in answer.get("routes", {}).items()
        }

    def originate(self, node: RunningNode, plan: RouterPlan, prefixes: Sequence[Prefix], *, no: bool) -> None:
        """Configure `network PREFIX`."""
        command = "no network" if no else "network"
        with Vty(node.root, "bgpd") as bgpd:
            for family, members in by_family(prefixes).items():
                inside = [f"router bgp {plan.asn}", f"address-family {_FAMILIES[family]}"]
                lines = [f"{command} {prefix}" for prefix in members]
                bgpd.configure(lines, inside=inside, event_times=node.event_times)


def _neighbors(answer: Mapping[str, Any]) -> list[Neighbor]:
    return [_neighbor(name, facts) for name, facts in answer.items() if isinstance(facts, dict)]


def _neighbor(name: str, facts: Mapping[str, Any]) -> Neighbor:
    received = {
        family: int(facts["addressFamilyInfo"][name].get("acceptedPrefixCounter", 0))
        for name, family in _AFI_SAFI.items()
        if name in facts.get("addressFamilyInfo", {}) and _negotiated(name, facts)
    }
    # bgpd has two more states between Established and Idle.
    state = SessionState.IDLE if facts["bgpState"] in ("Clearing", "Deleted") else SessionState(facts["bgpState"])
    address, interface = _address_and_interface(name, facts)
    return Neighbor(
        address=address,
        asn=int(facts["remoteAs"]),
        state=state,
        uptime=facts.get("bgpTimerUpMsec", 0) / 1000 if state.up else 0.0,
        times_established=int(facts.get("connectionsEstablished", 0)),
        prefixes_received=received,
        last_reset=_reset(facts),
        interface=interface,
        bfd=_BFD.get(str(facts["peerBfdInfo"].get("status")), BfdState.DOWN) if "peerBfdInfo" in facts else None,
    )


def _reset(facts: Mapping[str, Any]) -> str:
    """Return why the session ended last, with the reason of the NOTIFICATION if there was one."""
    reset = str(facts.get("lastResetDueTo", ""))
    notified = facts.get("lastNotificationReason", "") if "Notification" in reset else ""
    return f"{reset}: {notified}" if notified else reset


def _address_and_interface(name: str, facts: Mapping[str, Any]) -> tuple[Address | None, str]:
    """Return a neighbour's address and interface; an unnumbered neighbour is named after its interface."""
    try:
        return ip_address(name), ""
    except ValueError:
        known = facts.get("bgpNeighborAddr", "none")
        return (None if known == "none" else ip_address(known)), name


def _negotiated(name: str, facts: Mapping[str, Any]) -> bool:
    capabilities = facts.get("neighborCapabilities", {}).get("multiprotocolExtensions", {})
    return bool(capabilities.get(name, {}).get("advertisedAndReceived", False))


def _path(prefix: Prefix, facts: Mapping[str, Any]) -> Path:
    peer = facts.get("peerId", "(unspec)")
    return Path(
        prefix=prefix,
        next_hops=tuple(ip_address(hop["ip"]) for hop in facts.get("nexthops", ()) if "ip" in hop),
        as_path=tuple(int(asn) for asn in facts.get("path", "").split() if asn.isdigit()),
        peer=None if peer == "(unspec)" else ip_address(peer),
        best=bool(facts.get("bestpath", False)),
        valid=bool(facts.get("valid", False)),
        med=facts.get("metric"),
        local_pref=facts.get("locPrf"),
    )
