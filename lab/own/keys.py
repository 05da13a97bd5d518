"""Keys, certificates and passwords of the user's processes: those at hand are used, the lab issues the others.

A process keeps its certificate and key if both are at hand and valid. For any other one the lab's authority issues a
certificate with the name and usages that the files of the other ends ask for, and these ends trust it beside the user's
own authority. Symmetric keys that one end has are copied to the others.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, Literal

from lab.configs.openvpn.configuration import Directive
from lab.own import material, proxies
from lab.own.draft import Draft
from lab.own.material import Slot, slot, slot_of
from lab.own.overrides import LAB, Overrides, keeps_jail, remark, without
from lab.own.subjects import COMMON_NAME, Subject, asked_subject, common_name_of, subject_of, usages_of, user_name
from lab.topology.own import Issue

if TYPE_CHECKING:
    from cryptography import x509

_SYMMETRIC: Final[tuple[Literal["tls-auth", "tls-crypt", "secret"], ...]] = ("tls-auth", "tls-crypt", "secret")
_ELSEWHERE: Final = (
    "pkcs11-id", "pkcs11-id-management", "pkcs11-providers", "pkcs11-cert-private", "pkcs11-pin-cache",
    "pkcs11-private-mode", "pkcs11-protected-authentication", "cryptoapicert", "management-external-key",
    "management-external-cert",
)  # fmt: skip
"""Options of certificates and keys that are in a token, in Windows, or with another program."""


@dataclass(frozen=True)
class Keys:
    """The files and arguments of a process for its keys."""

    overrides: Overrides
    common_name: str | None
    """The name by which its server knows it; None if unknown."""


@dataclass(eq=False)
class _End:
    """One process, while its keys are planned."""

    draft: Draft
    peers: "list[_End]" = field(default_factory=list)
    domain: str = ""
    changes: Overrides = field(default_factory=Overrides)
    used: "x509.Certificate | None" = None
    """Its own certificate, if it is used."""
    authorities: "list[x509.Certificate]" = field(default_factory=list)
    """The authorities that its own file trusts."""
    intermediates: "list[x509.Certificate]" = field(default_factory=list)
    """The certificates that it sends with its own."""
    subject: Subject = ()
    """Of its certificate, used or issued."""
    issued: bool = False
    """True if the lab issues its certificate."""
    user: str | None = None
    """The user name in its credentials."""

    @property
    def name(self) -> str:
        return self.draft.name

    @property
    def others(self) -> list[Draft]:
        return [peer.draft for peer in self.peers]

    def lab_path(self, suffix: str) -> PurePosixPath:
        """Return the path of a file of the lab's for this process."""
        return LAB / f"{self.name}.{suffix}"

    def issue(self, issue: Issue, at: Directive, what: str, *arguments: str) -> None:
        """Add a file that the lab issues, and the arguments with which OpenVPN reads it instead of its own."""
        self.changes += Overrides(
            arguments=arguments, issues=(issue,), remarks=(remark(self.draft, "issued", at.spot, what),)
        )


def plan(drafts: Sequence[Draft], pairs: Iterable[tuple[Draft, Draft]]) -> dict[str, Keys]:
    """Return the keys of each process by its name; `pairs` are the two ends of each tunnel."""
    ends = {draft.name: _End(draft) for draft in drafts}
    for one, other in pairs:
        ends[one.name].peers.append(ends[other.name])
        ends[other.name].peers.append(ends[one.name])
    _assign_domains(list(ends.values()))
    for end in ends.values():
        _plan_passphrases(end)
        _find_certificate(end)
    for end in ends.values():
        _plan_certificate(end, list(ends.values()))
    for end in ends.values():
        _plan_trust(end)
        _plan_revocation(end)
        _plan_dh(end)
        _plan_extra(end)
    for domain in {end.domain: None for end in ends.values()}:
        members = [end for end in ends.values() if end.domain == domain]
        for kind in _SYMMETRIC:
            _plan_symmetric(members, kind)
        _plan_tls_crypt_v2(members)
    for end in ends.values():
        _plan_credentials(end, list(ends.values()))
    return {name: Keys(end.changes, _known_as(end)) for name, end in ends.items()}


