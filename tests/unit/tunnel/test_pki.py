"""The certificates and revocation lists of an authority, checked as OpenVPN and strict verifiers do."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from lab.tunnel.pki import Authority, Credentials, Role, Validity

EKU = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new("unit lab")


def parsed(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def private(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def public(key: object) -> bytes:
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def common_name(certificate: x509.Certificate) -> str:
    (attribute,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attribute.value)


@pytest.mark.parametrize("role", ["server", "client"])
def test_certificate_is_signed_by_its_authority_only(authority: Authority, role: Role) -> None:
    certificate = parsed(authority.issue("hq", role).certificate)
    certificate.verify_directly_issued_by(parsed(authority.certificate))
    # Another authority of the same name has another key.
    with pytest.raises(InvalidSignature):
        certificate.verify_directly_issued_by(parsed(Authority.new("unit lab").certificate))


@pytest.mark.parametrize("role", ["server", "client"])
def test_certificate_is_valid_for_its_role_only(authority: Authority, role: Role) -> None:
    certificate = parsed(authority.issue("hq", role).certificate)
    assert list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [EKU[role]]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    # `remote-cert-tls` takes digitalSignature and keyAgreement from either side (openvpn(8)).
    assert usage.digital_signature
    assert usage.key_agreement
    assert not usage.key_cert_sign
    assert not usage.crl_sign
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca


def test_authority_signs_certificates_but_no_authorities(authority: Authority) -> None:
    certificate = parsed(authority.certificate)
    certificate.verify_directly_issued_by(certificate)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    assert constraints.value.path_length == 0
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.key_cert_sign
    assert usage.value.crl_sign
    assert not usage.value.digital_signature


def test_strict_verifier_accepts_clients_and_refuses_servers_as_clients(authority: Authority) -> None:
    store = Store([parsed(authority.certificate)])
    # The name is not a DNS name, so this uses the verifier for clients, which needs none.
    policy = (
        PolicyBuilder()
        .store(store)
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca().may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, None),
            ee_policy=ExtensionPolicy.permit_all().require_present(
                x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _for_clients
            ),
        )
    )
    client = parsed(authority.issue("branch", "client").certificate)
    chain = policy.build_client_verifier().verify(client, []).chain
    assert [common_name(certificate) for certificate in chain] == ["branch", "unit lab"]
    with pytest.raises(VerificationError):
        policy.build_client_verifier().verify(parsed(authority.issue("hq", "server").certificate), [])
    with pytest.raises(VerificationError):
        policy.build_client_verifier().verify(
            parsed(Authority.new("unit lab").issue("branch", "client").certificate), []
        )


def _for_clients(_policy: object, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage) -> None:
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("not for a client")


def test_certificate_matches_its_key(authority: Authority) -> None:
    given: Credentials = authority.issue("branch", "client")
    certificate = parsed(given.certificate)
    assert public(private(given.key).public_key()) == public(certificate.public_key())
    assert given.common_name == common_name(certificate) == "branch"
    assert private(given.key).curve.name == "secp256r1"


def test_keys_and_serial_numbers_are_unique(authority: Authority) -> None:
    issued = [authority.issue("hq", "server") for _ in range(5)]
    assert len({credentials.key for credentials in issued}) == 5
    assert len({parsed(credentials.certificate).serial_number for credentials in issued}) == 5
    assert Authority.new("unit lab").key != authority.key


def test_certificate_is_valid_for_a_clock_half_an_hour_behind(authority: Authority) -> None:
    now = datetime.now(UTC)
    for pem in (authority.certificate, authority.issue("hq", "server").certificate):
        certificate = parsed(pem)
        assert certificate.not_valid_before_utc < now - timedelta(minutes=30)
        assert certificate.not_valid_after_utc > now + timedelta(days=300)


def test_loaded_authority_issues_valid_certificates(authority: Authority) -> None:
    again = Authority.load(authority.certificate, authority.key)
    assert (again.certificate, again.key) == (authority.certificate, authority.key)
    certificate = parsed(again.issue("hq", "server").certificate)
    certificate.verify_directly_issued_by(parsed(authority.certificate))
    identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    subject = parsed(authority.certificate).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert identifier.key_identifier == subject.key_identifier


# --- certificates that are to be refused -------------------------------------------------------------------


def trusted(authority: Authority, given: Credentials) -> bool:
    """Return whether a strict verifier accepts a client's certificate today."""
    policy = (
        PolicyBuilder()
        .store(Store([parsed(authority.certificate)]))
        .extension_policies(
            ca_policy=ExtensionPolicy.webpki_defaults_ca().may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, None),
            ee_policy=ExtensionPolicy.permit_all(),
        )
    )
    try:
        policy.build_client_verifier().verify(parsed(given.certificate), [])
    except VerificationError:
        return False
    return True


@pytest.mark.parametrize(("begins", "ends", "good"), [(-2, -1, False), (1, 2, False), (-1, 1, True)])
def test_certificate_is_valid_in_its_period_only(authority: Authority, begins: int, ends: int, good: bool) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    validity = Validity(now + timedelta(days=begins), now + timedelta(days=ends))
    given = authority.issue("branch", "client", validity)
    certificate = parsed(given.certificate)
    assert Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc) == validity
    assert trusted(authority, given) is good


def test_certificate_of_another_authority_is_refused(authority: Authority) -> None:
    assert trusted(authority, authority.issue("branch", "client"))
    assert not trusted(authority, Authority.new("unit lab").issue("branch", "client"))


def revocations(authority: Authority, *revoked: Credentials) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl(authority.revocation_list(*revoked).encode())


def test_empty_revocation_list_is_signed_and_valid(authority: Authority) -> None:
    found = revocations(authority)
    key = parsed(authority.certificate).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert found.is_signature_valid(key)
    assert found.issuer == parsed(authority.certificate).subject
    assert len(found) == 0
    now = datetime.now(UTC)
    assert found.next_update_utc is not None
    assert found.last_update_utc < now - timedelta(minutes=30)
    assert found.next_update_utc > now + timedelta(days=300)


def test_revocation_list_has_exactly_the_given_certificates(authority: Authority) -> None:
    one, two, three = (authority.issue("branch", "client") for _ in range(3))
    found = revocations(authority, one, three)
    for given, revoked in ((one, True), (two, False), (three, True)):
        assert given.serial_number == parsed(given.certificate).serial_number
        assert (found.get_revoked_certificate_by_serial_number(given.serial_number) is not None) is revoked
    # A new list replaces the earlier one.
    assert len(revocations(authority)) == 0


def test_revocation_list_of_another_authority_is_not_accepted(authority: Authority) -> None:
    key = parsed(authority.certificate).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert not revocations(Authority.new("unit lab")).is_signature_valid(key)
