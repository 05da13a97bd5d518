"""Impairments of links: delay, jitter, loss, rate and duplicates, by whatever this kernel provides.

This module imports nothing: the relay is a program of its own, and must start fast.
"""
