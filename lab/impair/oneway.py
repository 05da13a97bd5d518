"""Impairment of a link in one direction: apply, undo, and read back from the kernel.

`netem` does everything if the kernel has it (tc-netem(8)). Otherwise each impairment has its own mechanism: a relay in
userspace for delay, jitter, reordering and duplicates, tbf for the rate (tc-tbf(8)), nftables for loss. Loss is applied
at the receiver: dropping an outgoing packet returns an error to its sender, which would resend it at once.
"""

import errno
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lab.core.errors import EnvironmentBroken, InputError, NotSupported
from lab.engine.devices import devices, netdev_tables, queue_handles
from lab.engine.namespace import Namespace
from lab.impair.relay import LIMIT, table_name, tap_name
from lab.topology.intent import Impairment

if TYPE_CHECKING:
    from lab.engine.nft import Nft

T = TypeVar("T")

_HANDLE = "1ab:"
"""Handle of the lab's queueing disciplines."""
_HANDLE_NUMBER = 0x1AB0000
_CHILD_OF_NETEM = "1ab:1"
_MAJORS = (0x1AB, 0x1AC)
_BURST = 16_000
"""Smallest burst of tbf in bytes; a high rate needs more, because tbf runs a thousand times a second."""
_LATENCY = "100ms"
_READY_WITHIN = 30
_GONE_WITHIN = 5.0


@dataclass(frozen=True)
class OneWay:
    """One direction of a link."""

    sender: str
    """`NODE:INTERFACE`."""
    receiver: str
    sender_namespace: Namespace
    receiver_namespace: Namespace
    home: Path
    """A directory of the lab, for the relays' counters."""

    @property
    def out_interface(self) -> str:
        """The sender's interface."""
        return self.sender.partition(":")[2]

    @property
    def in_interface(self) -> str:
        """The receiver's interface."""
        return self.receiver.partition(":")[2]

    @property
    def counters(self) -> Path:
        """The file of the relay's counters."""
        return self.home / f"{self.sender.replace(':', '.')}.json"

    @property
    def loss_table(self) -> str:
        """The name of the receiver's nftables table."""
        return f"lab-loss-{self.in_interface}"


@dataclass(frozen=True)
class Mechanism:
    """A mechanism that impairs packets, as read from the kernel."""

    name: str
    """`netem`, `tbf`, `nftables` or `relay`."""
    does: str
    """Its settings and counters, in words."""
    figures: Mapping[str, float | int | None]
    """The same as numbers, in milliseconds, percent, kbit/s and packets."""


def apply(way: OneWay, impairment: Impairment) -> None:
    """Replace the impairment of a link; raises `NotSupported` if this kernel has no mechanism for it."""
    undo(way)
    try:
        if not way.sender_namespace.run(partial(_netem, way.out_interface, impairment)):
            _without_netem(way, impairment)
    except BaseException:
        undo(way)
        raise


def undo(way: OneWay) -> None:
    """Remove the impairment of a link."""
    way.sender_namespace.run(partial(_remove_queues, way.out_interface))
    way.receiver_namespace.run(partial(_nft, lambda nft: nft.delete("netdev", way.loss_table)))
    until = time.monotonic() + _GONE_WITHIN
    # The relay ends when its device is gone, and its table is removed with its socket.
    while table_name(way.out_interface) in way.sender_namespace.run(netdev_tables):
        if time.monotonic() > until:
            raise EnvironmentBroken(f"{way.sender}: the relay has not ended: take the lab down and up again")
        time.sleep(0.005)
    way.counters.unlink(missing_ok=True)


