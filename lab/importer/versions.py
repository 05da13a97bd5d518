"""The version of OpenVPN for the nodes, and what the versions do with old and unknown options in the files."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.configs.openvpn.options import refusals
from lab.configs.openvpn.versions import judge
from lab.image import OLD_VERSIONS, VERSIONS
from lab.importer.ends import End

_KNOWN = (*VERSIONS, *OLD_VERSIONS)


@dataclass(frozen=True)
class OldOption:
    """A line that a version of OpenVPN refuses, ignores, or accepts with a warning."""

    host: str
    place: str
    """The file and line."""
    effect: str
    """`refused`, `ignored` or `warns`."""
    what: str
    """The behaviour of the version, and the option to write instead."""


def choose_version(ends: Sequence[End], wanted: str | None) -> tuple[str, list[OldOption]]:
    """Return the version with which the most files run, the lab's own first, and the old and unknown options.

    `wanted` is the user's choice. Of the chosen version all lines are returned that it does not simply accept, of the
    others the refused ones.
    """
    refused = {v: sum(_refused(end, v) for end in ends) for v in _KNOWN}
    chosen = wanted or min(_KNOWN, key=lambda version: (refused[version], _KNOWN.index(version)))
    versions = (chosen, *(version for version in VERSIONS if version != chosen))
    found = [
        OldOption(end.host, str(verdict.directive.spot), verdict.effect, str(verdict))
        for end in ends
        for version in versions
        for verdict in judge(end.configuration, version)
        if verdict.effect == "refused" or version == chosen
    ]
    found += [
        OldOption(end.host, str(directive.spot), "refused", f"OpenVPN {chosen} refuses this line: {why}")
        for end in ends
        for directive, why in refusals(end.configuration, chosen)
    ]
    return chosen, found


def _refused(end: End, version: str) -> int:
    old = sum(verdict.effect == "refused" for verdict in judge(end.configuration, version))
    return old + sum(1 for _ in refusals(end.configuration, version))
