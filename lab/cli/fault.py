"""`lab fault`: apply, list and undo faults in a running lab."""

import time
from typing import Annotated

import typer

from lab.cli.options import AsJson, LabName, attached
from lab.cli.output import print_json, print_table, progress
from lab.core.errors import InputError

app = typer.Typer(
    name="fault",
    help="Apply faults to a running lab, and undo them.",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)


def _kinds(incomplete: str) -> list[str]:
    from lab.fault import KINDS

    return [kind for kind in KINDS if kind.startswith(incomplete)]


@app.command()
def kinds(as_json: AsJson = False) -> None:
    """List all kinds of faults with their fields."""
    from lab.fault.kinds import KINDS, parameters_of

    if as_json:
        print_json(
            [
                {"kind": k.kind, "summary": k.summary, "lasting": k.lasting, "takes": parameters_of(k)}
                for k in KINDS.values()
            ]
        )
        return
    rows = [(k.kind, " ".join(map(str, parameters_of(k))), k.summary) for k in KINDS.values()]
    print_table("Faults", ["kind", "fields", "what"], rows)


@app.command()
def apply(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="See `lab fault kinds`.", autocompletion=_kinds)],
    where: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Fields of the fault.")] = None,
    seconds: Annotated[float | None, typer.Option("--for", min=0, help="Undo it after this time in seconds.")] = None,
    lab_name: LabName = None,
) -> None:
    """Apply a fault, for example `lab fault apply blackhole layer=inner --for 10`."""
    fields = dict(_pair(text) for text in where or [])
    with attached(lab_name) as lab:
        fault = lab.fault(kind, **fields)
        if not fault.fault.lasting:
            print(f"{fault}")
            return
        number = lab.faults[-1].number
        if seconds is None:
            print(f"{fault}: active until `lab fault undo {number}`")
            return
        with fault, progress() as say:
            say(f"{fault}: for {seconds:g} s")
            time.sleep(seconds)
        print(f"{fault}: undone after {seconds:g} s")


@app.command("list")
def list_(lab_name: LabName = None, as_json: AsJson = False) -> None:
    """List the active faults."""
    with attached(lab_name) as lab:
        found = lab.faults
    if as_json:
        from lab.status.overview import fault_report

        print_json([fault_report(record) for record in found])
        return
    rows = [(r.number, r.kind, r.fault, r.since.astimezone().isoformat(" ", "seconds")) for r in found]
    print_table("Active faults", ["#number", "kind", "what", "since"], rows)


@app.command()
def undo(
    numbers: Annotated[list[int] | None, typer.Argument(metavar="[NUMBER]...", help="See `lab fault list`.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All active faults.")] = False,
    lab_name: LabName = None,
) -> None:
    """Undo active faults, also those left by a killed process."""
    from lab.fault import undo as undo_one

    if bool(numbers) == everything:
        raise InputError("`lab fault undo` takes numbers or --all; `lab fault list` shows them")
    with attached(lab_name) as lab:
        if everything:
            undone = lab.undo_faults()
        else:
            known = {record.number: record for record in lab.faults}
            if unknown := [number for number in numbers or [] if number not in known]:
                there = ", ".join(map(str, known)) or "none"
                raise InputError(f"no fault {unknown[0]} is active in lab {lab.name}; there is {there}")
            undone = [known[number] for number in dict.fromkeys(numbers or [])]
            for record in undone:
                undo_one(lab, record)
    for record in undone:
        print(f"{record.fault}: undone")
    if not undone:
        print("no fault is active")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"{text!r}: write KEY=VALUE, e.g. tunnel=branch-hq")
    return key, value
