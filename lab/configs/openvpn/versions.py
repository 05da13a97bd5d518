"""The effects of old options in OpenVPN 2.4 to 2.7, on Linux with OpenSSL 3.

From the changelogs and manuals of OpenVPN; every row, and the message that it quotes, is tried with the programs of the
lab's images by a test. An option that no row names is accepted by all of them, or by those from a version on that the
manual tells.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from lab.configs.openvpn.configuration import Configuration, Directive, Role

Effect = Literal["accepted", "warns", "ignored", "refused"]
"""`accepted`: it has its effect; `warns`: it has, and the log says that it is deprecated or insecure; `ignored`: it has
none, though OpenVPN starts; `refused`: OpenVPN ends with an error."""

VERSIONS: Final = ("2.4", "2.5", "2.6", "2.7")
_LEGACY = r"(?i:(BF|CAST5|RC2|IDEA|SEED|DES)(-(CBC|CFB\d*|OFB|ECB))?|RC2-\d+-CBC)"
_DEFAULT = r"(.*:)?DEFAULT(:.*)?"


@dataclass(frozen=True)
class Row:
    """The effects of an option, or of some values of it, by version."""

    option: str
    effects: tuple[Effect, Effect, Effect, Effect]
    """By 2.4, 2.5, 2.6 and 2.7."""
    instead: str
    """The replacement, as the end of a sentence."""
    example: str
    """A line of a configuration that the row is about."""
    values: str = ""
    """A pattern that the option's words match; empty for any words."""
    roles: tuple[Role, ...] = ("server", "client", "peer")
    unless: str = ""
    """An option beside which the row does not hold."""
    tls: bool | None = None
    """True if only with TLS, False if only without."""
    says: Mapping[str, str] = field(default_factory=dict)
    """The part of a line in the log of a version that warns or ignores, by the first version that writes it so."""
    beside: str = ""
    """Another option without which the row does not hold."""
    tcp: bool = False
    """True if only over TCP."""
    unlisted: bool = False
    """True if only for a cipher that `data-ciphers` does not list."""

    def effect(self, version: str) -> Effect:
        """Return what a version does; one that the table lacks does what the nearest one does."""
        known = [v for v in VERSIONS if _number(v) <= _number(version)]
        return self.effects[VERSIONS.index(known[-1]) if known else 0]

    def message(self, version: str) -> str:
        """Return a part of the line that a version logs about the option; empty if it accepts it, or logs nothing."""
        if self.effect(version) not in ("warns", "ignored"):
            return ""
        return next(
            (text for first, text in reversed(list(self.says.items())) if _number(first) <= _number(version)), ""
        )

    def matches(self, directive: Directive, configuration: Configuration) -> bool:
        """Return True if the row is about a line of a configuration."""
        if directive.name != self.option or configuration.role not in self.roles or configuration.has(self.unless):
            return False
        if self.beside and not configuration.has(self.beside):
            return False
        if self.tcp and configuration.transports != {"tcp"}:
            return False
        if self.unlisted and (directive.argument(0) or "") in _negotiated(configuration):
            return False
        if self.tls is not None and self.tls == configuration.has("secret"):
            return False
        return not self.values or re.fullmatch(self.values, " ".join(directive.arguments)) is not None


@dataclass(frozen=True)
class Verdict:
    """The effect of one line of a configuration in a version."""

    directive: Directive
    version: str
    effect: Effect
    instead: str
    runs_with: str | None
    """The newest version that accepts the line, if this one refuses it; None if no version of the table does."""
    says: str = ""
    """The version's log message about the line; empty if it is not known."""

    def __str__(self) -> str:
        name = self.directive.name
        match self.effect:
            case "refused":
                how = f"OpenVPN {self.version} refuses '{name}' and ends"
                if self.runs_with is not None:
                    how += f"; {self.runs_with} still accepts it"
            case "ignored":
                how = f"OpenVPN {self.version} ignores '{name}'"
            case _:
                how = f"OpenVPN {self.version} accepts '{name}' with a warning"
        if self.says:
            how += f' ("{self.says}")'
        return f"{how}: {self.instead}"


