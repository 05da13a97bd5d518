"""Settings of nodes that engines read alike: amounts of memory, kernel parameters."""

import re
from collections.abc import Mapping

from lab.core.errors import InputError
from lab.engine.base import NODE_SYSCTLS

_SYNONYMS = {"net.ipv4.conf.all.forwarding": "net.ipv4.ip_forward"}
"""Two names of one setting: the order in which an engine writes both is undefined."""
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50, "e": 1 << 60}


def sysctls(role: Mapping[str, str], topology: Mapping[str, str]) -> dict[str, str]:
    """Merge sysctls: defaults, then role, then topology."""
    replaced = {_SYNONYMS[key] for key in topology if key in _SYNONYMS}
    return {**{key: value for key, value in {**NODE_SYSCTLS, **role}.items() if key not in replaced}, **topology}


def parse_amount(text: str) -> int:
    """Return the bytes of an amount of memory such as `512MB`, `1 GiB` or `64m`; raises `InputError`."""
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([kmgtpe]?)(?:i?b)?\s*", text, re.IGNORECASE)
    if found is None:
        raise InputError(f"{text!r} is not an amount of memory: write for example 512MB")
    return int(float(found[1]) * _UNITS[found[2].lower()])
