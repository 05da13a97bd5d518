"""Measurement of convergence, in the terms of RFC 4098, RFC 6412 and RFC 7747."""