def _assign_domains(ends: Sequence[_End]) -> None:
    """Give the ends of tunnels, and those of one node that share a file, the same domain."""
    for end in ends:
        end.domain = end.name
    files = {end.name: _shared_files(end) for end in ends}
    pairs = [(end, peer) for end in ends for peer in end.peers]
    pairs += [(a, b) for a in ends for b in ends if a.draft.node == b.draft.node and files[a.name] & files[b.name]]
    for one, other in pairs:
        low, high = sorted((one.domain, other.domain))
        for end in ends:
            if end.domain == high:
                end.domain = low


def _shared_files(end: _End) -> set[PurePosixPath]:
    found = set()
    for option in (*_SYMMETRIC, "tls-crypt-v2", "cert", "key", "pkcs12"):
        here = slot(end.draft, option)
        if here is not None and here.path is not None:
            found.add(here.path)
    return found


# --- certificates --------------------------------------------------------------------------------------------------


def _plan_passphrases(end: _End) -> None:
    here = slot(end.draft, "askpass")
    if here is not None and here.path is None:
        end.changes += without(end.draft, here.directive, "OpenVPN would ask for the passphrase at a console")
    elif here is not None and here.missing and here.path is not None:
        issue = Issue(path=here.path, kind="passphrase", domain=end.domain)
        end.issue(issue, here.directive, "the passphrase is not at hand: the lab writes another one")
    management = end.draft.configuration.last("management")
    if management is not None and (management.argument(2) or "stdin") != "stdin":
        password = slot_of(end.draft, management, 2)
        if password.missing and password.path is not None:
            issue = Issue(path=password.path, kind="passphrase", domain=end.domain)
            end.issue(issue, management, "the password of the management interface is not at hand: the lab writes one")


def _passphrase(draft: Draft) -> bytes | None:
    here = slot(draft, "askpass")
    lines = (here.content or b"").splitlines() if here else []
    return lines[0] if lines else None


def _find_certificate(end: _End) -> None:
    """Find the certificate and the authorities that are at hand."""
    draft = end.draft
    passphrase = _passphrase(draft)
    authority = slot(draft, "ca")
    end.authorities = material.certificates(authority.content if authority else None)
    extra = slot(draft, "extra-certs")
    end.intermediates = material.certificates(extra.content if extra else None)
    bundle = slot(draft, "pkcs12")
    if bundle is not None:
        found = material.pkcs12(bundle.content, passphrase)
        if found is not None:
            end.intermediates += found[1]
            end.used = None if material.has_expired(found[0]) else found[0]
            end.subject = subject_of(found[0])
            end.authorities = end.authorities or found[1]
        return
    certificate, key = slot(draft, "cert"), slot(draft, "key")
    chain = material.certificates(certificate.content if certificate else None)
    if not chain:
        return
    end.subject = subject_of(chain[0])
    end.intermediates += chain[1:]
    private = material.private_key(key.content if key else None, passphrase)
    if private is not None and material.match(chain[0], private) and not material.has_expired(chain[0]):
        end.used = chain[0]


def _certificate_option(draft: Draft) -> Directive | None:
    return draft.configuration.last("pkcs12", "cert") or draft.configuration.last(*_ELSEWHERE)


