"""Writes `policy` of VyOS and EdgeOS as FRR's lists and route maps."""

from lab.configs.translated import Draft
from lab.configs.vyos.tree import Node

_MATCH = (
    (("as-path",), "as-path {}"),
    (("community", "community-list"), "community {}"),
    (("interface",), "interface {}"),
    (("ip", "address", "access-list"), "ip address {}"),
    (("ip", "address", "prefix-list"), "ip address prefix-list {}"),
    (("ip", "nexthop", "access-list"), "ip next-hop {}"),
    (("ip", "nexthop", "address"), "ip next-hop address {}"),
    (("ip", "nexthop", "prefix-list"), "ip next-hop prefix-list {}"),
    (("ipv6", "address", "access-list"), "ipv6 address {}"),
    (("ipv6", "address", "prefix-list"), "ipv6 address prefix-list {}"),
    (("large-community", "large-community-list"), "large-community {}"),
    (("local-preference",), "local-preference {}"),
    (("metric",), "metric {}"),
    (("origin",), "origin {}"),
    (("peer",), "peer {}"),
    (("protocol",), "source-protocol {}"),
    (("tag",), "tag {}"),
)
_SET = (
    (("as-path", "exclude"), "as-path exclude {}"),
    (("as-path", "prepend"), "as-path prepend {}"),
    (("as-path-prepend",), "as-path prepend {}"),
    (("comm-list", "comm-list"), "comm-list {} delete"),
    (("community", "delete"), "comm-list {} delete"),
    (("distance",), "distance {}"),
    (("ip-next-hop",), "ip next-hop {}"),
    (("ipv6-next-hop", "global"), "ipv6 next-hop global {}"),
    (("ipv6-next-hop", "local"), "ipv6 next-hop local {}"),
    (("local-preference",), "local-preference {}"),
    (("metric",), "metric {}"),
    (("metric-type",), "metric-type {}"),
    (("origin",), "origin {}"),
    (("src",), "src {}"),
    (("tag",), "tag {}"),
    (("weight",), "weight {}"),
)
_LISTS = (
    ("prefix-list", "ip prefix-list", "prefix"),
    ("prefix-list6", "ipv6 prefix-list", "prefix"),
    ("as-path-list", "bgp as-path access-list", "regex"),
    ("community-list", "bgp community-list", "regex"),
    ("large-community-list", "bgp large-community-list", "regex"),
)


def write_policy(policy: Node, out: Draft) -> None:
    """Write the lists and route maps."""
    for option, command, what in _LISTS:
        for name, node in policy.nodes(option):
            text = node.value("description")
            if text and option.startswith("prefix-list"):
                out.add(text.spot, f"{command} {name} description {text.text}")  # it exists also without a rule
            for number, rule in _rules(node):
                action, value = rule.value("action"), rule.value(what)
                if action and value:
                    # VyOS takes the entries of a list with a name as regular expressions.
                    kind = " expanded" if option.endswith("community-list") and not name.isdecimal() else ""
                    bounds = "".join(f" {word} {bound.text}" for word in ("ge", "le") if (bound := rule.value(word)))
                    out.add(rule.spot, f"{command}{kind} {name} seq {number} {action.text} {value.text}{bounds}")
    for option, command in (("access-list", "access-list"), ("access-list6", "ipv6 access-list")):
        for name, node in policy.nodes(option):
            node.value("description")
            for number, rule in _rules(node):
                _access_rule(command, name, number, rule, out)
    for name, node in policy.nodes("route-map"):
        node.value("description")
        for number, rule in _rules(node):
            _route_map(name, number, rule, out)


def _rules(node: Node) -> list[tuple[str, Node]]:
    """Return the rules in the order of their numbers."""
    return sorted(node.nodes("rule"), key=lambda item: (not item[0].isdecimal(), len(item[0]), item[0]))


def _access_rule(command: str, name: str, number: str, rule: Node, out: Draft) -> None:
    action = rule.value("action")
    rule.value("description")
    if action is None:
        return
    ends = []
    for end in ("source", "destination"):
        host, network = rule.value(end, "host"), rule.value(end, "network")
        mask = rule.value(end, "inverse-mask")
        if rule.spot_of(end, "any"):
            ends.append("any")
        elif host:
            ends.append(f"host {host.text}")
        elif network:
            ends.append(f"{network.text}{' ' + mask.text if mask else ''}")
    protocol = "ip " if len(ends) > 1 else ""
    out.add(rule.spot, f"{command} {name} seq {number} {action.text} {protocol}{' '.join(ends)}")


def _route_map(name: str, number: str, rule: Node, out: Draft) -> None:
    action = rule.value("action")
    rule.value("description")
    if action is None:
        return
    out.add(rule.spot, f"route-map {name} {action.text} {number}")
    if call := rule.value("call"):
        out.add(call.spot, f" call {call.text}")
    for word, leaves in (("match", _MATCH), ("set", _SET)):
        for path, line in leaves:
            if value := rule.value(word, *path):
                out.add(value.spot, f" {word} {line.format(value.text)}")
    _communities(rule, out)
    if spot := rule.spot_of("set", "atomic-aggregate"):
        out.add(spot, " set atomic-aggregate")
    if goto := rule.value("on-match", "goto") or rule.value("continue"):
        out.add(goto.spot, f" on-match goto {goto.text}")
    elif spot := rule.spot_of("on-match", "next"):
        out.add(spot, " on-match next")
    out.add(rule.spot, "exit")


def _communities(rule: Node, out: Draft) -> None:
    for option in ("community", "large-community"):
        for how, extra in (("replace", ""), ("add", " additive")):
            if values := rule.values("set", option, how):
                words = " ".join(value.text.replace("local-as", "local-AS") for value in values)
                out.add(values[0].spot, f" set {option} {words}{extra}")
        if spot := rule.spot_of("set", option, "none"):
            out.add(spot, f" set {option} none")
        # EdgeOS and VyOS up to 1.3 have the communities themselves as the value.
        old = [v for v in rule.values("set", option) if v.text not in ("replace", "add", "none", "delete")]
        if old:
            out.add(old[0].spot, f" set {option} {' '.join(value.text for value in old)}")
