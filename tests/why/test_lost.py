"""Why a packet is lost: each cause is produced on the way there or back, named, and gone when it is undone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import ExpectationFailed
from lab.core.expect import Expectation, wait_for
from lab.core.prefixes import Address
from lab.runtime.lab import Lab
from lab.why.ask import ask
from lab.why.cause import Explanation
from lab.why.probe import Probe
from lab.why.report import report
from lab.why.targets import holder
from lab.why.tracer import Traced

pytestmark = [pytest.mark.docker, pytest.mark.topology("path.clab.yml", openvpn="2.7")]

TO = {4: ip_address("10.2.0.10"), 6: ip_address("2001:db8:2::10")}
"""The host of the branch."""
FROM = {4: "10.1.0.10", 6: "2001:db8:1::10"}
HQ, BRANCH = {4: "10.1.0.1", 6: "2001:db8:1::1"}, {4: "10.2.0.1", 6: "2001:db8:2::1"}
ECHO = {4: "icmp type echo-request", 6: "icmpv6 type echo-request"}
REPLY = {4: "icmp type echo-reply", 6: "icmpv6 type echo-reply"}
TOO_BIG = {4: "icmp type destination-unreachable", 6: "icmpv6 type packet-too-big"}
ANY = {4: "0.0.0.0/0", 6: "::/0"}
HAS_REASON = "tracefs" in Path("/proc/filesystems").read_text() and (
    [int(part) for part in os.uname().release.split(".")[:2]] >= [6, 14]
)
"""Since Linux 6.14 the kernel has a reason for sources that are its own addresses."""
Fault = Callable[[Lab, int], AbstractContextManager[object]]


def shell(on: Callable[[int], str], off: Callable[[int], str], node: str) -> Fault:
    """Return a fault: a command in a node, undone by another."""

    @contextmanager
    def fault(lab: Lab, version: int) -> Iterator[None]:
        running = lab.running(node)
        lab.engine.unlock_network_parameters([lab.instance(node)])
        running.exec("sh", "-ec", on(version)).raise_on_error()
        try:
            yield
        finally:
            running.exec("sh", "-ec", off(version)).raise_on_error()

    return fault


def rule(node: str, hook: str, text: Callable[[int], str], policy: str = "accept") -> Fault:
    """Return a fault: a rule of nftables."""
    chain = f"type filter hook {hook} priority 0; policy {policy};"
    return shell(
        lambda version: f"nft 'add table inet f; add chain inet f c {{ {chain} }}; add rule inet f c {text(version)}'",
        lambda version: "nft delete table inet f",
        node,
    )


def sysctl(node: str, names: dict[int, str], value: int, usual: int) -> Fault:
    """Return a fault: a kernel parameter of each family."""
    return shell(
        lambda version: f"sysctl -qw {names[version]}={value}",
        lambda version: f"sysctl -qw {names[version]}={usual}",
        node,
    )


def route(node: str, wrong: Callable[[int], str], right: Callable[[int], str]) -> Fault:
    """Return a fault: a change of a node's routes, with the arguments of `ip route`."""
    return shell(lambda v: f"ip -{v} route {wrong(v)}", lambda v: f"ip -{v} route {right(v)}", node)


def mtu(node: str, interface: str) -> Fault:
    return shell(lambda _: f"ip link set {interface} mtu 1400", lambda _: f"ip link set {interface} mtu 1500", node)


def lab_fault(kind: str, **where: Any) -> Fault:
    return lambda lab, _: lab.fault(kind, **where)


@contextmanager
def narrow_and_silent(lab: Lab, version: int) -> Iterator[None]:
    with mtu("branch", "eth2")(lab, version), rule("branch", "output", lambda v: f"{TOO_BIG[v]} drop")(lab, version):
        yield


@contextmanager
def narrow_and_lost(lab: Lab, version: int) -> Iterator[None]:
    with mtu("branch", "eth2")(lab, version), rule("hq", "forward", lambda v: f"{TOO_BIG[v]} drop")(lab, version):
        yield


