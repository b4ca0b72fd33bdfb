"""Poses an animal and puts it in front of the camera: pose, view, distance, place in frame.

Nothing here knows whether the animal is a cat or a dog.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labkit.data.simulated.anatomy import POSES, Pose, Shape, body_of, head_of
from labkit.data.simulated.canvas import Vectors
from labkit.data.simulated.solids import Solid, joined, rotated, turning

PORTRAITS = 0.75
"""Share of the pictures that show the head close by."""


@dataclass(frozen=True)
class Scene:
    """An animal in front of the camera; pixels go right, down, towards the viewer.

    Attributes:
        shape: its proportions.
        solid: its ellipsoids, in pixels.
        head: (3,), middle of the head in pixels.
        turn: (3, 3), how the head is turned: columns are its left, up and forward.
        radius: of the head in pixels.
        floor: row where the floor begins behind the animal, in pixels.
    """

    shape: Shape
    solid: Solid
    head: Vectors
    turn: Vectors
    radius: float
    floor: float

    def seen(self, points: list[tuple[float, float, float]]) -> Vectors:
        """Where points of the head (in head radii) are in the picture; (n, 3) pixels."""
        return self.head + rotated(self.turn, np.array(points)) * self.radius


def random_scene(shape: Shape, numbers: np.random.Generator, size: int) -> Scene:
    """Draw a pose, a view and a distance for an animal in a picture of size x size."""
    pose = _random_pose(numbers)
    body, neck = body_of(shape, pose)
    yaw = 1.45 * float(numbers.random() * 2 - 1)
    above = 0.02 + 0.3 * float(numbers.random())
    # The animal looks about the camera's way, as far as its neck lets it.
    gaze = float(np.clip(0.45 * numbers.standard_normal(), -1.2, 1.2))
    turned = float(np.clip(gaze - yaw, -1.3, 1.3))
    nod, roll = ((numbers.random(2) - 0.5) * (0.4, 0.3)).tolist()
    head_turn = turning(turned, nod, roll)
    head = head_of(shape, pose.mouth).moved(head_turn, neck)
    camera = np.einsum("ij,jk->ik", turning(0, -above), turning(yaw, 0))
    solid = joined([body, head]).moved(camera, np.zeros(3))
    portrait = bool(numbers.random() < PORTRAITS)
    solid, neck = _in_perspective(solid, np.einsum("ij,j->i", camera, neck), numbers)
    turn = np.einsum("ij,jk->ik", camera, head_turn)
    return _framed(shape, solid, neck, turn, portrait, numbers, size)


def _random_pose(numbers: np.random.Generator) -> Pose:
    stride, tail, lift, mouth, crouch = numbers.random(5).tolist()
    return Pose(
        name=POSES[numbers.integers(len(POSES))],
        stride=stride * 2 - 1,
        tail=tail * 2 - 1,
        lift=lift,
        mouth=max(0.0, mouth * 2.5 - 1.5),
        crouch=crouch,
    )


def _in_perspective(
    solid: Solid, neck: Vectors, numbers: np.random.Generator
) -> tuple[Solid, Vectors]:
    """Make near parts larger, seen from 11 to 19 head radii away; sizes stay those of the head."""
    far = 11 + 8 * float(numbers.random())
    nearer = (far / (far - solid.centres[:, 2] + neck[2]))[:, None]
    centres = neck + (solid.centres - neck) * nearer
    return replace(solid, centres=centres, axes=solid.axes * nearer[..., None]), neck


def _framed(
    shape: Shape, solid: Solid, neck: Vectors, turn: Vectors, portrait: bool,
    numbers: np.random.Generator, size: int,
) -> Scene:  # fmt: skip
    """Scale by what is seen, so that every kind fills the frame alike; y turns downwards."""
    subject = (solid.head > 0) if portrait else np.ones(len(solid.head), dtype=bool)
    reach = np.sqrt((solid.axes[subject, :2] ** 2).sum(2))
    low = (solid.centres[subject, :2] - reach).min(0)
    high = (solid.centres[subject, :2] + reach).max(0)
    span = float(np.sqrt((high - low).prod()))
    fill, part, *wander = numbers.random(4).tolist()
    share = 0.56 + 0.3 * fill if portrait else 0.78 + 0.22 * fill
    scale = share * size / span
    # A portrait is centred on the head with its ears, on the face, or in between.
    middle = (low + high) / 2
    if portrait:
        middle = middle + (neck[:2] - middle) * (1.3 * part) - (0, 0.06 * span)
    shift = np.array([size * (0.37 + 0.26 * wander[0]), size * (0.37 + 0.26 * wander[1]), 0])
    shift -= np.array([*middle, 0]) * scale * (1, -1, 1)
    flip = np.diag([1.0, -1.0, 1.0])
    placed = solid.moved(flip, shift, scale)
    placed = replace(placed, grain=placed.grain / scale)
    floor = 0.74 * size if portrait else float(placed.centres[:, 1].max()) - 0.06 * size
    at = neck * scale * (1, -1, 1) + shift
    return Scene(shape, placed, at, np.einsum("ij,jk->ik", flip, turn), scale, floor)
