"""The certificates of a cluster, and Dask's settings out of them."""

import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from tornado.iostream import StreamClosedError

from lab.cli.app import app
from lab.cluster.certificates import ROLES, certificate_file, key_file, write_certificates
from lab.cluster.security import refused, require_tls, security
from lab.core.errors import InputError

BOTH = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with certificates."""
    write_certificates(tmp_path / "certs")
    return tmp_path / "certs"


def certificate(directory: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate_file(directory, name).read_bytes())


def usages(directory: Path, name: str) -> set[x509.ObjectIdentifier]:
    return set(certificate(directory, name).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_keys_are_for_their_owner_only(directory: Path) -> None:
    assert directory.stat().st_mode & 0o777 == 0o700
    keys = sorted(directory.glob("*-key.pem"))
    assert [key.name for key in keys] == ["ca-key.pem", "client-key.pem", "scheduler-key.pem", "worker-key.pem"]
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}


def test_authority_has_signed_all_roles(directory: Path) -> None:
    authority = certificate(directory, "ca")
    for role in ROLES:
        certificate(directory, role).verify_directly_issued_by(authority)


def test_caller_cannot_pose_as_a_server(directory: Path) -> None:
    assert usages(directory, "scheduler") == usages(directory, "worker") == BOTH
    assert usages(directory, "client") == {ExtendedKeyUsageOID.CLIENT_AUTH}


def test_authority_of_the_directory_signs_new_certificates(directory: Path) -> None:
    before = {name: certificate_file(directory, name).read_text() for name in ("ca", *ROLES)}
    write_certificates(directory)
    after = {name: certificate_file(directory, name).read_text() for name in before}
    assert {name for name in before if before[name] == after[name]} == {"ca"}
    certificate(directory, "worker").verify_directly_issued_by(certificate(directory, "ca"))


def test_authority_without_its_key_is_not_replaced(directory: Path) -> None:
    key_file(directory, "ca").unlink()
    with pytest.raises(InputError, match=r"has ca\.pem but not ca-key\.pem: name another directory"):
        write_certificates(directory)


def test_broken_authority_is_named(directory: Path) -> None:
    key_file(directory, "ca").write_text("nothing\n")
    with pytest.raises(InputError, match="cannot sign"):
        write_certificates(directory)


def test_settings_require_encryption(directory: Path) -> None:
    found = security(directory)
    assert found.require_encryption is True
    for role in ROLES:
        settings = found.get_tls_config_for_role(role)
        assert settings["ca_file"] == str(directory / "ca.pem")
        assert (settings["cert"], settings["key"]) == (
            str(directory / f"{role}.pem"),
            str(directory / f"{role}-key.pem"),
        )


def test_worker_needs_its_own_files_only(directory: Path) -> None:
    for file in directory.iterdir():
        if file.name not in ("ca.pem", "worker.pem", "worker-key.pem"):
            file.unlink()
    assert security(directory, "worker").tls_scheduler_cert is None
    with pytest.raises(InputError, match=r"has no client\.pem and no client-key\.pem: `lab cluster certs"):
        security(directory)


def test_key_that_others_may_read_is_refused(directory: Path) -> None:
    key_file(directory, "client").chmod(0o640)
    with pytest.raises(InputError, match=r"may be read by other users: run `chmod 600 "):
        security(directory)


def test_key_of_another_certificate_is_refused(directory: Path) -> None:
    key_file(directory, "client").write_text(key_file(directory, "worker").read_text())
    with pytest.raises(InputError, match="cannot be used"):
        security(directory)


@pytest.mark.parametrize(
    "content", ["", "nothing\n", "-----BEGIN CERTIFICATE-----\nMIIB\n"], ids=["empty", "text", "torn"]
)
@pytest.mark.parametrize("name", ["ca", "client"])
def test_broken_file_ends_a_command_in_one_line(
    name: str, content: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate_file(directory, name).write_text(content)
    with pytest.raises(SystemExit) as ended:
        app(["measure", "quick", "--dry-run", "--cluster", "tls://127.0.0.1:1", "--certs", str(directory)])
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line.startswith(f"lab: {name}.pem ")
    assert f" in {directory} cannot be used: " in line
    assert line.endswith("write them again with `lab cluster certs DIR`")


def test_refusal_is_found_in_a_stream_that_was_closed() -> None:
    alert = ssl.SSLError()
    alert.reason = "TLSV1_ALERT_UNKNOWN_CA"
    closed = OSError("in <TLS (closed)>")
    closed.__cause__ = StreamClosedError(real_error=alert)
    assert "(tlsv1 alert unknown ca)" in str(refused("tls://a:1", closed))
    assert refused("tls://a:1", OSError("timed out")) is None


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "10.0.0.1:8786", "", "tls://10.0.0.1"])
def test_address_without_tls_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="is not an address of TLS: write tls://HOST:PORT"):
        require_tls(address)
