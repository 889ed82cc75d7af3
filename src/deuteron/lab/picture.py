"""Draw the way of a packet: a column a host, a box a namespace, the packet's stays numbered. Pure.

The picture is SVG, so that it is read in a browser and in a repository alike; it holds nothing but what was
traced.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from deuteron.lab import trace
from deuteron.lab.topology import NetworkName
from deuteron.lab.trace import Place, Trace, Visit

COLUMN, GAP, MARGIN = 158, 14, 12
BOX, ROW = 46, 58
TOP = 56
"""Where the first row of boxes begins: below title and names of hosts."""
WIRE, LANE = 34, 6
LINE, RADIUS = 16, 9
KINDS = ("qrouter", "snat", "fip")
"""The namespaces that are drawn, from top to bottom, below the instances and above the bridges."""
WIRES: tuple[NetworkName, ...] = ("underlay", "external")
_COLOURS = {"underlay": "#4a7ab5", "external": "#3d8b57"}
_WAY, _INK, _DIM, _LIT = "#c2410c", "#1f2937", "#9ca3af", "#fff7ed"
_DEVICE = re.compile(r"\b(tap|qr-|qg-|sg-|fg-|dvr|rfp-|fpr-|brq)[0-9a-f]{8}-[0-9a-f]{2}\b")
_NAMESPACE = re.compile(rf"\b({'|'.join(KINDS)})-[0-9a-f]{{8}}\b")


@dataclass(frozen=True)
class Box:
    """A namespace on the paper."""

    host: str
    space: str
    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Stop:
    """A stay of the packet on the paper; `x` is its own, so that lines do not cover each other."""

    number: int
    visit: Visit
    box: Box
    x: float

    @property
    def y(self) -> float:
        """The middle of its number."""
        return self.box.y + BOX - 15


def draw(traced: Trace) -> str:
    """Return the picture of the way there, and both ways in words below it."""
    places = _ordered(traced.places)
    boxes = _boxes(places)
    stops = _stops(traced.there.visits, boxes)
    ground = max(box.y for box in boxes.values()) + BOX
    levels = {wire: ground + 26 + WIRE * index for index, wire in enumerate(WIRES)}
    words = _words(traced)
    width = 2 * MARGIN + len(places) * (COLUMN + GAP) - GAP
    text_top = ground + 26 + WIRE * len(WIRES) + 20
    height = text_top + LINE * len(words)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
        ' font-family="ui-monospace, monospace" font-size="11">',
        f"<title>{escape(_title(traced))}</title>",
        f'<rect width="{width:g}" height="{height:g}" fill="#fff"/>',
        _text(MARGIN, 20, _title(traced), more=' font-size="14" font-weight="bold"'),
        *_columns(places, levels, ground),
        *(_box(box, any(stop.box == box for stop in stops)) for box in boxes.values()),
        *_ways(stops, levels),
        *(_label(box, any(stop.box == box for stop in stops)) for box in boxes.values()),
        *(_circle(stop) for stop in stops),
        *(_text(MARGIN, text_top + LINE * index, line) for index, line in enumerate(words)),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _title(traced: Trace) -> str:
    return f"{traced.source} to {traced.target}" + ("" if traced.answered else ": not answered")


def _ordered(places: Sequence[Place]) -> list[Place]:
    """Return the hosts that carry traffic: those with instances first, those of the outside last."""
    carrying = [place for place in places if set(WIRES) & set(place.networks)]
    return sorted(carrying, key=lambda place: (not place.instances, "underlay" not in place.networks))


def _boxes(places: Sequence[Place]) -> dict[tuple[str, str], Box]:
    """Place each namespace; those of a kind stand in one row."""
    instances = max((len(place.instances) for place in places), default=0)
    kinds = [kind for kind in KINDS if any(_of(place, kind) for place in places)]
    found = {}
    for column, place in enumerate(places):
        x = MARGIN + column * (COLUMN + GAP)
        rows = [(name, name) for name in place.instances]
        rows += [("", "")] * (instances - len(rows))
        for kind in kinds:
            rows.append((_of(place, kind), kind))
        rows.append(("", trace.title("")))
        for row, (space, label) in enumerate(rows):
            if space or row == len(rows) - 1:
                found[place.host, space] = Box(place.host, space, x, TOP + ROW * row, label)
    return found


def _of(place: Place, kind: str) -> str:
    """Return the namespace of a kind; "" when there is none."""
    return next((name for name in place.namespaces if name.startswith(f"{kind}-")), "")


def _stops(visits: Sequence[Visit], boxes: Mapping[tuple[str, str], Box]) -> list[Stop]:
    drawn = [visit for visit in visits if (visit.host, visit.space) in boxes]
    count: dict[str, int] = {}
    for visit in drawn:
        count[visit.host] = count.get(visit.host, 0) + 1
    stops, slot = [], dict.fromkeys(count, 0)
    for number, visit in enumerate(drawn, 1):
        slot[visit.host] += 1
        box = boxes[visit.host, visit.space]
        x = box.x + COLUMN * slot[visit.host] / (count[visit.host] + 1)
        stops.append(Stop(number, visit, box, x))
    return stops


def _columns(places: Sequence[Place], levels: Mapping[NetworkName, float], ground: float) -> Iterator[str]:
    for column, place in enumerate(places):
        x = MARGIN + column * (COLUMN + GAP)
        yield (
            f'<rect x="{x - 5:g}" y="{TOP - 24}" width="{COLUMN + 10}" height="{ground - TOP + 32:g}"'
            ' rx="6" fill="#f3f4f6"/>'
        )
        yield _text(x + 2, TOP - 9, place.host, more=' font-weight="bold"')
        for offset, wire in enumerate(WIRES):
            if wire in place.networks:
                at = x + 6 + 6 * offset
                yield _line(f"M{at:g} {ground:g}V{levels[wire]:g}", _COLOURS[wire], 1)
    right = MARGIN + len(places) * (COLUMN + GAP) - GAP
    for wire, y in levels.items():
        yield _line(f"M{MARGIN} {y:g}H{right:g}", _COLOURS[wire], 2)
        yield _text(right, y + 12, wire, colour=_COLOURS[wire], more=' text-anchor="end"')


def _ways(stops: Sequence[Stop], levels: Mapping[NetworkName, float]) -> Iterator[str]:
    lanes = dict.fromkeys(levels, 0)
    yield (
        '<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="5" markerHeight="5"'
        ' orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{_WAY}"/></marker>'
    )
    for before, after in pairwise(stops):
        if before.box.host == after.box.host:
            path = f"M{before.x:g} {before.y:g}H{after.x:g}"
            end = after.y + RADIUS if after.y < before.y else after.y - RADIUS
        else:
            wire: NetworkName = "underlay" if before.visit.tunnels else "external"
            lanes[wire] += 1
            path = f"M{before.x:g} {before.y:g}V{levels[wire] - LANE * lanes[wire]:g}H{after.x:g}"
            end = after.y + RADIUS
        yield _line(f"{path}V{end:g}", _WAY, 2, ' marker-end="url(#head)"')


def _box(box: Box, visited: bool) -> str:
    colour, fill = (_INK, _LIT) if visited else (_DIM, "#fff")
    size = f'width="{COLUMN}" height="{BOX}"'
    return f'<rect x="{box.x:g}" y="{box.y:g}" {size} rx="4" fill="{fill}" stroke="{colour}"/>'


def _label(box: Box, visited: bool) -> str:
    halo = f' paint-order="stroke" stroke="{_LIT if visited else "#fff"}" stroke-width="4"'
    return _text(box.x + 6, box.y + 14, box.label, colour=_INK if visited else _DIM, more=halo)


def _circle(stop: Stop) -> str:
    return (
        f'<circle cx="{stop.x:g}" cy="{stop.y:g}" r="{RADIUS}" fill="{_WAY}"/>'
        f'<text x="{stop.x:g}" y="{stop.y + 4:g}" fill="#fff" text-anchor="middle">{stop.number}</text>'
    )


def _words(traced: Trace) -> list[str]:
    """Return both ways as lines; the parts of names that are others in each cloud are left out."""
    lines = []
    for name, found in (("there", traced.there), ("back", traced.back)):
        if found.visits:
            rows = [tuple(_plain(cell) for cell in row) for row in trace.steps(found)]
            lines += [f"{name}, by {' > '.join(found.hosts)}", *trace.table(rows), ""]
    return lines


def _plain(cell: str) -> str:
    return _NAMESPACE.sub(r"\1", _DEVICE.sub(r"\1…", cell))


def _text(x: float, y: float, text: str, *, colour: str = _INK, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}"{more} xml:space="preserve">{escape(text)}</text>'


def _line(path: str, colour: str, width: int, more: str = "") -> str:
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{more}/>'
