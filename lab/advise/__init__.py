"""Report the silent failures that a configuration is exposed to, from OpenVPN's and FRR's files."""

from lab.advise.findings import Finding, advise
from lab.advise.from_files import subjects_of_files
from lab.advise.from_topology import TunnelEnd, ends_of_topology, subjects_of_topology
from lab.advise.rule import Rule, Verdict
from lab.advise.rules import RULES
from lab.advise.subject import Subject
from lab.configs.disk import Spot, Unreadable

__all__ = [
    "RULES",
    "Finding",
    "Rule",
    "Spot",
    "Subject",
    "TunnelEnd",
    "Unreadable",
    "Verdict",
    "advise",
    "ends_of_topology",
    "subjects_of_files",
    "subjects_of_topology",
]
