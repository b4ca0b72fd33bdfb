"""Draws a certificate's page as SVG or PDF: one layout, two ways to write it down."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import segno

from labkit.errors import CourseError

if TYPE_CHECKING:
    from labkit.course.certificate import Certificate

COURSE = "Transfer-learning lab"

WIDTH, HEIGHT = 297, 210
"""The page, A4 across, in millimetres."""

_QR_PLACE, _QR_SIDE = (212, 100), 64
_BLUE = "#0072B2"


@dataclass(frozen=True)
class _Text:
    """A line of text on the page: where it stands and how large it is, in millimetres."""

    x: float
    y: float
    size: float
    text: str
    weight: str = "normal"


def _layout(certificate: Certificate, fingerprint: str) -> Iterator[_Text]:
    lessons = certificate.lessons
    many = "lesson" if len(lessons) == 1 else "lessons"
    yield _Text(25, 38, 7, COURSE)
    yield _Text(25, 58, 13, "Certificate", weight="bold")
    size = min(11.0, 245 / _width(certificate.name))
    yield _Text(25, 80, size, certificate.name, weight="bold")
    yield _Text(25, 92, 5, f"reached {certificate.total} points in {len(lessons)} {many}.")
    step = min(7.5, 75 / len(lessons))
    for place, (lesson, points, most) in enumerate(lessons):
        y = 108 + step * place
        size = min(4.6, 0.62 * step, 140 / _width(lesson))
        yield _Text(25, y, size, lesson.replace("_", " "))
        yield _Text(170, y, size, f"{points:g} of {most:g}")
    yield _Text(25, 192, 4.2, f"{certificate.day:%d %B %Y}")
    yield _Text(212, 174, 3.6, "The QR code holds the signed text.")
    yield _Text(212, 181, 3.6, f"Key {fingerprint}")
    yield _Text(212, 188, 3.6, "Checked by: labkit verify FILE")


def _width(text: str) -> float:
    """Return how wide a text is in the page's font, in units of its size."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a character that the font lacks has a width as well
        box: Any = TextPath((0, 0), text, 1, prop=FontProperties(weight="bold")).get_extents()
    return max(float(box.width), 1.0)


def _qr_runs(text: str) -> tuple[int, list[tuple[int, int, int]]]:
    """Return the QR code's side, quiet zone included, and its dark runs (column, row, length)."""
    code = segno.make(text, micro=False, error="l", encoding="utf-8")
    lines = ["".join("01"[bool(cell)] for cell in row) for row in code.matrix_iter(border=4)]
    runs = [
        (dark.start(), number, len(dark[0]))
        for number, line in enumerate(lines)
        for dark in re.finditer("1+", line)
    ]
    return len(lines), runs


def svg(certificate: Certificate, text: str, embedded: str, fingerprint: str) -> bytes:
    """Return the page as SVG.

    Args:
        certificate: what is printed.
        text: what the QR code holds.
        embedded: a line for the file's metadata.
        fingerprint: of the key.
    """
    side, runs = _qr_runs(text)
    path = "".join(f"M{x} {y}h{n}v1h-{n}z" for x, y, n in runs)
    texts = "\n".join(
        f'<text x="{t.x:g}" y="{t.y:g}" font-size="{t.size:.2f}"'
        f' font-weight="{t.weight}">{escape(t.text)}</text>'
        for t in _layout(certificate, fingerprint)
    )
    x, y = _QR_PLACE
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}mm" height="{HEIGHT}mm" \
viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title desc" \
font-family="'DejaVu Sans', Verdana, sans-serif" fill="#111">
<title id="title">{escape(f"{COURSE}: certificate of {certificate.name}")}</title>
<desc id="desc">{escape("; ".join(certificate.lines()[1:]))}; signed with the key {fingerprint}. \
A QR code holds the signed text.</desc>
<metadata>{embedded}</metadata>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<rect x="10" y="10" width="{WIDTH - 20}" height="{HEIGHT - 20}" fill="none" stroke="{_BLUE}" \
stroke-width="1.5"/>
{texts}
<path shape-rendering="crispEdges" \
transform="translate({x} {y}) scale({_QR_SIDE / side:.5f})" d="{path}"/>
</svg>""".encode()


def pdf(certificate: Certificate, text: str, embedded: str, fingerprint: str) -> bytes:
    """Return the page as PDF; arguments as of ``svg``.

    Raises CourseError when the PDF's font lacks a character of the name.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.patches import PathPatch, Rectangle

    figure = Figure(figsize=(WIDTH / 25.4, HEIGHT / 25.4))
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    page.set_axis_off()
    page.add_patch(
        Rectangle((10, 10), WIDTH - 20, HEIGHT - 20, fill=False, edgecolor=_BLUE, linewidth=4)
    )
    for t in _layout(certificate, fingerprint):
        points = t.size / 25.4 * 72
        page.text(t.x, t.y, t.text, fontsize=points, weight=t.weight, parse_math=False)
    page.add_patch(PathPatch(_qr_path(text), facecolor="black", linewidth=0))
    metadata = {
        "Title": f"{COURSE}: certificate of {certificate.name}",
        "Subject": "; ".join(certificate.lines()[1:]),
        "Keywords": embedded,
    }
    stream = io.BytesIO()
    with warnings.catch_warnings(), rc_context({"pdf.fonttype": 42}):
        warnings.filterwarnings("error", message="Glyph .* missing")
        try:
            figure.savefig(stream, format="pdf", metadata=metadata)
        except UserWarning as warning:
            raise CourseError(
                f"The PDF's font lacks a character of {certificate.name!r} ({warning}): write an "
                ".svg file, which uses the fonts of whoever opens it."
            ) from None
    return stream.getvalue().rstrip(b"\n")


def _qr_path(text: str) -> Any:
    """Return the QR code as one path, in millimetres: no seams between its squares."""
    from matplotlib.path import Path

    side, runs = _qr_runs(text)
    boxes = [
        Path([(x, y), (x + n, y), (x + n, y + 1), (x, y + 1), (x, y)], closed=True)
        for x, y, n in runs
    ]
    path: Any = Path.make_compound_path(*boxes)
    path.vertices = path.vertices * (_QR_SIDE / side) + _QR_PLACE
    return path
