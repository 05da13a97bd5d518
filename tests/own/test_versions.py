"""The table of old options, held against the OpenVPN of all images: each row's example, started in a node."""

from pathlib import PurePosixPath

import pytest

from lab.configs.openvpn.configuration import Configuration, parse
from lab.configs.openvpn.versions import ROWS, Row, judge
from lab.runtime.lab import Lab
from tests.helpers.tried import BASES, ended_early, run

pytestmark = [pytest.mark.docker, pytest.mark.topology("p2p-tls")]

MESSAGE = ("DEPRECAT", "WARNING", "ignored", "removed", "Treating option")
"""Words of a message about an option that has no effect any more, or will have none."""
LOGS_ELSEWHERE = {("inetd", "2.5")}
"""Accepted, and then the log is the system's."""


def test_table_is_what_openvpn_does(lab: Lab) -> None:
    compare(lab)


@pytest.mark.thorough  # builds one more image
@pytest.mark.topology("p2p-tls", openvpn="2.5")
def test_table_is_what_openvpn_2_5_does(lab: Lab) -> None:
    compare(lab)


@pytest.mark.thorough
@pytest.mark.topology("p2p-tls", openvpn="2.6.3")
def test_table_is_what_openvpn_2_6_3_does(lab: Lab) -> None:
    compare(lab)


def compare(lab: Lab) -> None:
    with lab.tunnel("branch", "hq").server.management() as management:
        version = management.version()
    plain = {role: run(lab, role, "") for role in BASES}
    for log in plain.values():
        assert not ended_early(log), log
    wrong: list[tuple[str, str, str, list[str]]] = []
    quoted = 0
    for row in ROWS:
        # A client waits a second before it ends, so it tries only what the other roles do not.
        roles = set(row.roles) - {"client"} or {"client"}
        for role in roles if row.tls is not False else {"peer"}:
            if any(row.option == option and version.startswith(series) for option, series in LOGS_ELSEWHERE):
                continue
            log = run(lab, role, row.example, tls=row.tls is not False)
            text = configuration(role, row)
            verdict = next((v for v in judge(text, version) if v.directive.name == row.option), None)
            refused = any(v.effect == "refused" for v in judge(text, version))
            says = verdict.says if verdict and not refused else ""
            quoted += bool(says)
            told = [line for line in log if any(word in line for word in MESSAGE) and f"{row.option} " in line]
            if ended_early(log) != refused:
                wrong.append((role, row.example, row.effect(version), log[-6:]))
            elif says and (not has(log, says) or has(plain[role], says)):
                wrong.append((role, row.example, f"{says!r} is not a message about it", log))
            elif verdict is None and told:
                wrong.append((role, row.example, "accepted without a warning", told))
            elif verdict and verdict.effect in ("warns", "ignored") and not refused and not says:
                wrong.append((role, row.example, "the message is not known", log))
    assert not wrong
    assert quoted > 20


def configuration(role: str, row: Row) -> Configuration:
    """Return the options that decide what the table says about an example."""
    lines = {"server": "server 10.99.0.0 255.255.255.0", "client": "client", "peer": "ifconfig 10.99.0.1 10.99.0.2"}
    return parse(f"{lines[role]}\n{row.example}\n", PurePosixPath("/tmp/try.conf"))


def has(log: list[str], text: str) -> bool:
    return any(text in line for line in log)
