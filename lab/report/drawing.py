"""Matplotlib's figures as SVG for light and dark pages: lines and text use the page's text colour."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#010203"
"""Placeholder colour, replaced by `currentColor` in the SVG."""

PALETTE: tuple[str, ...] = ("#0072b2", "#d55e00", "#009e73", "#c2649a", "#8a7000", "#767676")
"""After Okabe and Ito, for all kinds of colour vision, adjusted for contrast on light and dark backgrounds."""

LIGHT, DARK = "#ffffff", "#0d1117"
"""The background colours."""
INK_ON_LIGHT, INK_ON_DARK = "#1b1f24", "#e6edf3"

_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",  # text as text: searchable, and small
    "svg.hashsalt": "openvpn-routing-lab",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK
    ),
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "none"),
}

_OWN_STYLE = (
    f"<style>:root {{ color: {INK_ON_LIGHT}; background: {LIGHT} }} "
    f"@media (prefers-color-scheme: dark) {{ :root {{ color: {INK_ON_DARK}; background: {DARK} }} }}</style>"
)


@dataclass(frozen=True)
class Drawing:
    """A drawn figure."""

    name: str
    """Name of its file, and its anchor in a page."""
    caption: str
    alt: str
    """Alternative text for screen readers."""
    svg: str
    """The SVG element, without XML declaration and style."""

    @property
    def inline(self) -> str:
        """The figure for embedding in HTML, its IDs prefixed so that they are unique on the page."""
        svg = re.sub(r'\bid="', f'id="{self.name}-', self.svg)
        return re.sub(r"(xlink:href=\"#|url\(#)", rf"\g<1>{self.name}-", svg)

    @property
    def file(self) -> str:
        """The figure as a standalone SVG file."""
        head, tag, rest = self.svg.partition(">")
        return f'<?xml version="1.0" encoding="utf-8"?>\n{head}{tag}{_OWN_STYLE}{rest}\n'


@contextmanager
def settings() -> Iterator[None]:
    """Draw in the report's style."""
    with mpl.rc_context(_SETTINGS):
        yield


def as_drawing(figure: Figure, *, name: str, caption: str, alt: str) -> Drawing:
    """Return a figure as SVG; the same figure always gives the same text."""
    text = io.StringIO()
    with settings():
        FigureCanvasSVG(figure)
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip().replace(INK, "currentColor")
    svg = svg.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")  # Verdana is as wide
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{_escape_attribute(alt)}" ', 1)
    return Drawing(name, caption, alt, svg)


def _escape_attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
