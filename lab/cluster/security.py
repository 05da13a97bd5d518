"""Dask's TLS settings out of a directory of certificates."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cluster.certificates import AUTHORITY, ROLES, Role, certificate_file, key_file
from lab.core.errors import InputError

if TYPE_CHECKING:
    from distributed import Security

SCHEME = "tls://"
_ADDRESS = re.compile(rf"{SCHEME}\S+:([0-9]+)")
_LAST_PORT = 65535
_OTHERS = 0o077


def is_tls(address: str) -> bool:
    """Return whether an address is `tls://HOST:PORT`."""
    found = _ADDRESS.fullmatch(address)
    return found is not None and int(found[1]) <= _LAST_PORT


def require_tls(address: str) -> str:
    """Return the address of a scheduler; raises `InputError` if it is not one of TLS."""
    if not is_tls(address):
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


def refused(address: str, error: BaseException | None) -> InputError | None:
    """Return the error of a connection that failed since one side refuses the other's certificate, None for others."""
    while error is not None:
        found = getattr(error, "real_error", error)  # of a stream of Tornado's that was closed
        if isinstance(found, ssl.SSLError):
            why = str(found.reason or found).replace("_", " ").lower()
            return InputError(
                f"{address} and this host refuse each other's certificates ({why}): "
                "use those of one `lab cluster certs DIR`"
            )
        error = error.__cause__ or error.__context__
    return None


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
    authority = certificate_file(directory, AUTHORITY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with _usable(directory, authority):
        context.load_verify_locations(authority)
    with _usable(directory, certificate, key):
        context.load_cert_chain(certificate, key)


@contextmanager
def _usable(directory: Path, *files: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # so are the errors of TLS
        raise InputError(
            f"{' and '.join(file.name for file in files)} in {directory} cannot be used: {error}: "
            "write them again with `lab cluster certs DIR`"
        ) from error
