"""Faults: what breaks in a running lab, as data, each with a way back that works from any process."""

from lab.fault.base import Act, Fault, Moment, Record, Scene
from lab.fault.force import InForce, apply, records, undo, undo_all
from lab.fault.kinds import KINDS, fault_of

__all__ = [
    "KINDS",
    "Act",
    "Fault",
    "InForce",
    "Moment",
    "Record",
    "Scene",
    "apply",
    "fault_of",
    "records",
    "undo",
    "undo_all",
]
