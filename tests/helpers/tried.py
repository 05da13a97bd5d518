"""OpenVPN tried with lines of a configuration: started in a node until it gets as far as its device."""

import re
from collections.abc import Collection, Iterable

from lab.runtime.lab import Lab
from lab.tunnel.keyfiles import static_key
from lab.tunnel.mode import processes

TLS = "ca {ca}\ncert {cert}\nkey {key}\ndh none\n"
SCRIPT = "script-security 2\nup /bin/false\n"
"""A process that gets as far as its device ends with this."""
BASES = {
    "server": "dev tun\nserver 10.99.0.0 255.255.255.0\nkeepalive 10 60\nlport 0\n{topology}" + TLS + SCRIPT,
    "peer": "dev tun\nifconfig 10.99.0.1 10.99.0.2\nlport 0\n{tls}" + SCRIPT,
    "client": "client\ndev tun\nremote 127.0.0.1 9 tcp-client\nnobind\nconnect-retry-max 1\n"
    "remote-cert-tls server\n" + TLS.replace("dh none\n", ""),
}
STARTED = ("Failed running command (--up", "Attempting to establish TCP connection")
_OLD = re.compile(
    r"DEPRECAT|ignore[sd]\b|was removed|has been (removed|replaced)|Treating option|Unrecognized option|"
    r"do not support|not available|less secure|Consider setting|always enabled|REMOVED|[Ii]nsecure|has been used|"
    r"[Uu]nsupported|not supported|no cipher match"
)
"""A message that an option has no effect any more, or that it should not be used any more."""


def run(lab: Lab, role: str, lines: str, *, tls: bool = True) -> list[str]:
    """Return the log of a process with more lines in its file until it ends."""
    node = lab.running("hq")
    tunnel = lab.tunnel("branch", "hq").tunnel
    files = processes(tunnel)["server"].files
    names = {"ca": files / "ca.crt", "cert": files / "server.crt", "key": files / "server.key"}
    topology = "" if lines.startswith("topology ") else "topology subnet\n"
    text = BASES[role].replace("{tls}", "tls-server\n" + TLS if tls else "").replace("{topology}", topology)
    own = node.root / "tmp"
    (own / "ta.key").write_text(static_key(b"secret", "versions"))
    (own / "try.conf").write_text(text.format(**names) + lines + "\n")
    result = node.exec("timeout", "20", "openvpn", "--cd", "/tmp", "--verb", "3", "--config", "/tmp/try.conf")
    return (result.stdout + result.stderr).splitlines()


def ended_early(log: list[str]) -> bool:
    """Return True if a process ended before it had its device or connected: OpenVPN refuses its file."""
    return not any(started in line for line in log for started in STARTED)


def old_options(log: Iterable[str], options: Collection[str]) -> set[str]:
    """Return those of the options about which a log says that they are old."""
    messages = [line for line in log if _OLD.search(line) and "data channel offload" not in line]
    named = {o for o in options if any(re.search(rf"(^|[^\w-]|--){re.escape(o)}(?![\w-])", line) for line in messages)}
    compresses = any("WARNING: Compression for receiving enabled" in line for line in messages)
    return named | ({"comp-lzo", "compress"} & set(options) if compresses else set())
