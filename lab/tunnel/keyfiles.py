"""Key files that OpenVPN reads beside certificates, made as `openvpn --genkey` makes them.

A static key is 2048 random bits: two pairs of a key for encryption and one for authentication, 512 bits each, one
pair per direction. `tls-crypt` uses a file of the same form.

A `tls-crypt-v2` client has such a key of its own, followed by the same key wrapped: encrypted and authenticated with
the server's, so that the server need not know its clients' keys (doc/tls-crypt-v2.txt of OpenVPN's sources).
"""

import time
from base64 import b64encode
from textwrap import wrap

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_STATIC_BYTES = 256
_SERVER_BYTES = 128
"""A key for encryption and one for authentication; of each 64 bytes only the first 32 are used."""
_MADE_AT = b"\x01"
"""The type of metadata that says when a key was made."""


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


def tls_crypt_v2_server(secret: bytes) -> str:
    """The server's file for `tls-crypt-v2`."""
    return _pem("server", _server_key(secret))


def tls_crypt_v2_client(secret: bytes, name: str, made_at: float | None = None) -> str:
    """A client's file for `tls-crypt-v2`: a key of its own, and the same as only the server can open it."""
    key = derived(secret, f"tls-crypt-v2 client {name}", _STATIC_BYTES)
    seconds = int(time.time() if made_at is None else made_at)
    return _pem("client", key + _wrapped(key, _MADE_AT + seconds.to_bytes(8, "big"), _server_key(secret)))


def _server_key(secret: bytes) -> bytes:
    return derived(secret, "tls-crypt-v2 server", _SERVER_BYTES)


def _wrapped(key: bytes, metadata: bytes, server_key: bytes) -> bytes:
    encryption, authentication = server_key[:32], server_key[64:96]
    plain = key + metadata
    length = (hashes.SHA256.digest_size + len(plain) + 2).to_bytes(2, "big")
    hmac = HMAC(authentication, hashes.SHA256())
    hmac.update(length + plain)
    tag = hmac.finalize()
    encryptor = Cipher(AES256(encryption), CTR(tag[:16])).encryptor()
    return tag + encryptor.update(plain) + encryptor.finalize() + length


def _pem(end: str, content: bytes) -> str:
    label = f"OpenVPN tls-crypt-v2 {end} key"
    body = "\n".join(wrap(b64encode(content).decode(), 64))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n"
