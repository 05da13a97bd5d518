"""Prepares this host for the lab: installs an engine, and the tools that make the base image.

`make` runs it as `python -m bootstrap`. The lab itself only uses an engine, and never imports this package.
"""
