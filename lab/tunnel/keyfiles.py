"""Key files that OpenVPN reads beside certificates, made as `openvpn --genkey` makes them.

A static key is 2048 random bits: two pairs of a key for encryption and one for authentication, 512 bits each, one
pair per direction. `tls-crypt` uses a file of the same form.
"""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_STATIC_BYTES = 256


def derived(secret: bytes, purpose: str, length: int) -> bytes:
    """Bytes for one purpose out of a secret (HKDF, RFC 5869); the same each time."""
    # A derivation ends at 255 digests, which is more than any key is long.
    return HKDF(hashes.SHA256(), length=length, salt=None, info=purpose.encode()).derive(secret)


def static_key(secret: bytes, purpose: str) -> str:
    """A file for `secret` or `tls-crypt`."""
    digits = derived(secret, purpose, _STATIC_BYTES).hex()
    lines = [digits[start : start + 32] for start in range(0, len(digits), 32)]
    body = "\n".join(["-----BEGIN OpenVPN Static key V1-----", *lines, "-----END OpenVPN Static key V1-----"])
    return f"#\n# 2048 bit OpenVPN static key\n#\n{body}\n"