def _plan_certificate(end: _End, ends: Sequence[_End]) -> None:
    option = _certificate_option(end.draft)
    if option is None or end.used is not None:
        return
    end.issued = True
    files = _certificate_files(end)
    group = [o for o in ends if files and o.draft.node == end.draft.node and _certificate_files(o) == files] or [end]
    others = [peer for member in group for peer in member.others]
    why = _why_issued(end)
    if not end.subject:
        end.subject = group[0].subject or asked_subject(end.draft, others, _taken(end))
    usages = usages_of(end.draft, others)
    draft = end.draft
    bundle, certificate, key = (slot(draft, name) for name in ("pkcs12", "cert", "key"))
    for directive in draft.configuration.all(*_ELSEWHERE):
        end.changes += Overrides(commented=(directive.spot,))
    arguments: list[str] = []
    if bundle is not None:
        path = bundle.path if bundle.missing and bundle.path else group[0].lab_path("p12")
        arguments += [] if bundle.missing else ["--pkcs12", str(path)]
        key_path = None
    else:
        own = certificate is not None and certificate.missing and certificate.path is not None
        path = certificate.path if own and certificate and certificate.path else group[0].lab_path("crt")
        arguments += [] if own else ["--cert", str(path)]
        own_key = key is not None and key.missing and key.path is not None
        key_path = key.path if own_key and key and key.path else group[0].lab_path("key")
        arguments += [] if own_key else ["--key", str(key_path)]
    issue = Issue(
        path=path,
        kind="certificate" if bundle is None else "pkcs12",
        domain=end.domain,
        key=key_path,
        common_name=common_name_of(end.subject),
        subject=() if [oid for oid, _ in end.subject] == [COMMON_NAME] else end.subject,
        usage=usages.usage,
        extended=usages.extended,
        key_usage=usages.key_usage,
        algorithm=_algorithm([draft, *others]),
        trusted=_pems(_trusted_by(end)) if bundle is not None and not draft.configuration.has("ca") else (),
    )
    who = ", ".join(value for _, value in end.subject) or "no name"
    end.issue(issue, option, f"{why}: the lab issues a certificate for {who} with a new key", *arguments)


def _certificate_files(end: _End) -> tuple[PurePosixPath | None, PurePosixPath | None] | None:
    certificate = slot(end.draft, "pkcs12") or slot(end.draft, "cert")
    key = slot(end.draft, "key")
    if certificate is None or certificate.path is None:
        return None
    return certificate.path, key.path if key else None


def _why_issued(end: _End) -> str:
    draft = end.draft
    bundle, certificate, key = (slot(draft, name) for name in ("pkcs12", "cert", "key"))
    if bundle is not None:
        found = material.pkcs12(bundle.content, _passphrase(draft))
        if found is not None:
            return (
                f"the certificate has expired on {found[0].not_valid_after_utc:%Y-%m-%d}, so the other end refuses it"
            )
        return _absence(bundle, "the PKCS #12 file")
    if certificate is None:
        return "the key is in a token, in Windows, or with another program"
    chain = material.certificates(certificate.content)
    if not chain:
        return _absence(certificate, "the certificate")
    if material.has_expired(chain[0]):
        return f"the certificate has expired on {chain[0].not_valid_after_utc:%Y-%m-%d}, so the other end refuses it"
    if key is None:
        return "the key is with another program"
    private = material.private_key(key.content, _passphrase(draft))
    if private is None and material.is_encrypted(key.content):
        return "the passphrase of the key is not at hand"
    return _absence(key, "the key") if private is None else "the key is not the one of the certificate"


def _absence(here: Slot, what: str) -> str:
    return f"{what} is not at hand" if here.content is None else f"{what} cannot be read, or has been removed"


def _taken(end: _End) -> list[str]:
    """Return the names of the other clients of a client's servers."""
    siblings = [other for peer in end.peers if peer.draft.role == "server" for other in peer.peers if other is not end]
    return [common_name_of(other.subject) for other in siblings if other.subject]


def _algorithm(drafts: Iterable[Draft]) -> Literal["ec", "rsa"]:
    """Return `rsa` if the `tls-cipher` of an end has suites with RSA only."""
    for draft in drafts:
        option = draft.configuration.last("tls-cipher")
        suites = (option.argument(0) or "").upper() if option else ""
        if "RSA" in suites and "ECDSA" not in suites and "DEFAULT" not in suites:
            return "rsa"
    return "ec"


# --- authorities, revocations, parameters ---------------------------------------------------------------------------


def _trusted_by(end: _End) -> "list[x509.Certificate]":
    """Return the user's authorities that an end trusts: its own, or if they are not at hand those of its domain."""
    valid = [c for c in end.authorities if not material.has_expired(c)]
    if valid:
        return valid
    found = [c for peer in end.peers for c in peer.authorities if not material.has_expired(c)]
    return list(dict.fromkeys(found))


def _pems(certificates: "Iterable[x509.Certificate]") -> tuple[str, ...]:
    from cryptography.hazmat.primitives.serialization import Encoding

    return tuple(c.public_bytes(Encoding.PEM).decode() for c in certificates)


