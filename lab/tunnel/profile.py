"""Profiles: the subset of OpenVPN that another implementation supports as the client of a tunnel.

RouterOS: MikroTik's manual, https://manual.mikrotik.com/docs/virtual-private-networks/openvpn and its CLI reference
(interface/ovpn-client, interface/ovpn-server); of version 6 the wiki's Manual:Interface/OVPN and its changelog. UDP
came with version 7, GCM and the names below with 7.8 or 7.9. The lab has no RouterOS: the tests use OpenVPN's own
client, confined to the same options.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.topology import Objection, TunnelIntent
from lab.topology.mistakes import did_you_mean
from lab.tunnel.mode import modes

_CBC = ("AES-128-CBC", "AES-192-CBC", "AES-256-CBC", "BF-CBC")
_GCM = ("AES-128-GCM", "AES-192-GCM", "AES-256-GCM")
_WITHOUT: Mapping[str, str] = {
    "tls-crypt": "no command sets it",
    "tls-crypt-v2": "no command sets it",
    "fragment": "it has no such option",
    "http-proxy": "it has no such option",
    "socks-proxy": "it has no such option",
}


@dataclass(frozen=True)
class Profile:
    """One implementation in one version."""

    name: str
    product: str
    transports: tuple[str, ...]
    ciphers: tuple[str, ...]
    digests: tuple[str, ...]
    without: Mapping[str, str]
    """Unsupported options, each with the reason."""

    def check(self, intent: TunnelIntent) -> Sequence[Objection]:
        """Return the objections to a declared tunnel, one per unsupported property."""
        return [*self._mode(intent), *self._crypto(intent.options), *self._options(intent.options)]

    def _mode(self, intent: TunnelIntent) -> list[Objection]:
        found = []
        if intent.transport not in self.transports:
            found.append(Objection(("transport",), f"{self.product} supports {' or '.join(self.transports)} only"))
        mode = modes()[intent.mode]
        if not mode.traits.foreign_client:
            what = f"{self.product} requests its addresses from the server, which mode {mode.name} does not support"
            supported = " or ".join(name for name, other in modes().items() if other.traits.foreign_client)
            found.append(Objection(("mode",), what, f"use {supported}"))
        elif mode.traits.net30 and intent.options.get("topology") != "subnet":
            what = f"{self.product} takes the peer's address of net30 for a netmask"
            found.append(Objection(("options", "topology"), what, "set 'topology: subnet'"))
        return found

    def _crypto(self, options: Mapping[str, Any]) -> list[Objection]:
        found = []
        ciphers = options.get("data-ciphers")
        if not isinstance(ciphers, (list, tuple)) or len(ciphers) != 1:
            what = f"{self.product} does not negotiate its cipher: name exactly one"
            found.append(Objection(("options", "data-ciphers"), what, f"for example [{self.ciphers[2]}]"))
        elif str(ciphers[0]).upper() not in self.ciphers:
            what = f"{self.product} does not support {ciphers[0]}"
            found.append(Objection(("options", "data-ciphers", 0), what, f"it supports {', '.join(self.ciphers)}"))
        digest = options.get("auth")
        if digest is not None and str(digest).upper() not in self.digests:
            what = f"{self.product} does not support {digest}"
            found.append(Objection(("options", "auth"), what, f"it supports {', '.join(self.digests)}"))
        return found

    def _options(self, options: Mapping[str, Any]) -> list[Objection]:
        found = [
            Objection(("options", option), f"{self.product} does not support this: {why}")
            for option, why in self.without.items()
            if options.get(option) not in (None, False)
        ]
        extra = options.get("extra")
        if isinstance(extra, Mapping) and extra.get("client"):
            found.append(Objection(("options", "extra", "client"), f"{self.product} does not read OpenVPN's options"))
        remotes = options.get("remotes")
        if isinstance(remotes, (list, tuple)) and len(remotes) > 1:
            found.append(Objection(("options", "remotes"), f"{self.product} connects to one server only"))
        return found


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "routeros-6",
            "RouterOS 6",
            transports=("tcp",),
            ciphers=_CBC,
            digests=("SHA1", "MD5"),
            without=_WITHOUT,
        ),
        Profile(
            "routeros-7",
            "RouterOS 7",
            transports=("tcp", "udp"),
            ciphers=(*_CBC[:3], *_GCM, _CBC[3]),
            digests=("SHA1", "MD5", "SHA256", "SHA512"),
            without=_WITHOUT,
        ),
    )
}


def objections_of_profile(intent: TunnelIntent) -> Sequence[Objection]:
    """Return the objections of a tunnel's profile; empty if it has no profile."""
    if intent.profile is None:
        return []
    profile = PROFILES.get(intent.profile)
    if profile is None:
        hint = did_you_mean(intent.profile, PROFILES) or f"the profiles are {', '.join(PROFILES)}"
        return [Objection(("profile",), f"unknown profile {intent.profile!r}", hint)]
    return profile.check(intent)
