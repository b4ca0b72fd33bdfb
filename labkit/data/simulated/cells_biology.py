"""What makes a simulated cell normal or abnormal: the nucleus, and only the nucleus.

Cytoplasm, stain, ground and neighbours are drawn the same way for both kinds. The kinds
differ in the distribution of the nucleus's size, outline, chromatin, number and halo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.data.simulated.cells_patients import Patient
from labkit.data.simulated.cells_shapes import Blob, oval, polygon
from labkit.data.simulated.dials import Dials


@dataclass(frozen=True)
class Chromatin:
    """How a nucleus is filled.

    Attributes:
        density: mean optical density of haematoxylin.
        wavelength: size of the clumps, as a share of the picture's width.
        contrast: of clumps against clearings, about 0.05 (smooth) to 0.6 (coarse).
        rim: extra density of the membrane.
        unevenness: 0..1, how much the membrane's thickness varies.
        nucleoli: how many.
    """

    density: float
    wavelength: float
    contrast: float
    rim: float
    unevenness: float
    nucleoli: int


@dataclass(frozen=True)
class Cell:
    """The cell in the middle.

    Attributes:
        body: outline of the cytoplasm.
        thickness: optical density of the cytoplasm.
        nuclei: one or more outlines.
        chromatin: of all its nuclei.
        halo: width of the clear zone round the nucleus, in nuclear radii; 0 is none.
    """

    body: Blob
    thickness: float
    nuclei: tuple[Blob, ...]
    chromatin: Chromatin
    halo: float

    @property
    def nuclear_area(self) -> float:
        """Area of all nuclei as a share of the picture."""
        return sum(nucleus.area for nucleus in self.nuclei)


@dataclass(frozen=True)
class Type:
    """A step of the epithelium's ripening: usual nuclear and cell radius, and darkness."""

    nucleus: float
    body: float
    density: float
    contrast: float


TYPES = {
    "superficial": Type(0.115, 0.60, 1.5, 0.12),
    "intermediate": Type(0.140, 0.54, 0.85, 0.18),
    "parabasal": Type(0.160, 0.32, 0.95, 0.19),
}


MOST_ROUGH = 0.16
"""Rougher outlines than this fall apart into petals; roughness levels off before it."""


def signal(dials: Dials) -> float:
    """Return how far the kinds lie apart, in units of the spread within a kind."""
    return (1.0 + 3.4 * dials.severity) * (1.5 - dials.difficulty)


def grow_cell(kind: str, numbers: np.random.Generator, dials: Dials, patient: Patient) -> Cell:
    """Draw the lots of one cell; these are the first random numbers of its picture."""
    shift = signal(dials) if kind == "abnormal" else 0.0
    ripeness = TYPES[_ripeness(numbers, patient)]
    # One common factor: a cell that is atypical in one way is so in the others.
    atypia = shift + 0.45 * numbers.standard_normal()
    size, outline, coarse, dark = atypia + 0.6 * numbers.standard_normal(4)
    radius = ripeness.nucleus * patient.cell_size * np.exp(0.065 * size)
    x, y = 0.5 + numbers.uniform(-0.1, 0.1, 2)
    nuclei = _nuclei(numbers, x, y, float(radius), float(outline), shift)
    reach = ripeness.body * patient.cell_size * np.exp(0.15 * numbers.standard_normal())
    body = _body(numbers, x, y, max(float(reach), 1.35 * float(radius)))
    return Cell(
        body=body,
        thickness=float(0.5 * np.exp(0.25 * numbers.standard_normal())),
        nuclei=nuclei,
        chromatin=_chromatin(numbers, ripeness, patient, float(coarse), float(dark), shift),
        halo=_halo(numbers, shift),
    )


def _ripeness(numbers: np.random.Generator, patient: Patient) -> str:
    lot = numbers.random()
    parabasal = 0.15 + 0.35 * patient.age
    if lot < parabasal:
        return "parabasal"
    return "superficial" if lot > 0.75 else "intermediate"


def _nuclei(
    numbers: np.random.Generator, x: float, y: float, radius: float, outline: float, shift: float
) -> tuple[Blob, ...]:
    """Return one nucleus, or two or three smaller ones that touch."""
    roughness = 0.034 * np.exp(0.53 * outline)
    roughness /= np.hypot(1.0, roughness / MOST_ROUGH)
    count = 1 + int(numbers.random() < 0.05 + 0.05 * shift)
    turn = numbers.random() * 2.0 * np.pi
    nuclei = []
    for place in range(count):
        away = 0.85 * radius if count > 1 else 0.0
        angle = turn + 2.0 * np.pi * place / count
        stretch = float(np.exp(np.abs(0.22 * numbers.standard_normal())))
        nuclei.append(
            oval(
                numbers,
                x + away * np.cos(angle),
                y + away * np.sin(angle),
                radius * (0.8 if count > 1 else 1.0),
                stretch=stretch,
                roughness=float(roughness),
            )
        )
    return tuple(nuclei)


def _body(numbers: np.random.Generator, x: float, y: float, reach: float) -> Blob:
    angle, away = numbers.random() * 2.0 * np.pi, 0.25 * reach * numbers.random()
    x, y = x + away * np.cos(angle), y + away * np.sin(angle)
    if reach > 0.33:
        return polygon(numbers, x, y, reach)
    stretch = float(np.exp(0.35 * np.abs(numbers.standard_normal())))
    return oval(numbers, x, y, reach, stretch=stretch, roughness=0.05)


def _chromatin(
    numbers: np.random.Generator,
    ripeness: Type,
    patient: Patient,
    coarse: float,
    dark: float,
    shift: float,
) -> Chromatin:
    """Coarser and more uneven with ``coarse``; the patient's fixation shifts it for both kinds."""
    grade = coarse + 0.5 * patient.fixation
    # Ripe nuclei shrink to dark dots when normal; dysplastic ones keep their chromatin.
    pyknotic = np.exp(-shift)
    density = 0.95 + (ripeness.density - 0.95) * pyknotic + 0.05 * dark
    return Chromatin(
        density=float(density * np.exp(0.15 * numbers.standard_normal())),
        wavelength=float(np.clip(0.045 * np.exp(0.17 * grade), 0.025, 0.12)),
        contrast=float(np.clip(ripeness.contrast * np.exp(0.41 * grade), 0.04, 0.7)),
        rim=float(0.18 * np.exp(0.2 * grade)),
        unevenness=float(np.clip(0.25 + 0.15 * grade, 0.0, 1.0)),
        nucleoli=int(numbers.random() < 0.2) + int(numbers.random() < 0.06 * shift),
    )


def _halo(numbers: np.random.Generator, shift: float) -> float:
    """Koilocytes have a wide clear zone; inflammation gives normal cells a narrow one."""
    lot, width = numbers.random(2)
    if lot < 0.05 * shift:
        return float(0.6 + 0.6 * width)
    return float(0.15 + 0.2 * width) if lot > 0.9 else 0.0
