"""The options that OpenVPN knows: their numbers of arguments, and where they are valid.

The numbers were taken from the programs (2.6.14 and 2.7.8 on Linux), and a test compares them with these programs.
What OpenVPN does with old options is in `versions`.
"""

from collections.abc import Iterator

from lab.configs.openvpn.configuration import INLINE, Configuration, Directive
from lab.configs.openvpn.versions import ROWS
from lab.topology.mistakes import nearest, quote

ARGUMENTS: dict[tuple[int, int | None], tuple[str, ...]] = {
    (0, 1): (
        "askpass", "auth-user-pass", "bind", "comp-lzo", "compress", "daemon", "engine", "explicit-exit-notify",
        "ip-remote-hint", "max-routes", "multihome", "preresolve", "show-gateway", "syslog", "verify-client-cert",
    ),
    (0, 2): (
        "mssfix", "replay-window", "route-delay", "show-pkcs11-ids",
    ),
    (0, 3): (
        "genkey",
    ),
    (0, 4): ("server-bridge",),
    (0, None): (
        "allow-deprecated-insecure-static-crypto", "auth-gen-token", "compat-names", "disable-dco", "echo",
        "force-tls-key-material-export", "http-proxy-retry", "http-proxy-timeout", "management-external-key",
        "mtu-dynamic", "parameter", "pkcs11-cert-private", "pkcs11-protected-authentication", "redirect-gateway",
        "redirect-private", "remote-cert-ku", "socket-flags", "socks-proxy-retry",
    ),
    (0, 0): (
        "allow-pull-fqdn", "allow-recursive-routing", "auth-nocache", "auth-user-pass-optional", "block-ipv6",
        "ccd-exclusive", "client", "client-cert-not-required", "client-to-client", "comp-noadapt", "disable",
        "disable-occ", "down-pre", "duplicate-cn", "errors-to-stderr", "fast-io", "float", "ifconfig-noexec",
        "ifconfig-nowarn", "machine-readable-output", "management-client", "management-client-auth",
        "management-forget-disconnect", "management-hold", "management-query-passwords", "management-query-proxy",
        "management-query-remote", "management-signal", "management-up-down", "mktun", "mlock", "mtu-test",
        "mute-replay-warnings", "no-name-remapping", "no-replay", "nobind", "opt-verify", "passtos", "persist-key",
        "persist-local-ip", "persist-remote-ip", "persist-tun", "ping-timer-rem", "pkcs11-id-management", "pull",
        "push-peer-info", "push-reset", "remote-random", "remote-random-hostname", "rmtun", "route-noexec",
        "route-nopull", "show-ciphers", "show-curves", "show-digests", "show-engines", "show-groups", "show-tls",
        "single-session", "suppress-timestamps", "tcp-nodelay", "test-crypto", "tls-client", "tls-exit", "tls-server",
        "tun-ipv6", "up-delay", "up-restart", "username-as-common-name", "vlan-tagging",
    ),
    (1, 1): (
        "allow-compression", "auth", "auth-gen-token-secret", "auth-retry", "auth-token", "auth-token-user",
        "bcast-buffers", "ca", "capath", "cd", "cert", "chroot", "cipher", "client-config-dir", "config",
        "connect-retry-max", "connect-timeout", "data-ciphers", "data-ciphers-fallback", "dev",
        "dev-node", "dev-type", "dh", "ecdh-curve", "extra-certs", "gremlin", "group", "hand-window",
        "ifconfig-ipv6-pool", "iroute-ipv6", "key", "key-direction", "link-mtu", "lladdr", "log", "log-append",
        "lport", "management-client-group", "management-client-user", "management-external-cert",
        "management-log-cache", "mark", "max-clients", "max-packet-size", "max-routes-per-client", "memstats", "mode",
        "mtu-disc", "mute", "ncp-ciphers", "nice", "ns-cert-type", "override-username", "peer-fingerprint", "peer-id",
        "ping", "ping-exit", "ping-restart", "pkcs11-id", "pkcs11-pin-cache", "pkcs12", "port", "proto",
        "proto-force", "push", "push-continuation", "push-remove", "rcvbuf", "remap-usr1", "remote-cert-eku",
        "remote-cert-tls", "reneg-bytes", "reneg-pkts", "replay-persist", "resolv-retry", "route-gateway",
        "route-ipv6-gateway", "route-method", "route-metric", "route-table", "rport", "script-security",
        "server-ipv6", "server-poll-timeout", "session-timeout", "shaper", "sndbuf", "status-version",
        "tcp-queue-limit", "tls-cert-profile", "tls-cipher", "tls-ciphersuites", "tls-crypt-v2-verify",
        "tls-export-cert", "tls-groups", "tls-timeout", "tls-version-max", "tmp-dir", "topology", "tran-window",
        "tun-mtu-extra", "tun-mtu-max", "txqueuelen", "udp-mtu", "user", "verb", "vlan-accept", "vlan-pvid",
        "writepid", "x509-track",
    ),
    (1, 2): (
        "compat-mode", "connect-retry", "connection", "crl-verify", "fragment", "ifconfig-ipv6-push",
        "ifconfig-pool-persist",
        "inactive", "iroute", "prng", "reneg-sec", "secret", "setenv", "setenv-safe", "stale-routes-check", "status",
        "tls-auth", "tls-crypt", "tls-crypt-v2", "tls-version-min", "tun-mtu", "verify-hash", "verify-x509-name",
    ),
    (1, 3): (
        "http-proxy-option", "local", "remote", "route-ipv6", "socks-proxy",
    ),
    (1, 4): (
        "http-proxy", "route",
    ),
    (1, None): (
        "auth-user-pass-verify", "bind-dev", "client-connect", "client-crresponse", "client-disconnect",
        "dhcp-option", "dns", "dns-updown", "down", "http-proxy-user-pass", "ignore-unknown-option", "ipchange",
        "key-derivation", "learn-address", "msg-channel", "pkcs11-private-mode", "pkcs11-providers", "plugin",
        "protocol-flags", "providers", "route-pre-down", "route-up", "tls-crypt-v2-max-age", "tls-verify", "up",
        "x509-username-field",
    ),
    (2, 2): (
        "connect-freq", "connect-freq-initial", "hash-size", "ifconfig", "ifconfig-ipv6", "ifconfig-push-constraint",
        "keepalive", "pull-filter",
    ),
    (2, 3): (
        "http-proxy-override", "ifconfig-pool", "ifconfig-push", "management", "port-share", "server",
        "static-challenge",
    ),
    (2, None): (
        "keying-material-exporter",
    ),
    (4, 4): (
        "client-nat",
    ),
}  # fmt: skip
"""The names of options by their least and greatest numbers of arguments."""
_NUMBERS = {name: numbers for numbers, names in ARGUMENTS.items() for name in names}
_NUMBERS_BEFORE = {
    "dhcp-option": (1, 2), "http-proxy-timeout": (1, 1), "local": (1, 1), "multihome": (0, 0),
    "static-challenge": (2, 2), "tun-mtu-max": (1, 2),
}  # fmt: skip
"""The numbers of arguments before 2.7, where they differ."""
_SINCE_2_7 = {
    "allow-deprecated-insecure-static-crypto", "dns-updown", "override-username", "route-table", "tls-crypt-v2-max-age",
}  # fmt: skip
_JUDGED = {row.option for row in ROWS if "refused" in row.effects} | {"setcon", "use-prediction-resistance"}
"""Options of other versions and of Windows, which `versions` judges, and those that only some builds have."""
_BLOCKS = {
    "auth-gen-token-secret", "auth-user-pass", "ca", "cert", "connection", "crl-verify", "dh", "extra-certs",
    "http-proxy-user-pass", "key", "peer-fingerprint", "pkcs12", "secret", "tls-auth", "tls-crypt", "tls-crypt-v2",
    "verify-hash",
}  # fmt: skip
"""Options whose content can be a block."""
_IN_CONNECTION = {
    "bind", "compat-mode", "connect-retry", "connect-retry-max", "connect-timeout", "disable-dco",
    "explicit-exit-notify", "float", "fragment", "http-proxy", "http-proxy-option", "http-proxy-retry",
    "http-proxy-timeout", "key-direction", "link-mtu", "local", "lport", "max-packet-size", "max-routes", "mssfix",
    "mtu-disc", "mtu-dynamic", "nobind", "port", "prng", "proto", "remote", "rport", "server-poll-timeout",
    "socks-proxy", "socks-proxy-retry", "tls-auth", "tls-crypt", "tls-crypt-v2", "tun-ipv6", "tun-mtu",
    "tun-mtu-extra", "tun-mtu-max", "udp-mtu",
}  # fmt: skip
"""Options that are valid in `<connection>`."""


