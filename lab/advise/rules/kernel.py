"""Rules about the data channel in the kernel (DCO)."""

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
    if subject.userspace_server and not subject.end.has("topology") and subject.openvpn != "2.7":
        what = "a server without `topology` uses net30 on 2.6, which DCO does not support"
        if subject.openvpn == "2.6":
            return exposed(what, do="set `topology subnet`, or `disable-dco` if that is intended")
        return unknown(what, do="set `topology subnet`, or give the version with --openvpn")
    return safe("no option in this file switches it off")


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
        "openvpn(8), --disable-dco; dco_check_startup_option in dco.c of OpenVPN",
        switched_off,
    ),
)
