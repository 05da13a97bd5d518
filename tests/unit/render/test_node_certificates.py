"""Certificates of nodes: TLS works with them, under their names, and for their time."""

import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from lab.catalogue.reader import vocabulary
from lab.core.errors import InputError
from lab.core.files import write_all
from lab.render.node_certificates import node_certificates
from lab.topology import Topology, parse
from lab.tunnel.pki import Authority

Write = Callable[..., Path]

YEAR = timedelta(days=365)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes the certificates of a topology and returns their directory."""

    def write(nodes: str, settings: str = "") -> Path:
        text = f"name: shop\nsettings: {{certificate-authority: {{{settings}}}}}\ntopology: {{nodes: {{{nodes}}}}}\n"
        topology: Topology = parse(text, tmp_path / "lab.yml", vocabulary(), environ={})
        write_all(node_certificates(topology), tmp_path / "lab")
        return tmp_path / "lab" / ".tls"

    return write


def handshake(authority: Path, directory: Path, name: str, host: str) -> None:
    """Do a TLS handshake in memory: the node is the server, and also shows its certificate as a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    pair = directory / name / f"{name}.pem", directory / name / f"{name}.key"
    as_server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority))
    as_server.verify_mode = ssl.CERT_REQUIRED
    as_client = ssl.create_default_context(cafile=str(authority))
    for context in (as_server, as_client):
        context.load_cert_chain(*pair)
    ends = [
        as_client.wrap_bio(incoming, outgoing, server_hostname=host),
        as_server.wrap_bio(outgoing, incoming, server_side=True),
    ]
    for end in ends * 4:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert all(end.version() == "TLSv1.3" for end in ends)


def certificate(directory: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((directory / name / f"{name}.pem").read_bytes())


def validity(directory: Path, name: str) -> timedelta:
    read = certificate(directory, name)
    assert read.not_valid_before_utc <= datetime.now(UTC)
    return read.not_valid_after_utc - read.not_valid_before_utc


def bits(directory: Path, name: str) -> int:
    key = certificate(directory, name).public_key()
    assert isinstance(key, RSAPublicKey)
    return key.key_size


WEB = (
    "web: {kind: linux, image: x, mgmt-ipv4: 172.20.20.9, certificate: {issue: true, sans: [shop.example, 192.0.2.9]}}"
)


@pytest.mark.parametrize("host", ["web", "clab-shop-web", "web.shop.io", "shop.example", "192.0.2.9", "172.20.20.9"])
def test_every_name_of_the_node_is_in_its_certificate(write: Write, host: str) -> None:
    directory = write(f"{WEB}, plain: {{kind: linux, image: x}}")
    handshake(directory / "ca" / "ca.pem", directory, "web", host)
    assert sorted(path.name for path in directory.iterdir()) == ["ca", "web"]


def test_another_name_is_not(write: Write) -> None:
    directory = write(WEB)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(directory / "ca" / "ca.pem", directory, "web", "plain")


def test_keys_are_of_the_owner_alone_and_of_the_size_asked_for(write: Write) -> None:
    sized = WEB.replace("issue: true", "issue: true, key-size: 3072, validity-duration: 1h30m")
    directory = write(sized, "key-size: 1024, validity-duration: 720h")
    modes = {path.suffix: path.stat().st_mode & 0o777 for path in directory.rglob("*.*")}
    assert modes == {".pem": 0o644, ".key": 0o600}
    assert (bits(directory, "web"), bits(directory, "ca")) == (3072, 1024)
    assert (validity(directory, "web"), validity(directory, "ca")) == (timedelta(minutes=90), timedelta(days=30))


def test_defaults_are_containerlabs(write: Write) -> None:
    directory = write(WEB)
    assert [(bits(directory, name), validity(directory, name)) for name in ("web", "ca")] == [(2048, YEAR)] * 2


def test_users_authority_signs_and_is_not_copied(write: Write, tmp_path: Path) -> None:
    theirs = Authority.new("Example CA")
    (tmp_path / "their.pem").write_text(theirs.certificate)
    (tmp_path / "their.key").write_text(theirs.key)
    directory = write(WEB, "cert: their.pem, key: their.key")
    handshake(tmp_path / "their.pem", directory, "web", "web")
    assert [path.name for path in directory.iterdir()] == ["web"]
    (tmp_path / "their.key").write_text(Authority.new("another").key)
    with pytest.raises(InputError, match=r"cannot sign certificates \(the key is not that of the certificate\)"):
        write(WEB, "cert: their.pem, key: their.key")


@pytest.mark.parametrize(("binds", "made"), [("", []), ("__clabDir__/.tls/ca:/ca", ["ca"])])
def test_authority_alone_is_made_where_a_bind_names_it(write: Write, binds: str, made: list[str]) -> None:
    directory = write(f"web: {{kind: linux, image: x, binds: [{binds}]}}")
    assert [path.name for path in directory.glob("*")] == made


def test_long_names_are_whole_among_the_alternative_names(write: Write) -> None:
    name = "n" * 60
    directory = write(WEB.replace("web:", f"{name}:"))
    handshake(directory / "ca" / "ca.pem", directory, name, f"{name}.shop.io")
