"""The scripts and plugins of the user's: stubs by default, themselves with `--run-scripts`, and only in the node."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from lab.configs.disk import Unreadable
from lab.configs.openvpn.client_options import writes_fixed_lines
from lab.configs.openvpn.configuration import Directive, words
from lab.own.draft import Draft
from lab.own.overrides import LAB, SCRIPTED, Overrides, remark, without
from lab.topology.own import NodeFile
from lab.tunnel.mode import LOGS

STUB: Final = """\
#!/bin/sh
# Stands in for the scripts of {name}: logs the call with its arguments, and succeeds.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $*" >> {log} 2> /dev/null
exit 0
"""
LACKING: Final = (
    "arp", "at", "brctl", "conntrack", "curl", "dig", "fail2ban-client", "firewall-cmd", "host", "ifconfig",
    "ipset", "jq", "ldapsearch",
    "mail", "mailx", "mysql", "nc", "netstat", "nmap", "nslookup", "nsupdate", "psql",
    "python", "python2", "python3", "radtest", "resolvconf", "resolvectl", "rndc", "route", "rsync", "sendmail",
    "sqlite3", "ssh", "sudo", "systemd-resolve", "telnet", "traceroute", "ufw", "unbound-control",
    "wakeonlan", "wget", "wg", "zabbix_sender",
)  # fmt: skip
"""Programs that scripts often call and the lab's images lack."""
_IN_IMAGE: Final = frozenset(
    {"bash", "cat", "date", "echo", "env", "false", "ip", "iptables", "logger", "nft", "sh", "sysctl", "true"}
)
"""Programs of the image that are common as a script on their own."""
_CALL = re.compile(
    r"(?:^|[;&|(`{]|\b(?:then|do|else|if|while|exec|sudo|nohup)\s)\s*(?:/[\w/.-]*/)?"
    rf"({'|'.join(re.escape(name) for name in LACKING)})(?=[\s;&|)`]|$)",
    re.M,
)
_AUTHENTICATES = re.compile(r"auth|pam|ldap|radius|okta|duo|totp|2fa|verify", re.I)
_NEEDS_AUTHENTICATION: Final = ("username-as-common-name", "auth-user-pass-optional")
_METHOD: Final = "via-file"
_NONE: Final = frozenset({"disable", "force"})
"""Words of `dns-updown` that name no script."""


def plan(draft: Draft, *, run_scripts: bool = False) -> Overrides:
    """Return what runs instead of a process's scripts and plugins."""
    found = Overrides()
    for option in SCRIPTED:
        for directive in draft.configuration.all(option):
            if directive.arguments and directive.arguments[0] not in _NONE:
                last = directive == draft.configuration.last(option)
                for part in _script(draft, directive, last=last, run_scripts=run_scripts):
                    found += part
    for directive in draft.configuration.all("plugin"):
        found += _plugin(draft, directive, run_scripts=run_scripts)
    return found + _authentication(draft, found)


def log_of(draft: Draft) -> PurePosixPath:
    """Return the path in the node of the log of a process's stubs."""
    return LOGS / f"{draft.name}.scripts.log"


def _script(draft: Draft, directive: Directive, *, last: bool, run_scripts: bool) -> Iterator[Overrides]:
    command = _command(directive)
    name = command[0] if command else ""
    path = draft.locate(directive.name, name)
    jailed = path != draft.resolve(name)
    source = draft.disk.find(path)
    fixed = directive.name == "client-connect" and writes_fixed_lines(draft.configuration, directive)
    if source is not None and (run_scripts or fixed):
        yield Overrides(files=(NodeFile(path=path, source=source, mode=0o755, given=draft.disk.name(path)),))
        if jailed:
            words = " ".join(map(_quoted, (str(path), *command[1:])))
            arguments = (f"--{directive.name}", words, *directive.arguments[1:])
            yield Overrides(arguments=arguments, commented=(directive.spot,))
        if not fixed:
            yield from _lacking(draft, directive, path)
        return
    if source is None and run_scripts and path.name in _IN_IMAGE and path.is_relative_to("/"):
        return  # the node has it
    if source is not None and not jailed:
        # OpenVPN checks that it is there when it reads the line, also if an argument overrides it.
        yield Overrides(files=(NodeFile(path=path, source=source, mode=0o755, given=draft.disk.name(path)),))
    else:
        yield Overrides(commented=(directive.spot,))
    if not last:
        return
    why = "run it with --run-scripts" if source is not None else "it is not at hand"
    what = f"runs a stub instead of the {directive.name} script, which logs its calls to {log_of(draft)}: {why}"
    yield Overrides(
        arguments=_argument(draft, directive),
        files=_stub(draft),
        remarks=(remark(draft, "override", directive.spot, what),),
    )