def read_mechanisms(way: OneWay) -> list[Mechanism]:
    """Return the mechanisms that impair a link, as read from the kernel and the relay's counters."""
    found = way.sender_namespace.run(partial(_queues, way.out_interface))
    counters = relayed = None
    if way.loss_table in way.receiver_namespace.run(netdev_tables):
        counters = way.receiver_namespace.run(partial(_nft, lambda nft: nft.counters("netdev", way.loss_table)))
    if counters is not None:
        arrived, lost = counters
        words = f"{lost} of {arrived} frames dropped at {way.receiver}"
        found.append(Mechanism("nftables", words, {"frames": arrived, "lost": lost}))
    if table_name(way.out_interface) in way.sender_namespace.run(netdev_tables):
        relayed = way.sender_namespace.run(
            partial(_nft, lambda nft: nft.packets("netdev", table_name(way.out_interface)))
        )
    if relayed is not None:
        found.append(_relay_mechanism(way, relayed))
    return found


# --- the kernel's queues -----------------------------------------------------------------------------------


def netem_options(impairment: Impairment) -> dict[str, Any]:
    """Return an impairment as pyroute2's options for netem, in microseconds and percent."""
    options: dict[str, Any] = {"limit": LIMIT}
    if impairment.delay:
        options["delay"] = round(impairment.delay * 1000)
    if impairment.jitter:
        options["jitter"] = round(impairment.jitter * 1000)
    if impairment.loss:
        options["loss"] = impairment.loss
    if impairment.duplicate:
        options["duplicate"] = impairment.duplicate
    if impairment.reorder:
        options["prob_reorder"] = impairment.reorder
    return options