@contextmanager
def strict_source(lab: Lab, version: int) -> Iterator[None]:
    """The branch checks sources, and has a route to the source that leads out of another interface."""
    elsewhere = route("branch", lambda v: f"add {FROM[v]} via 198.51.100.6", lambda v: f"del {FROM[v]}")
    check = sysctl("branch", {4: "net.ipv4.conf.all.rp_filter"}, 1, 0)
    with elsewhere(lab, version), check(lab, version):
        yield


@contextmanager
def loop(lab: Lab, version: int) -> Iterator[None]:
    """The branch sends the packet back, although its host is on its link."""
    back = {4: "10.255.0.1", 6: str(lab.tunnels["branch-hq"].tunnel.server_ipv6.ip)}
    back[4] = str(lab.tunnels["branch-hq"].tunnel.server_ipv4.ip)
    with route("branch", lambda v: f"add {TO[v]} via {back[v]}", lambda v: f"del {TO[v]}")(lab, version):
        yield


@dataclass(frozen=True)
class Case:
    """A fault, and what should be said about it."""

    name: str
    fault: Fault
    kind: str
    node: str
    said: str
    """A part of the sentence."""
    versions: tuple[int, ...] = (4, 6)
    probe: dict[str, Any] = field(default_factory=dict)
    host: str = ""
    """The last part of the destination's address, if it is not that of the branch's host."""

    def __str__(self) -> str:
        return self.name


