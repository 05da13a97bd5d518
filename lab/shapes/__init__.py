"""Topologies of a shape to start from: `lab new`."""
