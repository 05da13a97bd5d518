"""Rules about the outer addresses of a tunnel's ends."""

from lab.advise.inner import CHECK_DCO, may_be_in_the_kernel
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject, userspace_because
from lab.configs.disk import Spot
from lab.configs.openvpn.configuration import Directive

_DO_SERVER = "use `mode server`, which follows a client by the `peer-id` that it pushes"


def address_change(subject: Subject) -> Judgement:
    """Judge if this end drops what a client or peer sends from a new outer address."""
    end = subject.end
    if end.role == "client":
        return safe("the other end is a server, and this end looks its `remote` up again when it restarts")
    if end.transports != {"udp"}:
        return unknown(
            "over TCP the connection ends with the address; whether its ends notice before the keepalive is unknown",
            *[d.spot for d in end.all("proto")[:1]],
            do="set a keepalive timeout as long as traffic may be lost",
        )
    if end.role == "server":
        return _of_server(subject)
    if subject.peer is not None and subject.peer.role == "server":
        return safe("no data passes at all (see no-pull)")
    remotes, floats = end.all("remote"), end.last("float")
    if end.has("secret"):
        if not remotes or floats:
            return safe("with a static key it takes packets from any address", *([floats.spot] if floats else []))
        return exposed(
            "it drops all packets from another address than that of `remote`",
            *[d.spot for d in remotes],
            do="set `float`, or remove `remote` at the end whose peer's address changes",
        )
    if remotes and not floats:
        why = "it drops all packets from another address than that of `remote`, also those of a new session"
        return _in_userspace(subject, why, *[d.spot for d in remotes], do=f"set `float`, or {_DO_SERVER}")
    timeout = subject.timeout()
    seconds, at = timeout or (None, None)
    waits = (
        f"both ends have waited for {seconds} s or longer and restarted"
        if seconds
        else "they are restarted: there is no keepalive"
    )
    why = f"the TLS session belongs to the old address, also with `float`: packets are dropped until {waits}"
    return _in_userspace(subject, why, *([at] if at else []), do=_DO_SERVER)


def _of_server(subject: Subject) -> Judgement:
    client = subject.other()
    if client is None:
        return unknown(
            "whether the client takes the `peer-id` by which a server recognises it is unknown",
            do="add the client's file",
        )
    if client.end.role != "client":
        return safe("no data passes at all (see no-pull)")
    if client.accepts(Directive("peer-id", ("0",), Spot(client.name, 1))):
        if subject.release != "2.7" and not userspace_because(subject) and may_be_in_the_kernel(subject):
            return unknown(
                "the server recognises the client by its `peer-id`; with DCO, OpenVPN 2.6 does not learn the new "
                "address, and the session ends with its key",
                do=CHECK_DCO,
            )
        return safe("the server recognises the client by the `peer-id` that it pushes")
    filters = [d.spot for d in client.end.all("pull-filter")]
    if subject.release != "2.6":
        return unknown(
            "without `peer-id` a server drops packets from a new address; with 2.7 at both ends the client does not "
            "come up at all",
            *filters,
            do="remove the `pull-filter`",
        )
    return exposed(
        "the client ignores the `peer-id`, so the server does not recognise it at another address",
        *filters,
        do="remove the `pull-filter`",
    )


def _in_userspace(subject: Subject, why: str, *spots: Spot, do: str) -> Judgement:
    if subject.release != "2.6" and not userspace_because(subject):
        return unknown(f"{why}, unless the kernel carries the data (DCO)", *spots, do=CHECK_DCO)
    return exposed(why, *spots, do=do)


RULES = (
    Rule(
        "address-change",
        "When the outer address of a client or peer changes, the other end drops its packets, until both restart or "
        "forever.",
        ("remote", "float", "mode server", "pull-filter", "secret", "proto", "keepalive"),
        "openvpn(8), --float, --remote; handle_data_channel_packet in ssl.c and multi_process_float in multi.c of "
        "OpenVPN; tested with OpenVPN 2.6.14 and 2.7.8; with DCO 2.7.8 tested, 2.6.3 to 2.6.15 read in dco_linux.c",
        address_change,
        "test_verdicts_are_what_disturbances_do",
    ),
)
