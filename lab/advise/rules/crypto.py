"""What protects less than it seems to."""

from lab.advise.openvpn import Configuration, Directive
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
    """Is data compressed before it is encrypted?

    Since 2.5 an end compresses what it sends only with `allow-compression yes`, and 2.7 never does; what the other
    end compresses is taken all the same.
    """
    own = list(subject.end.directives) + subject.pushes
    if subject.end.role == "server":
        own += subject.end.pushed
    asked = [d for d in own if d.name == "comp-lzo" and d.argument(0) != "no"]
    asked += [d for d in own if d.name == "compress" and (d.argument(0) or "").startswith("lz")]
    if forbids := _allowed(subject.end, "no"):
        return safe("`allow-compression no`", forbids.spot)
    if not asked:
        if subject.pushed_unknown:
            return unknown("none here; whether the server pushes it is not known", do="say `allow-compression no`")
        return safe("nothing is compressed")
    spots = [d.spot for d in asked]
    do = "leave it out; `compress migrate` on a server serves old clients without compressing"
    if (allows := _allowed(subject.end, "yes")) and subject.openvpn != "2.7":
        if subject.openvpn is None:
            return unknown("2.6 compresses what it sends, 2.7 does not", allows.spot, *spots, do="say which: --openvpn")
        return exposed("what this end sends is compressed before it is encrypted", allows.spot, *spots, do=do)
    if subject.peer is not None and not _allowed(subject.peer, "yes"):
        return safe("neither end compresses what it sends, as none says `allow-compression yes`", *spots)
    return unknown(
        "this end does not compress what it sends, and takes what the other end compresses, if it does",
        *spots,
        do=do,
    )


def _allowed(end: Configuration, word: str) -> Directive | None:
    said = end.last("allow-compression")
    return said if said and said.argument(0) == word else None


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
        "Compressed before it is encrypted, content can be guessed from its length (VORACLE).",
        ("compress", "comp-lzo", "allow-compression", "push"),
        "openvpn(8), --compress, --allow-compression",
        compression,
    ),
)
