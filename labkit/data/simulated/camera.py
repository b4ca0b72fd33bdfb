"""Where the animal is and how it is photographed: background, light, things in front, camera.

Nothing here knows whether the animal is a cat or a dog.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.data.images import Pixels
from labkit.data.simulated.canvas import Field, Vectors, blur, mixed, noise, smoothstep
from labkit.data.simulated.solids import dot

IN_FRONT = 0.15
"""Share of the pictures where something hides a part of the animal."""
PLACES = ("wall", "room", "grass", "sofa", "gradient", "texture")


@dataclass(frozen=True)
class Light:
    """Where the light comes from and what it is like.

    Attributes:
        towards: (3,), unit vector to the light: right, down, towards the viewer.
        strength: share of the light that comes from there, the rest comes from all around.
        rim: light along the outline, from behind.
    """

    towards: Vectors
    strength: float
    rim: float


def random_light(numbers: np.random.Generator) -> Light:
    """Draw a light from above or the side."""
    towards = np.array([numbers.random() * 2 - 1, -0.25 - 0.75 * numbers.random(), 0.65])
    towards /= np.sqrt((towards**2).sum())
    strength = 0.4 + 0.35 * numbers.random()
    return Light(towards, float(strength), float(0.3 * numbers.random()))


def random_place(numbers: np.random.Generator, size: int, floor: float) -> Field:
    """Draw a background, shape (size, size, 3), 0..1; the floor begins at row ``floor``, 0..1."""
    colours = _random_colours(numbers, 3)
    place = PLACES[numbers.integers(len(PLACES))]
    down, right = _rows_and_columns(size)
    grain = noise(numbers, size, 60) * np.float32(0.5) + noise(numbers, size, 9)
    below = smoothstep(down + right * 0, floor - 0.01, floor + 0.01)
    if place == "gradient":
        lean = np.float32(numbers.random() - 0.5)
        below = smoothstep(down + right * lean, 0.0, 1.0)
    picture = mixed(_flat(colours[0]), _flat(colours[1]), below)
    if place == "room":
        picture = _furnished(picture, colours[2], numbers, size, floor)
    elif place == "sofa":
        picture = _cushioned(picture, numbers, down, right)
    elif place in ("grass", "texture"):
        blades = noise(numbers, size, 70, stretch=3.5 if place == "grass" else 1)
        picture = picture * (1 + blades * (np.float32(0.1) + np.float32(0.55) * below))[..., None]
    picture = picture * (1 + np.float32(0.06) * grain)[..., None]
    soft = size / 160 * float(numbers.random()) * 2
    return np.stack([blur(picture[..., channel], soft) for channel in range(3)], axis=-1)


def _random_colours(numbers: np.random.Generator, count: int) -> Vectors:
    """Draw muted colours, shape (count, 3), 0..1."""
    grey = 0.12 + 0.7 * numbers.random((count, 1))
    # Rooms and gardens run from warm to cold and from green to pink, the first far more.
    warm, green = (numbers.random((2, count, 1)) - 0.4) * np.array([[[0.3]], [[0.14]]])
    tint = warm * [1.0, 0.15, -1.0] + green * [-0.6, 1.0, -0.8]
    colours: Vectors = np.clip(grey + tint, 0.05, 0.95)
    return colours


def _rows_and_columns(size: int) -> tuple[Field, Field]:
    """Position of rows (size, 1) and columns (1, size), 0..1."""
    grid = np.arange(size, dtype=np.float32) / np.float32(size)
    return grid[:, None], grid[None, :]


def _flat(colour: Vectors) -> Field:
    return np.asarray(colour, dtype=np.float32)[None, None, :]


def _furnished(
    picture: Field, colour: Vectors, numbers: np.random.Generator, size: int, floor: float
) -> Field:
    """Hang rectangles on the wall: a picture, a window, a cupboard."""
    picture = picture.copy()
    for _ in range(int(numbers.integers(1, 4))):
        left, top, width, height = numbers.random(4)
        x, y = int((left * 1.2 - 0.2) * size), int((top * floor - 0.15) * size)
        right, bottom = x + int((0.12 + 0.3 * width) * size), y + int((0.15 + 0.4 * height) * size)
        tint = np.clip(colour * (0.6 + 0.8 * numbers.random()), 0, 1)
        box = picture[max(y, 0) : max(bottom, 0), max(x, 0) : max(right, 0)]
        box[...] = tint
        inner = picture[max(y + 3, 0) : max(bottom - 3, 0), max(x + 3, 0) : max(right - 3, 0)]
        inner[...] = np.clip(tint * (0.7 + 0.6 * numbers.random()), 0, 1)
    return picture


def _cushioned(picture: Field, numbers: np.random.Generator, down: Field, right: Field) -> Field:
    """Swell the wall into cushions with dark seams."""
    count = np.float32(1.2 + 1.6 * numbers.random())
    phase = right * count + np.float32(numbers.random())
    swell = (phase - np.floor(phase) - np.float32(0.5)) ** 2 * 4
    row = (down * np.float32(1.7) + np.float32(numbers.random())) % 1
    swell = np.maximum(swell, (row - np.float32(0.5)) ** 2 * 4)
    shade: Field = np.float32(1.08) - np.float32(0.5) * swell * swell * swell
    return picture * shade[..., None]


def lit(colour: Field, normal: Field, hollow: Field, light: Light, wet: Field) -> Field:
    """Light the animal.

    Args:
        colour: (n, 3), before light.
        normal: (n, 3), unit vectors: right, down, towards the viewer.
        hollow: (n,), 0 open to 1 deep in a fold.
        light: the light.
        wet: (n,), 1 where the surface shines like a nose.
    """
    towards = light.towards.astype(np.float32)
    facing = dot(normal, towards)
    # Wrapped diffuse light: fur scatters, so the terminator is soft.
    direct = np.maximum(facing + np.float32(0.35), 0) / np.float32(1.35)
    around = np.float32(0.62) - np.float32(0.38) * normal[:, 1]
    level = np.float32(1.55 * light.strength) * direct
    level += np.float32(1.25 * (1 - light.strength)) * around
    edge = 1 - normal[:, 2]
    level = level * (1 - np.float32(0.75) * hollow) + np.float32(light.rim) * edge * edge * edge
    shine = np.maximum(2 * facing * normal[:, 2] - towards[2], 0)
    shine = shine * shine * shine * shine * wet * np.float32(0.5)
    result: Field = colour * level[:, None] + shine[:, None]
    return result


def with_things_in_front(picture: Field, numbers: np.random.Generator) -> Field:
    """Put a branch, a blanket or most often nothing in front of the animal."""
    kind, where, lean, bend, wide = numbers.random(5).tolist()
    colour = _random_colours(numbers, 1)[0]
    weave = noise(numbers, len(picture), 40)
    if kind > IN_FRONT:
        return picture
    down, right = _rows_and_columns(len(picture))
    if kind < IN_FRONT / 2:
        line: Field = np.float32(0.2 + 0.75 * where) + np.float32(1.4 * lean - 0.7) * right
        line += np.float32(bend - 0.5) * (right - np.float32(0.5)) ** 2
        away = (down - line) / np.float32(0.012 + 0.02 * wide)
        cover = 1 - smoothstep(np.abs(away), 0.8, 1.1)
        shade = np.float32(0.75) - np.float32(0.3) * away
    else:
        line = np.float32(0.7 + 0.25 * where) + np.float32(0.4 * lean - 0.2) * right
        line = line + np.float32(0.08 * bend) * noise(numbers, len(picture), 6)[:1]
        cover = smoothstep(down - line, 0.0, 0.012)
        shade = np.float32(0.75) + np.float32(0.25) * smoothstep(down - line, 0.0, 0.06)
    cloth: Field = _flat(colour) * (shade * (1 + np.float32(0.15) * weave))[..., None]
    return mixed(picture, cloth, cover)


def photographed(picture: Field, numbers: np.random.Generator, amount: float) -> Pixels:
    """Expose, blur and grain a picture (0..1) into (size, size, 3) bytes; amount 0..1."""
    size = len(picture)
    exposure, contrast, *balance = numbers.random(5) * 2 - 1
    soft, grain = numbers.random(2)
    gain = 1 + amount * (0.16 * exposure + 0.07 * (np.array(balance)))
    picture = picture * gain.astype(np.float32)
    middle = np.float32(0.45)
    picture = middle + (picture - middle) * np.float32(1 + amount * 0.16 * contrast)
    radius = amount * soft * size / 260
    if radius > 0.5:
        picture = np.stack([blur(picture[..., channel], radius) for channel in range(3)], -1)
    speckle = numbers.random((*picture.shape[:2], 4), dtype=np.float32) - np.float32(0.5)
    speckle = speckle[..., :3] + speckle[..., 3:]
    picture = picture + np.float32(amount * (0.008 + 0.03 * grain)) * speckle
    return np.asarray(np.clip(picture * 255 + np.float32(0.5), 0, 255), dtype=np.uint8)
