"""OpenBSD: a hostname.if file per interface, and OpenBGPD of the base system, or BIRD of the ports.

Sources: hostname.if(5), vio(4), tun(4), sysctl.conf(5), rc.conf.local(8), bgpd.conf(5) of OpenBSD; the README of the
port net/openvpn, by which OpenVPN is started from hostname.tunN. A tun device is a point-to-point device and carries
no broadcast; Ethernet needs tap(4). OpenBSD has no kernel data channel (DCO).
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from lab.core.errors import InputError
from lab.core.files import RenderedFile
from lab.core.prefixes import Address
from lab.render.bsd.bgpd import BGPD_CONF, bgpd_conf
from lab.render.bsd.system import BsdSystem, Site, daemons_files
from lab.routing import RouterPlan
from lab.topology import Endpoint

_ETC = PurePosixPath("/etc")


class OpenBsd(BsdSystem):
    """OpenBSD, from 7.0 on."""

    name = "openbsd"
    driver = "vio"
    openvpn = _ETC / "openvpn"

    def settings(self, site: Site) -> Iterable[RenderedFile]:
        """Return the files of interfaces, and the lines for sysctl.conf and rc.conf.local."""
        for end in site.links:
            yield RenderedFile(_ETC / f"hostname.{self.port(end.interface)}", "\n".join([*_link(site, end), ""]))
        for process, device in site.openvpn:
            start = f"!/usr/local/sbin/openvpn --daemon --cd {self.configuration(process).parent}"
            text = f"up\n{start} --config {self.configuration(process)}\n"
            yield RenderedFile(_ETC / f"hostname.{device}", text, 0o640)
        forwarding = "net.inet.ip.forwarding=1\nnet.inet6.ip6.forwarding=1\n"
        yield RenderedFile(_ETC / "sysctl.conf.lab", f"# Append to /etc/sysctl.conf.\n{forwarding}")
        if (plan := site.plan) is not None:
            start = "bgpd_flags=" if _is_openbgpd(plan) else "pkg_scripts=bird"
            yield RenderedFile(_ETC / "rc.conf.local.lab", f"# Append to /etc/rc.conf.local.\n{start}\n")

    def routing(self, plan: RouterPlan) -> Iterable[RenderedFile]:
        """Return OpenBGPD's configuration, for `daemon: frr`, or BIRD's files."""
        if not _is_openbgpd(plan):
            return daemons_files(plan, PurePosixPath("/"))
        if plan.protocol != "bgp":
            raise InputError(f"{plan.node}: OpenBGPD has no {plan.protocol}: use 'daemon: bird' on OpenBSD")
        return [RenderedFile(BGPD_CONF, bgpd_conf(plan), 0o600)]


def _is_openbgpd(plan: RouterPlan) -> bool:
    """Return whether OpenBGPD takes the place of the daemon: FRR has no port."""
    return plan.daemon == "frr"


def _link(site: Site, end: Endpoint) -> Iterator[str]:
    if end.ipv4 is not None:
        yield f"inet {end.ipv4.ip} {end.ipv4.network.netmask}"
    if end.ipv6 is not None:
        yield f"inet6 {end.ipv6.ip} {end.ipv6.network.prefixlen}"
    for to, via in site.routes:
        if _is_on(end, via):
            family = "-inet6 " if to.version == 6 else ""
            yield f"!route add {family}{to if to.prefixlen else 'default'} {via}"
    yield "up"


def _is_on(end: Endpoint, hop: Address) -> bool:
    return any(hop in address.network for address in end.addresses)
