"""Issue at deployment what the plan of keys asks for: certificates, keys and passwords."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from lab.core.errors import InputError
from lab.core.files import write_below
from lab.own import material
from lab.own.hostfiles import MAX_COPIED
from lab.own.subjects import COMMON_NAME
from lab.topology import Topology
from lab.topology.own import Issue
from lab.tunnel.keyfiles import DIFFIE_HELLMAN, derive_key, static_key, tls_crypt_v2_client, tls_crypt_v2_server
from lab.tunnel.pki import Authority, Credentials, Role

_PASSWORD_BYTES = 12
_SECRET = 0o600
_PUBLIC = 0o644


def issue(topology: Topology, authority: Authority, roots: Mapping[str, Path]) -> None:
    """Write everything that the lab issues for the user's processes."""
    written: set[tuple[str, PurePosixPath]] = set()
    for process in topology.processes:
        for wanted in process.issues:
            # Processes of a node can share a file.
            if (process.node, wanted.path) not in written:
                written.add((process.node, wanted.path))
                for path, content, mode in _files(wanted, authority):
                    write_below(roots[process.node], path, content, mode)


def _files(wanted: Issue, authority: Authority) -> Iterator[tuple[PurePosixPath, bytes, int]]:
    """Yield the files of one issue: path, content, mode."""
    secret = derive_key(authority.key.encode(), f"own {wanted.domain}", 32)
    match wanted.kind:
        case "ca":
            yield wanted.path, "".join([*wanted.trusted, authority.certificate]).encode(), _PUBLIC
        case "certificate":
            credentials = _certify(wanted, authority)
            yield wanted.path, credentials.certificate.encode(), _PUBLIC
            assert wanted.key is not None
            yield wanted.key, credentials.key.encode(), _SECRET
        case "pkcs12":
            yield wanted.path, _pkcs12(wanted, _certify(wanted, authority), authority), _SECRET
        case "dh":
            yield wanted.path, DIFFIE_HELLMAN.encode(), _PUBLIC
        case "crl":
            yield wanted.path, authority.revocation_list().encode(), _PUBLIC
        case "credentials":
            yield wanted.path, f"{wanted.common_name}\n{_password(secret)}\n".encode(), _SECRET
        case "passphrase":
            yield wanted.path, f"{_password(secret)}\n".encode(), _SECRET
        case "tls-crypt-v2-server":
            yield wanted.path, tls_crypt_v2_server(secret).encode(), _SECRET
        case "tls-crypt-v2-client":
            key = None if wanted.source is None else material.tls_crypt_v2_key(_content(wanted), "server")
            if wanted.source is not None and key is None:
                raise InputError(f"{wanted.source}: the key of tls-crypt-v2 has changed since the topology was read")
            client = tls_crypt_v2_client(secret, wanted.common_name, server_key=key)
            yield wanted.path, client.encode(), _SECRET
        case "tls-auth" | "tls-crypt" | "secret":
            made = wanted.source is None
            yield wanted.path, static_key(secret, wanted.kind).encode() if made else _content(wanted), _SECRET


def _certify(wanted: Issue, authority: Authority) -> Credentials:
    subject = wanted.subject or ((COMMON_NAME, wanted.common_name),)
    roles: list[Role] = ["server", "client"] if wanted.usage == "both" else [wanted.usage]
    return authority.certify(
        subject, roles, extended=wanted.extended, key_usage=wanted.key_usage, algorithm=wanted.algorithm
    )


def _password(secret: bytes) -> str:
    return derive_key(secret, "password", _PASSWORD_BYTES).hex()


def _content(wanted: Issue) -> bytes:
    """Return the key in the user's file, or in a block of it."""
    assert wanted.source is not None
    try:
        with wanted.source.open("rb") as file:
            content = file.read(MAX_COPIED)
    except OSError as error:
        raise InputError(f"{wanted.source}: {error.strerror}: the file was there before") from error
    if not wanted.block:
        return content
    body = content.partition(f"<{wanted.block}>".encode())[2]
    return body.partition(f"</{wanted.block}>".encode())[0].lstrip(b"\r\n")


def _pkcs12(wanted: Issue, credentials: Credentials, authority: Authority) -> bytes:
    """Return a PKCS #12 file without a password, which OpenVPN tries before it asks for one."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import NoEncryption, load_pem_private_key
    from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

    return serialize_key_and_certificates(
        credentials.common_name.encode() or None,
        load_pem_private_key(credentials.key.encode(), None),  # type: ignore[arg-type]
        x509.load_pem_x509_certificate(credentials.certificate.encode()),
        [x509.load_pem_x509_certificate(pem.encode()) for pem in [*wanted.trusted, authority.certificate]],
        NoEncryption(),
    )
