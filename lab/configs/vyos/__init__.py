"""Configurations of VyOS and EdgeOS, translated."""
