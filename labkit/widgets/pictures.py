"""Small pictures inside a page: compressed, so that a notebook stays small."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image

from labkit.data.images import Pixels

LARGEST_SIDE = 160
"""Side in pixels of the pictures in a page, at the most."""


def thumbnail(pixels: Pixels, alt: str, caption: str) -> str:
    """Return an image (height, width, 3) as a small figure, as HTML."""
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=85)
    data = base64.b64encode(stream.getvalue()).decode()
    return (
        "<figure style='display:inline-block;margin:0 12px 8px 0'>"
        f"<img width='128' alt='{escape(alt)}' src='data:image/jpeg;base64,{data}'>"
        f"<figcaption>{caption}</figcaption></figure>"
    )
