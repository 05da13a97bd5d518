"""Files that the lab renders, given as the user's own, make the same tunnels."""

from pathlib import Path

import pytest

from lab.catalogue import load, topology_names
from lab.tunnel import mode_of
from tests.helpers.own_files import as_own_files

EXTERNAL = {"routeros", "bsd"}
"""Topologies with ends for which the lab renders no file."""

NAMED = {"moving-server"}
"""Topologies in which a name server of the lab tells the server's address, which moves."""


@pytest.mark.parametrize("name", sorted(set(topology_names()) - EXTERNAL))
def test_rendered_files_make_the_same_tunnels(name: str, tmp_path: Path) -> None:
    rendered = load(name)
    if not rendered.tunnels:
        pytest.skip("no tunnel of the lab's")
    own = as_own_files(rendered, tmp_path, "own")
    by_ends = {(t.server, t.client, t.port, t.transport): t for t in own.tunnels}
    assert len(by_ends) == len(own.tunnels) == len(rendered.tunnels)
    assert not [r for r in own.remarks if r.kind == "issued"]
    for tunnel in rendered.tunnels:
        same = by_ends[tunnel.server, tunnel.client, tunnel.port, tunnel.transport]
        assert (same.device, same.server_device, same.outer) == (tunnel.device, tunnel.server_device, tunnel.outer)
        if name not in NAMED:
            assert same.server_at.outer == tunnel.server_at.outer
        assert same.client_at.outer in (tunnel.client_at.outer, None)
        assert [a.ip for a in same.server_at.inner] == [a.ip for a in tunnel.server_at.inner]
        assert [a.ip for a in same.client_at.inner] == [a.ip for a in tunnel.client_at.inner]
        traits, expected = mode_of(same).traits, mode_of(tunnel).traits
        assert (traits.device, traits.mode_server, traits.certificates) == (
            expected.device,
            expected.mode_server,
            expected.certificates,
        )
