"""Faults of a running lab: applied, recorded, and undone from any process."""

from typing import TYPE_CHECKING

from lab.core.lazy import lazy_exports

if TYPE_CHECKING:
    from lab.fault.active import ActiveFault, apply, records, undo, undo_all
    from lab.fault.base import FaultAction, FaultKind, FaultSite, Moment, Record
    from lab.fault.kinds import KINDS, fault_of
    from lab.fault.path import PathEffect, RouterPath

__all__ = [
    "KINDS",
    "ActiveFault",
    "FaultAction",
    "FaultKind",
    "FaultSite",
    "Moment",
    "PathEffect",
    "Record",
    "RouterPath",
    "apply",
    "fault_of",
    "records",
    "undo",
    "undo_all",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {
            "lab.fault.active": ("ActiveFault", "apply", "records", "undo", "undo_all"),
            "lab.fault.base": ("FaultAction", "FaultKind", "FaultSite", "Moment", "Record"),
            "lab.fault.kinds": ("KINDS", "fault_of"),
            "lab.fault.path": ("PathEffect", "RouterPath"),
        },
    )
