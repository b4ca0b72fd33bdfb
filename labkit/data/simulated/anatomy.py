"""Shapes of cats and dogs: numbers that describe an animal, and the solid built from them.

Lengths are in head radii. Animal axes: x to its left, y up, z forward; the ground is y = 0.
Everything that tells a cat from a dog is here; colour, light and place are drawn elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from labkit.data.simulated.canvas import Vectors
from labkit.data.simulated.solids import (
    EYE,
    NOSE,
    SKIN,
    TONGUE,
    Point,
    Solid,
    ball,
    joined,
    tube,
    turning,
)


@dataclass(frozen=True)
class Shape:
    """An animal's proportions in head radii; blends of two shapes are shapes.

    Attributes:
        skull: half width, half height of the head.
        cheek: size of the cheeks.
        muzzle: how far the muzzle stands out.
        muzzle_width: half width of the muzzle.
        flews: how far the upper lips hang.
        nose: half width of the nose.
        eye: radius of an eye.
        eye_slant: rise of the outer corner of the eye.
        slit: 1 a vertical pupil, 0 a round one.
        ear: length of the ear.
        ear_width: half width of the ear at its base.
        ear_tip: half width near the tip.
        ear_drop: 0 upright, 0.5 folded, 1 hanging.
        ear_out: how far upright ears lean outwards.
        whiskers: length of the whiskers.
        neck: length of the neck.
        body: length of the trunk.
        chest: half depth of the chest.
        waist: half depth of the waist.
        leg: length of the legs.
        leg_width: half width of a leg.
        tail: length of the tail.
        tail_width: half width of the tail.
        tail_curl: 0 straight, 1 rolled over the back.
        coat: length of the fur, 0 smooth to 1 long.
    """

    skull: float = 0.95
    skull_height: float = 0.85
    cheek: float = 0.5
    muzzle: float = 0.2
    muzzle_width: float = 0.3
    flews: float = 0.0
    nose: float = 0.11
    eye: float = 0.235
    eye_slant: float = 0.08
    slit: float = 1.0
    ear: float = 0.95
    ear_width: float = 0.46
    ear_tip: float = 0.05
    ear_drop: float = 0.0
    ear_out: float = 0.3
    whiskers: float = 1.1
    neck: float = 0.4
    body: float = 2.6
    chest: float = 0.85
    waist: float = 0.72
    leg: float = 1.5
    leg_width: float = 0.23
    tail: float = 2.9
    tail_width: float = 0.17
    tail_curl: float = 0.15
    coat: float = 0.4

    @property
    def muzzle_low(self) -> float:
        """Height of the middle of the muzzle."""
        return -0.26 - 0.1 * self.muzzle

    @property
    def muzzle_front(self) -> float:
        """How far the lips are from the middle of the head."""
        return 0.72 + self.muzzle + 0.62 * self.muzzle_width


CAT = Shape()
DOG = Shape(
    skull=0.84, skull_height=0.8, cheek=0.36, muzzle=0.85, muzzle_width=0.38, flews=0.16,
    nose=0.22, eye=0.15, eye_slant=0.0, slit=0.0, ear=1.15, ear_width=0.36, ear_tip=0.2,
    ear_drop=1.0, ear_out=0.5, whiskers=0.0, neck=0.7, body=2.8, chest=0.95, waist=0.75,
    leg=2.0, leg_width=0.29, tail=1.9, tail_width=0.2, tail_curl=0.35, coat=0.4,
)  # fmt: skip


def blend(first: Shape, second: Shape, share: float) -> Shape:
    """Go from ``first`` (share 0) to ``second`` (share 1) in every proportion."""
    return Shape(
        **{
            part.name: (1 - share) * getattr(first, part.name) + share * getattr(second, part.name)
            for part in fields(Shape)
        }
    )


def individual(shape: Shape, numbers: np.random.Generator, spread: float = 0.1) -> Shape:
    """Vary every proportion by about ``spread`` of itself."""
    factors = 1 + spread * (numbers.random(len(fields(Shape))) * 2 - 1)
    return Shape(
        **{
            part.name: getattr(shape, part.name) * float(factor)
            for part, factor in zip(fields(Shape), factors, strict=True)
        }
    )


def _by(x: float, y: float, z: float) -> Vectors:
    return np.array([x, y, z])


# ---------------------------------------------------------------------------- the head


def head_of(shape: Shape, mouth: float) -> Solid:
    """Build a head about the origin that looks along z; ``mouth`` 0 shut to 1 open."""
    parts = [*_skull(shape), *_muzzle(shape, mouth)]
    for side in (-1.0, 1.0):
        parts += [*_ear(shape, side), *_eye(shape, side)]
    return joined(parts)


def _skull(s: Shape) -> list[Solid]:
    cheek = s.cheek
    parts = [
        ball((0, 0, 0), (s.skull, s.skull_height, 0.9), head=1, point=0.1),
        ball((0, s.skull_height * 0.25, 0.4), (s.skull * 0.62, 0.45, 0.45), head=1, point=0.2),
        ball((0, -0.45, -0.1), (s.skull * 0.7, 0.5, 0.6), head=1, white=0.75),
    ]
    for side in (-1.0, 1.0):
        where = (side * 0.46 * s.skull, -0.33, 0.4)
        parts.append(ball(where, (cheek, cheek * 0.8, cheek * 0.9), head=1, white=0.5, point=0.3))
    return parts


def _muzzle(s: Shape, mouth: float) -> list[Solid]:
    w, tip = s.muzzle_width, 0.72 + s.muzzle
    low = s.muzzle_low
    long = min(1.0, s.muzzle / 0.5)
    jaw = low - 0.52 * w - 0.3 * mouth
    parts = [
        tube([(0, 0.05, 0.55), (0, low + 0.25, 0.65 + 0.4 * s.muzzle), (0, low + 0.1, tip)],
             [0.3 * w + 0.15, w * 0.75, w * 0.62], head=1, white=(0.8, 1), point=(0.6, 1)),
        tube([(0, low - 0.05, 0.45), (0, jaw, 0.6), (0, jaw, tip - 0.12)],
             [w * 1.1, w * 0.8, w * 0.55], head=1, white=(0.9, 1), point=(0.4, 0.8)),
        ball((0, low + 0.1 + 0.32 * w, tip + w * 0.45), (s.nose, s.nose * 0.68, s.nose * 0.7),
             cover=NOSE, head=1),
    ]  # fmt: skip
    for side in (-1.0, 1.0):
        parts.append(
            tube([(side * w * 0.6, low, 0.5), (side * w * 0.62, low - s.flews * 0.7, tip - 0.2),
                  (side * w * 0.5, low - 0.03, tip)],
                 [w * 0.75, w * (0.7 + s.flews), w * (0.62 + 0.2 * (1 - long))],
                 head=1, white=(0.9, 1), point=(0.6, 1))
        )  # fmt: skip
    if mouth > 0.3:
        drop = 0.45 * mouth * (0.4 + 0.6 * long)
        parts.append(
            tube([(0, jaw + 0.12, tip - 0.4), (0, jaw + 0.12, tip + 0.12),
                  (0, jaw - drop, tip + 0.12)],
                 [w * 0.4, w * 0.45, w * 0.36], cover=TONGUE, flat=(0.07, _by(0, 0.8, 0.6)), head=1)
        )  # fmt: skip
    return parts


def _ear(s: Shape, side: float) -> list[Solid]:
    drop = s.ear_drop
    wide, high = s.skull, s.skull_height
    base = np.array([0.6 * wide + 0.16 * drop, 0.62 * high - 0.04 * drop, -0.02])
    # Middle and tip of an upright, a folded and a hanging ear.
    up = base + np.array([[0.5, 0.55, 0.0], [1.0, 1.0, -0.1]]) * [s.ear_out * s.ear, s.ear, s.ear]
    fold = base + np.array([[0.35, 0.75, 0.05], [0.62, 0.3, 0.62]]) * s.ear
    hang = np.array([[wide + 0.3, high * 0.85, 0.0], [wide + 0.14, high * 0.55 - s.ear, 0.3]])
    bends = up + (fold - up) * drop * 2 if drop < 0.5 else fold + (hang - fold) * (drop * 2 - 1)
    mirror = np.array([side, 1.0, 1.0])
    path = np.array([base, *bends]) * mirror
    normal = _by(side * (0.35 + 0.4 * drop), 0.12, 0.93 - 0.25 * drop)
    belly = s.ear_width * (0.8 + 0.3 * drop)
    radii = [s.ear_width * (1 - 0.3 * drop), belly, s.ear_tip]
    shell = tube(path, radii, flat=(0.13, normal), point=(0.9, 1), head=1)
    if drop > 0.25:
        return [shell]
    front = path + normal * 0.11
    small = [radii[0] * 0.66, radii[1] * 0.6, radii[2] * 0.2]
    inside = front + (front[:1] - front) * 0.12
    return [shell, tube(inside, small, cover=SKIN, flat=(0.05, normal), head=1)]


def _eye(s: Shape, side: float) -> list[Solid]:
    x, y = side * (0.4 * s.skull + 0.01), 0.08
    z = 0.9 * np.sqrt(max(0.05, 1 - (x / s.skull) ** 2)) - 0.05
    size = s.eye
    turn = turning(side * 0.32, 0.05, side * s.eye_slant * 2)
    return [
        ball((x, y, z - 0.02), (size * 1.3, size * 1.2, size * 0.8), turn=turn, head=1, point=0.8),
        ball((x, y + size * 0.9, z - 0.06), (size * 1.3, size * 0.5, size), turn=turn, head=1),
        ball((x, y, z + 0.05), (size, size * 0.9, size * 0.7), turn=turn, cover=EYE, head=1),
    ]


# ---------------------------------------------------------------------------- the body

STANDING, SITTING, LYING = "standing", "sitting", "lying"
POSES = (STANDING, SITTING, LYING)


@dataclass(frozen=True)
class Pose:
    """How the animal holds itself.

    Attributes:
        name: standing, sitting or lying.
        stride: -1..1, how far the legs are apart.
        tail: -1..1, to which side the tail goes.
        lift: 0..1, how high the tail is carried.
        mouth: 0 shut to 1 open.
        crouch: 0..1, how low the head is carried.
    """

    name: str
    stride: float
    tail: float
    lift: float
    mouth: float
    crouch: float


def body_of(shape: Shape, pose: Pose) -> tuple[Solid, Vectors]:
    """Build the body on the ground; also return where the middle of the head belongs."""
    build = {STANDING: _standing, SITTING: _sitting, LYING: _lying}[pose.name]
    return build(shape, pose)


def _trunk(s: Shape, hips: Vectors, chest: Vectors, pose: Pose) -> tuple[list[Solid], Vectors]:
    """Trunk, neck, tail: what every pose has; the head follows from the chest."""
    middle = (hips + chest) / 2 + _by(0, -0.1, 0)
    rise = 0.55 + 0.9 * s.neck - 0.5 * pose.crouch * s.neck
    head = chest + _by(0, s.chest * 0.45 + rise, 0.35 + 0.35 * s.neck + 0.4 * pose.crouch)
    throat = chest + _by(0, s.chest * 0.5, 0.35)
    parts = [
        tube([chest, middle, hips],
             [s.chest, (s.chest + s.waist) / 2, s.waist], white=(0.5, 0.15)),
        ball(chest + _by(0, -0.1, s.chest * 0.35), s.chest * _by(0.75, 0.85, 0.7),
             white=0.85, grain=(0, -1, 0)),
        tube([chest + _by(0, 0.1, 0), throat, head + _by(0, -0.15, -0.25)],
             [s.chest * 0.8, 0.62, 0.6], white=(0.7, 0.6)),
    ]  # fmt: skip
    return parts, head


def _tail(s: Shape, root: Vectors, pose: Pose, grounded: bool) -> Solid:
    length, side = s.tail, pose.tail
    if grounded:
        round_the_feet = ((0, -0.35), (side * 0.75, -0.1), (side * (0.35 + 0.4 / length), 0.42))
        path = [root, *(root + _by(x * length, 0, z * length) for x, z in round_the_feet)]
        for point in path[1:]:
            point[1] = s.tail_width
    else:
        lift = pose.lift * (1 - 0.3 * s.tail_curl) + 0.6 * s.tail_curl
        back = root + _by(0, (lift - 0.55) * 0.8 * length, -0.5 * length)
        tip = root + _by(side * 0.25 * length, (lift * 1.5 - 0.8) * length, -0.65 * length)
        rolled = root + _by(side * 0.2 * length, 0.55 * length, 0.25 * length)
        path = [root, back, tip + (rolled - tip) * s.tail_curl]
    width = s.tail_width
    return tube(
        path, [width * 1.1, width, width, width * 0.75][: len(path)],
        white=(0, 0.8), point=(0.4, 1),
    )  # fmt: skip


def _leg(s: Shape, *path: Point, top: float = 1.5) -> list[Solid]:
    w = s.leg_width
    foot = path[-1]
    return [
        tube(list(path), [w * top, w * 1.05, w * 0.92], white=(0.1, 1), point=(0, 0.9)),
        ball((foot[0], w * 0.75, foot[2] + w * 0.5), w * _by(1.05, 0.75, 1.5), white=1, point=1),
    ]


def _standing(s: Shape, pose: Pose) -> tuple[Solid, Vectors]:
    height = s.leg + 0.35 * s.chest
    hips = np.array([0.0, height + 0.05, -s.body / 2])
    chest = np.array([0.0, height, s.body / 2])
    parts, head = _trunk(s, hips, chest, pose)
    for side in (-1.0, 1.0):
        x, step = side * s.chest * 0.48, side * pose.stride * 0.35
        front, rear = s.body / 2 + 0.15, -s.body / 2
        parts += _leg(s, (x, height, front), (x, height * 0.5, front + 0.05 + step * 0.4),
                      (x, s.leg_width * 0.9, front + step), top=1.7)  # fmt: skip
        parts += _leg(s, (x, height * 0.55, rear + 0.3 - step * 0.3),
                      (x, height * 0.42, rear - 0.5),
                      (x, s.leg_width * 0.9, rear - 0.1 - step), top=1.6)  # fmt: skip
        thigh = (x * 1.05, height * 0.82, rear + 0.1)
        parts.append(ball(thigh, (s.waist * 0.5, height * 0.38, s.waist * 0.72), grain=(0, -1, 0)))
    parts.append(_tail(s, hips + _by(0, s.waist * 0.45, -s.waist * 0.7), pose, False))
    return joined(parts), head


def _sitting(s: Shape, pose: Pose) -> tuple[Solid, Vectors]:
    hips = np.array([0.0, s.waist * 0.9, -0.45 * s.body])
    chest = np.array([0.0, s.leg * 0.8 + 0.45 * s.chest, 0.05 * s.body])
    parts, head = _trunk(s, hips, chest, pose)
    for side in (-1.0, 1.0):
        x = side * s.chest * 0.5
        front = chest[2] + 0.35
        parts += _leg(s, (x, chest[1] - 0.1, front - 0.1), (x * 0.9, chest[1] * 0.5, front),
                      (x * 0.9, s.leg_width * 0.9, front), top=1.6)  # fmt: skip
        rear, out = hips[2] + 0.4, side * s.waist * 0.95
        haunch = (out * 0.85, s.waist * 0.8, rear - 0.1)
        parts.append(ball(haunch, s.waist * _by(0.45, 0.75, 0.85), grain=(0, -1, 0.4)))
        parts += _leg(s, (out, 0.35, rear - 0.2), (out, 0.2, rear + 0.3),
                      (out * 1.05, s.leg_width * 0.9, rear + 0.65), top=1.1)  # fmt: skip
    parts.append(_tail(s, hips + _by(0, -0.45 * s.waist, -0.6 * s.waist), pose, True))
    return joined(parts), head


def _lying(s: Shape, pose: Pose) -> tuple[Solid, Vectors]:
    hips = np.array([0.0, s.waist * 0.85, -s.body / 2])
    chest = np.array([0.0, s.chest * 0.9, s.body / 2])
    parts, head = _trunk(s, hips, chest, pose)
    for side in (-1.0, 1.0):
        x, w = side * s.chest * 0.6, s.leg_width
        reach = chest[2] + 0.5 + 0.45 * s.leg * (0.8 + 0.2 * side * pose.stride)
        parts += _leg(s, (x, s.chest * 0.6, chest[2] - 0.1), (x * 1.1, w, chest[2] + 0.1),
                      (x, w * 0.9, reach), top=1.5)  # fmt: skip
        out = side * s.waist * 0.95
        haunch = (out * 0.85, s.waist * 0.7, hips[2] + 0.2)
        parts.append(ball(haunch, s.waist * _by(0.45, 0.7, 0.9), grain=(0, -1, 0.4)))
        parts += _leg(s, (out, 0.3, hips[2] + 0.2), (out * 1.1, 0.2, hips[2] + 0.5),
                      (out * 1.1, w * 0.9, hips[2] + 0.9), top=1.1)  # fmt: skip
    parts.append(_tail(s, hips + _by(0, -0.2 * s.waist, -0.7 * s.waist), pose, True))
    return joined(parts), head
