"""What `options` of a tunnel may say in every mode, and what is said of an option that is wrong.

A mode's own options are a class below these; the template parts in `templates/parts` write the common ones.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from lab.topology import Objection
from lab.topology.model import Frozen

Seconds = Annotated[int, Field(ge=1, le=86400)]
Cipher = Annotated[str, Field(pattern=r"^\??[A-Za-z0-9-]+$")]
"""A cipher's name; with `?` before it, OpenVPN skips it where its TLS library lacks it."""
Digest = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]


class Remote(Frozen):
    """Where the client dials: a `remote` line."""

    host: str = Field(pattern=r"^[A-Za-z0-9.:_-]+$")
    """A name or an address."""
    port: int | None = Field(None, ge=1, le=65535)
    """By default the tunnel's."""


class HttpProxy(Frozen):
    """A proxy that the client asks to connect it (CONNECT, RFC 9110, section 9.3.6); over TCP only."""

    server: str = Field(pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int = Field(3128, ge=1, le=65535)
    user: str | None = None
    """With a password, for basic authentication (RFC 7617)."""
    password: str | None = None

    @model_validator(mode="after")
    def _has_both_or_none(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        return self


class SocksProxy(Frozen):
    """A SOCKS 5 proxy (RFC 1928), without authentication."""

    server: str = Field(pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int = Field(1080, ge=1, le=65535)


class Options(Frozen):
    """What every mode understands."""

    keepalive: tuple[Seconds, Seconds] = (15, 45)
    """Seconds between pings, and without an answer until a restart; in server mode the server waits twice as long."""
    tun_mtu: int = Field(1500, ge=576, le=65535)
    mssfix: int | None = Field(None, ge=0, le=65535)
    """The largest UDP packet that TCP inside may fill: its MSS is lowered; 0 leaves TCP alone, the default is 1492."""
    auth: Digest | None = None
    """The digest of what is authenticated apart from its encryption; OpenVPN's default is SHA1, as a HMAC."""
    remotes: tuple[Remote, ...] = ()
    """Where the client dials, one after the other, instead of the server's outer address: a name that is looked up
    anew each time, or several addresses."""
    connect_timeout: Seconds | None = None
    """Seconds that each of them has for an answer; OpenVPN's default is 120."""
    listen: Literal["address", "any"] = "address"
    """Where the server listens: at its outer address as the topology has it, or at any that it may get."""
    float_: bool = Field(False, alias="float")
    """Let in packets from another address than the peer's (openvpn(8), --float), between equal ends. Over TLS that is
    not enough: the keys are looked for by the address. A server of many knows clients by a number in each packet."""
    http_proxy: HttpProxy | None = None
    socks_proxy: SocksProxy | None = None
    fragment: int | None = Field(None, ge=68, le=65535)
    """Bytes of the largest UDP packet: what is larger goes in several, each with a header of its own; over UDP only."""
    disable_dco: bool = False
    """OpenVPN carries the data itself, at both ends; by default 2.7 leaves to the kernel what that can do (DCO)."""
    persist_tun: bool = True
    """Keep the device through a restart of the connection."""
    verb: int = Field(4, ge=0, le=11)
    """4 is the least at which OpenVPN says that it drops a packet."""

    @field_validator("keepalive")
    @classmethod
    def _leaves_time_for_two_pings(cls, keepalive: tuple[int, int]) -> tuple[int, int]:
        if keepalive[1] < 2 * keepalive[0]:
            raise ValueError("OpenVPN wants the second number to be at least twice the first")
        return keepalive


class TlsOptions(Options):
    """What every mode understands whose ends agree on their keys by TLS."""

    data_ciphers: tuple[Cipher, ...] = Field(("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"), min_length=1)
    """The first of the server's that the client has as well is used."""
    tls_crypt: bool = False
    """Encrypt the control channel with a key that both ends share; whoever lacks it gets no answer at all."""
    tls_crypt_v2: bool = False
    """The same with a key for each client, which only the server can open."""

    @model_validator(mode="after")
    def _encrypts_the_control_channel_once(self) -> Self:
        if self.tls_crypt and self.tls_crypt_v2:
            raise ValueError("tls-crypt and tls-crypt-v2 exclude each other")
        return self


class ServerOptions(TlsOptions):
    """What every mode understands whose server counts its clients: OpenVPN's `mode server`."""

    max_clients: int | None = Field(None, ge=1, le=65535)
    """A client beyond that number is not let in; a session that its client left behind is counted until it ends."""
    port_share: Remote | None = None
    """A web server: whoever comes to the port and does not speak OpenVPN is passed on to it; over TCP only."""
    duplicate_cn: bool = False
    """A second client with the certificate of one that is connected stands beside it, and does not take its place."""


def objections(mode: str, options: type[Options], given: Mapping[str, Any]) -> Sequence[Objection]:
    """What is wrong with the options that a tunnel gives; nothing where a mode can take them."""
    try:
        options.model_validate(dict(given))
    except ValidationError as error:
        found = error.errors()
        # A list whose only item is wrong is called too short as well.
        inside = {item["loc"][:-1] for item in found if item["loc"]}
        return [
            _objection(mode, options, i["loc"], i["type"], i["msg"])
            for i in found
            if not i["loc"] or i["loc"] not in inside
        ]
    return []


def _objection(
    mode: str, options: type[Options], location: tuple[str | int, ...], kind: str, message: str
) -> Objection:
    if kind == "extra_forbidden":
        known = ", ".join(sorted(f.alias or name for name, f in options.model_fields.items()))
        return Objection(("options", *location), "no such option", f"mode {mode} knows {known}")
    return Objection(("options", *location), message.removeprefix("Value error, "))
