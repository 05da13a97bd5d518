"""Translates `interfaces openvpn` of VyOS and EdgeOS into the file that these systems generate.

What they add for themselves (`management`, `status`, `writepid`, `providers`) is left out.
"""

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal

from lab.configs.numbers import is_number
from lab.configs.translated import Draft, Kind, Note, Translated, TranslatedFile
from lab.configs.vyos.tree import Node, Value
from lab.topology.mistakes import quote

Network = IPv4Network | IPv6Network
_HOME = "/run/openvpn"
_CIPHERS = {
    "des": "DES-CBC", "3des": "DES-EDE3-CBC", "bf128": "BF-CBC", "bf256": "BF-CBC",
    "aes128": "AES-128-CBC", "aes192": "AES-192-CBC", "aes256": "AES-256-CBC",
    "aes128gcm": "AES-128-GCM", "aes192gcm": "AES-192-GCM", "aes256gcm": "AES-256-GCM",
}  # fmt: skip
_PROTOCOLS = {"udp": "udp", "tcp-passive": "tcp-server", "tcp-active": "tcp-client"}
_KEY_SIZES = {"bf128": "128", "bf256": "256"}
_FILES = (
    ("ca-cert-file", "ca"), ("cert-file", "cert"), ("key-file", "key"), ("crl-file", "crl-verify"),
    ("dh-file", "dh"), ("crypt-file", "tls-crypt"),
)  # fmt: skip
"""Options of `tls` that name a file of the host: EdgeOS, and VyOS up to 1.3."""
_PKI_OPTIONS = ("ca-certificate", "certificate", "dh-params", "auth-key", "crypt-key", "peer-fingerprint")
_LABELS = {
    "certificate": "CERTIFICATE", "crl": "X509 CRL", "parameters": "DH PARAMETERS", "private": "PRIVATE KEY",
    "key": "OpenVPN Static key V1",
}  # fmt: skip
_WIDTH = 64
"""The length of a line of PEM."""


def translate(interface: str, node: Node, pki: Node) -> Translated:
    """Translate one interface `vtunN`; `pki` is VyOS's own store of certificates and keys."""
    return _Tunnel(interface, node, pki).translated


