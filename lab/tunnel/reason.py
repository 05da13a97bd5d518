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
_UP = "Initialization Sequence Completed"
"""The last line of a connection at the client. "Peer Connection Initiated" is logged before some refusals."""
_NEXT_ATTEMPT = re.compile(r"received, process restarting$")
_OUTSIDE = (
    r"RESOLVE: Cannot resolve host address.*",
    r"HTTP proxy returned: .*",
    r"HTTP proxy: no support for proxy authentication method",
    r"(?:recv_)?socks_\w+: .*",
    r"TCP: connect to .* failed: .*",
    r"(?:read|write) (?:UDP|TCP)\S* .*(?:refused|unreachable|No route|not permitted).*",
)
"""The other end cannot be reached. Only the client connects: a server logs such words about a client that has gone."""
_REASONS = [
    re.compile(pattern)
    for pattern in (
        # The peer's certificate: its issuer, purpose, dates or name, or that it is revoked.
        r"VERIFY (?:\w+ )?ERROR.*",
        # The server's words for what its client only knows as AUTH_FAILED.
        r"TLS (?:Auth )?Error: (?:Auth Username|--client-config-dir).*",
        r"Failed running command \(--client-connect\).*",
        r"PUSH: No common cipher.*",
        r"failed to negotiate cipher with peer.*",
        r"MULTI: new incoming connection would exceed maximum number of clients.*",
        r"AUTH_FAILED.*",
        # The key of the control channel: tls-crypt, tls-auth.
        r"TLS Error: (?:tls-crypt|could not determine wrapping|can not extract tls-crypt).*",
        r"TLS Error: (?:incoming packet authentication failed|cannot locate HMAC).*",
        r"TLS Error: reading acknowledgement record.*",
        r"tls-crypt\S* unwrap.*",
        # The key of the data channel, if it is a static one.
        r"Authenticate/Decrypt packet error.*",
        # TLS itself.
        r"TLS error: (?:Unsupported protocol|The server has no TLS ciphersuites).*",
        # The alert that an end gets when the other one refuses it.
        r"Received fatal SSL alert.*",
        r"OpenSSL: error:.*",
        *_OUTSIDE,
        r"TLS Error: TLS key negotiation failed to occur.*",
        r"TLS Error: .*",
    )
]
"""The reasons in log lines, the most specific first."""
_KINDS = [
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("certificate-revoked", r"VERIFY ERROR.*certificate revoked"),
        ("certificate-expired", r"VERIFY ERROR.*certificate has expired"),
        ("certificate-not-yet-valid", r"VERIFY ERROR.*certificate is not yet valid"),
        ("certificate-purpose", r"VERIFY (?:ERROR.*unsuitable certificate purpose|E?KU ERROR)"),
        ("certificate-name", r"VERIFY X509NAME ERROR"),
        ("revocation-list", r"VERIFY ERROR.*CRL"),
        ("certificate-issuer", r"VERIFY ERROR.*(?:issuer|self-signed|self signed|first certificate|signature failure)"),
        ("certificate-refused", r"VERIFY (?:\w+ )?ERROR"),
        ("user-password", r"Auth Username"),
        ("client-file-missing", r"--client-config-dir authentication failed"),
        ("client-connect", r"\(--client-connect\)"),
        ("no-common-cipher", r"No common cipher|failed to negotiate cipher|cipher negotiation failed"),
        ("max-clients", r"maximum number of clients"),
        ("authentication", r"AUTH_FAILED"),
        (
            "control-channel-key",
            r"tls-crypt|determine wrapping|incoming packet auth|locate HMAC|acknowledgement record",
        ),
        ("replay", r"Authenticate/Decrypt packet error: bad packet ID"),
        ("data-channel-key", r"Authenticate/Decrypt"),
        ("tls-version", r"Unsupported protocol|alert: protocol version"),
        ("tls-cipher", r"no TLS ciphersuites"),
        ("tls-refused", r"fatal SSL alert|OpenSSL: error"),
        ("remote-unresolvable", r"Cannot resolve host address"),
        ("proxy-refused", r"HTTP proxy|socks_"),
        ("outer-refused", r"refused"),
        ("outer-unreachable", r"unreachable|No route|not permitted"),
        ("outer-silent", r"TLS key negotiation failed to occur|timed out"),
    )
]
"""The kinds of reasons, each with its words; the first that matches."""
UNKNOWN = "tls-handshake"
"""The kind of a reason without a more specific one."""
_NO_REASON = re.compile(r" MANAGEMENT: |Use --help for more information|Please correct th(is|ese) errors?")
"""Lines without a reason: the lab's own queries, and advice."""
_FATAL = "Exiting due to fatal error"
"""The reason is in the line before this one."""


