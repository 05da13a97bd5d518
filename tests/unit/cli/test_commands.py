"""Commands against labs on paper: what they print, and with which exit code."""

import json
from pathlib import Path

import pytest

from lab.core.errors import EnvironmentBroken
from lab.engine import LabNetwork, NodeState
from tests.helpers.paper import Program

STATUS = {
    "lab",
    "topology",
    "directory",
    "up",
    "nodes",
    "tunnels",
    "sessions",
    "faults",
    "links",
    "remarks",
    "processes",
}
NODE = {"name", "kind", "state", "image", "health", "role", "daemon", "asn"}
TUNNEL = {
    *("name", "mode", "transport", "server", "client", "up", "reason", "real_address", "cipher", "mtu"),
    *("channel", "connected_since", "uptime", "bytes_to_server", "bytes_to_client", "addresses", "deprecated"),
}
SESSION = {
    "node",
    "neighbor",
    "protocol",
    "address",
    "asn",
    "state",
    "uptime",
    "prefixes_received",
    "reason",
    "bfd",
    "vrf",
}


def test_status_of_a_dead_lab_is_a_table_and_a_failed_check(lab: Program) -> None:
    lab.lay_out("dead", {"hq": NodeState.STOPPED, "branch": NodeState.PAUSED, "transit": NodeState.ABSENT})
    result = lab("status", "--json")
    assert result.exit_code == 1
    status = json.loads(result.stdout)
    assert set(status) == STATUS
    assert status["up"] is False
    states = {node["name"]: node["state"] for node in status["nodes"]}
    assert states["hq"], states["transit"] == ("stopped", "absent")
    assert all(set(node) == NODE for node in status["nodes"])
    (tunnel,) = status["tunnels"]
    assert set(tunnel) == TUNNEL
    assert tunnel["reason"] == "hq is stopped, branch is paused"
    assert all(set(session) == SESSION for session in status["sessions"])
    assert {session["reason"] for session in status["sessions"]} == {"hq is stopped", "branch is paused"}
    shown = lab("status")
    assert shown.exit_code == 1
    assert "down: hq is stopped" in shown.stdout


def test_dead_process_is_reported_with_its_reason(lab: Program) -> None:
    directory = lab.lay_out("dead")
    log = directory / "nodes/branch/var/log/openvpn/branch-hq.client.log"
    log.write_text("AUTH_FAILED\nMANAGEMENT: Client connected\n2026 MANAGEMENT: CMD 'state'\n\n")
    result = lab("status", "--json")
    assert result.exit_code == 1
    (tunnel,) = json.loads(result.stdout)["tunnels"]
    assert tunnel["up"] is False
    assert "does not run" in tunnel["reason"]


def test_roles(lab: Program) -> None:
    lab.lay_out("dead")
    nodes = {n["name"]: n for n in json.loads(lab("status", "--json").stdout)["nodes"]}
    assert [nodes[n]["role"] for n in ("hq", "transit", "hq-lan")] == ["router", "static router", "host"]
    assert (nodes["hq"]["daemon"], nodes["hq"]["asn"]) == ("frr", 65001)


def test_list(lab: Program) -> None:
    assert lab("list", "--json").stdout == "[]\n"
    assert lab("list").stdout == ""
    lab.lay_out("half", {"hq": NodeState.STOPPED, "transit": NodeState.ABSENT})
    (one,) = json.loads(lab("list", "--json").stdout)
    assert set(one) == {"name", "engine", "nodes_running", "nodes_total", "topology", "directory"}
    assert (one["name"], one["nodes_running"], one["nodes_total"]) == ("half", 3, 5)
    assert "3/5" in lab("list").stdout


def test_list_shows_a_lab_without_its_directory(lab: Program) -> None:
    (lab.lay_out("lost") / "topology.json").unlink()
    (one,) = json.loads(lab("list", "--json").stdout)
    assert one["topology"] is None


def test_down_by_name_by_file_and_all(lab: Program) -> None:
    file = lab.directory / "mine.clab.yml"
    file.write_text("name: mine\ntopology:\n  nodes:\n    a: {kind: linux, image: x}\n")
    for name in ("one", "two", "three", "mine"):
        lab.lay_out(name)
    assert lab("down", "one").exit_code == 0
    assert lab("down", str(file)).exit_code == 0
    assert {i.lab for i in lab.engine.find()} == {"two", "three"}
    assert lab("down", "--all").exit_code == 0
    assert lab.engine.find() == []
    assert [path.name for path in lab.directory.iterdir()] == [file.name]


def test_lab_that_has_only_a_network_is_listed_and_taken_down(lab: Program) -> None:
    lab.engine.left = [LabNetwork("killed", lab.directory / "gone")]
    (row,) = json.loads(lab("list", "--json").stdout)
    assert (row["name"], row["nodes_running"], row["topology"]) == ("killed", 0, None)
    assert lab("down").stderr.endswith("lab killed is down\n")
    assert json.loads(lab("list", "--json").stdout) == []


