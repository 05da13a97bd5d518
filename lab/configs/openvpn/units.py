"""How a host starts OpenVPN: units of systemd with their drop-ins, and AUTOSTART in /etc/default/openvpn.

Debian's openvpn.service starts all of /etc/openvpn/*.conf, or those that AUTOSTART names; `openvpn@NAME`,
`openvpn-server@NAME` and `openvpn-client@NAME` are started if they are enabled, by a link in a directory `….wants`.
Without systemd /etc/init.d/openvpn starts those of AUTOSTART, with OPTARGS of /etc/default/openvpn.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from lab.configs.disk import Disk, Unreadable
from lab.configs.openvpn.configuration import Directive, command_line

_ETC = PurePosixPath("/etc/openvpn")
_TEMPLATES = {
    _ETC: "openvpn@",
    _ETC / "server": "openvpn-server@",
    _ETC / "client": "openvpn-client@",
}
"""The templates of units by the directory of their configurations."""
_UNITS = tuple(
    PurePosixPath(path) for path in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
)
_COMMANDS = {"openvpn-client@": "openvpn --nobind --config"}
"""The commands of the units of OpenVPN and Debian that have arguments, apart from those of its own state."""
_OF_UNITS = (
    "cd", "daemon", "status", "status-version", "writepid", "suppress-timestamps", "syslog", "log", "log-append",
)  # fmt: skip
"""Arguments that do not change the tunnel."""
_DEFAULTS = PurePosixPath("/etc/default/openvpn")
_INIT = PurePosixPath("/etc/init.d/openvpn")
_MAX_DIRECTORIES = 200


@dataclass(frozen=True)
class Start:
    """How the host starts OpenVPN with one configuration."""

    path: PurePosixPath
    unit: str
    directory: PurePosixPath
    """The working directory, to which the paths in the configuration are relative."""
    before: tuple[Directive, ...]
    """The options of the unit's command before `--config` that change the tunnel, as `--nobind`; the file wins."""
    after: tuple[Directive, ...]
    """Those after it: they win over the file."""
    started: bool | None
    """None if no file of the host tells."""
    why: str

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options of the command as words."""
        return tuple(word for d in (*self.before, *self.after) for word in (f"--{d.name}", *d.arguments))

    def __str__(self) -> str:
        how = {True: f"started as {self.unit}", False: "not started", None: f"taken as started by {self.unit}"}
        extra = f", with {' '.join(self.arguments)}" if self.arguments and self.started is not False else ""
        return f"{self.path} is {how[self.started]}{extra}: {self.why}"


def starts(disk: Disk, configurations: Iterable[PurePosixPath]) -> list[Start]:
    """Return how a host starts those of its configurations that have a unit; others are left out."""
    host = _Systemd(disk)
    found = []
    for path in configurations:
        template = _TEMPLATES.get(path.parent)
        if template and path.suffix == ".conf":
            found.append(host.start(path, template))
    return found


@dataclass
class _Command:
    """The command of a unit, while its files are read."""

    directory: PurePosixPath
    line: str
    place: str
    number: int = 0
    environment: dict[str, str] = field(default_factory=dict)


class _Systemd:
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._defaults = _text(disk, _DEFAULTS)
        self._autostart = _autostart(self._defaults)
        wants = [name for name in disk.names(_UNITS[0]) if name.endswith((".wants", ".requires"))][:_MAX_DIRECTORIES]
        self._has_links = bool(wants)
        self._enabled = {unit for name in wants for unit in disk.names(_UNITS[0] / name)}
        self._is_sysv = not disk.names(_UNITS[0]) and _text(disk, _INIT) is not None

    def start(self, path: PurePosixPath, template: str) -> Start:
        unit = f"{template}{path.stem}.service"
        started, why = self._started(unit, template, path.stem)
        command = self._command(template, path)
        if self._is_sysv and template == "openvpn@":
            unit, command = str(_INIT), self._script()
        before, after = _options(command)
        return Start(path, unit, command.directory, before, after, started, why)

    def _started(self, unit: str, template: str, name: str) -> tuple[bool | None, str]:
        if unit in self._enabled:
            return True, "the unit is enabled"
        if template == "openvpn@":
            if self._autostart is not None:
                listed = "all" in self._autostart or name in self._autostart
                value = " ".join(self._autostart)
                return listed, f'AUTOSTART="{value}" in /etc/default/openvpn'
            if "openvpn.service" in self._enabled:
                return True, "openvpn.service is enabled and starts all of /etc/openvpn"
        if self._has_links:
            return False, f"no link to {unit} in /etc/systemd/system/*.wants"
        return None, "the links of /etc/systemd/system/*.wants are not among the files"

    def _script(self) -> _Command:
        """Return the command of /etc/init.d/openvpn."""
        found = _assigned(self._defaults or "", "OPTARGS")
        line, number = found[-1] if found else ("", 0)
        return _Command(_ETC, f"openvpn {line} --config", self._disk.name(_DEFAULTS), number)

    def _command(self, template: str, path: PurePosixPath) -> _Command:
        """Return the working directory and the command of the unit, with its drop-ins."""
        found = _Command(path.parent, _COMMANDS.get(template, ""), f"{template}.service")
        for file, number, key, value in self._settings(template, path.stem):
            value = value.replace("%i", path.stem).replace("%I", path.stem)
            if key == "WorkingDirectory" and value.startswith("/"):
                found.directory = PurePosixPath(value)
            elif key == "ExecStart" and value:
                found.line, found.place, found.number = value, self._disk.name(file), number
            elif key == "Environment":
                found.environment.update(_variables(value))
            elif key == "EnvironmentFile":
                text = _text(self._disk, PurePosixPath(value.removeprefix("-"))) or ""
                found.environment.update(_shell_variables(text))
        return found

    def _settings(self, template: str, name: str) -> Iterator[tuple[PurePosixPath, int, str, str]]:
        """Yield the settings of a unit: file, line, key, value."""
        whole, of_one = f"{template}.service", f"{template}{name}.service"
        unit = [(place / file) for file in (of_one, whole) for place in _UNITS]
        for path in unit:
            if text := _text(self._disk, path):
                yield from _lines(path, text)
                break
        for file in (whole, of_one):
            for place in reversed(_UNITS):
                directory = place / f"{file}.d"
                for entry in self._disk.names(directory):
                    if entry.endswith(".conf"):
                        yield from _lines(directory / entry, _text(self._disk, directory / entry) or "")


def _text(disk: Disk, path: PurePosixPath) -> str | None:
    try:
        return disk.text(path)
    except Unreadable:
        return None


def _autostart(defaults: str | None) -> tuple[str, ...] | None:
    """Return the words of AUTOSTART, `all` if it is empty or not set; None without /etc/default/openvpn."""
    if defaults is None:
        return None
    found = _assigned(defaults, "AUTOSTART")
    return tuple(found[-1][0].split() if found else ()) or ("all",)


def _assigned(text: str, name: str) -> list[tuple[str, int]]:
    """Return the values that a shell script gives a variable, each with its line."""
    value = r"""(?:"([^"\n]*)"|'([^'\n]*)'|([^\s#;]*))"""
    found = re.finditer(rf"(?m)^[ \t]*(?:export[ \t]+)?{re.escape(name)}={value}", text)
    return [("".join(filter(None, each.groups())), text.count("\n", 0, each.start()) + 1) for each in found]


