"""Notes about an OpenVPN file that pfSense or OPNsense generated: what is FreeBSD's, and what is the firewall's own.

Such files need no translation: OpenVPN on Linux reads them.
"""

from pathlib import PurePosixPath

from lab.configs.openvpn.configuration import Configuration, Directive
from lab.configs.translated import Note

_GENERATED = ("/var/etc/openvpn", "/usr/local/sbin/ovpn", "/usr/local/etc/inc/plugins.inc.d/openvpn")
_HOOKS = {
    "ovpn-linkup": "updates the firewall's gateways",
    "ovpn-dnslinkup": "updates the firewall's gateways and name servers",
    "ovpn-linkdown": "updates the firewall's gateways",
    "ovpn_auth_verify": "checks passwords or certificates against the firewall's users",
    "ovpn_auth_verify_async": "checks passwords against the firewall's users",
    "openvpn.attributes.sh": "applies RADIUS attributes, which may add routes of clients",
    "openvpn.learn-address.sh": "writes names of clients into the firewall's resolver",
    "ovpn_event.py": "checks users and writes their files of client-config-dir",
}


def is_generated(configuration: Configuration) -> bool:
    """Return True for a file of pfSense or OPNsense."""
    options = configuration.all("up", "management", "client-config-dir", "capath", "plugin", "tls-verify")
    return any((d.argument(0) or "").strip("\"'").startswith(_GENERATED) for d in options) or any(
        (d.argument(0) or "").startswith("/dev/tun") for d in configuration.all("dev-node")
    )


def notes(configuration: Configuration) -> list[Note]:
    """Return a note for each line that works otherwise, or not at all, on Linux; none for files of other systems."""
    if not is_generated(configuration):
        return []
    return [Note(d.spot, sentence) for d in configuration.directives if (sentence := _sentence(d))]


def _sentence(directive: Directive) -> str:
    if directive.name == "dev-node":
        return "dev-node names a device of FreeBSD; on Linux OpenVPN opens /dev/net/tun"
    if directive.name == "capath":
        return "capath has a file for each CA, named by a hash: copy the directory with its .0 files"
    if directive.name == "dh" and (directive.argument(0) or "").startswith(("/etc/", "/usr/local/etc/")):
        return f"{directive.argument(0)} comes with the firewall; without it use `dh none`"
    for argument in directive.arguments[:2]:
        program = PurePosixPath(argument.split()[0] if argument.split() else "").name
        if program in _HOOKS:
            return f"{program} is the firewall's own and {_HOOKS[program]}"
    return ""