def refusals(configuration: Configuration, version: str) -> Iterator[tuple[Directive, str]]:
    """Iterate over the lines that OpenVPN of a version refuses to parse, each with the reason.

    A file without any may still be refused: for a value, a missing file, or options that exclude each other.
    """
    ignored: set[str] = set()
    for directive in configuration.directives:
        if directive.name == "setenv" and directive.arguments == ("FORWARD_COMPATIBLE", "1"):
            return  # from here on, OpenVPN only warns
        if directive.name == "ignore-unknown-option":
            ignored.update(name.removeprefix("--") for name in directive.arguments)
        why = _refusal(directive, version)
        if why and not directive.optional and not (directive.name in ignored and _is_unknown(directive, version)):
            yield directive, why


def _is_unknown(directive: Directive, version: str) -> bool:
    numbers = _numbers(directive.name, version)
    count = len(directive.arguments)
    return numbers is None or count < numbers[0] or (numbers[1] is not None and count > numbers[1])


def _refusal(directive: Directive, version: str) -> str:
    name, numbers = directive.name, _numbers(directive.name, version)
    if numbers is None:
        return "" if name in _JUDGED else _unknown(name, version)
    if _is_unknown(directive, version):
        return f"{quote(name)} takes {_count(*numbers)}, not {len(directive.arguments)}"
    if directive.arguments == (INLINE,) and name not in _BLOCKS:
        return f"{quote(name)} cannot be a block"
    if directive.connection is not None and name not in _IN_CONNECTION:
        return f"{quote(name)} is not an option for <connection>"
    return ""


def _unknown(name: str, version: str) -> str:
    known = nearest(name, _NUMBERS)
    return f"{quote(name)} is not an option of OpenVPN {version}" + (f"; did you mean {quote(known)}?" if known else "")


def _numbers(name: str, version: str) -> tuple[int, int | None] | None:
    """Return the least and the greatest number of arguments; None for an unknown option."""
    is_new = _release(version) >= (2, 7)
    if (name in _SINCE_2_7 and not is_new) or (name == "memstats" and is_new):
        return None
    return _NUMBERS_BEFORE.get(name, _NUMBERS.get(name)) if not is_new else _NUMBERS.get(name)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def _count(least: int, greatest: int | None) -> str:
    if greatest is None:
        return f"at least {least} argument{'s' * (least != 1)}"
    if least == greatest:
        return f"{least or 'no'} argument{'s' * (least != 1)}"
    return f"{least} to {greatest} arguments"
