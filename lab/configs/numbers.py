"""Numbers in configuration files."""

from ipaddress import IPv4Address


def is_number(text: str) -> bool:
    """Return True for a decimal number that fits into 32 bits."""
    return text.isascii() and text.isdecimal() and len(text) < 10


def parse_asn(text: str) -> int | None:
    """Return the number of an autonomous system, also of the form `1.10`; None for another text."""
    high, dot, low = text.partition(".")
    parts = (high, low) if dot else (high,)
    if not all(part.isascii() and part.isdecimal() and len(part) < 11 for part in parts):
        return None
    number = (int(high) << 16) + int(low) if dot else int(high)
    return number if 0 < number < 1 << 32 else None


def parse_area(text: str) -> str | None:
    """Return an OSPF area as dotted quad; None for another text."""
    try:
        return str(IPv4Address(int(text) if text.isascii() and text.isdecimal() and len(text) < 11 else text))
    except ValueError:
        return None
