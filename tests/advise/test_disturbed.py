"""`lab advise` against what happens to a tunnel: an end that stops, a second client, a lost path, another version.

As in `test_differential.py`, each verdict is held against an observation; here each pair is disturbed for the rules
that it is about, so that no observation depends on another pair. Which of two events comes first is compared, never
how long one takes.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab.advise import RULES, Subject, Verdict, subjects_of_topology
from lab.catalogue import load
from lab.check.advised.disturbed import DISTURBED
from lab.check.advised.scene import Scene
from lab.core.process import this_process
from lab.image import VERSIONS
from lab.runtime.lab import Lab
from lab.tunnel import RunningTunnel
from lab.tunnel.mode import End
from tests.helpers.advised import (
    ADDRESS,
    ADDRESS_6,
    ALL,
    CLIENT,
    KEEPS,
    LED,
    SERVER,
    V6,
    Pair,
    routed,
    scene_of,
    with_bfd,
    write_lab,
)
from tests.helpers.advised import DISTURBED as NAMES
from tests.helpers.labs import new_name

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6")]

WITHIN = 90
JITTER = 200
"""The deviation from the delay in milliseconds of what the clients of the pairs for `bfd-jitter` send."""
NARROW = 1400
"""The path MTU of the pairs for `path-mtu`: the server's node drops larger packets."""

QUICK = SERVER.replace("keepalive 10 60", "keepalive 1 4")
NOTIFY = "explicit-exit-notify 1\n"
LEAVING = CLIENT + KEEPS + NOTIFY
DEFAULT = ADDRESS + "iroute 0.0.0.0 0.0.0.0\n"
UNSET = SERVER.replace("topology subnet\n", "")
APART = ADDRESS.replace("10.8.0.2", "10.8.0.3") + "iroute 10.3.0.0 255.255.255.0\n"
UNFED = SERVER.replace("keepalive 10 60", 'ping 2\nping-restart 6\npush "ping-restart 8"')
"""A server that gets no pings. Its clients do, so that they notice when it has dropped their sessions."""
QUOTA_OF = "max-routes-per-client {}\n"
EIGHT = ADDRESS + "iroute 10.2.0.0 255.255.255.248\n"
"""Eight addresses; with the client's own one and the inner route they take ten entries, and eleven with IPv6."""
ANY = routed()
EXPECTED = "".join(
    f"{family} prefix-list EXPECTED permit {prefix}\n"
    for family, prefix in (("ip", "10.0.0.0/8 le 32"), ("ipv6", "fd00::/16 le 128"))
)
FILTERED = {
    end: text.replace("timers bgp 3 9", "timers bgp 3 30").replace(
        " exit-address-family",
        f"  neighbor 10.8.0.{1 if end == 'c' else 2} prefix-list EXPECTED in\n exit-address-family",
    )
    + EXPECTED
    for end, text in ANY.items()
}


STATIC = "ip route 10.1.0.0/24 blackhole\n"
"""The network of which the client loses the route."""
LATE = " ip ospf hello-interval 5\n ip ospf dead-interval 30\n"
OSPF = "interface tun0\n ip ospf area 0\n{} ip ospf network point-to-point\nexit\nrouter ospf\n redistribute static\n"
RIP = "router rip\n network tun0\n timers basic {}\n redistribute static\n"
BIRD = "router id 192.0.2.9;\nprotocol device {}\nprotocol kernel { ipv4 { export all; }; }\n"
FRR_OSPF = OSPF.format(LATE)
BIRD_OSPF = BIRD + (
    'protocol ospf { ipv4 { import all; };\n area 0 { interface "tun0" { type ptp; hello 1; dead 4; }; };\n}\n'
)
BIRD_RIP = BIRD + 'protocol rip { ipv4 { import all; };\n interface "tun0" { update time 5; timeout time 40; };\n}\n'


def peers(crypto: str) -> tuple[str, str]:
    """Return both ends of a point-to-point tunnel, of which only the client has a `remote`."""
    common = "dev tun0\nproto udp4\nport 1194\ndisable-dco\nkeepalive 10 60\npersist-tun\nverb 4\n"
    if crypto == "static":
        # 2.7 takes a static key only with this word, 2.6 does not know it.
        common += "secret static.key\nsetenv opt allow-deprecated-insecure-static-crypto\ncipher AES-256-CBC\n"
        server = client = ""
    else:
        common += "ca ca.crt\ncert {NAME}.crt\nkey {NAME}.key\n"
        server, client = "tls-server\ndh none\n", "tls-client\n"
    return (
        common.replace("{NAME}", "{server}") + server + "ifconfig 10.8.0.1 10.8.0.2\n",
        common.replace("{NAME}", "{client}") + client + "ifconfig 10.8.0.2 10.8.0.1\nremote {outer} 1194\n",
    )


