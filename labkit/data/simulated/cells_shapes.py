"""Outlines and textures that the simulated cells are made of.

A shape is a closed curve around a centre, r(angle); lengths are shares of the picture's
width, so one cell looks the same at any size. Textures are band-limited noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft

from labkit.data.simulated.stain import Field

ANGLES = 512
_TURN = np.arange(ANGLES) * (2.0 * np.pi / ANGLES)


@dataclass(frozen=True)
class Blob:
    """A closed outline: centre (x, y) and radius at ``ANGLES`` equally spaced angles."""

    x: float
    y: float
    radii: Field

    @property
    def area(self) -> float:
        """Area as a share of the picture."""
        return float((self.radii**2).mean() * np.pi)

    def window(self, size: int, margin: float = 0.02) -> tuple[slice, slice]:
        """Return the rows and columns of a picture of ``size`` pixels that the blob touches."""
        reach = float(self.radii.max()) + margin
        edges = [
            min(max(int((centre + side * reach) * size + (side > 0)), 0), size)
            for centre in (self.y, self.x)
            for side in (-1, 1)
        ]
        return slice(edges[0], edges[1]), slice(edges[2], edges[3])

    def depth(self, size: int, window: tuple[slice, slice]) -> Field:
        """Return how far inside the outline each pixel of the window is; negative outside."""
        down = (np.arange(window[0].start, window[0].stop) + 0.5) / size - self.y
        right = (np.arange(window[1].start, window[1].stop) + 0.5) / size - self.x
        turn = np.arctan2(down[:, None], right[None, :]) * (ANGLES / (2.0 * np.pi))
        away = np.sqrt(down[:, None] ** 2 + right[None, :] ** 2)
        return np.asarray(self.radii[turn.astype(np.intp) % ANGLES] - away)


def soft(depth: Field, edge: float) -> Field:
    """Turn depth into coverage 0..1 with an edge of this width."""
    return np.asarray((depth / edge + 0.5).clip(0.0, 1.0))


def oval(
    numbers: np.random.Generator,
    x: float,
    y: float,
    radius: float,
    *,
    stretch: float = 1.0,
    roughness: float = 0.0,
) -> Blob:
    """Return an ellipse of the given mean radius whose outline wanders by ``roughness``.

    The waves have 2 to 9 periods around; their height falls with the number of periods.
    """
    long, short = radius * np.sqrt(stretch), radius / np.sqrt(stretch)
    tilt = numbers.random() * np.pi
    radii = long * short / np.hypot(short * np.cos(_TURN - tilt), long * np.sin(_TURN - tilt))
    waves = np.arange(2, 10)[:, None]
    height = numbers.standard_normal((8, 1)) / waves**1.1
    shift = numbers.random((8, 1)) * 2.0 * np.pi
    wander = (height * np.cos(waves * _TURN + shift)).sum(axis=0)
    return Blob(x, y, radii * np.maximum(1.0 + roughness * wander, 0.4))


def polygon(numbers: np.random.Generator, x: float, y: float, radius: float) -> Blob:
    """Return a flat cell's outline: five to seven sides with rounded corners."""
    sides = int(numbers.integers(5, 8))
    facing = (np.arange(sides) + numbers.uniform(-0.25, 0.25, sides)) * 2.0 * np.pi / sides
    facing += numbers.random() * 2.0 * np.pi
    distance = radius * numbers.uniform(0.75, 1.1, sides)
    along = np.cos(_TURN[:, None] - facing)
    radii = np.where(along > 0.05, distance / np.maximum(along, 0.05), 10.0).min(axis=1)
    radii = np.minimum(radii, 1.6 * radius)
    width = ANGLES // 24
    around = np.concatenate([radii[-width:], radii, radii[:width]])
    total = np.cumsum(np.concatenate([[0.0], around]))
    smooth = (total[2 * width + 1 :] - total[: -2 * width - 1]) / (2 * width + 1)
    return Blob(x, y, smooth)


@lru_cache(maxsize=8)
def _frequencies(size: int) -> Field:
    """Logarithm of the spatial frequency in cycles a picture, of a real transform's entries."""
    down, right = np.fft.fftfreq(size) * size, np.fft.rfftfreq(size) * size
    away = np.sqrt(down[:, None] ** 2 + right[None, :] ** 2)
    away[0, 0] = 1e-6
    return np.asarray(np.log(away))


def texture(
    numbers: np.random.Generator, size: int, wavelength: float, spread: float = 0.5
) -> Field:
    """Return noise of mean 0 and variance 1 whose waves are ``wavelength`` pictures long.

    ``spread`` is the width of the band in natural logarithms of the frequency.
    """
    band = np.exp(-(((_frequencies(size) + np.log(wavelength)) / spread) ** 2) / 2.0)
    waves = fft.irfft2(fft.rfft2(numbers.standard_normal((size, size))) * band, s=(size, size))
    return np.asarray(waves / max(float(waves.std()), 1e-12))
