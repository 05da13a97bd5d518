"""What goes wrong with sizes: only both ends together show it."""

from lab.advise.openvpn import Configuration, Directive
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject


def mismatch(subject: Subject) -> Judgement:
    """Do both ends mean the same sizes?"""
    if subject.peer is None:
        return unknown("the other end's file is not at hand", do="add it with another --config")
    sizes = ("tun-mtu", "fragment", "link-mtu")
    if subject.end.differs(*sizes) or subject.peer.differs(*sizes):
        where = [d.spot for end in (subject.end, subject.peer) for d in end.all(*sizes)]
        return unknown("it depends on which `<connection>` is used", *where, do="the same sizes in each")
    different: list[Directive] = []
    names = []
    for name, default in (("tun-mtu", "1500"), ("fragment", None), ("link-mtu", None)):
        here, there = subject.option(name), _last(subject, subject.peer, name)
        if (here.argument(0) if here else default) != (there.argument(0) if there else default):
            names.append(name)
            different += [d for d in (here, there) if d]
    if names:
        return exposed(
            f"the two ends differ in {' and '.join(f'`{n}`' for n in names)}",
            *[d.spot for d in different],
            do="the same value at both ends",
        )
    clamps = [d for d in (subject.end.last("mssfix"), subject.peer.last("mssfix")) if d]
    if len({d.arguments for d in clamps}) > 1 or len(clamps) == 1:
        return safe(
            "the sizes agree; of two `mssfix` the smaller counts, for both directions", *[d.spot for d in clamps]
        )
    return safe("the sizes of both ends agree", *[d.spot for d in subject.end.all("tun-mtu")])


def _last(subject: Subject, peer: Configuration, name: str) -> Directive | None:
    return Subject(peer.name, peer, peer=subject.end, peer_handed=subject.handed).option(name)


RULES = (
    Rule(
        "mtu-mismatch",
        "Ends that differ in sizes pass small packets and lose large ones, such as a large BGP UPDATE.",
        ("tun-mtu", "fragment", "link-mtu", "mssfix"),
        "openvpn(8), --tun-mtu, --fragment, --mssfix",
        mismatch,
    ),
)
