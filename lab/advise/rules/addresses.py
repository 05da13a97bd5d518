"""Rules about the tunnel's own addresses."""

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject


def topology_default(subject: Subject) -> Judgement:
    """Judge if both versions and both ends use the same `topology`."""
    end = subject.end
    setting = end.last("topology")
    if end.device == "tap":
        return safe("a tap device has no topology")
    if end.role == "peer":
        return safe("point to point: 2.6 and 2.7 use the same", *([setting.spot] if setting else []))
    if end.role == "client":
        if option := subject.option("topology"):
            return safe(f"the topology is set: {option.argument(0)}", option.spot)
        if subject.peer is not None and subject.peer.has("server"):
            return safe("`server` pushes the topology", *[d.spot for d in subject.peer.all("server")])
        if subject.pushed_unknown:
            return unknown("the server pushes the topology, and its file is not given", do="add the server's file")
        return _not_pushed(subject)
    if setting is None:
        return exposed(
            "it is not set: net30 on 2.6, subnet on 2.7",
            *[d.spot for d in end.all("server", "mode")[:1]],
            do="set `topology subnet`, or `topology net30` as in 2.6, and push the same",
        )
    pushes = [d for d in end.pushed if d.name == "topology"]
    if end.has("server") or pushes or setting.argument(0) == "net30":
        return safe(f"the topology is set: {setting.argument(0)}", setting.spot)
    if subject.peer is None:
        return unknown("it is not pushed, and the client's file is not given", setting.spot, do="push it")
    return safe("both ends set it", setting.spot) if subject.peer.has("topology") else _not_pushed(subject)


def _not_pushed(subject: Subject) -> Judgement:
    server = subject.end if subject.end.role == "server" else subject.peer
    setting = server.last("topology") if server else None
    if setting is not None and setting.argument(0) == "net30":
        return safe("without a pushed topology the client uses net30, as the server does", setting.spot)
    return exposed(
        "the topology is not pushed: the client uses net30, the server another one",
        *([setting.spot] if setting else []),
        do='add `push "topology subnet"`',
    )


RULES = (
    Rule(
        "topology-default",
        "A server without `topology` uses net30 on OpenVPN 2.6 and subnet on 2.7: addresses change.",
        ("topology", "push", "server"),
        "openvpn(8), --topology; tested with OpenVPN 2.6.14 and 2.7.8",
        topology_default,
    ),
)
