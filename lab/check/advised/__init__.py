"""Trials on a running lab of the failures that `lab advise` foresees: packets confirm or refute each."""
