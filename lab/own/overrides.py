"""The differences in a node from a configuration of the user's: as few as possible, each with a remark.

OpenVPN takes the last of several values of an option, so an argument after `--config` overrides most lines. Lines that
no argument undoes are commented out in a copy. OpenVPN opens its log once: the lab's `--log-append`
before `--config` wins over `log`, `log-append` and `syslog`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Final, Literal, Self

from lab.configs.disk import Spot
from lab.configs.openvpn.configuration import INLINE, Directive
from lab.configs.openvpn.options import refusals
from lab.configs.openvpn.versions import OTHER_SYSTEMS, judge
from lab.image.recipe import VERSIONS, is_ours
from lab.own.draft import Draft
from lab.topology.images import tag_of
from lab.topology.own import Issue, NodeFile, Remark

USERS: Final = frozenset(
    {
        "_apt", "backup", "bin", "bird", "daemon", "frr", "games", "iperf3", "irc", "list", "lp", "mail", "man", "news",
        "nobody", "proxy", "root", "sync", "sys", "systemd-network", "tcpdump", "uucp", "www-data",
    }
)  # fmt: skip
"""The users in the lab's images."""
GROUPS: Final = frozenset(
    {
        "adm", "audio", "backup", "bin", "bird", "cdrom", "crontab", "daemon", "dialout", "dip", "disk", "fax",
        "floppy", "frr", "frrvty", "games", "iperf3", "irc", "kmem", "list", "lp", "mail", "man", "news", "nogroup",
        "operator", "plugdev", "proxy", "root", "sasl", "shadow", "src", "staff", "sudo", "sys", "systemd-journal",
        "systemd-network", "tape", "tcpdump", "tty", "users", "utmp", "uucp", "video", "voice", "www-data",
    }
)  # fmt: skip
"""The groups in the lab's images."""
SCRIPTED: Final = (
    "up", "down", "route-up", "route-pre-down", "ipchange", "client-connect", "client-disconnect", "learn-address",
    "auth-user-pass-verify", "tls-verify", "tls-crypt-v2-verify", "client-crresponse", "dns-updown",
)  # fmt: skip
"""The options that name a script."""
LAB: Final = PurePosixPath("/etc/openvpn/lab")
"""The directory in a node of what the lab adds to the user's files."""

_BEFORE_JAIL: Final = frozenset({"up", "route-up", "dns-updown"})
"""The scripts that OpenVPN runs before chroot(2)."""
_IN_JAIL: Final = ("client-config-dir", "tmp-dir", "crl-verify")
"""The options whose files OpenVPN finds below the directory of `chroot`."""
WITHOUT: Final[Mapping[str, str]] = {
    "daemon": "the lab starts the process and waits for it",
    "machine-readable-output": "the lab reads the times in the log",
    "suppress-timestamps": "the lab reads the times in the log",
    "mlock": "a node may not lock so much memory",
    "setcon": "a node has no SELinux",
    "management-hold": "OpenVPN would wait for a program that releases it",
    "management-query-passwords": "OpenVPN would wait for a program that knows the password",
    "management-query-remote": "OpenVPN would wait for a program that chooses the remote",
    "management-query-proxy": "OpenVPN would wait for a program that chooses the proxy",
    "management-client": "the program to which OpenVPN would connect is not in the node",
    "management-client-auth": "the program that would admit clients is not in the node",
    "management-client-user": "the lab uses the management interface",
    "management-client-group": "the lab uses the management interface",
    "management-signal": "the lab's queries would restart the tunnel",
    "management-forget-disconnect": "the lab's queries would make OpenVPN forget its passwords",
    "static-challenge": "OpenVPN would ask for it at a console",
}
"""Options that the lab leaves out, each with the reason."""


