"""Simulated pets: drawn cats and dogs for a machine that has no photographs.

An animal is a solid of ellipsoids (anatomy, breeds), posed (staging), painted (coat, fur) and
photographed (camera). Kinds differ in shape alone; all else comes from the same numbers.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from labkit.data.images import Pixels
from labkit.data.simulated.anatomy import Shape, blend, individual
from labkit.data.simulated.breeds import AVERAGE_DOG, BREED_SHAPES, CAT_SHAPES, HANGING_EARS
from labkit.data.simulated.camera import (
    photographed,
    random_light,
    random_place,
    with_things_in_front,
)
from labkit.data.simulated.canvas import Field, Relief, blur, carve, mixed, smoothstep
from labkit.data.simulated.coat import random_coat
from labkit.data.simulated.dials import Dials
from labkit.data.simulated.fur import animal
from labkit.data.simulated.staging import Scene, random_scene
from labkit.errors import DataError, choices

CATS_AND_DOGS = ("cat", "dog")
BREEDS: tuple[str, ...] = tuple(BREED_SHAPES)
FINER = 1.35
"""The animal is drawn this much larger than asked and scaled down."""


def draw_pet(
    kind: str, numbers: np.random.Generator, dials: Dials, *, cue: float = 0.0, size: int = 160
) -> Pixels:
    """Draw one cat or dog, shape (size, size, 3), 0..255.

    Args:
        kind: "cat" or "dog".
        numbers: the random numbers; the same state gives the same bytes.
        dials: ``difficulty`` brings the two shapes closer, ``style`` goes from pen to camera.
        cue: 0..1, how clearly a toy is seen that has nothing to do with the animal.
        size: width and height in pixels.

    Raises:
        DataError: for another kind.
    """
    if kind not in CATS_AND_DOGS:
        raise DataError(f"A pet is one of {choices(CATS_AND_DOGS)}. Received: {kind!r}.")
    cat = CAT_SHAPES[numbers.integers(len(CAT_SHAPES))]
    # The harder, the more of the dogs have upright ears.
    breeds = BREEDS if numbers.random() < 0.55 * dials.difficulty**2 else HANGING_EARS
    dog = BREED_SHAPES[breeds[numbers.integers(len(breeds))]]
    mine, other = (cat, dog) if kind == "cat" else (dog, cat)
    return _draw(blend(mine, other, 0.2 * dials.difficulty**2), numbers, dials, cue, size)


def draw_breed(
    breed: str, numbers: np.random.Generator, dials: Dials, *, cue: float = 0.0, size: int = 160
) -> Pixels:
    """Draw one dog of a breed, one of BREEDS; everything else as in draw_pet."""
    if breed not in BREEDS:
        raise DataError(f"A breed is one of {choices(BREEDS)}. Received: {breed!r}.")
    shape = blend(BREED_SHAPES[breed], AVERAGE_DOG, 0.4 * dials.difficulty)
    return _draw(shape, numbers, dials, cue, size)


def _draw(
    shape: Shape, numbers: np.random.Generator, dials: Dials, cue: float, size: int
) -> Pixels:
    fine = round(size * FINER)
    scene = random_scene(individual(shape, numbers), numbers, fine)
    relief = carve(scene.solid.centres, scene.solid.axes, fine)
    coat, light = random_coat(numbers), random_light(numbers)
    # Fur takes as many numbers as there are pixels: its own, so that the rest is of any size.
    fur = np.random.Generator(np.random.PCG64(int(numbers.integers(2**62))))
    layer = _scaled(animal(scene, relief, coat, light, fur), size)
    cover = layer[..., 3]
    place = random_place(numbers, size, scene.floor / fine)
    shade = (1 - cover) * (1 - np.float32(0.45) * blur(cover, size * 0.03))
    picture = place * shade[..., None] + layer[..., :3]
    picture = with_things_in_front(picture, numbers)
    toy = numbers.random(5).tolist()
    if cue > 0:
        picture = _with_toy(picture, toy, cue)
    if dials.style < 1:
        pen = _scaled(_line_drawing(scene, relief), size)
        picture = pen + (picture - pen) * np.float32(dials.style)
    return photographed(picture, numbers, dials.style)


def _scaled(picture: Field, size: int) -> Field:
    bands = [Image.fromarray(np.ascontiguousarray(band)) for band in np.moveaxis(picture, 2, 0)]
    small = [band.resize((size, size), Image.Resampling.BILINEAR) for band in bands]
    return np.stack([np.asarray(band) for band in small], axis=-1)


def _line_drawing(scene: Scene, relief: Relief) -> Field:
    """Black lines on white paper where depth or covering jumps; (size, size, 1), 0..1."""
    depth = np.maximum(relief.depth, np.float32(-len(relief.depth)))
    cover = np.where(relief.ball >= 0, scene.solid.cover[relief.ball], -1)
    line = np.zeros(depth.shape, dtype=np.float32)
    jump = np.float32(scene.radius * 0.16)
    line[:, 1:] += (np.abs(np.diff(depth, axis=1)) > jump) | (np.diff(cover, axis=1) != 0)
    line[1:] += (np.abs(np.diff(depth, axis=0)) > jump) | (np.diff(cover, axis=0) != 0)
    return np.clip(1 - 2 * blur(line, 1.0), 0, 1)[..., None]


_WHITE = np.array([[[0.95, 0.95, 0.9]]], dtype=np.float32)
_RED = np.array([[[0.85, 0.1, 0.1]]], dtype=np.float32)


def _with_toy(picture: Field, toy: list[float], cue: float) -> Field:
    """Lay a red ball with a white band into a lower corner; ``toy`` is five numbers 0..1."""
    grid: Field = np.arange(len(picture), dtype=np.float32) / np.float32(len(picture))
    radius = np.float32(0.08 + 0.03 * toy[0])
    x = 0.14 + 0.06 * toy[1] if toy[2] < 0.5 else 0.86 - 0.06 * toy[1]
    right = (grid[None, :] - np.float32(x)) / radius
    down = (grid[:, None] - np.float32(0.84 + 0.05 * toy[3])) / radius
    inside = 1 - right * right - down * down
    height: Field = np.sqrt(np.maximum(inside, 0))
    facing = height * np.float32(0.7) - right * np.float32(0.3) - down * np.float32(0.5)
    band = smoothstep(np.abs(right * np.float32(toy[4] - 0.5) + down), 0.2, 0.28)
    shade = np.float32(0.45) + np.float32(0.55) * np.clip(facing, 0, 1)
    share = smoothstep(inside, 0.0, 0.12) * np.float32(cue)
    return mixed(picture, mixed(_WHITE, _RED, band) * shade[..., None], share)
