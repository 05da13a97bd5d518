"""The sample configurations, and the verdicts on them."""

from pathlib import Path, PurePosixPath

from lab.advise import RULES, Subject, Verdict, advise, subjects_of_files
from lab.advise.across import across
from lab.advise.rule import Judgement
from lab.configs.bird import parse as parse_bird
from lab.configs.disk import Disk
from lab.configs.frr import parse as parse_frr
from lab.configs.openvpn.client_options import read_client_options
from lab.configs.openvpn.configuration import Configuration, parse
from lab.configs.routing.judged import RoutingConfiguration

SAMPLES = Path(__file__).parents[1] / "data" / "advise"
EXPOSED, NOT_EXPOSED, CANNOT_TELL = Verdict.EXPOSED, Verdict.NOT_EXPOSED, Verdict.CANNOT_TELL

SERVER = "mode server\ntls-server\ndev tun\nifconfig 10.0.0.1 255.255.255.0\ntopology subnet\n"
CLIENT = "client\ndev tun\nremote 198.51.100.1\nifconfig 10.0.0.3 255.255.255.0\n"


def of(*names: str, openvpn: str | None = None) -> dict[str, dict[str, tuple[Verdict, list[int]]]]:
    """The expected verdicts and lines by sample and rule."""
    found: dict[str, dict[str, tuple[Verdict, list[int]]]] = {}
    for finding in advise(subjects_of_files([SAMPLES / name for name in names], openvpn)):
        name = Path(finding.subject).name
        found.setdefault(name, {})[finding.rule] = (finding.verdict, [spot.line for spot in finding.lines])
    return found


def configuration(text: str, directory: Path = Path("nowhere")) -> Configuration:
    """Write a configuration into a directory and read it."""
    return parse(text, PurePosixPath(directory) / "openvpn.conf", Disk())


def subject(
    text: str,
    directory: Path = Path("nowhere"),
    *,
    peer: str | None = None,
    frr: str | None = None,
    bird: str | None = None,
    peer_frr: str | None = None,
    openvpn: str | None = None,
    routes: bool | None = None,
    peer_hold: int | None = None,
    path_mtu: int | None = None,
    path_jitter: float | None = None,
) -> Subject:
    """Return an end of a tunnel from texts."""
    end = configuration(text, directory)
    other = configuration(peer, directory) if peer is not None else None
    router: RoutingConfiguration | None = parse_frr(frr, "frr.conf") if frr is not None else None
    if bird is not None:
        router = parse_bird(bird, "bird.conf")
    return Subject(
        "end",
        end,
        read_client_options(end),
        other,
        read_client_options(other) if other else read_client_options(configuration("")),
        openvpn,
        True if router and across(router, end, other).spots else routes,
        router,
        peer_router=parse_frr(peer_frr, "peer.frr.conf") if peer_frr is not None else None,
        peer_hold=peer_hold,
        path_mtu=path_mtu,
        path_jitter=path_jitter,
        peer_openvpn=openvpn,
    )


def judge(rule: str, asked: Subject) -> Judgement:
    """Return the judgement of one rule."""
    return next(r for r in RULES if r.name == rule).judge(asked)
