"""Why one end of a tunnel refuses the other: the reason in the logs, and the options at fault."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lab.tunnel.reason import Reason
from lab.why.cause import Cause, Observation
from lab.why.in_force import InForce

_SERIAL = ", serial="
_WRAPPING = ("tls-crypt-v2", "tls-crypt", "tls-auth")
"""Options that protect the control channel with a key."""
_DECIDING = {
    "control-channel-key": (*_WRAPPING, "key-direction", "auth"),
    "data-channel-key": ("secret", "key-direction", "cipher", "auth"),
    "no-common-cipher": ("data-ciphers", "data-ciphers-fallback", "ncp-ciphers"),
    "tls-version": ("tls-version-min", "tls-version-max"),
    "tls-cipher": ("tls-cipher", "tls-ciphersuites", "tls-cert-profile"),
    "certificate-purpose": ("remote-cert-tls", "remote-cert-eku", "remote-cert-ku"),
    "certificate-name": ("verify-x509-name",),
    "user-password": ("auth-user-pass-verify", "auth-user-pass", "plugin"),
    "max-clients": ("max-clients",),
}
"""The options that decide about a kind of refusal."""
_DEFAULT_DIGEST = "SHA1"
_DEFAULT_CIPHER = "BF-CBC"


@dataclass(frozen=True)
class Refusal:
    """The reason in the logs, with the configurations of both ends."""

    reason: Reason
    here: InForce
    """The end that logged the reason."""
    there: InForce

    @property
    def words(self) -> str:
        """The words of the log without the number of the certificate."""
        return self.reason.words.partition(_SERIAL)[0]

    @property
    def server(self) -> InForce:
        """The configuration of the server's end."""
        return self.here if self.reason.end == "server" else self.there

    @property
    def client(self) -> InForce:
        """The configuration of the client's end."""
        return self.there if self.reason.end == "server" else self.here


def cause_of(refusal: Refusal) -> Cause | None:
    """Return the cause; None for a reason that names none, such as silence of the other end."""
    kind = refusal.reason.kind
    text = _TEXTS.get(kind)
    if text is None:
        return None
    what, mend = text(refusal)
    logged = Observation(refusal.here.node, "log of OpenVPN", refusal.reason.words)
    return Cause(kind, refusal.here.node, what, mend, (logged, *_configured(refusal)))


Text = tuple[str, str]
"""The cause in words, and the mend."""


def _configured(found: Refusal) -> list[Observation]:
    """Return the options of both ends that decide about a kind of refusal."""
    return [
        Observation(end.node, "configuration of OpenVPN", f"{directive} ({end.place_of(directive.spot)})")
        for end in (found.server, found.client)
        for name in _DECIDING.get(found.reason.kind, ())
        if (directive := end.last(name)) is not None
    ]


def _certificate(why: str, mend: str) -> Callable[[Refusal], Text]:
    """Return the text for a certificate that is refused; `{here}` and `{there}` are the two nodes."""

    def text(found: Refusal) -> Text:
        names = {"here": found.here.node, "there": found.there.node}
        places = {
            name.replace("-", "_"): found.here.place(name)
            for name in ("ca", "remote-cert-tls", "verify-x509-name", "crl-verify", "tls-verify")
        } | {
            "cert": found.there.place("cert", "pkcs12"),
            "usage": "client's certificate (extended key usage `clientAuth`)"
            if found.reason.end == "server"
            else "server's certificate (extended key usage `serverAuth`)",
        }
        what = f"{found.here.node} refuses {found.there.node}'s certificate: {why.format(**names)} ({found.words})"
        return what, mend.format(**names, **places)

    return text


