"""A certificate authority for one lab.

Keys use the curve P-256, which takes a millisecond and every supported version of OpenVPN accepts. Certificates have
the key usages that OpenVPN's `remote-cert-tls` requires (openvpn(8)).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Role = Literal["server", "client"]

_VALID_BEFORE = timedelta(hours=1)
"""A node's clock may be behind the host's."""
_VALID_FOR = timedelta(days=825)
_USAGE = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True)
class Validity:
    """The period in which a certificate or revocation list is valid."""

    begins: datetime
    ends: datetime

    @classmethod
    def current(cls) -> Self:
        """Return the default period: from an hour ago for 825 days."""
        now = datetime.now(UTC)
        return cls(now - _VALID_BEFORE, now + _VALID_FOR)


@dataclass(frozen=True)
class Credentials:
    """A certificate and its private key, both as PEM."""

    common_name: str
    certificate: str
    key: str

    @property
    def serial_number(self) -> int:
        """The certificate's serial number, by which a revocation list names it."""
        return x509.load_pem_x509_certificate(self.certificate.encode()).serial_number


class Authority:
    """The certificate authority of one lab."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def new(cls, common_name: str) -> Self:
        """Make a new authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(common_name)
        builder = (
            _builder(name, name, key.public_key(), Validity.current())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: str, key: str) -> Self:
        """Load an authority from its certificate and key as PEM."""
        private = serialization.load_pem_private_key(key.encode(), password=None)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        return cls(x509.load_pem_x509_certificate(certificate.encode()), private)

    @property
    def certificate(self) -> str:
        """The authority's own certificate as PEM."""
        return _pem(self._certificate)

    @property
    def key(self) -> str:
        """The authority's private key as PEM; it can sign certificates that every node accepts."""
        return _key_pem(self._key)

    def issue(self, common_name: str, role: Role, validity: Validity | None = None) -> Credentials:
        """Issue a certificate for one end of a tunnel."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(_name(common_name), self._certificate.subject, key.public_key(), validity or Validity.current())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_USAGE[role]]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        return Credentials(common_name, _pem(builder.sign(self._key, hashes.SHA256())), _key_pem(key))

    def revocation_list(self, *revoked: Credentials) -> str:
        """Return a signed list of revoked certificates as PEM, for `crl-verify`; it may be empty."""
        validity = Validity.current()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(validity.begins)
            .next_update(validity.ends)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.CRLNumber(x509.random_serial_number()), critical=False)
        )
        for credentials in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(credentials.serial_number)
                .revocation_date(validity.begins)
                .build()
            )
        return _pem(builder.sign(self._key, hashes.SHA256()))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, validity: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity.begins)
        .not_valid_after(validity.ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_agreement=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(signed: x509.Certificate | x509.CertificateRevocationList) -> str:
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
