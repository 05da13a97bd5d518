"""Reader of BIRD's configurations, of version 1.6 to 3."""

import re

from lab.configs.bird.configuration import BirdConfiguration, parse, read
from lab.configs.bird.facts import facts
from lab.configs.bird.upgrade import upgrade

__all__ = ["BirdConfiguration", "facts", "looks_like_bird", "parse", "read", "upgrade"]

_COMMENT = re.compile(r"#[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_OWN = re.compile(
    r"(?m)^[ \t]*("
    r"(protocol|template)[ \t]+(bgp|ospf|rip|static|kernel|device|direct|bfd|radv|pipe|babel|rpki|mrt|bmp|l3vpn|perf)\b"
    r"[^;\n]*(\{|$)|"
    r"router[ \t]+id[ \t]+[^;\n]+;|"
    r"(filter|function)[ \t]+\w+[ \t]*(\([^)\n]*\))?[^;\n]*(\{|$)|"
    r"define[ \t]+\w+[ \t]*=[^\n]*;|"
    r"((ipv[46]|roa[46])[ \t]+)?table[ \t]+\w+[ \t]*;|"
    r"route[ \t]+[0-9a-fA-F.:]+/\d+[ \t]+(via|blackhole|unreachable|prohibit|reject|drop)\b[^;\n]*;|"
    r"roa[ \t]+[0-9a-fA-F.:]+/\d+[ \t]+max[ \t]+\d+[ \t]+as[ \t]+\d+[ \t]*;|"
    r"(log|debug)[ \t]+[^;\n]*\b(all|protocols)\b[^;\n]*;|"
    r"listen[ \t]+bgp\b[^;\n]*;"
    r")"
)


def looks_like_bird(text: str) -> bool:
    """Return True for a text with statements that BIRD has and other programs do not."""
    return _OWN.search(_COMMENT.sub(" ", text)) is not None
