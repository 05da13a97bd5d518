"""Translates `<openvpn>` of a config.xml into the files that pfSense, and OPNsense's legacy servers, generate.

What is FreeBSD's or the firewall's own (`dev-node`, `writepid`, `daemon`, `management`, its link scripts) is left out.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Literal

from lab.configs.disk import Spot
from lab.configs.sense.options import Network, is_file_name, network_of, pair_of, plain, routes_of
from lab.configs.sense.store import Store
from lab.configs.sense.xml_tree import Element
from lab.configs.translated import Draft, Note, Translated
from lab.topology.mistakes import quote

Side = Literal["server", "client"]
_BASE = "/var/etc/openvpn"
_OF_CLIENTS = ("server_tls", "server_user", "server_tls_user")
"""The modes of servers with clients of any number."""
_TLS_SERVERS = ("p2p_tls", *_OF_CLIENTS)
_COMPRESSIONS = {
    "none": "compress", "lz4": "compress lz4", "lz4-v2": "compress lz4-v2", "lzo": "compress lzo",
    "stub": "compress stub", "stub-v2": "compress stub-v2", "noadapt": "comp-noadapt", "adaptive": "comp-lzo adaptive",
    "yes": "comp-lzo yes", "no": "comp-lzo no",
}  # fmt: skip


def translate(root: Element) -> Translated:
    """Translate all servers, clients and client-specific overrides."""
    store = Store(root)
    sides: tuple[Side, Side] = ("server", "client")
    for side in sides:
        for settings in root.all("openvpn", f"openvpn-{side}"):
            if settings.has("disable"):
                name = settings.value("description") or settings.value("vpnid")
                store.notes.append(
                    Note(settings.spot, f"OpenVPN {side} {quote(name)} is disabled, so it is not started")
                )
            else:
                _Process(root, side, settings, store).write()
    return Translated(tuple(store.files), tuple(store.notes))


class _Process:
    def __init__(self, root: Element, side: Side, settings: Element, store: Store) -> None:
        self._root = root
        self._side = side
        self._settings = settings
        self._store = store
        self._id = settings.value("vpnid") if settings.value("vpnid").isdecimal() else "1"
        self._name = f"{side}{self._id}"
        self._is_opnsense = root.tag == "opnsense"
        path = f"{_BASE}/{self._name}.conf" if self._is_opnsense else f"{_BASE}/{self._name}/config.ovpn"
        self._out = Draft(path, "openvpn")
        self._mode = settings.value("mode")
        self._device = settings.value("dev_mode") or "tun"
        self._tunnel = self._network("tunnel_network")
        self._tunnel6 = self._network("tunnel_networkv6")

    def write(self) -> None:
        settings = self._settings
        if self._mode not in ("p2p_tls", "p2p_shared_key", *_OF_CLIENTS):
            self._note(settings.spot_of("mode"), f"{quote(self._mode)} is not a mode of OpenVPN in pfSense")
            return
        self._basics()
        self._local()
        if self._side == "server":
            self._server()
        else:
            self._client()
        if self._mode.startswith("p2p"):
            self._routes("remote_network", "remote_networkv6")
        self._keys()
        self._ciphers()
        self._rest()
        self._store.files.append(self._out.file)

    def _add(self, key: str, line: str) -> None:
        self._out.add(self._settings.spot_of(key), line)

    def _note(self, spot: Spot, sentence: str) -> None:
        self._store.notes.append(Note(spot, sentence))

    def _file(self, what: str) -> str:
        return f"{_BASE}/{self._name}{'.' if self._is_opnsense else '/'}{what}"

    def _network(self, key: str) -> Network | None:
        return network_of(self._settings, key, self._store.notes)

    def _basics(self) -> None:
        settings = self._settings
        self._add("vpnid", f"dev ovpn{self._side[0]}{self._id}")
        self._add("dev_mode", f"dev-type {self._device}")
        if verb := settings.value("verbosity_level"):
            self._add("verbosity_level", f"verb {verb}")
        if settings.value("ping_method") == "ping":
            self._add("ping_seconds", f"ping {settings.value('ping_seconds')}")
            action = settings.value("ping_action").replace("_", "-")
            self._add("ping_action", f"{action} {settings.value('ping_action_seconds')}")
        else:
            interval, timeout = settings.value("keepalive_interval"), settings.value("keepalive_timeout")
            self._add("keepalive_interval", f"keepalive {interval or 10} {timeout or 60}")
        self._out.add(settings.spot, "ping-timer-rem\npersist-tun\npersist-key")
        protocol = (settings.value("protocol") or "UDP4").lower()
        self._add("protocol", f"proto {protocol}{'-' + self._side if protocol.startswith('tcp') else ''}")
        self._add("digest", f"auth {settings.value('digest') or 'SHA1'}")

    def _local(self) -> None:
        settings = self._settings
        protocol, interface = settings.value("protocol").upper(), settings.value("interface")
        address = settings.value("ipaddr") or self._root.value("interfaces", interface, "ipaddr")
        version = 6 if protocol.endswith("6") else 4
        if protocol in ("UDP", "TCP") or interface == "any":
            self._add("interface", "multihome")
        elif _version(address) == version:
            self._add("interface", f"local {address}")
        elif interface:
            self._note(
                settings.spot_of("interface"),
                f"the address of interface {quote(interface)} is not in the file: no `local`",
            )

    def _server(self) -> None:
        settings = self._settings
        tunnel, tunnel6 = self._tunnel, self._tunnel6
        if self._mode != "p2p_shared_key":
            self._add("mode", "tls-server")
        clients = self._mode in _OF_CLIENTS
        wide = tunnel and (clients or tunnel.prefixlen < 30)
        if self._mode != "p2p_shared_key":
            if wide and tunnel:
                self._add("tunnel_network", f"server {plain(tunnel)}")
            if tunnel6:
                self._add("tunnel_networkv6", f"server-ipv6 {tunnel6}")
            if wide or tunnel6:
                self._add("mode", f"client-config-dir {self._clients_directory}")
            elif clients:
                self._add("mode", "mode server")
        if not clients:
            self._ifconfig(0, 1)
        if self._mode in ("server_user", "server_tls_user"):
            if self._mode == "server_user":
                self._add("mode", "verify-client-cert none")
            if settings.value("username_as_common_name") != "disabled":
                self._add("mode", "username-as-common-name")
            self._add(
                "authmode", 'script-security 3\nauth-user-pass-verify "/usr/local/sbin/ovpn_auth_verify user" via-env'
            )
            self._note(settings.spot_of("authmode"), "the firewall checks passwords with a script or plugin of its own")
        self._add("local_port", f"lport {settings.value('local_port') or 1194}")
        if limit := settings.value("maxclients"):
            self._add("maxclients", f"max-clients {limit}")
        self._routes("local_network", "local_networkv6", push=True)
        if self._mode != "p2p_shared_key":
            for line in _pushed(settings):
                self._out.add(*line)
            if settings.value("client2client"):
                self._add("client2client", "client-to-client")
            if settings.has("duplicate_cn"):
                self._add("duplicate_cn", "duplicate-cn")
            if settings.has("remote_cert_tls"):
                self._add("remote_cert_tls", "remote-cert-tls client")
            self._overrides()

    @property
    def _clients_directory(self) -> str:
        return f"/var/etc/openvpn-csc/{self._id}" if self._is_opnsense else f"{_BASE}/{self._name}/csc"

    def _client(self) -> None:
        settings = self._settings
        if self._mode == "p2p_tls":
            self._add("mode", "tls-client")
        if port := settings.value("local_port"):
            self._add("local_port", f"lport {port}")
        else:
            self._add("interface", "lport 0" if settings.value("interface") not in ("", "any") else "nobind")
        protocol = (settings.value("protocol") or "UDP4").lower()
        of = f"{protocol}{'-client' if protocol.startswith('tcp') else ''}"
        for address in filter(None, settings.value("server_addr").split(",")):
            self._add("server_addr", f"remote {address.strip()} {settings.value('server_port') or 1194} {of}")
        self._ifconfig(1, 0)
        if self._mode == "p2p_tls" and not (self._tunnel or self._tunnel6):
            self._add("mode", "pull")
        user = settings.find("auth_user")
        if user and self._mode == "p2p_tls":
            path = self._file("up")
            self._add("auth_user", f"auth-user-pass {path}")
            password = (settings.spot_of("auth_pass"), settings.value("auth_pass"))
            self._store.lines(path, "key", (user.spot, user.text), password)
        if settings.has("remote_cert_tls"):
            self._add("remote_cert_tls", "remote-cert-tls server")
        self._out.add(settings.spot, "resolv-retry infinite")
        for key, line in (("route_no_exec", "route-noexec"), ("route_no_pull", "route-nopull")):
            if settings.value(key):
                self._add(key, line)

    def _ifconfig(self, own: int, other: int) -> None:
        """Write the addresses of a tunnel between two: the server has the first, the client the second."""
        if isinstance(tunnel := self._tunnel, IPv4Network):
            first = 0 if tunnel.prefixlen == 31 else 1
            if tunnel.num_addresses > first + 1:
                narrow = self._settings.value("topology") == "net30" or tunnel.prefixlen >= 30
                ends = [tunnel[first + own], tunnel[first + other]]
                peers = self._device == "tun" and (self._side == "server" or narrow)
                self._add("tunnel_network", f"ifconfig {ends[0]} {ends[1] if peers else tunnel.netmask}")
        if isinstance(tunnel6 := self._tunnel6, IPv6Network) and tunnel6.num_addresses > 2:
            first = 0 if tunnel6.prefixlen == 127 else 1
            self._add("tunnel_networkv6", f"ifconfig-ipv6 {tunnel6[first + own]} {tunnel6[first + other]}")

    def _routes(self, *keys: str, push: bool = False) -> None:
        for key in keys:
            element = self._settings.find(key)
            for line in routes_of(element, self._store.notes):
                self._add(key, f'push "{line}"' if push else line)

    def _keys(self) -> None:
        settings, store = self._settings, self._store
        if self._mode == "p2p_shared_key":
            if key := settings.find("shared_key"):
                store.secret(key, self._file("secret"))
            self._add("shared_key", f"secret {self._file('secret')}")
            return
        if authority := settings.find("caref"):
            self._add("caref", f"ca {self._file('ca')}")
            store.authorities(authority.text, self._file("ca"), authority.spot)
        if (revoked := settings.find("crlref")) and store.revocations(
            revoked.text, self._file("crl-verify"), revoked.spot
        ):
            self._add("crlref", f"crl-verify {self._file('crl-verify')}")
        if certificate := settings.find("certref"):
            self._add("certref", f"cert {self._file('cert')}\nkey {self._file('key')}")
            store.certificate(certificate.text, self._file("cert"), certificate.spot)
            store.private_key(certificate.text, self._file("key"), certificate.spot)
        if self._side == "server":
            length = settings.value("dh_length")
            self._add("dh_length", f"dh {'/etc/dh-parameters.' + length if length.isdecimal() else length or 'none'}")
        if key := settings.find("tls"):
            option = "tls-crypt" if settings.value("tls_type") == "crypt" else "tls-auth"
            chosen = settings.value("tlsauth_keydir")
            default = "0" if self._side == "server" else "1"
            direction = (
                "" if chosen == "2" or option == "tls-crypt" else f" {chosen if chosen in ('0', '1') else default}"
            )
            store.secret(key, self._file(option))
            self._add("tls", f"{option} {self._file(option)}{direction}")

    def _ciphers(self) -> None:
        settings = self._settings
        fallback = settings.value("data_ciphers_fallback") or settings.value("crypto") or "AES-256-CBC"
        if self._mode == "p2p_shared_key":
            self._add("data_ciphers_fallback", f"cipher {fallback}")
            return
        ciphers = [c for c in (settings.value("data_ciphers") or settings.value("ncp-ciphers")).split(",") if c]
        if fallback not in ciphers:
            ciphers.append(fallback)
        self._add("data_ciphers", f"data-ciphers {':'.join(ciphers)}")
        self._add("data_ciphers_fallback", f"data-ciphers-fallback {fallback}")

    def _rest(self) -> None:
        settings = self._settings
        if allowed := settings.value("allow_compression"):
            self._add("allow_compression", f"allow-compression {allowed}")
        compression = _COMPRESSIONS.get(settings.value("compression"))
        if compression and allowed != "no":
            self._add("compression", compression)
            if settings.value("compression_push"):
                self._add("compression_push", f'push "{compression}"')
        if settings.value("passtos"):
            self._add("passtos", "passtos")
        if settings.value("dynamic_ip"):
            self._add("dynamic_ip", "persist-remote-ip\nfloat")
        wide = self._tunnel is None or self._tunnel.prefixlen < 30
        if (
            self._side == "server"
            and self._mode != "p2p_shared_key"
            and self._tunnel
            and wide
            and self._device == "tun"
        ):
            self._add("topology", f"topology {settings.value('topology') or 'subnet'}")
        notify, seconds = settings.value("exit_notify"), settings.value("inactive_seconds")
        is_datagram = (settings.value("protocol") or "UDP4").upper().startswith("UDP")
        if notify.isdecimal() and is_datagram and self._mode != "p2p_shared_key" and wide:
            self._add("exit_notify", f"explicit-exit-notify {notify}")
        if seconds and seconds != "0":
            self._add("inactive_seconds", f"inactive {seconds}")
        for line in _custom(settings):
            self._out.add(*line)

    def _overrides(self) -> None:
        """Write the files of client-config-dir out of client-specific overrides."""
        for override in self._root.all("openvpn", "openvpn-csc"):
            servers = [name for name in override.value("server_list").split(",") if name]
            name = override.value("common_name")
            if override.has("disable") or (servers and self._id not in servers):
                continue
            if is_file_name(name, override, self._store.notes):
                self._store.client(f"{self._clients_directory}/{name}", override, self._override(override))

    def _override(self, override: Element) -> Iterator[tuple[Spot, str]]:
        if override.value("block"):
            yield override.spot_of("block"), "disable"
        if override.has("push_reset"):
            yield override.spot_of("push_reset"), "push-reset"
        for key in ("local_network", "local_networkv6"):
            for line in routes_of(override.find(key), self._store.notes):
                yield override.spot_of(key), f'push "{line}"'
        for key in ("remote_network", "remote_networkv6"):
            for line in routes_of(override.find(key), self._store.notes):
                yield override.spot_of(key), f"i{line}"
        yield from _pushed(override)
        yield from _custom(override)
        subnet = self._settings.value("topology") in ("", "subnet") or self._device == "tap"
        tunnel = override.find("tunnel_network")
        if tunnel and (pair := pair_of(tunnel, subnet, self._store.notes)):
            yield tunnel.spot, f"ifconfig-push {pair}"
        if (tunnel6 := override.find("tunnel_networkv6")) and self._tunnel6 and self._tunnel6.num_addresses > 1:
            yield tunnel6.spot, f"ifconfig-ipv6-push {tunnel6.text} {self._tunnel6[1]}"


def _pushed(settings: Element) -> Iterator[tuple[Spot, str]]:
    """Return the options of DHCP and of the gateway, as `push`."""
    if domain := settings.find("dns_domain"):
        yield domain.spot, f'push "dhcp-option DOMAIN {domain.text}"'
    for number in range(1, 5):
        if server := settings.find(f"dns_server{number}"):
            yield server.spot, f'push "dhcp-option DNS{"6" if ":" in server.text else ""} {server.text}"'
    for key, option in (("gwredir", "redirect-gateway def1"), ("gwredir6", "redirect-gateway ipv6")):
        if flag := settings.find(key):
            yield flag.spot, f'push "{option}"'


def _custom(settings: Element) -> Iterator[tuple[Spot, str]]:
    for element in filter(None, [settings.find("custom_options")]):
        for line in element.text.replace("\r\n", "\n").replace(";", "\n").split("\n"):
            if line.strip():
                yield element.spot, line.strip()


def _version(text: str) -> int | None:
    try:
        return 4 if isinstance(ip_address(text), IPv4Address) else 6
    except ValueError:
        return None
