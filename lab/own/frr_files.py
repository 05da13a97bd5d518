"""FRR's and Quagga's files: which path each has in the node, and which daemons start with which options."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from lab.configs.daemons_file import DAEMONS, looks_like_daemons
from lab.configs.disk import MAX_SIZE
from lab.configs.frr import looks_like_frr
from lab.configs.routers import read_routers
from lab.configs.routing.facts import RouterFacts
from lab.core.errors import InputError
from lab.own.hostfiles import HostFiles
from lab.own.router_files import GivenFiles, NamedFiles, expand
from lab.topology.own import NodeFile, Remark

DIRECTORY = PurePosixPath("/etc/frr")
_MAIN = {"frr.conf", "Quagga.conf"}
_SPLIT = {f"{daemon}.conf" for daemon in DAEMONS}
_OTHERS = {"daemons", "vtysh.conf"}
_ALWAYS = ("mgmtd", "zebra", "staticd")
"""FRR's service always starts these."""
_OF_PROTOCOL: Mapping[str, str] = {
    "bgp": "bgpd", "ospf": "ospfd", "ospf6": "ospf6d", "rip": "ripd", "ripng": "ripngd", "isis": "isisd",
    "eigrp": "eigrpd", "babel": "babeld", "bfd": "bfdd", "openfabric": "fabricd",
}  # fmt: skip
_NEVER = {"watchfrr"}
_DROPPED = {
    "-u": "the daemons run as the user frr", "-g": "the daemons run in the group frr",
    "-f": "FRR reads its files in /etc/frr", "-i": "the lab finds the daemons by pid files in /run/frr",
    "-z": "the daemons connect to zebra in /run/frr", "-N": "the lab finds the daemons' sockets in /run/frr",
}  # fmt: skip
"""Options of the `daemons` file that are left out, each with its argument."""
_LONG = {"--user": "-u", "--group": "-g", "--config_file": "-f", "--pid_file": "-i", "--socket": "-z"}
_DEFAULT_VTYSH = "service integrated-vtysh-config\n"


def read(node: str, configs: Sequence[str], directory: Path, at: str) -> GivenFiles:
    """Read the files of FRR or Quagga that a topology names; raises `InputError`."""
    named: dict[PurePosixPath, HostFiles] = {}
    remarks: list[Remark] = []
    for config in expand(configs, directory, _MAIN.union(_SPLIT, _OTHERS).__contains__, at):
        tree = HostFiles.of(config, directory, default=DIRECTORY)
        path = DIRECTORY / _name(tree, at)
        if path in named:
            raise InputError(f"{at}: {named[path].given} and {config} are both {path} in the node: name one of them")
        named[path] = tree
        if tree.path != path:
            what = f"the file is {path} in the node, where FRR reads it"
            remarks.append(Remark(kind="override", node=node, place=config, what=what))
    disk = NamedFiles(trees=named)
    routers = [r for r in read_routers(sorted(named), disk) if r.daemon in ("frr", "quagga")]
    if not routers or not {path.name for path in named} - _OTHERS:
        raise InputError(f"{at}: {', '.join(configs)}: no configuration of FRR is among these files")
    facts, lost = _running(routers[0], node)
    start, dropped = _start(facts, [path.name for path in named], node)
    files = [disk.node_file(path) for path in named]
    if DIRECTORY / "vtysh.conf" not in named:
        files.append(NodeFile(path=DIRECTORY / "vtysh.conf", text=_DEFAULT_VTYSH))
    return GivenFiles(facts, tuple(files), start, (*remarks, *lost, *dropped))


def _name(tree: HostFiles, at: str) -> str:
    """Return the name of a file in /etc/frr: its own if FRR knows it, else by its content."""
    name = tree.config.name
    if name in _MAIN:
        return "frr.conf"
    if name in _SPLIT | _OTHERS:
        return name
    text = tree.text(tree.path, MAX_SIZE << 3)
    if looks_like_daemons(text):
        return "daemons"
    if looks_like_frr(text) or name.startswith("frr") or name.endswith((".conf", ".cfg")):
        return "frr.conf"
    raise InputError(f"{at}: {tree.given} is not a configuration of FRR")


def _running(facts: RouterFacts, node: str) -> tuple[RouterFacts, list[Remark]]:
    """Return the facts without the protocols whose daemons the `daemons` file does not start."""
    file = facts.daemons_file
    if file is None:
        return facts, []
    idle = {p for p in facts.protocols if p in _OF_PROTOCOL and _OF_PROTOCOL[p] not in file.enabled}
    remarks = [
        Remark(
            kind="refused",
            node=node,
            place=file.name,
            what=f"{_OF_PROTOCOL[p]} is not started, so the lines for {p.upper()} have no effect, as on a real host",
        )
        for p in sorted(idle)
    ]
    kept = replace(
        facts,
        protocols=facts.protocols - idle,
        neighbors=() if "bgp" in idle else facts.neighbors,
        originated=() if "bgp" in idle else facts.originated,
        interior=tuple(i for i in facts.interior if i.protocol not in idle),
    )
    return kept, remarks


def _start(facts: RouterFacts, names: Sequence[str], node: str) -> tuple[Mapping[str, tuple[str, ...]], list[Remark]]:
    """Return the daemons to start in order, each with its options."""
    file = facts.daemons_file
    if file is not None:
        wanted = [daemon for daemon in DAEMONS if daemon in file.enabled]
    else:
        wanted = [_OF_PROTOCOL[p] for p in sorted(facts.protocols) if p in _OF_PROTOCOL]
        wanted += [name.removesuffix(".conf") for name in names if name in _SPLIT and facts.split]
    daemons = [daemon for daemon in dict.fromkeys((*_ALWAYS, *wanted)) if daemon not in _NEVER]
    options = dict(file.options) if file is not None else {}
    remarks: list[Remark] = []
    start: dict[str, tuple[str, ...]] = {}
    for daemon in daemons:
        kept: list[str] = []
        for words in _options(options.get(f"{daemon}_options", "")):
            if words[0] in _DROPPED:
                what = f"{' '.join(words)} of {daemon} is left out: {_DROPPED[words[0]]}"
                remarks.append(Remark(kind="override", node=node, place=file.name if file else "", what=what))
            elif words[0] not in ("-d", "--daemon"):
                kept += words
        if profile := options.get("frr_profile"):
            kept += ["-F", profile]
        start[daemon] = tuple(kept)
    return start, remarks


def _options(text: str) -> Iterator[tuple[str, ...]]:
    """Yield the options in a value of the `daemons` file, each with its argument if it has one."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    group: list[str] = []
    for word in words:
        if word.startswith("-") and group:
            yield tuple(group)
            group = []
        name, equals, value = word.partition("=")
        group += [_LONG.get(name, name), value] if equals and name.startswith("--") and name in _LONG else [word]
        group[0] = _LONG.get(group[0], group[0])
    if group:
        yield tuple(group)
