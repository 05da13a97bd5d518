"""A substitute for RouterOS that executes the lab's commands with Debian's OpenVPN and BIRD.

It shows that the commands contain what the other end needs, not that RouterOS accepts them.
"""

import shlex
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

from lab.core.expect import Expectation, wait_for
from lab.render.node_spec import FILES_INSIDE
from lab.render.routeros import COMMANDS, parse
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode

Properties = Mapping[str, str]


class StandIn:
    """A container that is configured by the commands."""

    def __init__(self, lab: Lab, node: LabNode) -> None:
        self._node = node
        self._files: Path = lab.directory / "nodes" / node.name
        self._certificates: dict[str, dict[str, str]] = {}
        self._later: list[tuple[str, str]] = []
        self._lists: dict[str, list[str]] = {}
        self._instances: dict[str, Properties] = {}
        self._bird: list[str] = []

    def import_commands(self) -> None:
        """Execute the commands one after another, as `/import` does on RouterOS."""
        commands, mistakes = parse((self._files / COMMANDS).read_text())
        assert not mistakes
        for command in commands:
            does = f"_{command.path.strip('/').replace(' ', '_').replace('-', '_')}_{command.verb}"
            getattr(self, does)(command.properties)
        for interface, address in self._later:
            self._expect_device(interface)
            self._do("ip", "address", "replace", address, "dev", interface)
        self._start_bird()

    def _do(self, *argv: str) -> str:
        return self._node.exec(*argv).raise_on_error().stdout

    def _expect_device(self, interface: str) -> None:
        wait_for(
            Expectation(
                what=f"the device {interface}",
                node=self._node.name,
                look=lambda: self._node.exec("ip", "link", "show", interface),
                met=lambda shown: not shown.failed,
                seen=lambda _: self._node.exec("cat", "/tmp/openvpn.log").stdout[-500:],
            ),
            within=60,
        )

    # --- commands ------------------------------------------------------------------------------------------

    def _ip_address_add(self, said: Properties) -> None:
        interface = said["interface"]
        if interface.startswith("ether"):
            interface = f"eth{int(interface.removeprefix('ether')) - 1}"
            self._do("ip", "address", "add", said["address"], "dev", interface)
        else:
            self._later.append((interface, said["address"]))

    _ipv6_address_add = _ip_address_add

    def _ip_route_add(self, said: Properties) -> None:
        self._do("ip", "route", "add", said["dst-address"], "via", said["gateway"])

    def _certificate_import(self, said: Properties) -> None:
        (file,) = self._files.rglob(said["file-name"])
        inside = str(FILES_INSIDE / file.relative_to(self._files))
        self._certificates.setdefault(said["name"], {})[file.suffix] = inside

    def _interface_ovpn_client_add(self, said: Properties) -> None:
        own = self._certificates[said["certificate"]]
        (authority,) = (c[".crt"] for name, c in self._certificates.items() if name != said["certificate"])
        assert (said["mode"], said["auth"]) == ("ip", "null")
        cipher = said["cipher"].upper().replace("AES", "AES-", 1)
        argv = (
            f"openvpn --daemon --log /tmp/openvpn.log --client --nobind --dev {said['name']} --dev-type tun "
            f"--remote {said['connect-to']} {said['port']} --proto {said['protocol']}-client "
            f"--ca {authority} --cert {own['.crt']} --key {own['.key']} "
            f"--data-ciphers {cipher} --remote-cert-tls server --connect-retry 1 2"
        )
        self._do(*shlex.split(argv))

    def _ip_firewall_address_list_add(self, said: Properties) -> None:
        self._lists.setdefault(said["list"], []).append(said["address"])

    _ipv6_firewall_address_list_add = _ip_firewall_address_list_add

    def _routing_bgp_instance_add(self, said: Properties) -> None:
        self._instances[said["name"]] = said

    def _routing_bgp_connection_add(self, said: Properties) -> None:
        instance = self._instances[said["instance"]]
        assert said["output.network-blackhole"] == "yes"
        if not self._bird:
            self._bird = [f"router id {instance['router-id']}; protocol device {{}}"]
            for version in (4, 6):
                routes = " ".join(
                    f"route {prefix} unreachable;"
                    for prefix in self._lists[said["output.network"]]
                    if ip_network(prefix).version == version
                )
                self._bird += [f"protocol kernel {{ ipv{version} {{ export where source = RTS_BGP; }}; }}"]
                self._bird += [f"protocol static own{version} {{ ipv{version}; {routes} }}"]
        channels = " ".join(
            f"ipv{version} {{ import all; export where source = RTS_STATIC; }};"
            for version, afi in ((4, "ip"), (6, "ipv6"))
            if afi in said["afi"].split(",")
        )
        self._bird += [
            f"protocol bgp {said['name']} {{ local as {instance['as']}; "
            f"neighbor {said['remote.address']} as {said['remote.as']}; connect retry time 1; "
            f"hold time {said['hold-time'].removesuffix('s')}; "
            f"keepalive time {said['keepalive-time'].removesuffix('s')}; {channels} }}"
        ]

    def _start_bird(self) -> None:
        text = "\n".join(self._bird)
        self._do("sh", "-c", f"cat > /tmp/bird.conf <<'END'\n{text}\nEND")
        self._do("bird", "-c", "/tmp/bird.conf", "-s", "/tmp/bird.ctl")
