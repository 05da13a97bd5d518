"""The choice of what a command sends to the workers of its cluster."""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from lab.core.progress import Say

if TYPE_CHECKING:
    from lab.cluster.delivery import Cargo


class Ship(StrEnum):
    """The caller's own that machines get which lack it."""

    CHECK = "check"
    """Nothing: it is only checked that all workers are alike."""
    PACKAGE = "package"
    IMAGES = "images"
    ALL = "all"
    """The package and the images."""

    def cargo(self, images: Iterable[str], say: Say) -> "Cargo":
        """Return what is sent; `images` are those of the run's labs, built or pulled here if they are missing.

        They are looked at only if they are sent. Raises the errors of this host's engine.
        """
        from lab.cluster.delivery import Cargo
        from lab.cluster.package import own_package

        package = own_package() if self in (Ship.PACKAGE, Ship.ALL) else None
        if self not in (Ship.IMAGES, Ship.ALL):
            return Cargo(package)
        from lab.engine import open_engine

        engine = open_engine()
        provided = [engine.provide(image, say) for image in dict.fromkeys(images)]
        return Cargo(package, [engine.describe_image(image) for image in dict.fromkeys(provided)], engine)
