"""The configuration of a node for an OCI runtime (OCI runtime specification), with what Docker sets by default."""

import os
import re
import shlex
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lab.core.capabilities import NAMES
from lab.core.errors import EnvironmentBroken, InputError
from lab.core.places import data_directory
from lab.engine.base import HOSTS, NodeSpec
from lab.engine.crun import capabilities, cgroups, system_calls, users
from lab.engine.settings import parse_amount, sysctls
from lab.host.user_namespace import last_group
from lab.image.store import ImageConfig, Unpacked
from lab.topology import Node

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HOSTNAME = 63
"""The longest host name that a node gets from its own name (the kernel's limit is 64 characters)."""
_MASKED = (
    "/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
"""Docker's lists of paths that are hidden, or mounted read-only."""
_RESOLVER = PurePosixPath("/etc/resolv.conf")
_HOSTS_FILE = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_SHM = 64 << 20
_PERIOD = 100_000
"""Microseconds over which the kernel accounts for a limit of CPUs; Docker's default."""
VOLUMES = "volumes"
"""The directory of the volumes without a name, below the node's."""
_BIND_OPTIONS = frozenset({"ro", "rw", "z", "Z", "nocopy", "volume-nocopy", "consistent", "cached", "delegated"})
_PROPAGATION = frozenset({f"{r}{p}" for r in ("", "r") for p in ("private", "shared", "slave")})


@dataclass(frozen=True)
class Bundle:
    """The configuration of a node, and the files that it mounts."""

    configuration: Mapping[str, Any]
    files: Mapping[str, str]
    """Contents by name below the node's directory."""
    volumes: tuple[str, ...]
    """The names of directories below `VOLUMES`."""


def bundle(spec: NodeSpec, image: Unpacked, directory: Path, *, network: str | None, processes: str | None) -> Bundle:
    """Return the bundle of a node whose directory is `directory`.

    `network` and `processes` are the files of the network and the PID namespace that it joins, empty for one of its
    own, None for the host's. Raises `InputError` for a setting that cannot be applied.
    """
    node = spec.node
    files = _files(spec, network)
    joined = {"pid": processes, "network": network, "ipc": "", "uts": "", "mount": ""}
    if spec.cgroup_namespace == "private":
        joined["cgroup"] = ""
    namespaces = [
        {"type": kind, **({"path": path} if path else {})} for kind, path in joined.items() if path is not None
    ]
    devices, rules = _devices(spec)
    mounts = [
        *_system_mounts(spec),
        *(_bind(directory / name, target, ()) for name, target in _mounted(files).items()),
        *_lab_mounts(spec),
        *(_parsed_bind(node, text) for text in node.binds),
        *_volumes(node),
        *(_bind(directory / VOLUMES / name, target, ()) for name, target in _anonymous_volumes(node, image).items()),
        *(_tmpfs(text) for text in node.tmpfs),
    ]
    linux: dict[str, Any] = {
        "namespaces": namespaces,
        "devices": devices,
        "resources": _resources(node, rules),
        "sysctl": _kernel_parameters(spec) if network == "" else {},
    }
    group = cgroups.path_of(spec.container)
    if group is not None:
        linux["cgroupsPath"] = group
    if not spec.privileged and not _UNFILTERED & set(node.security_opts):
        linux["seccomp"] = system_calls.profile(_granted(spec))
    if not spec.privileged and "systempaths=unconfined" not in node.security_opts:
        linux["maskedPaths"], linux["readonlyPaths"] = list(_MASKED), list(_READ_ONLY)
    configuration = {
        "ociVersion": "1.0.2",
        "root": {"path": "root", "readonly": False},
        "hostname": node.hostname or node.name[:_HOSTNAME],
        "process": _process(spec, image),
        "mounts": mounts,
        "linux": linux,
    }
    return Bundle(configuration, files, tuple(_anonymous_volumes(node, image)))


def _kernel_parameters(spec: NodeSpec) -> dict[str, str]:
    """Return the sysctls of a node; of the groups that may ping only those that exist in a user's namespace."""
    found = sysctls(spec.sysctls, spec.node.sysctls)
    if _PING_GROUPS in found and _PING_GROUPS not in spec.node.sysctls:
        first, last = map(int, found[_PING_GROUPS].split())
        found[_PING_GROUPS] = f"{first} {min(last, last_group())}"
    return found


def settings_of(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the keys of a node that this engine does not implement, each with the reason."""
    if node.ports:
        yield "ports", "publishes no ports"
    if node.network_mode == "bridge":
        yield "network-mode", "has no management network"
    if node.cgroup_parent is not None:
        yield "cgroup-parent", "has control groups of its own"
    if node.restart_policy != "no":
        yield "restart-policy", "does not restart nodes"
    for option in node.security_opts:
        if option not in _SECURITY_OPTIONS:
            yield "security-opts", f"does not know {option!r}"
    limits = {"cpu": node.cpu, "cpu-set": node.cpu_set, "memory": node.memory}
    for key, controller in {"cpu": "cpu", "cpu-set": "cpuset", "memory": "memory"}.items():
        if limits[key] is not None and not cgroups.has(controller):
            yield key, f"may not write the control groups of {controller!r} here"


_UNFILTERED = frozenset({"seccomp=unconfined", "seccomp:unconfined"})
_PING_GROUPS = "net.ipv4.ping_group_range"
_SECURITY_OPTIONS = frozenset(
    {
        "no-new-privileges",
        "no-new-privileges:true",
        "no-new-privileges=true",
        "no-new-privileges:false",
        "no-new-privileges=false",
        "systempaths=unconfined",
        "label=disable",
        "label:disable",
        "seccomp=unconfined",
        "seccomp:unconfined",
        "apparmor=unconfined",
        "apparmor:unconfined",
    }
)


# --- the process ---------------------------------------------------------------------------------------------


def _process(spec: NodeSpec, image: Unpacked) -> dict[str, Any]:
    node = spec.node
    user = users.look_up(node.user or image.config.user, image.rootfs)
    granted = sorted(_granted(spec), key=NAMES.index)
    names = [f"CAP_{name}" for name in granted]
    effective = names if user.uid == 0 else []
    return {
        "terminal": False,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": list(_arguments(node, image.config)),
        "env": _environment(node, image.config, user, terminal=spec.terminal),
        "cwd": image.config.working_dir or "/",
        "capabilities": {"bounding": names, "effective": effective, "permitted": effective},
        "noNewPrivileges": any(
            o.startswith("no-new-privileges") and not o.endswith("false") for o in node.security_opts
        ),
    }


def _granted(spec: NodeSpec) -> frozenset[str]:
    if spec.privileged:
        return capabilities.bounding()
    if spec.capabilities is None:
        return frozenset(capabilities.normalised((*capabilities.DEFAULT, *spec.node.cap_add)))
    return frozenset(capabilities.normalised(spec.capabilities))


def _arguments(node: Node, image: ImageConfig) -> Sequence[str]:
    entrypoint: Sequence[str] = shlex.split(node.entrypoint) if node.entrypoint else image.entrypoint
    if node.cmd:
        command: Sequence[str] = shlex.split(node.cmd)
    else:
        command = () if node.entrypoint else image.cmd  # the image's command is for its own entry point
    if not entrypoint and not command:
        raise InputError(f"node {node.name!r}: image {node.image!r} has no command: write `cmd`")
    return (*entrypoint, *command)


def _environment(node: Node, image: ImageConfig, user: users.User, *, terminal: bool) -> list[str]:
    known = dict(
        line.partition("=")[::2]
        for line in (
            _PATH,
            f"HOSTNAME={node.hostname or node.name[:_HOSTNAME]}",
            *(["TERM=xterm"] if terminal else []),
            *image.env,
        )
    )
    found = {**known, **node.env}
    return [f"{key}={value}" for key, value in {**found, "HOME": found.get("HOME", user.home)}.items()]


# --- files and mounts ----------------------------------------------------------------------------------------


def _files(spec: NodeSpec, network: str | None) -> dict[str, str]:
    """Return the files of the host names and the resolver that the engine writes, as Docker does."""
    node = spec.node
    targets = {m.target for m in spec.mounts} | {PurePosixPath(b.split(":")[1]) for b in node.binds}
    files = {}
    if HOSTS not in targets:
        files["hosts"] = Path(HOSTS).read_text() if network is None else _HOSTS_FILE
    if node.dns is not None and _RESOLVER not in targets:
        lines = [f"nameserver {server}" for server in node.dns.servers]
        lines += [f"search {' '.join(node.dns.search)}"] if node.dns.search else []
        lines += [f"options {' '.join(node.dns.options)}"] if node.dns.options else []
        files["resolv.conf"] = "".join(f"{line}\n" for line in lines)
    elif _RESOLVER not in targets:
        # The image may have that of the host that built it.
        files["resolv.conf"] = Path(_RESOLVER).read_text() if network is None and Path(_RESOLVER).exists() else ""
    return files


def _mounted(files: Mapping[str, str]) -> dict[str, PurePosixPath]:
    return {name: PurePosixPath("/etc", name) for name in files}


def _system_mounts(spec: NodeSpec) -> list[dict[str, Any]]:
    shm = parse_amount(spec.node.shm_size) if spec.node.shm_size is not None else _SHM
    safe = ["nosuid", "noexec", "nodev"]
    kernel = [*safe, "rw" if spec.privileged else "ro"]
    return [
        _mount("/proc", "proc", safe, "proc"),
        _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"], "tmpfs"),
        _mount(
            "/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"], "devpts"
        ),
        _mount("/sys", "sysfs", kernel, "sysfs"),
        _mount("/dev/mqueue", "mqueue", safe, "mqueue"),
        _mount("/dev/shm", "tmpfs", [*safe, "mode=1777", f"size={shm}"], "shm"),  # noqa: S108 - in the node
    ]


def _mount(target: str, kind: str, options: Sequence[str], source: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


def _bind(source: Path, target: PurePosixPath, options: Sequence[str]) -> dict[str, Any]:
    propagation = [] if _PROPAGATION & set(options) else ["rprivate"]
    return _mount(str(target), "bind", ["rbind", *propagation, *options], str(source))


def _lab_mounts(spec: NodeSpec) -> Iterator[dict[str, Any]]:
    """Yield the mounts that the lab adds; a directory that has no files yet is created, as Docker does."""
    for mount in spec.mounts:
        if not mount.source.exists():
            mount.source.mkdir(parents=True)
        yield _bind(mount.source, mount.target, ("ro",) if mount.read_only else ())


def _parsed_bind(node: Node, text: str) -> dict[str, Any]:
    source, target, *rest = text.split(":")
    options = rest[0].split(",") if rest else []
    if unknown := set(options) - _BIND_OPTIONS - _PROPAGATION:
        raise InputError(f"node {node.name!r}: the bind {text!r} has an unknown option {min(unknown)!r}")
    try:
        if not Path(source).exists():
            Path(source).mkdir(parents=True)  # as Docker does
    except OSError as error:
        raise InputError(
            f"node {node.name!r}: the source of the bind {text!r} cannot be created: {error.strerror}"
        ) from error
    kept = [option for option in options if option in _PROPAGATION or option == "ro"]
    return _bind(Path(source), PurePosixPath(target), kept)


def _volumes(node: Node) -> Iterator[dict[str, Any]]:
    """Yield the mounts of named volumes, which stay after the lab."""
    for volume in node.volumes:
        if ":" not in volume:
            continue
        name, target, *rest = volume.split(":")
        if not re.fullmatch(r"[\w.-]+", name) or name in (".", ".."):
            raise InputError(f"node {node.name!r}: {name!r} is not the name of a volume")
        source = data_directory() / "volumes" / name
        try:
            source.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentBroken(f"the volume {source} cannot be created: {error.strerror}") from error
        yield _bind(source, PurePosixPath(target), ["ro"] if rest and "ro" in rest[0].split(",") else [])


def _anonymous_volumes(node: Node, image: Unpacked) -> dict[str, PurePosixPath]:
    """Return the volumes without a name, which vanish with the node.

    Where the image has a directory of that name, the node's own root file system does as well.
    """
    targets = [PurePosixPath(volume) for volume in node.volumes if ":" not in volume]
    missing = [target for target in targets if not (image.rootfs / target.relative_to("/")).is_dir()]
    return {target.as_posix().strip("/").replace("/", "-"): target for target in missing}


def _tmpfs(text: str) -> dict[str, Any]:
    target, _, options = text.partition(":")
    return _mount(target, "tmpfs", ["nosuid", "nodev", "noexec", *filter(None, options.split(","))], "tmpfs")


# --- devices and limits --------------------------------------------------------------------------------------


def _devices(spec: NodeSpec) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the devices to create, and the rules of the control group that allow them."""
    if spec.privileged:
        every = sorted(path for path in Path("/dev").rglob("*") if not path.is_symlink() and _is_device(path))
        outside = [path for path in every if path.parts[2] not in ("pts", "shm", "mqueue")]
        return [_device(path, path, spec.node.name) for path in outside], [{"allow": True, "access": "rwm"}]
    devices, rules = [], [{"allow": False, "access": "rwm"}]
    for text in (*spec.devices, *spec.node.devices):
        source, _, rest = text.partition(":")
        target, _, access = rest.partition(":")
        if target and set(target) <= set("rwm"):  # SOURCE:ACCESS
            target, access = "", target
        device = _device(Path(source), Path(target or source), spec.node.name)
        devices.append(device)
        numbers = {"major": device["major"], "minor": device["minor"]}
        rules.append({"allow": True, "type": device["type"], **numbers, "access": access or "rwm"})
    return devices, rules


def _is_device(path: Path) -> bool:
    try:
        return path.is_char_device() or path.is_block_device()
    except OSError:
        return False


def _device(source: Path, target: Path, node: str) -> dict[str, Any]:
    try:
        found = source.stat()
    except OSError as error:
        raise EnvironmentBroken(f"{node}: the device {source} cannot be used: {error.strerror}") from error
    if not _is_device(source):
        raise InputError(f"node {node!r}: {source} is not a device: correct `devices`")
    return {
        "path": str(target),
        "type": "b" if stat.S_ISBLK(found.st_mode) else "c",
        "major": os.major(found.st_rdev),
        "minor": os.minor(found.st_rdev),
        "fileMode": stat.S_IMODE(found.st_mode),
        "uid": 0,
        "gid": 0,
    }


def _resources(node: Node, rules: list[dict[str, Any]]) -> dict[str, Any]:
    resources: dict[str, Any] = {"devices": rules}
    cpu: dict[str, Any] = {}
    if node.cpu:
        cpu |= {"period": _PERIOD, "quota": int(node.cpu * _PERIOD)}
    if node.cpu_set is not None:
        cpu["cpus"] = node.cpu_set
    if cpu:
        resources["cpu"] = cpu
    if node.memory is not None:
        resources["memory"] = {"limit": parse_amount(node.memory)}
    return resources
