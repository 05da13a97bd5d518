"""The engine without a daemon refuses what it cannot do before anything is started, by file, node and key."""

from pathlib import Path

import pytest

from lab.core.errors import InputError
from lab.engine.crun.engine import CrunEngine
from tests.helpers.labs import topology


@pytest.mark.parametrize(
    ("node", "key"),
    [
        ("{restart-policy: always}", "restart-policy"),
        ("{cgroup-parent: /mine}", "cgroup-parent"),
        ("{security-opts: ['seccomp={}']}", "security-opts"),
        ("{kind: ext-container}", "ext-container"),
        ("{network-mode: 'container:of-docker'}", "network-mode"),
    ],
)
def test_unsupported_key_is_named(tmp_path: Path, node: str, key: str) -> None:
    asked = topology(tmp_path, "refused", f"nodes: {{one: {node}}}")
    with pytest.raises(InputError) as caught:
        CrunEngine().require_supported(asked)
    for part in (str(asked.file), "'one'", key, "--engine docker"):
        assert part in str(caught.value)


def test_topology_without_such_keys_is_accepted(tmp_path: Path) -> None:
    CrunEngine().require_supported(topology(tmp_path, "accepted", "nodes: {one: {}}"))
