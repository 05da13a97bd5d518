"""Readers of configuration files that were not written by the lab: OpenVPN's and those of routing daemons.

They read files within bounds and execute nothing. What a file sets is returned with its place.
"""
