"""The filter of system calls of a node (seccomp(2)): what Docker's default filter is documented to refuse.

The runtime installs it for a node's first process, from the node's configuration; commands that enter a node get the
same, compiled by libseccomp, which every runtime needs as well. Docker allows what it lists and refuses the rest; this
filter refuses what it lists, so a call that is new to the kernel is left to the node's capabilities.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, Final

from lab.core.errors import EnvironmentBroken

_REFUSED: Final[Mapping[str, tuple[str, ...]]] = {
    "": (
        "_sysctl", "add_key", "create_module", "get_kernel_syms", "io_uring_enter", "io_uring_register",
        "io_uring_setup", "keyctl", "nfsservctl", "query_module", "request_key", "sysfs", "uselib", "userfaultfd",
        "ustat", "vm86", "vm86old",
    ),
    "DAC_READ_SEARCH": ("open_by_handle_at",),
    "SYS_ADMIN": (
        "bpf", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie", "mount", "mount_setattr",
        "move_mount", "open_tree", "perf_event_open", "pivot_root", "quotactl", "quotactl_fd", "setdomainname",
        "sethostname", "setns", "swapoff", "swapon", "umount", "umount2", "unshare",
    ),
    "SYS_BOOT": ("kexec_file_load", "kexec_load", "reboot"),
    "SYS_CHROOT": ("chroot",),
    "SYS_MODULE": ("delete_module", "finit_module", "init_module"),
    "SYS_NICE": ("get_mempolicy", "mbind", "move_pages", "set_mempolicy"),
    "SYS_PACCT": ("acct",),
    "SYS_PTRACE": ("kcmp", "pidfd_getfd", "process_vm_readv", "process_vm_writev"),
    "SYS_RAWIO": ("ioperm", "iopl"),
    "SYS_TIME": ("clock_adjtime", "clock_settime", "clock_settime64", "settimeofday", "stime"),
    "SYS_TTY_CONFIG": ("vhangup",),
    "SYSLOG": ("syslog",),
}  # fmt: skip
"""The calls that are refused without a capability, or to everybody (docs.docker.com, "Seccomp security profiles")."""
_NAMESPACES: Final = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
"""Flags of clone(2) that create a namespace; like unshare(2) they need SYS_ADMIN here, that of users too."""
_ARCHITECTURES: Final = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}
_TOKENS: Final = {
    "SCMP_ARCH_X86_64": 0xC000003E,
    "SCMP_ARCH_X86": 0x40000003,
    "SCMP_ARCH_X32": 0x4000003E,
    "SCMP_ARCH_AARCH64": 0xC00000B7,
    "SCMP_ARCH_ARM": 0x40000028,
}
_ALLOW, _ERRNO, _MASKED_EQUAL, _UNKNOWN = 0x7FFF0000, 0x00050000, 7, -1
"""Constants of seccomp.h."""


def profile(capabilities: Collection[str]) -> dict[str, Any]:
    """Return the filter for a node with these capabilities, as `linux.seccomp` of its configuration."""
    refused = [call for needed, calls in _REFUSED.items() if needed not in capabilities for call in calls]
    rules: list[dict[str, Any]] = [_refuse(sorted(refused), errno.EPERM)]
    if "SYS_ADMIN" not in capabilities:
        for flag in _NAMESPACES:
            flags = {"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}
            rules.append({**_refuse(["clone"], errno.EPERM), "args": [flags]})
        # Its flags are in memory, where a filter cannot look; libraries then use clone.
        rules.append(_refuse(["clone3"], errno.ENOSYS))
    architectures = list(_ARCHITECTURES.get(platform.machine(), ()))
    return {"defaultAction": "SCMP_ACT_ALLOW", "architectures": architectures, "syscalls": rules}


def _refuse(names: list[str], number: int) -> dict[str, Any]:
    return {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": number}


class _Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp` of seccomp.h."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def compiled(filter_: Mapping[str, Any]) -> bytes:
    """Return the program of a filter (bpf(4)); raises `EnvironmentBroken` if libseccomp is missing or refuses it."""
    library = _library()
    context = library.seccomp_init(_ALLOW)
    try:
        for name in filter_["architectures"]:
            if library.seccomp_arch_add(context, _TOKENS[name]) not in (0, -errno.EEXIST):
                raise EnvironmentBroken(f"libseccomp does not know the architecture {name}")
        for number, call, comparisons in _rules(filter_, library):
            done = library.seccomp_rule_add_array(
                context, _ERRNO | number, call, len(comparisons), (_Comparison * len(comparisons))(*comparisons)
            )
            if done != 0:
                raise EnvironmentBroken(f"libseccomp refuses a filter: {os.strerror(-done)}")
        with os.fdopen(os.memfd_create("filter"), "w+b") as program:
            if (done := library.seccomp_export_bpf(context, program.fileno())) != 0:
                raise EnvironmentBroken(f"libseccomp refuses a filter: {os.strerror(-done)}")
            program.seek(0)
            return program.read()
    finally:
        library.seccomp_release(context)


def _rules(filter_: Mapping[str, Any], library: Any) -> Iterator[tuple[int, int, list[_Comparison]]]:
    """Yield error number, system call and conditions of each rule; as for the runtime, unknown calls are left out."""
    for rule in filter_["syscalls"]:
        comparisons = [_Comparison(a["index"], _MASKED_EQUAL, a["value"], a["valueTwo"]) for a in rule.get("args", ())]
        for name in rule["names"]:
            call = library.seccomp_syscall_resolve_name(name.encode())
            if call != _UNKNOWN:
                yield rule["errnoRet"], call, comparisons


@cache
def _library() -> Any:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise EnvironmentBroken("libseccomp is missing: run `apt-get install libseccomp2` as root") from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_arch_add.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    library.seccomp_rule_add_array.argtypes = (
        ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p
    )  # fmt: skip
    library.seccomp_export_bpf.argtypes = (ctypes.c_void_p, ctypes.c_int)
    library.seccomp_release.argtypes = (ctypes.c_void_p,)
    library.seccomp_release.restype = None
    return library
