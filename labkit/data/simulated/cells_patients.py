"""Who the simulated cells come from: patients with a look of their own, and laboratories.

A patient's look (stain, texture, debris) has nothing to do with the class, but a patient's
cells are mostly of one kind: a model that knows the patient can guess the label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from labkit.data.simulated.dials import Dials, random_numbers
from labkit.data.simulated.stain import LABORATORIES
from labkit.errors import DataError, choices

CELLS = ("abnormal", "normal")
SPLITS = ("train", "validation", "test")
TIED_LABORATORY = "lab-a"
"""Where the abnormal cells come from when ``Dials.spurious`` ties laboratory and class."""

CELLS_A_PATIENT = 30
FEWEST_PATIENTS = 8
"""A small split still has this many patients of each kind, or one cell is not like another."""

STRAYS = 0.05
"""Share of a patient's cells that are of the other kind."""


@dataclass(frozen=True)
class Patient:
    """One simulated person: a name, a laboratory, and the look of the slides.

    Attributes:
        name: "patient-0017".
        laboratory: a key of ``LABORATORIES``.
        tint: shares of the green, orange and pink counterstain; they sum to 1.
        strength: strength of the stain, about 0.7..1.4.
        hue: shift of the stains' colour in red, green and blue.
        cell_size: factor on all lengths, about 0.9..1.1.
        age: 0..1; the older, the more of the small parabasal cells.
        grain: wavelength of the cytoplasm's texture, as a share of the picture's width.
        roughness: contrast of that texture, about 0.05..0.3.
        fixation: -1..1, how fixing the smear changed the chromatin.
        debris: 0..1, dirt and bacteria; ``rods`` is the share of rods among it.
        rods: 0..1.
        mucus: 0..1, cloudiness of the ground.
        leukocytes: 0..1, inflammation.
    """

    name: str
    laboratory: str
    tint: tuple[float, float, float]
    strength: float
    hue: tuple[float, float, float]
    cell_size: float
    age: float
    grain: float
    roughness: float
    fixation: float
    debris: float
    rods: float
    mucus: float
    leukocytes: float


def patient(
    seed: int, split: str, number: int, dials: Dials, *, laboratory: str | None = None
) -> Patient:
    """Return patient ``number`` of a split; no two splits share a patient, by name or look.

    The laboratory is drawn evenly unless it is given. ``dials.style`` mutes the look, so line
    drawings of two patients differ little. Raises DataError for an unknown split.
    """
    if split not in SPLITS:
        raise DataError(f"There is no split {split!r}; choose one of {choices(SPLITS)}.")
    numbers = random_numbers("patient", seed, split, number)
    drawn = sorted(LABORATORIES)[int(numbers.integers(len(LABORATORIES)))]
    vary = dials.style * numbers.standard_normal(6)
    share = numbers.dirichlet((0.5, 0.5, 0.5))
    habits = numbers.random(5)
    return Patient(
        name=f"patient-{len(SPLITS) * number + SPLITS.index(split):04d}",
        laboratory=laboratory or drawn,
        tint=(float(share[0]), float(share[1]), float(share[2])),
        strength=float(np.exp(0.2 * vary[0])),
        hue=(float(0.08 * vary[1]), float(0.08 * vary[2]), float(0.08 * vary[3])),
        cell_size=float(np.exp(0.06 * vary[4])),
        age=float(habits[0]),
        grain=float(0.025 * 6.0 ** habits[1]),
        roughness=float(0.03 + 0.11 * habits[2] ** 2),
        fixation=float(np.clip(0.6 * vary[5], -1, 1)),
        debris=float(habits[3] ** 2),
        rods=float(numbers.random()),
        mucus=float(numbers.random()),
        leukocytes=float(habits[4] ** 1.5),
    )


def deal(
    split: str, counts: Mapping[str, int], seed: int, dials: Dials
) -> list[tuple[str, Patient]]:
    """Deal the cells of a split to patients: one (kind, patient) a cell, in image order.

    ``counts`` says how many cells of each kind. With ``dials.spurious`` at 0 the laboratory is
    independent of the kind in every split; at 1 every abnormal cell of the train and validation
    splits comes from ``TIED_LABORATORY`` and every normal one from another; between, that share
    of the patients is tied. The test split is never tied.
    """
    for kind in counts:
        if kind not in CELLS:
            raise DataError(f"There is no kind of cell {kind!r}; choose one of {choices(CELLS)}.")
    tie = 0.0 if split == "test" else dials.spurious
    people = _people(split, counts, seed, dials, tie)
    numbers = random_numbers("deal", seed, split)
    kinds = [kind for kind in CELLS for _ in range(counts.get(kind, 0))]
    dealt = []
    for place in numbers.permutation(len(kinds)):
        kind = kinds[place]
        strayed = numbers.random() < STRAYS * (1.0 - tie)
        home = CELLS[1 - CELLS.index(kind)] if strayed else kind
        candidates = people[home] or people[kind]
        dealt.append((kind, candidates[int(numbers.integers(len(candidates)))]))
    return dealt


def _people(
    split: str, counts: Mapping[str, int], seed: int, dials: Dials, tie: float
) -> dict[str, list[Patient]]:
    numbers = random_numbers("people", seed, split)
    heads = {kind: _head_count(counts.get(kind, 0)) for kind in CELLS}
    order = numbers.permutation(sum(heads.values()))
    people: dict[str, list[Patient]] = {kind: [] for kind in CELLS}
    for place, kind in enumerate([who for who in CELLS for _ in range(heads[who])]):
        laboratory = _tied(kind, numbers) if numbers.random() < tie else None
        number = int(order[place])
        people[kind].append(patient(seed, split, number, dials, laboratory=laboratory))
    return people


def _head_count(cells: int) -> int:
    return max(min(cells, FEWEST_PATIENTS), -(-cells // CELLS_A_PATIENT))


def _tied(kind: str, numbers: np.random.Generator) -> str:
    others = [name for name in sorted(LABORATORIES) if name != TIED_LABORATORY]
    other = others[int(numbers.integers(len(others)))]
    return TIED_LABORATORY if kind == "abnormal" else other
