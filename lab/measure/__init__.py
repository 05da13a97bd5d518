"""Convergence, measured in the words of RFC 4098, RFC 6412 and RFC 7747."""