@dataclass(frozen=True)
class Overrides:
    """The lab's additions to one process, and its changes."""

    arguments: tuple[str, ...] = ()
    """Arguments of OpenVPN after `--config`."""
    commented: tuple[Spot, ...] = ()
    """The lines that are commented out in a copy; of a block, its first line."""
    rewritten: tuple[tuple[Spot, str], ...] = ()
    """The lines that are another one in a copy."""
    files: tuple[NodeFile, ...] = ()
    issues: tuple[Issue, ...] = ()
    directories: tuple[PurePosixPath, ...] = ()
    needs: tuple[Literal["chroot"], ...] = ()
    remarks: tuple[Remark, ...] = ()

    def __add__(self, other: Self) -> Self:
        return type(self)(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def drops(self, directive: Directive) -> bool:
        """Return True if a line is commented out."""
        return directive.spot in self.commented


Kind = Literal["override", "issued", "unknown", "refused", "warned"]


def remark(draft: Draft, kind: Kind, at: Spot | str, what: str) -> Remark:
    """Return a remark on a process."""
    return Remark(kind=kind, node=draft.node, place=str(at), what=what)


def without(draft: Draft, directive: Directive, why: str) -> Overrides:
    """Return the override that leaves out a line."""
    what = f"runs without '{directive.name}': {why}"
    return Overrides(commented=(directive.spot,), remarks=(remark(draft, "override", directive.spot, what),))


def version_of(draft: Draft) -> str | None:
    """Return OpenVPN's version in the node, as `2.7`; None if its image is not the lab's."""
    if not is_ours(draft.image):
        return None
    found = re.match(r"\d+\.\d+(\.\d+)?", tag_of(draft.image) or "")
    return found[0] if found else VERSIONS[0]


def plan(draft: Draft, *, run_scripts: bool = False) -> Overrides:
    """Return what differs for one process, apart from its keys and scripts.

    `run_scripts` is true if the node runs the user's scripts.
    """
    found = Overrides()
    for directive in draft.configuration.directives:
        for part in _parts(draft, directive, run_scripts=run_scripts):
            found += part
    return found + _refusals(draft, found)


def _parts(draft: Draft, directive: Directive, *, run_scripts: bool) -> Iterator[Overrides]:
    name, value = directive.name, directive.argument(0)
    if name in WITHOUT:
        yield without(draft, directive, WITHOUT[name])
    elif name in OTHER_SYSTEMS and name not in _tolerated(draft):
        yield without(draft, directive, "only OpenVPN for Windows has it")
    elif name in ("log", "log-append", "syslog"):
        what = f"writes its log to /var/log/openvpn/{draft.name}.log instead: the lab reads it"
        yield Overrides(remarks=(remark(draft, "override", directive.spot, what),))
    elif value is None:
        return
    elif name in _SPECIAL:
        yield from _SPECIAL[name](draft, directive, value)
    elif name == "tls-export-cert":
        yield Overrides(directories=(draft.locate(name, value),))
    elif name == "setenv" and value.startswith("LD_") and not run_scripts:
        yield without(draft, directive, "it would load code into the lab's stubs of scripts")
    elif name == "chroot":
        yield from _chroot(draft, directive)


def _tolerated(draft: Draft) -> set[str]:
    return {word for d in draft.configuration.all("ignore-unknown-option") for word in d.arguments}


def _user(draft: Draft, directive: Directive, value: str) -> Iterator[Overrides]:
    kind, known, instead = ("user", USERS, "nobody") if directive.name == "user" else ("group", GROUPS, "nogroup")
    if value in known or directive != draft.configuration.last(kind):
        return
    if not is_ours(draft.image):
        what = f"the lab cannot tell if the image has the {kind} '{value}'"
        yield Overrides(remarks=(remark(draft, "unknown", directive.spot, what),))
        return
    what = f"runs as {kind} '{instead}': the image has no {kind} '{value}'"
    yield Overrides(arguments=(f"--{kind}", instead), remarks=(remark(draft, "override", directive.spot, what),))


def _device_node(draft: Draft, directive: Directive, value: str) -> Iterator[Overrides]:
    if value != "/dev/net/tun":
        yield without(draft, directive, "a node has /dev/net/tun only")


def _providers(draft: Draft, directive: Directive, value: str) -> Iterator[Overrides]:
    if any("/" in word for word in directive.arguments):
        yield without(draft, directive, "it loads a program's code from a path")


def _token_secret(draft: Draft, directive: Directive, value: str) -> Iterator[Overrides]:
    if draft.disk.find(draft.resolve(value)) is None:
        yield without(draft, directive, "the file is not at hand, and OpenVPN makes a secret of its own")


_SPECIAL: Final[Mapping[str, Callable[[Draft, Directive, str], Iterator[Overrides]]]] = {
    "user": _user,
    "group": _user,
    "dev-node": _device_node,
    "providers": _providers,
    "auth-gen-token-secret": _token_secret,
}


def keeps_jail(draft: Draft) -> bool:
    """Return True if a process changes its root directory in the lab too: no script has to be started in it."""
    configuration = draft.configuration
    inside = [name for name in SCRIPTED if name not in _BEFORE_JAIL or configuration.has("up-restart")]
    return configuration.jail is not None and not configuration.has(*inside, "plugin", "management-client-auth")


def _chroot(draft: Draft, directive: Directive) -> Iterator[Overrides]:
    """Keep the jail unless a script would have to be started in it: scripts and stubs need a shell."""
    jail = draft.resolve(directive.arguments[0])
    inside = [
        (d, draft.locate(option, value))
        for option in _IN_JAIL
        if (d := draft.configuration.last(option)) and (value := d.argument(0)) and value != INLINE
    ]
    if keeps_jail(draft):
        made = tuple(path for d, path in inside if d.name != "crl-verify")
        yield Overrides(directories=(jail, jail / "tmp", *made), needs=("chroot",))
        return
    yield without(draft, directive, f"scripts need a shell, which {jail} has not in the lab; its files are found there")
    for option, path in inside:
        yield Overrides(arguments=(f"--{option.name}", str(path), *option.arguments[1:]))
        if option.name != "crl-verify":
            yield Overrides(directories=(path,))


def _refusals(draft: Draft, overrides: Overrides) -> Overrides:
    """Return remarks on lines that OpenVPN refuses, ignores, or accepts with a warning in its log."""
    version = version_of(draft)
    if version is None:
        return Overrides()
    verdicts = [v for v in judge(draft.configuration, version) if not overrides.drops(v.directive)]
    found = [
        remark(draft, "refused" if verdict.effect == "refused" else "warned", verdict.directive.spot, str(verdict))
        for verdict in verdicts
    ]
    found += [
        remark(draft, "refused", directive.spot, f"OpenVPN {version} refuses this line: {why}")
        for directive, why in refusals(draft.configuration, version)
        if not overrides.drops(directive)
    ]
    return Overrides(remarks=tuple(found))