def test_down_of_a_missing_lab_is_an_error_only_by_name(lab: Program) -> None:
    assert lab("down").exit_code == 0
    assert lab("down", "--all").exit_code == 0
    file = lab.directory / "mine.clab.yml"
    file.write_text("name: mine\ntopology:\n  nodes:\n    a: {kind: linux, image: x}\n")
    assert lab("down", str(file)).exit_code == 0
    assert lab("down", "mine").exit_code == 2


def test_up_of_a_running_lab(lab: Program) -> None:
    lab.lay_out("article", {"hq": NodeState.STOPPED})
    refused = lab("up", "article")
    assert refused.exit_code == 2
    assert "lab: a lab named 'article' is running already" in refused.stderr
    reused = lab("up", "article", "--reuse", "--json")
    assert reused.exit_code == 0
    assert "lab article is running already; nothing was changed" in reused.stderr
    assert json.loads(reused.stdout)["lab"] == "article"


def test_next_steps_use_no_node_that_has_ended(lab: Program) -> None:
    lab.lay_out("article", {"hq-lan": NodeState.STOPPED})
    shown = lab("up", "article", "--reuse")
    assert shown.exit_code == 0, shown.stderr
    _, _, steps = shown.stdout.partition("Try next:\n")
    assert len(steps.splitlines()) == 3
    assert "ping" not in steps


@pytest.mark.parametrize("command", [["exec", "NODE", "--", "true"], ["shell", "NODE"]])
@pytest.mark.parametrize("state", [NodeState.STOPPED, NodeState.PAUSED, NodeState.ABSENT])
def test_exec_and_shell_need_a_running_node(lab: Program, command: list[str], state: NodeState) -> None:
    lab.lay_out("some", {"hq": state})
    result = lab(*(word.replace("NODE", "hq") for word in command))
    assert result.exit_code == 2
    assert result.stderr == f"lab: node 'hq' of lab 'some' is not running: it is {state}\n"
    result = lab(*(word.replace("NODE", "brunch") for word in command))
    assert result.exit_code == 2
    assert result.stderr == "lab: unknown node 'brunch' in lab 'some'; did you mean 'branch'?\n"


def test_logs_name_their_files(lab: Program) -> None:
    directory = lab.lay_out("some")
    log = directory / "nodes/hq/var/log/frr/frr.log"
    log.write_text("one\ntwo\nthree\n")
    shown = lab("logs", "hq", "-n", "2").stdout
    assert f"==> {log} <==\ntwo\nthree\n" in shown
    assert "hq printed this" in shown
    assert lab("logs", "nobody").exit_code == 2


def test_validate_reports_every_file(lab: Program) -> None:
    wrong = lab.directory / "wrong.clab.yml"
    wrong.write_text("name: wrong\ntopology:\n  nodes:\n    a: {kid: linux}\n")
    result = lab("validate", "article", str(wrong), "nowhere")
    assert result.exit_code == 2
    assert result.stdout == "article: OK (5 nodes, 1 tunnels)\n"
    assert f"{wrong}:4:" in result.stderr
    assert "nowhere" in result.stderr
    result = lab("validate", "article", str(wrong), "--json")
    good, bad = json.loads(result.stdout)
    assert good == {"file": "article", "ok": True, "mistakes": [], "remarks": []}
    assert bad["ok"] is False
    assert set(bad["mistakes"][0]) == {"line", "column", "key", "what", "hint"}
    assert result.stderr == ""


def test_validate_with_settings(lab: Program) -> None:
    assert lab("validate", "article", "--set", "tunnel.options.hand-out=client-config-dir").exit_code == 0
    refused = lab("validate", "article", "--set", "tunnel.options.nonsense=1")
    assert refused.exit_code == 2
    assert "nonsense" in refused.stderr


