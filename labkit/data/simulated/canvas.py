"""Fields of numbers that the drawn animals are made of: noise, blur, and solid shapes.

A solid is a heap of ellipsoids; `carve` looks at it from the front and keeps the depth.
Per pixel only + - * / sqrt and comparisons: IEEE 754 fixes those on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Field = NDArray[np.float32]
"""One number a pixel, shape (height, width); or a colour, shape (height, width, 3)."""
Vectors = NDArray[np.float64]


def noise(numbers: np.random.Generator, size: int, cells: float, *, stretch: float = 1.0) -> Field:
    """Draw smooth noise, shape (size, size), about -1..1, with ``cells`` bumps across.

    ``stretch`` over 1 makes the bumps that much longer upwards than sideways.
    """
    grid = (max(2, round(cells / stretch)), max(2, round(cells)))
    values = numbers.random(grid, dtype=np.float32) * 2 - 1
    return resized(values, size)


def resized(field: Field, size: int) -> Field:
    """Scale a field to (size, size) with smooth interpolation."""
    return np.asarray(Image.fromarray(field).resize((size, size), Image.Resampling.BICUBIC))


def blur(field: Field, radius: float, *, passes: int = 2) -> Field:
    """Blur by box means over this radius in pixels; two passes are close to a Gaussian."""
    width = 2 * max(1, round(radius)) + 1
    if radius < 0.5:
        return field
    for axis in (0, 1) * passes:
        field = ndimage.uniform_filter1d(field, width, axis=axis, mode="nearest")
    return field


def smoothstep(values: Field, low: float, high: float) -> Field:
    """Rise from 0 at ``low`` to 1 at ``high`` without a corner."""
    share: Field = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return share * share * (3 - 2 * share)


def mixed(first: Field, second: Field, share: Field) -> Field:
    """Go from ``first`` (share 0) to ``second`` (share 1); share has no colour axis."""
    weight = share[..., None]
    return first + (second - first) * weight


@dataclass(frozen=True)
class Relief:
    """What is seen of a solid from the front.

    Attributes:
        depth: how near the surface is in pixels, larger is nearer, -1e6 where nothing is;
            shape (size, size).
        ball: number of the ellipsoid that is seen, -1 where there is none.
    """

    depth: Field
    ball: NDArray[np.int16]


def carve(centres: Vectors, axes: Vectors, size: int) -> Relief:
    """Look at ellipsoids from the front; the nearest surface wins.

    Args:
        centres: (n, 3), in pixels: right, down, towards the viewer.
        axes: (n, 3, 3), the three half-axes of each ellipsoid as columns.
        size: width and height of the picture in pixels.
    """
    depth = np.full((size, size), -1e6, dtype=np.float32)
    ball = np.full((size, size), -1, dtype=np.int16)
    grid = np.arange(size, dtype=np.float32) + np.float32(0.5)
    shape = (axes[:, :, None, :] * axes[:, None, :, :]).sum(-1)
    sxx, sxy, syy = shape[:, 0, 0], shape[:, 0, 1], shape[:, 1, 1]
    sxz, syz, szz = shape[:, 0, 2], shape[:, 1, 2], shape[:, 2, 2]
    area = np.maximum(sxx * syy - sxy * sxy, 1e-9)
    slope_x, slope_y = (syy * sxz - sxy * syz) / area, (sxx * syz - sxy * sxz) / area
    thick = np.sqrt(np.maximum(szz - slope_x * sxz - slope_y * syz, 1e-9))
    reach = np.sqrt(np.stack([sxx, syy], axis=1))
    low = np.clip(np.floor(centres[:, :2] - reach), 0, size).astype(int)
    high = np.clip(np.ceil(centres[:, :2] + reach), 0, size).astype(int)
    table = np.stack(
        [*centres.T, slope_x, slope_y, thick, 1 / sxx, sxy / sxx, sxx / area], axis=1
    ).astype(np.float32)
    for number, ((x0, y0), (x1, y1)) in enumerate(zip(low, high, strict=True)):
        if x1 > x0 and y1 > y0:
            _add_ball(
                number, table[number], grid[x0:x1], grid[y0:y1],
                depth[y0:y1, x0:x1], ball[y0:y1, x0:x1],
            )  # fmt: skip
    return Relief(depth, ball)


def _add_ball(
    number: int, row: Field, across: Field, down: Field, depth: Field, ball: NDArray[np.int16]
) -> None:
    x, y, z, slope_x, slope_y, thick, wide, lean, narrow = row
    right, below = across - x, (down - y)[:, None]
    # 1 - d'P d by completing the square: a part of the column, less a part that leans.
    inside = below - right * lean
    inside *= inside
    inside *= -narrow
    inside += 1 - right * right * wide
    seen = inside > 0
    np.maximum(inside, 0, out=inside)
    np.sqrt(inside, out=inside)
    inside *= thick
    inside += z + right * slope_x
    inside += below * slope_y
    seen &= inside > depth
    np.copyto(depth, inside, where=seen)
    np.copyto(ball, np.int16(number), where=seen)
