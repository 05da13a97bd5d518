"""An image that is sent to another host: what it is there and here. Its content is a stream of the engine's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_DIGITS: Final = 19
"""Characters of a digest for messages: `sha256:` and twelve digits."""


@dataclass(frozen=True)
class Parcel:
    """The description of an image, in values of JSON."""

    engine: str
    """The engine that keeps it, here and there."""
    reference: str
    digest: str
    """The digest of its content, which does not change when the name moves to another image."""
    size: int
    """Bytes of its files."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """The engine's own."""

    def __str__(self) -> str:
        return f"image {self.reference} ({self.digest[:_DIGITS]})"
