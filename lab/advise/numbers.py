"""Numbers in configuration files."""


def is_number(text: str) -> bool:
    """Return True for a decimal number that fits into 32 bits."""
    return text.isascii() and text.isdecimal() and len(text) < 10
