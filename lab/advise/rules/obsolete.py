"""Rules about obsolete options."""

from lab.advise.openvpn import Directive
from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject

_OBSOLETE = {
    "client-cert-not-required": "removed in 2.5: `verify-client-cert none`",
    "comp-lzo": "deprecated since 2.4, see compression",
    "ifconfig-pool-linear": "removed in 2.5: `topology p2p`",
    "key-method": "removed in 2.5",
    "keysize": "removed in 2.6",
    "link-mtu": "deprecated since 2.6: `tun-mtu`",
    "max-routes": "ignored since 2.4",
    "ncp-ciphers": "renamed in 2.5: `data-ciphers`",
    "ncp-disable": "removed in 2.6: ciphers are always negotiated",
    "no-iv": "removed in 2.5",
    "no-replay": "2.7 refuses to start with it",
    "ns-cert-type": "deprecated: `remote-cert-tls`",
    "tls-remote": "removed in 2.4: `verify-x509-name`",
    "tun-ipv6": "ignored: IPv6 needs no option",
}
"""Obsolete options, each with its replacement or present effect (openvpn(8), UNSUPPORTED OPTIONS)."""


def obsolete(subject: Subject) -> Judgement:
    """Judge if the file has obsolete options."""
    end = subject.end
    found: list[tuple[Directive, str]] = [(d, _OBSOLETE[d.name]) for d in end.directives if d.name in _OBSOLETE]
    negotiates = not end.has("secret")
    if negotiates and not end.has("data-ciphers", "ncp-ciphers", "data-ciphers-fallback"):
        found += [(d, "not used to negotiate since 2.6: `data-ciphers`") for d in end.all("cipher")]
    kept = end.all("persist-key")
    if kept and subject.openvpn not in (None, "2.6"):
        found += [(d, "ignored since 2.7, keys are always kept") for d in kept]
    if found:
        found.sort(key=lambda item: (item[0].spot.file, item[0].spot.line))
        return exposed(
            "; ".join(dict.fromkeys(f"`{d.name}`: {what}" for d, what in found)),
            *[d.spot for d, _ in found],
            do="remove or replace them",
        )
    if kept and subject.openvpn is None:
        return unknown("`persist-key` is ignored from 2.7 on", kept[0].spot, do="give the version with --openvpn")
    return safe("no obsolete option", *[d.spot for d in end.all("data-ciphers")])


RULES = (
    Rule(
        "obsolete",
        "An obsolete option is ignored, or has another effect than before.",
        (*sorted(_OBSOLETE), "cipher", "persist-key"),
        "openvpn(8), UNSUPPORTED OPTIONS and --data-ciphers",
        obsolete,
    ),
)