def _plan_trust(end: _End) -> None:
    """Have an end trust the certificates of its peers."""
    draft = end.draft
    strangers = [peer for peer in end.peers if peer.issued]
    for peer in end.peers:
        end.changes += _distrust(end, peer)
    fingerprints = draft.configuration.all("peer-fingerprint", "verify-hash") if strangers else []
    for directive in fingerprints:
        end.changes += without(draft, directive, "the lab has issued the certificate of the other end")
    here, directory = slot(draft, "ca"), draft.configuration.last("capath")
    lost = None
    if directory is not None and not draft.disk.is_directory(draft.resolve(directory.argument(0) or "")):
        end.changes += without(draft, directory, "the directory is not at hand")
        lost = directory
    usable = any(not material.has_expired(c) for c in end.authorities)
    option = (here.directive if here else None) or lost or (fingerprints[0] if fingerprints else None)
    option = option or (directory or draft.configuration.last("pkcs12") if strangers else None)
    bundled = here is None and draft.configuration.has("pkcs12")
    if option is None or (usable and not strangers) or (bundled and end.issued):
        return
    own = here is not None and here.missing and here.path is not None
    path = here.path if own and here and here.path else end.lab_path("ca.crt")
    arguments = () if own else ("--ca", str(path))
    trusted = _pems(_trusted_by(end))
    issue = Issue(path=path, kind="ca", domain=end.domain, trusted=trusted)
    if usable:
        names = ", ".join(peer.name for peer in strangers)
        what = f"trusts the lab's authority beside its own: the lab has issued the certificate of {names}"
    elif here is not None and here.content is None:
        what = "the authority's certificate is not at hand: the lab gives that of its own authority"
    else:
        what = "the authority's certificate cannot be used: the lab gives that of its own authority"
    if not usable and trusted:
        what += ", and those that the other end has"
    end.issue(issue, option, what, *arguments)


def _distrust(end: _End, peer: _End) -> Overrides:
    """Say that an end will refuse a certificate at hand: none of the authorities at hand has issued it."""
    here = slot(end.draft, "ca")
    if peer.used is None or here is None or not end.authorities or end.draft.configuration.has("capath"):
        return Overrides()
    if any(material.is_issued_by(peer.used, c) for c in (*end.authorities, *peer.intermediates)):
        return Overrides()
    what = f"none of its authorities has issued the certificate of {peer.name}: it refuses it, as on the hosts"
    return Overrides(remarks=(remark(end.draft, "unknown", here.directive.spot, what),))


def _plan_revocation(end: _End) -> None:
    here = slot(end.draft, "crl-verify")
    if here is None:
        return
    if here.directive.argument(1) == "dir":
        if here.path is not None and not end.draft.disk.is_directory(here.path):
            end.changes += Overrides(directories=(here.path,))
        return
    state = material.crl_state(here.content)
    if state == "valid":
        return
    why = _absence(here, "the list of revoked certificates")
    if state == "expired":
        why = "the list of revoked certificates has expired, so that OpenVPN would refuse every peer"
    what = f"{why}: the lab issues an empty one"
    inside = end.lab_path("crl.pem")
    path = end.draft.locate("crl-verify", str(inside)) if keeps_jail(end.draft) else inside
    path = here.path if here.missing and here.path else path
    arguments = () if here.missing else ("--crl-verify", str(inside))
    end.issue(Issue(path=path, kind="crl", domain=end.domain), here.directive, what, *arguments)


def _plan_dh(end: _End) -> None:
    here = slot(end.draft, "dh")
    if here is None or here.directive.argument(0) in (None, "none") or material.is_dh(here.content):
        return
    path = here.path if here.missing and here.path else end.lab_path("dh.pem")
    arguments = () if here.missing else ("--dh", str(path))
    what = f"{_absence(here, 'the file with Diffie-Hellman parameters')}: the lab writes those of RFC 7919"
    end.issue(Issue(path=path, kind="dh", domain=end.domain), here.directive, what, *arguments)


def _plan_extra(end: _End) -> None:
    here = slot(end.draft, "extra-certs")
    if here is not None and not material.certificates(here.content):
        end.changes += without(end.draft, here.directive, f"{_absence(here, 'the file with more certificates')}")


# --- symmetric keys -------------------------------------------------------------------------------------------------


