"""A lab that cannot be deployed reports one line with the ended program's output, and leaves nothing behind."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lab.catalogue import load
from lab.core.errors import CommandFailed, EnvironmentBroken, InputError, LabError
from lab.core.files import RenderedFile
from lab.engine import Engine
from lab.routing import RouterPlan
from lab.routing.frr.frr import Frr
from lab.runtime.destroy import destroy
from lab.runtime.lab import Lab
from lab.status.filled import fill_files
from lab.topology import Topology
from tests.helpers.labs import PAIR, Deploy, Write, assert_nothing_left, bystander, names_of_host

pytestmark = pytest.mark.docker

Fails = Callable[..., LabError]


@pytest.fixture
def fails(deploy: Deploy, engine: Engine, tmp_path: Path) -> Fails:
    """Deploy a lab that fails, check that nothing is left, and return the error."""

    def fails(topology: Topology, kind: type[LabError] = EnvironmentBroken) -> LabError:
        before = names_of_host()
        with pytest.raises(kind) as caught:
            deploy(topology)
        assert_nothing_left(topology.name, engine, tmp_path / "labs" / topology.name)
        assert names_of_host() - before == set()
        assert len(str(caught.value).splitlines()) == 1, caught.value
        return caught.value

    return fails


def notes(error: LabError) -> str:
    return "\n".join(getattr(error, "__notes__", []))


@pytest.mark.parametrize(
    "links",
    [
        pytest.param('[{endpoints: ["dying:eth1", "two:eth1"]}]', id="first-end"),
        pytest.param('[{endpoints: ["two:eth1", "dying:eth1"]}]', id="second-end"),
        pytest.param("[]", id="no-wire"),
    ],
)
def test_node_that_ends_is_named_with_its_last_output(write: Write, fails: Fails, links: str) -> None:
    (directory_of(write) / "die").mkdir()
    nodes = """{
        dying: {cmd: 'sh -c "echo I give up; touch /die/now; exit 3"', binds: [die:/die]},
        two: {exec: ['sh -c "until [ -e /die/now ]; do sleep 0.01; done"'], binds: [die:/die]},
    }"""
    error = fails(write(f"nodes: {nodes}\nlinks: {links}"))
    assert "'dying' ended with exit code 3" in str(error)
    assert "two" not in str(error)
    assert notes(error) == "dying printed before it ended:\nI give up"


def test_node_that_ends_later_is_reported_the_same_way(write: Write, fails: Fails) -> None:
    """A command of the topology on another node notices it first."""
    nodes = """
        dying: {cmd: 'sh -c "until [ -e /die/now ]; do sleep 0.01; done; echo I give up; exit 3"', binds: [die:/die]}
        two: {exec: ['touch /die/now; until ! ping -c 1 -W 1 192.0.2.1; do :; done; exit 7'], binds: [die:/die]}
    """
    links = '- {endpoints: ["dying:eth1", "two:eth1"], ipv4: [192.0.2.1/30, 192.0.2.2/30]}'
    (directory_of(write) / "die").mkdir()
    error = fails(write(f"nodes:{nodes}\nlinks:\n  {links}"))
    assert "'dying' ended with exit code 3" in str(error)
    assert "I give up" in notes(error)


def directory_of(write: Write) -> Path:
    return write("nodes: {one: {}}").file.parent


@pytest.mark.parametrize("cpu", [1, 0.01], ids=["soon", "late"])
def test_unknown_program_is_named(write: Write, fails: Fails, cpu: float) -> None:
    error = fails(write(f"nodes: {{one: {{cmd: no-such-program, cpu: {cpu}}}}}"))
    assert "'one' ended with exit code 127" in str(error)
    assert "no-such-program" in notes(error)


def test_unknown_entrypoint_is_named(write: Write, fails: Fails) -> None:
    error = fails(write("nodes: {one: {entrypoint: /no/such/program}, two: {}}"))
    assert "one" in str(error)
    assert "/no/such/program" in str(error)


@pytest.mark.parametrize("policy", ["IfNotPresent", "Never", "Always"])
def test_missing_image_is_named(write: Write, fails: Fails, policy: str) -> None:
    # The registry's name does not resolve (RFC 6761), so the test does not depend on the network.
    image = "registry.invalid/no-such/image:1"
    node = f"{{image: {image}, image-pull-policy: {policy}}}"
    error = fails(write(f"nodes: {{one: {node}, two: {{}}}}"), InputError)
    assert image in str(error)
    assert "'one'" in str(error)


def test_failing_exec_is_named(write: Write, fails: Fails) -> None:
    error = fails(write("nodes: {one: {exec: ['echo all is well', 'echo no luck >&2; exit 9']}}"), CommandFailed)
    assert str(error).startswith("one: ")
    assert "ended with 9: no luck" in str(error)


def test_taken_container_name_is_refused(write: Write, fails: Fails, engine: Engine, name: str) -> None:
    with bystander(engine, f"clab-{name}-two") as other:
        error = fails(write(PAIR), InputError)
        assert f"'clab-{name}-two'" in str(error)
        assert destroy(name, engine=engine) is False
        assert not engine.exec(other, ["true"]).failed


def test_configuration_that_frr_refuses_is_quoted(name: str, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    render = Frr.render

    def misspelt(self: Frr, plan: RouterPlan) -> Sequence[RenderedFile]:
        files = render(self, plan)
        return [
            RenderedFile(f.path, f"{f.content}\nrooter bgp 65001\n") if f.path.name == "frr.conf" else f for f in files
        ]

    monkeypatch.setattr(Frr, "render", misspelt)
    error = fails(load("article", name=name))
    assert "FRR did not start" in str(error)
    assert "rooter bgp 65001" in str(error)


def test_option_that_openvpn_refuses_is_quoted(name: str, fails: Fails) -> None:
    topology = load("article", name=name, tunnel={"options": {"data-ciphers": ["NO-SUCH-CIPHER"]}})
    error = fails(topology)
    assert "OpenVPN server of branch-hq ended" in str(error)
    assert str(error).startswith("hq: ")
    assert "NO-SUCH-CIPHER" in str(error) or "data-ciphers" in str(error)


def test_taken_port_is_reported(name: str, fails: Fails) -> None:
    topology = load("article", name=name)
    hq = topology.nodes["hq"].model_copy(update={"exec": ("iperf3 --server --daemon --port 1194",)})
    error = fails(topology.model_copy(update={"nodes": {**topology.nodes, "hq": hq}}))
    assert "OpenVPN server of branch-hq ended" in str(error)
    assert "Address already in use" in str(error)


def test_failed_lab_can_be_kept(write: Write, deploy: Deploy, engine: Engine, name: str) -> None:
    with pytest.raises(CommandFailed):
        deploy(write("nodes: {one: {exec: ['exit 9']}}"), keep_failed=True)
    with Lab.attach(name, engine=engine) as lab:
        assert not lab.node("one").exec("true").failed
    assert destroy(name, engine=engine)


def test_failed_lab_leaves_a_diagnosis(write: Write, deploy: Deploy, tmp_path: Path) -> None:
    """Even if it fails before any daemon starts."""
    for node in ("""{cmd: 'sh -c "echo I give up; exit 3"'}""", "{image: 'registry.invalid/no-such/image:1'}"):
        into = tmp_path / str(len(node))
        with pytest.raises(LabError):
            deploy(write(f"nodes: {{dying: {node}, two: {{}}}}"), diagnose_into=into)
        assert (into / "two" / "state.txt").read_text().startswith("running ")
        assert "eth1" not in (into / "two" / "addresses.txt").read_text()
    assert (
        tmp_path / str(len("""{cmd: 'sh -c "echo I give up; exit 3"'}""")) / "dying" / "container-output.txt"
    ).exists()


def test_foreign_directory_is_not_touched(write: Write, deploy: Deploy, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="holds no lab"):
        deploy(write(PAIR), directory=precious)
    assert (precious / "thesis.txt").read_text() == "years of work"


def test_directory_of_a_running_lab_is_refused_to_another(
    write: Write, deploy: Deploy, tmp_path: Path, name: str
) -> None:
    lab = deploy(write(PAIR))
    other = write(PAIR).model_copy(update={"name": f"{name}-other"})
    with pytest.raises(InputError, match=name):
        deploy(other, directory=lab.directory)
    assert (lab.directory / "topology.json").exists()


@pytest.mark.parametrize("wrong", ["..", ".", "", "../precious", "/"])
def test_down_refuses_an_invalid_lab_name(
    wrong: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lab down ..` must not remove the directory above `.lab`."""
    monkeypatch.chdir(tmp_path)
    for directory in (tmp_path, tmp_path / ".lab", tmp_path / "precious"):
        directory.mkdir(exist_ok=True)
        (directory / "topology.json").write_text("somebody's map")
    with pytest.raises(InputError):
        destroy(wrong, engine=engine)
    assert (tmp_path / "topology.json").exists()
    assert (tmp_path / "precious" / "topology.json").exists()