UP_AGAIN = (
    f"ip link set eth1 up; ip addr replace {TO[6]}/64 dev eth1 nodad; ip -6 route replace default via {BRANCH[6]}; "
    f"ip -4 route replace default via {BRANCH[4]}"
)
"""The kernel removes IPv6 addresses, and routes, with the interface."""
BIG = {"size": 1450, "df": True}
CASES = [
    Case("rule", rule("branch", "forward", lambda v: f"{ECHO[v]} drop"), "nftables-drop", "branch",
         "type echo-request drop` (handle 2 of `inet f c`)"),
    Case("rule-back", rule("hq", "forward", lambda v: f"{REPLY[v]} counter drop"), "nftables-drop", "hq",
         "hq drops the answer by the nftables rule", versions=(4,)),
    Case("reject", rule("branch", "forward", lambda v: f"{ECHO[v]} reject"), "nftables-drop", "branch", "reject",
         versions=(6,)),
    Case("policy", rule("branch", "forward", lambda v: "iifname tun0 accept", "drop"), "nftables-drop", "branch",
         "no rule of `inet f c` accepts it, and its policy is drop", versions=(4,)),
    Case("rule-at-sender", rule("hq-lan", "output", lambda v: f"{ECHO[v]} drop"), "nftables-drop", "hq-lan", "packet",
         versions=(6,)),
    Case("rule-at-receiver", rule("branch-lan", "input", lambda v: f"{ECHO[v]} drop"), "nftables-drop", "branch-lan",
         "branch-lan drops the packet", versions=(4,)),
    Case("answer-at-receiver", rule("branch-lan", "output", lambda v: f"{REPLY[v]} drop"), "nftables-drop",
         "branch-lan", "branch-lan drops the answer", versions=(6,)),
    Case("answer-at-sender", rule("hq-lan", "input", lambda v: f"{REPLY[v]} drop"), "nftables-drop", "hq-lan",
         "hq-lan drops the answer", versions=(4,)),
    Case("forwarding", sysctl("branch", {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}, 0, 1),
         "forwarding-off", "branch", "in the `sysctls` of branch"),
    Case("echo-ignored", sysctl("branch-lan", {4: "net.ipv4.icmp_echo_ignore_all", 6: "net.ipv6.icmp.echo_ignore_all"},
         1, 0), "echo-ignored", "branch-lan", "to 0 on branch-lan"),
    Case("rp-filter", strict_source, "rp-filter", "branch", "by rp_filter=1 on tun0", (4,)),
    Case("no-route-at-source", route("hq-lan", lambda v: "del default", lambda v: f"add default via {HQ[v]}"),
         "static-route-lost", "hq-lan", "hq-lan has no route to "),
    Case("no-route-back", route("branch-lan", lambda v: "del default", lambda v: f"add default via {BRANCH[v]}"),
         "static-route-lost", "branch-lan", "branch-lan has no route back to "),
    Case("no-route", route("hq", lambda v: f"add {TO[v]} via 198.51.100.2", lambda v: f"del {TO[v]}"),
         "no-route", "transit", "transit has no route to 10.2.0.10", (4,)),
    Case("blackhole-route", route("hq", lambda v: f"add blackhole {TO[v]}", lambda v: f"del blackhole {TO[v]}"),
         "route-refuses", "hq", "hq has a route of the kind blackhole"),
    Case("next-hop", route("hq-lan", lambda v: f"replace {ANY[v]} via {HQ[v]}99",
         lambda v: f"replace {ANY[v]} via {HQ[v]}"),
         "next-hop-unreachable", "hq-lan", "no node has this address"),
    Case("no-host", lambda lab, v: nullcontext(), "neighbour-unresolved", "branch", "no node has this address",
         host="99"),
    Case("arp-off", shell(lambda _: "ip link set eth1 arp off", lambda _: "ip link set eth1 arp on", "branch-lan"),
         "neighbour-unresolved", "branch", "which is branch-lan's", host="11", versions=(6,)),
    Case("loop", loop, "routing-loop", "branch", "the routes make a loop"),
    Case("mtu", mtu("branch", "eth2"), "mtu", "branch", "out of eth2, whose MTU is 1400", probe=BIG),
    Case("mtu-at-sender", lambda lab, v: nullcontext(), "mtu", "hq-lan", "whose MTU is 1500",
         versions=(6,), probe={"size": 1600, "df": True}),
    Case("mtu-silent", narrow_and_silent, "mtu-without-icmp", "branch", "it sends no ICMP message", probe=BIG),
    Case("mtu-icmp-lost", narrow_and_lost, "mtu-without-icmp", "branch", "is lost on its way to hq-lan",
         versions=(6,), probe=BIG),
    Case("mtu-of-peer", mtu("branch-lan", "eth1"), "mtu-without-icmp", "branch-lan", "its eth1 has MTU 1400",
         versions=(4,), probe=BIG),
    Case("link-down", shell(lambda _: "ip link set eth1 down", lambda _: UP_AGAIN, "branch-lan"), "link-down",
         "branch-lan", "ip link set eth1 up"),
    Case("fault-down", lab_fault("link-down", link="branch:eth2"), "fault", "branch", "undo it with `lab fault undo",
         versions=(4,)),
    Case("fault-blackhole", lab_fault("link-blackhole", link="hq-lan:eth1"), "fault", "hq", "hq drops the packet",
         versions=(6,)),
    Case("fault-inner", lab_fault("blackhole", layer="inner"), "fault", "branch", "inner packets of branch-hq"),
    Case("fault-outer", lab_fault("blackhole", layer="outer"), "fault", "branch", "outer packets of branch-hq",
         versions=(4,)),
    Case("fault-outer-link", lab_fault("link-blackhole", link="transit:eth2"), "fault", "branch", "lab fault undo",
         versions=(6,)),
    Case("loss", lambda lab, v: lab.impair("hq:eth2", only="leaving", loss=60), "impairment", "hq",
         "the impairment `loss 60 %` is in force", versions=(4,), probe={"count": 12}),
    Case("outer-loss", lambda lab, v: lab.impair("transit:eth2", loss=100), "impairment", "transit", "`loss 100 %`",
         versions=(4,)),
    Case("outer-rule", rule("transit", "forward", lambda v: "udp dport 1194 drop"), "nftables-drop", "transit",
         "transit drops the packet of tunnel branch-hq by the nftables rule `udp dport 1194 drop`", versions=(4,)),
    Case("outer-forwarding", sysctl("transit", {4: "net.ipv4.ip_forward", 6: "net.ipv4.ip_forward"}, 0, 1),
         "forwarding-off", "transit", "transit does not forward the packet of tunnel branch-hq", versions=(4,)),
    Case("closed-tcp", lambda lab, v: nullcontext(), "port-closed", "branch-lan", "listens on TCP port 81",
         probe={"protocol": "tcp", "port": 81}),
    Case("closed-udp", lambda lab, v: nullcontext(), "port-closed", "branch-lan", "listens on UDP port 81",
         probe={"protocol": "udp", "port": 81}),
]  # fmt: skip