def _plan_symmetric(ends: Sequence[_End], kind: Literal["tls-auth", "tls-crypt", "secret"]) -> None:
    slots = [(end, slot_of(end.draft, d)) for end in ends for d in end.draft.configuration.all(kind) if d.arguments]
    holders = [(end, here) for end, here in slots if material.is_static_key(here.content)]
    for number, (end, here) in enumerate(slots):
        if material.is_static_key(here.content):
            continue
        near = [h for h in holders if h[0] in end.peers] or holders
        why = f"{_absence(here, 'the key')}"
        path = here.path if here.missing and here.path else end.lab_path(f"{kind}.{number}.key")
        issue = Issue(path=path, kind=kind, domain=end.domain)
        if near:
            holder, there = near[0]
            issue = issue.model_copy(update={"source": there.source, "block": there.block})
            what = f"{why}: the lab copies that of {holder.name} ({there.directive.spot})"
        else:
            what = f"{why}: the lab makes one for all ends"
        _give(end, here, issue, what)


def _give(end: _End, here: Slot, issue: Issue, what: str) -> None:
    """Have a process read a key that the lab gives it."""
    if here.missing:
        end.issue(issue, here.directive, what)
        return
    if here.directive.connection is not None:
        # In a <connection> block the line wins over an argument.
        end.changes += Overrides(commented=(here.directive.spot,))
    end.issue(issue, here.directive, what, f"--{here.directive.name}", str(issue.path), *here.directive.arguments[1:])


def _plan_tls_crypt_v2(ends: Sequence[_End]) -> None:
    slots = [(end, here) for end in ends if (here := slot(end.draft, "tls-crypt-v2")) is not None]
    servers = [(end, here) for end, here in slots if _is_tls_server(end.draft)]
    known = {end.name: here for end, here in servers if material.tls_crypt_v2_key(here.content, "server") is not None}
    for end, here in slots:
        path = here.path if here.missing and here.path else end.lab_path("tls-crypt-v2.key")
        if _is_tls_server(end.draft):
            if end.name not in known:
                what = f"{_absence(here, 'the key')}: the lab makes one, and keys for the clients"
                _give(end, here, Issue(path=path, kind="tls-crypt-v2-server", domain=end.domain), what)
            continue
        holder = next((known[peer.name] for peer in end.peers if peer.name in known), None)
        usable = material.tls_crypt_v2_key(here.content, "client") is not None
        if usable and (holder is not None or not servers):
            continue
        why = "the server's key is not at hand" if usable else _absence(here, "the key")
        issue = Issue(path=path, kind="tls-crypt-v2-client", domain=end.domain, common_name=end.name)
        if holder is not None:
            issue = issue.model_copy(update={"source": holder.source, "block": holder.block})
        _give(end, here, issue, f"{why}: the lab makes one for this client")


def _is_tls_server(draft: Draft) -> bool:
    return draft.role == "server" or draft.configuration.has("tls-server")


# --- users ----------------------------------------------------------------------------------------------------------


def _plan_credentials(end: _End, ends: Sequence[_End]) -> None:
    draft = end.draft
    here = slot(draft, "auth-user-pass")
    if here is not None and draft.role == "client":
        lines = (here.content or b"").splitlines()
        end.user = lines[0].decode(errors="replace") if lines and lines[0] else None
        if not here.has_credentials:
            taken = [other.user for other in ends if other.user and set(other.peers) & set(end.peers)]
            end.user = end.user or user_name(draft, end.others, taken)
            path = here.path if here.missing and here.path else end.lab_path("credentials")
            arguments = () if here.missing else ("--auth-user-pass", str(path))
            why = "OpenVPN would ask for user and password" if here.path is None else _absence(here, "the password")
            what = f"{why}: the lab gives user '{end.user}' and a password of its own"
            issue = Issue(path=path, kind="credentials", domain=end.domain, common_name=end.user)
            end.issue(issue, here.directive, what, *arguments)
    end.changes += proxies.plan(draft, end.domain)


def _known_as(end: _End) -> str | None:
    """Return the name by which a server knows a process."""
    if any(peer.draft.configuration.has("username-as-common-name") for peer in end.peers):
        return end.user
    return common_name_of(end.subject) or None
