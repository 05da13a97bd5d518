"""Rules about what the ends negotiate."""

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject


def no_pull(subject: Subject) -> Judgement:
    """Judge if the other end of a server does not pull."""
    end, peer = subject.end, subject.peer
    if "server" not in (end.role, peer.role if peer else None):
        if end.role == "peer" and peer is None and end.has("tls-client"):
            return unknown("whether the other end is in `mode server` is unknown", do="add the other end's file")
        return safe("this end pulls" if end.role == "client" else "point to point: both ends negotiate as peers")
    client = peer if end.role == "server" else end
    if client is None:
        return unknown("the client's file is not given", do="add it with another --config")
    if client.role == "client":
        return safe("the client pulls", *[d.spot for d in client.all("client", "pull")])
    return exposed(
        "the client does not pull: TLS comes up, the two ends agree on no cipher, and all data is dropped",
        *[d.spot for d in client.all("tls-client")],
        do="use `client`, or `tls-client` and `pull`, at that end; or `tls-server` without `mode server` at the other",
    )


RULES = (
    Rule(
        "no-pull",
        "A client without `pull` connects to a process in `mode server`, and no data passes.",
        ("mode server", "tls-client", "pull", "client"),
        "openvpn(8), --pull, --data-ciphers; tested with OpenVPN 2.6.14 and 2.7.8",
        no_pull,
    ),
)
