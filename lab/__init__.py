"""A test lab that shows how dynamic routing behaves over OpenVPN.

    import lab

    with lab.Lab.deploy(lab.load("article")) as running:
        running.router("hq").announce(running.free_prefix("ipv4"))

Names are imported when they are first used, so `import lab` alone is fast.
"""

from typing import TYPE_CHECKING

from lab.core.errors import (
    CommandFailed,
    EnvironmentBroken,
    ExpectationFailed,
    InputError,
    LabError,
    NotSupported,
)
from lab.core.lazy import lazy_exports

if TYPE_CHECKING:
    from lab.catalogue.reader import load
    from lab.runtime.lab import Lab

    __version__: str
    """The version of the installed distribution, as in its metadata."""

__all__ = [
    "CommandFailed",
    "EnvironmentBroken",
    "ExpectationFailed",
    "InputError",
    "Lab",
    "LabError",
    "NotSupported",
    "__version__",
    "load",
]

if not TYPE_CHECKING:
    __getattr__ = lazy_exports(
        __name__,
        {"lab.runtime.lab": ("Lab",), "lab.catalogue.reader": ("load",), "lab.core.version": ("__version__",)},
    )


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
