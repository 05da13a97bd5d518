"""The parts of an image's name: repository, tag and digest."""

import re


def repository_of(image: str) -> str:
    """Return the name of an image without tag and digest."""
    return image.removesuffix(_tag_and_digest(image))


def tag_of(image: str) -> str | None:
    """Return the tag of an image, or None if it has none."""
    match = re.match(r":([^@]*)", _tag_and_digest(image))
    return match[1] if match else None


def is_pinned(image: str) -> bool:
    """Return True if the image has a digest, which takes precedence over the tag."""
    return "@" in image


def with_tag(image: str, tag: str) -> str:
    """Return the same image with another tag."""
    return f"{repository_of(image)}:{tag}"


def _tag_and_digest(image: str) -> str:
    match = re.search(r"(:[^/:@]*)?(@.*)?$", image)
    return match.group() if match else ""
