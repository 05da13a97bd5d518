"""Configurations of pfSense and OPNsense, translated."""
