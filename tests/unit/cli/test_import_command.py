"""`lab import`: its summary, its list of missing files, and its exit codes."""

import json
from pathlib import Path

from tests.helpers.paper import Program

HOSTS = Path(__file__).parents[2] / "data" / "hosts"


def test_import_writes_a_topology_and_says_where_remotes_lead(lab: Program) -> None:
    result = lab("import", f"hub={HOSTS}/hub", f"north={HOSTS}/north", "--out", "mine.clab.yml")
    assert result.exit_code == 0, result.stderr
    assert "hub.example.net is the name of hub" in result.stdout
    assert "made by the lab, not from your files: south" in result.stdout
    assert "mine.clab.yml is written" in result.stderr
    assert Path("mine.clab.yml").is_file()
    assert Path("mine/etc/hosts").is_file()
    assert not lab.engine.instances


def test_missing_files_are_listed_and_nothing_is_written(lab: Program) -> None:
    Path("hq").mkdir()
    Path("hq/server.conf").write_text("dev tun\nserver 10.8.0.0 255.255.255.0\nca ca\nclient-config-dir ccd\n")
    refused = lab("import", "hq=hq", "--out", "mine.clab.yml")
    assert refused.exit_code == 2
    assert "hq: /etc/openvpn/ccd (client-config-dir, hq/server.conf:4) is not among the files" in refused.stderr
    assert not Path("mine.clab.yml").exists()
    as_data = lab("import", "hq=hq", "--out", "mine.clab.yml", "--json")
    assert as_data.exit_code == 2
    data = json.loads(as_data.stdout)
    assert (data["questions"][0]["host"], data["written"]) == ("hq", [])
    assumed = lab("import", "hq=hq", "--out", "mine.clab.yml", "--assume")
    assert assumed.exit_code == 0
    assert "assumed: an empty directory" in " ".join(Path("mine.clab.yml").read_text().split())


def test_files_of_an_earlier_import_are_kept_without_force(lab: Program) -> None:
    arguments = ("import", f"hub={HOSTS}/hub", "--out", "mine.clab.yml", "--json")
    assert lab(*arguments).exit_code == 0
    refused = lab(*arguments)
    assert refused.exit_code == 2
    assert "exists: choose another name, or overwrite it with --force" in refused.stderr
    assert lab(*arguments, "--force").exit_code == 0


def test_wrong_arguments_end_with_one_line(lab: Program) -> None:
    for arguments in (["hq"], [f"hq={HOSTS}/none"], [f"hq={HOSTS}/hub", "--out", "mine.yml"]):
        refused = lab("import", "--out", "mine.clab.yml", *arguments)
        assert refused.exit_code == 2
        assert len(refused.stderr.splitlines()) == 1
