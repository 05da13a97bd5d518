"""Run configurations of the corpus: each in a lab of its own, whose packets decide what the verdicts are worth."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from lab.advise import RULES, Subject, TunnelEnd, Verdict, subjects_of_files
from lab.catalogue import load
from lab.check.advised.disturbed import DISTURBED
from lab.check.advised.scene import Tried
from lab.check.advised.scenes import scene_of
from lab.check.advised.trial import OF_THE_SERVER, UNTRIED, try_failure
from lab.check.advised.undisturbed import UNDISTURBED
from lab.check.derived.ends import ends_of
from lab.core.errors import ExpectationFailed, LabError
from lab.core.expect import Expectation, wait_for
from lab.core.process import this_process
from lab.runtime.lab import Lab
from lab.tunnel.mode import End
from lab.tunnel.running import OpenVpn
from tests.helpers.advised import BEHIND, BEHIND_SERVER, Pair, write_lab
from tests.helpers.corpus.configurations import NARROW, Configuration
from tests.helpers.labs import new_name

WITHIN = 40.0
"""Seconds to wait for what should come up; where it does not, that is recorded and the trials go on."""
_LAST = ("restart-closes-device", "quick-reconnect")
"""Trials after which a tunnel may differ from what it was before."""


class Source(StrEnum):
    """The input of a verdict."""

    TOPOLOGY = "topology"
    """Everything that the lab knows."""
    FILES = "files"
    """The files of both ends and of their daemons, as a user gives them."""


class Outcome(StrEnum):
    """A verdict beside what packets did."""

    AGREES = "agrees"
    WRONG_NOT_EXPOSED = "wrong not exposed"
    WRONG_EXPOSED = "wrong exposed"
    CANNOT_TELL = "cannot tell"
    NOT_SHOWN = "not shown"
    """The trial could not show the failure, nor its absence."""
    NO_TRIAL = "no trial"


@dataclass(frozen=True)
class Compared:
    """The verdict of a rule on an end, and the result of its trial."""

    rule: str
    end: End
    source: Source
    verdict: Verdict
    why: str
    happened: bool | None
    seen: str

    @property
    def outcome(self) -> Outcome:
        """Return how the verdict and the trial fit."""
        if self.verdict is Verdict.CANNOT_TELL:
            return Outcome.CANNOT_TELL
        if self.rule not in TRIALS:
            return Outcome.NO_TRIAL
        if self.happened is None:
            return Outcome.NOT_SHOWN
        if self.happened == (self.verdict is Verdict.EXPOSED):
            return Outcome.AGREES
        return Outcome.WRONG_NOT_EXPOSED if self.happened else Outcome.WRONG_EXPOSED


def describe(item: Compared) -> str:
    """Return a verdict with its reason and the observation, in one line."""
    return f"{item.outcome}: {item.rule} at the {item.end}, from {item.source}: {item.why}; observed: {item.seen}"


@dataclass(frozen=True)
class Ran:
    """A configuration that was run."""

    configuration: Configuration
    versions: tuple[str, ...] = ()
    """OpenVPN's version at the server and at the client."""
    late: tuple[str, ...] = ()
    """Tunnels, sessions and routes that should have come up and did not."""
    compared: tuple[Compared, ...] = ()
    failed: str = ""
    """The reason why it could not be run, as OpenVPN's refusal of a file."""
    seconds: float = field(default=0.0, compare=False)


TRIALS = frozenset({*UNDISTURBED, *DISTURBED})
"""The rules that have a trial."""


