"""The reason why a tunnel is down, from logs of OpenVPN 2.6 and 2.7."""

import pytest

from lab.tunnel.reason import Loss, Reason, describe_end, find_end_reason, find_losses, find_refusal, last_line

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
    assert find_refusal(client, server) == Reason("server", EXPIRED)


@pytest.mark.parametrize("words", ["VERIFY X509NAME ERROR: CN=mallory, must be hq", "VERIFY KU ERROR", EXPIRED])
def test_reason_is_in_the_log_of_a_client_that_refuses(words: str) -> None:
    client = [*log(11, BANNER), *log(12, "VERIFY OK: depth=1, CN=lab", words, *AFTER_A_REFUSAL, RESTARTING, PAUSE)]
    alert = ("Received fatal SSL alert: internal error", *AFTER_A_REFUSAL)
    server = [*log(10, BANNER, UP), *log(12, *alert, prefix=PEERS["2.7"])]
    assert find_refusal(client, server) == Reason("client", words)


@pytest.mark.parametrize("version", PEERS)
def test_missing_tls_crypt_key_is_the_reason(version: str) -> None:
    words = "TLS Error: tls-crypt unwrapping failed from [AF_INET]198.51.100.5:48574"
    fatal = ("Fatal TLS error (check_tls_errors_co), restarting", "SIGUSR1[soft,tls-error] received, client-instance …")
    server = [
        *log(10, BANNER, UP),
        *log(12, "tls-crypt unwrap error: packet too short", words, *fatal, prefix=PEERS[version]),
    ]
    client = [*log(11, BANNER), *log(12, "Connection reset, restarting [0]", RESTARTING, PAUSE)]
    assert find_refusal(client, server) == Reason("server", words)


def test_alert_is_the_reason_if_there_is_no_other() -> None:
    alert = "Received fatal SSL alert: unknown CA"
    client = [*log(11, BANNER), *log(12, alert, "Connection reset, restarting [0]", RESTARTING, PAUSE)]
    assert find_refusal(client, []) == Reason("client", alert)


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
    assert find_refusal(client, log(10, BANNER, UP)) == Reason("client", words)


def test_reason_of_the_latest_attempt_is_returned() -> None:
    server = [
        *log(10, BANNER, UP),
        *log(12, EXPIRED, *AFTER_A_REFUSAL),
        *log(14, REVOKED, *AFTER_A_REFUSAL),
        *log(16, REVOKED, *AFTER_A_REFUSAL),
    ]
    client = [*log(11, BANNER), *log(12, RESTARTING, PAUSE), *log(14, RESTARTING, PAUSE), *log(16, RESTARTING, PAUSE)]
    assert find_refusal(client, server) == Reason("server", REVOKED)


def test_finished_attempt_counts_while_the_next_is_in_progress() -> None:
    server = [*log(10, BANNER, UP), *log(12, REVOKED, *AFTER_A_REFUSAL), *log(14, REVOKED, *AFTER_A_REFUSAL)]
    client = [
        *log(11, BANNER),
        *log(12, RESTARTING, PAUSE),
        *log(14, RESTARTING, PAUSE),
        *log(16, "Attempting to establish TCP connection with [AF_INET]198.51.100.1:1194"),
    ]
    assert find_refusal(client, server) == Reason("server", REVOKED)


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
    assert find_refusal(client, [f"2026-11-24 02:45:12 198.51.100.5:1 {REVOKED}"]) == Reason("server", REVOKED)


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


def test_killed_process_has_no_reason_in_its_log() -> None:
    lines = log(12, BANNER, "branch MULTI_sva: pool returned IPv4=10.8.0.2")
    assert describe_end(lines) == (
        f"its log does not say why, so it was killed or has crashed; the last line is: {lines[-1]}"
    )
    for end in ("SIGTERM[hard,] received, process exiting", "Options error: no such file"):
        assert describe_end([*lines, *log(13, end)]).endswith(end)
    assert describe_end([*lines, "2026 no device", "2026 Exiting due to fatal error"]) == "2026 no device"
    assert describe_end([]) == "its log is empty"


