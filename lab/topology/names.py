"""The rules for names of labs, nodes, tunnels and interfaces."""

import re

MAX_NAME_LENGTH = 60
"""containerlab's limit, so that the name can be resolved."""
MAX_INTERFACE_LENGTH = 15
"""The kernel's limit: IFNAMSIZ without the final zero."""

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


def objection_to_interface(name: str) -> str | None:
    """Return the rule of the kernel that an interface's name breaks; None if it is valid."""
    if not name:
        return "an interface needs a name"
    if len(name.encode()) > MAX_INTERFACE_LENGTH:
        return f"an interface's name has {MAX_INTERFACE_LENGTH} characters at most"
    if name in (".", "..") or any(c in "/:%" or c.isspace() or not c.isprintable() for c in name):
        return "an interface's name has no space, '/', ':' or '%'"
    if name == "lo":
        return "every node already has its loopback interface; a 'dummy' link adds another one"
    if name == "all" or name == "default":
        return "the kernel reserves this name for the settings of all interfaces"
    return None
