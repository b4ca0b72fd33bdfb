"""Any image file in, a square RGB array out.

Decoding is Pillow's; what is added here: every mode becomes RGB (transparent pixels
on white, 16-bit scaled), EXIF rotation is applied, and every failure is one sentence.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from labkit.errors import DataError

Pixels = NDArray[np.uint8]
"""RGB image, shape (height, width, 3), values 0..255."""

EXTENSIONS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
LARGEST = 50_000_000
"""An image of more pixels than this (about 7,000 x 7,000) is left out unread."""
LARGEST_FILE = 200_000_000
"""A file of more bytes than this is left out unread."""

_SIXTEEN_BIT = {"I;16", "I;16L", "I;16B", "I;16N", "I"}


def read_image(source: Path | bytes) -> Image.Image:
    """Read an image file as an upright RGB picture; of an animation the first frame.

    Raises DataError with the reason when the file is empty, no image, truncated,
    damaged, or larger than ``LARGEST`` pixels.
    """
    data = _bytes(source) if isinstance(source, Path) else source
    if not data:
        raise DataError("the file is empty")
    try:
        with warnings.catch_warnings():
            # Pillow warns of a decompression bomb; the size check below refuses it.
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data))
            _refuse_if_huge(image)
            image.load()
            return _as_rgb(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise DataError("the file is not an image that can be read") from None
    except Image.DecompressionBombError:
        raise DataError(f"the image has more than {LARGEST:,} pixels") from None
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged files
        reason = str(error) or type(error).__name__
        raise DataError(f"the image is damaged or truncated ({reason})") from None


def square(image: Image.Image, size: int) -> Pixels:
    """Cut the centre square of an RGB picture and scale it to (size, size, 3) pixels."""
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def load_square(path: Path, size: int) -> Pixels:
    """Read a file as an array of shape (size, size, 3), RGB, 0..255; see read_image."""
    return square(read_image(path), size)


def _bytes(path: Path) -> bytes:
    """Read a file that may be a dangling link, a pipe, locked or far too large."""
    try:
        if not path.is_file():
            raise DataError("it is not a regular file, or a link to nothing")
        if path.stat().st_size > LARGEST_FILE:
            raise DataError(f"the file is larger than {LARGEST_FILE // 1_000_000} MB")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror})") from None


def _refuse_if_huge(image: Image.Image) -> None:
    width, height = image.size
    if width * height > LARGEST:
        raise DataError(
            f"the image is {width:,} x {height:,} pixels; at most {LARGEST:,} pixels are read"
        )


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode in _SIXTEEN_BIT:
        values = np.asarray(image).astype(np.float64)
        scale = 255 / 65535 if values.max(initial=0) > 255 else 1.0
        return Image.fromarray((values * scale).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        known = values[np.isfinite(values)]  # NaN stands for "no data" in scientific TIFFs
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
        values = np.where(np.isfinite(values), values, low)
        values = (values - low) / (high - low or 1.0) * 255
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")
