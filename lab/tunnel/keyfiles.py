"""OpenVPN's key files besides certificates, in the format of `openvpn --genkey`.

A static key has 2048 bits: per direction a key for encryption and one for authentication, 512 bits each. `tls-crypt`
uses the same format.

The file of a `tls-crypt-v2` client holds its own key twice: in the clear, and wrapped, that is encrypted and
authenticated with the server's key, so that the server need not store it (doc/tls-crypt-v2.txt in OpenVPN's sources).
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
"""A key for encryption and one for authentication, 64 bytes each, of which the first 32 are used."""
_TIMESTAMP = b"\x01"
"""The metadata type of a timestamp: when the key was made."""


def derive_key(secret: bytes, purpose: str, length: int) -> bytes:
    """Derive bytes for one purpose from a secret (HKDF, RFC 5869); the same at each call."""
    # HKDF yields at most 255 digests, more than any key needs.
    return HKDF(hashes.SHA256(), length=length, salt=None, info=purpose.encode()).derive(secret)


DIFFIE_HELLMAN = """\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""
"""The group ffdhe2048 of RFC 7919: parameters of Diffie-Hellman need not be secret, and making some takes long."""


def static_key(secret: bytes, purpose: str) -> str:
    """Return the file for `secret` or `tls-crypt`."""
    digits = derive_key(secret, purpose, _STATIC_BYTES).hex()
    lines = [digits[start : start + 32] for start in range(0, len(digits), 32)]
    body = "\n".join(["-----BEGIN OpenVPN Static key V1-----", *lines, "-----END OpenVPN Static key V1-----"])
    return f"#\n# 2048 bit OpenVPN static key\n#\n{body}\n"


def tls_crypt_v2_server(secret: bytes) -> str:
    """Return the server's file for `tls-crypt-v2`."""
    return _pem("server", _server_key(secret))


def tls_crypt_v2_client(
    secret: bytes, name: str, made_at: float | None = None, *, server_key: bytes | None = None
) -> str:
    """Return a client's file for `tls-crypt-v2`: its key, and the same key encrypted for the server.

    `server_key` is the server's key if it is not the one that `secret` yields.
    """
    key = derive_key(secret, f"tls-crypt-v2 client {name}", _STATIC_BYTES)
    seconds = int(time.time() if made_at is None else made_at)
    wrapped = _wrap_key(key, _TIMESTAMP + seconds.to_bytes(8, "big"), server_key or _server_key(secret))
    return _pem("client", key + wrapped)


def _server_key(secret: bytes) -> bytes:
    return derive_key(secret, "tls-crypt-v2 server", _SERVER_BYTES)


def _wrap_key(key: bytes, metadata: bytes, server_key: bytes) -> bytes:
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
