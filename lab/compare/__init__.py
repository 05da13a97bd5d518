"""Comparison of the tunnel modes: the declared properties of each, and those measured on this host."""
