"""Recognise OpenVPN's files by their options."""

from typing import Literal

from lab.configs.openvpn.configuration import words
from lab.configs.openwrt.translation import FLAGS, LISTS, VALUES

Kind = Literal["SERVER", "CLIENT", "PEER", "CLIENT_OPTIONS", "FRAGMENT"]
_MORE = {
    "config", "daemon", "writepid", "script-security", "up", "down", "data-ciphers", "persist-key", "auth-gen-token",
    "peer-fingerprint", "allow-deprecated-insecure-static-crypto", "management-client", "management-client-auth",
    "management-external-key", "management-external-cert", "management-query-remote", "management-up-down",
    "management-client-user", "management-client-group", "push-remove", "push-peer-info", "ifconfig-ipv6-pool",
    "remote-random-hostname", "ns-cert-type", "key-method", "tls-version-max", "tls-cert-profile", "float",
    "ncp-disable",
    "setenv-safe", "ignore-unknown-option", "block-outside-dns", "register-dns", "dhcp-option", "dns", "disable-dco",
    "stale-routes-check", "max-packet-size", "cipher", "auth", "win-sys", "route-method", "ip-win32", "tap-sleep",
    "windows-driver", "client-cert-not-required", "script", "machine-readable-output", "x509-track", "no-iv",
    "no-replay",
    "comp-lzo", "auth-token", "proto-force", "socks-proxy", "static-challenge", "compat-mode", "providers", "mark",
    "tls-crypt-v2-max-age", "allow-pull-fqdn", "client-nat", "route-table", "vlan-accept", "keying-material-exporter",
    "tun-mtu-max", "connect-freq-initial", "session-timeout", "inetd", "tls-remote", "verify-hash", "up-delay",
    "ifconfig-pool-linear", "bind", "ipv6-ifconfig", "auth-gen-token-secret", "force-cookie", "connection", "local",
}  # fmt: skip
_KNOWN = {name.replace("_", "-") for name in (*FLAGS, *VALUES, *LISTS)} | _MORE
_OF_CLIENTS = {
    "push", "push-reset", "push-remove", "iroute", "iroute-ipv6", "ifconfig-push", "ifconfig-ipv6-push", "config",
    "disable", "vlan-pvid", "comp-lzo", "max-routes-per-client", "compress", "ping", "ping-restart", "fragment",
    "mssfix",
    "ifconfig-push-constraint", "override-username", "auth-token", "setenv", "setenv-safe", "verb",
}  # fmt: skip
"""Options that a file of `client-config-dir` can have."""
_ONLY_OF_CLIENTS = {
    "iroute",
    "iroute-ipv6",
    "ifconfig-push",
    "ifconfig-ipv6-push",
    "push-reset",
    "push-remove",
    "disable",
}
_PROCESS = {
    "dev", "dev-type", "remote", "server", "server-bridge", "server-ipv6", "client", "tls-server", "tls-client",
    "ifconfig",
    "ifconfig-ipv6", "secret", "mode", "pull",
}  # fmt: skip
"""Options that a process needs one of."""


def openvpn_kind(text: str) -> Kind | None:
    """Return what a text is to OpenVPN; None if fewer than two of three lines are options that it knows."""
    options: list[tuple[str, ...]] = []
    block: str | None = None
    for line in text.split("\n"):
        if block is not None:
            if line.strip().startswith(f"</{block}>"):
                block = None
            continue
        try:
            found = words(line)
        except ValueError:
            found = [line.split()[0]] if line.split() else []
        if not found:
            continue
        name = found[0].removeprefix("--")
        if name.startswith("<") and name.endswith(">"):
            name = name.strip("<>")
            if name.removeprefix("/") == "connection":
                continue  # its options are those of the configuration
            block = name
        options.append((name, *found[1:]))
    names = [option[0] for option in options]
    known = sum(name in _KNOWN for name in names)
    if not known or 3 * known < 2 * len(names):
        return None
    return _kind(set(names), options)


def _kind(names: set[str], options: list[tuple[str, ...]]) -> Kind:
    if names <= _OF_CLIENTS and names & (_ONLY_OF_CLIENTS | {"push"}):
        return "CLIENT_OPTIONS"
    if not names & _PROCESS:
        return "FRAGMENT"
    if names & {"server", "server-bridge", "server-ipv6"} or ("mode", "server") in {option[:2] for option in options}:
        return "SERVER"
    return "CLIENT" if names & {"client", "pull"} else "PEER"
