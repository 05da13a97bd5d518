"""Rules about the time after which OpenVPN and a routing daemon notice that the other end is gone."""

from collections.abc import Sequence

from lab.advise.across import detection_on, device_of
from lab.advise.detection import detection_time, timers_of
from lab.advise.rule import Judgement, Rule, Verdict, exposed, safe, unknown
from lab.advise.rules.routing import ADD_ROUTER, no_session_across, nothing_across
from lab.advise.subject import Subject
from lab.configs.disk import Spot
from lab.configs.routing.facts import InteriorInterface

_NAMES = {"ospf": "OSPF", "ospf6": "OSPFv3", "rip": "RIP", "ripng": "RIPng"}


def hold_time(subject: Subject) -> Judgement:
    """Judge if BGP detects the loss of the other end long before OpenVPN does."""
    if (other := no_session_across(subject)) is not None:
        return other
    runs, hold = subject.runs, subject.runs.hold or 0
    if isinstance(timeout := timeout_of(subject), Judgement):
        return timeout
    seconds, at = timeout
    spots = [spot for spot in (at, *(n.hold_spot for n in runs.neighbors)) if spot]
    if (detected := _by_bfd(subject, seconds, spots)) is not None:
        return detected
    if hold == 0 or subject.peer_hold == 0:
        return safe("with a hold time of 0 BGP keeps the session", *spots)
    agreed = hold if subject.peer_hold is None else min(hold, subject.peer_hold)
    if seconds is None or seconds > agreed:
        return exposed(
            f"BGP closes its session after {agreed} s, OpenVPN restarts {_waits(seconds, at)}; in between no traffic "
            "passes",
            *spots,
            do="set a keepalive timeout that is not longer than BGP's hold time",
        )
    if subject.peer_hold is None:
        return unknown(
            f"OpenVPN restarts after {seconds} s, BGP here closes after {hold} s, the other router possibly earlier",
            *spots,
            do="compare with the other router's timers",
        )
    # OpenVPN counts from the last packet of any kind, BGP from its last KEEPALIVE, sent three times in a hold time.
    every = -(-agreed // 3)
    if seconds + every > agreed:
        return unknown(
            f"BGP closes its session after {agreed} s without one of its packets, which come every {every} s, and "
            f"OpenVPN restarts after {seconds} s without any packet",
            *spots,
            do=f"set a keepalive timeout of {agreed - every} s or less, or test it",
        )
    return safe(f"OpenVPN restarts after {seconds} s, BGP closes its session after {agreed} s", *spots)


def _by_bfd(subject: Subject, seconds: int | None, spots: Sequence[Spot]) -> Judgement | None:
    """Judge a session with BFD, which closes it sooner than its hold time; None without BFD at both ends."""
    here = [n for n in subject.runs.neighbors if n.bfd]
    there = subject.peer_runs.neighbors
    if not here or (there and not any(n.bfd for n in there)):
        return None
    lines = [n.options.get("bfd", n.spot) for n in here]
    why = "BFD closes the session of BGP before its hold time has passed"
    do = "set a keepalive timeout that is not longer than BFD's detection time, or test it"
    after = min((detection_time(n, t) or 0 for n in here for t in timers_of(there)), default=0)
    if not after or (seconds is not None and 1000 * seconds <= after):
        return unknown(f"{why}; whether OpenVPN restarts sooner is unknown", *spots, *lines, do=do)
    ends = f"after {seconds} s" if seconds is not None else "never"
    return exposed(f"{why}, after {after} ms; OpenVPN restarts {ends}", *spots, *lines, do=do)


def dead_interval(subject: Subject) -> Judgement:
    """Judge if OSPF or RIP drops the other end long before OpenVPN restarts."""
    if subject.routes is False:
        return safe("no routing daemon has sessions through this tunnel")
    if subject.router is None:
        return unknown(subject.no_router, do=ADD_ROUTER)
    runs = subject.runs
    if not runs.interior and not runs.possible:
        if runs.neighbors and not subject.router.gaps:
            return safe("neither OSPF nor RIP runs on the tunnel", *[n.spot for n in runs.neighbors])
        return nothing_across(subject.router, runs)
    if isinstance(timeout := timeout_of(subject), Judgement):
        return timeout
    if lines := subject.router.other_bfd:
        return unknown("BFD may drop the neighbour sooner than its dead interval", *lines, do="test it")
    verdicts = [_of_interior(found, subject, *timeout) for found in runs.interior]
    for wanted in (Verdict.EXPOSED, Verdict.CANNOT_TELL):
        if chosen := next((verdict for verdict in verdicts if verdict.verdict is wanted), None):
            return chosen
    if runs.possible:
        found = runs.possible[0]
        why = f"whether {_NAMES[found.protocol]} runs on the tunnel is unknown: its addresses are not in the file"
        return unknown(why, found.spot, do="add the other end's file")
    return verdicts[0]


def _of_interior(found: InteriorInterface, subject: Subject, seconds: int | None, at: Spot | None) -> Judgement:
    detection = detection_on(found, device_of(subject.end))
    name = _NAMES[found.protocol]
    spots = [spot for spot in (at, found.spot, detection.spot if detection else None) if spot]
    if detection is None or detection.after is None:
        return unknown(f"the time after which {name} drops a neighbour is not a number", *spots, do="test it")
    drops = "drops its neighbour" if name.startswith("OSPF") else "drops the other end's routes"
    interval = f"{name} {drops} after {detection.after} s"
    if seconds is None or seconds > detection.after:
        return exposed(
            f"{interval}, OpenVPN restarts {_waits(seconds, at)}; in between no traffic passes",
            *spots,
            do=f"set a keepalive timeout that is shorter than {detection.after} s by {detection.every} s or more",
        )
    # OpenVPN counts from the last packet of any kind, which may come `every` seconds after the daemon's last one.
    # RIP's updates come a little earlier or later (RFC 2453, section 3.8).
    jitter = name.startswith("RIP")
    if seconds + detection.every + jitter > detection.after:
        return unknown(
            f"{interval} without one of its packets, which come every {detection.every} s, and OpenVPN restarts after "
            f"{seconds} s without any packet",
            *spots,
            do=f"set a keepalive timeout of {detection.after - detection.every - jitter} s or less, or test it",
        )
    return safe(f"OpenVPN restarts after {seconds} s, {interval}", *spots)


def timeout_of(subject: Subject) -> tuple[int | None, Spot | None] | Judgement:
    """Return the seconds until this end's OpenVPN restarts, and their line, or a judgement if they are unknown."""
    if (timeout := subject.timeout()) is not None:
        return timeout
    if given := subject.option("ping-restart", "ping-exit", "keepalive"):
        return unknown("the keepalive is not a number", given.spot, do="set it to numbers")
    return unknown("the server pushes its keepalive, and its file is not given", do="add the server's file")


def _waits(seconds: int | None, at: Spot | None) -> str:
    never = "never: 0 switches it off" if at else "never, without a keepalive"
    return f"after {seconds} s" if seconds else never


RULES = (
    Rule(
        "hold-time",
        "BGP closes its session long before OpenVPN restarts, and there are no routes until then.",
        ("keepalive", "ping-restart", "frr.conf: timers", "bird.conf: hold time"),
        "openvpn(8), --keepalive; RFC 4271, section 4.2; tested with OpenVPN 2.6.14 and 2.7.8",
        hold_time,
    ),
    Rule(
        "dead-interval",
        "OSPF or RIP drops the other end long before OpenVPN restarts, and there are no routes until then.",
        ("keepalive", "ping-restart", "frr.conf: dead-interval, hello-interval, timers basic",
         "bird.conf: dead, hello, timeout time"),
        "openvpn(8), --keepalive; RFC 2328, section 9.1; RFC 2453, section 3.8; tested with OpenVPN 2.6.14 and 2.7.8",
        dead_interval,
    ),
)  # fmt: skip
