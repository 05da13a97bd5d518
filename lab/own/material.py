"""The keys and certificates of a process of the user's: which are at hand, and which of them can be used."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from lab.configs.disk import MAX_SIZE, Unreadable
from lab.configs.openvpn.configuration import INLINE, Directive
from lab.own.draft import Draft

if TYPE_CHECKING:
    from cryptography import x509

_CERTIFICATES: Final = re.compile(
    rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.S
)
_STATIC: Final = re.compile(
    rb"-----BEGIN OpenVPN Static key V1-----([0-9a-fA-F\s]*)-----END OpenVPN Static key V1-----"
)
_V2: Final = re.compile(
    rb"-----BEGIN OpenVPN tls-crypt-v2 (server|client) key-----([A-Za-z0-9+/=\s]*)"
    rb"-----END OpenVPN tls-crypt-v2 \1 key-----"
)
_SYSTEM: Final = re.compile(
    r"/+(proc|sys|dev|boot|s?bin|lib\w*|usr/(s?bin|lib\w*)|"
    r"etc/(passwd|group|shadow|gshadow|hosts|hostname|resolv\.conf|nsswitch\.conf|ld\.so.*|frr|bird|ssl))(/|$)|/*$"
)
CONSOLE: Final = "stdin"
"""The word of OpenVPN for a password that it asks for at its console."""
_ASK: Final = frozenset(
    {"auth-user-pass", "askpass", "http-proxy", "http-proxy-user-pass", "socks-proxy", "management"}
)
_STATIC_BYTES: Final = 256
_V2_SERVER_BYTES: Final = 128


@dataclass(frozen=True)
class Slot:
    """An option that names a file with a key, certificate or password, or has it as a block."""

    directive: Directive
    path: PurePosixPath | None
    """The file's path in the node; None for a block, or if the option names none."""
    source: Path | None
    """The file on the host: that of the option, or the one with the block; None if it is not at hand."""
    content: bytes | None
    """None if it is not at hand."""

    @property
    def has_credentials(self) -> bool:
        """True if it has a user and a password, in a line each."""
        lines = (self.content or b"").splitlines()
        return len(lines) > 1 and all(lines[:2])

    @property
    def inline(self) -> bool:
        """True for a block."""
        return self.directive.argument(0) == INLINE

    @property
    def block(self) -> str:
        """The name of the block in `source` that has the content; empty if the file itself has it."""
        return self.directive.name if self.inline else ""

    @property
    def missing(self) -> bool:
        """True if the option names a file that is not at hand, so that the lab can give the node one in its place.

        Not in place of a program or a file of the system: a line that names one is a mistake.
        """
        return self.path is not None and self.content is None and not _SYSTEM.match(str(self.path))


def slot(draft: Draft, option: str) -> Slot | None:
    """Return the last option of a name with its content; None if the file has none."""
    directive = draft.configuration.last(option)
    return None if directive is None else slot_of(draft, directive)


def slot_of(draft: Draft, directive: Directive, number: int = 0) -> Slot:
    """Return a line with the content of the file that its argument `number` names."""
    name = directive.argument(number)
    if name == INLINE:
        source, content = _block(draft, directive)
        return Slot(directive, None, source, content)
    if not name or (name == CONSOLE and directive.name in _ASK):
        return Slot(directive, None, None, None)
    path = draft.locate(directive.name, name)
    source = draft.disk.find(path)
    return Slot(directive, path, source, _read(source))


def _read(source: Path | None) -> bytes | None:
    if source is None:
        return None
    try:
        with source.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except OSError:
        return None
    return content if len(content) <= MAX_SIZE else None


def _block(draft: Draft, directive: Directive) -> tuple[Path | None, bytes | None]:
    for path in draft.texts:
        if draft.disk.name(path) != directive.spot.file:
            continue
        try:
            lines = draft.disk.text(path).split("\n")
        except Unreadable:
            return None, None
        body = []
        for line in lines[directive.spot.line :]:
            if line.lstrip().startswith(f"</{directive.name}>"):
                break
            body.append(line)
        return draft.disk.find(path), "\n".join(body).encode()
    return None, None


def certificates(content: bytes | None) -> "list[x509.Certificate]":
    """Return the certificates in a PEM file; empty if it has none, or one that cannot be read."""
    from cryptography import x509

    found = []
    for pem in _CERTIFICATES.findall(content or b""):
        try:
            found.append(x509.load_pem_x509_certificate(pem.replace(b"TRUSTED ", b"")))
        except Exception:
            return []
    return found


def private_key(content: bytes | None, passphrase: bytes | None) -> Any:
    """Return a private key from PEM; None if it cannot be read or decrypted."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    for password in (None, passphrase):
        try:
            return load_pem_private_key(content or b"", password)
        except Exception:  # noqa: S112 - a key that the library refuses for any reason is unusable
            continue
    return None


def is_encrypted(content: bytes | None) -> bool:
    """Return True for a private key that needs a passphrase."""
    return b"ENCRYPTED" in (content or b"")


def pkcs12(content: bytes | None, passphrase: bytes | None) -> "tuple[x509.Certificate, list[x509.Certificate]] | None":
    """Return the certificate and the authorities in a PKCS #12 file; None if it cannot be decrypted or has no key."""
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

    for password in (None, b"", passphrase):
        try:
            key, certificate, others = load_key_and_certificates(content or b"", password)
        except Exception:  # noqa: S112 - a file that the library refuses for any reason is unusable
            continue
        return (certificate, others) if key is not None and certificate is not None else None
    return None


def match(certificate: "x509.Certificate", key: Any) -> bool:
    """Return True if a private key is the one of a certificate."""
    try:
        return bool(certificate.public_key() == key.public_key())
    except Exception:
        return False


def is_issued_by(certificate: "x509.Certificate", authority: "x509.Certificate") -> bool:
    """Return True if an authority has signed a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:
        return False
    return True


def has_expired(certificate: "x509.Certificate") -> bool:
    """Return True if a certificate is not valid any more."""
    return certificate.not_valid_after_utc < datetime.now(UTC)


def is_static_key(content: bytes | None) -> bool:
    """Return True for a key of `tls-auth`, `tls-crypt` or `secret`."""
    found = _STATIC.search(content or b"")
    return found is not None and len(b"".join(found[1].split())) == 2 * _STATIC_BYTES


def tls_crypt_v2_key(content: bytes | None, end: str) -> bytes | None:
    """Return the bytes of a key of `tls-crypt-v2` for an end, `server` or `client`; None if it cannot be used."""
    from base64 import b64decode
    from binascii import Error

    found = _V2.search(content or b"")
    if found is None or found[1].decode() != end:
        return None
    try:
        octets = b64decode(b"".join(found[2].split()), validate=True)
    except Error:
        return None
    fits = len(octets) == _V2_SERVER_BYTES if end == "server" else len(octets) > _STATIC_BYTES
    return octets if fits else None


def is_dh(content: bytes | None) -> bool:
    """Return True for parameters of Diffie-Hellman."""
    return re.search(rb"-----BEGIN (X9.42 )?DH PARAMETERS-----[A-Za-z0-9+/=\s]+-----END", content or b"") is not None


def crl_state(content: bytes | None) -> str:
    """Return `valid`, `expired` or `unreadable` of a list of revoked certificates."""
    from cryptography import x509

    try:
        found = x509.load_pem_x509_crl(content or b"")
    except Exception:
        return "unreadable"
    ends = found.next_update_utc
    return "expired" if ends is not None and ends < datetime.now(UTC) else "valid"
