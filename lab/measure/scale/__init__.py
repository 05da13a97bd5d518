"""Routing tables of up to a million prefixes, over a tunnel and over the bare wire."""

from lab.measure.scale.record import Line, ScaleTrial, lines
from lab.measure.scale.run import SIZES, Plan, read, run
from lab.measure.scale.table import Table, generate
from lab.measure.scale.trial import measure

__all__ = ["SIZES", "Line", "Plan", "ScaleTrial", "Table", "generate", "lines", "measure", "read", "run"]
