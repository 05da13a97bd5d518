"""Complete a topology with what the user's own files say."""

from collections.abc import Iterator

from lab.topology import Topology
from lab.topology.own import Remark


def resolve(topology: Topology, *, run_scripts: bool = False) -> Topology:
    """Return the topology with processes, tunnels, routers, rulesets and remarks of the files that it names.

    With `run_scripts` the nodes run the scripts that the files name, instead of stubs that log their calls. Raises
    `TopologyError` for a file that is missing or cannot be read.
    """
    intents = [node.intent for node in topology.nodes.values()]
    if not any(i.openvpn or i.nftables or i.vrfs or (i.router and i.router.config) for i in intents):
        return topology
    # The readers of all kinds of files take a quarter of a second to import, and most topologies name none.
    from lab.own.processes import with_processes
    from lab.own.rulesets import with_rulesets
    from lab.own.vrfs import vrfs_of

    topology = topology.model_copy(update={"run_scripts": run_scripts})
    if any(intent.openvpn for intent in intents):
        topology = with_processes(topology)
    for name in topology.nodes:
        vrfs_of(topology, name)  # raises for one that cannot be made
    return with_rulesets(_with_routers(topology))


def _with_routers(topology: Topology) -> Topology:
    """Return the topology with what the files of routers say, after its tunnels are complete."""
    from lab.own.routers import read_own_routers, with_facts

    found = read_own_routers(topology)
    nodes = dict(topology.nodes)
    for name, own in found.routers.items():
        intent = nodes[name].intent
        if intent.router is not None:
            completed = intent.model_copy(update={"router": with_facts(intent.router, own)})
            nodes[name] = nodes[name].model_copy(update={"intent": completed})
    remarks = (*topology.remarks, *found.remarks)
    topology = topology.model_copy(update={"nodes": nodes, "own_routers": found.routers, "remarks": remarks})
    return topology.model_copy(update={"remarks": (*remarks, *_without_session(topology))})


def _without_session(topology: Topology) -> Iterator[Remark]:
    """Yield a remark for each tunnel whose rendered routers get no session, as an address comes from a pool."""
    given = {process.name: process.given for process in topology.processes}
    for tunnel in topology.tunnels:
        ends = (tunnel.server, tunnel.client)
        routers = [r for end in ends if (r := topology.nodes[end].intent.router) and end not in topology.own_routers]
        numbered = len(routers) == len(ends) and all(router.sessions != "unnumbered" for router in routers)
        at = (tunnel.server_at, tunnel.client_at)
        known = all(end.ipv4 for end in at) or all(end.ipv6 for end in at)
        if tunnel.own and numbered and not known:
            what = (
                f"the files do not tell the inner addresses of both ends of {tunnel.name}, so the routers that the lab "
                "configures get no session through it: give the client an address in client-config-dir"
            )
            yield Remark(kind="unknown", node=tunnel.client, place=given.get(tunnel.own_client or "", ""), what=what)