def _wrapping(found: Refusal) -> Text:
    """Compare what protects the control channel at both ends."""
    ends = (found.client, found.server)
    options = [next((name for name in _WRAPPING if end.last(name)), "") for end in ends]
    client, server = ends
    if options[0] != options[1]:
        has, lacks = (server, client) if options[1] else (client, server)
        option = options[1] or options[0]
        what = f"{found.here.node} cannot read {found.there.node}'s packets: {has.node} has `{option}`"
        other = options[0] if has is server else options[1]
        what += f" and {lacks.node} has " + (f"`{other}`" if other else "none")
        return what, f"give both ends the same option: `{option}` in {lacks.file}"
    option = options[0]
    differ = f"{found.here.node} cannot read {found.there.node}'s packets: "
    if option in ("tls-crypt", "tls-auth"):
        keys = [end.key(option) for end in ends]
        if all(keys) and keys[0] != keys[1]:
            mend = f"use the same key in {client.place(option)} and {server.place(option)}"
            return f"{differ}the two ends have different keys of `{option}`", mend
    if option == "tls-auth":
        digests = [_argument(end, "auth") or _DEFAULT_DIGEST for end in ends]
        if digests[0].upper() != digests[1].upper():
            what = f"{differ}{client.node} has `auth {digests[0]}`, {server.node} has `auth {digests[1]}`"
            return what, f"set the same `auth` in {client.place('auth')} and {server.place('auth')}"
        directions = [_direction(end, option) for end in ends]
        if sorted(directions) not in (["", ""], ["0", "1"]):
            said = [f"direction {d}" if d else "no direction" for d in directions]
            what = f"{differ}`{option}` has {said[0]} at {client.node} and {said[1]} at {server.node}"
            return what, f"set 0 in {server.place(option)} and 1 in {client.place(option)}"
    what = f"{differ}its `{option or 'control channel'}` key does not fit ({found.words})"
    return what, f"compare the key in {client.place(option)} with that in {server.place(option)}"


def _data_key(found: Refusal) -> Text:
    """Compare the static key, its direction, cipher and digest at both ends."""
    ends = (found.client, found.server)
    differ = f"{found.here.node} cannot read {found.there.node}'s packets: "
    compared = {
        "secret": [end.key("secret") for end in ends],
        "cipher": [(_argument(end, "cipher") or _DEFAULT_CIPHER).upper() for end in ends],
        "auth": [(_argument(end, "auth") or _DEFAULT_DIGEST).upper() for end in ends],
    }
    directions = [_direction(end, "secret") for end in ends]
    for option, (one, other) in compared.items():
        if one == other or not (one and other):
            continue
        places = [end.place(option) for end in ends]
        if option == "secret":
            return f"{differ}the two ends have different keys", f"use the same key in {places[0]} and {places[1]}"
        what = f"{differ}{ends[0].node} has `{option} {one}`, {ends[1].node} has `{option} {other}`"
        return what, f"set the same `{option}` in {places[0]} and {places[1]}"
    if sorted(directions) not in (["", ""], ["0", "1"]):
        said = [f"direction {d}" if d else "no direction" for d in directions]
        what = f"{differ}its key has {said[0]} at {ends[0].node} and {said[1]} at {ends[1].node}"
        return what, f"set 0 in {ends[1].place('secret')} and 1 in {ends[0].place('secret')}"
    return f"{differ}{found.words}", f"compare key, `cipher` and `auth` of {ends[0].file} and {ends[1].file}"


def _ciphers(found: Refusal) -> Text:
    client, server = found.client, found.server
    lists = [_argument(end, "data-ciphers", "ncp-ciphers") or "its default" for end in (client, server)]
    what = f"{server.node} and {client.node} have no cipher in common: {server.node} has {lists[1]}, "
    what += f"{client.node} has {lists[0]}"
    places = f"{server.place('data-ciphers')} and {client.place('data-ciphers')}"
    return what, f"name one cipher in both `data-ciphers` ({places})"


def _password(found: Refusal) -> Text:
    server, client = found.server, found.client
    if "not provided" in found.words:
        what = f"{server.node} refuses {client.node}: it sent no user name and password"
        return what, f"add `auth-user-pass FILE` to {client.file}"
    check = server.last("auth-user-pass-verify", "plugin")
    by = f" by `{check}`" if check else ""
    what = f"{server.node} refuses the user name and password of {client.node}{by}"
    return what, f"correct them in {client.place('auth-user-pass')}"


def _client_file(found: Refusal) -> Text:
    missing = found.words.partition("file='")[2].rstrip("'")
    what = f"{found.server.node} refuses {found.client.node}: with `ccd-exclusive` each client needs a file, and "
    what += f"{missing} cannot be read"
    return what, f"add that file, or remove `ccd-exclusive` ({found.server.place('ccd-exclusive')})"


def _connect_script(found: Refusal) -> Text:
    what = f"{found.server.node} refuses {found.client.node}: its `client-connect` fails ({found.words})"
    return what, f"mend the script of {found.server.place('client-connect')}"


def _too_many(found: Refusal) -> Text:
    limit = found.server.last("max-clients")
    what = (
        f"{found.server.node} refuses {found.client.node}: it has as many clients as `{limit or 'max-clients'}` allows"
    )
    return what, f"raise it in {found.server.place('max-clients')}, or disconnect the other client"


def _refused(found: Refusal) -> Text:
    what = f"{found.there.node} refuses {found.here.node}: {found.words}"
    return what, f"look for the reason in the log of {found.there.node}"