class _Tunnel:
    def __init__(self, interface: str, node: Node, pki: Node) -> None:
        self._interface = interface
        self._node = node
        self._pki = pki
        self._out = Draft(f"{_HOME}/{interface}.conf", "openvpn")
        self._files: list[TranslatedFile] = []
        self._notes: list[Note] = []
        self._tls = node.at("tls")
        # VyOS 1.3 and later have other defaults than EdgeOS and the versions before.
        self._is_modern = any(node.find("tls", option) for option in _PKI_OPTIONS) or any(
            node.find(*path)
            for path in (
                ("shared-secret-key",), ("offload",), ("ip-version",), ("encryption", "cipher"),
                ("encryption", "ncp-ciphers"), ("encryption", "data-ciphers"),
            )
        )  # fmt: skip

    @property
    def translated(self) -> Translated:
        mode = self._node.value("mode")
        if spot := self._node.spot_of("disable"):
            self._notes.append(Note(spot, f"{self._interface} is disabled, so OpenVPN is not started"))
            self._node.skip()
            return Translated(notes=tuple(self._notes))
        if mode is None or mode.text not in ("server", "client", "site-to-site"):
            spot = mode.spot if mode else self._node.spot
            self._notes.append(Note(spot, f"{self._interface} has no mode: set server, client or site-to-site"))
            return Translated(notes=tuple(self._notes))
        self._node.value("description")
        self._transport()
        if mode.text == "client":
            self._out.add(mode.spot, "client\nnobind")
        elif mode.text == "server":
            self._out.add(mode.spot, "mode server\ntls-server")
            self._server()
        else:
            self._site_to_site()
        if mode.text != "client":
            self._keepalive(mode)
        self._secrets(mode.text)
        self._ciphers()
        self._redirect(mode.text)
        self._rest()
        return Translated((self._out.file, *self._files), tuple(self._notes))

    def _transport(self) -> None:
        node, out = self._node, self._out
        kind = node.value("device-type")
        bridge = node.spot_of("bridge-group")
        out.add(
            kind.spot if kind else bridge or node.spot, f"dev-type {kind.text if kind else 'tap' if bridge else 'tun'}"
        )
        out.add(node.spot, f"dev {self._interface}")
        if protocol := node.value("protocol"):
            out.add(protocol.spot, f"proto {_PROTOCOLS.get(protocol.text, protocol.text)}")
        for option, name in (("local-host", "local"), ("local-port", "lport"), ("remote-port", "rport")):
            if value := node.value(option):
                out.add(value.spot, f"{name} {value.text}")
        for remote in node.values("remote-host"):
            out.add(remote.spot, f"remote {remote.text}")
        if self._is_modern:
            out.add(node.spot, "persist-key")
        if spot := node.spot_of("persistent-tunnel"):
            out.add(spot, "persist-tun")
        if self._is_modern and not node.spot_of("offload", "dco"):
            out.add(node.spot, "disable-dco")

    def _keepalive(self, mode: Value) -> None:
        interval = self._node.value("keep-alive", "interval")
        failures = self._node.value("keep-alive", "failure-count")
        spot = (interval or failures or mode).spot
        if not all(value is None or is_number(value.text) for value in (interval, failures)):
            self._notes.append(Note(spot, "keep-alive is not a number"))
            return
        seconds = int(interval.text) if interval else 10
        if self._is_modern:
            count = int(failures.text) if failures else 60
            # VyOS takes the count for seconds except on a server.
            restart = seconds * count if mode.text == "server" else count
        elif interval and failures:
            restart = seconds * int(failures.text)
        else:
            seconds, restart = 10, 60
        server = f"keepalive {seconds} {restart}"
        self._out.add(spot, server if mode.text == "server" else f"ping {seconds}\nping-restart {restart}")

    def _site_to_site(self) -> None:
        node, out = self._node, self._out
        remotes = node.values("remote-address")
        for name, local in node.nodes("local-address"):
            if mask := local.value("subnet-mask"):
                out.add(local.spot, f"ifconfig {name} {mask.text}")
                continue
            for remote in remotes:
                if _version(name) == _version(remote.text) is not None:
                    out.add(
                        local.spot, f"{'ifconfig-ipv6' if _version(name) == 6 else 'ifconfig'} {name} {remote.text}"
                    )

    def _server(self) -> None:
        out, server = self._out, self._node.at("server")
        topology = server.value("topology")
        name = "p2p" if topology and topology.text == "point-to-point" else topology.text if topology else "subnet"
        out.add(topology.spot if topology else self._node.spot, f"topology {name}")
        pool = server.at("client-ip-pool")
        has_pool = bool(pool.children) and not pool.spot_of("disable")
        subnets = [(value, network) for value in server.values("subnet") if (network := self._network(value))]
        for value, network in subnets:
            if isinstance(network, IPv6Network):
                out.add(value.spot, f"server-ipv6 {network}")
            else:
                out.add(value.spot, f"server {_plain(network)}{' nopool' if has_pool else ''}")
        start, stop = pool.value("start"), pool.value("stop")
        if has_pool and start and stop:
            mask = pool.value("subnet-mask")
            out.add(start.spot, f"ifconfig-pool {start.text} {stop.text}{' ' + mask.text if mask else ''}")
        self._push(server)
        if limit := server.value("max-connections"):
            out.add(limit.spot, f"max-clients {limit.text}")
        if spot := server.spot_of("reject-unconfigured-clients"):
            out.add(spot, "ccd-exclusive")
        if server.find("client"):
            out.add(server.at("client").spot, f"client-config-dir {_HOME}/ccd/{self._interface}")
        for client, node in server.nodes("client"):
            self._client(client, node, [network for _, network in subnets], name)

    def _push(self, server: Node) -> None:
        out = self._out
        for name, route in server.nodes("push-route"):
            if network := self._network(Value(name, route.spot)):
                metric = route.value("metric")
                extra = f" vpn_gateway {metric.text}" if metric else ""
                out.add(route.spot, f'push "{_route(network)}{extra}"')
        for address in server.values("name-server"):
            out.add(address.spot, f'push "dhcp-option DNS{"6" if _version(address.text) == 6 else ""} {address.text}"')
        if domain := server.value("domain-name"):
            out.add(domain.spot, f'push "dhcp-option DOMAIN {domain.text}"')

    def _client(self, client: str, node: Node, subnets: list[Network], topology: str) -> None:
        if "/" in client or client in (".", ".."):
            self._notes.append(Note(node.spot, f"{quote(client)} cannot name a file of client-config-dir"))
            return
        out = Draft(f"{_HOME}/ccd/{self._interface}/{client}", "client options")
        for address in node.values("ip"):
            of = next((subnet for subnet in subnets if subnet.version == _version(address.text)), None)
            if isinstance(of, IPv6Network):
                out.add(address.spot, f"ifconfig-ipv6-push {address.text}/{of.prefixlen}")
            elif of:
                # Vyatta gives a client of `topology p2p` the server's address.
                second = of[1] if topology == "p2p" and not self._is_modern else of.netmask
                out.add(address.spot, f"ifconfig-push {address.text} {second}")
        for value in node.values("push-route"):
            if network := self._network(value):
                out.add(value.spot, f'push "{_route(network)}"')
        for value in node.values("subnet"):
            if network := self._network(value):
                out.add(value.spot, f"i{_route(network)}")
        if spot := node.spot_of("disable"):
            out.add(spot, "disable")
        self._files.append(out.file)

    def _secrets(self, mode: str) -> None:
        node, tls, out = self._node, self._tls, self._out
        if secret := node.value("shared-secret-key-file"):
            out.add(secret.spot, f"secret {secret.text}")
        if secret := node.value("shared-secret-key"):
            self._stored("secret", secret, "shared.key", ("openvpn", "shared-secret", secret.text, "key"))
        for option, name in _FILES:
            if value := tls.value(option):
                out.add(value.spot, f"{name} {value.text}")
        direction = {"client": " 1", "server": " 0"}.get(mode, "")
        if value := tls.value("auth-file"):
            out.add(value.spot, f"tls-auth {value.text}{direction}")
        self._of_pki(direction)
        role = tls.value("role")
        if role and mode == "site-to-site":
            out.add(role.spot, "tls-client" if role.text == "active" else "tls-server")
        if version := tls.value("tls-version-min"):
            out.add(version.spot, f"tls-version-min {version.text}")
        passive = mode == "server" or (role is not None and role.text == "passive")
        if passive and not tls.find("dh-file") and not tls.find("dh-params"):
            out.add(tls.spot, "dh none")
        self._account()

    def _of_pki(self, direction: str) -> None:
        tls = self._tls
        authorities = tls.values("ca-certificate")
        if authorities:
            self._stored(
                "ca", authorities[0], "ca.pem", *(("ca", authority.text, "certificate") for authority in authorities)
            )
            if lists := [("ca", a.text, "crl") for a in authorities if self._pki.find("ca", a.text, "crl")]:
                self._stored("crl-verify", authorities[0], "crl.pem", *lists)
        if certificate := tls.value("certificate"):
            self._stored("cert", certificate, "cert.pem", ("certificate", certificate.text, "certificate"))
            self._stored("key", certificate, "cert.key", ("certificate", certificate.text, "private", "key"))
        if parameters := tls.value("dh-params"):
            self._stored("dh", parameters, "dh.pem", ("dh", parameters.text, "parameters"))
        for option, name, file in (("auth-key", "tls-auth", "auth.key"), ("crypt-key", "tls-crypt", "crypt.key")):
            if key := tls.value(option):
                extra = direction if option == "auth-key" else ""
                self._stored(name, key, file, ("openvpn", "shared-secret", key.text, "key"), extra=extra)
        if prints := tls.values("peer-fingerprint"):
            self._out.add(prints[0].spot, "<peer-fingerprint>")
            for value in prints:
                self._out.add(value.spot, value.text)
            self._out.add(prints[-1].spot, "</peer-fingerprint>")

    def _stored(self, option: str, named: Value, file: str, *paths: tuple[str, ...], extra: str = "") -> None:
        """Add an option whose file VyOS writes out of `pki`."""
        path = f"{_HOME}/{self._interface}_{file}"
        self._out.add(named.spot, f"{option} {path}{extra}")
        kind: Kind = "key" if file.endswith(".key") else "certificate"
        out = Draft(path, kind)
        for of in paths:
            label = _LABELS["private" if "private" in of else of[-1]]
            values = self._pki.values(*of)
            if not values:
                self._notes.append(Note(named.spot, f"pki {' '.join(of)} is not in the file, so {path} is not at hand"))
            for value in values if of[-1] == "crl" else values[-1:]:
                lines = "\n".join(value.text[at : at + _WIDTH] for at in range(0, len(value.text), _WIDTH))
                out.add(value.spot, f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----")
        if out:
            self._files.append(out.file)

    def _account(self) -> None:
        username = self._node.value("authentication", "username")
        password = self._node.value("authentication", "password")
        if username and password:
            path = f"{_HOME}/{self._interface}.pw"
            self._out.add(username.spot, f"auth-user-pass {path}\nauth-retry nointeract")
            out = Draft(path, "key")
            out.add(username.spot, username.text)
            out.add(password.spot, password.text)
            self._files.append(out.file)

    def _ciphers(self) -> None:
        node, out = self._node, self._out
        cipher = node.value("encryption", "cipher")
        old = node.at("encryption")
        if not cipher and not self._is_modern:
            cipher = node.value("encryption")
        if cipher:
            out.add(cipher.spot, f"cipher {_CIPHERS.get(cipher.text, cipher.text.upper())}")
            if cipher.text in _KEY_SIZES:
                out.add(cipher.spot, f"keysize {_KEY_SIZES[cipher.text]}")
        if ciphers := old.values("data-ciphers") + old.values("ncp-ciphers"):
            names = ":".join(_CIPHERS.get(value.text, value.text.upper()) for value in ciphers)
            out.add(ciphers[0].spot, f"data-ciphers {names}")
        if digest := node.value("hash"):
            out.add(digest.spot, f"auth {digest.text}")
        if spot := node.spot_of("use-lzo-compression"):
            out.add(spot, "compress lzo" if self._is_modern else "comp-lzo")

    def _redirect(self, mode: str) -> None:
        spot = self._node.spot_of("replace-default-route")
        if spot:
            local = "local " if self._node.spot_of("replace-default-route", "local") else ""
            option = f"redirect-gateway {local}def1"
            self._out.add(spot, f'push "{option}"' if mode == "server" or self._is_modern else option)

    def _rest(self) -> None:
        for value in self._node.values("openvpn-option"):
            for option in _options(value.text):
                self._out.add(value.spot, option)

    def _network(self, value: Value) -> Network | None:
        try:
            return ip_network(value.text, strict=False)
        except ValueError:
            self._notes.append(Note(value.spot, f"{quote(value.text)} is not a network"))
            return None


def _options(text: str) -> list[str]:
    """Return the options of an `openvpn-option`, which may begin with two dashes, as lines of a file."""
    found = []
    for option in f" {text.strip()}".split(" --"):
        option = option.strip()
        name, _, rest = option.partition(" ")
        if name == "push" and rest and not rest.startswith(('"', "'")):
            option = f'push "{rest}"'
        if option:
            found.append(option)
    return found


def _version(text: str) -> Literal[4, 6] | None:
    try:
        return 4 if ip_address(text).version == 4 else 6
    except ValueError:
        return None


def _plain(network: IPv4Network) -> str:
    return f"{network.network_address} {network.netmask}"


def _route(network: Network) -> str:
    return f"route-ipv6 {network}" if isinstance(network, IPv6Network) else f"route {_plain(network)}"
