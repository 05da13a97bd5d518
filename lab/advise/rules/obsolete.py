"""Rules about obsolete options."""

from collections.abc import Iterable
from typing import Final

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.subject import Subject
from lab.configs.disk import Spot
from lab.configs.openvpn.versions import OTHER_SYSTEMS, ROWS, Verdict, judge

_OTHER_RULES: Final = frozenset(
    {"secret", "allow-deprecated-insecure-static-crypto", "compress", "allow-compression", "topology"}
)
"""The options that the rules about secrecy and `topology-default` judge."""
_NOT_OLD: Final = frozenset(
    {"verify-client-cert", "data-ciphers", "explicit-exit-notify", "dns-updown", "duplicate-cn"}
)
"""Options that versions warn about for another reason than their age, and new ones."""
OBSOLETE: Final = frozenset(
    row.option for row in ROWS if not {row.option} & (_OTHER_RULES | _NOT_OLD | OTHER_SYSTEMS) and not row.beside
)
"""The options that a version of the lab's table refuses, ignores, or warns about since they are old."""
_VERSIONS: Final = ("2.6", "2.7")
"""The versions that are judged if the version is unknown."""


def obsolete(subject: Subject) -> Judgement:
    """Judge if the file has options that its version of OpenVPN refuses, ignores, or warns about since they are old."""
    end = subject.end
    by_version = {v: _found(judge(end, v)) for v in ([subject.openvpn] if subject.openvpn else _VERSIONS)}
    everywhere = {v.directive.spot for v in by_version[min(by_version)]}
    for found in by_version.values():
        everywhere &= {v.directive.spot for v in found}
    some = [verdict for found in by_version.values() for verdict in found]
    if everywhere:
        certain = [verdict for verdict in some if verdict.directive.spot in everywhere]
        return exposed(_why(certain), *_spots(certain), do="remove or replace them")
    if some:
        return unknown(_why(some), *_spots(some), do="give the version with --openvpn")
    return safe("no obsolete option", *[d.spot for d in end.all("data-ciphers")])


def _found(verdicts: Iterable[Verdict]) -> list[Verdict]:
    clear = [v for v in verdicts if v.directive.name in OBSOLETE]
    # `cipher none` is old nowhere: packets in clear are asked for.
    return [
        v for v in clear if (v.directive.name, v.directive.argument(0)) != ("cipher", "none") or v.effect != "warns"
    ]


def _why(verdicts: Iterable[Verdict]) -> str:
    ordered = sorted(verdicts, key=lambda v: (v.directive.spot.file, v.directive.spot.line))
    return "; ".join(dict.fromkeys(f"`{v.directive.name}`: {_effect(v)}: {v.instead}" for v in ordered))


def _effect(verdict: Verdict) -> str:
    word = {"refused": "refuses", "ignored": "ignores"}.get(verdict.effect, "warns about")
    return f"{verdict.version} {word} it"


def _spots(verdicts: Iterable[Verdict]) -> list[Spot]:
    return sorted({v.directive.spot for v in verdicts}, key=lambda spot: (spot.file, spot.line))


RULES = (
    Rule(
        "obsolete",
        "An obsolete option is ignored, or has another effect than before.",
        (*sorted(OBSOLETE), "data-ciphers"),
        "openvpn(8), UNSUPPORTED OPTIONS and --data-ciphers; the logs of OpenVPN 2.5.1, 2.6.3, 2.6.14 and 2.7.8",
        obsolete,
    ),
)
