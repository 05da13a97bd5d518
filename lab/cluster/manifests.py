"""A cluster on Kubernetes, rendered: a scheduler, and workers without privileged mode and the host's network."""

import re
from typing import Final

from lab.cluster.capabilities import HOST
from lab.core.errors import InputError
from lab.core.files import templates

_IMAGE: Final = re.compile(r"[\w./:@-]+")
_QUANTITY: Final = re.compile(r"[0-9]+(\.[0-9]+)?(m|[KMGT]i?)?")


def manifests(*, image: str, workers: int, cpus: str, memory: str, port: int) -> str:
    """Return the manifests of a cluster as YAML; `cpus` and `memory` are quantities of Kubernetes for each worker.

    Raises `InputError` for a value that Kubernetes would not read.
    """
    if not _IMAGE.fullmatch(image):
        raise InputError(f"image {image!r} is not the name of an image: write REGISTRY/NAME:TAG")
    for name, value in (("cpus", cpus), ("memory", memory)):
        if not _QUANTITY.fullmatch(value):
            raise InputError(f"{name} {value!r} is not a quantity of Kubernetes: write e.g. 2, 500m or 4Gi")
    return (
        templates("lab.cluster")
        .get_template("kubernetes.yml.j2")
        .render(image=image, workers=workers, cpus=cpus, memory=memory, port=port, capabilities=HOST)
    )
