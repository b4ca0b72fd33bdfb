"""Simulated Pap-smear pictures of single cervical cells, a stand-in for real ones.

A cell is grown (cells_biology), laid among neighbours, leukocytes and dirt on a slide of
dye amounts, and photographed (stain). Pictures copy the look of the CRIC crops.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from labkit.data.images import Pixels
from labkit.data.simulated.cells_biology import Cell, Chromatin, grow_cell
from labkit.data.simulated.cells_patients import CELLS, Patient, deal, patient
from labkit.data.simulated.cells_shapes import Blob, oval, polygon, soft, texture
from labkit.data.simulated.dials import Dials
from labkit.data.simulated.stain import (
    COUNTERSTAINS,
    HAEMATOXYLIN,
    LABORATORIES,
    Field,
    dye_vector,
    light_through,
    photograph,
)
from labkit.errors import DataError, choices

__all__ = ["CELLS", "Patient", "deal", "draw_cell", "nucleus_mask", "patient"]

DARK_BUDGET = (0.085, 0.03)
"""Mean and spread of the nuclear area round the middle, as a share of the picture. A picture
whose own nucleus is smaller gets leukocytes beside it, so dark area does not tell the class."""

_FINE = 0.04
_LINE = 0.008


def draw_cell(
    kind: str, numbers: np.random.Generator, dials: Dials, patient: Patient, *, size: int = 100
) -> Pixels:
    """Draw one cell, its nucleus near the middle; returns RGB bytes of shape (size, size, 3).

    ``kind`` is "abnormal" or "normal"; the patient gives the stain and the surroundings.
    Same arguments, same bytes. Raises DataError for an unknown kind.
    """
    cell = _grow(kind, numbers, dials, patient)
    slide = _Slide(size, numbers, dials, patient)
    slide.ground()
    slide.neighbours()
    slide.body(cell.body, cell.thickness, slide.mixture(), halo=cell)
    for nucleus in cell.nuclei:
        slide.nucleus(nucleus, cell.chromatin)
    slide.companions(cell)
    slide.dirt()
    return slide.picture()


def nucleus_mask(
    kind: str, numbers: np.random.Generator, dials: Dials, patient: Patient, *, size: int = 100
) -> NDArray[np.bool_]:
    """Return where ``draw_cell`` with the same arguments draws the cell's own nucleus."""
    cell = _grow(kind, numbers, dials, patient)
    whole = (slice(0, size), slice(0, size))
    inside = [nucleus.depth(size, whole) > 0 for nucleus in cell.nuclei]
    return np.asarray(np.any(inside, axis=0))


def _grow(kind: str, numbers: np.random.Generator, dials: Dials, patient: Patient) -> Cell:
    if kind not in CELLS:
        raise DataError(f"There is no kind of cell {kind!r}; choose one of {choices(CELLS)}.")
    return grow_cell(kind, numbers, dials, patient)


