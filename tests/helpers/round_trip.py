"""A lab with the files that the lab renders, and one with the same files after an import: what both have to show."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.catalogue import load
from lab.core.expect import Expectation, wait_for
from lab.importer import import_hosts, write_import
from lab.render.howto import export
from lab.runtime.lab import Lab
from lab.topology import Topology
from tests.helpers.own_files import deployed, observed, own_name

_PROTOCOLS = ("bgp", "bird", "ospf", "rip")
"""The protocols of routes in the FIB that a routing daemon learned."""


def imported(topology: Topology, directory: Path, *, openvpn: str | None = None) -> Topology:
    """Render a topology, and return the one that an import of the files of each host makes, with a version."""
    export(topology, directory / "rendered")
    hosts = sorted(d for d in (directory / "rendered").iterdir() if (d / "etc").is_dir())
    made = import_hosts(
        {host.name: host for host in hosts}, directory / f"{own_name('again')}.clab.yml", openvpn=openvpn
    )
    assert not made.questions
    assert not made.counterparts
    write_import(made)
    return load(made.file)


def verdicts(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what does not depend on the underlay, which is another one, and on names of tunnels and interfaces."""
    return {
        "tunnels": sorted(seen["tunnels"].values()),
        "rib": seen["rib"],
        "fib": {key: hops for key, (hops, _, protocol) in seen["fib"].items() if protocol in _PROTOCOLS},
        "packets": {
            (one, other, family): answered
            for (one, other, family), answered in seen["packets"].items()
            if one.endswith("-lan") and other.endswith("-lan")
        },
    }


def difference(wanted: Mapping[str, Any], seen: Mapping[str, Any]) -> str:
    """Return what two labs differ in."""
    return "; ".join(
        f"{kind}: {seen[kind]} instead of {found}" for kind, found in wanted.items() if seen[kind] != found
    )


def expect_same(
    lab: Lab,
    wanted: Mapping[str, Any],
    within: float,
    compared: Callable[[Mapping[str, Any]], Mapping[str, Any]] = verdicts,
) -> None:
    """Wait until a lab shows what another one has shown, in all that is compared."""
    # The lab does not know which routes the user's files lead to, so it does not wait for them.
    same = Expectation(
        "the same as in the lab of rendered files",
        lab.name,
        look=lambda: compared(observed(lab)),
        met=lambda seen: seen == wanted,
        seen=lambda seen: difference(wanted, seen),
    )
    wait_for(same, within=within)


def compare(rendered: Topology, directory: Path) -> None:
    """Check that a lab of imported files shows the same as the one that rendered them."""
    again = imported(rendered, directory)
    with deployed(rendered, directory / "rendered-lab") as lab:
        wanted = verdicts(observed(lab))
    assert any(wanted["packets"].values())
    with deployed(again, directory / "imported-lab") as lab:
        expect_same(lab, wanted, within=30)
