"""Facts that have to be the same on all machines of a cluster."""

import platform
from pathlib import Path

from lab.cluster.package import own_package
from lab.core.version import __version__
from lab.engine import Engine

_DIGITS = 12
"""Digits of the digest, which tell packages apart."""
_GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
_CLOCK = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


def machine_facts(engine: Engine) -> dict[str, str]:
    """Return this machine's version and package of the lab, kernel, engine, CPU governor and clock source."""
    return {
        "lab": __version__,
        "package": own_package().digest[:_DIGITS],
        "kernel": platform.release(),
        "engine": engine.version(),
        "governor": read_line(_GOVERNOR),
        "clock_source": read_line(_CLOCK),
    }


def read_line(path: str) -> str:
    """Return the line of a kernel's file; empty if this kernel has none."""
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
