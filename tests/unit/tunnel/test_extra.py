"""Extra lines of OpenVPN: rendered at the end, and found again in its errors."""

import pytest

from lab.catalogue import load
from lab.topology import ExtraLine
from lab.tunnel import modes
from lab.tunnel.extra import find_refused_line
from lab.tunnel.mode import Identity, processes
from lab.tunnel.pki import Authority

LINES = (
    ExtraLine("reneg-sec 60", "x.yml:7"),
    ExtraLine("frobnicate", "x.yml:8"),
    ExtraLine("fragment 1200", "x.yml:9"),
)
TEXT = "dev tun0\nverb 4\n# These lines\nreneg-sec 60\nfrobnicate\nfragment 1200\n"


@pytest.mark.parametrize("mode", sorted(modes()))
def test_extra_lines_end_the_configuration_of_their_end(mode: str) -> None:
    (tunnel,) = load("article").tunnels
    extra = {"server": ["reneg-sec 60", "explicit-exit-notify 1"], "client": "reneg-sec 0\n"}
    given = {**(tunnel.options if mode == "iroute" else {}), "extra": extra}
    tunnel = tunnel.model_copy(update={"mode": mode, "transport": "udp", "options": given})
    files = modes()[mode].render(tunnel, Identity.issue(tunnel, Authority.new("test")))
    texts = {
        end: next(file.content for file in files[end] if file.path == process.configuration)
        for end, process in processes(tunnel).items()
    }
    assert texts["server"].endswith("topology file.\nreneg-sec 60\nexplicit-exit-notify 1\n")
    assert texts["client"].endswith("topology file.\nreneg-sec 0\n")


@pytest.mark.parametrize(
    ("reason", "place", "why"),
    [
        (
            "Options error: Unrecognized option or missing or extra parameter(s) in /etc/openvpn/server/x.conf:5: "
            "frobnicate (2.7.8)",
            "x.yml:8",
            "Unrecognized option or missing or extra parameter(s)",
        ),
        (
            "2026-11-30 04:14:17 us=12 Options error: --fragment can only be used with --proto udp",
            "x.yml:9",
            "--fragment can only be used with --proto udp",
        ),
    ],
)
def test_refused_line_is_found_by_number_or_by_option(reason: str, place: str, why: str) -> None:
    found = find_refused_line(reason, TEXT, LINES)
    assert found is not None
    assert (found[0].at, found[1]) == (place, why)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("Options error: Unrecognized option in /etc/openvpn/server/x.conf:1: dev (2.7.8)", TEXT),
        ("Options error: Unrecognized option in /etc/openvpn/server/x.conf:5: x (2.7.8)", TEXT + "verb 5\n"),
        ("Options error: --port-share only works in TCP server mode", TEXT),
    ],
)
def test_errors_of_other_lines_have_no_place_in_the_topology(reason: str, text: str) -> None:
    assert find_refused_line(reason, text, LINES) is None
