"""Check that two routers can talk to each other over the tunnel or the link between them."""

from collections.abc import Mapping, Sequence

from lab.topology.intent import RouterIntent
from lab.topology.links import DraftLink
from lab.topology.mistakes import Findings, did_you_mean, one_of, quote
from lab.topology.nodes import DraftNode, below
from lab.topology.tunnels import DraftTunnel
from lab.topology.vocabulary import TrafficClass, Vocabulary


def check_neighbors(
    drafts: Mapping[str, DraftNode],
    links: Sequence[DraftLink],
    tunnels: Sequence[DraftTunnel],
    vocabulary: Vocabulary,
    findings: Findings,
) -> None:
    """Check that both ends speak the same protocol, and that the tunnel between them carries it.

    A router with files of the user's is not checked: it does what they say, even if that does not work.
    """
    for link in links:
        if link.intent.peering and len(link.ends) == 2:
            one, other = (drafts.get(end.node) for end in link.ends)
            if one is not None and other is not None:
                _check_same_protocol(one, other, vocabulary, findings)
                routers = [d.node.intent.router for d in (one, other)]
                protocols = {router.protocol for router in routers if router is not None and not router.config}
                if link.intent.preference is not None and protocols - {"bgp"}:
                    findings.add(
                        link.tree, f"'preference' is for BGP only, and the protocol is {min(protocols - {'bgp'})}"
                    )
    for tunnel in tunnels:
        client, server = drafts[tunnel.client], drafts[tunnel.server]
        if not _check_same_protocol(client, server, vocabulary, findings) or client.node.intent.router is None:
            continue
        sharing = tunnel.process.tunnels if tunnel.process is not None else [tunnel]
        missing = vocabulary.unsupported(tunnel.intent, len(sharing))
        if tunnel.intent.preference is not None and client.node.intent.router.protocol != "bgp":
            what = f"'preference' is for BGP only, and the protocol is {client.node.intent.router.protocol}"
            findings.add(below(tunnel.tree, ("preference",)), what)
        for traffic, why in _needs(client.node.intent.router).items():
            if traffic in missing:
                findings.add(
                    below(tunnel.tree, ("mode",)), f"{why}, which this tunnel does not carry", missing[traffic]
                )
        if client.node.intent.router.sessions == "unnumbered" and len(sharing) > 1:
            findings.add(
                below(tunnel.tree, ("mode",)),
                "an unnumbered BGP session needs an interface of its own, but "
                f"{len(sharing)} neighbours share {tunnel.server_device} of {quote(server.name)}",
                "give each tunnel its own 'port', or the routers 'sessions: shared'",
            )


def check_session_options(
    drafts: Mapping[str, DraftNode],
    links: Sequence[DraftLink],
    tunnels: Sequence[DraftTunnel],
    findings: Findings,
) -> None:
    """Check the options of BGP sessions that depend on the neighbours."""
    over_tunnels = {(t.client, t.server) for t in tunnels} | {(t.server, t.client) for t in tunnels}
    over_links = {
        (one.node, other.node)
        for link in links
        if link.intent.peering and len(link.ends) == 2
        for one, other in (link.ends, link.ends[::-1])
    }
    for name, draft in drafts.items():
        router = draft.node.intent.router
        if router is None or draft.router is None or router.protocol != "bgp":
            continue
        known = [
            other
            for other in drafts
            if (name, other) in over_tunnels | over_links and drafts[other].node.intent.router is not None
        ]
        for other, neighbor in router.neighbors.items():
            at = below(draft.router, ("neighbors", other))
            if other not in known:
                hint = did_you_mean(other, known) or (f"its neighbours are {one_of(known)}" if known else None)
                findings.add(at, f"{quote(other)} is not a neighbour of {quote(name)}", hint)
            if neighbor.password is not None and router.sessions == "unnumbered":
                what = "a TCP MD5 key belongs to an address, and an unnumbered neighbour has none in the configuration"
                findings.add(below(at, ("password",)), what, "set 'sessions: shared' or 'per-family'")
        for other in known:
            receiver = drafts[other].node.intent.router
            own = router.neighbors.get(other)
            originates = (
                own.default_originate if own and own.default_originate is not None else router.default_originate
            )
            if (
                originates
                and receiver is not None
                and receiver.recursion_filter
                and not receiver.config
                and (name, other) in over_tunnels - over_links
            ):
                keys: tuple[str, ...] = ("default-originate",)
                if own is not None and own.default_originate is not None:
                    keys = ("neighbors", other, *keys)
                what = f"{quote(other)} rejects a default route through a tunnel: it covers the tunnel's outer address"
                findings.add(below(draft.router, keys), what, f"set 'recursion-filter: false' at {quote(other)}")


def _check_same_protocol(one: DraftNode, other: DraftNode, vocabulary: Vocabulary, findings: Findings) -> bool:
    """Note differences between two routers; return True if both nodes have one and they speak the same protocol."""
    here, there = one.node.intent.router, other.node.intent.router
    if here is None or there is None or one.router is None or here.config or there.config:
        return False
    for key, mine, theirs in (
        ("protocol", here.protocol, there.protocol),
        ("sessions", here.sessions, there.sessions),
    ):
        if mine != theirs:
            what = f"{quote(one.name)} has {mine!r} here, and its neighbour {quote(other.name)} has {theirs!r}"
            findings.add(below(one.router, (key,)), what)
            return False
    if here.sessions == "unnumbered" and not {here.daemon, there.daemon} & set(vocabulary.initiators):
        findings.add(
            below(one.router, ("sessions",)),
            f"{quote(one.name)} and its neighbour {quote(other.name)} would wait for each other: neither daemon "
            "connects to a neighbour without a configured address, and link-local addresses are random",
            f"let one of them be {one_of(vocabulary.initiators)}",
        )
    for local, remote in ((one, other), (other, one)):
        near, far = local.node.intent.router, remote.node.intent.router
        if near and near.bfd is not None and far and far.bfd is None and local.router is not None:
            what = f"its neighbour {quote(remote.name)} has no 'bfd' and would not answer"
            findings.add(below(local.router, ("bfd",)), what, "set it at both ends; their intervals may differ")
    return True


def _needs(router: RouterIntent) -> dict[TrafficClass, str]:
    """Return the traffic classes that a router's protocol needs, each with the packets that it sends."""
    if router.protocol == "ospf":
        return {
            "multicast": "OSPF sends hello packets to 224.0.0.5 and ff02::5",
            "link-local": "OSPFv3 sends packets from link-local addresses",
        }
    if router.protocol == "rip":
        return {
            "multicast": "RIP sends packets to 224.0.0.9 and ff02::9",
            "link-local": "RIPng sends packets from link-local addresses",
        }
    if router.sessions == "unnumbered":
        return {
            "multicast": "unnumbered BGP finds its neighbour by router advertisements to ff02::1",
            "link-local": "unnumbered BGP sends packets from link-local addresses",
        }
    return {}
