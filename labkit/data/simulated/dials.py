"""What every simulator shares: the dials, and where random numbers come from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from labkit.errors import DataError


@dataclass(frozen=True)
class Dials:
    """How a simulated dataset is drawn; the defaults are the course's own setting.

    Attributes:
        difficulty: 0 easy to 1 hard; how subtle the difference between the classes is.
        label_noise: 0..0.5, the share of images that carry a wrong label.
        balance: 0..1, the share of the images that belong to the first class; 0.5 is even.
        spurious: 0..1, how strongly a cue that has nothing to do with the class
            follows the class in the training split: 0 not at all, 1 always.
        style: 0 line drawing to 1 shaded picture with background and camera.
        severity: 0..1, cells only: how advanced the abnormality is.
        drawing: a number from 0 up; another number draws other animals, cells and patients.
    """

    difficulty: float = 0.5
    label_noise: float = 0.0
    balance: float = 0.5
    spurious: float = 0.0
    style: float = 1.0
    severity: float = 0.5
    drawing: int = 0

    def __post_init__(self) -> None:
        """Refuse a dial that is out of its range."""
        if not isinstance(self.drawing, int) or self.drawing < 0:
            raise DataError(f"drawing is a whole number from 0 up. Received: {self.drawing!r}.")
        for name, value in vars(self).items():
            if name == "drawing":
                continue
            highest = 0.5 if name == "label_noise" else 1.0
            if not 0.0 <= value <= highest:
                raise DataError(f"The dial {name} goes from 0 to {highest:g}. Received: {value!r}.")


def random_numbers(*names: object) -> np.random.Generator:
    """Return the random numbers that belong to these names, the same on any machine.

    >>> float(random_numbers("cat", 0).random()) == float(random_numbers("cat", 0).random())
    True
    """
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
