"""The model of what a topology takes from the user's own files; `lab.own` reads them and fills it in."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path, PurePosixPath
from typing import Literal

from lab.core.prefixes import Address, Family, Prefix
from lab.topology.intent import Frozen, RoutingProtocol


class Remark(Frozen):
    """Something that differs in the lab from the user's files, or that the lab cannot know."""

    kind: Literal["override", "issued", "unknown", "refused", "warned", "unit", "note"]
    """`override`: the lab runs something else than the file says; `issued`: a key or certificate that is not at hand,
    so the lab issues one under its name; `unknown`: the lab cannot know this from the files; `refused`: a line that
    the version of the program in the node does not accept; `warned`: one that it ignores, or accepts with a warning in
    its log; `unit`: an argument that is not in the file, but in the unit of systemd that starts it on the host; `note`:
    a part of the topology file itself that has another effect here than under containerlab, or none; or a file of the
    user's that the lab loads."""
    node: str
    place: str
    """The file and line, as `hq/server.conf:12`, or the file alone."""
    what: str
    """One sentence: what the file says, what the lab does instead, and why."""


class NodeFile(Frozen):
    """A file that a node gets: a copy of one of the user's, or a text that the lab writes."""

    path: PurePosixPath
    """Its absolute path in the node."""
    source: Path | None = None
    """The user's file, which is copied unchanged; None for `text`."""
    text: str | None = None
    """The content, for a file that the lab writes; never a key."""
    mode: int = 0o644
    """Permission bits; 0600 for keys and passwords."""
    given: str = ""
    """The name of the user's file in messages, relative to the topology file; empty if it needs none."""
    commented: tuple[int, ...] = ()
    """The lines of `source`, from 1, that begin with `#` in the node: what the lab overrides."""
    replaced: Mapping[int, str] = {}
    """Other lines of `source`, by number: includes of a file of which the lab overrides a part."""


class Issue(Frozen):
    """A file with a key, certificate or password that is not at hand: the lab issues it at deployment."""

    path: PurePosixPath
    """Its absolute path in the node, as the configuration names it."""
    kind: Literal[
        "ca", "certificate", "pkcs12", "dh", "crl", "tls-auth", "tls-crypt", "tls-crypt-v2-server",
        "tls-crypt-v2-client", "secret", "credentials", "passphrase",
    ]  # fmt: skip
    """`certificate` is one with its private key; `ca` the lab's own certificate of its authority."""
    domain: str
    """The name of what its users share: ends with the same domain get the same symmetric key."""
    key: PurePosixPath | None = None
    """Of a certificate: the path of its private key."""
    common_name: str = ""
    """Of a certificate: its CN; of credentials: the user name."""
    subject: tuple[tuple[str, str], ...] = ()
    """Of a certificate: its whole subject as object identifiers and values, if it has more than a CN."""
    usage: Literal["server", "client", "both"] = "both"
    """Of a certificate: the extended key usage, as `remote-cert-tls` of the other end asks for."""
    extended: tuple[str, ...] = ()
    """Of a certificate: more extended key usages, as object identifiers."""
    key_usage: int = 0
    """Of a certificate: more key usages, as the bits of `remote-cert-ku`."""
    algorithm: Literal["ec", "rsa"] = "ec"
    """Of a certificate: `rsa` if the `tls-cipher` of an end demands it."""
    trusted: tuple[str, ...] = ()
    """Of an authority: the user's own certificates of authorities as PEM, which stay trusted beside the lab's."""
    source: Path | None = None
    """Of a symmetric key: the user's file that has it, of which this is a copy. Of `tls-crypt-v2-client`: the file
    with the server's key. None if the lab makes one."""
    block: str = ""
    """The name of the block of `source` that has the key; empty if it is the whole file."""


