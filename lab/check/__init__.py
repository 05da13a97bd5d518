"""Expectations as data: what should hold in a lab, step by step, and what was seen."""
