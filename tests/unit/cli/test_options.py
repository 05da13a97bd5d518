"""Which lab is meant, and what `--set` says."""

import pytest

from lab.cli.announce import prefix_of
from lab.cli.options import complete_topology, tunnel_settings
from lab.core.errors import InputError
from tests.helpers.paper import Program


def test_several_labs_need_the_option_lab(lab: Program) -> None:
    lab.lay_out("one")
    lab.lay_out("two")
    result = lab("status")
    assert result.exit_code == 2
    assert result.stderr == "lab: several labs are running: choose one with --lab: one, two\n"
    assert lab("down").exit_code == 2
    assert lab("graph", "--lab", "two").exit_code == 0


def test_settings_are_yaml_in_nested_keys() -> None:
    assert tunnel_settings(
        ["tunnel.options.iroute=[ipv4]", "tunnel.options.hand-out=client-config-dir", "tunnel.port=443"]
    ) == {"options": {"iroute": ["ipv4"], "hand-out": "client-config-dir"}, "port": 443}


@pytest.mark.parametrize("setting", ["tunnel", "tunnel=1", "node.x=1", "tunnel..x=1", "tunnel.x", "tunnel.x=[1", "x"])
def test_malformed_settings_are_refused(setting: str) -> None:
    with pytest.raises(InputError, match="--set"):
        tunnel_settings([setting])


def test_setting_below_a_value_is_refused() -> None:
    with pytest.raises(InputError, match="has a value already"):
        tunnel_settings(["tunnel.port=443", "tunnel.port.x=1"])


def test_prefixes() -> None:
    assert str(prefix_of("10.9.0.0/24")) == "10.9.0.0/24"
    assert str(prefix_of("2001:DB8:9:0::/64")) == "2001:db8:9::/64"
    assert str(prefix_of("10.9.0.7/32")) == "10.9.0.7/32"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10.9.0.1/24", "did you mean 10.9.0.0/24"),
        ("2001:db8:9::1/64", "did you mean 2001:db8:9::/64"),
        ("10.9.0.1", "write 10.9.0.1/32"),
        ("10.9.0.0/33", "is not a prefix"),
        ("hq", "is not a prefix"),
    ],
)
def test_malformed_prefixes_are_refused(text: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint):
        prefix_of(text)


def test_topologies_complete_by_name_and_by_file(lab: Program) -> None:
    (lab.directory / "my.clab.yml").touch()
    (lab.directory / "other.txt").touch()
    assert complete_topology("ar") == ["article"]
    assert complete_topology("my") == ["my.clab.yml"]
    assert complete_topology("ot") == []