def interior(client: str) -> Mapping[str, str]:
    """Return the routers of a pair: what the client runs, and at the server FRR with the same timers."""
    server = {
        FRR_OSPF: FRR_OSPF,
        BIRD_OSPF: OSPF.format(" ip ospf hello-interval 1\n ip ospf dead-interval 4\n"),
        BIRD_RIP: RIP.format("5 40 20"),
    }
    return {"s": STATIC + server.get(client, client), "c": client}


def pairs(version: str) -> tuple[tuple[Pair, tuple[str, ...]], ...]:
    """Return the pairs, each with the rules that it is about, in the order in which they are observed.

    A pair and the one with `-other` after its name differ in the version of OpenVPN.
    """
    other = next(f"openvpn-routing-lab/node:{v}" for v in VERSIONS if v != version)
    unnamed = Pair("unnamed", SERVER, LEAVING + 'pull-filter ignore "peer-id"\n')
    # With 2.7 at both ends this client does not come up.
    unrecognised = ((unnamed, ("address-change",)),) if version == "2.6" else ()
    return (
        (Pair("told", QUICK + NOTIFY, LEAVING), ("quick-reconnect", "no-exit-notify")),
        (Pair("untold", QUICK), ("no-exit-notify",)),
        (
            Pair("single", SERVER + LED + "max-clients 1\n", LEAVING, DEFAULT, second=True),
            ("second-client", "quick-reconnect"),
        ),
        (Pair("double", SERVER + LED, LEAVING, DEFAULT, second=True), ("second-client",)),
        (Pair("claimed", SERVER + LED, LEAVING, second=True), ("overlapping-iroutes",)),
        (Pair("apart", SERVER + LED, LEAVING, second=True, options_of_second=APART), ("overlapping-iroutes",)),
        (Pair("full", SERVER + "max-clients 2\n", LEAVING, second=True), ("quick-reconnect",)),
        (Pair("roomy", SERVER + "max-clients 4\nccd-exclusive\n", LEAVING, second=True), ("quick-reconnect",)),
        (Pair("twins", SERVER + "duplicate-cn\n", options=""), ("quick-reconnect",)),
        (Pair("idle", UNFED, LEAVING), ("idle-restart",)),
        (Pair("fed", UNFED + 'push "ping 2"\n', LEAVING), ("idle-restart",)),
        (Pair("moving", SERVER, LEAVING), ("address-change",)),
        (Pair("peers", *peers("tls")), ("address-change",)),
        (Pair("static", *peers("static")), ("address-change",)),
        *unrecognised,
        (Pair("unset", UNSET, options=""), ("topology-default",)),
        (Pair("unset-other", UNSET, options="", image=other), ()),
        (Pair("set", SERVER, options=""), ("topology-default",)),
        (Pair("set-other", SERVER, options="", image=other), ()),
        (Pair("nine", SERVER + LED + QUOTA_OF.format(9), options=EIGHT), ("route-quota",)),
        (Pair("ten", SERVER + LED + QUOTA_OF.format(10), options=EIGHT), ("route-quota",)),
        (
            Pair("host", SERVER + LED + QUOTA_OF.format(2), options=ADDRESS + "iroute 10.2.0.1 255.255.255.255\n"),
            ("route-quota",),
        ),
        (
            Pair("six", SERVER + V6 + LED + QUOTA_OF.format(10), options=ADDRESS_6 + EIGHT.replace(ADDRESS, "")),
            ("route-quota",),
        ),
        (Pair("over", SERVER, LEAVING + f"mssfix {NARROW + 1} mtu\n"), ("path-mtu",)),
        (Pair("within", SERVER, LEAVING + f"mssfix {NARROW} mtu\n"), ("path-mtu",)),
        (
            Pair("trusting", SERVER + V6, options=ADDRESS_6 + ALL, routers=ANY),
            ("hold-time", "recursive-routing"),
        ),
        (
            Pair("filtered", QUICK + V6, options=ADDRESS_6 + ALL, routers=FILTERED),
            ("hold-time", "recursive-routing"),
        ),
        (Pair("hasty", SERVER + V6, options=ADDRESS_6 + ALL, routers=with_bfd(3, 50)), ("bfd-jitter",)),
        (Pair("patient", SERVER + V6, options=ADDRESS_6 + ALL, routers=with_bfd(5, 300)), ("bfd-jitter",)),
        (Pair("ospf", SERVER, options=ADDRESS + ALL, routers=interior(BIRD_OSPF)), ("dead-interval",)),
        (Pair("ospf-late", QUICK, options=ADDRESS + ALL, routers=interior(FRR_OSPF)), ("dead-interval",)),
        (Pair("rip", SERVER, options=ADDRESS + ALL, routers=interior(RIP.format("5 15 5"))), ("dead-interval",)),
        (Pair("rip-late", QUICK, options=ADDRESS + ALL, routers=interior(BIRD_RIP)), ("dead-interval",)),
    )


