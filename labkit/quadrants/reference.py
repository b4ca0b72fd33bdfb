"""The four quadrants as they were measured for the course, to put one's own runs beside.

``benchmarks/quadrants.py`` made the files in ``reference/``; each says from which images,
with which settings, versions and machine.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import get_args

from labkit.data.dataset import Source
from labkit.errors import DataError, choices
from labkit.quadrants.comparison import Comparison

QUADRANT_NAMES = {
    1: "1 large, dissimilar",
    2: "2 large, similar",
    3: "3 small, dissimilar",
    4: "4 small, similar",
}
"""The datasets of a reference comparison, by the number of the quadrant."""


@cache
def reference(source: Source = "real") -> Comparison:
    """Return the reference results on "real" or "simulated" images.

    A comparison whose datasets are QUADRANT_NAMES, with EfficientNet-Lite0.

    Raises DataError for another source.
    """
    if source not in get_args(Source):
        raise DataError(f"source is one of {choices(get_args(Source))}. Received: {source!r}.")
    file = resources.files("labkit.quadrants") / "reference" / f"{source}.json"
    return Comparison.from_json(file.read_text(encoding="utf-8"))
