"""What protects less than it seems to."""

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject


def static_key(subject: Subject) -> Judgement:
    """One key for ever?"""
    keys = subject.end.all("secret")
    if keys:
        return exposed(
            "who ever gets the key reads all that was sent; 2.7 starts with an option of its own only",
            *[d.spot for d in keys],
            do="point to point over TLS: `tls-server` and `tls-client`, which needs no `iroute` either",
        )
    return safe("keys are agreed on with TLS")


def compression(subject: Subject) -> Judgement:
    """Is data compressed before it is encrypted?"""
    own = list(subject.end.directives) + subject.pushes
    if subject.end.role == "server":
        own += subject.end.pushed
    found = [d for d in own if d.name == "comp-lzo" and d.argument(0) != "no"]
    found += [d for d in own if d.name == "compress" and (d.argument(0) or "").startswith("lz")]
    found += [d for d in own if d.name == "allow-compression" and d.argument(0) in ("yes", "asym")]
    if found:
        return exposed(
            "compressed before it is encrypted, content can be guessed from its length (VORACLE)",
            *[d.spot for d in found],
            do="leave it out; `compress migrate` on a server serves old clients without compressing",
        )
    if forbids := subject.end.last("allow-compression"):
        return safe("`allow-compression no`", forbids.spot)
    if subject.pushed_unknown:
        return unknown("none here; whether the server pushes it is not known", do="say `allow-compression no`")
    return safe("nothing is compressed")


RULES = (
    Rule(
        "static-key",
        "A static key has no forward secrecy, and OpenVPN is giving it up (deprecated).",
        ("secret",),
        "openvpn(8), --secret, --allow-deprecated-insecure-static-crypto",
        static_key,
    ),
    Rule(
        "compression",
        "Compression lets others guess encrypted content, and OpenVPN is giving it up.",
        ("compress", "comp-lzo", "allow-compression", "push"),
        "openvpn(8), --compress, --allow-compression",
        compression,
    ),
)
