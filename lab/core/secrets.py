"""Mask passwords and keys in configurations that are stored, exported or shown."""

import re

MASK = "********"
_WORDS = re.compile(
    r"""(?mx)
    ^(?P<before>[^#!\n]*?\b
      (?:password|authentication-key|message-digest-key\s+\d+\s+md5|key-string|community-secret)\s+
    )
    (?P<secret>"[^"\n]*"|[^\s;]+)"""
)
_BLOCKS = re.compile(
    r"(?s)(<(?P<name>key|secret|tls-auth|tls-crypt|tls-crypt-v2|pkcs12|auth-user-pass|extra-certs)>\s*\n).*?(\n\s*</(?P=name)>|\Z)"
)

_KEYS = re.compile(
    r"(?s)(-----BEGIN (?P<kind>[^-\n]*(?:PRIVATE KEY|OpenVPN[^-\n]*key[^-\n]*))-----\n).*?(-----END (?P=kind)-----|\Z)"
)


def mask_secrets(text: str) -> str:
    """Return a text of FRR, BIRD or OpenVPN with each password and inline key replaced by asterisks."""
    blocks = _BLOCKS.sub(lambda found: f"{found[1]}{MASK}{found[3]}", text)
    blocks = _KEYS.sub(lambda found: f"{found[1]}{MASK}\n{found[3]}", blocks)
    return _WORDS.sub(lambda found: f"{found['before']}{MASK}", blocks)
