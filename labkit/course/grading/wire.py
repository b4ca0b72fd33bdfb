"""What may travel between the examiner and a student's kernel, and what limits it has."""

from __future__ import annotations

import dataclasses

from labkit.errors import CourseError

LARGEST_MESSAGE = 200_000_000
"""Bytes of one message; more is refused on both sides (it travels as text, a third larger)."""

DEEPEST = 50
"""Levels of lists in lists that are followed."""

LONGEST_ITERATOR = 10_000
"""Elements that are taken out of a generator."""

RECORDS = {
    f"{module}.{name}"
    for module, names in {
        "labkit.checks": ("Checks", "Outcome"),
        "labkit.results": ("TrainingResult",),
        "labkit.counting": ("ParameterCount",),
        "labkit.features": ("Features",),
        "labkit.tables": ("Table",),
        "labkit.quiz": ("Question", "Verdict"),
        "labkit.data.dataset": ("Split", "Dataset"),
        "labkit.data.pixels": ("Problem",),
        "labkit.backbones.catalogue": ("BackboneInfo",),
        "labkit.quadrants.advice": ("Advice",),
        "labkit.quadrants.comparison": ("Comparison",),
        "labkit.quadrants.runs": ("Run", "Settings"),
        "labkit.quadrants.similarity": ("Similarity",),
        "labkit.quadrants.statistics": ("Difference",),
    }.items()
    for name in names
}
"""Result classes that travel field by field."""


class ExchangeError(CourseError):
    """A message is not one, or holds what may not travel."""


@dataclasses.dataclass(frozen=True)
class Foreign:
    """Stands for a value that cannot travel, so that a check can say what it got instead."""

    type_name: str

    def __repr__(self) -> str:
        """Return what it is, as the reason of a check quotes it."""
        return f"an object of the type {self.type_name}"


KINDS = "biufcSUmM"
"""The kinds of numpy arrays that travel: numbers, text, times; never objects."""
