"""Takes pictures and text out of a notebook's outputs; everything active stays behind."""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

LARGEST = 3_000_000
"""Characters of a picture in base64; larger ones are left out."""

_PREFIX = "data:image/png;base64,"


def safe_outputs(data: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield what may be shown of an output: PNG pictures with their text, else plain text."""
    pictures = [(str(data.get("image/png", "")), "")] if "image/png" in data else []
    if not pictures and isinstance(data.get("text/html"), str):
        pictures = _images(data["text/html"])
    said = str(data.get("text/plain", ""))
    for encoded, alt in pictures:
        if is_png(encoded):
            yield {"image/png": encoded.replace("\n", ""), "text/plain": alt or said}
    if not pictures and said:
        yield {"text/plain": said}


def is_png(encoded: str) -> bool:
    """Tell whether a text is a PNG picture in base64, of a sane size."""
    from PIL import Image

    if not 0 < len(encoded) <= LARGEST:
        return False
    try:
        raw = base64.b64decode(encoded, validate=False)
        with Image.open(io.BytesIO(raw), formats=["PNG"]) as image:
            return image.width * image.height <= 40_000_000
    except (OSError, ValueError, binascii.Error, Image.DecompressionBombError):
        return False


class _Images(HTMLParser):
    """Finds ``<img>`` that carry a PNG, with their alternative text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a picture."""
        given = dict(attrs)
        source = given.get("src") or ""
        if tag == "img" and source.startswith(_PREFIX) and len(self.found) < 20:
            self.found.append((source.removeprefix(_PREFIX), given.get("alt") or ""))


def _images(html: str) -> list[tuple[str, str]]:
    parser = _Images()
    with contextlib.suppress(Exception):  # it asserts on some damaged pages
        parser.feed(html[: 4 * LARGEST])
    return parser.found