def tbf_options(rate: int) -> dict[str, Any]:
    """Return a rate in kbit/s as pyroute2's options for tbf."""
    return {"rate": f"{rate}kbit", "burst": max(_BURST, rate // 8), "latency": _LATENCY}


def _netem(interface: str, impairment: Impairment) -> bool:
    with _iproute() as ip:
        index = _index(ip, interface)
        try:
            ip.tc("add", "netem", index, handle=_HANDLE, **netem_options(impairment))
        except _netlink_error() as error:
            if error.code in (errno.ENOENT, errno.EOPNOTSUPP):
                return False
            raise EnvironmentBroken(f"{interface}: the kernel refused netem: {error}") from error
        if impairment.rate is not None:
            ip.tc("add", "tbf", index, handle="1ac:", parent=_CHILD_OF_NETEM, **tbf_options(impairment.rate))
    return True


def _tbf(interface: str, rate: int) -> None:
    with _iproute() as ip:
        try:
            ip.tc("add", "tbf", _index(ip, interface), handle=_HANDLE, **tbf_options(rate))
        except _netlink_error() as error:
            if error.code in (errno.ENOENT, errno.EOPNOTSUPP):
                raise NotSupported(
                    "tbf", "this kernel has neither tbf nor netem, and nothing else can limit a rate"
                ) from error
            raise EnvironmentBroken(f"{interface}: the kernel refused tbf: {error}") from error


def _remove_queues(interface: str) -> None:
    with _iproute() as ip:
        index = _index(ip, interface)
        for queue in ip.get_qdiscs(index):
            if queue["handle"] == _HANDLE_NUMBER:
                ip.tc("del", index=index, handle=_HANDLE, root=True)
        for relay in ip.link_lookup(ifname=tap_name(index)):
            try:
                ip.link("del", index=relay)
            except _netlink_error() as error:
                if error.code != errno.ENODEV:  # the device of a killed relay disappears by itself
                    raise


def _queues(interface: str) -> list[Mechanism]:
    device = devices().get(interface)
    if device is None:
        raise InputError(f"the node has no interface {interface!r}")
    if not any(handle >> 16 in _MAJORS for handle in queue_handles(device.index)):
        return []  # without pyroute2, which takes long to import
    with _iproute() as ip:
        found = []
        for queue in ip.get_qdiscs(_index(ip, interface)):
            if queue["handle"] >> 16 not in _MAJORS:
                continue
            kind, options = queue.get_attr("TCA_KIND"), queue.get_attr("TCA_OPTIONS")
            if kind == "netem":
                found.append(netem_mechanism(options))
            elif kind == "tbf":
                rate = options.get_attr("TCA_TBF_PARMS")["rate"] * 8 // 1000
                found.append(Mechanism("tbf", f"rate {rate} kbit/s", {"rate": rate}))
    return found


def netem_mechanism(options: Any) -> Mechanism:
    """Return netem's options in the kernel as a mechanism."""
    ticks = _ticks_per_microsecond()
    scale = 2**32 - 1
    reorder = dict(options["attrs"]).get("TCA_NETEM_REORDER", {"prob_reorder": 0})
    figures = {
        "delay": options["delay"] / ticks / 1000,
        "jitter": options["jitter"] / ticks / 1000,
        "loss": round(100 * options["loss"] / scale, 4),
        "duplicate": round(100 * options["duplicate"] / scale, 4),
        "reorder": round(100 * reorder["prob_reorder"] / scale, 4),
    }
    return Mechanism("netem", str(Impairment(**figures)), figures)


def _iproute() -> Any:
    """Return pyroute2's socket, imported here because only some calls need it."""
    from pyroute2 import IPRoute

    return IPRoute()


def _netlink_error() -> Any:
    from pyroute2.netlink.exceptions import NetlinkError

    return NetlinkError


def _ticks_per_microsecond() -> float:
    """Return the number of tc's clock ticks per microsecond (`tc_core.c` of iproute2)."""
    ticks, microseconds, factor, _ = (int(word, 16) for word in Path("/proc/net/psched").read_text().split())
    return ticks / microseconds * (factor / 1_000_000)


def _index(ip: Any, interface: str) -> int:
    found = ip.link_lookup(ifname=interface)
    if not found:
        raise InputError(f"the node has no interface {interface!r}")
    index: int = found[0]
    return index


# --- without netem -----------------------------------------------------------------------------------------


def _without_netem(way: OneWay, impairment: Impairment) -> None:
    if impairment.rate is not None:
        way.sender_namespace.run(partial(_tbf, way.out_interface, impairment.rate))
    if impairment.loss:
        from lab.engine.nft import Chain, Table, at_random, counter, drop, rule

        loss_rule = rule(counter(), at_random(impairment.loss / 100), counter(), drop())
        table = Table("netdev", way.loss_table, [Chain("ingress", [loss_rule], way.in_interface, priority=0)])
        way.receiver_namespace.run(partial(_nft, lambda nft: nft.add(table)))
    if impairment.delay or impairment.duplicate:
        _start_relay(way, impairment)


def _start_relay(way: OneWay, impairment: Impairment) -> None:
    way.home.mkdir(exist_ok=True)
    started = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "lab.impair.relay",
                str(way.sender_namespace.pid),
                way.out_interface,
                str(way.counters),
            ),
            impairment.model_dump_json(),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_READY_WITHIN,
        start_new_session=True,
        check=False,
    )
    if started.returncode:
        why = (started.stderr.strip().splitlines() or ["no reason given"])[-1]
        if started.returncode == 2:
            raise NotSupported("delay", f"this kernel has no netem, and no relay can take its place: {why}")
        raise EnvironmentBroken(f"{way.sender}: the relay did not start: {why}")


def _relay_mechanism(way: OneWay, frames: int) -> Mechanism:
    try:
        counters: dict[str, Any] = json.loads(way.counters.read_text())
    except (OSError, ValueError):  # not written yet
        counters = {}
    mean = counters.get("mean-delay")
    # Its device drops the frames that the relay does not read in time.
    dropped = counters.get("dropped", 0) + way.sender_namespace.run(partial(_tap_drops, way.out_interface))
    figures = {"frames": frames, "delay": mean, "longest": counters.get("longest-delay"), "dropped": dropped}
    held = f" delayed by {mean:.1f} ms on average" if mean is not None else ""
    words = f"{frames} frame{'' if frames == 1 else 's'}{held}, {dropped} dropped"
    return Mechanism("relay", words, figures)


def _tap_drops(interface: str) -> int:
    with _iproute() as ip:
        for link in ip.get_links(ifname=tap_name(_index(ip, interface))):
            return int(link.get_attr("IFLA_STATS64")["tx_dropped"])
    return 0


def _nft(work: "Callable[[Nft], T]") -> T:
    from lab.engine.nft import Nft

    with Nft() as nft:
        return work(nft)