def _tls_version(found: Refusal) -> Text:
    said = []
    for end in (found.server, found.client):
        limits = [d for d in (end.last("tls-version-min"), end.last("tls-version-max")) if d is not None]
        said.append(f"{end.node} has {' and '.join(f'`{d}`' for d in limits) or 'no limit'}")
    what = f"{found.server.node} and {found.client.node} have no version of TLS in common: {', '.join(said)}"
    places = [
        end.place_of(d.spot)
        for end in (found.server, found.client)
        if (d := end.last("tls-version-min", "tls-version-max")) is not None
    ]
    return what, f"change {' or '.join(places)}" if places else "use versions of OpenSSL with a common one"


def _tls_cipher(found: Refusal) -> Text:
    server, client = found.server, found.client
    what = f"{server.node} and {client.node} have no TLS cipher suite in common"
    places = f"{server.place('tls-cipher')} and {client.place('tls-cipher')}"
    return what, f"let `tls-cipher`, `tls-ciphersuites` and `tls-cert-profile` have one in common ({places})"


def _replayed(found: Refusal) -> Text:
    """Name the sender's clock, whose time is in each packet with a static key, and the receiver's record of it."""
    what = f"{found.here.node} takes {found.there.node}'s packets for replayed ones ({found.words})"
    mend = f"set the clock of {found.there.node}, which must not go back"
    if option := found.here.last("replay-persist"):
        mend += f", or remove the file of `{option}` ({found.here.place('replay-persist')})"
    return what, mend


def _tls(found: Refusal) -> Text:
    what = f"{found.here.node} and {found.there.node} do not agree on TLS: {found.here.node} logged {found.words}"
    return what, f"compare the TLS options of {found.here.file} and {found.there.file}"


def _unresolvable(found: Refusal) -> Text:
    what = f"{found.here.node} cannot resolve the name of its server: {found.words}"
    return what, f"give {found.here.node} a name server that knows it, or an address in {found.here.place('remote')}"


def _proxy(found: Refusal) -> Text:
    option = found.here.last("http-proxy", "socks-proxy")
    what = f"{found.here.node}'s proxy does not connect it: {found.words}"
    place = found.here.place("http-proxy", "socks-proxy")
    return what, f"let the proxy allow this server and port, or change `{option or 'http-proxy'}` ({place})"


_ISSUE: Final = "give {there} a certificate "
_TEXTS: Final[dict[str, Callable[[Refusal], Text]]] = {
    "certificate-issuer": _certificate(
        "it is not issued by an authority that {here} trusts",
        _ISSUE + "of the authority in `ca` ({ca}), or add its authority there",
    ),
    "certificate-purpose": _certificate(
        "it is not for this purpose", "give {there} a {usage}, as `remote-cert-tls` demands ({remote_cert_tls})"
    ),
    "certificate-expired": _certificate("it has expired", "renew the certificate ({cert})"),
    "certificate-not-yet-valid": _certificate(
        "it is not valid yet", "set the clock of {here}, or issue a certificate that is valid now ({cert})"
    ),
    "certificate-revoked": _certificate(
        "it is in the list of revoked ones", _ISSUE + "that is not in the list ({crl_verify})"
    ),
    "certificate-name": _certificate(
        "it has another name than `verify-x509-name` demands",
        _ISSUE + "of that name, or change `verify-x509-name` ({verify_x509_name})",
    ),
    "revocation-list": _certificate("the list of revoked ones is not valid", "renew the list ({crl_verify})"),
    "certificate-refused": _certificate("it does not pass the checks", _ISSUE + "that does ({tls_verify})"),
    "user-password": _password,
    "client-file-missing": _client_file,
    "client-connect": _connect_script,
    "no-common-cipher": _ciphers,
    "max-clients": _too_many,
    "authentication": _refused,
    "control-channel-key": _wrapping,
    "replay": _replayed,
    "data-channel-key": _data_key,
    "tls-version": _tls_version,
    "tls-cipher": _tls_cipher,
    "tls-refused": _tls,
    "remote-unresolvable": _unresolvable,
    "proxy-refused": _proxy,
}
REFUSALS: Final = tuple(_TEXTS)
"""The kinds of these causes."""


def _argument(end: InForce, *names: str) -> str:
    found = end.last(*names)
    return (found.argument(0) or "") if found else ""


def _direction(end: InForce, option: str) -> str:
    """Return the direction of a key: the second word of its option, or `key-direction`; the last one counts."""
    found = ""
    for directive in end.configuration.all(option, "key-direction"):
        found = directive.argument(0 if directive.name == "key-direction" else 1) or found
    return found
