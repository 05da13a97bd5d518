"""The options that modes share, as pydantic models, and the objections to invalid ones.

A mode subclasses one of these for its own options; the template parts in `templates/parts` render the shared ones.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from lab.topology import Objection
from lab.topology.intent import Extra, Frozen
from lab.tunnel.extra import refuse_extra

Seconds = Annotated[int, Field(ge=1, le=86400)]
Cipher = Annotated[str, Field(pattern=r"^\??[A-Za-z0-9-]+$")]
"""The name of a cipher; OpenVPN skips one with a `?` before it if its TLS library lacks it."""
Digest = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]


class Remote(Frozen):
    """An address that the client connects to: a `remote` line."""

    host: str = Field(pattern=r"^[A-Za-z0-9.:_-]+$")
    """A host name or an address."""
    port: int | None = Field(None, ge=1, le=65535)
    """The tunnel's port by default."""


class HttpProxy(Frozen):
    """An HTTP proxy that the client connects through (CONNECT, RFC 9110, section 9.3.6); over TCP only."""

    server: str = Field(pattern=r"^[A-Za-z0-9.:_-]+$")
    """Its name or address."""
    port: int = Field(3128, ge=1, le=65535)
    """Its port."""
    user: str | None = None
    """The user name for basic authentication (RFC 7617); it needs `password`."""
    password: str | None = None
    """The password that goes with `user`."""

    @model_validator(mode="after")
    def _has_both_or_none(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password need each other: give both or neither")
        return self


class SocksProxy(Frozen):
    """A SOCKS 5 proxy (RFC 1928), without authentication."""

    server: str = Field(pattern=r"^[A-Za-z0-9.:_-]+$")
    """Its name or address."""
    port: int = Field(1080, ge=1, le=65535)
    """Its port."""


class ExtraOptions(Frozen):
    """Lines for OpenVPN's configurations at the two ends."""

    server: Extra = ()
    """Lines to append to the server's configuration, unchanged: a text, or a list of lines."""
    client: Extra = ()
    """Lines to append to the client's configuration."""


class Options(Frozen):
    """The options of every mode."""

    keepalive: tuple[Seconds, Seconds] = (15, 45)
    """Seconds between pings, and without an answer until a restart; a server with `mode server` waits twice as long."""
    tun_mtu: int = Field(1500, ge=576, le=65535)
    """The MTU of the tunnel's device."""
    mssfix: int | None = Field(None, ge=0, le=65535)
    """The largest UDP packet that TCP in the tunnel may fill, by its MSS; 0 switches it off, the default is 1492."""
    auth: Digest | None = None
    """The digest of the HMAC that authenticates packets, unless the cipher does; OpenVPN's default is SHA1."""
    remotes: tuple[Remote, ...] = ()
    """The addresses that the client tries in turn, instead of the server's outer address; a host name is resolved at
    each try."""
    connect_timeout: Seconds | None = None
    """Seconds to wait for an answer from each of them; OpenVPN's default is 120."""
    listen: Literal["address", "any"] = "address"
    """The addresses that the server listens on: its outer address in the topology, or all."""
    float_: bool = Field(False, alias="float")
    """Accept packets from another address than the peer's (openvpn(8), --float), point to point. It has no effect over
    TLS, where the address selects the keys; a server with several clients knows them by a number in each packet."""
    http_proxy: HttpProxy | None = None
    """The proxy through which the client connects, by HTTP; over TCP only."""
    socks_proxy: SocksProxy | None = None
    """The proxy through which the client connects, by SOCKS 5."""
    fragment: int | None = Field(None, ge=68, le=65535)
    """Bytes of the largest UDP packet; OpenVPN splits larger ones and adds a header to each part; over UDP only."""
    disable_dco: bool = False
    """Forward the data in userspace at both ends; by default 2.7 uses the kernel if it can (DCO)."""
    persist_tun: bool = True
    """Keep the device while the connection restarts."""
    verb: int = Field(4, ge=0, le=11)
    """The log level; 4 is the lowest at which OpenVPN logs dropped packets."""
    extra: ExtraOptions = ExtraOptions()
    """Lines to append to OpenVPN's configurations, unchanged. Scripts run inside the node. The lab refuses only options
    with which it could not run the process or read its state, such as `management`, `daemon`, `log` and `cd`."""

    @field_validator("keepalive")
    @classmethod
    def _leaves_time_for_two_pings(cls, keepalive: tuple[int, int]) -> tuple[int, int]:
        if keepalive[1] < 2 * keepalive[0]:
            raise ValueError("the second number must be at least twice the first")
        return keepalive


class TlsOptions(Options):
    """The options of every mode that negotiates keys by TLS."""

    data_ciphers: tuple[Cipher, ...] = Field(("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"), min_length=1)
    """The ciphers of an end; the first of the server's that the client supports is used."""
    tls_crypt: bool = False
    """Encrypt the control channel with a key that both ends share; the server does not answer a peer without it."""
    tls_crypt_v2: bool = False
    """Encrypt the control channel with a key per client, which only the server can decrypt."""

    @model_validator(mode="after")
    def _encrypts_the_control_channel_once(self) -> Self:
        if self.tls_crypt and self.tls_crypt_v2:
            raise ValueError("tls-crypt and tls-crypt-v2 exclude each other")
        return self


class ServerOptions(TlsOptions):
    """The options of every mode with a list of clients at its server: OpenVPN's `mode server`."""

    max_clients: int | None = Field(None, ge=1, le=65535)
    """The largest number of clients; a session counts until it ends, also after its client has gone."""
    port_share: Remote | None = None
    """A web server that gets the connections to the port which are not OpenVPN; over TCP only."""
    duplicate_cn: bool = False
    """Accept a second client with the certificate of a connected one, without disconnecting that one."""


def objections(mode: str, options: type[Options], given: Mapping[str, Any]) -> Sequence[Objection]:
    """Return the objections to the options of a tunnel; empty if they are valid."""
    try:
        checked = options.model_validate(dict(given))
    except ValidationError as error:
        found = error.errors()
        # pydantic also reports a list as too short if its only item is invalid.
        inside = {item["loc"][:-1] for item in found if item["loc"]}
        return [
            _objection(mode, options, i["loc"], i["type"], i["msg"])
            for i in found
            if not i["loc"] or i["loc"] not in inside
        ]
    return [*refuse_extra("server", checked.extra.server), *refuse_extra("client", checked.extra.client)]


def _objection(
    mode: str, options: type[Options], location: tuple[str | int, ...], kind: str, message: str
) -> Objection:
    if kind == "extra_forbidden":
        known = ", ".join(sorted(f.alias or name for name, f in options.model_fields.items()))
        return Objection(("options", *location), "no such option", f"the options of mode {mode} are {known}")
    return Objection(("options", *location), message.removeprefix("Value error, "))
