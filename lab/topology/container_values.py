"""Values of a container that Docker refuses when containerlab asks it for the node.

Some depend on the host or the image, such as a user's name: those are refused when the node is started.
"""

import json
import math
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Final

from lab.core.capabilities import ALL, NAMES, short_name
from lab.topology.mistakes import Findings, did_you_mean, one_of, quote
from lab.topology.shape import is_null
from lab.topology.source import Items, Scalar, Table, Tree

_CPUS = re.compile(r"(?:\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)?")
_AMOUNT = re.compile(r"([\d.]+)\s*([kmgtpe]?)(i?)", re.IGNORECASE)
_LEAST_MEMORY = 6 << 20
"""Docker's limit, in bytes."""
_MAX_HOSTNAME = 64
"""The kernel's limit: __NEW_UTS_LEN (sethostname(2))."""
_MAX_ID = (1 << 31) - 1
"""Docker's limit for the numbers of users and groups."""
_PROPAGATION = tuple(f"{r}{p}" for p in ("private", "shared", "slave") for r in ("", "r"))
_BIND_OPTIONS: Final = (("ro", "rw"), ("z", "Z"), ("consistent", "cached", "delegated"), _PROPAGATION)
"""The options of a bind: one of each kind at most."""
_TMPFS_FLAGS = frozenset(
    (
        *("defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync"),
        *("remount", "mand", "nomand", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime"),
        *("strictatime", "nostrictatime", "bind", "rbind", "unbindable", "runbindable", *_PROPAGATION),
    )
)
_TMPFS_VALUES = frozenset(("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"))
_TMPFS_OPTIONS = (*sorted(_TMPFS_FLAGS), *sorted(_TMPFS_VALUES))
_SECURITY_OPTIONS: Final = ("apparmor", "label", "no-new-privileges", "seccomp", "writable-cgroups")
_TRUE_OR_FALSE = re.compile(r"1|0|[tTfF]|true|false|TRUE|FALSE|True|False")
"""Go's booleans."""


def check_container(inherited: Mapping[str, Tree], findings: Findings) -> None:
    """Check the values of a node's keys, whose types are right."""
    _check_texts(inherited, findings)
    for key in ("entrypoint", "cmd", "exec"):
        for item in _scalars(inherited.get(key)):
            check_command(item.text, item, findings)
    for item in _scalars(inherited.get("cap-add")):
        if (name := short_name(item.text)) not in (ALL, *NAMES):
            findings.add(item, f"unknown capability {quote(item.text)}", did_you_mean(name, NAMES))
    for item in _scalars(inherited.get("devices")):
        if not item.text.startswith("/") or ":" in item.text:
            findings.add(item, f"{quote(item.text)} is not the path of a device", "write it as '/dev/net/tun'")
    for item in _scalars(inherited.get("security-opts")):
        if not _is_security_option(item.text):
            hint = f"the options are {one_of(_SECURITY_OPTIONS)}, each with '=' and its value"
            findings.add(item, f"{quote(item.text)} is not a security option", hint)
    _check_mounts(inherited, findings)


def check_command(command: str, at: Tree, findings: Findings) -> None:
    """Check a command that containerlab splits at spaces and quotes, also where the lab gives it to a shell."""
    try:
        shlex.split(command, comments=True)
    except ValueError as error:
        findings.add(at, f"the command {quote(command)} cannot be split into words: {str(error).lower()}")


def _check_texts(inherited: Mapping[str, Tree], findings: Findings) -> None:
    for item in _scalars(inherited.get("cpu-set")):
        ends = re.findall(r"(\d+)-(\d+)", item.text)
        if not _CPUS.fullmatch(item.text) or any(int(low) > int(high) for low, high in ends):
            findings.add(item, f"{quote(item.text)} is not a list of CPUs", "write it as '0-2,4'")
    for item in _scalars(inherited.get("memory")):
        if (found := _AMOUNT.match(item.text)) and 0 < _bytes(*found.groups()) < _LEAST_MEMORY:
            findings.add(item, f"{quote(item.text)} is too little memory: a container has 6 MiB or more")
    for item in _scalars(inherited.get("hostname")):
        if len(item.text.encode()) > _MAX_HOSTNAME:
            findings.add(item, f"a host's name has {_MAX_HOSTNAME} characters at most")
    for item in _scalars(inherited.get("user")):
        ids = [part for part in item.text.split(":")[:2] if re.fullmatch(r"-?\d+", part)]
        if any(not 0 <= int(each) <= _MAX_ID for each in ids):
            findings.add(item, f"the user {quote(item.text)} has a number that is not between 0 and {_MAX_ID}")


def _bytes(number: str, prefix: str, binary: str) -> float:
    """Return an amount of memory as containerlab counts it: 1 MB is 1,000,000 bytes, 1 MiB is 1,048,576."""
    return float(number) * math.pow(1024 if binary else 1000, " kmgtpe".index(prefix.lower() or " "))


def _is_security_option(text: str) -> bool:
    option, separator, value = re.fullmatch(r"([^=:]*)([=:]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    if not separator:
        return option in ("no-new-privileges", "disable")
    if option in ("no-new-privileges", "writable-cgroups"):
        return _TRUE_OR_FALSE.fullmatch(value) is not None
    if option == "seccomp" and value not in ("unconfined", "builtin"):
        with suppress(ValueError):
            return isinstance(json.loads(value), dict)
        return False
    return option in _SECURITY_OPTIONS


# --- mounts ------------------------------------------------------------------------------------------------


def _check_mounts(inherited: Mapping[str, Tree], findings: Findings) -> None:
    """Check what is mounted where: no two on the same path, and none on the root."""
    first: dict[PurePosixPath, Tree] = {}
    for text, at in (*_binds(inherited, findings), *_volumes(inherited), *_tmpfs(inherited, findings)):
        target = PurePosixPath(posixpath.normpath(text))
        if target == PurePosixPath("/"):
            findings.add(at, "nothing can be mounted in place of the root directory '/'")
        elif (other := first.setdefault(target, at)) is not at:
            findings.add(at, f"two mounts on {quote(target)}, see line {other.place.line}", "leave one of them out")


def _binds(inherited: Mapping[str, Tree], findings: Findings) -> Iterator[tuple[str, Tree]]:
    for item in _scalars(inherited.get("binds")):
        _, _, rest = item.text.partition(":")
        target, _, options = rest.partition(":")
        given = [option for option in options.split(",") if option]
        kinds = [kind for option in given for kind in _BIND_OPTIONS if option in kind]
        if len(kinds) < len(given) or len(set(kinds)) < len(kinds):
            hint = f"use one each of {', '.join('|'.join(kind) for kind in _BIND_OPTIONS)}"
            findings.add(item, f"{quote(','.join(given))} are not options of a bind", hint)
        yield target, item


def _volumes(inherited: Mapping[str, Tree]) -> Iterator[tuple[str, Tree]]:
    for item in _scalars(inherited.get("volumes")):
        parts = item.text.split(":")
        yield parts[min(1, len(parts) - 1)], item


def _tmpfs(inherited: Mapping[str, Tree], findings: Findings) -> Iterator[tuple[str, Tree]]:
    tree = inherited.get("tmpfs")
    for path, value in tree.entries.items() if isinstance(tree, Table) else ():
        if not path.startswith("/"):
            findings.add(value, f"{quote(path)} is not an absolute path")
        for option in filter(None, value.text.split(",") if isinstance(value, Scalar) and not is_null(value) else ()):
            name, _, given = option.partition("=")
            if option not in _TMPFS_FLAGS and not (name in _TMPFS_VALUES and given):
                findings.add(value, f"{quote(option)} is not an option of a tmpfs", did_you_mean(name, _TMPFS_OPTIONS))
        yield path, value


def _scalars(tree: Tree | None) -> Iterator[Scalar]:
    """Yield the texts of a value: itself, or those of a list."""
    for item in tree.items if isinstance(tree, Items) else (tree,):
        if isinstance(item, Scalar) and not is_null(item):
            yield item
