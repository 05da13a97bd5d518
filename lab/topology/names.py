"""The rules for names: of labs, nodes, interfaces and tunnels."""

import re

LONGEST_NAME = 60
"""containerlab's limit for a name that can be resolved."""
LONGEST_INTERFACE = 15
"""The kernel's limit for the name of an interface (IFNAMSIZ less the closing zero)."""

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]*")


def objection_to_name(name: str, *, shortest: int = 1) -> str | None:
    """Return what is wrong with the name of a lab, a node or a tunnel; None if nothing is."""
    if not _NAME.fullmatch(name):
        return "a name begins with a letter or digit and goes on with letters, digits, '.', '_' and '-'"
    if len(name) > LONGEST_NAME:
        return f"a name has {LONGEST_NAME} characters at most"
    if len(name) < shortest:
        return f"a container's name has {shortest} characters or more, and 'prefix' adds none here"
    return None


def objection_to_interface(name: str) -> str | None:
    """Return what the kernel has against the name of an interface; None if nothing."""
    if not name:
        return "an interface needs a name"
    if len(name.encode()) > LONGEST_INTERFACE:
        return f"an interface's name has {LONGEST_INTERFACE} characters at most"
    if name in (".", "..") or any(c in "/:%" or c.isspace() or not c.isprintable() for c in name):
        return "an interface's name has no space, '/', ':' or '%'"
    if name == "lo":
        return "every node has its loopback interface already; a 'dummy' link makes another one"
    if name == "all" or name == "default":
        return "the kernel keeps this name for the settings of all interfaces"
    return None
