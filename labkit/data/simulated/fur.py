"""Turns a solid into the picture of an animal: surface, combed fur, ragged outline, whiskers.

Nothing here knows whether the animal is a cat or a dog.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from labkit.data.simulated.camera import Light, lit
from labkit.data.simulated.canvas import Field, Relief, Vectors, blur, noise
from labkit.data.simulated.coat import Coat, Skin, paint, paint_eyes, skin_of
from labkit.data.simulated.solids import EYE, FUR, NOSE, dot
from labkit.data.simulated.staging import Scene

STEPS = 8
"""How many points of the noise are averaged along a hair."""


def animal(
    scene: Scene, relief: Relief, coat: Coat, light: Light, numbers: np.random.Generator
) -> Field:
    """Paint and light an animal: red, green, blue and cover, shape (size, size, 4), 0..1.

    The colours are multiplied by the cover, so that the picture can be scaled.
    """
    size = len(relief.depth)
    skin = skin_of(relief, scene.head, scene.turn, scene.radius)
    cover = scene.solid.cover[skin.ball]
    wide = float(numbers.random())
    colour = paint(skin, scene.solid, coat, numbers, size)
    hair = _combed(skin, scene, numbers, size)
    colour *= (1 + np.float32(0.26) * hair * (cover == FUR))[:, None]
    paint_eyes(skin, scene.solid, coat, colour, light.towards[:2] * 0.4, scene.shape.slit, wide)
    mask = (relief.ball >= 0).astype(np.float32)
    normal, hollow = _surface(relief, mask, scene.radius, skin.where)
    wet = (cover == NOSE).astype(np.float32)
    shaded = np.where((cover == EYE)[:, None], colour, lit(colour, normal, hollow, light, wet))
    layer = np.zeros((size * size, 4), dtype=np.float32)
    layer[skin.where, :3] = shaded
    layer[skin.where, 3] = 1
    _draw_face_lines(layer, scene, relief, numbers)
    _fray(layer, mask, scene, numbers)
    return layer.reshape(size, size, 4)


def _surface(
    relief: Relief, mask: Field, radius: float, where: NDArray[np.intp]
) -> tuple[Field, Field]:
    """Unit normals (n, 3) and how hollow the surface is (n,), 0..1, at the animal's pixels."""
    depth = np.where(mask > 0, relief.depth, 0)
    soft = max(1.0, radius * 0.05)
    smooth = blur(depth, soft) / np.maximum(blur(mask, soft), np.float32(0.02))
    right, down = np.zeros_like(smooth), np.zeros_like(smooth)
    right[:, 1:-1] = (smooth[:, :-2] - smooth[:, 2:]) / 2
    down[1:-1] = (smooth[:-2] - smooth[2:]) / 2
    tilt = np.stack([right.ravel()[where], down.ravel()[where]], axis=1)
    normal = np.ones((len(where), 3), dtype=np.float32)
    normal[:, :2] = np.clip(tilt, -3, 3)
    normal /= np.sqrt(dot(normal, normal))[:, None]
    # Light reaches a fold the less, the more its surroundings stand out.
    wide = radius * 0.16
    around = blur(depth, wide, passes=1) / np.maximum(blur(mask, wide, passes=1), np.float32(0.02))
    hollow: Field = np.clip((around - smooth) / np.float32(radius * 0.5), 0, 1)
    return normal, hollow.ravel()[where]


def _combed(skin: Skin, scene: Scene, numbers: np.random.Generator, size: int) -> Field:
    """Comb noise along the fur; shape (n,), about -1..1.

    Line integral convolution: B. Cabral and L. Leedom, "Imaging vector fields using line
    integral convolution", SIGGRAPH 1993.
    """
    speckle = numbers.random((size, size), dtype=np.float32) * 2 - 1
    speckle += noise(numbers, size, size / (2.0 + scene.radius * 0.04)) * np.float32(0.4)
    sway = np.float32(0.3 / scene.radius) * noise(numbers, size, 8).ravel()[skin.where]
    grain = scene.solid.grain.astype(np.float32)
    # On the head the fur lies away from the nose.
    nose = scene.seen([(0, -0.2, 0.9)])[0].astype(np.float32)
    on_head = scene.solid.head[skin.ball] > 0
    x, y = skin.place[:, 0], skin.place[:, 1]
    right = np.where(on_head, x - nose[0], grain[skin.ball, 0] + sway)
    down = np.where(on_head, y - nose[1], grain[skin.ball, 1] + sway)
    step = np.float32(max(0.7, scene.radius * (0.012 + 0.03 * scene.shape.coat)))
    return _averaged_along(speckle, x, y, right, down, step) * np.float32(2.4 / STEPS)


