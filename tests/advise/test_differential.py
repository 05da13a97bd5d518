"""`lab advise` against packets: each verdict on the pairs of `tests/helpers/advised.py`, and on generated ones, is held
against what they do.

The trial of a rule (`lab.check.advised`), which `lab check` runs too, looks for its failure on a running pair. A
verdict `exposed` without it, or `not exposed` with it, fails with the pair, the rule, the reason and the observation.
"""

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from lab.advise import RULES, Subject, Verdict, subjects_of_topology
from lab.advise.rule import Judgement
from lab.check.advised.paths import restart_closes_device
from lab.check.advised.scene import Scene, Tried
from lab.check.advised.undisturbed import UNDISTURBED, Trial
from lab.core.expect import Expectation, wait_for
from lab.runtime.lab import Lab
from lab.tunnel.mode import End
from lab.tunnel.running import OpenVpn
from tests.helpers.advised import DISTURBED, Pair, deployed, scene_of
from tests.helpers.advised import PAIRS as WRITTEN
from tests.helpers.generated import OPTIONS, choices, generated

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6")]

COUNT, SEED = 8, 17
PAIRS = WRITTEN + generated(COUNT, SEED)
WITHIN = 90
ENDS: tuple[End, End] = ("server", "client")
SHOWN = {
    "iroute-dco": ("tests/kernel/test_advised.py", "test_verdicts_are_what_the_kernel_does"),
    "dco-off": ("tests/kernel/test_advised.py", "test_verdicts_are_what_the_kernel_does"),
    "iroute-reconnect": ("tests/kernel/test_advised.py", "test_verdicts_are_what_the_kernel_does"),
    "reneg-dco": ("tests/kernel/test_advised.py", "test_verdicts_are_what_the_kernel_does"),
    "obsolete": ("tests/advise/test_obsolete.py", "test_verdict_is_what_openvpn_says"),
}
"""Rules whose observer is in another test, as it needs a kernel of its own, or a process that ends at its file."""
NOT_SHOWN = {
    "static-key": "is about secrecy, not about packets that are lost",
    "compression": "is about secrecy, not about packets that are lost",
}
"""Rules whose failure no test shows, with the reason."""


OBSERVERS: Mapping[str, Trial] = {
    **UNDISTURBED,
    "restart-closes-device": restart_closes_device,  # the last one: it interrupts the tunnel
}


def test_generated_pairs_have_every_value_of_every_option() -> None:
    found = choices(COUNT, SEED)
    assert {option: {of[option] for of in found} for option in OPTIONS} == {o: set(v) for o, v in OPTIONS.items()}


def test_every_rule_has_an_observer_or_a_reason() -> None:
    names = [*OBSERVERS, *DISTURBED, *SHOWN, *NOT_SHOWN]
    assert sorted(names) == sorted(rule.name for rule in RULES)


@pytest.mark.parametrize("rule", SHOWN)
def test_another_test_that_shows_a_failure_exists(rule: str, pytestconfig: pytest.Config) -> None:
    file, name = SHOWN[rule]
    assert f"def {name}(" in (pytestconfig.rootpath / file).read_text()


@pytest.fixture
def lab(tmp_path: Path, lab_openvpn: str) -> Iterator[Lab]:
    """All pairs in one lab."""
    with deployed(tmp_path, lab_openvpn, PAIRS) as lab:
        yield lab


def test_verdicts_are_what_packets_do(lab: Lab, lab_openvpn: str, pytestconfig: pytest.Config) -> None:
    subjects = {subject.name: subject for subject in subjects_of_topology(lab.topology)}
    with ThreadPoolExecutor(len(PAIRS)) as pool:
        found = [line for lines in pool.map(lambda pair: compare(lab, pair, subjects), PAIRS) for line in lines]
    wrong = [text for agrees, _, _, text in found if not agrees]
    assert not wrong, "\n".join(wrong)
    shown = {(rule, verdict) for _, rule, verdict, _ in found}
    both = {(rule, verdict) for rule in OBSERVERS for verdict in (Verdict.EXPOSED, Verdict.NOT_EXPOSED)}
    # Whether 2.7 deletes stale routes depends on its patch level; the one in the image does not.
    assert both - shown <= {("stale-routes", Verdict.EXPOSED)} if lab_openvpn != "2.6" else both <= shown
    expect_patch_level_in_words(lab, pytestconfig.rootpath)


