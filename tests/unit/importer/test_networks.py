"""The imported topologies of `topologies/networks`: they are what `lab import` makes of the files beside them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lab.catalogue import load
from lab.importer import Import, import_hosts
from tests.helpers.networks import ALL, NETWORKS, Network

SECRETS = ("PRIVATE KEY-----\nM", "Static key V1-----\n0")


@pytest.mark.parametrize("network", ALL, ids=lambda network: network.name)
def test_topology_is_what_import_makes(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for host in network.hosts:
        shutil.copytree(NETWORKS / network.name / host, tmp_path / network.name / host)
    monkeypatch.chdir(tmp_path)
    made = network.imported(Path())
    assert not made.questions
    assert not made.counterparts
    for file in made.files:
        assert (NETWORKS / file.path).read_text() == file.text, f"run `lab import` again: {file.path}"


@pytest.mark.parametrize("network", ALL, ids=lambda network: network.name)
def test_topology_has_the_tunnels_and_routers_of_the_files(network: Network) -> None:
    topology = load(NETWORKS / f"{network.name}.clab.yml")
    assert {end for tunnel in topology.tunnels for end in (tunnel.server, tunnel.client)} == set(network.hosts)
    assert topology.own_routers.keys() <= set(network.hosts)


@pytest.mark.parametrize("network", ALL, ids=lambda network: network.name)
def test_files_have_no_keys_and_mended_files_replace_others(network: Network) -> None:
    files = [path for path in (NETWORKS / network.name).rglob("*") if path.is_file()]
    assert not [path for path in files if any(secret in path.read_text() for secret in SECRETS)]
    mended = NETWORKS / network.name / "mended"
    changed = [path for path in files if path.is_relative_to(mended)]
    assert changed
    for path in changed:
        before = NETWORKS / network.name / path.relative_to(mended)
        assert before.read_text() != path.read_text()


@pytest.mark.parametrize("network", ALL, ids=lambda network: network.name)
def test_summary_names_what_2_7_refuses(network: Network, tmp_path: Path) -> None:
    """The files have no line that 2.7 refuses; one that is added to a file is named with its place."""
    copies = {host: Path(shutil.copytree(NETWORKS / network.name / host, tmp_path / host)) for host in network.hosts}
    before = import_hosts(copies, tmp_path / "x.clab.yml", openvpn="2.7")
    assert before.openvpn == "2.7"
    assert {option.effect for option in before.old_options} == {"ignored"}
    host = network.hosts[0]
    (config,) = (path for path in copies[host].rglob("*.conf") if "openvpn" in path.parts)
    text = config.read_text() + "\nkeysize 256\n"
    config.write_text(text)
    made = import_hosts(copies, tmp_path / "x.clab.yml", openvpn="2.7")
    (refused,) = (option for option in made.old_options if option.what.startswith("OpenVPN 2.7 refuses "))
    place = f"{config.relative_to(tmp_path)}:{len(text.splitlines())}"
    assert (refused.host, refused.place) == (host, place)
    assert "'keysize'" in refused.what
    assert any(note.node == host and note.text == f"{place}: {refused.what}" for note in made.notes)


def test_network_with_the_address_of_a_tunnels_end_is_no_loopback(importing: Callable[..., Import]) -> None:
    made = importing("edgeos")
    nodes = yaml.safe_load(made.files[0].text)["topology"]["nodes"]
    assert not any("10.61.0." in command for node in nodes.values() for command in node.get("exec", ()))
