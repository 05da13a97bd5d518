"""What goes wrong with the tunnel's own addresses."""

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject


def topology_default(subject: Subject) -> Judgement:
    """Do both versions, and both ends, mean the same topology?"""
    end = subject.end
    said = end.last("topology")
    if end.device == "tap":
        return safe("a tap device has no topology")
    if end.role == "peer":
        return safe("point to point: 2.6 and 2.7 mean the same", *([said.spot] if said else []))
    if end.role == "client":
        if option := subject.option("topology"):
            return safe(f"the topology is said: {option.argument(0)}", option.spot)
        if subject.peer is not None and subject.peer.has("server"):
            return safe("`server` pushes the topology", *[d.spot for d in subject.peer.all("server")])
        if subject.pushed_unknown:
            return unknown("the server pushes the topology, and its file is not at hand", do="add the server's file")
        return _not_pushed(subject)
    if said is None:
        return exposed(
            "it is not said: net30 on 2.6, subnet on 2.7",
            *[d.spot for d in end.all("server", "mode")[:1]],
            do="`topology subnet`, or `topology net30` as it was, and the same pushed",
        )
    pushes = [d for d in end.pushed if d.name == "topology"]
    if end.has("server") or pushes or said.argument(0) == "net30":
        return safe(f"the topology is said: {said.argument(0)}", said.spot)
    if subject.peer is None:
        return unknown("it is not pushed; whether the client says it is not known", said.spot, do="push it")
    return safe("both ends say it", said.spot) if subject.peer.has("topology") else _not_pushed(subject)


def _not_pushed(subject: Subject) -> Judgement:
    server = subject.end if subject.end.role == "server" else subject.peer
    said = server.last("topology") if server else None
    if said is not None and said.argument(0) == "net30":
        return safe("a client that is told nothing takes net30, and so does the server", said.spot)
    return exposed(
        "the client is told no topology and takes net30, the server another one",
        *([said.spot] if said else []),
        do='`push "topology subnet"`',
    )


RULES = (
    Rule(
        "topology-default",
        "A server that does not say its `topology` is net30 on OpenVPN 2.6 and subnet on 2.7: addresses change.",
        ("topology", "push", "server"),
        "openvpn(8), --topology; helper_setdefault_topology in helper.c of OpenVPN",
        topology_default,
    ),
)
