"""The tables of docs/json.md have the keys that the commands print."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.pages import ROOT

pytestmark = pytest.mark.docker

NAME = f"json-{os.getpid()}"
_SECTION = re.compile(r"^## `(lab [^`]+) --json`\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BROKEN = "name: broken\ntopology:\n  nodes:\n    a: {kind: linux, imag: x}\n"
SERVER = "dev tun\nserver 10.8.0.0 255.255.255.0\nclient-config-dir ccd\nca ca\ncert c\nkey k\ndh none\npersist-key\n"
"""With an old option, and a directory that is not at hand, about which an import asks."""
COMMANDS = (
    "status",
    "list",
    "fault list",
    "fault kinds",
    "impair --list",
    "routes",
    "why hq-lan branch-lan",
    "validate broken.clab.yml",
    "import hq=hq laptop=laptop --openvpn 2.7 --assume --out mine.clab.yml",
    "advise article",
    "check --checks mine.checks.yml",
    "modes --quick",
    "measure quick --dry-run",
    "doctor",
)


def documented() -> dict[str, set[str]]:
    """Return the keys of each command's first table."""
    found = {}
    for command, text in _SECTION.findall((ROOT / "docs" / "json.md").read_text()):
        table = re.search(r"^\| key \| meaning \|\n(?:\|.*\n)+", text, re.MULTILINE)
        assert table, command
        rows = [row.split(" | ")[0] for row in table[0].splitlines()[2:]]
        found[command.removeprefix("lab ")] = {key for row in rows for key in re.findall(r"`([^`]+)`", row)}
    return found


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of a value's keys, down to the values."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path


def is_documented(path: str, keys: set[str]) -> bool:
    if path in keys or any(path.startswith(key.removesuffix("KEY")) for key in keys if key.endswith(".KEY")):
        return True
    return any(key.startswith((f"{path}.", f"{path}[]")) for key in keys)  # an array or object without content


def run(directory: Path, *argv: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "lab.cli", *argv],
        cwd=directory,
        env={k: v for k, v in os.environ.items() if k != "LAB_DEBUG"} | {"LAB_NAME": NAME},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout or result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A broken topology and the files of two hosts, while a lab with a fault and an impairment runs."""
    directory = tmp_path_factory.mktemp("json")
    (directory / "broken.clab.yml").write_text(BROKEN)
    (directory / "mine.checks.yml").write_text("expect: [{tunnel: branch-hq}]\n")
    for host, text in (("hq", SERVER), ("laptop", "client\ndev tun\nremote 203.0.113.1\nca ca\n")):
        (directory / host).mkdir()
        (directory / host / "a.conf").write_text(text)
    run(directory, "up", "article", "--name", NAME)
    try:
        run(directory, "fault", "apply", "link-blackhole", "link=hq-lan:eth1")
        run(directory, "impair", "hq:eth1", "--delay", "5ms")
        yield directory
    finally:
        run(directory, "down", NAME)


@pytest.mark.parametrize("command", COMMANDS)
def test_keys_are_documented(command: str, directory: Path) -> None:
    keys = next(keys for name, keys in documented().items() if command == name or command.startswith(f"{name} "))
    printed = set(leaves(json.loads(run(directory, *command.split(), "--json"))))
    assert sorted(path for path in printed if not is_documented(path, keys)) == []
    gone = {key for key in keys if not key.endswith(".KEY")} - printed
    if command == "measure quick --dry-run":
        gone -= {"directory"}
    assert gone == set(), "documented, and not printed"


def test_leaves_of_a_value() -> None:
    assert list(leaves({"a": [{"b": 1}, {"b": {}}], "c": [1]})) == ["a[].b", "a[].b", "c"]
    assert is_documented("a.b.c", {"a.KEY"})
    assert is_documented("a", {"a[].KEY"})
    assert not is_documented("ab", {"a.KEY"})