Observer = Callable[[Lab, Pair, End, Scene], bool]


def tried(lab: Lab, pair: Pair, end: End, scene: Scene, *, name: str) -> bool:
    """Return whether the trial of a rule shows its failure."""
    result = DISTURBED[name](scene, end)
    assert result.happened is not None, result.seen
    return result.happened


def second_client(lab: Lab, pair: Pair, end: End, scene: Scene) -> bool:
    """Try it, and leave the first client alone."""
    happened = tried(lab, pair, end, scene, name="second-client")
    lab.tunnel(pair.second_node, pair.server_node).client.stop()
    scene.tunnel.client.stop()  # its inner route is gone
    scene.tunnel.client.start()
    scene.server_node.expect_reaches(ip_address("10.2.0.1"), within=WITHIN)
    return happened


def quick_reconnect(lab: Lab, pair: Pair, end: End, scene: Scene) -> bool:
    """Try it once all clients are connected that the server accepts."""
    if pair.name in ("full", "roomy"):
        for node in (pair.client_node, pair.second_node):
            lab.node(node).expect_reaches(ip_address("10.8.0.1"), within=WITHIN)
    return tried(lab, pair, end, scene, name="quick-reconnect")


def dead_interval(lab: Lab, pair: Pair, end: End, scene: Scene) -> bool:
    """Try it once the client has the server's route."""
    scene.client_node.expect_in_fib([ip_network("10.1.0.0/24")], via="tun0", within=WITHIN)
    return tried(lab, pair, end, scene, name="dead-interval")


def topology_default(lab: Lab, pair: Pair, end: End, scene: Scene) -> bool:
    """See if the two versions give the server's device addresses of different forms."""
    forms = []
    for node in (pair.server_node, pair.server_node.replace(pair.name, f"{pair.name}-other")):
        shown = lab.node(node).exec("ip", "-4", "-o", "address", "show", "dev", "tun0").raise_on_error().stdout
        found = re.search(r"inet (\S+ peer \S+|\S+)", shown)
        assert found, shown
        forms.append(found[1])
    return forms[0] != forms[1]


def bfd_jitter(lab: Lab, pair: Pair, end: End, scene: Scene) -> bool:
    """Try it while the delay of what the client sends varies."""
    lab.router(pair.server_node).expect_bfd(pair.client_node, within=WITHIN)
    with lab.impair(f"{pair.client_node}:eth1", delay=JITTER, jitter=JITTER):
        return tried(lab, pair, end, scene, name="bfd-jitter")


def path_mtu(lab: Lab, pair: Pair, end: End, scene: Scene) -> bool:
    """Try it where the server's node drops what is larger than the path's MTU."""
    chain = "add chain inet narrow in { type filter hook prerouting priority 0; }"
    drops = f"add rule inet narrow in udp dport 1194 meta length > {NARROW} counter drop"
    scene.server_node.exec("nft", f"add table inet narrow; {chain}; {drops}").raise_on_error()
    happened = tried(lab, pair, end, scene, name="path-mtu")
    table = scene.server_node.exec("nft", "list", "table", "inet", "narrow").raise_on_error().stdout
    found = re.search(r"counter packets (\d+)", table)
    assert found, table
    assert happened == (int(found[1]) > 0)
    return happened