def test_doctor(lab: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.host.doctor import Finding

    lacks = [Finding("tun", "ok", "there"), Finding("vrf", "missing", "no", "none", required=False)]
    monkeypatch.setattr("lab.host.doctor.examine", lambda: lacks)
    result = lab("doctor", "--json")
    assert result.exit_code == 0
    assert set(json.loads(result.stdout)[0]) == {"name", "status", "detail", "remedy", "required"}
    lacks.append(Finding("veth", "missing", "no", "another kernel"))
    result = lab("doctor")
    assert result.exit_code == 1
    assert "another kernel" in result.stdout


def test_setup_builds_the_images(lab: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def provide(image: str, _: object) -> str:
        done.append(image.rpartition(":")[2])
        return image

    monkeypatch.setattr(lab.engine, "provide", provide, raising=False)
    assert lab("setup").exit_code == 0
    assert done == ["2.6", "2.7"]
    assert lab("setup", "--openvpn", "2.7").exit_code == 0
    assert done[2:] == ["2.7"]
    monkeypatch.setattr("lab.image.ensure_image", lambda _, recipe, __: done.append(recipe.name))
    assert lab("setup", "--vm").exit_code == 0
    assert done[3:] == ["2.6", "2.7", "vm"]


def test_setup_loads_archives(lab: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(archive: Path) -> tuple[str, ...]:
        loaded.append(archive.name)
        return ("tool:1",)

    monkeypatch.setattr("lab.image.store.load", load)
    assert lab("setup", "--load", "a.tar", "--load", "b.tar").exit_code == 0
    assert loaded == ["a.tar", "b.tar"]


def test_clean_takes_labs_and_machines_down_before_it_removes_images(
    lab: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    machines = ["kept"]
    monkeypatch.setattr(lab.engine, "name", "docker")
    monkeypatch.setattr("lab.vm.virtual_machine.sweep_virtual_machines", lambda: [machines.pop()])
    monkeypatch.setattr(
        "lab.image.remove_everything", lambda say: left.append(len(lab.engine.instances) + len(machines))
    )
    monkeypatch.setattr("lab.cluster.package.remove_packages", lambda say: say("removed the packages"))
    lab.lay_out("one")
    lab.lay_out("two")
    said = lab("clean")
    assert said.exit_code == 0
    assert "ended the virtual machine kept" in said.output
    assert "removed the packages" in said.output
    assert left == [0]
    assert list(lab.directory.iterdir()) == []


def test_clean_looks_for_no_machines_where_docker_does_not_answer(
    lab: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> list[str]:
        raise EnvironmentBroken("no Docker engine answers")

    monkeypatch.setattr(lab.engine, "name", "crun")
    monkeypatch.setattr("lab.vm.virtual_machine.sweep_virtual_machines", refused)
    monkeypatch.setattr("lab.image.remove_everything", lambda say: None)
    monkeypatch.setattr("lab.cluster.package.remove_packages", lambda say: None)
    assert lab("clean").exit_code == 0


def test_faults_in_force_are_listed(lab: Program) -> None:
    directory = lab.lay_out("broken") / "faults"
    assert json.loads(lab("fault", "list", "--json").stdout) == []
    directory.mkdir()
    told = {"kind": "node-paused", "where": {"node": "hq"}, "kept": {}, "since": "2026-11-24T04:00:00+00:00"}
    (directory / "2.json").write_text(json.dumps(told))
    (fault,) = json.loads(lab("fault", "list", "--json").stdout)
    assert fault == {
        "number": 2,
        "kind": "node-paused",
        "what": "hq paused",
        "where": {"node": "hq"},
        "since": "2026-11-24T04:00:00+00:00",
    }
    assert json.loads(lab("status", "--json").stdout)["faults"] == [fault]
    assert "hq paused" in lab("status").stdout
    for argv, message in (
        (("undo",), "takes numbers or --all"),
        (("undo", "1"), "no fault 1 is active in lab broken; there is 2"),
        (("apply", "blackhole", "inner"), "'inner': write KEY=VALUE"),
        (("apply", "nonsense"), "unknown fault 'nonsense'"),
    ):
        result = lab("fault", *argv)
        assert result.exit_code == 2, result.output
        assert message in result.stderr


def test_kinds_of_faults(lab: Program) -> None:
    kinds = {kind["kind"]: kind for kind in json.loads(lab("fault", "kinds", "--json").stdout)}
    assert set(kinds["blackhole"]) == {"kind", "summary", "lasting", "takes"}
    assert {take["key"]: take["choices"] for take in kinds["openvpn-killed"]["takes"]} == {
        "tunnel": [],
        "end": ["client", "server"],
    }
    assert "blackhole" in lab("fault", "kinds").stdout


def test_announce_through_needs_an_attribute(lab: Program) -> None:
    lab.lay_out("dead")
    result = lab("announce", "hq", "10.9.0.0/24", "--through", "tun0")
    assert result.exit_code == 2
    assert "--through limits --med and --prepend to one interface" in result.stderr


def test_impair_needs_units_and_one_action(lab: Program) -> None:
    lab.lay_out("dead")
    for argv, message in (
        (("hq:eth1", "--delay", "30"), "--delay 30: write a number with its unit, one of us, ms, s"),
        (("hq:eth1", "--loss", "1ms"), "--loss 1ms: write a number with its unit, one of %"),
        (("hq:eth1", "--rate", "10 mb"), "one of kbit, mbit, gbit"),
        (("--delay", "30ms"), "name a LINK with an impairment"),
        (("hq:eth1", "--delay", "30ms", "--clear"), "name a LINK with an impairment"),
        (("hq:eth1",), "give an impairment for hq:eth1"),
        (("hq:eth7", "--delay", "30ms"), "no link has the end 'hq:eth7'; there are hq:eth1"),
        (("hq:eth1", "--delay", "1ms", "--jitter", "2ms"), "a jitter of 2 ms is more than the delay of 1 ms"),
    ):
        result = lab("impair", *argv)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
    assert json.loads(lab("impair", "--list", "--json").stdout) == []
