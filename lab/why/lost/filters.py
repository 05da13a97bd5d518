"""A rule of nftables that drops the packet, found by letting the kernel report the rules that it meets."""

import re
import time

from lab.core.errors import LabError
from lab.engine.nft import Nft
from lab.engine.nft_trace import NftTrace, Step
from lab.fault.blackhole import Blackhole, LinkBlackhole
from lab.why.cause import Cause
from lab.why.lost.place import Matches, Place
from lab.why.packet import Packet

_LOSS = "lab-loss-"
"""Begins the names of the tables by which the lab impairs links."""
_REPORTED_WITHIN = 0.05
"""Seconds until the kernel's reports of the last packet can be read."""


def dropped_by_rule(place: Place) -> Cause | None:
    """Return the rule, or the policy of a chain, that drops the packet; None if none does."""
    try:
        with place.namespace.run(Nft) as nft:
            if not nft.every_table():
                return None
        devices = [name for name in place.interfaces if name != "lo"]
        with NftTrace(place.namespace, place.source, place.destination, devices) as trace:
            matches = place.again()
            time.sleep(_REPORTED_WITHIN)
            steps = trace.steps()
    except LabError:  # a kernel without nftables, or without its tracing
        return None
    step = dropping_step(steps, matches)
    if step is None or step.table.startswith(_LOSS):
        return None  # the impairment of a link is named with its figures, see `lost_by_impairment`
    return _cause(place, step)


def dropping_step(steps: list[Step], matches: Matches) -> Step | None:
    """Return the first step that drops a packet which is looked for."""
    ours = {
        step.number
        for step in steps
        if step.packet and (packet := Packet.parse(step.packet)) is not None and matches(packet)
    }
    return next((step for step in steps if step.drops and step.number in ours), None)


def _cause(place: Place, step: Step) -> Cause:
    table = f"{step.family} {step.table}"
    if step.handle is None:
        seen = f"{table}: policy drop of chain {step.chain}"
        evidence = place.sees("nftables' trace", seen)
        what = f"drops {place.words} by nftables: no rule of `{table} {step.chain}` accepts it, and its policy is drop"
        mend = f"add a rule to `{table} {step.chain}` that accepts {place.source} to {place.destination}"
        return place.cause("nftables-drop", what, mend, evidence)
    text = rule_text(place, step)
    evidence = place.sees("nftables' trace", f"{table} {step.chain} # handle {step.handle}: {text or 'drop'}")
    if (found := _of_the_lab(place, step)) is not None:
        return found
    shown = f"`{text}` " if text else ""
    what = f"drops {place.words} by the nftables rule {shown}(handle {step.handle} of `{table} {step.chain}`)"
    mend = f"delete it with `nft delete rule {table} {step.chain} handle {step.handle}`, or accept the packet before it"
    return place.cause("nftables-drop", what, mend, evidence)


def _of_the_lab(place: Place, step: Step) -> Cause | None:
    """Return the cause if the table is that of a fault, or of an impairment, of the lab."""
    evidence = place.sees("nftables' trace", f"{step.family} {step.table} {step.chain} # handle {step.handle}: drop")
    for record in place.faults():
        fault = record.fault
        is_it = isinstance(fault, Blackhole) and step.table.endswith(f"-{fault.label}")
        if isinstance(fault, LinkBlackhole):
            ends = _ends(place, fault.link)
            is_it = step.family == "netdev" and (place.node, step.table.removeprefix("lab-blackhole-")) in ends
        if is_it and step.table.startswith("lab-blackhole-"):
            seen = place.sees("faults in force", f"{record.number}: {fault}")
            what = f"drops {place.words}: the fault {record.number} is in force ({fault})"
            return place.cause("fault", what, f"undo it with `lab fault undo {record.number}`", evidence, seen)
    return None


def _ends(place: Place, link: str) -> list[tuple[str, str]]:
    node, _, interface = link.partition(":")
    for each in place.lab.topology.links:
        ends = [(end.node, end.interface) for end in each.endpoints]
        if (node, interface) in ends:
            return ends
    return []


def rule_text(place: Place, step: Step) -> str:
    """Return a rule in nft's language, without its handle; empty if the node has no `nft`."""
    try:
        listed = place.lab.running_nodes[place.node].exec(
            "nft", "-a", "list", "chain", step.family, step.table, step.chain
        )
    except LabError:
        return ""
    found = re.search(rf"^\s*(.*?) # handle {step.handle}$", listed.stdout, re.MULTILINE)
    return "" if found is None else found[1]
