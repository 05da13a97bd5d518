"""Extra lines of OpenVPN in a topology: in force at their end, and confined to the node."""

from pathlib import Path

import pytest

from lab.catalogue import find_topology, load
from lab.core.errors import InputError
from lab.runtime.lab import Lab
from tests.helpers.article import expect_log, expect_passes
from tests.helpers.tunnels import ends

pytestmark = [pytest.mark.docker, pytest.mark.usually("2.6"), pytest.mark.variants]

NEW_KEYS = "TLS: soft reset"
SCRIPT_RAN = "/tmp/written-by-a-script-of-openvpn"


@pytest.mark.topology(
    "p2p-tls", tunnel={"options": {"extra": {"server": ["reneg-sec 5"], "client": "reneg-sec 0\n# a comment\n"}}}
)
def test_reneg_sec_in_extra_lines_renews_the_keys(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    hq, branch = ends(lab, tunnel)
    expect_log(tunnel.server, "renegotiate_seconds = 5", 0)
    expect_log(tunnel.client, "renegotiate_seconds = 0", 0)
    expect_log(tunnel.server, NEW_KEYS, tunnel.server.log_size())
    expect_passes(hq, branch, "ipv4")
    size = tunnel.server.log_size()
    with tunnel.configured(extra={}):
        expect_log(tunnel.server, "renegotiate_seconds = 3600", size)
        expect_passes(hq, branch, "ipv4")
        assert not tunnel.server.log_lines(NEW_KEYS, since=size)
    expect_log(tunnel.server, NEW_KEYS, tunnel.server.log_size())
    expect_passes(hq, branch, "ipv4")


@pytest.mark.topology(
    "p2p-tls",
    tunnel={
        "options": {"extra": {"client": ["script-security 2", f"route-up \"/bin/sh -c 'hostname >{SCRIPT_RAN}'\""]}},
    },
)
def test_script_in_extra_lines_runs_inside_the_node_only(lab: Lab) -> None:
    tunnel = lab.tunnel("branch", "hq")
    said = lab.node("branch").running.exec("cat", SCRIPT_RAN)
    assert said.stdout.strip() == tunnel.tunnel.client
    assert lab.node("hq").running.exec("cat", SCRIPT_RAN).failed
    assert not Path(SCRIPT_RAN).exists()


@pytest.mark.parametrize("end", ["server", "client"])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("frobnicate", "Unrecognized option or missing or extra parameter(s): frobnicate"),
        ("fragment 1200", "--fragment can only be used with --proto udp: fragment 1200"),
    ],
)
def test_line_that_openvpn_refuses_is_reported_with_its_place(end: str, line: str, said: str, tmp_path: Path) -> None:
    source = find_topology("p2p-tls").read_text().replace("transport: udp", "transport: tcp").splitlines()
    (at,) = [number for number, text in enumerate(source) if text.strip() == "options:"]
    indent = " " * (source[at].index("options") + 2)
    extra = ("extra:", f"  {end}: |", "    reneg-sec 60", f"    {line}")
    source[at + 1 : at + 1] = [indent + text for text in extra]
    file = tmp_path / "refused.clab.yml"
    file.write_text("\n".join(source))
    topology = load(file, name=f"refused-{end}")
    with pytest.raises(InputError) as caught:
        Lab.deploy(topology, directory=tmp_path / "lab")
    key = f"topology.nodes.branch.config.vars.tunnels[0].options.extra.{end}"
    assert str(caught.value) == f"{file}:{at + 5}: {key}: OpenVPN: {said}"