class _Slide:
    """Amounts of dye that pile up over one picture: haematoxylin, and optical density of the
    counterstains in red, green and blue; ``ink`` holds the outlines of a line drawing."""

    def __init__(
        self, size: int, numbers: np.random.Generator, dials: Dials, patient: Patient
    ) -> None:
        self.size, self.numbers, self.dials, self.patient = size, numbers, dials, patient
        self.laboratory = LABORATORIES[patient.laboratory]
        self.haematoxylin: Field = np.zeros((size, size))
        self.counterstain: Field = np.zeros((size, size, 3))
        self.ink: Field = np.zeros((size, size))
        # Textures have a stream of their own: they use up one number a pixel, and the layout
        # of a picture should not depend on its size.
        self.noise = np.random.Generator(np.random.PCG64(int(numbers.integers(2**62))))
        self.dyes = [dye_vector(dye, patient.hue) for dye in COUNTERSTAINS.values()]
        self.grain = texture(self.noise, size, patient.grain, 0.6)
        self.fine = texture(self.noise, size, _FINE)

    def mixture(self) -> Field:
        """Return one cell's colour, shape (3,): the patient's tint, varied from cell to cell."""
        lot = self.numbers.dirichlet((0.35, 0.35, 0.35))
        share = 0.75 * np.array(self.patient.tint) + 0.25 * lot
        return np.asarray(sum(part * dye for part, dye in zip(share, self.dyes, strict=True)))

    def ground(self) -> None:
        """Mucus: a faint cloud under everything."""
        cloud = texture(self.noise, self.size, 0.35, 0.7)
        amount = (0.03 + 0.15 * self.patient.mucus) * np.exp(0.5 * cloud)
        self.counterstain += (amount * (1.0 + 2.0 * self.patient.roughness * self.grain))[
            :, :, None
        ] * self.mixture()

    def neighbours(self) -> None:
        """Other cells under the middle one: the same for both kinds."""
        for _ in range(int(self.numbers.poisson(1.2))):
            x, y = self._beside(0.42, 0.75)
            reach = self.numbers.uniform(0.25, 0.5)
            self.body(
                polygon(self.numbers, x, y, reach), self.numbers.uniform(0.4, 0.8), self.mixture()
            )
            x, y = x + 0.05 * self.numbers.standard_normal(), y
            self._small_nucleus(x, y, self.numbers.uniform(0.08, 0.15))

    def companions(self, cell: Cell) -> None:
        """Leukocytes and naked nuclei: some anywhere, and some to fill up the dark budget."""
        missing = DARK_BUDGET[0] + DARK_BUDGET[1] * self.numbers.standard_normal()
        missing -= cell.nuclear_area
        radius = float(np.sqrt(cell.nuclear_area / np.pi))
        while missing > 0.006:
            part = min(missing, self.numbers.uniform(0.008, 0.03))
            self._companion(*self._beside(radius + 0.01, radius + 0.09, cell), part)
            missing -= part
        for _ in range(int(self.numbers.poisson(2.0 * self.patient.leukocytes))):
            self._companion(*self._beside(0.3, 0.65), self.numbers.uniform(0.008, 0.02))

    def dirt(self) -> None:
        """Bacteria and specks: points and short rods, slightly blurred."""
        count = int(self.numbers.poisson(4 + 50 * self.patient.debris))
        x, y, angle = self.numbers.random((3, count))
        rod = (self.numbers.random(count) < self.patient.rods) * 0.03
        amount = self.numbers.uniform(0.2, 1.0, count)
        specks: Field = np.zeros((self.size, self.size))
        for step in np.linspace(-0.5, 0.5, 5):
            down = (y + step * rod * np.sin(6.3 * angle)) * self.size
            right = (x + step * rod * np.cos(6.3 * angle)) * self.size
            rows, columns = down.astype(np.intp), right.astype(np.intp)
            np.add.at(specks, (rows % self.size, columns % self.size), amount)
        spread = 0.007 * self.size
        specks = ndimage.gaussian_filter(specks, spread, truncate=3.0)
        self.haematoxylin += specks * spread**2 * 1.2

    def body(self, blob: Blob, thickness: float, colour: Field, halo: Cell | None = None) -> None:
        """Lay one cell's cytoplasm: thicker towards the middle, grainy, with a folded edge."""
        window = blob.window(self.size)
        depth = blob.depth(self.size, window)
        cover = soft(depth, 0.02)
        amount = cover * (0.75 + 0.9 * depth.clip(0.0, 0.4))
        amount += 0.25 * np.exp(-(((depth - 0.012) / 0.012) ** 2)) * cover
        amount *= np.exp(self.patient.roughness * self.grain[window])
        if halo is not None and halo.halo:
            amount *= self._halo(halo, window)
        self.counterstain[window] += (thickness * amount)[:, :, None] * colour
        self._outline(window, depth)

    def nucleus(self, blob: Blob, chromatin: Chromatin) -> None:
        """Lay one nucleus: clumped chromatin of a given mean density, rim and nucleoli."""
        window = blob.window(self.size)
        depth = blob.depth(self.size, window)
        waves = texture(self.noise, self.size, chromatin.wavelength, 0.6)[window]
        # exp(c n) has the mean exp(c^2 / 2): clumps are dark, clearings wide, the mean is kept.
        clumps = np.exp(chromatin.contrast * waves - chromatin.contrast**2 / 2.0)
        rim = np.exp(-(((depth - 0.008) / 0.009) ** 2)) * chromatin.rim
        rim *= np.maximum(1.0 + 1.5 * chromatin.unevenness * self.fine[window], 0.0)
        amount = soft(depth, 0.012) * (chromatin.density * clumps + rim)
        self.haematoxylin[window] += amount
        for _ in range(chromatin.nucleoli):
            self._nucleolus(blob)
        self._outline(window, depth)
        self.ink[window] += (depth > 0) * (waves > 1.6 - 1.5 * chromatin.contrast)

    def picture(self) -> Pixels:
        """Develop the slide and photograph it."""
        style, numbers, patient = self.dials.style, self.numbers, self.patient
        strength = patient.strength * np.exp(0.08 * numbers.standard_normal(2))
        blue = dye_vector(HAEMATOXYLIN, patient.hue)
        blue = blue * (strength[0] * self.laboratory.haematoxylin)
        density = self.haematoxylin[:, :, None] * blue
        density += self.counterstain * (strength[1] * self.laboratory.counterstain)
        if style < 1.0:
            density = style * density + (1.0 - style) * 2.5 * self.ink.clip(0, 1)[:, :, None]
        return photograph(
            light_through(density, self.laboratory, style),
            self.laboratory,
            self.noise,
            exposure=float(np.clip(0.62 + 0.07 * numbers.standard_normal(), 0.40, 0.78)),
            focus=float(np.exp(0.25 * numbers.standard_normal())),
            gain=float(np.exp(0.8 * numbers.standard_normal())),
            style=style,
        )

    def _beside(
        self, nearest: float, farthest: float, cell: Cell | None = None
    ) -> tuple[float, float]:
        """Return a random place (x, y) in a ring round the middle or round the cell's nucleus."""
        angle = self.numbers.random() * 2.0 * np.pi
        away = self.numbers.uniform(nearest, farthest)
        x, y = (cell.nuclei[0].x, cell.nuclei[0].y) if cell else (0.5, 0.5)
        return float(x + away * np.cos(angle)), float(y + away * np.sin(angle))

    def _small_nucleus(self, x: float, y: float, radius: float) -> None:
        """A quiet nucleus with the picture's common fine texture."""
        stretch = float(np.exp(0.25 * np.abs(self.numbers.standard_normal())))
        blob = oval(self.numbers, x, y, radius, stretch=stretch, roughness=0.03)
        window = blob.window(self.size)
        depth = blob.depth(self.size, window)
        density = self.numbers.uniform(0.8, 1.5)
        amount = soft(depth, 0.015) * density * np.exp(0.18 * self.fine[window])
        self.haematoxylin[window] += amount
        self._outline(window, depth)

    def _companion(self, x: float, y: float, area: float) -> None:
        """A leukocyte with two to four lobes, or one naked nucleus, of about the given area."""
        lobes = int(self.numbers.integers(1, 5))
        radius = float(np.sqrt(area / lobes / np.pi))
        turns = self.numbers.random() * 6.3 + np.arange(lobes) * self.numbers.uniform(1.2, 2.2)
        away = radius * self.numbers.uniform(0.8, 1.1) if lobes > 1 else 0.0
        density = self.numbers.uniform(1.1, 2.3)
        for turn in turns:
            place = x + away * np.cos(turn), y + away * np.sin(turn)
            lobe = radius * self.numbers.uniform(0.75, 1.2)
            blob = oval(self.numbers, *place, lobe, stretch=1.3, roughness=0.05)
            window = blob.window(self.size)
            depth = blob.depth(self.size, window)
            amount = soft(depth, 0.012) * density
            # Lobes of one nucleus merge; they do not lie on top of each other.
            self.haematoxylin[window] = np.maximum(self.haematoxylin[window], amount)
            self._outline(window, depth)

    def _nucleolus(self, nucleus: Blob) -> None:
        away = 0.5 * float(nucleus.radii.mean()) * self.numbers.random()
        turn = self.numbers.random() * 2.0 * np.pi
        place = nucleus.x + away * np.cos(turn), nucleus.y + away * np.sin(turn)
        blob = oval(self.numbers, *place, self.numbers.uniform(0.016, 0.03))
        window = blob.window(self.size)
        self.haematoxylin[window] += 0.6 * soft(blob.depth(self.size, window), 0.012)

    def _halo(self, cell: Cell, window: tuple[slice, slice]) -> Field:
        """Return what is left of the cytoplasm: little round the nucleus, more at its border."""
        reach = cell.halo * float(cell.nuclei[0].radii.mean())
        depth = np.max([blob.depth(self.size, window) for blob in cell.nuclei], axis=0)
        clear = 1.0 - 0.75 * soft(depth + reach, 0.03)
        return np.asarray(clear + 0.4 * np.exp(-(((depth + reach + 0.02) / 0.02) ** 2)))

    def _outline(self, window: tuple[slice, slice], depth: Field) -> None:
        if self.dials.style < 1.0:
            self.ink[window] += np.exp(-((depth / _LINE) ** 2))
