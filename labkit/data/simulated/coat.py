"""Coats: the colours and patterns of fur, drawn alike for every kind of animal.

Nothing here knows whether the animal is a cat or a dog.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.data.simulated.canvas import Field, Relief, Vectors, mixed, noise, smoothstep
from labkit.data.simulated.solids import EYE, NOSE, SKIN, TONGUE, Solid, dot

FURS = np.array(
    [(38, 35, 36), (84, 58, 42), (134, 104, 74), (205, 138, 72), (228, 200, 160), (124, 124, 128),
     (98, 102, 112), (236, 231, 222), (192, 160, 120), (140, 74, 40), (170, 165, 155)]
) / 255  # fmt: skip
EYES = np.array(
    [(165, 132, 68), (118, 134, 82), (96, 66, 40), (118, 140, 154), (150, 106, 58)]
) / 255  # fmt: skip
SKINS = np.array([(40, 34, 34), (60, 46, 44), (190, 128, 122)]) / 255
PINK = np.array([0.82, 0.45, 0.45])
WHITE = np.array([0.93, 0.915, 0.88])
PATTERNS = ("solid", "tabby", "patches", "spots", "points", "shaded")


@dataclass(frozen=True)
class Coat:
    """Colours (red, green, blue in 0..1) and pattern of one animal.

    Attributes:
        main: colour of most of the fur.
        second: colour of stripes, patches, spots and points.
        skin: nose and rims of the eyes.
        iris: colour of the eyes.
        pattern: one of PATTERNS.
        white: 0..1, how much of the animal is white.
        strength: 0..1, how much the pattern shows.
        stripes: stripes in a head radius.
    """

    main: Vectors
    second: Vectors
    skin: Vectors
    iris: Vectors
    pattern: str
    white: float
    strength: float
    stripes: float


def random_coat(numbers: np.random.Generator) -> Coat:
    """Draw a coat."""
    first, other = numbers.choice(len(FURS), 2, replace=False)
    jitter = 0.85 + 0.3 * numbers.random((2, 1)) + 0.05 * numbers.random((2, 3))
    main = FURS[first] * jitter[0]
    second = FURS[other] * jitter[1]
    if numbers.random() < 0.6:
        # Most second colours are a darker or paler shade of the first.
        second = main * 0.42 if main.mean() > 0.3 else main * 0.4 + 0.35 * FURS[4]
    return Coat(
        main=main,
        second=second,
        skin=SKINS[int(len(SKINS) * numbers.random() ** 2)],
        iris=EYES[numbers.integers(len(EYES))],
        pattern=PATTERNS[numbers.integers(len(PATTERNS))],
        white=float(numbers.random() * 1.1 - 0.15 if numbers.random() < 0.55 else -0.2),
        strength=float(0.35 + 0.5 * numbers.random()),
        stripes=float(2.0 + 2.0 * numbers.random()),
    )


@dataclass(frozen=True)
class Skin:
    """The surface that is seen, one row a pixel of the animal (n pixels).

    Attributes:
        where: (n,), index of the pixel in the flat picture.
        ball: (n,), the ellipsoid seen there.
        place: (n, 3), position in pixels: right, down, towards the viewer.
        head: (n, 3), position in the head's own axes, in head radii.
    """

    where: NDArray[np.intp]
    ball: NDArray[np.int16]
    place: Field
    head: Field


def skin_of(relief: Relief, centre: Vectors, turn: Vectors, scale: float) -> Skin:
    """List the pixels of the animal; centre, turn and scale are those of its head."""
    where = np.flatnonzero(relief.ball.ravel() >= 0)
    width = relief.ball.shape[1]
    place = np.stack([where % width, where // width, relief.depth.ravel()[where]], 1)
    place = place.astype(np.float32)
    inward = (turn.T / scale).astype(np.float32)
    offset = place - centre.astype(np.float32)
    head = np.stack([dot(offset, row) for row in inward], 1)
    return Skin(where, relief.ball.ravel()[where], place, head)


def paint(skin: Skin, solid: Solid, coat: Coat, numbers: np.random.Generator, size: int) -> Field:
    """Return the colour of every pixel of the animal before light, shape (n, 3), 0..1."""
    ball = skin.ball
    coarse = noise(numbers, size, 5).ravel()[skin.where]
    fine = noise(numbers, size, 14).ravel()[skin.where]
    second = _pattern(skin, solid, coat, coarse, fine)
    colour = mixed(_row(coat.main), _row(coat.second), second * np.float32(coat.strength))
    white = solid.white.astype(np.float32)[ball]
    edge = white + np.float32(0.25) * coarse + np.float32(0.1) * fine + np.float32(coat.white)
    blaze = (1 - smoothstep(np.abs(skin.head[:, 0]), 0.1, 0.28)) * (skin.head[:, 2] > 0.3)
    edge += blaze * (solid.head.astype(np.float32)[ball]) * np.float32(0.45)
    colour = mixed(colour, _row(WHITE), smoothstep(edge, 1.0, 1.08))
    cover = solid.cover.astype(np.int8)[ball]
    # Bare skin inside the ear shines through thin fur: no colour that only upright ears have.
    lining = coat.main * 0.78 + coat.skin * 0.14
    for kind, tint in ((SKIN, lining), (NOSE, coat.skin), (TONGUE, PINK)):
        colour[cover == kind] = tint
    return colour


def _row(colour: Vectors) -> Field:
    return np.asarray(colour, dtype=np.float32)[None, :]


def _pattern(skin: Skin, solid: Solid, coat: Coat, coarse: Field, fine: Field) -> Field:
    """How far each pixel has the second colour, 0..1."""
    ball = skin.ball
    if coat.pattern == "patches":
        return smoothstep(coarse, 0.05, 0.15)
    if coat.pattern == "spots":
        return smoothstep(fine, 0.28, 0.42)
    if coat.pattern == "points":
        return smoothstep(solid.point.astype(np.float32)[ball] + 0.2 * coarse, 0.25, 0.9)
    if coat.pattern == "shaded":
        return smoothstep(-solid.white.astype(np.float32)[ball] + 0.4 * coarse, -0.4, 0.4)
    if coat.pattern == "tabby":
        return _stripes(skin, solid, coat, coarse, fine)
    return np.float32(0.35) * smoothstep(coarse, -0.6, 0.8)


def _stripes(skin: Skin, solid: Solid, coat: Coat, coarse: Field, fine: Field) -> Field:
    ball = skin.ball
    start = solid.along - dot(solid.grain, solid.centres)
    grain = solid.grain.astype(np.float32)[ball]
    along = start.astype(np.float32)[ball] + dot(grain, skin.place)
    on_head = solid.head.astype(np.float32)[ball]
    x, y = np.abs(skin.head[:, 0]), skin.head[:, 1]
    # Stripes run up the forehead and round the cheeks.
    brow = np.where(y > 0.15, x * np.float32(1.3), y * np.float32(1.1) - x * np.float32(0.4))
    count = np.where(on_head > 0, brow, along) * np.float32(coat.stripes)
    count = count + np.float32(0.45) * coarse + np.float32(0.15) * fine
    wave = np.abs(count - np.floor(count) - np.float32(0.5)) * 2
    return smoothstep(wave, 0.35, 0.75)


def paint_eyes(
    skin: Skin, solid: Solid, coat: Coat, colour: Field, shine: Vectors, slit: float, wide: float
) -> None:
    """Draw iris, pupil and highlight onto ``colour`` in place.

    Args:
        skin: the pixels of the animal.
        solid: the ellipsoids, in pixels.
        coat: gives the iris.
        colour: (n, 3), painted in place.
        shine: (2,) where the light is seen in the eye, -1..1 right and down.
        slit: 1 a vertical pupil, 0 a round one.
        wide: 0..1, how wide the pupil is open.
    """
    for number in np.flatnonzero(solid.cover == EYE):
        here = np.flatnonzero(skin.ball == number)
        if not here.size:
            continue
        centre, axes = solid.centres[number], solid.axes[number]
        inverse = (axes / (axes**2).sum(0)).T.astype(np.float32)
        offset = skin.place[here] - centre.astype(np.float32)
        right, up = (dot(offset, row) for row in inverse[:2])
        colour[here] = _eye_colour(right, up, coat, shine, slit, wide)


def _eye_colour(
    right: Field, up: Field, coat: Coat, shine: Vectors, slit: float, wide: float
) -> Field:
    ring = right * right + up * up
    iris = _row(coat.iris) * (np.float32(1.15) - np.float32(0.35) * up)[:, None]
    half = (0.5 + 0.2 * wide) * (1 - slit) + slit * (0.12 + 0.4 * wide)
    tall = (0.5 + 0.2 * wide) * (1 - slit) + slit * 0.75
    pupil = (right / np.float32(half)) ** 2 + (up / np.float32(tall)) ** 2
    colour = mixed(iris, _row(SKINS[0] * 0.3), 1 - smoothstep(pupil, 0.8, 1.15))
    colour = mixed(colour, _row(SKINS[0] * 0.5), smoothstep(ring, 0.66, 0.86))
    # Lids make the eye an almond; they are darker than any iris.
    lid = np.abs(up) + np.float32(0.45) * right * right
    colour = mixed(colour, _row(SKINS[0] * 0.6), smoothstep(lid, 0.74, 0.86))
    glint = (right - np.float32(shine[0])) ** 2 + (up - np.float32(shine[1])) ** 2
    return mixed(colour, _row(np.ones(3)), 1 - smoothstep(glint, 0.03, 0.09))