def judge(configuration: Configuration, version: str) -> list[Verdict]:
    """Return what a version (`2.7` or `2.7.8`) does with those lines of a file that it does not simply accept."""
    version = ".".join(version.split(".")[:2])
    unknown_allowed = {word for d in configuration.all("ignore-unknown-option") for word in d.arguments}
    return [verdict for d in configuration.directives for verdict in _judge(d, configuration, version, unknown_allowed)]


def _judge(directive: Directive, configuration: Configuration, version: str, allowed: set[str]) -> Iterator[Verdict]:
    for row in ROWS:
        if not row.matches(directive, configuration):
            continue
        effect = row.effect(version)
        if effect == "refused" and (directive.optional or directive.name in allowed):
            effect = "ignored"
        if effect != "accepted":
            older = [v for v in reversed(VERSIONS) if v != version and row.effect(v) != "refused"]
            runs_with = older[0] if effect == "refused" and older else None
            yield Verdict(directive, version, effect, row.instead, runs_with, row.message(version))
        return


def _negotiated(configuration: Configuration) -> set[str]:
    """Return the ciphers that a file offers for negotiation."""
    ciphers = configuration.last("data-ciphers", "ncp-ciphers")
    return set(((ciphers.argument(0) if ciphers else None) or "").upper().split(":"))


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


_A: Final = "accepted"
_W: Final = "warns"
_I: Final = "ignored"
_R: Final = "refused"
_NOT_LINUX: Final = "remove it: it is for Windows"
_SERVER: Final[tuple[Role, ...]] = ("server",)
_NEGOTIATE: Final[tuple[Role, ...]] = ("server", "client")

_COMPRESSION: Final = {
    "2.5": "Compression for receiving enabled. Compression has been used in the past to break encryption.",
}
_NO_OFFLOAD: Final = {"2.6": "Note: '--allow-compression' is not set to 'no', disabling data channel offload."}
_NOT_NEGOTIATED: Final = {
    "2.5": "Future OpenVPN version will ignore --cipher for cipher negotiations.",
    "2.6": "OpenVPN ignores --cipher for cipher negotiations.",
}
_CLEAR: Final = "remove it: packets are sent in clear"
_PROXY_RETRIES: Final = {
    "2.5": "In OpenVPN 2.4 proxy connection retries are handled like regular connections.",
    "2.7": "-proxy-retry option ignored.",
}

