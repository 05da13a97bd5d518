"""Draw the pictures of README and documentation from real runs.

    .venv/bin/python docs/pictures/make.py topologies          # article.svg, road-warrior.svg: `lab graph`
    .venv/bin/python docs/pictures/make.py rooms               # rooms.svg: the layers of the import contract
    .venv/bin/python docs/pictures/make.py terminal            # lab-up.svg: what `make lab-up` prints
    .venv/bin/python docs/pictures/make.py report RUN          # report.svg: figures of `lab report RUN`

`terminal` takes the lab of that name down first and leaves nothing behind. RUN is a directory that `lab measure` wrote.
The pictures load nothing from elsewhere: a test holds that.
"""

import argparse
import os
import pty
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.sax.saxutils import escape

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LAB = Path(sys.executable).with_name("lab")
COLUMNS = 96
_VIEW_BOX = re.compile(r'viewBox="([^"]+)"')
_SIZE = re.compile(r'\s(?:width|height)="[^"]*"')
_FONT_FACES = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)
_SHOWN = {
    "announce-stages": "A prefix is announced: when each stage was reached",
    "blackhole-fib-ecdf": "The path drops every packet: when the kernel had lost the route",
}
"""Figures of a report in its picture, each with its caption."""
_CAPTION = 30
"""Height of a caption."""


def topologies() -> None:
    """Draw topologies."""
    for name in ("article", "road-warrior"):
        subprocess.run([LAB, "graph", name, "--format", "svg", "--output", HERE / f"{name}.svg"], check=True)


def layers() -> list[list[str]]:
    """Return the rooms of each layer of the import contract, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [sorted(re.split(r"\s*[|:]\s*", layer)) for layer in found]


def rooms() -> None:
    """Draw the rooms of the code."""
    (HERE / "rooms.svg").write_text(rooms_svg())


def rooms_svg() -> str:
    """Return the rooms as boxes, one row for each layer; imports go down."""
    width, high, gap, left = 720, 30, 8, 44
    found = layers()
    height = len(found) * (high + gap) + gap
    parts = []
    for row, names in enumerate(found):
        y, wide = gap + row * (high + gap), (width - left - gap * len(names)) / len(names)
        for column, name in enumerate(names):
            x = left + column * (wide + gap)
            parts.append(f'<rect x="{x:g}" y="{y}" width="{wide:g}" height="{high}" rx="4"/>')
            parts.append(f'<text x="{x + wide / 2:g}" y="{y + 20}">{name}</text>')
    arrow = f"M20 {gap} V{height - 2 * gap} M14 {height - 3 * gap} L20 {height - 2 * gap} L26 {height - 3 * gap}"
    style = (
        ":root { color: #1b1f24; background: #ffffff; --box: #eef5ff; --line: #0550ae } "
        "@media (prefers-color-scheme: dark) { :root { color: #e6edf3; background: #0d1117; --box: #12233d; "
        "--line: #58a6ff } } text { font: 13px sans-serif; fill: currentColor; text-anchor: middle } "
        "rect { fill: var(--box); stroke: var(--line) } path { fill: none; stroke: currentColor; stroke-width: 1.5 }"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="The rooms of the code: a room imports only rooms below it">\n'
        f'<style>{style}</style>\n<path d="{arrow}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def terminal() -> None:
    """Run `make lab-up` in a terminal of its own, and draw what it printed."""
    quiet = {"cwd": ROOT, "check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["make", "lab-down"], **quiet)  # type: ignore[call-overload]
    printed = in_terminal(["make", "--no-print-directory", "lab-up"])
    subprocess.run(["make", "lab-down"], **quiet)  # type: ignore[call-overload]
    # A tag of a node's image ends with the digest of its recipe, which says nothing here and is long.
    printed = re.sub(r"(node:[\d.]+)-[0-9a-f]{12}", lambda found: found[1] + " " * 13, printed)
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    console.print(Text.from_ansi("$ make lab-up\n" + printed.rstrip()))
    template = _FONT_FACES.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code, monospace", "monospace")
    svg = console.export_svg(title="make lab-up", code_format=template, unique_id="lab-up")
    (HERE / "lab-up.svg").write_text(svg)


def in_terminal(argv: list[str]) -> str:
    """Return what a command prints on a terminal when it has ended, without the progress that it has overwritten."""
    main, other = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": "60"}
    process = subprocess.Popen(argv, cwd=ROOT, env=environment, stdin=other, stdout=other, stderr=subprocess.DEVNULL)
    os.close(other)
    chunks = []
    while chunk := _read(main):
        chunks.append(chunk)
    os.close(main)
    if process.wait():
        raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
    return b"".join(chunks).decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux: the other end was closed
        return b""


def report(run: Path) -> None:
    """Write a run's report, and put some of its figures into one picture."""
    with TemporaryDirectory() as directory:
        subprocess.run([LAB, "report", run, "--out", directory], check=True, stdout=subprocess.DEVNULL)
        figures = {caption: Path(directory, "figures", f"{name}.svg").read_text() for name, caption in _SHOWN.items()}
    (HERE / "report.svg").write_text(below_each_other(figures))


def below_each_other(drawings: dict[str, str]) -> str:
    """Put drawings into one, each below its caption."""
    parts, top, width = [], 0.0, 0.0
    for number, (caption, svg) in enumerate(drawings.items()):
        svg = svg[svg.index("<svg") :]
        *_, wide, high = map(float, _VIEW_BOX.findall(svg)[0].split())
        for reference in ('id="', 'href="#', "url(#"):  # a name is unique in its own drawing only
            svg = svg.replace(reference, f"{reference}f{number}-")
        opening, rest = svg.split(">", 1)
        opening = _SIZE.sub("", opening)
        parts.append(f'<text x="8" y="{top + 20:g}">{escape(caption)}</text>')
        parts.append(f'{opening} y="{top + _CAPTION:g}" width="{wide:g}" height="{high:g}">{rest}')
        top, width = top + _CAPTION + high + 16, max(width, wide)
    sizes = f'viewBox="0 0 {width:g} {top:g}" width="{width * 4 / 3:g}" height="{top * 4 / 3:g}"'
    style = (
        ":root { color: #1b1f24; background: #ffffff } text { font: 13px sans-serif; fill: currentColor } "
        "@media (prefers-color-scheme: dark) { :root { color: #e6edf3; background: #0d1117 } }"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {sizes} role="img" aria-label="Figures of a report">\n'
        f"<style>{style}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


def main() -> None:
    """Draw what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    pictures = parser.add_subparsers(dest="picture", required=True)
    pictures.add_parser("topologies")
    pictures.add_parser("rooms")
    pictures.add_parser("terminal")
    pictures.add_parser("report").add_argument("run", type=Path)
    given = parser.parse_args()
    if given.picture == "report":
        report(given.run)
    else:
        {"topologies": topologies, "rooms": rooms, "terminal": terminal}[given.picture]()


if __name__ == "__main__":
    main()
