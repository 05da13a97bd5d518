"""What goes wrong with the data channel in the kernel (DCO)."""

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject, userspace_because


def switched_off(subject: Subject) -> Judgement:
    """Does an option keep the data in userspace, unnoticed?"""
    reasons = userspace_because(subject)
    if wanted := subject.end.last("disable-dco"):
        return safe("it is switched off on purpose", wanted.spot)
    if subject.handed.wide and subject.userspace_server:
        return safe("`iroute 0/0` needs OpenVPN itself to carry the data (see iroute-dco)")
    if subject.end.device == "tap" or subject.end.has("secret"):
        return safe("DCO knows neither tap nor static keys", reasons[0][0].spot)
    if reasons:
        because = ", ".join(dict.fromkeys(why for _, why in reasons))
        return exposed(
            f"OpenVPN itself carries the data, and not the kernel: {because}",
            *[d.spot for d, _ in reasons],
            do="leave the option out, or say `disable-dco` if that is what you want",
        )
    if subject.userspace_server and not subject.end.has("topology") and subject.openvpn != "2.7":
        what = "a server that names no topology takes net30 on 2.6, which DCO does not know"
        if subject.openvpn == "2.6":
            return exposed(what, do="`topology subnet`, or `disable-dco` if that is what you want")
        return unknown(what, do="say `topology subnet`, or which OpenVPN with --openvpn")
    return safe("no option in this file switches it off")


RULES = (
    Rule(
        "dco-off",
        "One option keeps the data out of the kernel (DCO); everything works, more slowly.",
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
