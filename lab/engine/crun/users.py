"""The user of a node's processes, looked up in the image's own /etc/passwd and /etc/group (passwd(5), group(5))."""

from dataclasses import dataclass
from pathlib import Path

from lab.core.errors import InputError


@dataclass(frozen=True)
class User:
    """The numeric ids of a user, and the home directory."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    """The supplementary groups."""
    home: str = "/"


def look_up(wanted: str, rootfs: Path) -> User:
    """Return the user named as `USER[:GROUP]`, by names or numbers; empty for root.

    Raises `InputError` for a name that the image does not have.
    """
    name, _, group = (wanted or "0").partition(":")
    entry = next((e for e in _entries(rootfs / "etc/passwd", 6) if name in (e[0], e[2])), None)
    if entry is None and not name.isdigit():
        raise InputError(f"user {name!r} is not in the image's /etc/passwd: correct `user`")
    uid, gid, home = (int(entry[2]), int(entry[3]), entry[5] or "/") if entry else (int(name), 0, "/")
    groups = list(_entries(rootfs / "etc/group", 3))
    if group:
        found = next((e for e in groups if group in (e[0], e[2])), None)
        if found is None and not group.isdigit():
            raise InputError(f"group {group!r} is not in the image's /etc/group: correct `user`")
        return User(uid, int(found[2]) if found else int(group), (), home)
    member = {int(e[2]) for e in groups if entry and len(e) > 3 and entry[0] in e[3].split(",")}
    return User(uid, gid, tuple(sorted({gid} | member)), home)


def _entries(file: Path, fields: int) -> list[list[str]]:
    try:
        # The image's root may link elsewhere: a link is not followed out of the image.
        if file.is_symlink():
            return []
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [entry for line in lines if len(entry := line.split(":")) >= fields and entry[2].isdigit()]