AUTH_FAILED = "AUTH_FAILED"
"""A server's message to a client that it refuses; the client then exits."""
_SAYS_END = re.compile(r"process exiting|Options error|Exiting due to")
"""The last line of a process that has ended by itself, or by a signal that it handles."""
_AUTH_EXIT = "SIGTERM[soft,auth-failure]"
"""The last line of a client that its server has refused; the reason is in an earlier line."""


@dataclass(frozen=True)
class Reason:
    """A log line with the reason why a tunnel is down."""

    end: End
    """The end that logged it."""
    words: str
    """The line without its time and the peer's name."""

    @property
    def kind(self) -> str:
        """The kind of the reason, as in `certificate-expired`."""
        return next((kind for kind, pattern in _KINDS if pattern.search(self.words)), UNKNOWN)


@dataclass(frozen=True, order=True)
class _Entry:
    when: tuple[str, int]
    text: str


def find_refusal(client: Sequence[str], server: Sequence[str]) -> Reason | None:
    """Return the reason why the client's latest attempt to connect failed, from all lines of both logs.

    Entries from before that attempt are ignored. Returns None if neither log has a reason.
    """
    attempt = _latest_attempt(_this_run(client))
    if not attempt:
        return None
    begin = max((entry.when for entry in attempt if _UP in entry.text), default=attempt[0].when)
    meanwhile = [entry for entry in _this_run(server) if entry.when >= begin]
    ends: dict[End, list[_Entry]] = {"client": [e for e in attempt if e.when >= begin], "server": meanwhile}
    for reason in _REASONS:
        found_reasons = [
            (entry.when, end, found[0])
            for end, entries in ends.items()
            if end == "client" or reason.pattern not in _OUTSIDE
            for entry in entries
            if (found := reason.search(entry.text))
        ]
        if found_reasons:
            _, end, words = max(found_reasons)
            return Reason(end, words)
    return None


def last_line(lines: Sequence[str]) -> str:
    """Return the last meaningful line of a log."""
    meaningful = (line for line in reversed(lines) if line.strip() and not _NO_REASON.search(line))
    return next(meaningful, "its log is empty")


def without_time(line: str) -> str:
    """Return the text of a line of a log."""
    found = _LINE.match(line)
    return found["text"] if found else line


def find_end_reason(lines: Sequence[str]) -> str:
    """Return the reason why a process ended, from all lines of its log."""
    last_start = max((index for index, line in enumerate(lines) if _BANNER.search(line)), default=0)
    fatal = [before for before, line in pairwise(lines[last_start:]) if line.endswith(_FATAL)]
    if fatal:
        return fatal[-1]
    last = last_line(lines)
    if _AUTH_EXIT not in last:
        return last
    refused = [line for line in lines[last_start:] if AUTH_FAILED in line]
    return refused[-1] if refused else last


def describe_end(lines: Sequence[str]) -> str:
    """Return the reason why a process ended, or that its log has none: a killed process writes nothing."""
    reason = find_end_reason(lines)
    if _SAYS_END.search(reason) or reason != last_line(lines) or not any(line.strip() for line in lines):
        return reason
    return f"its log does not say why, so it was killed or has crashed; the last line is: {reason}"


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


# --- lost packets ------------------------------------------------------------------------------------------------

_LOSSES = [
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("wrong-source", r"bad source address from client \[.*"),
        ("recursive-routing", r"Recursive routing detected.*"),
        ("replay", r"Authenticate/Decrypt packet error: bad packet ID.*"),
        ("data-channel-key", r"Authenticate/Decrypt packet error.*"),
        ("compression-framing", r"(?:Bad (?:LZO|LZ4) decompression|Bad compression|\S+ decompression error).*"),
        ("fragment-framing", r"FRAG_(?:IN|OUT) error.*"),
        ("outer-mtu", r"write (?:UDP|TCP)\S* .*Message too long.*|tun packet too large on write.*"),
        ("inner-device", r"write to TUN/TAP.*"),
    )
]
"""The words with which OpenVPN logs that it drops a packet of the data channel; for the first it needs `verb 4`."""


@dataclass(frozen=True)
class Loss:
    """A log line about a packet that OpenVPN dropped."""

    kind: str
    words: str


def find_losses(lines: Sequence[str]) -> list[Loss]:
    """Return what lines of a log say about dropped packets, oldest first."""
    found = []
    for line in lines:
        for kind, pattern in _LOSSES:
            if said := pattern.search(line):
                found.append(Loss(kind, said[0]))
                break
    return found
