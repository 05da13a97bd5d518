"""Prepares this host for the lab: installs and starts a Docker engine, and installs the tools that make the base image.

`make` runs it as `python -m bootstrap`. The lab itself only connects to an engine, and never imports this package.
"""
