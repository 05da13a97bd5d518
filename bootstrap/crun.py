"""The engine without a daemon: its runtime, and buildah for its images, installed if they are missing."""

import shutil

from bootstrap import packages
from lab.core.progress import Say
from lab.host import oci_runtime
from lab.image import VERSIONS, ToolsMissing, buildah, store, tag


def prepare_crun(say: Say) -> None:
    """Install what the engine crun lacks (and say so), and make the base image if an image has to be built.

    Raises `EnvironmentBroken` with one sentence if that is forbidden (`LAB_NO_INSTALL=1`), impossible or fails.
    """
    builds = any(store.is_missing(tag(version)) for version in VERSIONS)
    missing = [] if oci_runtime.is_installed() else [oci_runtime.package()]
    if builds and not buildah.is_installed():
        missing.append(buildah.PACKAGE)
        if shutil.which("mmdebstrap") is None:  # with it a base image can be made where no registry answers
            missing += ToolsMissing.packages
    if missing:
        packages.install(missing, "for the engine crun", say)
    say(f"{oci_runtime.runtime_version()} runs the nodes")
    if builds:
        buildah.ensure_base(say)
