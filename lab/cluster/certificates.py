"""The authority of a cluster, and the certificates of its scheduler, its workers and their callers.

Dask has one certificate for each role. The authority's key is needed to issue certificates only: leave it where it was
made. The usages in a certificate keep a caller from posing as a scheduler or worker.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from cryptography.x509.oid import NameOID

from lab.core.errors import InputError
from lab.core.files import RenderedFile
from lab.core.places import private
from lab.tunnel import pki

Role = Literal["scheduler", "worker", "client"]

ROLES: Final[Mapping[Role, Sequence[pki.Role]]] = {
    "scheduler": ("server", "client"),
    "worker": ("server", "client"),
    "client": ("client",),
}
"""The uses of each role's certificate in TLS: scheduler and workers also connect to each other."""
AUTHORITY: Final = "ca"
_READABLE, _SECRET = 0o644, 0o600


def certificate_file(directory: Path, name: str) -> Path:
    """Return the file of the certificate of a role, or of the authority."""
    return directory / f"{name}.pem"


def key_file(directory: Path, name: str) -> Path:
    """Return the file of the private key of a role, or of the authority."""
    return directory / f"{name}-key.pem"


def write_certificates(directory: Path) -> list[Path]:
    """Write the authority, unless the directory has one, and new certificates of all roles; return the files.

    Raises `InputError` if the authority that is there cannot sign, `EnvironmentBroken` if the directory cannot be used.
    """
    private(directory)
    authority = _authority(directory)
    files = [] if key_file(directory, AUTHORITY).exists() else _pair(AUTHORITY, authority.certificate, authority.key)
    for role, usages in ROLES.items():
        issued = authority.certify([(NameOID.COMMON_NAME.dotted_string, role)], usages)
        files += _pair(role, issued.certificate, issued.key)
    return [file.write_below(directory) for file in files]


def _authority(directory: Path) -> pki.Authority:
    certificate, key = certificate_file(directory, AUTHORITY), key_file(directory, AUTHORITY)
    if not key.exists():
        if certificate.exists():
            raise InputError(f"{directory} has {certificate.name} but not {key.name}: name another directory")
        return pki.Authority.new("openvpn-routing-lab cluster")
    try:
        return pki.Authority.load(certificate.read_text(), key.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"the authority in {directory} cannot sign: {error}: use another directory") from error


def _pair(name: str, certificate: str, key: str) -> list[RenderedFile]:
    root = Path("/")
    return [
        RenderedFile(PurePosixPath(certificate_file(root, name)), certificate, _READABLE),
        RenderedFile(PurePosixPath(key_file(root, name)), key, _SECRET),
    ]
