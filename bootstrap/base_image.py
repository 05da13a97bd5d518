"""The base image, and the Debian packages to make it if it cannot be pulled."""

from bootstrap import packages
from lab.core.progress import Say
from lab.image import ToolsMissing, ensure_base


def prepare_base_image(say: Say) -> None:
    """Pull or make the base image; install mmdebstrap first if it is needed, and say so.

    Raises `EnvironmentBroken` with one sentence if that is forbidden (`LAB_NO_INSTALL=1`), impossible or fails.
    """
    try:
        ensure_base(None, say)
    except ToolsMissing as missing:
        packages.install(missing.packages, "to make the base image", say)
        ensure_base(None, say)
