"""`lab impair`: delay, jitter, loss, rate, duplicates and reordering on a link of a running lab."""

import re
from typing import Annotated

import typer

from lab.cli.options import AsJson, LabName, attached
from lab.cli.output import print_json
from lab.cli.status import print_links
from lab.core.errors import InputError

_UNITS = {
    "delay": {"us": 0.001, "ms": 1.0, "s": 1000.0},
    "jitter": {"us": 0.001, "ms": 1.0, "s": 1000.0},
    "loss": {"%": 1.0},
    "duplicate": {"%": 1.0},
    "reorder": {"%": 1.0},
    "rate": {"kbit": 1.0, "mbit": 1000.0, "gbit": 1_000_000.0},
}


def impair(
    link: Annotated[
        str | None, typer.Argument(metavar="[LINK]", help="One of its ends, NODE:INTERFACE, as in hq:eth1.")
    ] = None,
    delay: Annotated[str | None, typer.Option(help="Delay of each packet, e.g. 30ms.")] = None,
    jitter: Annotated[str | None, typer.Option(help="Variation of the delay up and down, e.g. 5ms.")] = None,
    loss: Annotated[str | None, typer.Option(help="Share of lost packets, e.g. 1%.")] = None,
    rate: Annotated[str | None, typer.Option(help="Rate limit, e.g. 10mbit.")] = None,
    duplicate: Annotated[str | None, typer.Option(help="Share of duplicated packets, e.g. 0.5%.")] = None,
    reorder: Annotated[str | None, typer.Option(help="Share of packets that overtake others, e.g. 5%.")] = None,
    leaving: Annotated[bool, typer.Option("--leaving", help="Only packets that leave the named end.")] = False,
    clear: Annotated[
        bool, typer.Option("--clear", help="Restore the declared impairment, of the link or of all links.")
    ] = False,
    show: Annotated[bool, typer.Option("--list", help="Show the impairments of all links.")] = False,
    lab_name: LabName = None,
    as_json: AsJson = False,
) -> None:
    """Delay, lose, duplicate, reorder or slow down packets on a link.

    The impairment replaces any that was applied to the link before, and lasts until `lab impair LINK --clear` or
    `lab fault undo`. Afterwards the impairments of all links are shown.
    """
    from lab.fault import undo
    from lab.fault.impaired import Impaired
    from lab.status.overview import link_reports

    given = {
        "delay": delay,
        "jitter": jitter,
        "loss": loss,
        "rate": rate,
        "duplicate": duplicate,
        "reorder": reorder,
    }
    wanted = {key: _number(key, text) for key, text in given.items() if text is not None}
    if bool(wanted) + clear + show > 1 or (wanted and link is None):
        raise InputError("name a LINK with an impairment, or give --clear or --list")
    if link is not None and not (wanted or clear or show):
        raise InputError(f"give an impairment for {link}, e.g. --delay 30ms, or --clear")
    with attached(lab_name) as lab:
        if wanted or clear:
            only = "leaving" if leaving else "both"
            # Check the link before undoing anything.
            if link is not None:
                Impaired(link=link).end(lab)
            for record in lab.faults[::-1]:
                if isinstance(record.fault, Impaired) and link in (None, record.fault.link):
                    undo(lab, record)
            if wanted:
                lab.fault("impair", link=link, only=only, **wanted)
        links = link_reports(lab)
    if as_json:
        print_json(links)
    else:
        print_links(links)


def _number(key: str, text: str) -> float:
    """Convert a number with a unit to milliseconds, percent or kbit/s."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zµ%]*)", text.strip().lower())
    units = _UNITS[key]
    unit = match[2] if match else ""
    if match is None or unit not in units:
        raise InputError(f"--{key} {text}: write a number with its unit, one of {', '.join(units)}")
    number = float(match[1]) * units[unit]
    return round(number) if key == "rate" else number
