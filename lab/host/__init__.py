"""This machine: what it has, what it lacks, and a Docker engine on it."""
