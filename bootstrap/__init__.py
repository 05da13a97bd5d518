"""Prepares this host for the lab: installs and starts a Docker engine, installs what makes the base image.

`make` runs it as `python -m bootstrap`. The lab itself only connects to an engine, and never imports this package.
"""
