"""The rules for names of labs, nodes, tunnels and interfaces."""

import re
import zlib

MAX_NAME_LENGTH = 120
"""So that the name of a container, which has the lab's and the node's in it, can be that of a file."""
MAX_INTERFACE_LENGTH = 15
"""The kernel's limit: IFNAMSIZ without the final zero."""
MAX_ALTNAME_LENGTH = 127
"""The kernel's limit for alternative names: ALTIFNAMSIZ without the final zero."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")


def objection_to_name(name: str, *, shortest: int = 1) -> str | None:
    """Return the rule that a name of a lab, a node or a tunnel breaks; None if it is valid."""
    if not _NAME.fullmatch(name):
        return "a name begins with a letter or digit, followed by letters, digits, '.', '_' and '-'"
    if len(name) > MAX_NAME_LENGTH:
        return f"a name has {MAX_NAME_LENGTH} characters at most"
    if len(name) < shortest:
        return f"a container's name has {shortest} characters or more, and the 'prefix' is empty"
    return None


def needs_altname(name: str) -> bool:
    """Return True for a name that an interface can have only as an alternative one, with `-` for `/` and space."""
    return len(name.encode()) > MAX_INTERFACE_LENGTH or "/" in name or " " in name


def altname_of(name: str) -> str:
    """Return the alternative name of an interface: containerlab writes `-` for `/` and space."""
    return name.replace("/", "-").replace(" ", "-")


def kernel_name(node: str, name: str) -> str:
    """Return the name of an interface whose name in the file is not valid for the kernel."""
    return f"clab-{zlib.crc32(f'{node}:{name}'.encode()):08x}"


def objection_to_interface(name: str, *, altname: bool = False) -> str | None:
    """Return the rule of the kernel that an interface's name breaks; None if it is valid.

    With `altname` it may be longer than the kernel's names, and have slashes and spaces.
    """
    if not name:
        return "an interface needs a name"
    longest = MAX_ALTNAME_LENGTH if altname else MAX_INTERFACE_LENGTH
    if len(name.encode()) > longest:
        return f"an interface's name has {longest} characters at most"
    forbidden = ":%" if altname else "/:% "
    if name in (".", "..") or any(c in forbidden or (c.isspace() and c != " ") or not c.isprintable() for c in name):
        return "an interface's name has no space, '/', ':' or '%'"
    if name == "lo":
        return "every node already has its loopback interface; a 'dummy' link adds another one"
    if name == "all" or name == "default":
        return "the kernel reserves this name for the settings of all interfaces"
    return None
