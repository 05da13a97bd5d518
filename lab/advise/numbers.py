"""Numbers in configuration files."""


def is_number(text: str) -> bool:
    """True of a number that no reader of configurations would choke on."""
    return text.isascii() and text.isdecimal() and len(text) < 10