def asked(lab: Lab, to: Address, **options: Any) -> tuple[Traced, Explanation]:
    return ask(lab, "hq-lan", holder(lab, to), Probe(to, **options))


def passes(lab: Lab, version: int) -> None:
    """Wait until the branch's host answers, and see that nothing is found then."""
    wait_for(
        Expectation(
            what=f"{TO[version]} to answer hq-lan",
            node="hq-lan",
            look=lambda: asked(lab, TO[version], count=1),
            met=lambda found: found[1] == Explanation() and not found[0].lost,
            seen=lambda found: str(found[1]),
        ),
        within=60,
    )


@pytest.mark.parametrize(("case", "version"), [(c, v) for c in CASES for v in c.versions], ids=str)
def test_lost_packet_has_its_cause(lab: Lab, case: Case, version: int) -> None:
    passes(lab, version)
    to = TO[version]
    if case.host:
        to = ip_address(f"{str(to).removesuffix('10')}{case.host}")
    extra = lab.running("branch-lan")
    if case.name == "arp-off":  # an address that the branch has not resolved yet
        extra.exec("ip", "addr", "add", f"{to}/{24 if version == 4 else 64}", "dev", "eth1", "nodad").raise_on_error()
    with case.fault(lab, version):
        traced, found = asked(lab, to, **case.probe)
        assert traced.lost
        assert [(cause.kind, cause.node) for cause in found.causes] == [(case.kind, case.node)], found
        (cause,) = found.causes
        assert case.said in str(found)
        assert cause.what.startswith(f"{case.node} ") or " has no route " in cause.what
        assert cause.mend
        assert cause.evidence
    if case.name == "arp-off":
        extra.exec("ip", "addr", "del", f"{to}/{24 if version == 4 else 64}", "dev", "eth1").raise_on_error()
    passes(lab, version)


def test_failed_expectation_ends_with_the_cause(lab: Lab) -> None:
    passes(lab, 4)
    drop = rule("branch", "forward", lambda v: f"{ECHO[v]} drop")
    with drop(lab, 4), pytest.raises(ExpectationFailed, match="branch drops the packet by the nftables rule"):
        lab.host("hq-lan").expect_reaches(TO[4], within=0.5)
    lab.host("hq-lan").expect_reaches(TO[4])


def test_node_without_a_daemon_has_no_route_back(lab: Lab) -> None:
    passes(lab, 4)
    _, found = ask(lab, "hq-lan", "transit", Probe(ip_address("198.51.100.2"), count=1))
    assert [(cause.kind, cause.node) for cause in found.causes] == [("no-route-back", "transit")], found
    assert "transit has no route back to 10.1.0.10" in str(found)


def test_router_without_a_daemon_misses_a_route(lab: Lab) -> None:
    _, found = ask(lab, "transit", "branch-lan", Probe(TO[4], count=1))
    assert [(cause.kind, cause.node) for cause in found.causes] == [("no-route-at-source", "transit")], found
    assert "transit has no route to 10.2.0.10" in str(found)


def test_report_of_a_working_path(lab: Lab) -> None:
    passes(lab, 4)
    traced, found = asked(lab, TO[4])
    shown = report(lab, traced, found)
    assert shown.passes
    assert shown.sentence.startswith("nothing is wrong: hq-lan reaches 10.2.0.10 (branch-lan) over hq, branch")
    there = [(hop.node, hop.arrives_on, hop.leaves_on) for hop in shown.hops if hop.way == "there"]
    assert there == [
        ("hq-lan", "", "eth1"),
        ("hq", "eth2", "tun0"),
        ("branch", "tun0", "eth2"),
        ("branch-lan", "eth1", ""),
    ]
    back = [(hop.node, hop.arrives_on, hop.leaves_on) for hop in shown.hops if hop.way == "back"]
    assert back == [(node, out, into) for node, into, out in there[::-1]]
    times = [hop.milliseconds for hop in shown.hops]
    assert times == sorted(times)