def run(configuration: Configuration, directory: Path) -> Ran:
    """Deploy a configuration, hold each verdict against packets, and take it down."""
    began = time.monotonic()
    name = new_name()
    home = directory / name
    try:
        file = write_lab(home, name, configuration.pair.image, [configuration.pair])
        lab = Lab.deploy(load(file), directory=home / "lab", wait=False, owner=this_process())
        try:
            ran = _try_all(lab, configuration, home)
        finally:
            lab.destroy()
    except Exception as error:  # the others are still to be run
        ran = Ran(configuration, failed=f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return replace(ran, seconds=time.monotonic() - began)


def _try_all(lab: Lab, configuration: Configuration, home: Path) -> Ran:
    pair = configuration.pair
    _prepare(lab, configuration)
    late = tuple(_wait(lab, configuration, ()))
    tunnel = lab.tunnel(pair.client_node, pair.server_node)
    versions: dict[End, str] = {}
    ends: dict[End, TunnelEnd] = {}
    for end, process in (("server", tunnel.server), ("client", tunnel.client)):
        found = ends_of(lab.topology)[tunnel.name, "server" if end == "server" else "client"]
        with process.management() as management:
            versions[found.end] = management.version()
        ends[found.end] = found
    narrow = configuration.options["path"] == "narrow"
    subjects: dict[tuple[End, Source], Subject] = {}
    for end, at in ends.items():
        known = replace(at.subject, path_mtu=NARROW) if narrow else at.subject
        for source, subject in ((Source.TOPOLOGY, known), (Source.FILES, _of_files(pair, home, end))):
            there = versions["client" if end == "server" else "server"]
            subjects[end, source] = replace(subject, openvpn=versions[end], peer_openvpn=there)
    verdicts = {(rule.name, key): rule.judge(subject) for key, subject in subjects.items() for rule in RULES}
    compared = []
    for rule, end in _order(ends):
        both = {source: verdicts[rule, (end, source)] for source in Source}
        certain = any(judgement.verdict is not Verdict.CANNOT_TELL for judgement in both.values())
        tried = Tried(None, UNTRIED.get(rule, "no trial"))
        if rule in UNDISTURBED:
            tried = _try(lab, tunnel.name, rule, end)
        elif rule in TRIALS and certain:
            back = _come_back(lab, configuration, late)
            with _narrowed(lab, pair) if rule == "path-mtu" and narrow else nullcontext():
                tried = (
                    _try(lab, tunnel.name, rule, end) if back else Tried(None, "the tunnel did not come back before it")
                )
        for source, judgement in both.items():
            compared.append(Compared(rule, end, source, judgement.verdict, judgement.why, tried.happened, tried.seen))
    return Ran(configuration, tuple(versions.values()), late, tuple(compared))


def _order(ends: Mapping[End, TunnelEnd]) -> list[tuple[str, End]]:
    """Return the rules and ends in the order of the trials; a failure of servers alone is tried at the server."""
    names = [rule.name for rule in RULES]
    first = [name for name in names if name in UNDISTURBED]
    last = [name for name in _LAST if name in names]
    others = [name for name in names if name not in first and name not in last]
    order = (*first, *others, *last)
    return [(name, end) for name in order for end in ends if end == "server" or name not in OF_THE_SERVER]


def _try(lab: Lab, tunnel: str, rule: str, end: End) -> Tried:
    scene = scene_of(lab, tunnel)
    assert scene is not None
    try:
        return try_failure(rule, replace(scene, behind_client=BEHIND, behind_server=BEHIND_SERVER), end)
    except (LabError, OSError) as error:
        return Tried(None, str(error))


def _of_files(pair: Pair, home: Path, end: End) -> Subject:
    """Return an end as a user's files show it."""
    nodes = {"server": pair.server_node, "client": pair.client_node}
    openvpn = [home / node / "etc/openvpn/tunnel.conf" for node in nodes.values()]
    routers = [home / node / "etc" / daemon / f"{daemon}.conf" for node in nodes.values() for daemon in ("frr", "bird")]
    found = subjects_of_files([*openvpn, *(path for path in routers if path.exists())])
    return found[list(nodes).index(end)]


def _prepare(lab: Lab, configuration: Configuration) -> None:
    """Add the networks behind both ends, and leave the first client alone."""
    pair = configuration.pair
    for node, networks in ((pair.server_node, BEHIND_SERVER), (pair.client_node, BEHIND)):
        for network, address in networks.items():
            argv = ("ip", "address", "add", f"{address}/{network.prefixlen}", "dev", "lo")
            lab.node(node).exec(*argv).raise_on_error()
    if pair.second:
        _launch_first(lab, pair)


@contextmanager
def _narrowed(lab: Lab, pair: Pair) -> Iterator[None]:
    """Drop larger packets than the path carries, without a message, during the block."""
    chain = "add chain inet narrow in { type filter hook prerouting priority 0; }"
    rule = f"add rule inet narrow in iifname eth1 meta length > {NARROW} drop"
    nodes = [lab.node(name) for name in (pair.server_node, pair.client_node)]
    for node in nodes:
        node.exec("nft", f"add table inet narrow; {chain}; {rule}").raise_on_error()
    try:
        yield
    finally:
        for node in nodes:
            node.exec("nft", "delete table inet narrow").raise_on_error()


def _launch_first(lab: Lab, pair: Pair) -> None:
    """Stop all processes, and start the server and the first client again."""
    first = lab.tunnel(pair.client_node, pair.server_node)
    if pair.second:
        lab.tunnel(pair.second_node, pair.server_node).client.stop("KILL")
    first.client.stop("KILL")
    first.server.stop("KILL")
    first.launch()


def _come_back(lab: Lab, configuration: Configuration, late: Sequence[str]) -> bool:
    """Wait until all that came up at first is up again, and start the tunnel again if it is not."""
    pair = configuration.pair
    with suppress(LabError):
        if pair.second and lab.tunnel(pair.second_node, pair.server_node).client.running:
            _launch_first(lab, pair)  # the second client may have taken the first one's inner routes
        if not _wait(lab, configuration, late):
            return True
        _launch_first(lab, pair)
        return not _wait(lab, configuration, late)
    return False


def _wait(lab: Lab, configuration: Configuration, without: Sequence[str]) -> list[str]:
    """Wait for what should come up; return what did not. What is in `without` is not waited for."""
    late = []
    for what, expect in _due(lab, configuration):
        if what in without:
            continue
        try:
            expect()
        except LabError as error:
            late.append(what)
            if not isinstance(error, ExpectationFailed):
                raise
    return late


def _due(lab: Lab, configuration: Configuration) -> Iterator[tuple[str, Callable[[], object]]]:
    """Return what should come up, one after the other, each with the function that waits for it."""
    pair, of = configuration.pair, configuration.options
    server, client = lab.node(pair.server_node), lab.node(pair.client_node)
    tunnel = lab.tunnel(pair.client_node, pair.server_node)
    near = ip_address("fd00:8::1" if of["family"] == "ipv6" else "10.8.0.1")
    if configuration.passes:
        yield "packets", partial(client.expect_reaches, near, within=WITHIN)
    elif of["mode"] == "no-pull":
        yield "TLS", partial(_expect_log, tunnel.client, "Peer Connection Initiated")
    elif of["mode"] == "server":
        yield "tunnel", partial(_expect_log, tunnel.client, "Initialization Sequence Completed")
    if configuration.peers and of["protocol"] == "bgp":
        yield "session", partial(lab.router(client.name).expect_session, server.name, within=WITHIN)
    for end, node in (("s", server), ("c", client)):
        if prefixes := configuration.learns(end):
            yield f"routes of {end}", partial(node.expect_in_fib, prefixes, via="tun0", within=WITHIN)


def _expect_log(process: OpenVpn, text: str) -> None:
    wait_for(
        Expectation(
            what=f"a log line with {text}",
            node=process.node.name,
            look=lambda: process.log_lines(text),
            met=bool,
            logs=process.log,
        ),
        within=WITHIN,
    )
