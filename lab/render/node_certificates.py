"""The certificates of nodes that ask for one with `certificate: {issue: true}`, in the files that containerlab writes.

They are for programs in the nodes. Their authority is not the one that OpenVPN's peers trust, so none of them opens a
tunnel.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Final

from cryptography.x509.oid import NameOID

from lab.core.errors import InputError
from lab.core.files import RenderedFile
from lab.topology import Topology
from lab.topology.certificates import AUTHORITY, duration_of
from lab.topology.magic import CERTIFICATES
from lab.tunnel.pki import RSA_BITS, Authority, Validity

TLS: Final = PurePosixPath("/", CERTIFICATES)
"""The directory of all certificates, below the lab's directory."""
_DEFAULT: Final = timedelta(days=365)
_LONGEST_NAME: Final = 64
"""The longest common name (RFC 5280, appendix A.1); the alternative names have all of it."""
_READABLE, _SECRET = 0o644, 0o600


def node_certificates(topology: Topology) -> Iterator[RenderedFile]:
    """Yield the authority's and the nodes' certificates and keys, by their paths below the lab's directory.

    Raises `InputError` if an authority of the user's cannot sign.
    """
    issued = [name for name, node in topology.nodes.items() if node.certificate.issue]
    if not issued and not _needs_authority(topology):
        return
    authority = _authority(topology)
    if not topology.settings.certificate_authority.cert:
        yield from _pair(AUTHORITY, authority.certificate, authority.key)
    for name in issued:
        node = topology.nodes[name]
        fqdn = f"{name}.{topology.name}.io"
        addresses = [str(address) for address in (node.mgmt_ipv4, node.mgmt_ipv6) if address is not None]
        certificate = authority.certify(
            [(NameOID.COMMON_NAME.dotted_string, fqdn[:_LONGEST_NAME])],
            ("client", "server"),
            algorithm="rsa",
            rsa_bits=node.certificate.key_size or RSA_BITS,
            hosts=list(dict.fromkeys([name, topology.container_name(name), fqdn, *node.certificate.sans, *addresses])),
            validity=_validity(node.certificate.validity_duration),
        )
        yield from _pair(name, certificate.certificate, certificate.key)


def _needs_authority(topology: Topology) -> bool:
    """Return whether a file of a topology without certificates names its authority, which containerlab always makes."""
    return any(str(TLS) in bind.partition(":")[0] for node in topology.nodes.values() for bind in node.binds)


def _authority(topology: Topology) -> Authority:
    settings = topology.settings.certificate_authority
    if settings.cert:
        try:
            return Authority.load(Path(settings.cert).read_text(), Path(settings.key).read_text())
        except (OSError, ValueError) as error:
            raise InputError(
                f"{topology.file}: settings.certificate-authority: {settings.cert} and {settings.key} cannot sign "
                f"certificates ({str(error).splitlines()[0]}): give PEM files, the key without a password"
            ) from error
    validity = _validity(settings.validity_duration)
    return Authority.new(
        f"{topology.name} lab CA"[:_LONGEST_NAME], rsa_bits=settings.key_size or RSA_BITS, validity=validity
    )


def _validity(duration: str) -> Validity:
    """Return a period that begins now."""
    begins = datetime.now(UTC)
    return Validity(begins, begins + (duration_of(duration) or _DEFAULT))


def _pair(name: str, certificate: str, key: str) -> Iterator[RenderedFile]:
    yield RenderedFile(TLS / name / f"{name}.pem", certificate, _READABLE)
    yield RenderedFile(TLS / name / f"{name}.key", key, _SECRET)
