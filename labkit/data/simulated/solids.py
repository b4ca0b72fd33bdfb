"""Solids: heaps of ellipsoids that can be joined, turned and moved.

Limbs are tubes along Bezier curves; everything else is a single ellipsoid.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from labkit.data.simulated.canvas import Vectors

Point = Sequence[float] | Vectors
"""A place or a direction: three numbers."""
Numbers = TypeVar("Numbers", NDArray[np.float32], NDArray[np.float64])

FUR, SKIN, NOSE, EYE, TONGUE = range(5)
"""What an ellipsoid is covered with."""


@dataclass(frozen=True)
class Solid:
    """A heap of n ellipsoids.

    Attributes:
        centres: (n, 3).
        axes: (n, 3, 3), half-axes as columns.
        grain: (n, 3), the direction in which the fur lies; longer is slower stripes.
        along: (n,), position along the limb, where stripes are counted.
        cover: (n,), one of FUR, SKIN, NOSE, EYE, TONGUE.
        white: (n,), 0..1, how soon the part is white in an animal with white parts.
        point: (n,), 0..1, how far the part belongs to the extremities.
        head: (n,), whether the part turns with the head.
    """

    centres: Vectors
    axes: Vectors
    grain: Vectors
    along: Vectors
    cover: Vectors
    white: Vectors
    point: Vectors
    head: Vectors

    def moved(self, turn: Vectors, shift: Vectors, scale: float = 1.0) -> Solid:
        """Scale and turn about the origin, then shift."""
        return replace(
            self,
            centres=rotated(turn, self.centres) * scale + shift,
            axes=np.einsum("ij,njk->nik", turn, self.axes) * scale,
            grain=rotated(turn, self.grain),
        )


def joined(solids: list[Solid]) -> Solid:
    """Put solids into one heap."""
    return Solid(
        *(np.concatenate([getattr(solid, part.name) for solid in solids]) for part in fields(Solid))
    )


def dot(first: Numbers, second: Numbers) -> Numbers:
    """Multiply vectors along the last axis of three; much faster than ``sum(-1)``."""
    product: Numbers = first * second
    return product[..., 0] + product[..., 1] + product[..., 2]


def rotated(turn: Vectors, points: Vectors) -> Vectors:
    """Turn points, shape (n, 3), by a (3, 3) matrix."""
    turned: Vectors = np.einsum("ij,nj->ni", turn, points)
    return turned


def turning(yaw: float, pitch: float, roll: float = 0.0) -> Vectors:
    """Return the (3, 3) turn: to its left by yaw, up by pitch, sideways by roll; radians."""
    (cy, cp, cr), (sy, sp, sr) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    turn: Vectors = np.einsum("ij,jk,kl->il", about_y, about_x, about_z)
    return turn


def tube(
    path: Sequence[Point] | Vectors,
    radii: Sequence[float],
    *,
    cover: int = FUR,
    white: tuple[float, float] = (0, 0),
    point: tuple[float, float] = (0, 0),
    flat: tuple[float, Vectors] | None = None,
    head: float = 0.0,
) -> Solid:
    """Lay ellipsoids along a Bezier curve.

    Args:
        path: control points of the curve.
        radii: radii, blended along the curve in the same way.
        cover: what it is covered with.
        white: from the start to the end, see Solid.
        point: from the start to the end, see Solid.
        flat: thickness and direction of a flattened tube, such as an ear.
        head: 1 when it turns with the head.
    """
    length = sum(math.dist(start, end) for start, end in itertools.pairwise(path))
    dense = 0.3 * sum(radii) / len(radii)
    count = 9 if flat else min(max(math.ceil(length / dense), 3), 16)
    share = np.arange(count) / (count - 1)
    centres, tangent = _bezier(np.array(path), share)
    radius = _bezier(np.array(radii)[:, None], share)[0]
    tangent /= np.sqrt(dot(tangent, tangent))[:, None] + 1e-9
    axes = _flattened(tangent, radius, *flat) if flat else _ROUND * radius[:, :, None]
    first, last = 1 - share, share
    return Solid(
        centres, axes, tangent, share * length, np.full(count, cover),
        first * white[0] + last * white[1], first * point[0] + last * point[1],
        np.full(count, head),
    )  # fmt: skip


_ROUND = np.eye(3)[None]


def _bezier(points: Vectors, share: Vectors) -> tuple[Vectors, Vectors]:
    """De Casteljau's construction: position and direction at each share, 0..1."""
    level = [point[None, :] for point in points]
    weight = share[:, None]
    direction = level[-1] - level[0] + 0 * weight
    while len(level) > 1:
        direction = level[-1] - level[0] + 0 * weight
        level = [here + (there - here) * weight for here, there in itertools.pairwise(level)]
    return level[0], direction


def _flattened(tangent: Vectors, radius: Vectors, thick: float, normal: Vectors) -> Vectors:
    across = np.cross(tangent, normal)
    across /= np.sqrt(dot(across, across))[:, None] + 1e-9
    facing = np.cross(across, tangent)
    wide = np.maximum(radius, 0.02)
    deep = np.minimum(thick, radius * 0.8 + 0.02)
    return np.stack([across * wide, facing * deep, tangent * wide], axis=2)


def ball(
    centre: Point,
    radii: Point,
    *,
    turn: Vectors | None = None,
    cover: int = FUR,
    white: float = 0.0,
    point: float = 0.0,
    head: float = 0.0,
    grain: Point = (0, -0.3, -1),
) -> Solid:
    """Place one ellipsoid; the arguments are those of Solid."""
    axes = np.diag(np.asarray(radii, dtype=float))
    if turn is not None:
        axes = np.einsum("ij,jk->ik", turn, axes)
    return Solid(
        np.array([centre], dtype=float), axes[None], np.array([grain], dtype=float),
        *(np.array([value], dtype=float) for value in (0, cover, white, point, head)),
    )  # fmt: skip
