"""Why a tunnel is down, out of what OpenVPN has logged at its two ends.

Who refuses says why; who is refused learns little: 2.6 sees a connection reset, 2.7 an alert of TLS. And the telling
line is never the last one. So both logs are read, and the line that says most is the reason.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.tunnel.mode import End

_LINE = re.compile(r"(?P<second>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:us=(?P<micro>\d+) )?(?P<text>.*)")
"""A line of the log; `us=` from `verb 4` on."""
_BANNER = re.compile(r"OpenVPN \d+\.\d")
"""A process says its version when it starts."""
_UP = re.compile(r"Initialization Sequence Completed|Peer Connection Initiated with")
_NEXT_ATTEMPT = re.compile(r"received, process restarting$")
_TELLING = [
    re.compile(pattern)
    for pattern in (
        # The peer's certificate: by whom and for what it was issued, its dates, its name, whether it is revoked.
        r"VERIFY (?:\w+ )?ERROR.*",
        r"AUTH_FAILED.*",
        # The key of the control channel: tls-crypt, tls-auth.
        r"TLS Error: (?:tls-crypt|could not determine wrapping).*",
        r"TLS Error: (?:incoming packet authentication failed|cannot locate HMAC).*",
        r"tls-crypt\S* unwrap.*",
        r"Authenticate/Decrypt packet error.*",
        # What one end is told when the other refuses it.
        r"Received fatal SSL alert.*",
        # Nothing that TLS could refuse: the peer does not answer.
        r"TCP: connect to .* failed: .*",
        r"(?:read|write) (?:UDP|TCP)\S* .*(?:refused|unreachable|No route).*",
        r"TLS Error: TLS key negotiation failed to occur.*",
        r"TLS Error: .*",
    )
]
"""From what says most to what says least."""
_SAYS_NOTHING = re.compile(r" MANAGEMENT: |Use --help for more information")
"""That we asked it is no news, and advice is no reason."""
_FATAL = "Exiting due to fatal error"
"""It says why in the line before, and closes the device in those after."""


@dataclass(frozen=True, order=True)
class _Entry:
    when: tuple[str, int]
    text: str


def why_refused(client: Sequence[str], server: Sequence[str]) -> tuple[End, str] | None:
    """Which end, `client` or `server`, says why the client's latest attempt to connect failed, and what it says.

    None where neither says anything about it. The arguments are the lines of both logs, whole; what is older than
    that attempt is left aside, since the reason may have been another then.
    """
    attempt = _latest_attempt(_this_run(client))
    if not attempt:
        return None
    meanwhile = [entry for entry in _this_run(server) if entry.when >= attempt[0].when]
    ends: dict[End, list[_Entry]] = {"client": _since_up(attempt), "server": _since_up(meanwhile)}
    for telling in _TELLING:
        said = [
            (entry.when, end, found[0])
            for end, entries in ends.items()
            for entry in entries
            if (found := telling.search(entry.text))
        ]
        if said:
            _, end, words = max(said)
            return end, words
    return None


def last_words(lines: Sequence[str]) -> str:
    """The last line of a log that says something."""
    telling = (line for line in reversed(lines) if line.strip() and not _SAYS_NOTHING.search(line))
    return next(telling, "its log is empty")


def why_ended(lines: Sequence[str]) -> str:
    """The reason that a process gave for its end; the arguments are the lines of its log, whole."""
    last_start = max((index for index, line in enumerate(lines) if _BANNER.search(line)), default=0)
    fatal = [before for before, line in pairwise(lines[last_start:]) if line.endswith(_FATAL)]
    return fatal[-1] if fatal else last_words(lines)


def _this_run(lines: Sequence[str]) -> list[_Entry]:
    """What a process has logged since it was started last."""
    entries: list[_Entry] = []
    for line in lines:
        if (found := _LINE.match(line)) is None:
            continue
        if _BANNER.match(found["text"]):
            entries.clear()
        entries.append(_Entry((found["second"], int(found["micro"] or 0)), found["text"]))
    return entries


def _latest_attempt(client: list[_Entry]) -> list[_Entry]:
    """What belongs to the attempt that ended last, and to the one that may be under way."""
    ends = [index for index, entry in enumerate(client) if _NEXT_ATTEMPT.search(entry.text)]
    return client[ends[-2] + 1 :] if len(ends) > 1 else client


def _since_up(entries: list[_Entry]) -> list[_Entry]:
    """What was said before the tunnel was up has no part in its being down."""
    up = max((index for index, entry in enumerate(entries) if _UP.search(entry.text)), default=-1)
    return entries[up + 1 :]
