"""A certificate authority for one lab.

Keys use the curve P-256, which takes a millisecond and every supported version of OpenVPN accepts. Certificates have
the key usages that OpenVPN's `remote-cert-tls` requires (openvpn(8)).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Literal, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Role = Literal["server", "client"]

_VALID_BEFORE = timedelta(hours=1)
"""A node's clock may be behind the host's."""
_VALID_FOR = timedelta(days=825)
_USAGE = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}
RSA_BITS = 2048
"""The size of an RSA key whose user does not say one."""

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


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

    def __init__(self, certificate: x509.Certificate, key: _Key) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def new(cls, common_name: str, *, rsa_bits: int = 0, validity: Validity | None = None) -> Self:
        """Make a new authority; with `rsa_bits` its key is an RSA key of this size."""
        key = _new_key(rsa_bits)
        name = _name(common_name)
        builder = (
            _builder(name, name, key.public_key(), validity or Validity.current())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: str, key: str) -> Self:
        """Load an authority from its certificate and key as PEM.

        Raises `ValueError` if they cannot be read, or do not belong together.
        """
        try:
            private = serialization.load_pem_private_key(key.encode(), password=None)
        except TypeError as error:  # it has a password
            raise ValueError(str(error)) from error
        public = x509.load_pem_x509_certificate(certificate.encode())
        if not isinstance(private, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the key is neither an RSA key nor one of an elliptic curve")  # noqa: TRY004 - of the file
        if private.public_key() != public.public_key():
            raise ValueError("the key is not that of the certificate")
        return cls(public, private)

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

    def certify(
        self,
        subject: Sequence[tuple[str, str]],
        roles: Sequence[Role],
        *,
        extended: Sequence[str] = (),
        key_usage: int = 0,
        algorithm: Literal["ec", "rsa"] = "ec",
        rsa_bits: int = RSA_BITS,
        hosts: Sequence[str] = (),
        validity: Validity | None = None,
    ) -> Credentials:
        """Issue a certificate for any subject, given as object identifiers and values, and any usages.

        `extended` are more extended key usages as object identifiers, `key_usage` more key usages as the bits of the
        extension's first octet (RFC 5280), as `remote-cert-ku` has them. `hosts` are its subject alternative names:
        names and addresses.
        """
        key = _new_key(rsa_bits if algorithm == "rsa" else 0)
        name = x509.Name([x509.NameAttribute(x509.ObjectIdentifier(oid), value) for oid, value in subject])
        usages = [*(_USAGE[role] for role in roles), *(x509.ObjectIdentifier(oid) for oid in extended)]
        builder = (
            _builder(name, self._certificate.subject, key.public_key(), validity or Validity.current())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage_of(key_usage, rsa_key=algorithm == "rsa"), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
            )
        names = [value for oid, value in subject if oid == NameOID.COMMON_NAME.dotted_string]
        certificate = builder.sign(self._key, hashes.SHA256())
        return Credentials(names[0] if names else "", _pem(certificate), _key_pem(key))

    def revocation_list(self, *revoked: Credentials, validity: Validity | None = None) -> str:
        """Return a signed list of revoked certificates as PEM, for `crl-verify`; it may be empty."""
        validity = validity or Validity.current()
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


def _new_key(rsa_bits: int) -> _Key:
    """Make an RSA key of a size, or a key of the curve P-256 if the size is 0."""
    if rsa_bits:
        return rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
    return ec.generate_private_key(ec.SECP256R1())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, validity: Validity
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


def _key_usage_of(bits: int, *, rsa_key: bool) -> x509.KeyUsage:
    """Return the usages of an end's certificate, and those in the bits of the extension's first octet."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=bool(bits & 0x40),
        key_encipherment=rsa_key or bool(bits & 0x20),
        data_encipherment=bool(bits & 0x10),
        key_agreement=not rsa_key or bool(bits & 0x08),
        key_cert_sign=False,
        crl_sign=bool(bits & 0x02),
        encipher_only=False,
        decipher_only=False,
    )


def _pem(signed: x509.Certificate | x509.CertificateRevocationList) -> str:
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: _Key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