def _shell_variables(text: str) -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys(re.findall(r"(?m)^[ \t]*(\w+)=", text)):
        yield name, _assigned(text, name)[-1][0]


def _variables(setting: str) -> Iterator[tuple[str, str]]:
    """Yield the variables of a line `Environment=`."""
    try:
        words = shlex.split(setting)
    except ValueError:
        return
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            yield name, value


def _lines(file: PurePosixPath, text: str) -> Iterator[tuple[PurePosixPath, int, str, str]]:
    number = 1
    for line in re.sub(r"\\\n", "\v", text).split("\n"):
        key, equals, value = line.replace("\v", " ").partition("=")
        if equals and not line.lstrip().startswith(("#", ";")):
            yield file, number, key.strip(), value.strip()
        number += 1 + line.count("\v")


def _options(command: _Command) -> tuple[tuple[Directive, ...], tuple[Directive, ...]]:
    """Return the options of a command before `--config` and after it, without those that do not change the tunnel."""
    try:
        words = shlex.split(command.line)[1:]
    except ValueError:
        return (), ()
    words = [part for word in words for part in _expanded(word, command.environment)]
    before, after = command_line(words, command.place, command.number)
    return (
        tuple(d for d in before if d.name not in _OF_UNITS),
        tuple(d for d in after if d.name not in _OF_UNITS),
    )


def _expanded(word: str, environment: Mapping[str, str]) -> list[str]:
    """Return a word of a command as systemd.exec(5) expands variables: `$NAME` alone becomes several words."""
    if alone := re.fullmatch(r"\$(\w+)", word):
        return environment.get(alone[1], "").split()
    return [re.sub(r"\$\{(\w+)\}", lambda found: environment.get(found[1], ""), word)]
