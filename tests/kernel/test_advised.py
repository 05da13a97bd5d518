"""The DCO rules of `lab advise` against the devices, routes and keys of a kernel with `ovpn`.

Each pair runs with its own files. A verdict `exposed` without the failure, or `not exposed` with it, fails.
"""

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest

from lab.advise import RULES, Subject, Verdict, subjects_of_topology
from lab.catalogue import load
from lab.check.advised.logs import expect_line
from lab.core.process import this_process
from lab.runtime.lab import Lab
from lab.runtime.node import LabNode
from lab.tunnel import RunningTunnel
from tests.helpers.advised import ADDRESS, ALL, CLIENT, FIRST, KEEPS, SERVER, Pair, write_lab
from tests.helpers.labs import new_name

pytestmark = [pytest.mark.docker, pytest.mark.needs_kernel("ovpn")]

VERSION = "2.7"
OPEN = SERVER.replace("disable-dco\n", "")
FREE = CLIENT.replace("disable-dco\n", "") + KEEPS
LIMIT = "reneg-bytes 20000\n"
PAIRS = (
    Pair("clear", OPEN + LIMIT, FREE),
    Pair("split", OPEN + "fragment 1300\n", FREE + "fragment 1300\n"),
    Pair("cbc", OPEN + "data-ciphers AES-256-CBC\n", FREE + "data-ciphers AES-256-GCM:AES-256-CBC\n"),
    Pair("pool", OPEN.replace("topology subnet", "topology p2p"), FREE, ADDRESS.replace("255.255.255.0", "10.8.0.1")),
    Pair("whole", OPEN, FREE, ADDRESS + ALL.split("\n")[0] + "\n"),
    Pair("leaving", OPEN, FREE + "explicit-exit-notify 1\n", ADDRESS + FIRST),
    Pair("chosen", SERVER + LIMIT, FREE, ADDRESS + FIRST + ALL.split("\n")[0] + "\n"),
)
"""Of the last pair the server says `disable-dco`."""
ON_PURPOSE = ("disable-dco", "secret")
WITHIN = 120
OLD_SESSION = re.compile(r"client-instance exiting|will cause previous active sessions by this client to be dropped")


def dco_off(tunnel: RunningTunnel, node: LabNode, subject: Subject) -> bool:
    """See if the data is in userspace, and no line of the file says that it should be."""
    device = node.exec("ip", "-d", "link", "show", "tun0").raise_on_error().stdout
    return "ovpn" not in device and not subject.end.has(*ON_PURPOSE)


def iroute_dco(tunnel: RunningTunnel, node: LabNode, subject: Subject) -> bool:
    """See if the kernel of a server sends everything into the tunnel."""
    entry = node.fib.route(ip_network("0.0.0.0/0"))
    return entry is not None and "tun0" in entry.interfaces


def reneg_dco(tunnel: RunningTunnel, node: LabNode, subject: Subject) -> bool:
    """See if OpenVPN says that it ignores the limits of a key."""
    process = tunnel.server if node.name == tunnel.tunnel.server else tunnel.client
    return bool(process.log_lines("'--reneg-bytes' and '--reneg-pkts' are not supported by data channel offload"))


def iroute_reconnect(tunnel: RunningTunnel, node: LabNode, subject: Subject) -> bool:
    """See if the kernel has lost the route of an `iroute` once the old session of a client that came back is purged."""
    route = ip_network("10.2.0.0/24")
    if node.name != tunnel.tunnel.server or node.fib.route(route) is None:
        return False
    size = tunnel.server.log_size()
    tunnel.client.stop()
    tunnel.client.start()
    tunnel.wait_connected(within=WITHIN)
    expect_line("the end of the old session", (tunnel.server, OLD_SESSION, size))
    return node.fib.route(route) is None


OBSERVERS: dict[str, Callable[[RunningTunnel, LabNode, Subject], bool]] = {
    "dco-off": dco_off,
    "iroute-dco": iroute_dco,
    "reneg-dco": reneg_dco,
    "iroute-reconnect": iroute_reconnect,
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    directory, name = tmp_path_factory.mktemp("advised"), new_name()
    file = write_lab(directory, name, f"openvpn-routing-lab/node:{VERSION}", PAIRS)
    lab = Lab.deploy(load(file), directory=directory / "labs" / name, wait=False, owner=this_process())
    try:
        yield lab
    finally:
        lab.destroy()


def test_verdicts_are_what_the_kernel_does(own: Lab) -> None:
    subjects = {subject.name: subject for subject in subjects_of_topology(own.topology)}
    wrong, seen = [], set()
    for pair in PAIRS:
        tunnel = own.tunnel(pair.client_node, pair.server_node)
        tunnel.wait_connected(within=WITHIN)
        for role, node in (("server", own.node(pair.server_node)), ("client", own.node(pair.client_node))):
            subject = subjects[f"{tunnel.tunnel.name}: {role} on {node.name}"]
            for rule in (rule for rule in RULES if rule.name in OBSERVERS):
                judgement = rule.judge(subject)
                observed = OBSERVERS[rule.name](tunnel, node, subject)
                seen.add((rule.name, judgement.verdict, observed))
                certain = judgement.verdict is not Verdict.CANNOT_TELL
                if certain and observed != (judgement.verdict is Verdict.EXPOSED):
                    wrong.append(f"{subject.name}: {rule.name} is {judgement.verdict} ({judgement.why}): {observed}")
    assert not wrong, "\n".join(wrong)
    # Whether the kernel carries the data is not in the files, so the others cannot tell.
    assert {
        ("dco-off", Verdict.EXPOSED, True),
        ("dco-off", Verdict.NOT_EXPOSED, False),
        ("iroute-dco", Verdict.CANNOT_TELL, True),
        ("iroute-dco", Verdict.NOT_EXPOSED, False),
        ("reneg-dco", Verdict.CANNOT_TELL, True),
        ("reneg-dco", Verdict.NOT_EXPOSED, False),
        ("iroute-reconnect", Verdict.CANNOT_TELL, False),
        ("iroute-reconnect", Verdict.NOT_EXPOSED, False),
    } <= seen