def expect_patch_level_in_words(lab: Lab, root: Path) -> None:
    """Check that the rules, and the page of findings, name the patch level that the image has."""
    with next(iter(lab.tunnels.values())).server.management() as management:
        version = management.version()
    assert version in (root / "docs" / "findings" / "index.md").read_text()
    tested = [rule for rule in RULES if rule.name in OBSERVERS and "tested with OpenVPN" in rule.source]
    assert {rule.name for rule in tested if version not in rule.source} == set()
    assert tested


def compare(lab: Lab, pair: Pair, subjects: Mapping[str, Subject]) -> list[tuple[bool, str, Verdict, str]]:
    """Hold the verdicts on both ends of a pair against observations."""
    scene = observe(lab, pair, subjects)
    with scene.tunnel.server.management() as management:
        version = management.version()
    results: list[tuple[bool, str, Verdict, str]] = []
    for rule in (rule for name in OBSERVERS for rule in RULES if rule.name == name):
        for role in ENDS:
            subject = subjects[f"{scene.tunnel.name}: {role} on {scene.node(role).name}"]
            judgement: Judgement = rule.judge(replace(subject, openvpn=version))
            if judgement.verdict is Verdict.CANNOT_TELL:
                continue
            # The failures of a server's inner table are the server's alone.
            tried = OBSERVERS[rule.name](scene, role) if concerns(rule.name, role) else Tried(False, "another end's")
            observed = bool(tried.happened)
            if judgement.verdict is Verdict.EXPOSED and not observed and not can_show(rule.name, scene):
                continue
            agrees = observed == (judgement.verdict is Verdict.EXPOSED)
            text = f"{subject.name}: {rule.name} is {judgement.verdict} ({judgement.why}); observed: {tried}"
            results.append((agrees, rule.name, judgement.verdict, text))
    return results


def concerns(rule: str, role: str) -> bool:
    return role == "server" or rule in {
        *(
            "ebgp-policy",
            "no-pull",
            "mtu-mismatch",
            "restart-closes-device",
            "pushed-keepalive",
            "outer-session",
            "next-hop",
            "session-hops",
            "translated-session",
        )
    }


def can_show(rule: str, scene: Scene) -> bool:
    """Return whether the server's daemon learned what a failure needs: packets need a route before they are dropped."""
    needs = {
        "no-iroute": bool(scene.learned),
        "fixed-iroutes": bool(scene.learned)
        and {n for n in scene.behind_client if n.version == 4} <= scene.routes.keys(),
        "one-family": {n.version for n in scene.learned} == {4, 6} and not scene.server.has("client-to-client"),
    }
    return needs.get(rule, True)


def observe(lab: Lab, pair: Pair, subjects: Mapping[str, Subject]) -> Scene:
    """Wait until a pair is up, as far as it comes up, and see what passes."""
    scene = scene_of(lab, pair, subjects)
    client = scene.client_node
    if pair.up:
        client.expect_reaches(ip_address("10.8.0.1"), within=WITHIN)
    else:
        expect_log(scene.tunnel.client, pair.ready, WITHIN)
        client.echo(ip_address("10.8.0.1"), count=2)
    if pair.routers and pair.learns:
        scene.server_node.expect_in_fib([ip_network(n) for n in pair.learns], via="tun0", within=WITHIN)
    elif pair.routers and pair.session:
        lab.router(pair.server_node).expect_session(pair.client_node, within=WITHIN)
    assert (scene.reached, scene.large, scene.tunnel_up) is not None  # before the first trial
    return scene


def expect_log(process: OpenVpn, pattern: str, within: float) -> None:
    wait_for(
        Expectation(
            what=f"a log line with {pattern}",
            node=process.node.name,
            look=lambda: [line for line in process.log_lines() if re.search(pattern, line)],
            met=bool,
            logs=process.log,
        ),
        within=within,
    )
