"""The result of checks as one self-contained HTML page, with the picture of the topology and the evidence."""

import base64
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from lab.check.report import CheckReport
from lab.render.graph import svg
from lab.topology import Topology


def page(report: CheckReport, topology: Topology) -> str:
    """Return the page; it loads nothing, and runs no script."""
    picture = base64.b64encode(svg(topology).encode()).decode()
    return _environment().get_template("check.html.j2").render(report=report, picture=picture)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("lab.check"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
