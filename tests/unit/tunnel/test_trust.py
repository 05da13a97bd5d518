"""The checks of certificates in the configurations of every mode with TLS."""

from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from lab.core.files import RenderedFile
from lab.tunnel import Identity, modes
from lab.tunnel.mode import End
from lab.tunnel.pki import Authority
from tests.helpers.rendering import directives, first_tunnel

Rendered = dict[End, dict[PurePosixPath, RenderedFile]]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new("unit lab")


@pytest.fixture(params=sorted(name for name, unit in modes().items() if unit.traits.certificates))
def mode(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def impostors(authority: Authority, mode: str) -> tuple[Identity, Rendered]:
    """Return the files of a mode with other names and a revoked client."""
    tunnel = first_tunnel(mode)
    client, server = authority.issue("mallory", "client"), authority.issue("eve", "server")
    usual = Identity.issue(tunnel, authority)
    identity = replace(usual, client=client, server=server, revoked=authority.revocation_list(client))
    return identity, {end: {f.path: f for f in found} for end, found in modes()[mode].render(tunnel, identity).items()}


def test_each_end_verifies_the_name_of_the_other(authority: Authority, mode: str) -> None:
    identity, rendered = impostors(authority, mode)
    tunnel = first_tunnel(mode)
    for end, peer in (("server", tunnel.client), ("client", tunnel.server)):
        files = rendered["server" if end == "server" else "client"]
        (conf,) = (directives(f.content) for f in files.values() if f.path.suffix == ".conf")
        if end == "client" or modes()[mode].traits.clients_per_process == 1:
            assert conf["verify-x509-name"] == [[peer, "name"]]
        own = identity.server if end == "server" else identity.client
        assert files[PurePosixPath(conf["cert"][0][0])].content == own.certificate


def test_both_ends_have_the_revocation_list(authority: Authority, mode: str) -> None:
    identity, rendered = impostors(authority, mode)
    for files in rendered.values():
        (conf,) = (directives(f.content) for f in files.values() if f.path.suffix == ".conf")
        crl = files[PurePosixPath(conf["crl-verify"][0][0])]
        assert crl.content == identity.revoked
        # OpenVPN reads it again at each connection, perhaps with fewer privileges.
        assert crl.mode == 0o644
