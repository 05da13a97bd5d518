"""Report the silent failures that a configuration is exposed to, from OpenVPN's and FRR's files."""

from lab.advise.disk import Spot, Unreadable
from lab.advise.findings import Finding, advise
from lab.advise.from_files import subjects_of_files
from lab.advise.from_topology import subjects_of_topology
from lab.advise.rule import Rule, Verdict
from lab.advise.rules import RULES
from lab.advise.subject import Subject

__all__ = [
    "RULES",
    "Finding",
    "Rule",
    "Spot",
    "Subject",
    "Unreadable",
    "Verdict",
    "advise",
    "subjects_of_files",
    "subjects_of_topology",
]
