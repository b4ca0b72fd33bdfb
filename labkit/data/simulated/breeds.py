"""Twelve dog breeds as proportions: ears, muzzle, trunk, legs, tail, length of the coat.

No breed has a colour of its own: a breed is told by its shape alone.
"""

from __future__ import annotations

from dataclasses import replace

from labkit.data.simulated.anatomy import CAT, DOG, Shape

CAT_SHAPES = (
    CAT,
    replace(CAT, cheek=0.56, ear=0.8, ear_width=0.44, chest=0.95, waist=0.82, leg=1.35, coat=0.3),
    replace(
        CAT, skull=0.88, cheek=0.42, muzzle=0.24, ear=1.15, ear_width=0.52, ear_out=0.5, eye=0.2,
        eye_slant=0.16, neck=0.6, chest=0.7, waist=0.58, leg=1.75, leg_width=0.19, tail=3.2,
        tail_width=0.12, coat=0.05,
    ),
    replace(CAT, cheek=0.6, muzzle=0.12, ear=0.72, ear_out=0.45, tail_width=0.32, coat=0.9),
)  # fmt: skip
"""House cats, slender and long-haired ones: the cats differ among themselves as dogs do."""

BREED_SHAPES: dict[str, Shape] = {
    "beagle": replace(
        DOG, ear=1.25, ear_width=0.4, ear_tip=0.3, leg=1.5, flews=0.22, tail=1.7, coat=0.1
    ),
    "border_collie": replace(
        DOG, ear=0.85, ear_drop=0.45, ear_width=0.36, ear_tip=0.08, muzzle=0.95, muzzle_width=0.32,
        tail=2.4, tail_width=0.34, leg=1.8, coat=0.9,
    ),
    "chihuahua": replace(
        DOG, skull=0.98, skull_height=0.92, muzzle=0.42, muzzle_width=0.25, flews=0.02, nose=0.14,
        eye=0.23, ear=1.2, ear_drop=0.0, ear_width=0.56, ear_tip=0.12, ear_out=0.75, body=1.9,
        chest=0.65, waist=0.52, leg=1.2, leg_width=0.17, tail=1.3, tail_width=0.11, coat=0.1,
    ),
    "corgi": replace(
        DOG, ear=1.0, ear_drop=0.0, ear_width=0.42, ear_tip=0.18, ear_out=0.45, muzzle=0.75,
        muzzle_width=0.33, flews=0.05, body=3.2, leg=0.75, tail=0.4, tail_width=0.25, coat=0.5,
    ),
    "dachshund": replace(
        DOG, skull=0.75, muzzle=1.15, muzzle_width=0.29, flews=0.08, ear=1.2, ear_width=0.4,
        ear_tip=0.32, body=4.2, chest=0.8, waist=0.68, leg=0.6, neck=0.8, tail=1.9,
        tail_width=0.13, tail_curl=0.1, coat=0.1,
    ),
    "german_shepherd": replace(
        DOG, ear=1.15, ear_drop=0.0, ear_width=0.4, ear_tip=0.08, ear_out=0.25, muzzle=1.05,
        muzzle_width=0.36, flews=0.08, body=3.2, leg=2.1, tail=2.4, tail_width=0.3,
        tail_curl=0.05, coat=0.6,
    ),
    "greyhound": replace(
        DOG, skull=0.68, skull_height=0.68, cheek=0.24, muzzle=1.25, muzzle_width=0.25, flews=0.02,
        nose=0.15, ear=0.7, ear_drop=0.6, ear_width=0.24, ear_tip=0.1, neck=1.3, body=3.3,
        chest=1.0, waist=0.48, leg=2.8, leg_width=0.2, tail=2.4, tail_width=0.1, tail_curl=0.1,
        coat=0.0,
    ),
    "poodle": replace(
        DOG, skull=0.85, skull_height=1.05, muzzle=1.0, muzzle_width=0.25, flews=0.03, nose=0.15,
        ear=1.3, ear_width=0.5, ear_tip=0.48, neck=1.0, body=2.5, leg=2.2, leg_width=0.36,
        tail=1.2, tail_width=0.3, tail_curl=0.1, coat=1.0,
    ),
    "pug": replace(
        DOG, skull=0.98, skull_height=0.9, cheek=0.52, muzzle=0.12, muzzle_width=0.46, flews=0.2,
        nose=0.17, eye=0.22, ear=0.55, ear_drop=0.62, ear_width=0.3, ear_tip=0.08, neck=0.4,
        body=2.2, chest=1.0, waist=0.85, leg=1.1, tail=1.3, tail_curl=1.0, tail_width=0.2,
        coat=0.05,
    ),
    "husky": replace(
        DOG, skull=0.9, ear=0.85, ear_drop=0.0, ear_width=0.36, ear_tip=0.06, ear_out=0.2,
        muzzle=0.85, muzzle_width=0.36, flews=0.03, neck=0.7, tail=2.2, tail_width=0.4,
        tail_curl=0.85, coat=0.8,
    ),
    "basset_hound": replace(
        DOG, skull=0.8, skull_height=0.85, muzzle=1.0, muzzle_width=0.44, flews=0.55,
        eye_slant=-0.1, ear=1.9, ear_width=0.42, ear_tip=0.34, body=3.7, chest=1.05, waist=0.9,
        leg=0.65, leg_width=0.36, tail=1.8, coat=0.1,
    ),
    "labrador": replace(
        DOG, skull=0.92, muzzle=0.85, muzzle_width=0.46, flews=0.22, ear=0.9, ear_width=0.42,
        ear_tip=0.14, body=3.1, chest=1.1, leg=2.0, leg_width=0.34, tail=2.1, tail_width=0.26,
        tail_curl=0.05, coat=0.25,
    ),
}  # fmt: skip
"""Breed names in course order and the shape of each."""

HANGING_EARS = tuple(name for name, shape in BREED_SHAPES.items() if shape.ear_drop > 0.3)
"""Breeds that nobody takes for a cat."""

AVERAGE_DOG = DOG
"""What every breed comes closer to as the dial ``difficulty`` rises."""
