"""Translates OPNsense's instances (`<OPNsense><OpenVPN>` of a config.xml) into the files that it generates.

What is FreeBSD's or the firewall's own (`dev-node`, `writepid`, `daemon`, `management`, its scripts) is left out.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from lab.configs.disk import Spot
from lab.configs.sense.options import Network, is_file_name, network_of, pair_of, plain, routes_of
from lab.configs.sense.store import Store
from lab.configs.sense.xml_tree import Element
from lab.configs.translated import Draft, Note, Translated
from lab.topology.mistakes import quote

_BASE = "/var/etc/openvpn"
_FLAGS = {"1", "on", "true"}


def translate(root: Element) -> Translated:
    """Translate all instances and client-specific overwrites."""
    store = Store(root)
    for model in root.all("OPNsense", "OpenVPN"):
        for instance in model.all("Instances", "Instance"):
            if instance.value("enabled") in _FLAGS:
                _Instance(model, instance, store).write()
            else:
                name = instance.value("description") or instance.value("vpnid")
                note = f"OpenVPN instance {quote(name)} is disabled, so it is not started"
                store.notes.append(Note(instance.spot, note))
    return Translated(tuple(store.files), tuple(store.notes))


class _Instance:
    def __init__(self, model: Element, instance: Element, store: Store) -> None:
        self._model = model
        self._instance = instance
        self._store = store
        self._uuid = "".join(c for c in instance.attributes.get("uuid", "") if c.isalnum() or c == "-") or "1"
        self._id = instance.value("vpnid") if instance.value("vpnid").isdecimal() else "1"
        self._role = "client" if instance.value("role") == "client" else "server"
        self._out = Draft(f"{_BASE}/instance-{self._uuid}.conf", "openvpn")

    def write(self) -> None:
        instance = self._instance
        self._add("vpnid", f"dev ovpn{self._role[0]}{self._id}")
        kind = instance.value("dev_type") or "tun"
        self._add("dev_type", f"dev-type {'tun' if kind == 'ovpn' else kind}")
        protocol = instance.value("proto") or "udp"
        self._add("proto", f"proto {protocol}{'-' + self._role if protocol.startswith('tcp') else ''}")
        if self._role == "client":
            self._client()
        else:
            self._server(kind)
        self._out.add(instance.spot, "persist-tun\npersist-key")
        interval, timeout = instance.value("keepalive_interval"), instance.value("keepalive_timeout")
        if interval and timeout:
            self._add("keepalive_interval", f"keepalive {interval} {timeout}")
        if kind != "ovpn":
            self._add("dev_type", "disable-dco")
        for option in (
            "verb",
            "reneg-sec",
            "port",
            "local",
            "data-ciphers",
            "data-ciphers-fallback",
            "auth",
            "fragment",
        ):
            if value := instance.value(option):
                self._add(option, f"{option} {value.replace(',', ':')}")
        if mtu := instance.value("tun_mtu"):
            self._add("tun_mtu", f"tun-mtu {mtu}")
        if instance.value("mssfix") in _FLAGS:
            self._add("mssfix", "mssfix")
        for flag in self._list("various_flags"):
            self._add("various_flags", flag)
        self._routes()
        self._keys()
        self._store.files.append(self._out.file)
        if self._role == "server":
            self._overwrites()

    def _add(self, key: str, line: str) -> None:
        self._out.add(self._instance.spot_of(key), line)

    def _list(self, key: str) -> list[str]:
        return [part.strip() for part in self._instance.value(key).split(",") if part.strip()]

    def _client(self) -> None:
        instance = self._instance
        self._add("role", "client")
        for remote in self._list("remote"):
            host, port = remote, ""
            if remote.startswith("["):
                host, _, port = remote[1:].partition("]")
            elif remote.count(":") == 1:
                host, _, port = remote.partition(":")
            self._add("remote", f"remote {host} {port.lstrip(':')}")
        if not instance.value("port") and not instance.value("local"):
            self._add("role", "nobind")
        user, password = instance.find("username"), instance.find("password")
        if user and password:
            path = f"{_BASE}/instance-{self._uuid}.up"
            self._add("username", f"auth-user-pass {path}")
            self._store.lines(path, "key", (user.spot, user.text), (password.spot, password.text))
        if instance.value("remote_cert_tls") in _FLAGS:
            self._add("remote_cert_tls", "remote-cert-tls server")

    def _server(self, kind: str) -> None:
        instance = self._instance
        topology = instance.value("topology") or "subnet"
        self._add("topology", f"topology {topology}")
        self._out.add(instance.spot, "ping-timer-rem\ndh none")
        if verify := instance.value("verify_client_cert"):
            self._add("verify_client_cert", f"verify-client-cert {verify}")
        if instance.value("remote_cert_tls") in _FLAGS:
            self._add("remote_cert_tls", "remote-cert-tls client")
        network = self._network("server")
        if kind in ("tun", "ovpn") and isinstance(network, IPv4Network):
            if topology == "p2p" and network.prefixlen == 30:
                first, second, third = network[1], network[2], network[3]
                self._add(
                    "server", f"mode server\ntls-server\nifconfig {first} {second}\nifconfig-pool {second} {third}"
                )
                self._add("server", f'push "topology {topology}"')
            else:
                pool = " nopool" if instance.value("nopool") in _FLAGS else ""
                self._add("server", f"server {plain(network)}{pool}")
        elif kind == "tap":
            self._bridge()
        if isinstance(network6 := self._network("server_ipv6"), IPv6Network):
            self._add("server_ipv6", f"server-ipv6 {network6}")
        if instance.value("username_as_common_name") in _FLAGS:
            self._add("username_as_common_name", "username-as-common-name")
        self._add("vpnid", f"client-config-dir /var/etc/openvpn-csc/{self._id}")
        if instance.value("authmode"):
            script = "/usr/local/opnsense/scripts/openvpn/ovpn_event.py"
            self._add("authmode", f'script-security 3\nauth-user-pass-verify "{script} --defer" via-env')
            self._store.notes.append(
                Note(instance.spot_of("authmode"), "the firewall checks passwords with a script of its own")
            )
        if limit := instance.value("maxclients"):
            self._add("maxclients", f"max-clients {limit}")
        if not instance.value("local") and (instance.value("proto") or "udp").startswith("udp"):
            self._add("proto", "multihome")
        for line in _pushed(instance):
            self._out.add(*line)

    def _bridge(self) -> None:
        gateway, _, length = self._instance.value("bridge_gateway").partition("/")
        pool = self._instance.value("bridge_pool").replace("-", " ")
        try:
            mask = IPv4Network(f"0.0.0.0/{length}").netmask if gateway else None
        except ValueError:
            mask = None
        self._add("bridge_gateway", f"server-bridge {gateway} {mask} {pool}" if mask else "server-bridge")

    def _routes(self) -> None:
        for key, end in (("route", ""), ("push_route", ""), ("push_excluded_routes", " net_gateway")):
            for line in routes_of(self._instance.find(key), self._store.notes):
                self._add(key, line if key == "route" else f'push "{line}{end}"')

    def _keys(self) -> None:
        instance, store = self._instance, self._store
        home = f"{_BASE}/instance-{self._uuid}"
        certificate = instance.find("cert")
        if authority := instance.find("ca"):
            self._add("ca", f"ca {home}.ca")
            store.authorities(authority.text, f"{home}.ca", authority.spot)
        elif certificate:
            self._add("cert", f"ca {home}.ca")
            store.authorities(store.issuer(certificate.text), f"{home}.ca", certificate.spot)
        if certificate:
            self._add("cert", f"cert {home}.crt\nkey {home}.key")
            store.certificate(certificate.text, f"{home}.crt", certificate.spot)
            store.private_key(certificate.text, f"{home}.key", certificate.spot)
        if (revoked := instance.find("crl")) and store.revocations(revoked.text, f"{home}.crl", revoked.spot):
            self._add("crl", f"crl-verify {home}.crl")
        if wrapper := instance.find("tls_key"):
            self._wrapper(wrapper, f"{home}.tls")

    def _wrapper(self, named: Element, path: str) -> None:
        for key in self._model.all("StaticKeys", "StaticKey"):
            if key.attributes.get("uuid") == named.text and (secret := key.find("key")):
                mode = key.value("mode") or "auth"
                direction = f" {0 if self._role == 'server' else 1}" if mode == "auth" else ""
                self._add("tls_key", f"tls-{mode} {path}{direction}")
                self._store.secret(secret, path)
                return
        self._store.notes.append(Note(named.spot, f"static key {quote(named.text)} is not in the file"))

    def _network(self, key: str) -> Network | None:
        return network_of(self._instance, key, self._store.notes)

    def _overwrites(self) -> None:
        for overwrite in self._model.all("Overwrites", "Overwrite"):
            servers = [name for name in overwrite.value("servers").split(",") if name]
            name = overwrite.value("common_name")
            if overwrite.value("enabled") not in _FLAGS or (servers and self._uuid not in servers):
                continue
            if is_file_name(name, overwrite, self._store.notes):
                path = f"/var/etc/openvpn-csc/{self._id}/{name}"
                self._store.client(path, overwrite, self._overwrite(overwrite))

    def _overwrite(self, overwrite: Element) -> Iterator[tuple[Spot, str]]:
        notes = self._store.notes
        if overwrite.value("block") in _FLAGS:
            yield overwrite.spot_of("block"), "disable"
        if overwrite.value("push_reset") in _FLAGS:
            yield overwrite.spot_of("push_reset"), "push-reset"
        subnet = self._instance.value("topology") in ("", "subnet")
        tunnel = overwrite.find("tunnel_network")
        if tunnel and (pair := pair_of(tunnel, subnet, notes)):
            yield tunnel.spot, f"ifconfig-push {pair}"
        own6 = self._network("server_ipv6")
        if (tunnel6 := overwrite.find("tunnel_networkv6")) and own6 and own6.num_addresses > 1:
            yield tunnel6.spot, f"ifconfig-ipv6-push {tunnel6.text} {own6[1]}"
        for key in ("local_networks", "remote_networks"):
            for line in routes_of(overwrite.find(key), notes):
                yield overwrite.spot_of(key), f"i{line}" if key == "remote_networks" else f'push "{line}"'
        yield from _pushed(overwrite)


def _pushed(settings: Element) -> Iterator[tuple[Spot, str]]:
    if gateway := settings.find("redirect_gateway"):
        yield gateway.spot, f'push "redirect-gateway {gateway.text.replace(",", " ")}"'
    if metric := settings.find("route_metric"):
        yield metric.spot, f'push "route-metric {metric.text}"'
    options = (
        ("dns_domain", "DOMAIN"),
        ("dns_domain_search", "DOMAIN-SEARCH"),
        ("dns_servers", "DNS"),
        ("ntp_servers", "NTP"),
    )
    for key, option in options:
        for element in filter(None, [settings.find(key)]):
            for value in filter(None, element.text.split(",")):
                yield element.spot, f'push "dhcp-option {option} {value.strip()}"'