@pytest.mark.parametrize("source", ["__clabNodeDir__/missing", "__clabDir__/../missing", "__clabDir__/nodes/other"])
def test_missing_source_of_a_bind_is_not_made(
    write: Write, deploy: Deploy, engine: Engine, name: str, tmp_path: Path, source: str
) -> None:
    """The reader cannot check such a source: the lab's directory is not there before the lab is."""
    topology = write(f"nodes: {{one: {{kind: linux, binds: ['{source}:/source']}}}}")
    with pytest.raises(InputError, match=r"one.*the source .* of a bind does not exist: make it first"):
        deploy(topology)
    assert not list(tmp_path.rglob("missing"))
    assert not engine.find(name)


def test_sources_of_binds_that_containerlab_makes_are_there(write: Write, deploy: Deploy) -> None:
    files = ("ansible-inventory.yml", "topology-data.json")
    binds = [f"__clabDir__/{name}:/{name}" for name in (*files, ".tls/ca")]
    lab = deploy(write(f"nodes: {{one: {{kind: linux, binds: {binds}}}}}"))
    node = lab.node("one")
    assert node.exec("ls", "/.tls/ca").stdout.split() == ["ca.key", "ca.pem"]
    assert [node.exec("cat", f"/{name}").stdout for name in files] == ["", ""]
    fill_files(lab)
    inventory, data = (node.exec("cat", f"/{name}").stdout for name in files)
    assert node.name in inventory
    assert list(json.loads(data)["nodes"]) == ["one"]
