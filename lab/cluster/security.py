"""Dask's TLS settings out of a directory of certificates."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cluster.certificates import AUTHORITY, ROLES, Role, certificate_file, key_file
from lab.core.errors import InputError

if TYPE_CHECKING:
    from distributed import Security

SCHEME = "tls://"
_OTHERS = 0o077


def require_tls(address: str) -> str:
    """Return the address of a scheduler; raises `InputError` if it is not one of TLS."""
    if not address.startswith(SCHEME):
        raise InputError(f"{address!r} is not an address of TLS: write {SCHEME}HOST:PORT")
    return address


def security(directory: Path, role: Role = "client") -> "Security":
    """Return the settings of a process with this role; Dask's other roles are set if their files are there.

    Raises `InputError` if a file of the role is missing, cannot be used, or may be read by others.
    """
    from distributed import Security

    authority = certificate_file(directory, AUTHORITY)
    _require(directory, authority, certificate_file(directory, role), key_file(directory, role))
    _load(directory, role)
    found = {"tls_ca_file": str(authority)}
    for each in ROLES:
        certificate, key = certificate_file(directory, each), key_file(directory, each)
        if certificate.exists() and key.exists():
            found |= {f"tls_{each}_cert": str(certificate), f"tls_{each}_key": str(key)}
    return Security(require_encryption=True, **found)


def _require(directory: Path, *files: Path) -> None:
    missing = [file.name for file in files if not file.exists()]
    if missing:
        raise InputError(
            f"{directory} has no {' and no '.join(missing)}: `lab cluster certs DIR` writes them, copy them from there"
        )


def _load(directory: Path, role: Role) -> None:
    certificate, key = certificate_file(directory, role), key_file(directory, role)
    if key.stat().st_mode & _OTHERS:
        raise InputError(f"{key} may be read by other users: run `chmod 600 {key}`")
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(certificate_file(directory, AUTHORITY))
        context.load_cert_chain(certificate, key)
    except OSError as error:  # so are the errors of TLS
        raise InputError(
            f"{certificate.name} and {key.name} in {directory} cannot be used: {error}: write them again with "
            f"`lab cluster certs DIR`"
        ) from error
