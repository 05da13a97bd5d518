"""The article's topology with a router at hq that has files of the user's."""

from pathlib import Path

from lab.catalogue import load, topologies_dir
from lab.topology import Topology

RENDERED = """            daemon: frr
            asn: 65001
            networks: [10.1.0.0/24, "2001:db8:1::/64"]"""


def article_with(directory: Path, router: str, files: dict[str, str]) -> Path:
    """Write the topology with other keys of the router at hq, and files beside it."""
    text = (topologies_dir() / "article.clab.yml").read_text()
    assert RENDERED in text
    path = directory / "own.clab.yml"
    path.write_text(text.replace(RENDERED, "\n".join(f"            {line}" for line in router.splitlines())))
    for name, content in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return path


def loaded(directory: Path, router: str, files: dict[str, str]) -> Topology:
    """Read that topology."""
    return load(article_with(directory, router, files))
