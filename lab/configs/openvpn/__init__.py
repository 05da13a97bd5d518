"""Readers of OpenVPN's configurations, and what its versions do with old options."""
