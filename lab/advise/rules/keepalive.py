"""Rules about the keepalive of both ends, and what a server pushes of it."""

from dataclasses import replace

from lab.advise.rule import Judgement, Rule, exposed, safe, unknown
from lab.advise.rules.timers import timeout_of
from lab.advise.subject import Subject
from lab.configs.disk import Spot

_TIMERS = ("keepalive", "ping", "ping-restart", "ping-exit")


def pushed_keepalive(subject: Subject) -> Judgement:
    """Judge if the keepalive in a client's own file is not the one in effect."""
    end = subject.end
    if end.role != "client":
        return safe("only a client takes options that are pushed")
    own = end.all(*_TIMERS)
    spots = [d.spot for d in own]
    if not own:
        return safe("this file sets no keepalive of its own")
    if subject.pushed_unknown:
        return unknown(
            "the server may push another keepalive, which replaces the one in this file",
            *spots,
            do="add the server's file, or ignore what it pushes: `pull-filter ignore ping`",
        )
    alone = replace(subject, peer=None)
    timeouts, intervals = (alone.timeout(), subject.timeout()), (alone.interval(), subject.interval())
    if end.has("keepalive", "ping-restart", "ping-exit") and (changed := _changed("restarts after", *timeouts)):
        return changed
    if end.has("keepalive", "ping") and (changed := _changed("sends a ping every", *intervals)):
        return changed
    return safe("the server pushes the same keepalive, or none", *spots)


_Timer = tuple[int | None, Spot | None] | None
"""Seconds with their line, as `Subject.timeout` and `Subject.interval` return them."""


def _changed(what: str, written: _Timer, in_effect: _Timer) -> Judgement | None:
    """Return the judgement for a timer that is another one than the file says; None if it is the same."""
    if written is None or in_effect is None:
        where = [spot for _, spot in (written or (None, None), in_effect or (None, None)) if spot]
        return unknown("the keepalive is not a number", *where, do="set it to numbers")
    if written[0] == in_effect[0]:
        return None
    seconds, file = (f"{of[0]} s" if of[0] else "no time at all" for of in (in_effect, written))
    return exposed(
        f"this end {what} {seconds}, which the server pushes, and not {file} as its file says",
        *[spot for _, spot in (written, in_effect) if spot],
        do="set it at the server, or ignore what it pushes: `pull-filter ignore ping`",
    )


def idle_restart(subject: Subject) -> Judgement:
    """Judge if this end restarts while the other one is well, for want of its pings."""
    if isinstance(timeout := timeout_of(subject), Judgement):
        return timeout
    seconds, at = timeout
    spots = [at] if at else []
    if seconds is None:
        return safe("this end waits forever, and never restarts for want of packets", *spots)
    other = subject.other()
    if other is None:
        return unknown(
            f"it restarts after {seconds} s without a packet; how often the other end sends a ping is unknown",
            *spots,
            do="add the other end's file",
        )
    if (interval := other.interval()) is None:
        return unknown("how often the other end sends a ping is unknown", *spots, do="set `keepalive` at the server")
    every, where = interval
    spots += [where] if where else []
    if every is not None and every < seconds - 1:
        return safe(f"the other end sends a ping every {every} s, and this end waits {seconds} s", *spots)
    sends = f"sends a ping every {every} s only" if every else "sends no pings"
    why = f"the other end {sends}, and this end restarts after {seconds} s without a packet"
    do = "set `keepalive` at the server, which pushes it, or at both ends of a point-to-point tunnel"
    if every is not None and every <= seconds + 1:
        return unknown(f"{why}: which comes first is not certain", *spots, do=do)
    if subject.routes is not False and (subject.routes or subject.router):
        return unknown(f"{why}; the packets of a routing daemon may keep the tunnel busy", *spots, do=do)
    return exposed(why, *spots, do=do)


RULES = (
    Rule(
        "pushed-keepalive",
        "The keepalive that a server pushes replaces the client's own: it notices a dead path at another time than its "
        "file says.",
        (*_TIMERS, "push", "pull-filter"),
        "openvpn(8), --keepalive, --pull-filter; tested with OpenVPN 2.6.14 and 2.7.8",
        pushed_keepalive,
        "test_verdicts_are_what_packets_do",
    ),
    Rule(
        "idle-restart",
        "An end restarts again and again while no traffic passes: the other end sends pings less often than it waits.",
        (*_TIMERS, "push", "pull-filter"),
        "openvpn(8), --ping, --ping-restart; tested with OpenVPN 2.6.14 and 2.7.8",
        idle_restart,
        "test_verdicts_are_what_disturbances_do",
    ),
)
