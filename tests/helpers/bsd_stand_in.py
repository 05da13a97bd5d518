"""Substitutes for FreeBSD and OpenBSD that execute the lab's files with Debian's programs.

They show that the files contain what the other end needs, not that a BSD accepts them.
"""

import re
import shlex
from pathlib import Path

from lab.render.node_spec import FILES_INSIDE
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode


class _StandIn:
    """A container that is configured by a system's files."""

    def __init__(self, lab: Lab, node: LabNode, system: str) -> None:
        self._node = node
        self._files: Path = lab.directory / "nodes" / node.name / system
        self._do("sh", "-c", f"cp -a {FILES_INSIDE}/{system}/. /")

    def _do(self, *argv: str) -> str:
        return self._node.exec(*argv).raise_on_error().stdout

    def _address(self, port: str, address: str) -> None:
        self._do("ip", "address", "replace", address, "dev", re.sub(r"^\D+", "eth", port))

    def _lines(self, file: str) -> list[str]:
        text = (self._files / file.removeprefix("/")).read_text()
        return [line for line in text.splitlines() if line and not line.startswith("#")]


class FreeBsdStandIn(_StandIn):
    """OpenVPN and FRR of Debian, started as rc.conf says."""

    def __init__(self, lab: Lab, node: LabNode) -> None:
        super().__init__(lab, node, "freebsd")
        self._settings = dict(line.split("=", 1) for line in self._lines("/etc/rc.conf.lab"))
        self._settings = {key: shlex.split(value)[0] for key, value in self._settings.items()}

    def boot(self) -> None:
        """Set addresses and routes, and start what is enabled."""
        for key, value in self._settings.items():
            if found := re.fullmatch(r"ifconfig_(vtnet\d+)", key):
                self._address(found[1], value.removeprefix("inet "))
            elif found := re.fullmatch(r"ifconfig_(vtnet\d+)_ipv6", key):
                address, length = value.removeprefix("inet6 ").split(" prefixlen ")
                self._address(found[1], f"{address}/{length}")
        for name in self._settings["static_routes"].split():
            to, via = self._settings[f"route_{name}"].removeprefix("-net ").split()
            self._do("ip", "route", "add", to, "via", via)
        assert self._settings["openvpn_enable"] == self._settings["frr_enable"] == "YES"
        directory, configuration = self._settings["openvpn_dir"], self._settings["openvpn_configfile"]
        self._do("openvpn", "--daemon", "--cd", directory, "--config", configuration)
        assert self._settings["frr_daemons"].split() == ["zebra", "staticd", "bgpd"]
        for daemon in ("mgmtd", "zebra -f FILE", "bgpd -f FILE"):
            program = daemon.replace("FILE", "/usr/local/etc/frr/frr.conf")
            self._do("sh", "-c", f"/usr/lib/frr/{program} -d >/dev/null 2>&1")


class OpenBsdStandIn(_StandIn):
    """OpenVPN and OpenBGPD of Debian, started as the files of /etc say."""

    def __init__(self, lab: Lab, node: LabNode) -> None:
        super().__init__(lab, node, "openbsd")

    def boot(self) -> None:
        """Set addresses and routes of each hostname.if, and start what is enabled."""
        for file in sorted((self._files / "etc").glob("hostname.*"), key=lambda path: path.name, reverse=True):
            for line in self._lines(f"/etc/{file.name}"):
                self._configure(file.suffix.removeprefix("."), line)
        assert self._lines("/etc/rc.conf.local.lab") == ["bgpd_flags="]
        self._do("bgpd", "-n", "-f", "/etc/bgpd.conf")
        self._do("sh", "-c", "bgpd -f /etc/bgpd.conf >/dev/null 2>&1")

    def _configure(self, interface: str, line: str) -> None:
        match line.split():
            case ["inet", address, mask]:
                self._address(interface, f"{address}/{mask}")
            case ["inet6", address, length]:
                self._address(interface, f"{address}/{length}")
            case ["!route", "add", to, via]:
                self._do("ip", "route", "add", to, "via", via)
            case ["up"]:
                pass
            case [command, *arguments]:
                assert command == "!/usr/local/sbin/openvpn"
                self._do("openvpn", *arguments)