def test_loss_without_a_cause_tells_the_reason_of_the_kernel(lab: Lab) -> None:
    """The branch drops what has its own address as source; no cause is made of that, and none is guessed."""
    passes(lab, 4)
    host = lab.running("hq-lan")
    host.exec("ip", "addr", "add", f"{BRANCH[4]}/32", "dev", "lo").raise_on_error()
    try:
        _, found = asked(lab, TO[4], source=ip_address(BRANCH[4]))
    finally:
        host.exec("ip", "addr", "del", f"{BRANCH[4]}/32", "dev", "lo").raise_on_error()
    assert found.causes == ()
    assert found.apart.startswith("branch ")
    assert ("for the reason IP_LOCAL_SOURCE (skb:kfree_skb)" in found.apart) == HAS_REASON
    assert not list(Path("/sys/kernel/tracing/instances").glob(f"lab-why-{os.getpid()}-*"))


def test_a_neighbour_that_became_silent_is_followed(lab: Lab) -> None:
    """The packets are lost first, then the session, and with it the route."""
    hq = lab.router("hq")
    with lab.fault("blackhole", layer="inner"):
        hq.expect_not_in_fib(lab.plans["branch"].networks, within=120)
        _, found = asked(lab, TO[4])
        (cause,) = found.causes
        assert (cause.kind, cause.node) == ("fault", "branch")
        assert str(cause).startswith("hq has no route to 10.2.0.10, since its neighbour is silent: branch drops")
    passes(lab, 4)
    passes(lab, 6)


def why(lab: Lab, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "lab.cli", "why", "--lab", lab.name, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


def test_command_has_its_exit_codes_and_files(lab: Lab, tmp_path: Path) -> None:
    passes(lab, 4)
    file = tmp_path / "all.pcapng"
    fine = why(lab, "hq-lan", "branch-lan", "--family", "ipv4", "--pcap", str(file))
    assert fine.returncode == 0, fine.stderr
    assert "nothing is wrong: hq-lan reaches 10.2.0.10 (branch-lan) over hq, branch" in fine.stdout
    captured = file.read_bytes()
    for place in (b"hq-lan eth1 out; request 1", b"hq tun0 out; request 3", b"branch tun0 in; request 2",
                  b"branch-lan eth1 in; request 1", b"hq-lan eth1 in; reply 3", b"transit eth1 in"):  # fmt: skip
        assert place in captured
    with rule("branch", "forward", lambda v: f"{ECHO[v]} drop")(lab, 4):
        lost = why(lab, "hq-lan", "branch-lan", "--family", "ipv4", "--json")
    assert lost.returncode == 1
    data = json.loads(lost.stdout)
    (result,) = data["results"]
    assert (data["passes"], result["passed"], result["causes"][0]["kind"]) == (False, 0, "nftables-drop")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hq-lan", "brnch-lan"), "'brnch-lan' is neither a node of lab"),
        (("hq-lan", "brnch-lan"), "did you mean 'branch-lan'?"),
        (("hq-lam", "branch-lan"), "did you mean 'hq-lan'?"),
        (("hq-lan", "branch-lan", "--udp", "5", "--tcp", "5"), "exclude each other"),
        (("hq-lan", "branch-lan", "--tcp", "5", "--size", "900"), "a SYN has no payload"),
        (("hq-lan", "branch-lan", "--from-address", "10.9.9.9"), "it is not an address of the node"),
        (("hq-lan", "10.2.0.10", "--family", "ipv6"), "is no ipv6 address"),
        (("hq-lan", "branch-lan", "--from-address", "here"), "write an IPv4 or IPv6 address"),
    ],
)
def test_bad_input_is_one_line(lab: Lab, arguments: tuple[str, ...], said: str) -> None:
    result = why(lab, *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
