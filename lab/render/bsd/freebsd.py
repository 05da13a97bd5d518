"""FreeBSD: settings in rc.conf, programs of the ports collection below /usr/local.

Sources: rc.conf(5) and vtnet(4) of FreeBSD; the start scripts of the ports security/openvpn, net/frr and net/bird2;
openvpn(8). A tun device is a point-to-point device, except with OpenVPN's `topology subnet`, which makes it a broadcast
one (tun(4), OpenVPN's Changes.rst for 2.4); `dev tunN` is created by `ifconfig tunN create`, which OpenVPN does itself.
From FreeBSD 14 on OpenVPN uses the kernel's ovpn(4) where it can, as on Linux with DCO.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from lab.core.files import RenderedFile
from lab.render.bsd.system import BsdSystem, Site, daemons_files
from lab.routing import RouterPlan

_LOCAL = PurePosixPath("/usr/local")


class FreeBsd(BsdSystem):
    """FreeBSD, from 13 on."""

    name = "freebsd"
    driver = "vtnet"
    openvpn = _LOCAL / "etc/openvpn"

    def settings(self, site: Site) -> Iterable[RenderedFile]:
        """Return the lines for rc.conf."""
        lines = ["# Append to /etc/rc.conf, and restart."]
        lines += [key if key.startswith("#") else f'{key}="{value}"' for key, value in _lines(self, site)]
        return [RenderedFile(PurePosixPath("/etc/rc.conf.lab"), "\n".join([*lines, ""]))]

    def routing(self, plan: RouterPlan) -> Iterable[RenderedFile]:
        """Return FRR's or BIRD's files."""
        return daemons_files(plan, _LOCAL)


def _lines(system: BsdSystem, site: Site) -> Iterator[tuple[str, str]]:
    yield "hostname", site.name
    yield "gateway_enable", "YES"
    yield "ipv6_gateway_enable", "YES"
    for end in site.links:
        port = system.port(end.interface)
        if end.ipv4 is not None:
            yield f"ifconfig_{port}", f"inet {end.ipv4}"
        if end.ipv6 is not None:
            yield f"ifconfig_{port}_ipv6", f"inet6 {end.ipv6.ip} prefixlen {end.ipv6.network.prefixlen}"
    for version, prefix, option in ((4, "", "route"), (6, "ipv6_", "ipv6_route")):
        routes = {f"lab{n}": (to, via) for n, (to, via) in enumerate(site.routes) if to.version == version}
        if routes:
            yield f"{prefix}static_routes", " ".join(routes)
        for name, (to, via) in routes.items():
            yield f"{option}_{name}", f"{'-net ' if to.prefixlen else ''}{to if to.prefixlen else 'default'} {via}"
    for number, (process, _) in enumerate(site.openvpn):
        name = "openvpn" if number == 0 else f"openvpn_{number}"
        if number:
            yield f"# Once: ln -s openvpn {_LOCAL}/etc/rc.d/{name}", ""
        yield f"{name}_enable", "YES"
        yield f"{name}_configfile", str(system.configuration(process))
        yield f"{name}_dir", str(system.configuration(process).parent)
    plan = site.plan
    if plan is not None and plan.daemon == "frr":
        yield "frr_enable", "YES"
        daemons = {"bgp": "bgpd", "ospf": "ospfd ospf6d", "rip": "ripd ripngd"}[plan.protocol]
        yield "frr_daemons", f"zebra staticd {daemons}" + (" bfdd" if plan.bfd else "")
    elif plan is not None:
        yield "bird_enable", "YES"
        yield "bird_config", str(_LOCAL / "etc/bird/bird.conf")
