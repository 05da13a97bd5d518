"""The options at fault where one end of a tunnel refuses the other."""

from pathlib import Path

import pytest

from lab.tunnel.mode import End
from lab.tunnel.reason import Reason
from lab.why.cause import Cause
from lab.why.refusal import REFUSALS, Refusal, cause_of
from tests.helpers.openvpn_ends import end

UNREADABLE = "TLS Error: incoming packet authentication failed from [AF_INET]198.51.100.5:49940"
STATIC = "Authenticate/Decrypt packet error: packet HMAC authentication failed"
ONE, OTHER = (f"<{{}}>\n# 2048 bit\n{digit * 32}\n</{{}}>\n" for digit in "12")


def cause(root: Path, reason: Reason, server: str, client: str) -> Cause:
    here, there = end(root, "server", server), end(root, "client", client)
    found = cause_of(Refusal(reason, *((here, there) if reason.end == "server" else (there, here))))
    assert found is not None
    assert found.evidence[0].seen == reason.words
    return found


@pytest.mark.parametrize("which", ["server", "client"])
def test_certificate_of_the_wrong_purpose(tmp_path: Path, which: End) -> None:
    words = "VERIFY ERROR: depth=0, error=unsuitable certificate purpose: CN=x"
    found = cause(
        tmp_path,
        Reason(which, f"{words}, serial=12"),
        "mode server\nremote-cert-tls client\n",
        "client\nremote-cert-tls server\n",
    )
    assert found.kind == "certificate-purpose"
    here, there, usage, file = {
        "server": ("hq", "branch", "clientAuth", "server"),
        "client": ("branch", "hq", "serverAuth", "client"),
    }[which]
    assert found.what == f"{here} refuses {there}'s certificate: it is not for this purpose ({words})"
    assert f"`{usage}`" in found.mend
    assert f"({here}:/etc/openvpn/{file}/branch-hq.conf:2)" in found.mend


def test_words_with_braces_are_kept(tmp_path: Path) -> None:
    found = cause(tmp_path, Reason("server", "VERIFY ERROR: depth=0, error={odd}: CN={x}"), "mode server\n", "client\n")
    assert "{odd}: CN={x}" in found.what


@pytest.mark.parametrize(
    ("server", "client", "what"),
    [
        ("tls-crypt k\n", "", "hq has `tls-crypt` and branch has none"),
        ("", "tls-auth k 1\n", "branch has `tls-auth` and hq has none"),
        ("tls-crypt-v2 k\n", "tls-crypt k\n", "hq has `tls-crypt-v2` and branch has `tls-crypt`"),
        (ONE.replace("{}", "tls-crypt"), OTHER.replace("{}", "tls-crypt"), "different keys of `tls-crypt`"),
        (
            ONE.replace("{}", "tls-auth") + "key-direction 0\nauth SHA512\n",
            ONE.replace("{}", "tls-auth") + "key-direction 1\n",
            "branch has `auth SHA1`, hq has `auth SHA512`",
        ),
        (
            ONE.replace("{}", "tls-auth") + "key-direction 1\n",
            ONE.replace("{}", "tls-auth"),
            "no direction at branch and direction 1 at hq",
        ),
    ],
)
def test_control_channel_keys_are_compared(tmp_path: Path, server: str, client: str, what: str) -> None:
    found = cause(tmp_path, Reason("server", UNREADABLE), "mode server\n" + server, "client\n" + client)
    assert found.kind == "control-channel-key"
    assert what in found.what


def test_control_channel_keys_without_a_difference_are_not_blamed(tmp_path: Path) -> None:
    same = ONE.replace("{}", "tls-auth")
    found = cause(tmp_path, Reason("server", UNREADABLE), f"{same}key-direction 0\n", f"{same}key-direction 1\n")
    assert "does not fit" in found.what
    assert "different" not in found.what


@pytest.mark.parametrize(
    ("server", "client", "what"),
    [
        (ONE, OTHER, "the two ends have different keys"),
        (ONE + "cipher AES-256-CBC\n", ONE + "cipher AES-128-CBC\n", "branch has `cipher AES-128-CBC`, hq has"),
        (ONE + "auth SHA256\n", ONE, "branch has `auth SHA1`, hq has `auth SHA256`"),
        (ONE + "key-direction 0\n", ONE + "key-direction 0\n", "direction 0 at branch and direction 0 at hq"),
    ],
)
def test_static_keys_are_compared(tmp_path: Path, server: str, client: str, what: str) -> None:
    texts = [text.replace("{}", "secret") for text in (server, client)]
    found = cause(tmp_path, Reason("server", STATIC), *texts)
    assert found.kind == "data-channel-key"
    assert what in found.what


def test_last_direction_of_a_key_counts(tmp_path: Path) -> None:
    found = cause(tmp_path, Reason("server", STATIC), "secret k 0\n", "secret k 1\nkey-direction 0\n")
    assert "direction 0 at branch and direction 0 at hq" in found.what


def test_ciphers_of_both_ends_are_named(tmp_path: Path) -> None:
    words = "PUSH: No common cipher between server and client. Server data-ciphers: 'AES-256-GCM', …"
    found = cause(
        tmp_path,
        Reason("server", words),
        "mode server\ndata-ciphers AES-256-GCM\n",
        "client\ndata-ciphers AES-128-GCM\n",
    )
    assert found.kind == "no-common-cipher"
    assert "hq has AES-256-GCM, branch has AES-128-GCM" in found.what
    assert "hq:/etc/openvpn/server/branch-hq.conf:2 and branch:/etc/openvpn/client/branch-hq.conf:2" in found.mend


def test_arguments_of_the_command_line_are_in_force(tmp_path: Path) -> None:
    found = end(tmp_path, "client", "client\nport 1194\n", "--port", "1999", "--nobind")
    port = found.last("port")
    assert port is not None
    assert port.argument(0) == "1999"
    assert found.last("nobind") is not None
    assert found.place("port") == "the command line of OpenVPN on branch"
    assert found.place("client").endswith("branch-hq.conf:1")


def test_silence_is_no_refusal(tmp_path: Path) -> None:
    here, there = end(tmp_path, "client", "client\n"), end(tmp_path, "server", "mode server\n")
    words = "TLS Error: TLS key negotiation failed to occur within 60 seconds"
    assert cause_of(Refusal(Reason("client", words), here, there)) is None
    assert "outer-silent" not in REFUSALS


def test_certificate_of_an_unknown_authority_names_both_ends(tmp_path: Path) -> None:
    words = "VERIFY ERROR: depth=0, error=unable to get local issuer certificate: CN=branch"
    found = cause(tmp_path, Reason("server", f"{words}, serial=3"), "mode server\nca ca.crt\n", "client\n")
    assert found.kind == "certificate-issuer"
    assert "it is not issued by an authority that hq trusts" in found.what
    assert "in `ca` (hq:/etc/openvpn/server/branch-hq.conf:2)" in found.mend


def test_comments_in_a_key_do_not_matter(tmp_path: Path) -> None:
    same = ONE.replace("{}", "tls-crypt")
    found = cause(tmp_path, Reason("server", UNREADABLE), same, same.replace("# 2048 bit", "# made on another host"))
    assert "different" not in found.what