def _command(directive: Directive) -> list[str]:
    try:
        return words(directive.arguments[0])
    except ValueError:
        return []


def _quoted(word: str) -> str:
    """Return a word of a command as OpenVPN reads it."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' if re.search(r"[\s\"'#;\\]", word) else word


def _argument(draft: Draft, directive: Directive) -> tuple[str, ...]:
    return (f"--{directive.name}", f"{_stub_path(draft)} {directive.name}", *directive.arguments[1:])


def _stub_path(draft: Draft) -> PurePosixPath:
    return LAB / f"{draft.name}.stub"


def _stub(draft: Draft) -> tuple[NodeFile, ...]:
    # The log is made in advance: OpenVPN may call the stub as another user.
    return (
        NodeFile(path=_stub_path(draft), text=STUB.format(name=draft.name, log=log_of(draft)), mode=0o755),
        NodeFile(path=log_of(draft), text="", mode=0o666),
    )


def _lacking(draft: Draft, directive: Directive, path: PurePosixPath) -> Iterator[Overrides]:
    try:
        text = draft.disk.text(path)
    except Unreadable:
        return
    code = "\n".join(line for line in text.split("\n") if not line.lstrip().startswith("#"))
    for program in sorted({found[1] for found in _CALL.finditer(code)}):
        what = f"the {directive.name} script calls {program}, which the lab's images lack"
        yield Overrides(remarks=(remark(draft, "unknown", directive.spot, what),))


def _plugin(draft: Draft, directive: Directive, *, run_scripts: bool) -> Overrides:
    name = directive.argument(0) or ""
    path = draft.resolve(name)
    source = draft.disk.find(path)
    authenticates = _AUTHENTICATES.search(path.name) is not None
    if run_scripts and source is not None:
        file = NodeFile(path=path, source=source, mode=0o755, given=draft.disk.name(path))
        return Overrides(files=(file,))
    what = "the accounts that it asks for are not in the node" if run_scripts else "it runs only with --run-scripts"
    if source is None and not authenticates:
        what = "it is not at hand"
    found = without(draft, directive, what)
    if not authenticates:
        unknown = f"the lab cannot tell what the plugin {path.name} does"
        found += Overrides(remarks=(remark(draft, "unknown", directive.spot, unknown),))
    return found


def _authentication(draft: Draft, overrides: Overrides) -> Overrides:
    """Return a stub that admits every user if the process has lost what checked their passwords."""
    configuration = draft.configuration
    if draft.role != "server" or configuration.has("auth-user-pass-verify"):
        return Overrides()
    plugins = [d for d in configuration.all("plugin") if overrides.drops(d)]
    needed = _requires_authentication(draft)
    lost = [d for d in plugins if needed or _AUTHENTICATES.search(d.argument(0) or "")]
    lost += configuration.all("management-client-auth")
    if not lost:
        return Overrides()
    security = configuration.last("script-security")
    level = security.argument(0) if security else None
    arguments: tuple[str, ...] = ("--auth-user-pass-verify", f"{_stub_path(draft)} auth-user-pass-verify", _METHOD)
    if level not in ("2", "3"):
        arguments += ("--script-security", "2")
    what = f"admits every user: a stub logs the calls to {log_of(draft)}"
    return Overrides(arguments=arguments, files=_stub(draft), remarks=(remark(draft, "override", lost[0].spot, what),))


def _requires_authentication(draft: Draft) -> bool:
    verify = draft.configuration.last("verify-client-cert")
    return draft.configuration.has(*_NEEDS_AUTHENTICATION) or (
        verify is not None and verify.argument(0) in ("none", "optional")
    )
