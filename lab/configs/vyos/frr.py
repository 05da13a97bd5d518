"""Translates `protocols` and `policy` of VyOS and EdgeOS into a frr.conf: BGP, OSPF and static routes."""

from collections.abc import Iterable

from lab.configs.translated import Draft, Note, Translated
from lab.configs.vyos.policy import write_policy
from lab.configs.vyos.tree import Node, Value

PATH = "/etc/frr/frr.conf"
Leaves = Iterable[tuple[tuple[str, ...], str]]
"""Paths below a node each with its line of FRR: `{}` is the value, and a flag has none."""

_NEIGHBOR: Leaves = (
    (("remote-as",), "remote-as {}"),
    (("interface", "remote-as"), "interface remote-as {}"),
    (("interface", "v6only", "remote-as"), "interface v6only remote-as {}"),
    (("interface", "peer-group"), "interface peer-group {}"),
    (("interface", "v6only", "peer-group"), "interface v6only peer-group {}"),
    (("interface", "source-interface"), "interface {}"),
    (("description",), "description {}"),
    (("advertisement-interval",), "advertisement-interval {}"),
    (("bfd", "profile"), "bfd profile {}"),
    (("capability", "dynamic"), "capability dynamic"),
    (("capability", "extended-nexthop"), "capability extended-nexthop"),
    (("disable-capability-negotiation",), "dont-capability-negotiate"),
    (("disable-connected-check",), "disable-connected-check"),
    (("ebgp-multihop",), "ebgp-multihop {}"),
    (("override-capability",), "override-capability"),
    (("passive",), "passive"),
    (("password",), "password {}"),
    (("port",), "port {}"),
    (("shutdown",), "shutdown"),
    (("solo",), "solo"),
    (("strict-capability-match",), "strict-capability-match"),
    (("ttl-security", "hops"), "ttl-security hops {}"),
    (("timers", "connect"), "timers connect {}"),
    (("update-source",), "update-source {}"),
)
_IN_FAMILY: Leaves = (
    (("as-override",), "as-override"),
    (("distribute-list", "export"), "distribute-list {} out"),
    (("distribute-list", "import"), "distribute-list {} in"),
    (("filter-list", "export"), "filter-list {} out"),
    (("filter-list", "import"), "filter-list {} in"),
    (("maximum-prefix",), "maximum-prefix {}"),
    (("maximum-prefix-out",), "maximum-prefix-out {}"),
    (("prefix-list", "export"), "prefix-list {} out"),
    (("prefix-list", "import"), "prefix-list {} in"),
    (("remove-private-as",), "remove-private-AS"),
    (("route-map", "export"), "route-map {} out"),
    (("route-map", "import"), "route-map {} in"),
    (("route-reflector-client",), "route-reflector-client"),
    (("route-server-client",), "route-server-client"),
    (("soft-reconfiguration", "inbound"), "soft-reconfiguration inbound"),
    (("unsuppress-map",), "unsuppress-map {}"),
    (("weight",), "weight {}"),
)
_BGP: Leaves = (
    (("listen", "limit"), "bgp listen limit {}"),
    (("parameters", "always-compare-med"), "bgp always-compare-med"),
    (("parameters", "cluster-id"), "bgp cluster-id {}"),
    (("parameters", "confederation", "identifier"), "bgp confederation identifier {}"),
    (("parameters", "default", "local-pref"), "bgp default local-preference {}"),
    (("parameters", "deterministic-med"), "bgp deterministic-med"),
    (("parameters", "disable-ebgp-connected-route-check"), "bgp disable-ebgp-connected-route-check"),
    (("parameters", "fast-convergence"), "bgp fast-convergence"),
    (("parameters", "graceful-restart", "stalepath-time"), "bgp graceful-restart stalepath-time {}"),
    (("parameters", "graceful-shutdown"), "bgp graceful-shutdown"),
    (("parameters", "log-neighbor-changes"), "bgp log-neighbor-changes"),
    (("parameters", "minimum-holdtime"), "bgp minimum-holdtime {}"),
    (("parameters", "network-import-check"), "bgp network import-check"),
    (("parameters", "no-client-to-client-reflection"), "no bgp client-to-client reflection"),
    (("parameters", "no-fast-external-failover"), "no bgp fast-external-failover"),
    (("parameters", "router-id"), "bgp router-id {}"),
    (("parameters", "suppress-fib-pending"), "bgp suppress-fib-pending"),
)
_OSPF: Leaves = (
    (("auto-cost", "reference-bandwidth"), "auto-cost reference-bandwidth {}"),
    (("default-metric",), "default-metric {}"),
    (("distance", "global"), "distance {}"),
    (("log-adjacency-changes",), "log-adjacency-changes"),
    (("maximum-paths",), "maximum-paths {}"),
    (("max-metric", "router-lsa", "administrative"), "max-metric router-lsa administrative"),
    (("parameters", "abr-type"), "ospf abr-type {}"),
    (("parameters", "opaque-lsa"), "ospf opaque-lsa"),
    (("parameters", "rfc1583-compatibility"), "ospf rfc1583compatibility"),
    (("parameters", "router-id"), "ospf router-id {}"),
    (("refresh", "timers"), "refresh timer {}"),
)
_OSPF_INTERFACE: Leaves = (
    (("area",), "ip ospf area {}"),
    (("authentication", "plaintext-password"), "ip ospf authentication-key {}"),
    (("bandwidth",), "bandwidth {}"),
    (("bfd",), "ip ospf bfd"),
    (("cost",), "ip ospf cost {}"),
    (("dead-interval",), "ip ospf dead-interval {}"),
    (("hello-interval",), "ip ospf hello-interval {}"),
    (("mtu-ignore",), "ip ospf mtu-ignore"),
    (("network",), "ip ospf network {}"),
    (("priority",), "ip ospf priority {}"),
    (("retransmit-interval",), "ip ospf retransmit-interval {}"),
    (("transmit-delay",), "ip ospf transmit-delay {}"),
)
_OSPF6_INTERFACE: Leaves = (
    (("area",), "ipv6 ospf6 area {}"),
    (("cost",), "ipv6 ospf6 cost {}"),
    (("dead-interval",), "ipv6 ospf6 dead-interval {}"),
    (("hello-interval",), "ipv6 ospf6 hello-interval {}"),
    (("mtu-ignore",), "ipv6 ospf6 mtu-ignore"),
    (("network",), "ipv6 ospf6 network {}"),
    (("passive",), "ipv6 ospf6 passive"),
)
_PROTOCOLS = {"ospfv3": "ospf6"}
"""The names of `redistribute` that differ in FRR."""


