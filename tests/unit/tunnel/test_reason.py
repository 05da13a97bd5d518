"""The reason why a tunnel is down, from logs of OpenVPN 2.6 and 2.7."""

import pytest

from lab.tunnel.reason import find_end_reason, find_refusal, last_line

BANNER = "OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)] [LZO] [LZ4] [EPOLL] [PKCS11] [MH/PKTINFO] [AEAD] [DCO]"
EXPIRED = "VERIFY ERROR: depth=0, error=certificate has expired: CN=branch, serial=137222187570366751753723831281010"
REVOKED = "VERIFY ERROR: depth=0, error=certificate revoked: CN=branch, serial=151303054730433342521773022874042"
AFTER_A_REFUSAL = (
    "OpenSSL: error:0A000086:SSL routines::certificate verify failed:",
    "TLS_ERROR: BIO read tls_read_plaintext error",
    "TLS Error: TLS object -> incoming plaintext read error",
    "TLS Error: TLS handshake failed",
    "Fatal TLS error (check_tls_errors_co), restarting",
    "SIGUSR1[soft,tls-error] received, client-instance restarting",
)
RESTARTING = "SIGUSR1[soft,connection-reset] received, process restarting"
PAUSE = "Restart pause, 1 second(s)"
UP = "Initialization Sequence Completed"


def log(second: int, *texts: str, prefix: str = "") -> list[str]:
    """Return log lines of one second, in the format of `verb 4`."""
    return [f"2026-11-24 02:45:{second:02} us={1000 * n} {prefix}{text}" for n, text in enumerate(texts, 1)]


PEERS = {"2.6": "198.51.100.5:60636 ", "2.7": "tcp4-server:198.51.100.5:60620 "}
HEARD = {"2.6": (), "2.7": ("Received fatal SSL alert: certificate expired",)}


@pytest.mark.parametrize("version", PEERS)
def test_reason_is_in_the_log_of_a_server_that_refuses(version: str) -> None:
    server = [
        *log(10, BANNER, UP),
        *log(12, EXPIRED, "Sent fatal SSL alert: certificate expired", *AFTER_A_REFUSAL, prefix=PEERS[version]),
        *log(12, "TCP/UDP: Closing socket"),
    ]
    client = [*log(11, BANNER), *log(12, *HEARD[version], "Connection reset, restarting [0]", RESTARTING, PAUSE)]
    assert find_refusal(client, server) == ("server", EXPIRED)


@pytest.mark.parametrize("words", ["VERIFY X509NAME ERROR: CN=mallory, must be hq", "VERIFY KU ERROR", EXPIRED])
def test_reason_is_in_the_log_of_a_client_that_refuses(words: str) -> None:
    client = [*log(11, BANNER), *log(12, "VERIFY OK: depth=1, CN=lab", words, *AFTER_A_REFUSAL, RESTARTING, PAUSE)]
    alert = ("Received fatal SSL alert: internal error", *AFTER_A_REFUSAL)
    server = [*log(10, BANNER, UP), *log(12, *alert, prefix=PEERS["2.7"])]
    assert find_refusal(client, server) == ("client", words)


@pytest.mark.parametrize("version", PEERS)
def test_missing_tls_crypt_key_is_the_reason(version: str) -> None:
    words = "TLS Error: tls-crypt unwrapping failed from [AF_INET]198.51.100.5:48574"
    fatal = ("Fatal TLS error (check_tls_errors_co), restarting", "SIGUSR1[soft,tls-error] received, client-instance …")
    server = [
        *log(10, BANNER, UP),
        *log(12, "tls-crypt unwrap error: packet too short", words, *fatal, prefix=PEERS[version]),
    ]
    client = [*log(11, BANNER), *log(12, "Connection reset, restarting [0]", RESTARTING, PAUSE)]
    assert find_refusal(client, server) == ("server", words)


def test_alert_is_the_reason_if_there_is_no_other() -> None:
    alert = "Received fatal SSL alert: unknown CA"
    client = [*log(11, BANNER), *log(12, alert, "Connection reset, restarting [0]", RESTARTING, PAUSE)]
    assert find_refusal(client, []) == ("client", alert)


