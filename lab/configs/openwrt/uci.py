"""Translates OpenWrt's UCI files: `/etc/config/openvpn`, `network` and `system`.

OpenWrt's init script writes `/var/etc/openvpn-NAME.conf` out of each enabled `config openvpn 'NAME'`: first the flags,
then the options with values, then the lists. Options that its table does not have are left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_interface, ip_network

from lab.configs.disk import Spot, Unreadable
from lab.configs.host.facts import HostFacts, HostRoute
from lab.configs.openwrt.translation import FLAGS, LISTS, VALUES
from lab.configs.translated import MAX_TUNNELS, Draft, Note, Translated, TranslatedFile, with_addresses
from lab.core.prefixes import Interface
from lab.topology.mistakes import quote

_OF_THE_SCRIPT = {
    "enabled", "enable", "config", "up", "down", "script_security", "username", "password", "cert_password",
}  # fmt: skip
"""Options of UCI that are the init script's own."""
_TRUE = ("1", "on", "true", "yes", "enabled")
_WORDS = {"p": "package", "c": "config", "o": "option", "l": "list"}
"""UCI's keywords and their short forms."""


@dataclass(frozen=True)
class _Value:
    text: str
    spot: Spot


@dataclass
class Section:
    """A section: its type, its name, and the values of each option in order."""

    type: str
    name: str
    spot: Spot
    options: dict[str, list[_Value]] = field(default_factory=dict)

    def get(self, *names: str) -> _Value | None:
        """Return the value of the first of these options that the section has."""
        return next((self.options[name][-1] for name in names if name in self.options), None)

    def flag(self, name: str) -> bool:
        """Return True if the option is on."""
        value = self.get(name)
        return value is not None and value.text in _TRUE


def looks_like_uci(text: str) -> bool:
    """Return True for a text with sections as in `/etc/config`."""
    return re.search(
        r"""(?m)^[ \t]*config[ \t]+['"]?[A-Za-z]\w*['"]?([ \t]+['"]?[\w.-]+['"]?)?[ \t]*\r?$""", text
    ) is not None and (re.search(r"(?m)^[ \t]*(option|list)[ \t]+\S+[ \t]+\S", text) is not None)


def translate(text: str, name: str) -> Translated:
    """Translate a file of `/etc/config`; raises `Unreadable` with file and line."""
    draft = _Host()
    # Routes name interfaces, which may be further down.
    for section in sorted(sections(text, name), key=lambda section: section.type != "interface"):
        draft.add(section)
    return draft.translated


def sections(text: str, name: str) -> list[Section]:
    """Read the sections of a file; raises `Unreadable`."""
    found: list[Section] = []
    for spot, words in _statements(text, name):
        keyword = _WORDS.get(words[0], words[0])
        if keyword == "config" and len(words) in (2, 3):
            found.append(Section(words[1], words[2] if len(words) == 3 else "", spot))
        elif keyword in ("option", "list") and len(words) == 3 and found:
            value = _Value(words[2], spot)
            values = found[-1].options.setdefault(words[1].replace("-", "_"), [])
            if keyword == "option":
                values.clear()
            values.append(value)
        elif keyword == "package" and len(words) == 2:
            continue
        else:
            raise Unreadable(f"{spot}: {quote(' '.join(words))} is not a line of UCI (config, option, list)")
    return found


def _statements(text: str, name: str) -> Iterator[tuple[Spot, list[str]]]:
    words: list[str] = []
    word: list[str] | None = None
    quoted = ""
    line = first = 1
    at = 0
    text = text.replace("\r\n", "\n") + "\n"
    while at < len(text):
        char = text[at]
        at += 1
        if quoted:
            if char == quoted:
                quoted = ""
            elif char == "\\" and quoted == '"' and at < len(text):
                _append(word, text[at])
                line += text[at] == "\n"
                at += 1
            else:
                _append(word, char)
                line += char == "\n"
            continue
        if char in " \t\r\n;#":
            if word is not None:
                words.append("".join(word))
                word = None
            if char == "#":
                at = text.index("\n", at)
            elif char in "\n;":
                if words:
                    yield Spot(name, first), words
                words = []
                line += char == "\n"
            continue
        if word is None:
            word = []
            if not words:
                first = line
        if char in "'\"":
            quoted = char
        elif char == "\\" and at < len(text):
            if text[at] != "\n":
                word.append(text[at])
            line += text[at] == "\n"
            at += 1
        else:
            word.append(char)
    if quoted:
        raise Unreadable(f"{name}:{first}: no closing quotation mark ({quoted})")


def _append(word: list[str] | None, char: str) -> None:
    if word is not None:
        word.append(char)


