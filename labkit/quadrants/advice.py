"""Advises a strategy for a dataset: from its size, and from its measured similarity.

The four quadrants are those of the course's source (Marcelino, "Transfer learning from
pre-trained models", 2018): a rule of thumb. ``labkit.compare`` tries it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from labkit.data.dataset import Dataset
from labkit.engine import keras
from labkit.freezing import Strategy
from labkit.quadrants.similarity import Similarity, measure_similarity
from labkit.tables import html_table

Size = Literal["small", "large"]

LARGE = 1000
"""Training images a class from which on a dataset counts as large; the smallest class counts."""

QUADRANTS: dict[tuple[Size, bool], tuple[int, Strategy, str]] = {
    ("large", False): (1, "full", "many images, little to keep: train everything"),
    ("large", True): (2, "partial", "the early blocks fit as they are, and there are images "
                      "enough to train the last ones"),
    ("small", False): (3, "partial", "the last blocks know other things, and there are too few "
                       "images to train everything"),
    ("small", True): (4, "frozen", "the features fit, and few images are soon learned by heart"),
}  # fmt: skip


@dataclass(frozen=True)
class Advice:
    """Which strategy to begin with, and why; prints as a table.

    Attributes:
        title: dataset and backbone.
        size: "small" (the smallest class has under 1,000 training images) or "large".
        per_class: training images of the smallest class.
        similarity: 0..1, measured; above 0.5 the images count as similar to the source.
        interval: 95 % interval of the similarity, over images.
        borderline: True when the interval holds 0.5; both neighbouring quadrants may apply.
        quadrant: 1 large and dissimilar, 2 large and similar, 3 small and dissimilar,
            4 small and similar.
        strategy: "full", "partial" or "frozen".
        why: the reason as a sentence.
        measure: how similarity was measured.
    """

    title: str
    size: Size
    per_class: int
    similarity: float
    interval: tuple[float, float]
    borderline: bool
    quadrant: int
    strategy: Strategy
    why: str
    measure: str

    def _rows(self) -> list[tuple[str, str]]:
        low, high = self.interval
        verdict = "similar" if self.similarity >= 0.5 else "dissimilar"
        if self.borderline:
            verdict = "borderline"
        return [
            ("size", f"{self.size}: {self.per_class:,} images in the smallest class"),
            ("similarity", f"{self.similarity:.2f} ({low:.2f} to {high:.2f}): {verdict}"),
            ("quadrant", f"{self.quadrant}"),
            ("strategy", self.strategy),
            ("why", self.why),
            ("measured by", self.measure),
        ]

    def __str__(self) -> str:
        """Return the table as text, aligned to the left."""
        rows = [f"{name:<13}{value}" for name, value in self._rows()]
        return "\n".join([self.title, *rows])

    def _repr_html_(self) -> str:
        return html_table(self._rows(), caption=self.title)


def advise(dataset: Dataset, backbone: keras.Model, *, seed: int = 0) -> Advice:
    """Advise a strategy of transfer learning for a dataset.

    Looks at the training split alone, at most 500 images of it, in inference mode.

    Args:
        dataset: the images that the network shall learn.
        backbone: the pretrained network, for images of this size.
        seed: which images are looked at.

    Returns:
        The advice; similarity is measured as measure_similarity says.

    Raises:
        DataError: fewer than 20 training images, or of a size that the backbone does not take.
        ModelError: the backbone has random weights, or its source cannot be known.
    """
    similarity = measure_similarity(backbone, dataset.train, seed=seed)
    per_class = min(dataset.train.counts().values())
    return advice_for(f"{dataset.title} for {backbone.name}", per_class, similarity)


def advice_for(title: str, per_class: int, similarity: Similarity) -> Advice:
    """Return the advice for a number of images a class and a similarity.

    >>> looked = Similarity(0.8, 0.75, 0.85, 0.031, "BatchNorm statistics", 500)
    >>> advice_for("pets", 100, looked).strategy
    'frozen'
    """
    size: Size = "large" if per_class >= LARGE else "small"
    similar = similarity.value >= 0.5
    quadrant, strategy, reason = QUADRANTS[size, similar]
    why = f"{size} and {'similar' if similar else 'dissimilar'}: {reason}."
    if similarity.borderline:
        number, other, _ = QUADRANTS[size, not similar]
        why += (
            f" Borderline: the {similarity.images} images looked at do not tell whether they are "
            f"similar; try quadrant {number} ({other}) as well."
        )
    return Advice(
        title=title,
        size=size,
        per_class=per_class,
        similarity=similarity.value,
        interval=(similarity.low, similarity.high),
        borderline=similarity.borderline,
        quadrant=quadrant,
        strategy=strategy,
        why=why,
        measure=similarity.measure,
    )
