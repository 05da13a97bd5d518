"""Find the configuration that a host's routing daemon runs with, and what it says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from lab.configs import bird, frr
from lab.configs.disk import Disk, Unreadable
from lab.configs.frr.configuration import configuration
from lab.configs.frr.files import INTEGRATED, SPLIT, FrrFiles
from lab.configs.frr.statements import statements
from lab.configs.routers import RouterFacts, read_routers
from lab.importer.walk import SPARE

BIRD_CONF = PurePosixPath("/etc/bird/bird.conf")
_SEPARATE = re.compile(r"(?m)^\s*no service integrated-vtysh-config")


@dataclass(frozen=True)
class RouterFiles:
    """A host's routing daemon."""

    daemon: str
    """The lab's name of the daemon."""
    facts: RouterFacts
    files: tuple[str, ...]
    """The files that the daemon runs with, relative to the topology file."""
    text: str = field(default="", repr=False)
    """The text of these files."""
    notes: tuple[str, ...] = ()
    questions: tuple[tuple[str, str], ...] = ()
    """The open questions, each with the assumption."""
    translated: PurePosixPath | None = None
    """The path on the host of the one file that the import writes instead of `files`, with `text`."""


def find_router(paths: Sequence[PurePosixPath], disk: Disk) -> RouterFiles | None:
    """Return the routing daemon of a host; None if no file is a daemon's."""
    usable = [path for path in paths if not SPARE.search(str(path))]
    zebra, other = _frr(usable, disk), _bird(usable, disk)
    if zebra is not None and other is not None:
        text = (
            f"files of two routing daemons ({zebra.files[0]} and {other.facts.files[0]}), and a node of the lab "
            "runs one: leave out those that the host does not run"
        )
        questions = (*zebra.questions, (text, "it runs FRR"))
        return RouterFiles(zebra.daemon, zebra.facts, zebra.files, zebra.text, zebra.notes, questions)
    return zebra or other


def _frr(paths: Sequence[PurePosixPath], disk: Disk) -> RouterFiles | None:
    found = [path for path in paths if frr.is_file(path, disk)]
    by_name: dict[str, PurePosixPath] = {}
    for path in found:
        by_name.setdefault(path.name, path)
    daemons, vtysh = by_name.get("daemons"), by_name.get("vtysh.conf")
    split = [by_name[name] for name in SPLIT if name in by_name]
    whole = next((by_name[name] for name in INTEGRATED if name in by_name), None)
    if whole is None and not split:
        others = [path for path in found if path.name not in ("daemons", "vtysh.conf")]
        whole = others[0] if others else None
    separate = split and vtysh is not None and _SEPARATE.search(disk.text(vtysh)) is not None
    main = split if whole is None or separate else [whole]
    if not main:
        return None
    # The reader takes an integrated file beside them for the one in use.
    facts = read_routers([*main, *([daemons] if daemons is not None else [])], disk)
    notes = []
    if split and main != split:
        notes.append(f"FRR reads {disk.name(main[0])}; the files of single daemons beside it are not used")
    files = [disk.name(path) for path in (*main, *([daemons] if daemons is not None else []))]
    text = "\n".join(disk.text(path, frr.files.MAX_SIZE) for path in main)
    return RouterFiles("frr", facts[0], tuple(files), text, tuple(notes)) if facts else None


def _bird(paths: Sequence[PurePosixPath], disk: Disk) -> RouterFiles | None:
    found = [path for path in paths if _is_bird(path, disk)]
    routers = [facts for facts in read_routers(found, disk) if facts.daemon.startswith("bird")]
    routers.sort(key=lambda facts: facts.files[0].name != "bird.conf")
    if not routers:
        return None
    first = routers[0]
    if first.daemon == "bird1":
        return _bird_1([facts for facts in routers if facts.daemon == "bird1"], disk)
    notes = []
    if len(routers) > 1:
        others = ", ".join(disk.name(facts.files[0]) for facts in routers[1:])
        notes.append(f"BIRD reads {disk.name(first.files[0])}; not used: {others}")
    text = "\n".join(disk.text(path) for path in first.files)
    return RouterFiles("bird", first, (disk.name(first.files[0]),), text, tuple(notes))


def _bird_1(routers: Sequence[RouterFacts], disk: Disk) -> RouterFiles:
    """Return one file of BIRD 2 for the daemons of BIRD 1.6, which have a file per family."""
    files = [(facts.files[0], bird.read(facts.files[0], disk).six) for facts in routers]
    upgraded = bird.upgrade(files, disk)
    names = " and ".join(disk.name(path) for path, _ in files)
    text = f"# Translated from {names} by `lab import`, for BIRD 2 and 3; change the original and import again.\n"
    text += upgraded.text
    facts = replace(bird.facts(bird.parse(text, str(BIRD_CONF))), files=(BIRD_CONF,))
    notes = (
        f"{names}: written for BIRD 1.6, which the lab does not have: translated for BIRD 2 and 3",
        *map(str, upgraded.notes),
    )
    return RouterFiles("bird", facts, (), text, notes, translated=BIRD_CONF)


def _is_bird(path: PurePosixPath, disk: Disk) -> bool:
    try:
        return bird.looks_like_bird(disk.text(path))
    except Unreadable:
        return False


def facts_of_text(text: str, path: PurePosixPath) -> RouterFacts:
    """Return what a configuration of FRR says that the import makes."""
    found = configuration(statements(text, str(path)), str(path))
    return frr.facts(FrrFiles(found, (path,), split=False))
