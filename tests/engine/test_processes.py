"""Labs and the processes that deploy them: killed midway, concurrent, or taken over by another process."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.core.expect import Expectation, wait_for
from lab.core.process import is_alive, this_process
from lab.engine import Engine, NodeState
from lab.runtime.destroy import destroy
from lab.runtime.lab import Lab
from lab.runtime.owner import sweep
from lab.runtime.registry import running_labs
from lab.runtime.store import LabDirectory
from lab.topology import Topology
from tests.helpers.labs import PAIR, Deploy, Write, assert_nothing_left, bystander, new_name, topology

pytestmark = pytest.mark.docker

HERE = Path(__file__).parents[2]


@dataclass(frozen=True)
class Deploying:
    """A process that deploys a lab below its working directory."""

    process: subprocess.Popen[str]
    name: str
    directory: Path

    def read_until(self, start: str) -> str:
        """Read its output up to a line with this prefix, and return the line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(start):
                return line.rstrip()
        raise AssertionError(f"it never said {start!r}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> int:
        """Let the process exit; the lab keeps running."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait()


Start = Callable[..., Deploying]


@pytest.fixture
def start(tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Deploy a lab in another process, which is killed and whose lab is taken down after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    started: list[Deploying] = []

    def start(topology: str = "article", name: str | None = None, *options: str) -> Deploying:
        name = name or new_name()
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.deploying", topology, name, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        started.append(Deploying(process, name, LabDirectory.default(name).path))
        return started[-1]

    yield start
    for deploying in started:
        deploying.kill()
        for pipe in (deploying.process.stdin, deploying.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        destroy(deploying.name, engine=engine)


# --- killed ------------------------------------------------------------------------------------------------


def when_a_container_exists(deploying: Deploying, engine: Engine) -> None:
    deploying.read_until("starting 5 nodes")
    wait_for(Expectation("a container", deploying.name, lambda: engine.find(deploying.name), bool), within=30)


def when_the_directory_exists(deploying: Deploying, engine: Engine) -> None:
    deploying.read_until("starting 5 nodes")


def while_connecting(deploying: Deploying, engine: Engine) -> None:
    deploying.read_until("connecting nodes")


def when_connected(deploying: Deploying, engine: Engine) -> None:
    deploying.read_until("starting OpenVPN")


def while_daemons_start(deploying: Deploying, engine: Engine) -> None:
    deploying.read_until("starting frr")
    log = deploying.directory / "nodes/hq/var/log/openvpn/branch-hq.server.log"
    wait_for(Expectation("OpenVPN's log", "hq", log.exists, bool), within=30)


def while_it_waits_for_routes(deploying: Deploying, engine: Engine) -> None:
    deploying.read_until("waiting")


@pytest.mark.parametrize(
    "moment",
    [
        when_the_directory_exists,
        pytest.param(when_a_container_exists, marks=pytest.mark.thorough),
        pytest.param(while_connecting, marks=pytest.mark.thorough),
        when_connected,
        pytest.param(while_daemons_start, marks=pytest.mark.thorough),
        while_it_waits_for_routes,
    ],
)
def test_lab_of_a_killed_process_is_found_completely(
    moment: Callable[[Deploying, Engine], None],
    start: Start,
    write: Write,
    deploy: Deploy,
    engine: Engine,
) -> None:
    other = deploy(write(PAIR))
    deploying = start()
    with bystander(engine, f"clab-{deploying.name}-hq2") as container:
        moment(deploying, engine)
        deploying.kill()
        assert deploying.directory.exists()

        assert destroy(deploying.name, engine=engine)

        assert_nothing_left(deploying.name, engine, deploying.directory)
        assert not deploying.directory.parent.exists(), "the last lab removes `.lab`"
        assert not engine.exec(container, ["true"]).failed
    assert other.name in running_labs(engine)
    for family in ("ipv4", "ipv6"):
        other.node("one").expect_reaches(other.node("two").address(family))
    assert not destroy(deploying.name, engine=engine), "it is already gone"


def test_lab_of_a_killed_process_can_be_deployed_again_after_down(start: Start, engine: Engine) -> None:
    killed = start()
    when_a_container_exists(killed, engine)
    killed.kill()
    again = start("article", killed.name)
    refusal = again.read_until("InputError")
    assert f"`lab down {killed.name}`" in refusal
    assert again.close() == 2
    destroy(killed.name, engine=engine)
    third = start("article", killed.name)
    third.read_until("up")


# --- swept -------------------------------------------------------------------------------------------------


def test_sweep_removes_only_labs_of_ended_processes(
    start: Start, write: Write, deploy: Deploy, engine: Engine, tmp_path: Path
) -> None:
    """Other labs may run on this host, so check only the test's own."""
    file = str(write(PAIR).file)
    orphan, unowned, living = start(file, None, "owned"), start(file), start(file, None, "owned")
    for deploying in (orphan, unowned, living):
        deploying.read_until("up")
    mine = deploy(write(PAIR), owner=this_process())
    orphan.kill()
    unowned.kill()

    swept = sweep(engine)

    assert orphan.name in swept
    assert not {unowned.name, living.name, mine.name} & set(swept)
    assert_nothing_left(orphan.name, engine, orphan.directory)
    assert {unowned.name, living.name, mine.name} <= set(running_labs(engine))


def test_lab_of_a_zombie_is_swept(start: Start, write: Write, engine: Engine) -> None:
    """Without an init process a killed process stays a zombie until its parent waits for it."""
    deploying = start(str(write(PAIR).file), None, "owned")
    deploying.read_until("up")
    owner = engine.find(deploying.name)[0].owner
    assert is_alive(owner)
    deploying.process.kill()
    stat = Path(f"/proc/{deploying.process.pid}/stat")
    wait_for(Expectation("a zombie", "test", stat.read_text, lambda text: ") Z " in text), within=30)
    assert not is_alive(owner)
    assert deploying.name in sweep(engine)


# --- several -----------------------------------------------------------------------------------------------


def test_one_of_two_processes_gets_a_lab_name(start: Start, write: Write, engine: Engine) -> None:
    file, name = str(write(PAIR).file), new_name()
    rivals = [start(file, name) for _ in range(2)]
    ends = [(rival.process.stdout, rival) for rival in rivals]
    said = []
    for stdout, rival in ends:
        assert stdout is not None
        line = next(line for line in stdout if line.startswith(("up", "InputError")))
        said.append(line.split(":")[0].strip())
        if line.startswith("InputError"):
            assert f"a lab named {name!r} is running already" in line
            assert rival.close() == 2
    assert sorted(said) == ["InputError", "up"]
    with Lab.attach(name, engine=engine) as lab:
        lab.node("one").expect_reaches(lab.node("two").address("ipv4"))


def test_name_of_a_running_lab_is_refused(write: Write, deploy: Deploy) -> None:
    lab = deploy(write(PAIR))
    with pytest.raises(InputError, match=f"a lab named '{lab.name}' is running already"):
        deploy(write(PAIR))
    lab.node("one").expect_reaches(lab.node("two").address("ipv6"))
    assert (lab.directory / "topology.json").exists()


def test_two_labs_of_one_topology_are_independent(start: Start, engine: Engine) -> None:
    """Two processes deploy the same topology at once, with the same addresses and ports."""
    first, second = start(), start()
    for deploying in (first, second):
        deploying.read_until("up")
        assert deploying.close() == 0

    def crosses(lab: Lab) -> None:
        for family in ("ipv4", "ipv6"):
            address = lab.host("branch-lan").address(family)
            lab.host("hq-lan").expect_reaches(address)

    with Lab.attach(first.name, engine=engine) as one, Lab.attach(second.name, engine=engine) as other:
        crosses(one)
        crosses(other)
        prefix = one.free_prefix("ipv4")
        with one.router("hq").announced(prefix):
            one.router("branch").expect_route(prefix)
            assert prefix not in other.router("branch").fib.routes(), "a route of one lab is in the other"
        one.destroy()
        assert_nothing_left(first.name, engine, first.directory)
        assert second.directory.exists()
        other.wait_ready()
        crosses(other)


# --- taken over ----------------------------------------------------------------------------------------------


def test_another_process_can_take_over_a_lab(start: Start, engine: Engine) -> None:
    deploying = start()
    deploying.read_until("up")
    assert deploying.close() == 0

    with Lab.attach(deploying.name, engine=engine) as lab:
        assert lab.directory == deploying.directory
        assert lab.topology.name == deploying.name
        assert {i.state for i in lab.nodes.values()} == {NodeState.RUNNING}
        before = lab.tunnel("branch", "hq").status()
        assert (before.server, before.client) == ("hq", "branch")
        prefix = lab.free_prefix("ipv6")
        lab.router("branch").announce(prefix)
        lab.router("hq").expect_route(prefix, via=lab.tunnel("branch", "hq").device("hq"))

    with Lab.attach(deploying.name, engine=engine) as lab:
        # All state is in the lab itself: the next process withdraws what the previous one announced.
        lab.router("branch").withdraw(prefix)
        lab.router("hq").expect_no_route(prefix)
        tunnel = lab.tunnel("branch", "hq")
        assert tunnel.status().server_pid == before.server_pid
        with tunnel.configured(hand_out="client-config-dir"):
            # The authority's key issued the certificates.
            lab.wait_ready()
        lab.wait_ready()


def test_lab_without_its_directory_can_only_be_taken_down(
    write: Write, deploy: Deploy, engine: Engine, name: str
) -> None:
    lab = deploy(write(PAIR))
    (lab.directory / "topology.json").unlink()
    with pytest.raises(InputError) as caught:
        Lab.attach(name, engine=engine)
    assert len(str(caught.value).splitlines()) == 1
    assert str(lab.directory) in str(caught.value)
    assert destroy(name, engine=engine)
    assert engine.find(name) == []


def test_unknown_lab_name_is_refused(engine: Engine, write: Write, deploy: Deploy) -> None:
    lab = deploy(write(PAIR))
    with pytest.raises(InputError, match=rf"no lab named 'life-none' is running; running are .*{lab.name}"):
        Lab.attach("life-none", engine=engine)


def test_default_directory_is_below_the_working_directory_and_removed_with_the_lab(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    pair: Topology = topology(tmp_path, name, PAIR)
    lab = Lab.deploy(pair, engine=engine, owner=this_process())
    assert lab.directory == tmp_path / ".lab" / name
    assert (tmp_path / ".lab" / ".gitignore").read_text() == "*\n"
    assert lab.directory.stat().st_mode & 0o077 in (0, 0o055)
    monkeypatch.chdir("/")
    lab.destroy()
    assert not (tmp_path / ".lab").exists()
