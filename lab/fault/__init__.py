"""Faults: what breaks in a running lab, as data, each with a way back that works from any process."""

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