OBSERVERS: Mapping[str, Observer] = {
    "second-client": second_client,
    "overlapping-iroutes": partial(tried, name="overlapping-iroutes"),
    "quick-reconnect": quick_reconnect,
    "no-exit-notify": partial(tried, name="no-exit-notify"),
    "topology-default": topology_default,
    "route-quota": partial(tried, name="route-quota"),
    "path-mtu": path_mtu,
    "hold-time": partial(tried, name="hold-time"),
    "dead-interval": dead_interval,
    "bfd-jitter": bfd_jitter,
    "idle-restart": partial(tried, name="idle-restart"),
    "address-change": partial(tried, name="address-change"),
    "recursive-routing": partial(tried, name="recursive-routing"),
}
ENDS: Mapping[str, tuple[End, ...]] = {
    "no-exit-notify": ("client", "server"),
    "address-change": ("client", "server"),
    "path-mtu": ("client",),
    "hold-time": ("client",),
    "dead-interval": ("client",),
    "recursive-routing": ("client",),
}
"""The ends whose failure the observer sees, if they are not the server alone."""


def test_every_rule_about_a_disturbance_has_an_observer() -> None:
    assert sorted(OBSERVERS) == sorted(NAMES)


@pytest.fixture
def lab(tmp_path: Path, lab_openvpn: str) -> Iterator[Lab]:
    """All pairs in one lab, with an address behind each first client."""
    name = new_name()
    file = write_lab(
        tmp_path, name, f"openvpn-routing-lab/node:{lab_openvpn}", [pair for pair, _ in pairs(lab_openvpn)]
    )
    lab = Lab.deploy(load(file), directory=tmp_path / "labs" / name, wait=False, owner=this_process())
    try:
        for pair, _ in pairs(lab_openvpn):
            behind = ("10.2.0.1/24", "10.3.0.1/24", "fd00:2::1/64") if pair.routers else ("10.2.0.1/32",)
            for address in behind:
                lab.node(pair.client_node).exec("ip", "address", "add", address, "dev", "lo").raise_on_error()
        yield lab
    finally:
        lab.destroy()


def test_verdicts_are_what_disturbances_do(lab: Lab, lab_openvpn: str) -> None:
    subjects = {subject.name: subject for subject in subjects_of_topology(lab.topology)}
    todo = pairs(lab_openvpn)
    for pair, _ in todo:  # before the first disturbance
        if not pair.second:
            lab.node(pair.client_node).expect_reaches(ip_address("10.8.0.1"), within=WITHIN)
    with ThreadPoolExecutor(len(todo)) as pool:
        compared = pool.map(lambda of: compare(lab, of[0], of[1], subjects), todo)
        found = [line for lines in compared for line in lines]
    wrong = [text for agrees, _, _, text in found if not agrees]
    assert not wrong, "\n".join(wrong)
    shown = {(rule, verdict) for _, rule, verdict, _ in found}
    both = {(rule, verdict) for rule in OBSERVERS for verdict in (Verdict.EXPOSED, Verdict.NOT_EXPOSED)}
    assert shown == both


def on_its_path(subject: Subject, name: str) -> Subject:
    """Return a subject with what the observer of a rule makes of the path."""
    if name == "path-mtu":
        return replace(subject, path_mtu=NARROW)
    return replace(subject, path_jitter=JITTER) if name == "bfd-jitter" else subject


def compare(
    lab: Lab, pair: Pair, names: tuple[str, ...], subjects: Mapping[str, Subject]
) -> list[tuple[bool, str, Verdict, str]]:
    """Hold the verdicts of the rules that a pair is about against observations."""
    results = []
    for name in names:
        rule = next(rule for rule in RULES if rule.name == name)
        for end in ENDS.get(name, ("server",)):
            node = pair.server_node if end == "server" else pair.client_node
            subject = subjects[f"{tunnel_of(lab, pair).name}: {end} on {node}"]
            judgement = rule.judge(on_its_path(subject, name))
            observed = OBSERVERS[name](lab, pair, end, scene_of(lab, pair, subjects))
            text = f"{pair.name}, {end}: {name} is {judgement.verdict} ({judgement.why}); observed: {observed}"
            agrees = judgement.verdict is (Verdict.EXPOSED if observed else Verdict.NOT_EXPOSED)
            results.append((agrees, name, judgement.verdict, text))
    return results


def tunnel_of(lab: Lab, pair: Pair) -> RunningTunnel:
    return lab.tunnel(pair.client_node, pair.server_node)
