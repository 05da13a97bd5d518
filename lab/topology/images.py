"""Images, and the family of ours whose tag chooses OpenVPN's version."""

import re


def repository_of(image: str) -> str:
    """Return an image's name without tag and digest."""
    return image.removesuffix(_tag_and_digest(image))


def tag_of(image: str) -> str | None:
    """Return an image's tag, or None if it names none."""
    match = re.match(r":([^@]*)", _tag_and_digest(image))
    return match[1] if match else None


def is_pinned(image: str) -> bool:
    """Tell whether a digest fixes the image, whatever the tag says."""
    return "@" in image


def with_tag(image: str, tag: str) -> str:
    """Return the same image with another tag."""
    return f"{repository_of(image)}:{tag}"


def _tag_and_digest(image: str) -> str:
    match = re.search(r"(:[^/:@]*)?(@.*)?$", image)
    return match.group() if match else ""