class _Host:
    """Collects what the sections stand for."""

    def __init__(self) -> None:
        self._files: list[TranslatedFile] = []
        self._notes: list[Note] = []
        self._hostname: str | None = None
        self._addresses: list[tuple[str, Interface, Spot]] = []
        self._routes: list[HostRoute] = []
        self._devices: dict[str, str] = {}
        """The devices of UCI's interfaces."""
        self._instances = 0

    @property
    def translated(self) -> Translated:
        facts = HostFacts(self._hostname, with_addresses(self._addresses), tuple(self._routes))
        return Translated(tuple(self._files), tuple(self._notes), facts)

    def add(self, section: Section) -> None:
        if section.type == "openvpn":
            self._openvpn(section)
        elif section.type == "openvpn_recipe":
            self._note(
                section.spot, f"openvpn_recipe {quote(section.name)} is a template of LuCI; OpenWrt does not start it"
            )
        elif section.type == "interface":
            self._interface(section)
        elif section.type in ("route", "route6"):
            self._route(section)
        elif section.type == "system":
            hostname = section.get("hostname")
            self._hostname = hostname.text if hostname else None

    def _note(self, spot: Spot, sentence: str) -> None:
        self._notes.append(Note(spot, sentence))

    def _openvpn(self, section: Section) -> None:
        name = section.name or f"cfg{self._instances:02}"
        self._instances += 1
        if self._instances > MAX_TUNNELS:
            raise Unreadable(f"{section.spot}: more than {MAX_TUNNELS} sections `config openvpn`")
        if not re.fullmatch(r"\w+", name):
            raise Unreadable(f"{section.spot}: {quote(name)} is not a name of a UCI section (letters, digits and _)")
        started = section.get("config")
        if not (section.flag("enabled") or section.flag("enable")):
            what = f"{started.text} is" if started else "the section is"
            self._note(
                section.spot, f"openvpn {quote(name)} is not enabled: {what} not started; set option enabled '1'"
            )
            return
        if started:
            self._of_a_file(section, started)
            return
        draft = Draft(f"/var/etc/openvpn-{name}.conf", "openvpn")
        for option in FLAGS:
            if section.flag(option):
                draft.add(section.options[option][-1].spot, _dashed(option))
        for option in VALUES:
            for value in section.options.get(option, []):
                for line in filter(None, value.text.split("\n")):
                    draft.add(value.spot, _line(option, line))
        for option in LISTS:
            if values := section.options.get(option):
                draft.add(values[0].spot, f"{_dashed(option)} {':'.join(v.text for v in values)}")
        self._of_the_script(section, name, draft)
        for option, values in section.options.items():
            if option not in _OF_THE_SCRIPT and option not in FLAGS + VALUES + LISTS:
                self._note(
                    values[0].spot,
                    f"option {quote(option)} is not in OpenWrt's openvpn.options: its init script leaves it out",
                )
        self._files.append(draft.file)

    def _of_a_file(self, section: Section, config: _Value) -> None:
        extra = ""
        if dev := section.get("dev"):
            kind = section.get("dev_type")
            extra = (
                f" with --dev {dev.text}" + (f" --dev-type {kind.text}" if kind else "") + ", before the file's own dev"
            )
        self._note(config.spot, f"OpenWrt starts {config.text}{extra}")
        if section.get("username", "cert_password"):
            self._note(
                section.spot, "OpenWrt adds --auth-user-pass or --askpass with the section's username and password"
            )
        ignored = set(section.options) - _OF_THE_SCRIPT - {"dev", "dev_type"}
        if ignored:
            names = ", ".join(sorted(map(quote, ignored)))
            self._note(config.spot, f"beside `option config` OpenWrt leaves out the other options: {names}")

    def _of_the_script(self, section: Section, name: str, draft: Draft) -> None:
        """Add what the init script passes on OpenVPN's command line."""
        if level := section.get("script_security"):
            draft.add(level.spot, f"script-security {level.text}")
        elif section.get("up", "down"):
            draft.add(section.spot, "script-security 2")
        for option in ("up", "down"):
            if script := section.get(option):
                draft.add(script.spot, f"{option} {_quoted(script.text)}")
                self._note(script.spot, f"OpenWrt calls the {option} script from /usr/libexec/openvpn-hotplug")
        if password := section.get("cert_password"):
            self._secret(f"/var/run/openvpn.{name}.pass", [password])
            draft.add(password.spot, f"askpass /var/run/openvpn.{name}.pass")
        if username := section.get("username"):
            given = section.get("password") or _Value("", username.spot)
            self._secret(f"/var/run/openvpn.{name}.userpass", [username, given])
            draft.add(username.spot, f"auth-user-pass /var/run/openvpn.{name}.userpass")

    def _secret(self, path: str, values: list[_Value]) -> None:
        draft = Draft(path, "key")
        for value in values:
            draft.add(value.spot, value.text)
        self._files.append(draft.file)

    def _interface(self, section: Section) -> None:
        proto = section.get("proto")
        device = section.get("device", "ifname")
        if device is None:
            return
        interface = device.text.split()[0] if device.text.split() else section.name
        bridge = section.get("type")
        if bridge and bridge.text == "bridge":
            interface = f"br-{section.name}"
        self._devices[section.name] = interface
        if proto and proto.text == "none":
            return
        if proto and proto.text != "static":
            self._note(proto.spot, f"the address of {interface} comes by {proto.text} and is not in the file")
            return
        netmask = section.get("netmask")
        for value in section.options.get("ipaddr", []) + section.options.get("ip6addr", []):
            for text in value.text.split():
                mask = f"/{netmask.text}" if netmask and "/" not in text and ":" not in text else ""
                self._address(interface, text + mask, value.spot)

    def _address(self, interface: str, text: str, spot: Spot) -> None:
        try:
            address = ip_interface(text)
        except ValueError:
            self._note(spot, f"{quote(text)} is not an address")
            return
        if not address.ip.is_loopback:
            self._addresses.append((interface, address, spot))

    def _route(self, section: Section) -> None:
        target = section.get("target")
        gateway = section.get("gateway")
        device = section.get("interface")
        if target is None:
            return
        mask = section.get("netmask")
        try:
            network = ip_network(
                f"{target.text}/{mask.text}" if mask and "/" not in target.text else target.text, strict=False
            )
            via = ip_address(gateway.text) if gateway else None
        except ValueError:
            self._note(section.spot, "the route has a malformed target or gateway")
            return
        interface = self._devices.get(device.text, device.text) if device else None
        self._routes.append(HostRoute(network, section.spot, via, interface))


def _dashed(option: str) -> str:
    return option.replace("_", "-")


def _line(option: str, value: str) -> str:
    if option == "push":
        return f'push "{value}"'
    if option == "compress" and value == "frames_only":
        return "compress"
    return f"{_dashed(option)} {value}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if " " in text else text