@pytest.mark.parametrize(
    "words",
    [
        "TCP: connect to [AF_INET]198.51.100.1:1194 failed: Connection refused",
        "read UDPv4 [ECONNREFUSED]: Connection refused (fd=3,code=111)",
        "TLS Error: TLS key negotiation failed to occur within 60 seconds (check your network connectivity)",
    ],
)
def test_unanswered_connection_is_the_reason(words: str) -> None:
    client = log(
        11, BANNER, words, "SIGUSR1[connection failed(soft),init_instance] received, process restarting", PAUSE
    )
    assert find_refusal(client, log(10, BANNER, UP)) == ("client", words)


def test_reason_of_the_latest_attempt_is_returned() -> None:
    server = [
        *log(10, BANNER, UP),
        *log(12, EXPIRED, *AFTER_A_REFUSAL),
        *log(14, REVOKED, *AFTER_A_REFUSAL),
        *log(16, REVOKED, *AFTER_A_REFUSAL),
    ]
    client = [*log(11, BANNER), *log(12, RESTARTING, PAUSE), *log(14, RESTARTING, PAUSE), *log(16, RESTARTING, PAUSE)]
    assert find_refusal(client, server) == ("server", REVOKED)


def test_finished_attempt_counts_while_the_next_is_in_progress() -> None:
    server = [*log(10, BANNER, UP), *log(12, REVOKED, *AFTER_A_REFUSAL), *log(14, REVOKED, *AFTER_A_REFUSAL)]
    client = [
        *log(11, BANNER),
        *log(12, RESTARTING, PAUSE),
        *log(14, RESTARTING, PAUSE),
        *log(16, "Attempting to establish TCP connection with [AF_INET]198.51.100.1:1194"),
    ]
    assert find_refusal(client, server) == ("server", REVOKED)


def test_lines_before_a_restart_or_a_connection_are_ignored() -> None:
    refused = log(12, EXPIRED, *AFTER_A_REFUSAL)
    server = [*log(10, BANNER, UP), *refused]
    again = [*log(11, BANNER), *log(12, RESTARTING, PAUSE), *log(20, BANNER)]
    assert find_refusal(again, server) is None
    connected = [*log(11, BANNER), *log(12, RESTARTING, PAUSE), *log(13, UP), *log(30, "Inactivity timeout")]
    assert find_refusal(connected, [*server, *log(13, "[branch] Peer Connection Initiated with [AF_INET]…")]) is None


def test_logs_without_a_reason_give_none() -> None:
    assert find_refusal([], []) is None
    assert find_refusal(["no line of a log"], log(10, EXPIRED)) is None
    assert find_refusal(log(10, BANNER, UP), log(9, BANNER, UP)) is None


def test_log_without_microseconds_is_parsed() -> None:
    client = ["2026-11-24 02:45:11 OpenVPN 2.7.8 x86_64", f"2026-11-24 02:45:12 {RESTARTING}"]
    assert find_refusal(client, [f"2026-11-24 02:45:12 198.51.100.5:1 {REVOKED}"]) == ("server", REVOKED)


# --- ended processes ---------------------------------------------------------------------------------------


def test_last_line_skips_management_and_advice() -> None:
    lines = ["Options error: no", "Use --help for more information.", "2026 MANAGEMENT: CMD 'pid'", ""]
    assert last_line(lines) == "Options error: no"
    assert last_line(["", " "]) == last_line([]) == "its log is empty"


def test_end_reason_is_the_line_before_the_fatal_error() -> None:
    cannot = "Cannot ioctl TUNSETIFF tun0: Operation not permitted (errno=1)"
    lines = log(12, BANNER, cannot, "Exiting due to fatal error", "Closing tun/tap interface")
    assert find_end_reason(lines).endswith(cannot)
    assert find_end_reason([*lines, *log(20, BANNER, "SIGTERM[hard,] received, process exiting")]).endswith(
        "process exiting"
    )