@pytest.mark.parametrize("advice", ["Please correct these errors.", "Please correct this error."])
def test_options_error_is_the_line_before_the_advice(advice: str) -> None:
    lines = [
        "2026-11-30 08:53:00 WARNING: Using --management on a TCP port WITHOUT passwords is STRONGLY discouraged",
        "Options error: --client-config-dir fails with '/etc/openvpn/ccd': No such file or directory (errno=2)",
        f"Options error: {advice}",
        "Use --help for more information.",
    ]
    assert find_end_reason(lines) == lines[1]


def test_refused_clients_end_reason_is_what_its_server_sent() -> None:
    refused = "AUTH: Received control message: AUTH_FAILED"
    lines = log(12, BANNER, refused, "TCP/UDP: Closing socket", "SIGTERM[soft,auth-failure] received, process exiting")
    assert find_end_reason(lines).endswith(refused)
    assert find_end_reason([*lines, *log(20, BANNER, "SIGTERM[hard,] received, process exiting")]).endswith("exiting")


# --- kinds ---------------------------------------------------------------------------------------------------

INITIATED = "[branch] Peer Connection Initiated with [AF_INET]198.51.100.5:37600"
REFUSED = "AUTH: Received control message: AUTH_FAILED"
KINDS = {
    "certificate-revoked": "VERIFY ERROR: depth=0, error=certificate revoked: CN=branch, serial=1",
    "certificate-expired": EXPIRED,
    "certificate-not-yet-valid": "VERIFY ERROR: depth=0, error=certificate is not yet valid: CN=branch, serial=1",
    "certificate-purpose": "VERIFY ERROR: depth=0, error=unsuitable certificate purpose: CN=branch, serial=1",
    "certificate-name": "VERIFY X509NAME ERROR: mallory, must be branch",
    "certificate-issuer": "VERIFY ERROR: depth=0, error=unable to get local issuer certificate: CN=branch, serial=1",
    "certificate-refused": "VERIFY SCRIPT ERROR: depth=1, CN=lab",
    "revocation-list": "VERIFY ERROR: depth=0, error=CRL has expired: CN=branch, serial=1",
    "user-password": "TLS Error: Auth Username/Password was not provided by peer",
    "no-common-cipher": "failed to negotiate cipher with peer and --data-ciphers-fallback not enabled.",
    "max-clients": "MULTI: new incoming connection would exceed maximum number of clients (1)",
    "control-channel-key": "TLS Error: cannot locate HMAC in incoming packet from [AF_INET]198.51.100.5:53279",
    "data-channel-key": "Authenticate/Decrypt packet error: cipher final failed",
    "tls-version": "TLS error: Unsupported protocol. This typically indicates that client and server have no common …",
    "tls-cipher": "TLS error: The server has no TLS ciphersuites in common with the client. Your --tls-cipher …",
    "tls-refused": "OpenSSL: error:0A00006C:SSL routines::bad key share:",
}


@pytest.mark.parametrize(("kind", "words"), KINDS.items(), ids=list(KINDS))
def test_kind_of_a_reason_in_the_servers_log(kind: str, words: str) -> None:
    # Without OpenSSL's line about a certificate.
    server = [*log(10, BANNER, UP), *log(12, words, *AFTER_A_REFUSAL[1:], prefix=PEERS["2.6"])]
    client = [*log(11, BANNER), *log(12, "Connection reset, restarting [0]", RESTARTING, PAUSE)]
    found = find_refusal(client, server)
    assert found is not None
    assert (found.end, found.kind, found.words) == ("server", kind, words)


