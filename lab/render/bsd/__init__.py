"""FreeBSD and OpenBSD at one end of a tunnel: OpenVPN's files, the system's own settings, and a routing daemon.

OpenVPN's configuration is the one for Linux with the system's paths. Written from the manuals named in each module, and
tried with Debian's programs only.
"""

from lab.render.bsd.files import SYSTEMS, bsd_files, system_of

__all__ = ["SYSTEMS", "bsd_files", "system_of"]
