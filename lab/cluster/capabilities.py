"""The capabilities of a container in which the engine crun runs labs."""

from typing import Final

HOST: Final = (
    "NET_ADMIN", "SYS_ADMIN", "NET_RAW", "SYS_PTRACE", "SYS_NICE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL",
    "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip
"""Links and devices (NET_ADMIN), namespaces, mounts and filters of system calls (SYS_ADMIN), namespaces of other users'
processes (SYS_PTRACE), priorities (SYS_NICE); the rest is what containers usually have, and nodes in turn."""