@pytest.mark.parametrize(
    ("kind", "words"),
    {
        "remote-unresolvable": "RESOLVE: Cannot resolve host address: vpn.example:1194 (Name or service not known)",
        "proxy-refused": "HTTP proxy returned: 'HTTP/1.1 403 Forbidden'",
        "outer-refused": "TCP: connect to [AF_INET]198.51.100.1:1194 failed: Connection refused",
        "outer-unreachable": "read UDPv4 [EHOSTUNREACH]: No route to host (fd=3,code=113)",
        "outer-silent": "TLS Error: TLS key negotiation failed to occur within 60 seconds (check your network)",
    }.items(),
)
def test_kind_of_a_reason_in_the_clients_log(kind: str, words: str) -> None:
    found = find_refusal([*log(11, BANNER), *log(12, words, RESTARTING, PAUSE)], log(10, BANNER, UP))
    assert found is not None
    assert (found.end, found.kind) == ("client", kind)


@pytest.mark.parametrize(
    ("kind", "words", "after"),
    [
        ("user-password", "TLS Auth Error: Auth Username/Password verification failed for peer", INITIATED),
        (
            "client-file-missing",
            "TLS Auth Error: --client-config-dir authentication failed for common name 'branch' file='/etc/branch'",
            INITIATED,
        ),
        (
            "no-common-cipher",
            "PUSH: No common cipher between server and client. Server data-ciphers: 'AES-256-GCM', client …",
            "Delayed exit in 5 seconds",
        ),
    ],
)
def test_server_has_the_reason_for_auth_failed(kind: str, words: str, after: str) -> None:
    server = [*log(10, BANNER, UP), *log(12, words, after, "SENT CONTROL [branch]: 'AUTH_FAILED'", prefix="branch/1 ")]
    client = [*log(11, BANNER), *log(13, REFUSED, "SIGTERM[soft,auth-failure] received, process exiting")]
    found = find_refusal(client, server)
    assert found is not None
    assert (found.end, found.kind, found.words) == ("server", kind, words)
    alone = find_refusal(client, log(10, BANNER, UP))
    assert alone is not None
    assert (alone.end, alone.kind) == ("client", "authentication")


def test_reason_is_after_the_clients_last_connection() -> None:
    server = [*log(10, BANNER, UP), *log(12, EXPIRED, *AFTER_A_REFUSAL)]
    once = [*log(11, BANNER), *log(13, UP)]
    assert find_refusal(once, server) is None
    again = [*once, *log(20, "Connection reset, restarting [0]", RESTARTING, PAUSE)]
    assert find_refusal(again, [*server, *log(21, REVOKED, *AFTER_A_REFUSAL)]) == Reason("server", REVOKED)


def test_server_logs_nothing_about_why_its_client_does_not_reach_it() -> None:
    refused = "read UDPv4 [ECONNREFUSED]: Connection refused (fd=5,code=111)"
    client = [*log(11, BANNER), *log(12, "UDPv4 link remote: [AF_INET]198.51.100.1:1194")]
    assert find_refusal(client, [*log(10, BANNER, UP), *log(12, refused)]) is None
    found = find_refusal([*client, *log(13, refused)], log(10, BANNER, UP))
    assert found is not None
    assert found.kind == "outer-refused"


# --- lost packets --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "words"),
    {
        "wrong-source": "bad source address from client [10.2.0.10], packet dropped",
        "recursive-routing": "Recursive routing detected, packet dropped 10.255.0.2:1 -> [AF_INET]198.51.100.1:1194",
        "replay": "Authenticate/Decrypt packet error: bad packet ID (may be a replay): [ #12 ]",
        "data-channel-key": "Authenticate/Decrypt packet error: packet HMAC authentication failed",
        "compression-framing": "Bad LZO decompression header byte: 69",
        "fragment-framing": "FRAG_IN error flags=0x45c0003c: spurious FRAG_WHOLE flags",
        "inner-device": "write to TUN/TAP : Invalid argument (fd=-1,code=22)",
        "outer-mtu": "write UDPv4 []: Message too long (fd=3,code=90)",
    }.items(),
)
def test_words_about_a_dropped_packet(kind: str, words: str) -> None:
    lines = log(12, "MULTI: Learn: 10.2.0.10 -> branch/1", f"branch/198.51.100.5:1 MULTI: {words}")
    assert find_losses(lines) == [Loss(kind, words)]