def translate(root: Node) -> Translated:
    """Translate the routing part of a configuration; no file if it has none."""
    return _Router(root).translated


class _Router:
    def __init__(self, root: Node) -> None:
        self._protocols = root.at("protocols")
        self._root = root
        self._out = Draft(PATH, "frr")
        self._notes: list[Note] = []

    @property
    def translated(self) -> Translated:
        write_policy(self._root.at("policy"), self._out)
        for option, word in (
            ("route", "ip"),
            ("interface-route", "ip"),
            ("route6", "ipv6"),
            ("interface-route6", "ipv6"),
        ):
            for prefix, route in self._protocols.nodes("static", option):
                self._static(word, prefix, route)
        self._interfaces()
        if ospf := self._protocols.find("ospf"):
            self._ospf(ospf)
        if ospf6 := self._protocols.find("ospfv3"):
            self._ospf6(ospf6)
        if bgp := self._protocols.find("bgp"):
            self._bgp(bgp)
        return Translated((self._out.file,) if self._out else (), tuple(self._notes))

    def _static(self, word: str, prefix: str, route: Node) -> None:
        for option, target in (("blackhole", "blackhole"), ("reject", "reject")):
            if spot := route.spot_of(option):
                self._out.add(spot, f"{word} route {prefix} {target}{_distance(route.at(option))}")
        for option in ("interface", "next-hop-interface"):
            for name, node in route.nodes(option):
                if not node.spot_of("disable"):
                    self._out.add(node.spot, f"{word} route {prefix} {name}{_distance(node)}")
        for name, node in route.nodes("next-hop"):
            interface = node.value("interface")
            if not node.spot_of("disable"):
                by = f" {interface.text}" if interface else ""
                self._out.add(node.spot, f"{word} route {prefix} {name}{by}{_distance(node)}")

    def _interfaces(self) -> None:
        """Write the sections of interfaces: of `protocols ospf interface`, and in older versions of `interfaces`."""
        for protocol, leaves in (("ospf", _OSPF_INTERFACE), ("ospfv3", _OSPF6_INTERFACE)):
            for name, node in self._protocols.nodes(protocol, "interface"):
                self._interface(name, node, leaves, protocol)
        for _, named in self._root.nodes("interfaces"):
            for name, interface in named.nodes():
                if ospf := interface.find("ip", "ospf"):
                    self._interface(name, ospf, _OSPF_INTERFACE, "ospf")
                for vif, vlan in interface.nodes("vif"):
                    if ospf := vlan.find("ip", "ospf"):
                        self._interface(f"{name}.{vif}", ospf, _OSPF_INTERFACE, "ospf")

    def _interface(self, name: str, node: Node, leaves: Leaves, protocol: str) -> None:
        self._out.add(node.spot, f"interface {name}")
        self._leaves(node, leaves, " ")
        for key, of in node.nodes("authentication", "md5", "key-id"):
            if value := of.value("md5-key"):
                self._out.add(
                    value.spot,
                    f" ip ospf authentication message-digest\n ip ospf message-digest-key {key} md5 {value.text}",
                )
        if protocol == "ospf" and (spot := node.spot_of("passive")):
            no = "no " if node.spot_of("passive", "disable") else ""
            self._out.add(spot, f" {no}ip ospf passive")
        self._out.add(node.spot, "exit")

    def _ospf(self, ospf: Node) -> None:
        out = self._out
        out.add(ospf.spot, "router ospf")
        self._leaves(ospf, _OSPF, " ")
        for area, node in ospf.nodes("area"):
            for kind, options in node.nodes("area-type"):
                if kind != "normal":
                    summary = " no-summary" if options.spot_of("no-summary") else ""
                    out.add(options.spot, f" area {area} {kind}{summary}")
            if authentication := node.value("authentication"):
                digest = " message-digest" if authentication.text == "md5" else ""
                out.add(authentication.spot, f" area {area} authentication{digest}")
            for network in node.values("network"):
                out.add(network.spot, f" network {network.text} area {area}")
            for prefix, options in node.nodes("range"):
                extra = " not-advertise" if options.spot_of("not-advertise") else ""
                out.add(options.spot, f" area {area} range {prefix}{extra}")
        for interface in ospf.values("passive-interface"):
            out.add(interface.spot, f" passive-interface {interface.text}")
        for interface in ospf.values("passive-interface-exclude"):
            out.add(interface.spot, f" no passive-interface {interface.text}")
        for address, node in ospf.nodes("neighbor"):
            out.add(node.spot, f" neighbor {address}")
        self._redistribute(ospf, " ")
        if spot := ospf.spot_of("default-information", "originate"):
            node = ospf.at("default-information", "originate")
            always = " always" if node.spot_of("always") else ""
            out.add(
                spot, f" default-information originate{always}{_options(node, 'metric', 'metric-type', 'route-map')}"
            )
        out.add(ospf.spot, "exit")

    def _ospf6(self, ospf: Node) -> None:
        out = self._out
        out.add(ospf.spot, "router ospf6")
        self._leaves(ospf, ((("parameters", "router-id"), "ospf6 router-id {}"),), " ")
        self._redistribute(ospf, " ")
        out.add(ospf.spot, "exit")
        for area, node in ospf.nodes("area"):
            for interface in node.values("interface"):
                out.add(interface.spot, f"interface {interface.text}\n ipv6 ospf6 area {area}\nexit")

    def _bgp(self, bgp: Node) -> None:
        number = bgp.value("system-as")
        if number is None:
            name, node = next(((n, c) for n, c in bgp.nodes() if n.isdecimal()), ("", bgp))
            if not name:
                self._notes.append(Note(bgp.spot, "protocols bgp has no AS number: set protocols bgp system-as NUMBER"))
                return
            number, bgp = Value(name, node.spot), node
        out = self._out
        out.add(number.spot, f"router bgp {number.text}")
        required = bgp.spot_of("parameters", "ebgp-requires-policy")
        out.add(required or number.spot, f"{'' if required else ' no'} bgp ebgp-requires-policy")
        out.add(number.spot, " no bgp default ipv4-unicast")
        if not bgp.find("parameters", "network-import-check"):
            out.add(number.spot, " no bgp network import-check")
        self._leaves(bgp, _BGP, " ")
        self._timers(bgp, "timers bgp")
        if peers := bgp.values("parameters", "confederation", "peers"):
            out.add(peers[0].spot, f" bgp confederation peers {' '.join(value.text for value in peers)}")
        for peer, node in bgp.nodes("peer-group"):
            out.add(node.spot, f" neighbor {peer} peer-group")
            self._neighbor(peer, node)
        for peer, node in bgp.nodes("neighbor"):
            group = node.value("peer-group")
            if group and not node.find("remote-as"):
                out.add(group.spot, f" neighbor {peer} peer-group {group.text}")
            self._neighbor(peer, node)
            if group and node.find("remote-as"):
                out.add(group.spot, f" neighbor {peer} peer-group {group.text}")
        for prefix, node in bgp.nodes("listen", "range"):
            if group := node.value("peer-group"):
                out.add(group.spot, f" bgp listen range {prefix} peer-group {group.text}")
        self._families(bgp)
        out.add(number.spot, "exit")

    def _neighbor(self, name: str, node: Node) -> None:
        self._leaves(node, _NEIGHBOR, f" neighbor {name} ")
        if (spot := node.spot_of("bfd")) and not node.find("bfd", "profile"):
            self._out.add(spot, f" neighbor {name} bfd")
        for number, options in node.nodes("local-as"):
            prepend = " no-prepend" if options.spot_of("no-prepend") else ""
            replace = " replace-as" if options.spot_of("no-prepend", "replace-as") else ""
            self._out.add(options.spot, f" neighbor {name} local-as {number}{prepend}{replace}")
        self._timers(node, f"neighbor {name} timers")

    def _timers(self, node: Node, line: str) -> None:
        keepalive, hold = node.value("timers", "keepalive"), node.value("timers", "holdtime")
        if keepalive and hold:
            self._out.add(hold.spot, f" {line} {keepalive.text} {hold.text}")

    def _families(self, bgp: Node) -> None:
        """Write the `address-family` sections; without `address-family` all is for IPv4, as in older versions."""
        families: dict[str, list[tuple[str, Node]]] = {}
        peers = [*bgp.nodes("peer-group"), *bgp.nodes("neighbor")]
        for name, peer in peers:
            own = list(peer.nodes("address-family"))
            if not own and not peer.find("peer-group"):
                own = [("ipv4-unicast", peer)]
            for family, node in own:
                families.setdefault(family, []).append((name, node))
        for family, _ in bgp.nodes("address-family"):
            families.setdefault(family, [])
        if any(bgp.find(option) for option in ("network", "redistribute", "aggregate-address", "maximum-paths")):
            families.setdefault("ipv4-unicast", [])
        for family, nodes in sorted(families.items()):
            own_family = bgp.find("address-family", family)
            spot = own_family.spot if own_family else nodes[0][1].spot if nodes else bgp.spot
            self._out.add(spot, f" address-family {family.replace('-', ' ', 1)}")
            for of in (bgp if family == "ipv4-unicast" else None, own_family):
                if of:
                    self._of_family(of)
            for name, node in nodes:
                self._neighbor_in_family(name, node)
            self._out.add(spot, " exit-address-family")

    def _of_family(self, node: Node) -> None:
        out = self._out
        for prefix, options in node.nodes("aggregate-address"):
            flags = "".join(f" {flag}" for flag in ("as-set", "summary-only") if options.spot_of(flag))
            out.add(options.spot, f"  aggregate-address {prefix}{flags}{_options(options, 'route-map')}")
        for option, line in (("ebgp", "maximum-paths {}"), ("ibgp", "maximum-paths ibgp {}")):
            if value := node.value("maximum-paths", option):
                out.add(value.spot, f"  {line.format(value.text)}")
        self._redistribute(node, "  ")
        for prefix, options in node.nodes("network"):
            out.add(options.spot, f"  network {prefix}{_options(options, 'route-map')}")

    def _neighbor_in_family(self, name: str, node: Node) -> None:
        out, start = self._out, f"  neighbor {name} "
        out.add(node.spot, f"{start}activate")
        self._leaves(node, _IN_FAMILY, start)
        if spot := node.spot_of("allowas-in"):
            number = node.value("allowas-in", "number")
            out.add(spot, f"{start}allowas-in{' ' + number.text if number else ''}")
        if spot := node.spot_of("default-originate"):
            out.add(spot, f"{start}default-originate{_options(node.at('default-originate'), 'route-map')}")
        if spot := node.spot_of("nexthop-self"):
            out.add(spot, f"{start}next-hop-self{' force' if node.spot_of('nexthop-self', 'force') else ''}")
        if spot := node.spot_of("attribute-unchanged"):
            flags = [flag for flag in ("as-path", "med", "next-hop") if node.spot_of("attribute-unchanged", flag)]
            out.add(spot, f"{start}attribute-unchanged {' '.join(flags)}")
        for kind in ("extended", "standard"):
            if spot := node.spot_of("disable-send-community", kind):
                out.add(spot, f"  no neighbor {name} send-community {kind}")

    def _redistribute(self, node: Node, start: str) -> None:
        for name, options in node.nodes("redistribute"):
            extra = _options(options, "metric", "metric-type", "route-map")
            self._out.add(options.spot, f"{start}redistribute {_PROTOCOLS.get(name, name)}{extra}")

    def _leaves(self, node: Node, leaves: Leaves, start: str) -> None:
        for path, line in leaves:
            if "{}" not in line:
                if spot := node.spot_of(*path):
                    self._out.add(spot, start + line)
            elif value := node.value(*path):
                self._out.add(value.spot, start + line.format(value.text))


def _distance(node: Node) -> str:
    distance = node.value("distance")
    return f" {distance.text}" if distance else ""


def _options(node: Node, *names: str) -> str:
    found: list[tuple[str, Value | None]] = [(name, node.value(name)) for name in names]
    return "".join(f" {name} {value.text}" for name, value in found if value)
