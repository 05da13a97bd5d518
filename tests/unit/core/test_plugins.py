"""Broken plugins of other distributions: the error names the distribution."""

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import EnvironmentBroken
from lab.core.plugins import all_entry_points
from lab.routing import daemons
from lab.tunnel import modes

GROUPS = {"openvpn_routing_lab.tunnel_modes": modes, "openvpn_routing_lab.routing_daemons": daemons}


@pytest.fixture(autouse=True)
def site_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    for find in (all_entry_points, *GROUPS.values()):
        find.cache_clear()
    yield tmp_path
    sys.modules.pop("their_plugin", None)
    for find in (all_entry_points, *GROUPS.values()):
        find.cache_clear()


def define(site_packages: Path, group: str, name: str, source: str) -> None:
    """Install a distribution of one module, which an entry point names."""
    (site_packages / "their_plugin.py").write_text(source)
    information = site_packages / "their_plugin-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-plugin\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[{group}]\n{name} = their_plugin:PLUGIN\n")


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import not_installed", r"ModuleNotFoundError: No module named 'not_installed'"),
        ("1 / 0", "ZeroDivisionError"),
        ("", "has no attribute 'PLUGIN'"),
    ],
    ids=["import", "exception", "attribute"],
)
def test_plugin_that_cannot_be_loaded_is_named(site_packages: Path, group: str, source: str, why: str) -> None:
    define(site_packages, group, "theirs", source)
    with pytest.raises(EnvironmentBroken, match=f"the distribution their-plugin defines 'theirs' in {group}") as caught:
        dict(GROUPS[group]())
    assert why in str(caught.value)


@pytest.mark.parametrize(("group", "name"), list(zip(GROUPS, ("tap", "frr"), strict=True)))
def test_plugin_with_the_name_of_another_is_refused(site_packages: Path, group: str, name: str) -> None:
    define(site_packages, group, name, "PLUGIN = object()")
    with pytest.raises(EnvironmentBroken, match=f"both define '{name}' in {group}: uninstall one") as caught:
        dict(GROUPS[group]())
    assert "the distribution their-plugin" in str(caught.value)
    assert "the distribution openvpn-routing-lab" in str(caught.value)


@pytest.mark.parametrize("group", GROUPS)
def test_plugin_without_the_members_of_its_interface_is_refused(site_packages: Path, group: str) -> None:
    define(site_packages, group, "theirs", "class PLUGIN:\n    name = 'theirs'\n    summary = 'lacks the rest'\n")
    with pytest.raises(EnvironmentBroken, match=rf"the entry point 'theirs' \(their_plugin:PLUGIN\) in {group} is not"):
        dict(GROUPS[group]())


@pytest.mark.parametrize("group", GROUPS)
def test_plugin_that_fails_does_not_affect_the_others(site_packages: Path, group: str) -> None:
    define(site_packages, group, "theirs", "1 / 0")
    found: Mapping[str, Any] = GROUPS[group]()
    assert "theirs" in found
    assert all(found[name].name == name for name in found if name != "theirs")


@pytest.mark.parametrize(("group", "name"), list(zip(GROUPS, ("tap", "frr"), strict=True)))
def test_plugin_with_another_name_than_its_entry_point_is_refused(site_packages: Path, group: str, name: str) -> None:
    find = GROUPS[group]
    source = f"from {find.__module__} import {find.__name__} as find\nPLUGIN = find()['{name}']\n"
    define(site_packages, group, "theirs", source)
    with pytest.raises(EnvironmentBroken, match=f"the entry point 'theirs' .* has the name '{name}'"):
        _ = find()["theirs"]
