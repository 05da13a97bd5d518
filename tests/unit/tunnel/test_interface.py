"""The interface of a mode, as a type checker and the loader see it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest
from jinja2 import DictLoader, Environment, StrictUndefined

from lab.core.errors import EnvironmentBroken
from lab.topology import Objection, Topology, TrafficClass, TunnelIntent
from lab.tunnel import TunnelMode, modes
from lab.tunnel.base import Mode
from lab.tunnel.fixed_routes import FixedRoutes
from lab.tunnel.mode import Identity, Traits
from lab.tunnel.p2p_tls import PointToPointTls
from lab.tunnel.pki import Authority


class WithoutRender:
    """A mode without the method `render`."""

    name = "without-render"
    summary = "misses a method"
    traits = Traits()

    def check(self, intent: TunnelIntent) -> Sequence[Objection]:
        return []

    def unsupported(self, intent: TunnelIntent, clients: int) -> Mapping[TrafficClass, str]:
        return {}

    def static_options(self, server_networks: Sequence[str], client_networks: Sequence[str]) -> Mapping[str, Any]:
        return {}


def test_type_check_rejects_mode_without_render() -> None:
    """mypy --strict reports an unused `type: ignore`: this fails `make lint` if mypy accepts the assignment."""
    mode: TunnelMode = WithoutRender()  # type: ignore[assignment]
    assert not hasattr(mode, "render")


def test_each_mode_is_found_by_its_name() -> None:
    assert {name: mode.name for name, mode in modes().items()} == {name: name for name in modes()}


def test_template_comes_from_own_package_before_base_class_and_shared_parts() -> None:
    def package_of(mode: Mode, template: str) -> str:
        path = mode.templates.get_template(template).filename
        assert path is not None
        return path.rpartition("/lab/")[2].partition("/templates/")[0]

    mode = FixedRoutes()
    assert package_of(mode, "server.conf.j2") == "tunnel/fixed_routes"
    assert package_of(mode, "lab.tunnel.iroute/server.conf.j2") == "tunnel/iroute"
    assert package_of(mode, "client-connect.sh.j2") == "tunnel/iroute"
    assert package_of(mode, "parts/device.j2") == "tunnel"


def test_mode_outside_a_package_inherits_templates() -> None:
    class Elsewhere(FixedRoutes):
        name: ClassVar[str] = "elsewhere"

    assert Elsewhere().templates.get_template("server.conf.j2").filename == (
        FixedRoutes().templates.get_template("server.conf.j2").filename
    )


@pytest.mark.parametrize("name", modes())
def test_mode_lists_networks_only_if_no_family_is_routed_dynamically(name: str) -> None:
    mode = modes()[name]
    static = mode.static_options(["10.1.0.0/24"], ["10.2.0.0/24"])
    assert bool(static) == (not mode.traits.families)
    assert not mode.check(TunnelIntent(to="hq", mode=name, options=static))


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({}, "no template client.conf.j2"),
        ({"client.conf.j2": "{{ colour }}"}, "'colour' is undefined"),
        ({"client.conf.j2": "{% include 'parts/none.j2' %}"}, "no template parts/none.j2"),
    ],
    ids=["missing", "undefined-name", "missing-part"],
)
def test_faulty_template_is_an_error_that_names_mode_and_file(
    article: Topology, parts: dict[str, str], why: str
) -> None:
    class Faulty(PointToPointTls):
        name = "faulty"
        templates = Environment(  # noqa: S701 - not HTML
            loader=DictLoader({"server.conf.j2": "", **parts}), undefined=StrictUndefined
        )

    (tunnel,) = article.tunnels
    identity = Identity.issue(tunnel, Authority.new("unit lab"))
    tunnel = tunnel.model_copy(update={"options": {}})
    with pytest.raises(EnvironmentBroken, match=rf"^mode faulty cannot render client\.conf\.j2: {why}"):
        Faulty().render(tunnel, identity)