ROWS: Final = (
    # Compression
    Row("comp-lzo", (_A, _A, _W, _W), "remove it at both ends", "comp-lzo no", "no", says=_NO_OFFLOAD),
    Row(
        "comp-lzo", (_A, _W, _W, _W), "remove it at both ends: it only receives compressed packets", "comp-lzo",
        says=_COMPRESSION,
    ),
    Row("compress", (_R, _R, _A, _A), "remove it at both ends", "compress migrate", "migrate"),
    Row(
        "compress", (_A, _A, _W, _W), "remove it at both ends, or use 'compress migrate' at the server",
        "compress stub-v2", "|stub|stub-v2", says=_NO_OFFLOAD,
    ),
    Row(
        "compress", (_A, _W, _W, _W), "remove it at both ends: it only receives compressed packets", "compress lz4",
        says=_COMPRESSION,
    ),
    Row(
        "allow-compression", (_R, _W, _W, _I), "remove it: nothing is compressed", "allow-compression yes", "yes",
        says={
            "2.5": "Compression for sending and receiving enabled.",
            "2.7": 'has been removed. We will use "asym" mode instead.',
        },
    ),
    Row("allow-compression", (_R, _A, _A, _A), "remove it", "allow-compression no", "no"),
    Row("allow-compression", (_R, _A, _W, _W), "use 'no'", "allow-compression asym", says=_NO_OFFLOAD),
    # Ciphers of the data channel
    Row(
        "keysize", (_A, _W, _R, _R), "remove it: the cipher's name has its size", "keysize 256",
        says={"2.5": "--keysize is DEPRECATED and will be removed in OpenVPN 2.6"},
    ),
    Row(
        "ncp-ciphers", (_A, _W, _W, _W), "use 'data-ciphers'", "ncp-ciphers AES-256-GCM",
        says={"2.5": "Treating option '--ncp-ciphers' as  '--data-ciphers' (renamed in OpenVPN 2.5)."},
    ),
    Row(
        "ncp-disable", (_A, _W, _R, _R), "remove it, and list the cipher in 'data-ciphers'",
        "ncp-disable\ncipher AES-256-GCM",
        says={"2.5": "Disabling cipher negotiation is a deprecated debug feature that will be removed in OpenVPN 2.6"},
    ),
    Row(
        "cipher", (_W, _W, _I, _I), "list a modern cipher in 'data-ciphers' at both ends",
        "cipher BF-CBC", _LEGACY, _NEGOTIATE, tls=True, unlisted=True, says=_NOT_NEGOTIATED,
    ),
    Row("cipher", (_A, _A, _R, _R), "use AES-256-GCM at both ends", "cipher BF-CBC", _LEGACY, ("peer",)),
    Row(
        "cipher", (_W, _W, _W, _W), _CLEAR, "cipher none", "none", ("peer",), tls=True,
        says={"2.5": "'--cipher none' was specified. This means NO encryption will be performed"},
    ),
    Row(
        "cipher", (_A, _W, _A, _A), "list it in 'data-ciphers' at both ends, or leave the choice to them",
        "cipher CHACHA20-POLY1305", "CHACHA20-POLY1305", _NEGOTIATE, tls=True, unlisted=True, says=_NOT_NEGOTIATED,
    ),
    Row(
        # Names are in capitals, or OpenVPN does not find them in its list.
        "cipher", (_A, _W, _I, _I), "list it in 'data-ciphers' at both ends, or leave the choice to them",
        "cipher AES-256-CBC", r"(?!(AES-(256|128)-GCM|CHACHA20-POLY1305)$).+", _NEGOTIATE, tls=True,
        unlisted=True, says=_NOT_NEGOTIATED,
    ),
    Row(
        "data-ciphers", (_R, _A, _R, _R), "remove the ciphers that OpenSSL 3 has no more",
        "data-ciphers AES-256-GCM:BF-CBC", rf"(.*:)?({_LEGACY})(:.*)?",
    ),
    Row("data-ciphers", (_R, _A, _R, _A), "name the ciphers", "data-ciphers DEFAULT", _DEFAULT, ("peer",)),
    Row("data-ciphers", (_R, _R, _R, _A), "name the ciphers", "data-ciphers DEFAULT", _DEFAULT, _NEGOTIATE),
    Row(
        "data-ciphers", (_R, _W, _W, _W), _CLEAR, "data-ciphers none", r"(.*:)?none(:.*)?", _NEGOTIATE,
        says={"2.5": "cipher 'none' specified for --data-ciphers. This allows negotiation of NO encryption"},
    ),
    Row("data-ciphers", (_R, _A, _A, _A), "2.4 calls it 'ncp-ciphers'", "data-ciphers AES-256-GCM"),
    Row("auth", (_A, _A, _R, _R), "use SHA256 at both ends", "auth MD4", r"(?i:MD4|RSA-.*|MDC2|WHIRLPOOL)"),
    # The control channel
    Row(
        "tls-cipher", (_A, _R, _R, _R), "remove it: Debian's OpenSSL has none of these",
        "tls-cipher TLS-RSA-WITH-3DES-EDE-CBC-SHA",
        r"(TLS-RSA-WITH-3DES-EDE-CBC-SHA|TLS-RSA-WITH-RC4-128-(MD5|SHA)|TLS-RSA-WITH-DES-CBC-SHA)",
    ),
    Row("key-method", (_A, _R, _R, _R), "remove it: all versions use method 2", "key-method 2", "2"),
    Row("key-method", (_A, _R, _R, _R), "remove it at both ends", "key-method 1"),
    Row("tls-remote", (_R, _R, _R, _R), "use 'verify-x509-name'", "tls-remote server"),
    Row(
        "ns-cert-type", (_W, _W, _W, _W), "use 'remote-cert-tls'", "ns-cert-type server",
        says={"2.5": "--ns-cert-type is DEPRECATED.  Use --remote-cert-tls instead."},
    ),
    Row(
        "verify-hash", (_A, _A, _W, _W), "use 'peer-fingerprint'", f"verify-hash {':'.join(['00'] * 20)}",
        says={"2.6": "The option --verify-hash is deprecated."},
    ),
    Row(
        "ecdh-curve", (_A, _W, _I, _I), "use 'tls-groups'", "ecdh-curve secp384r1",
        says={
            "2.5": "Consider setting groups/curves preference with tls-groups",
            "2.6": "OpenSSL 3.0+ builds do not support specifying an ECDH curve with --ecdh-curve",
        },
    ),
    Row("compat-names", (_W, _R, _R, _R), "remove it", "compat-names"),
    Row("no-name-remapping", (_W, _R, _R, _R), "remove it", "no-name-remapping"),
    Row(
        "prng", (_A, _A, _I, _I), "remove it", "prng SHA1 16",
        says={"2.6": "--prng option ignored (SSL library PRNG is used)"},
    ),
    Row(
        "engine", (_A, _A, _I, _I), "remove it: OpenSSL 3 of Debian has no engines", "engine",
        says={"2.6": "OpenSSL hardware crypto engine functionality is not available"},
    ),
    # Without TLS
    Row(
        "secret", (_A, _A, _W, _R), "use TLS, or add 'allow-deprecated-insecure-static-crypto' for 2.7",
        "secret ta.key\ncipher AES-256-CBC", unless="allow-deprecated-insecure-static-crypto", tls=False,
        says={"2.6": "The option --secret is deprecated."},
    ),
    Row(
        "secret", (_A, _A, _W, _W), "use TLS",
        "secret ta.key\ncipher AES-256-CBC\nallow-deprecated-insecure-static-crypto",
        beside="allow-deprecated-insecure-static-crypto", tls=False, says={"2.6": "The option --secret is deprecated."},
    ),
    Row(
        "allow-deprecated-insecure-static-crypto", (_R, _R, _R, _A), "remove it for this version",
        "allow-deprecated-insecure-static-crypto",
    ),
    # Replay protection and IVs
    Row("no-iv", (_I, _R, _R, _R), "remove it", "no-iv"),
    Row(
        "no-replay", (_A, _W, _W, _R), "remove it", "no-replay",
        says={"2.5": "You have disabled Replay Protection (--no-replay) which may make OpenVPN less secure"},
    ),
    # Servers
    Row(
        "client-cert-not-required", (_W, _R, _R, _R), "use 'verify-client-cert none'",
        "client-cert-not-required\nauth-user-pass-verify /bin/true via-file",
    ),
    Row(
        "verify-client-cert", (_W, _W, _W, _W), "give each client a certificate",
        "verify-client-cert none\nauth-user-pass-verify /bin/true via-file", "none|optional", _SERVER,
        says={"2.5": "POTENTIALLY DANGEROUS OPTION --verify-client-cert none|optional may accept clients"},
    ),
    Row(
        "ifconfig-pool-persist", (_W, _W, _W, _W), "remove it, or 'duplicate-cn'",
        "ifconfig-pool-persist /tmp/pool\nduplicate-cn", roles=_SERVER, beside="duplicate-cn",
        says={"2.5": "--ifconfig-pool-persist will not work with --duplicate-cn"},
    ),
    Row("ifconfig-pool-linear", (_W, _R, _R, _R), "use 'topology subnet'", "ifconfig-pool-linear"),
    Row(
        "opt-verify", (_R, _R, _R, _I), "remove it", "opt-verify", roles=("client", "peer"),
        says={"2.7": "--opt-verify was removed in OpenVPN 2.7."},
    ),
    Row(
        "opt-verify", (_A, _A, _W, _I), "remove it", "opt-verify", roles=_SERVER,
        says={
            "2.6": "opt-verify is deprecated and will be removed in OpenVPN 2.7",
            "2.7": "--opt-verify was removed in OpenVPN 2.7.",
        },
    ),
    Row(
        "topology", (_A, _W, _W, _W), "use 'topology subnet'", "topology net30", "net30", roles=_SERVER,
        says={"2.5": "--topology net30 support for server configs with IPv4 pools will be removed"},
    ),
    Row(
        "tcp-nodelay", (_A, _A, _A, _W), "remove it", "tcp-nodelay", roles=_SERVER,
        says={"2.7": "TCP_NODELAY is always enabled locally"},
    ),
    Row(
        "max-routes", (_I, _I, _I, _I), "remove it", "max-routes 100",
        says={"2.5": "--max-routes option ignored."},
    ),
    # Processes
    Row("inetd", (_A, _W, _R, _R), "run OpenVPN as a service", "inetd"),
    Row(
        "persist-key", (_A, _A, _A, _I), "remove it: keys stay in memory", "persist-key",
        says={"2.7": "--persist-key option ignored. Keys are now always persisted across restarts."},
    ),
    Row(
        "tun-ipv6", (_I, _I, _I, _I), "remove it", "tun-ipv6",
        says={"2.5": "option tun-ipv6 is ignored because modern operating systems do not need"},
    ),
    Row("fast-io", (_A, _A, _A, _I), "remove it", "fast-io", says={"2.7": "--fast-io option ignored."}),
    Row("memstats", (_A, _A, _A, _R), "remove it", "memstats /tmp/memstats"),
    Row(
        "tcp-nodelay", (_A, _W, _W, _W), "remove it, and use it at the server", "tcp-nodelay", roles=("client", "peer"),
        says={
            "2.5": "setting tcp-nodelay on the client side will not affect the server.",
            "2.7": "--tcp-nodelay is always enabled on clients",
        },
    ),
    Row(
        "explicit-exit-notify", (_R, _R, _I, _I), "remove it: TCP tells the other end",
        "explicit-exit-notify\nproto tcp-server", tcp=True,
        says={"2.6": "--explicit-exit-notify ignored for --proto tcp"},
    ),
    Row(
        "http-proxy-retry", (_I, _I, _I, _I), "use 'connect-retry'", "http-proxy-retry", roles=("client",),
        says=_PROXY_RETRIES,
    ),
    Row(
        "socks-proxy-retry", (_I, _I, _I, _I), "use 'connect-retry'", "socks-proxy-retry", roles=("client",),
        says=_PROXY_RETRIES,
    ),
    Row(
        "http-proxy-timeout", (_I, _I, _I, _I), "use 'connect-timeout'", "http-proxy-timeout 5", roles=("client",),
        says={
            "2.5": "is managed with a single timeout set by connect-timeout",
            "2.7": "http-proxy-timeout option ignored.",
        },
    ),
    Row("mtu-dynamic", (_R, _R, _R, _R), "use 'fragment'", "mtu-dynamic"),
    Row("dns-updown", (_R, _R, _R, _A), "use an 'up' script", "dns-updown disable"),
    Row("iproute", (_A, _R, _R, _R), "remove it: OpenVPN sets addresses and routes by netlink", "iproute /sbin/ip"),
    # Other systems
    *(
        Row(line.partition(" ")[0], (_R, _R, _R, _R), _NOT_LINUX, line)
        for line in (
            "windows-driver wintun", "ip-win32 dynamic", "register-dns", "block-outside-dns", "dhcp-renew",
            "dhcp-release", "tap-sleep 1", "show-net-up", "pause-exit", "service openvpn 0",
            'cryptoapicert "SUBJ:client"', "win-sys env",
        )
    ),
)  # fmt: skip
"""The first row that matches a line is the one about it."""

OTHER_SYSTEMS: Final = frozenset(row.option for row in ROWS if row.instead == _NOT_LINUX)
"""Options that OpenVPN accepts on Windows only."""
