"""The reason why a tunnel is down, from OpenVPN's logs at both ends.

The end that refuses logs the reason; the other one logs a connection reset (2.6) or a TLS alert (2.7). The line with
the reason is never the last one, so both logs are searched for the most specific line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.tunnel.mode import End

_LINE = re.compile(r"(?P<second>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:us=(?P<micro>\d+) )?(?P<text>.*)")
"""A line of the log; `us=` is there from `verb 4` on."""
_BANNER = re.compile(r"OpenVPN \d+\.\d")
"""The first line of a process."""
_UP = re.compile(r"Initialization Sequence Completed|Peer Connection Initiated with")
_NEXT_ATTEMPT = re.compile(r"received, process restarting$")
_REASONS = [
    re.compile(pattern)
    for pattern in (
        # The peer's certificate: its issuer, purpose, dates or name, or that it is revoked.
        r"VERIFY (?:\w+ )?ERROR.*",
        r"AUTH_FAILED.*",
        # The key of the control channel: tls-crypt, tls-auth.
        r"TLS Error: (?:tls-crypt|could not determine wrapping).*",
        r"TLS Error: (?:incoming packet authentication failed|cannot locate HMAC).*",
        r"tls-crypt\S* unwrap.*",
        r"Authenticate/Decrypt packet error.*",
        # The alert that an end gets when the other one refuses it.
        r"Received fatal SSL alert.*",
        # The peer does not answer.
        r"TCP: connect to .* failed: .*",
        r"(?:read|write) (?:UDP|TCP)\S* .*(?:refused|unreachable|No route).*",
        r"TLS Error: TLS key negotiation failed to occur.*",
        r"TLS Error: .*",
    )
]
"""The reasons in log lines, the most specific first."""
_NO_REASON = re.compile(r" MANAGEMENT: |Use --help for more information")
"""Lines without a reason: the lab's own queries, and advice."""
_FATAL = "Exiting due to fatal error"
"""The reason is in the line before this one."""


@dataclass(frozen=True, order=True)
class _Entry:
    when: tuple[str, int]
    text: str


def find_refusal(client: Sequence[str], server: Sequence[str]) -> tuple[End, str] | None:
    """Return the end whose log has the reason why the client's latest attempt to connect failed, and the reason.

    The arguments are all lines of both logs; entries from before that attempt are ignored. Returns None if neither log
    has a reason.
    """
    attempt = _latest_attempt(_this_run(client))
    if not attempt:
        return None
    meanwhile = [entry for entry in _this_run(server) if entry.when >= attempt[0].when]
    ends: dict[End, list[_Entry]] = {"client": _since_up(attempt), "server": _since_up(meanwhile)}
    for reason in _REASONS:
        found_reasons = [
            (entry.when, end, found[0])
            for end, entries in ends.items()
            for entry in entries
            if (found := reason.search(entry.text))
        ]
        if found_reasons:
            _, end, words = max(found_reasons)
            return end, words
    return None


def last_line(lines: Sequence[str]) -> str:
    """Return the last meaningful line of a log."""
    meaningful = (line for line in reversed(lines) if line.strip() and not _NO_REASON.search(line))
    return next(meaningful, "its log is empty")


def find_end_reason(lines: Sequence[str]) -> str:
    """Return the reason why a process ended, from all lines of its log."""
    last_start = max((index for index, line in enumerate(lines) if _BANNER.search(line)), default=0)
    fatal = [before for before, line in pairwise(lines[last_start:]) if line.endswith(_FATAL)]
    return fatal[-1] if fatal else last_line(lines)


def _this_run(lines: Sequence[str]) -> list[_Entry]:
    """Return the entries since the latest start of a process."""
    entries: list[_Entry] = []
    for line in lines:
        if (found := _LINE.match(line)) is None:
            continue
        if _BANNER.match(found["text"]):
            entries.clear()
        entries.append(_Entry((found["second"], int(found["micro"] or 0)), found["text"]))
    return entries


def _latest_attempt(client: list[_Entry]) -> list[_Entry]:
    """Return the entries of the latest finished attempt to connect, and of the one in progress."""
    ends = [index for index, entry in enumerate(client) if _NEXT_ATTEMPT.search(entry.text)]
    return client[ends[-2] + 1 :] if len(ends) > 1 else client


def _since_up(entries: list[_Entry]) -> list[_Entry]:
    """Drop the entries from before the tunnel was up."""
    up = max((index for index, entry in enumerate(entries) if _UP.search(entry.text)), default=-1)
    return entries[up + 1 :]