class OwnProcess(Frozen):
    """An OpenVPN process that runs with a configuration of the user's."""

    node: str
    name: str
    """Unique among the processes of the topology; for humans and for the names of logs and sockets."""
    config: Path
    """The user's file on the host."""
    given: str
    """That file's name in messages, as the topology gives it."""
    path: PurePosixPath
    """The path in the node of the file that OpenVPN reads."""
    directory: PurePosixPath
    """OpenVPN's working directory in the node (`--cd`)."""
    before: tuple[str, ...] = ()
    """The arguments before `--config` that the host's unit gives it."""
    arguments: tuple[str, ...] = ()
    """The arguments after `--config`: those of the host's unit, then what the lab adds or overrides."""
    role: Literal["server", "client", "peer"]
    """`server`: `mode server`; `client`: it pulls; `peer`: one of two ends of a point-to-point tunnel."""
    listens: bool
    """True if the other end connects to it: a server, or the peer without `remote`."""
    transport: Literal["tcp", "udp"] = "udp"
    port: int = 1194
    """The port on which it listens, or to which it connects."""
    device: str
    """The interface; the lab names one that the file calls `tun` or `tap` only, by an argument."""
    tap: bool = False
    ipv4: IPv4Interface | None = None
    """Its inner address, if the file sets it."""
    ipv6: IPv6Interface | None = None
    common_name: str | None = None
    """The CN of its certificate, or the user name, by which its server knows it; None if unknown."""
    management: PurePosixPath | None = None
    """The Unix socket of the management interface; None if it listens on `management_tcp`."""
    management_tcp: tuple[str, int] | None = None
    """Address and port of the file's own management interface, in the node."""
    management_password: PurePosixPath | None = None
    """The file with the password of the file's own management interface, in the node."""
    needs: tuple[Literal["chroot"], ...] = ()
    """The capabilities that it needs besides those of every such process."""
    directories: tuple[PurePosixPath, ...] = ()
    """Directories in which OpenVPN creates files: for its status, its process id or its socket."""
    files: tuple[NodeFile, ...] = ()
    issues: tuple[Issue, ...] = ()


class OwnRuleset(Frozen):
    """A packet filter of the user's, which is loaded in a node's network namespace."""

    node: str
    given: str
    """The file's name in messages, as the topology gives it."""
    path: PurePosixPath
    """The path in the node of the file to load."""
    form: Literal["nft", "iptables", "ip6tables"]
    """The program that loads it: `nft`, `iptables-restore` or `ip6tables-restore`."""
    tables: tuple[str, ...] = ()
    """Its tables, as `ip nat`; of iptables the names alone."""
    files: tuple[NodeFile, ...] = ()
    """The file, and those that it includes."""


class OwnNeighbor(Frozen):
    """A neighbour in a routing daemon's configuration."""

    address: Address | None = None
    """None for an unnumbered one."""
    range: Prefix | None = None
    """The range of dynamic neighbours (FRR's `bgp listen range`, BIRD's `neighbor range`)."""
    asn: int | None = None
    """None if the configuration does not fix it."""
    interface: str | None = None
    """The interface, if the configuration names it."""
    name: str = ""
    """BIRD's name of the protocol; else empty."""
    families: tuple[Family, ...] = ("ipv4",)
    vrf: str | None = None
    """The VRF of the session; None for the default one."""


class OwnRouter(Frozen):
    """A routing daemon that runs with a configuration of the user's."""

    node: str
    daemon: str
    protocols: tuple[RoutingProtocol, ...]
    """The protocols in the files, BGP first; empty if there is none of the three."""
    asn: int | None = None
    router_id: IPv4Address | None = None
    neighbors: tuple[OwnNeighbor, ...] = ()
    networks: tuple[Prefix, ...] = ()
    """The prefixes that it originates by `network` statements or static routes, as far as the files tell."""
    interfaces: Mapping[Family, tuple[str, ...]] = {}
    """The interfaces on which OSPF or RIP run for each family, as far as the files tell."""
    vrfs: tuple[str, ...] = ()
    """The VRFs in which BGP has neighbours."""
    vrf: str | None = None
    """The VRF in which the lab announces prefixes by BGP: None for the default one, which precedes."""
    hold: int | None = None
    """The shortest BGP hold time in the files, in seconds."""
    start: Mapping[str, tuple[str, ...]] = {}
    """The daemon's programs to start, each with its arguments, in order; for BIRD the one program."""
    integrated: bool = True
    """FRR: one file for all daemons, which vtysh reads; False for a file per daemon."""
    files: tuple[NodeFile, ...] = ()