def _averaged_along(
    speckle: Field, x: Field, y: Field, right: Field, down: Field, step: np.float32
) -> Field:
    """Sum the noise at STEPS points through each pixel along its direction."""
    size = len(speckle)
    pace = step / (np.sqrt(right * right + down * down) + np.float32(1e-9))
    right, down = right * pace, down * pace
    flat, total = speckle.ravel(), np.zeros_like(x)
    for count in range(-STEPS // 2, STEPS // 2):
        column = np.clip(x + right * np.float32(count), 0, size - 1).astype(np.int32)
        row = np.clip(y + down * np.float32(count), 0, size - 1).astype(np.int32)
        total += flat[row * size + column]
    return total


def _fray(layer: Field, mask: Field, scene: Scene, numbers: np.random.Generator) -> None:
    """Fray the outline into tufts, in place: pull pixels outwards along combed noise."""
    size = len(mask)
    reach = max(0.6, scene.radius * (0.01 + 0.015 * scene.shape.coat))
    soft = blur(mask, max(1.0, reach))
    slope_y, slope_x = np.gradient(soft)
    edge = np.flatnonzero(((soft > 0.02) & (soft < 0.98)).ravel())
    right, down = -slope_x.ravel()[edge], -slope_y.ravel()[edge]
    x, y = (edge % size).astype(np.float32), (edge // size).astype(np.float32)
    speckle = numbers.random((size, size), dtype=np.float32) * 2 - 1
    tuft = _averaged_along(speckle, x, y, right, down, np.float32(1.3))
    pull = (tuft * np.float32(0.35) + np.float32(0.3)) * np.float32(reach)
    pull /= np.sqrt(right * right + down * down) + np.float32(1e-6)
    column = np.clip(x - right * pull, 0, size - 1).astype(np.int32)
    row = np.clip(y - down * pull, 0, size - 1).astype(np.int32)
    layer[edge] = layer[row * size + column]


def _draw_face_lines(
    layer: Field, scene: Scene, relief: Relief, numbers: np.random.Generator
) -> None:
    """Draw the line of the mouth and the whiskers, in place, where they are not hidden."""
    size = len(relief.depth)
    width = max(1, round(scene.radius * 0.035))
    for lines, tone, thick in (
        (_mouth_lines(scene), 0.1, width),
        (_whiskers(scene, numbers), 0.93, 1),
    ):
        page = Image.new("L", (size, size))
        pen = ImageDraw.Draw(page)
        for points in lines:
            x, y = np.clip(points[0, :2], 0, size - 1).astype(int)
            if relief.depth[y, x] < points[0, 2] + 0.3 * scene.radius:
                pen.line([tuple(point) for point in points[:, :2].tolist()], 180, thick)
        drawn = np.asarray(page).ravel()
        where = np.flatnonzero(drawn)
        share = (drawn[where].astype(np.float32) / 255)[:, None]
        ink = np.array([tone, tone, tone, 1], dtype=np.float32)
        layer[where] += (ink - layer[where]) * share


def _mouth_lines(scene: Scene) -> list[Vectors]:
    low, front, w = scene.shape.muzzle_low, scene.shape.muzzle_front, scene.shape.muzzle_width
    corner, lip = low - 0.35 * w, low - 0.62 * w
    lines = [scene.seen([(0, low + 0.2 * w, front), (0, corner, front)])]
    for side in (-1.0, 1.0):
        end = (side * 0.85 * w, low - 0.55 * w, front - 0.25)
        lines.append(scene.seen([(0, corner, front), (side * 0.4 * w, lip, front - 0.05), end]))
    return lines


def _whiskers(scene: Scene, numbers: np.random.Generator) -> list[Vectors]:
    shape, lines = scene.shape, []
    low, tip = shape.muzzle_low, shape.muzzle_front - 0.62 * shape.muzzle_width
    for side in (-1.0, 1.0):
        for rise, length in numbers.random((5, 2)).tolist():
            reach = shape.whiskers * (0.7 + 0.5 * length)
            root = (side * shape.muzzle_width * 0.75, low - 0.02 * rise, tip)
            bend = (root[0] + side * reach * 0.55, low + 0.5 * (rise - 0.4) * reach, tip + 0.1)
            end = (root[0] + side * reach, low + 0.7 * (rise - 0.6) * reach, tip - 0.1)
            lines.append(scene.seen([root, bend, end]))
    return lines
