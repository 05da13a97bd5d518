"""Rules about the data channel in the kernel (DCO)."""

from lab.advise.inner import may_be_in_the_kernel, no_inner_table, without_inner_routes
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject, userspace_because


def switched_off(subject: Subject) -> Judgement:
    """Judge if an option silently keeps the data in userspace."""
    reasons = userspace_because(subject)
    if option := subject.end.last("disable-dco"):
        return safe("`disable-dco` switches it off on purpose", option.spot)
    if subject.client_options.default_routes and subject.userspace_server:
        return safe("`iroute 0/0` needs the data in userspace (see iroute-dco)")
    if subject.end.device == "tap" or subject.end.has("secret"):
        return safe("DCO supports neither tap nor static keys", reasons[0][0].spot)
    if reasons:
        because = ", ".join(dict.fromkeys(why for _, why in reasons))
        return exposed(
            f"the data stays in userspace: {because}",
            *[d.spot for d, _ in reasons],
            do="remove the option, or set `disable-dco` if that is intended",
        )
    if subject.userspace_server and not subject.end.has("topology") and subject.release != "2.7":
        what = "a server without `topology` uses net30 on 2.6, which DCO does not support"
        if subject.release == "2.6":
            return exposed(what, do="set `topology subnet`, or `disable-dco` if that is intended")
        return unknown(what, do="set `topology subnet`, or give the version with --openvpn")
    return safe("no option in this file switches it off")


def renegotiation(subject: Subject) -> Judgement:
    """Judge if limits of a key in bytes and packets have no effect, as the kernel carries the data."""
    limits = [d for d in subject.end.all("reneg-bytes", "reneg-pkts") if d.argument(0) != "0"]
    spots = [d.spot for d in limits]
    if not limits:
        return safe("no `reneg-bytes` or `reneg-pkts`")
    if reasons := userspace_because(subject):
        return safe(f"the data stays in userspace: {reasons[0][1]}", reasons[0][0].spot, *spots)
    if subject.end.role == "server" and not may_be_in_the_kernel(subject):
        return safe(f"the data stays in userspace: OpenVPN {subject.openvpn} uses another topology than subnet", *spots)
    return unknown(
        f"no option excludes DCO; with it `{limits[0].name}` is ignored, and a key is used until `reneg-sec`",
        *spots,
        do="set `reneg-sec`, or `disable-dco`",
    )


def lost_iroute(subject: Subject) -> Judgement:
    """Judge if the kernel's route of an `iroute` can be lost when its client reconnects quickly."""
    if other := no_inner_table(subject):
        return other
    inner = subject.client_options.inner
    if not inner:
        return without_inner_routes(subject, "no client has an `iroute`")
    spots = [route.spot for route in inner]
    if reasons := userspace_because(subject):
        return safe(f"the data stays in userspace: {reasons[0][1]}", reasons[0][0].spot, *spots)
    if not may_be_in_the_kernel(subject):
        return safe(f"the data stays in userspace: OpenVPN {subject.openvpn} uses another topology than subnet", *spots)
    return unknown(
        "no option excludes DCO; with it, users report that the route of an `iroute` is gone after its client has left "
        "and come back within 5 s; a test with OpenVPN 2.7.8 and Linux 7.3 has not seen it",
        *spots,
        do="look for the route in the server's kernel after a reconnect, or set `disable-dco`",
    )


RULES = (
    Rule(
        "dco-off",
        "One option keeps the data in userspace, without DCO; everything works, more slowly.",
        (
            "topology",
            "fragment",
            "compress",
            "comp-lzo",
            "allow-compression",
            "data-ciphers",
            "http-proxy",
            "socks-proxy",
        ),
        "openvpn(8), --disable-dco; tested with OpenVPN 2.7.8 and Linux 7.3; read in dco.c of 2.7.6",
        switched_off,
    ),
    Rule(
        "reneg-dco",
        "With DCO `reneg-bytes` and `reneg-pkts` have no effect: no key is renewed by them.",
        ("reneg-bytes", "reneg-pkts", "disable-dco", "topology", "data-ciphers", "compress", "fragment"),
        "tested with OpenVPN 2.7.8 and Linux 7.3; read in options.c: from 2.7.0 on the log says so, that of 2.6.3 and "
        "2.6.14 does not",
        renegotiation,
        "test_verdicts_are_what_the_kernel_does",
    ),
    Rule(
        "iroute-reconnect",
        "With DCO the kernel's route of an `iroute` may be gone after its client has reconnected quickly.",
        ("iroute", "iroute-ipv6", "disable-dco", "topology", "data-ciphers", "compress", "fragment"),
        "OpenVPN's issue 1040, which names no patch level; not seen in a test with OpenVPN 2.7.8 and Linux 7.3",
        lost_iroute,
        "test_verdicts_are_what_the_kernel_does",
    ),
)
