"""Impairments of links: delay, jitter, loss, rate and duplicates, with the mechanisms that this kernel provides.

This module imports nothing: the relay is a separate program that must start fast.
"""
