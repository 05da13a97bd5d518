"""The commands of FRR and Quagga that are known, by section; other modules read their meaning."""

from lab.configs.frr.statements import Statement

_KNOWN_TOP = {
    "frr", "hostname", "log", "service", "password", "enable", "line", "debug", "end", "agentx", "ip", "ipv6",
    "interface", "vrf", "router", "route-map", "bfd", "access-list", "banner", "domainname", "zebra", "username", "key",
    "exec-timeout", "access-class", "exit", "exit-vrf", "exit-address-family", "router-id",
    "allow-external-route-update", "match", "set", "description", "call", "on-match", "continue", "login",
}  # fmt: skip
_KNOWN: dict[str, set[str]] = {
    "router bgp": {
        "neighbor", "bgp", "network", "redistribute", "timers", "address-family", "aggregate-address", "maximum-paths",
        "distance", "coalesce-time", "update-delay", "table-map", "synchronization", "auto-summary", "read-quanta",
        "write-quanta", "dampening", "segment-routing", "srv6", "mpls", "sid", "label", "rd", "rt", "route-target",
        "import", "export", "nexthop", "vni", "exit-vni", "bmp", "exit-bmp", "vnc", "advertise",
        "advertise-all-vni",
    },
    "router ospf": {
        "network", "redistribute", "passive-interface", "ospf", "router-id", "area", "default-information",
        "log-adjacency-changes", "timers", "auto-cost", "distance", "distribute-list", "max-metric", "neighbor",
        "default-metric", "maximum-paths", "capability", "compatible", "graceful-restart", "refresh",
        "summary-address", "aggregation", "proactive-arp",
        "opaque-lsa", "write-multiplier", "pce", "mpls-te", "mpls", "router-info", "segment-routing", "fast-reroute",
        "flood-reduction", "socket",
    },
    "router ospf6": {
        "interface", "redistribute", "area", "router-id", "ospf6", "log-adjacency-changes", "timers", "auto-cost",
        "distance", "maximum-paths", "default-information", "graceful-restart", "stub-router",
        "summary-address", "write-multiplier",
    },
    "router rip": {
        "network", "redistribute", "passive-interface", "neighbor", "version", "timers", "default-information",
        "default-metric", "distance", "distribute-list", "offset-list", "route", "route-map", "allow-ecmp", "bfd",
    },
    "router ripng": {
        "network", "redistribute", "passive-interface", "timers", "default-information", "default-metric", "route",
        "route-map", "distribute-list", "offset-list", "aggregate-address", "allow-ecmp",
    },
    "interface": {
        "ip", "ipv6", "description", "shutdown", "bandwidth", "link-detect", "multicast", "link-params", "mpls", "bfd",
        "no",
    },
    "bfd": {"peer", "profile"},
    "vrf": {"ip", "ipv6", "vni", "router-id"},
}  # fmt: skip


def is_known(s: Statement) -> bool:
    """Return True for a statement that the readers know, or know to have no facts."""
    section, words = s.section.split(), s.plain
    if not words:
        return True
    kind = " ".join(section[:2]) if section[:1] == ["router"] else section[0] if section else ""
    if str(s) == s.section or " ".join(s.words) == s.section:
        return kind in _KNOWN or kind in ("route-map", "key", "")
    if kind in ("", "route-map", "key"):
        return words[0] in _KNOWN_TOP or kind == "key"
    return words[0] in _KNOWN.get(kind, ()) or words[0] in ("exit", "exit-address-family", "exit-vrf", "end")
