"""Pictures of a topology, as Mermaid text or as SVG with its own layout.

The SVG puts nodes into columns by their distance along the links from one end of the network. The text of a link is in
the boxes of its nodes, one row per interface, so lines have no labels and no text can overlap. Tunnels are dotted lines
in lanes above the nodes, each with its label.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from lab.topology import Link, Node, Topology, Tunnel
from lab.topology.segments import endpoints_of
from lab.tunnel import display_name

_SYSTEMS = {"mikrotik_ros": "RouterOS", "freebsd": "FreeBSD", "openbsd": "OpenBSD"}
"""The names shown for external nodes in place of a daemon, by kind."""


def mermaid(topology: Topology) -> str:
    """Return a Mermaid flowchart (mermaid.js.org): links with interfaces and addresses, tunnels as dotted links."""
    ids = {name: f"n{number}" for number, name in enumerate(topology.nodes)}
    lines = ["---", f"title: {_yaml(topology.name)}", "---", "flowchart LR"]
    for name, node in topology.nodes.items():
        text = _mermaid_text([f"<b>{escape(name)}</b>", *map(escape, _description(node))])
        opening, closing = ("{{", "}}") if node.is_bridge else ("(", ")") if _is_router(node) else ("[", "]")
        lines.append(f'    {ids[name]}{opening}"{text}"{closing}')
    for number, link in enumerate(topology.links):
        if len(link.endpoints) == 1:
            end = link.endpoints[0]
            texts = _end_texts(end.interface, end.addresses)
            if link.outside is not None:
                texts = [f"{link.kind} {link.outside.interface or link.outside.remote}", *texts]
            lines.append(f'    d{number}["{_mermaid_text(map(escape, texts))}"]')
            lines.append(f"    {ids[end.node]} --- d{number}")
            continue
        here, there = link.endpoints
        texts = [f"{end.node} {' '.join(_end_texts(end.interface, end.addresses))}" for end in (here, there)]
        lines.append(f'    {ids[here.node]} ---|"{_mermaid_text(map(escape, texts))}"| {ids[there.node]}')
    for tunnel in topology.tunnels:
        texts = [
            _tunnel_text(tunnel),
            " ".join([tunnel.client, *_end_texts(tunnel.device, tunnel.client_at.inner)]),
            " ".join([tunnel.server, *_end_texts(tunnel.server_device, tunnel.server_at.inner)]),
        ]
        lines.append(f'    {ids[tunnel.client]} -. "{_mermaid_text(map(escape, texts))}" .-> {ids[tunnel.server]}')
    return "\n".join(lines) + "\n"


def svg(topology: Topology) -> str:
    """Return an SVG picture for light and dark pages; the same topology gives the same bytes."""
    return _Drawing(topology).text()


# --- labels ------------------------------------------------------------------------------------------------


def _is_router(node: Node) -> bool:
    return node.intent.router is not None


def _description(node: Node) -> list[str]:
    router = node.intent.router
    if router is None:
        return ["bridge"] if node.is_bridge else []
    speaks = f"AS {router.asn}" if router.asn is not None else router.protocol.upper()
    daemon = _SYSTEMS.get(node.kind, router.daemon)
    return [f"{daemon}, {speaks}", *map(str, router.networks)]


def _end_texts(interface: str, addresses: Iterable[object]) -> list[str]:
    return [interface, *map(str, addresses)]


def _tunnel_text(tunnel: Tunnel) -> str:
    return f"{tunnel.name}: {display_name(tunnel.mode)} over {tunnel.transport.upper()} port {tunnel.port}"


def _mermaid_text(lines: Iterable[str]) -> str:
    return "<br/>".join(line.replace('"', "#quot;") for line in lines)


def _yaml(text: str) -> str:
    return f'"{text}"'


# --- the drawing -------------------------------------------------------------------------------------------

_CHARACTER = 7.25
"""The width of a character of the monospaced 12 px font, rounded up."""
_ROW = 17
_HEAD = 24
_PADDING = 10
_CHANNEL = 80
"""The space between two columns, for links and for the vertical parts of tunnels."""
_GAP = 28
"""The space between two boxes of a column."""
_MARGIN = 24
_TITLE = 30
_LANE = 30
_LABEL_CHARACTER = 7.0

_STYLE = """
text { font: 12px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; fill: #1b1f24; }
.title { font-size: 15px; font-weight: bold; }
.name { font-weight: bold; }
.quiet { fill: #59636e; }
.box { fill: #ffffff; stroke: #59636e; stroke-width: 1.2; }
.router { fill: #eef5ff; stroke: #0550ae; }
.bridge { stroke-dasharray: 2 2; }
.rule { stroke: #d1d9e0; }
.link { fill: none; stroke: #59636e; stroke-width: 1.5; }
.tunnel { fill: none; stroke: #bc4c00; stroke-width: 1.8; stroke-dasharray: 2 5; stroke-linecap: round; }
.over { fill: #bc4c00; paint-order: stroke; stroke: #ffffff; stroke-width: 5px; }
.dot { fill: #59636e; }
.end { fill: #bc4c00; }
.paper { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .quiet { fill: #9198a1; }
  .box { fill: #161b22; stroke: #9198a1; }
  .router { fill: #12233d; stroke: #58a6ff; }
  .rule { stroke: #3d444d; }
  .link { stroke: #9198a1; }
  .tunnel { stroke: #f0883e; }
  .over { fill: #f0883e; stroke: #0d1117; }
  .dot { fill: #9198a1; }
  .end { fill: #f0883e; }
  .paper { fill: #0d1117; }
}
"""


@dataclass(frozen=True)
class _Interface:
    """The rows of an interface in a box, where a line can end."""

    name: str
    texts: tuple[str, ...]


class _Box:
    """The box of a node: its name, its router and its interfaces."""

    def __init__(self, node: Node, interfaces: Sequence[_Interface]) -> None:
        self.node = node
        self.description = _description(node)
        self.interfaces = interfaces
        longest = max(
            [
                len(node.name) + 1,
                *map(len, self.description),
                *(len(self._row(i, number)) for i in interfaces for number in range(len(i.texts))),
            ]
        )
        self.width = longest * _CHARACTER + 2 * _PADDING
        rows = len(self.description) + sum(len(i.texts) for i in interfaces)
        self.height = _HEAD + rows * _ROW + _PADDING
        self.x = 0.0
        self.y = 0.0

    def row_y(self, interface: str) -> float:
        """Return the height of an interface's first row, where its line ends."""
        row = len(self.description)
        for candidate in self.interfaces:
            if candidate.name == interface:
                break
            row += len(candidate.texts)
        return self.y + _HEAD + row * _ROW + _ROW / 2 + 2

    def draw(self) -> list[str]:
        """Return the SVG elements of the box and its text."""
        kind = "router" if _is_router(self.node) else self.node.kind
        left = self.x + _PADDING
        parts = [
            f'<rect class="box {kind}" x="{_n(self.x)}" y="{_n(self.y)}" width="{_n(self.width)}" '
            f'height="{_n(self.height)}" rx="6"/>',
            _text(left, self.y + 17, self.node.name, "name"),
        ]
        y = self.y + _HEAD
        for line in self.description:
            parts.append(_text(left, y + 12, line, "quiet"))
            y += _ROW
        for interface in self.interfaces:
            parts.append(
                f'<line class="rule" x1="{_n(self.x + 1)}" y1="{_n(y)}" x2="{_n(self.x + self.width - 1)}" '
                f'y2="{_n(y)}"/>'
            )
            for number in range(len(interface.texts)):
                parts.append(_text(left, y + 13, self._row(interface, number)))
                y += _ROW
        return parts

    def _row(self, interface: _Interface, number: int) -> str:
        indent = max(len(i.name) for i in self.interfaces)
        return f"{interface.name if number == 0 else '':<{indent}} {interface.texts[number]}".rstrip()


class _Drawing:
    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.links = [link for link in topology.links if len(link.endpoints) == 2]
        self.boxes = {name: _Box(node, _interfaces(topology, name)) for name, node in topology.nodes.items()}
        self.columns = _columns(list(topology.nodes), _neighbours(topology, self.links))
        self.column = {name: number for number, names in enumerate(self.columns) for name in names}
        # The shortest tunnels are in the lowest lanes, so that few lines cross a label.
        self.lanes = sorted(
            topology.tunnels, key=lambda t: (-abs(self.column[t.client] - self.column[t.server]), t.name)
        )
        self.top = _MARGIN + _TITLE + _LANE * len(self.lanes) + _GAP / 2
        self.width, self.height = self._place()

    def text(self) -> str:
        lines = [self._link(link) for link in self.links]
        lines += [self._tunnel(number, tunnel) for number, tunnel in enumerate(self.lanes)]
        drawn = [path for path, *_ in lines]
        drawn += [part for box in self.boxes.values() for part in box.draw()]
        drawn += [dot for _, *dots in lines for dot in dots]
        drawn += [self._label(number, tunnel) for number, tunnel in enumerate(self.lanes)]
        size = f'width="{_n(self.width)}" height="{_n(self.height)}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_n(self.width)} {_n(self.height)}" '
                f'role="img" aria-label="{escape(self.topology.name)}">',
                f"<style>{_STYLE}</style>",
                f'<rect class="paper" {size}/>',
                _text(_MARGIN, _MARGIN + 12, self.topology.name, "title"),
                *drawn,
                "</svg>\n",
            ]
        )

    def _place(self) -> tuple[float, float]:
        heights = [sum(self.boxes[n].height + _GAP for n in names) - _GAP for names in self.columns]
        tallest = max(heights, default=0.0)
        x: float = _MARGIN
        for names, height in zip(self.columns, heights, strict=True):
            width = max(self.boxes[name].width for name in names)
            y = self.top + (tallest - height) / 2
            for name in names:
                box = self.boxes[name]
                box.x, box.y = x + (width - box.width) / 2, y
                y += box.height + _GAP
            x += width + _CHANNEL
        # A line between two boxes of one column bends to the right.
        pairs = [tuple(end.node for end in link.endpoints) for link in self.links]
        pairs += [(tunnel.client, tunnel.server) for tunnel in self.lanes]
        bent = any(self.column[one] == self.column[other] for one, other in pairs)
        right = x - _CHANNEL + (_CHANNEL / 2 if bent else 0)
        texts = [len(self.topology.name) * 10.0, *map(self._label_width, self.lanes)]
        return max(right + _MARGIN, max(texts) + 2 * _MARGIN), self.top + tallest + _MARGIN

    def _edge(self, name: str, interface: str, towards: str) -> tuple[float, float, int]:
        """Return the point where a line leaves a box, and its direction: -1 for left, 1 for right."""
        box = self.boxes[name]
        left = self.column[towards] < self.column[name]
        return (box.x if left else box.x + box.width), box.row_y(interface), (-1 if left else 1)

    def _link(self, link: Link) -> list[str]:
        one, other = link.endpoints
        x1, y1, d1 = self._edge(one.node, one.interface, other.node)
        x2, y2, d2 = self._edge(other.node, other.interface, one.node)
        bend = _CHANNEL / 2
        path = f"M{_n(x1)} {_n(y1)} C{_n(x1 + d1 * bend)} {_n(y1)} {_n(x2 + d2 * bend)} {_n(y2)} {_n(x2)} {_n(y2)}"
        return [f'<path class="link" d="{path}"/>', _dot(x1, y1, "dot"), _dot(x2, y2, "dot")]

    def _tunnel(self, number: int, tunnel: Tunnel) -> list[str]:
        lane = self._lane_y(number)
        x1, y1, d1 = self._edge(tunnel.client, tunnel.device, tunnel.server)
        x2, y2, d2 = self._edge(tunnel.server, tunnel.server_device, tunnel.client)
        # The vertical parts of tunnels are side by side.
        up1, up2 = x1 + d1 * self._aside(number), x2 + d2 * self._aside(number)
        path = f"M{_n(x1)} {_n(y1)} H{_n(up1)} V{_n(lane)} H{_n(up2)} V{_n(y2)} H{_n(x2)}"
        return [f'<path class="tunnel" d="{path}"/>', _dot(x1, y1, "end"), _dot(x2, y2, "end")]

    def _label(self, number: int, tunnel: Tunnel) -> str:
        ends = (
            self._edge(tunnel.client, tunnel.device, tunnel.server),
            self._edge(tunnel.server, tunnel.server_device, tunnel.client),
        )
        middle = sum(x for x, _, _ in ends) / 2
        half = self._label_width(tunnel) / 2
        x = min(max(middle, _MARGIN + half), self.width - _MARGIN - half)
        return _text(x, self._lane_y(number) - 6, _tunnel_text(tunnel), "over", anchor="middle")

    def _lane_y(self, number: int) -> float:
        return _MARGIN + _TITLE + _LANE * number + 14

    def _aside(self, number: int) -> float:
        return 14 + (number * 8) % (_CHANNEL / 2 - 20)

    def _label_width(self, tunnel: Tunnel) -> float:
        return len(_tunnel_text(tunnel)) * _LABEL_CHARACTER


def _interfaces(topology: Topology, name: str) -> list[_Interface]:
    found = [_Interface(end.interface, tuple(map(str, end.addresses)) or ("",)) for end in endpoints_of(topology, name)]
    for tunnel in topology.tunnels:
        if name == tunnel.client:
            found.append(_Interface(tunnel.device, tuple(map(str, tunnel.client_at.inner)) or ("",)))
        if name == tunnel.server:
            found.append(_Interface(tunnel.server_device, tuple(map(str, tunnel.server_at.inner)) or ("",)))
    return found


def _neighbours(topology: Topology, links: Iterable[Link]) -> dict[str, list[str]]:
    near: dict[str, list[str]] = {name: [] for name in topology.nodes}
    for link in links:
        one, other = (end.node for end in link.endpoints)
        near[one].append(other)
        near[other].append(one)
    return near


def _columns(names: Sequence[str], near: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the nodes by their distance from one end of the network, unconnected parts below each other."""
    columns: list[list[str]] = []
    left = dict.fromkeys(names)
    while left:
        part = _distances(next(iter(left)), near)
        # The node farthest from any node is an end of the network.
        start = max(part, key=lambda n: part[n])
        distances = _distances(start, near)
        # Keep the file's first node left of its last one, whichever end was found first.
        farthest = max(distances.values())
        order = {name: number for number, name in enumerate(names)}
        ends = [n for n in distances if distances[n] == farthest]
        if min(order[n] for n in ends) < order[start]:
            distances = _distances(min(ends, key=order.__getitem__), near)
        layers: list[list[str]] = [[] for _ in range(max(distances.values()) + 1)]
        for name in names:
            if name in distances:
                layers[distances[name]].append(name)
        _untangle(layers, near)
        for number, layer in enumerate(layers):
            if number == len(columns):
                columns.append([])
            columns[number] += layer
        for name in distances:
            left.pop(name, None)
    return columns


def _distances(start: str, near: Mapping[str, Sequence[str]]) -> dict[str, int]:
    found = {start: 0}
    todo = [start]
    for name in todo:
        for other in near[name]:
            if other not in found:
                found[other] = found[name] + 1
                todo.append(other)
    return found


def _untangle(layers: list[list[str]], near: Mapping[str, Sequence[str]]) -> None:
    """Order each column by the positions of its neighbours in the column before, so that few lines cross."""
    for before, layer in pairwise(layers):
        place = {name: number for number, name in enumerate(before)}
        means = {name: _mean([place[n] for n in near[name] if n in place]) for name in layer}
        layer.sort(key=means.__getitem__)


def _mean(numbers: Sequence[int]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    attributes = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor != "start" else "")
    return f'<text x="{_n(x)}" y="{_n(y)}"{attributes} xml:space="preserve">{escape(text)}</text>'


def _dot(x: float, y: float, kind: str) -> str:
    return f'<circle class="{kind}" cx="{_n(x)}" cy="{_n(y)}" r="3"/>'


def _n(number: float) -> str:
    return f"{number:.1f}".rstrip("0").rstrip(".")
