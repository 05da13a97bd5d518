"""Rules about encryption."""

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject
from lab.configs.openvpn.configuration import Configuration, Directive


def static_key(subject: Subject) -> Judgement:
    """Judge if a static key encrypts the data."""
    keys = subject.end.all("secret")
    if keys:
        return exposed(
            "the key decrypts all past traffic; 2.7 starts only with `allow-deprecated-insecure-static-crypto`",
            *[d.spot for d in keys],
            do="use point to point over TLS: `tls-server` and `tls-client`, which needs no `iroute` either",
        )
    return safe("TLS negotiates the keys")


def compression(subject: Subject) -> Judgement:
    """Judge if data is compressed before it is encrypted.

    Since 2.5 an end compresses sent data only with `allow-compression yes`, and 2.7 never does; both accept compressed
    data from the other end.
    """
    own = list(subject.end.directives) + subject.pushes
    if subject.end.role == "server":
        own += subject.end.pushed
    compressing = [d for d in own if d.name == "comp-lzo" and d.argument(0) != "no"]
    compressing += [d for d in own if d.name == "compress" and (d.argument(0) or "").startswith("lz")]
    if forbids := _allowed(subject.end, "no"):
        return safe("`allow-compression no`", forbids.spot)
    if not compressing:
        if subject.pushed_unknown:
            return unknown("this file has none; the server may push it", do="set `allow-compression no`")
        return safe("nothing is compressed")
    spots = [d.spot for d in compressing]
    do = "remove it; `compress migrate` on a server serves old clients without compression"
    if (allows := _allowed(subject.end, "yes")) and subject.release != "2.7":
        if subject.release is None:
            return unknown("2.6 compresses, 2.7 does not", allows.spot, *spots, do="give the version: --openvpn")
        return exposed("this end compresses data before it encrypts it", allows.spot, *spots, do=do)
    if subject.peer is not None and not _allowed(subject.peer, "yes"):
        return safe("neither end compresses sent data, without `allow-compression yes`", *spots)
    return unknown(
        "this end does not compress sent data; whether the other end does is unknown",
        *spots,
        do=do,
    )


def _allowed(end: Configuration, word: str) -> Directive | None:
    setting = end.last("allow-compression")
    return setting if setting and setting.argument(0) == word else None


RULES = (
    Rule(
        "static-key",
        "A static key has no forward secrecy, and is deprecated in OpenVPN.",
        ("secret",),
        "openvpn(8), --secret, --allow-deprecated-insecure-static-crypto",
        static_key,
    ),
    Rule(
        "compression",
        "Data that is compressed before it is encrypted can be guessed from its length (VORACLE).",
        ("compress", "comp-lzo", "allow-compression", "push"),
        "openvpn(8), --compress, --allow-compression",
        compression,
    ),
)
