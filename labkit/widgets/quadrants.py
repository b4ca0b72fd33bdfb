"""QuadrantAdvisor: which strategy suits a dataset, from its size and its similarity."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from labkit.data.dataset import Dataset
from labkit.engine import keras
from labkit.quadrants.advice import Advice, advice_for, advise
from labkit.quadrants.figure import quadrant_map
from labkit.quadrants.reference import QUADRANT_NAMES, reference
from labkit.quadrants.similarity import Similarity
from labkit.results import mean_interval
from labkit.tables import html_table
from labkit.widgets.panel import Panel, slider

PER_CLASS = (5, 10, 25, 50, 100, 250, 500, 750, 1000, 2500, 5000, 10000, 25000)
"""Where the slider for images a class can stand."""


BY_HAND = "a reader's choice, not measured"


class QuadrantAdvisor(Panel):
    """Shows where a dataset lies in the four quadrants, and what follows from that.

    Without a dataset, two sliders say how many images there are and how similar they are.
    With a dataset and a backbone both are measured by ``labkit.advise``, and the sliders
    start from there.
    """

    title = "Quadrant advisor"

    def __init__(self, dataset: Dataset | None = None, backbone: keras.Model | None = None) -> None:
        """Show the quadrants; what a dataset is like is measured when it is first shown.

        Args:
            dataset: whose training images are counted and, with a backbone, looked at.
            backbone: the pretrained network.
        """
        self.dataset, self.backbone = dataset, backbone
        self._measured: Advice | None = None
        self._per_class = min(dataset.train.counts().values()) if dataset else 100
        self._similarity = 0.7
        self._moved = False
        self._drawn: tuple[Any, str] = (None, "")
        super().__init__()

    def measure(self) -> Advice | None:
        """Return what labkit.advise measures; None where there is nothing to measure."""
        if self._measured is None and self.dataset is not None and self.backbone is not None:
            self._measured = advise(self.dataset, self.backbone)
            self._similarity = self._measured.similarity
        return self._measured

    @property
    def advice(self) -> Advice:
        """The advice for what is measured, or for where the sliders were moved to."""
        measured = None if self._moved else self._measured
        if measured is not None:
            return measured
        value = self._similarity
        title = "As the sliders say"
        if self.dataset is not None and not self._moved:
            title = f"{self.dataset.title}, similarity as the slider says"
        return advice_for(title, self._per_class, Similarity(value, value, value, 0, BY_HAND, 0))

    def page(self) -> str:
        """Return the two sliders, the figure and the advice."""
        size = slider("size", "Training images a class", 0, len(PER_CLASS) - 1)
        similarity = slider("similarity", "Similarity to the source, in hundredths", 0, 100)
        return (
            f"<h3>Which strategy to begin with?</h3><div class='labkit-row'>{size}"
            f"<strong data-part='size'></strong></div><div class='labkit-row'>{similarity}"
            "<strong data-part='similarity'></strong></div><div data-part='figure'></div>"
            "<div data-part='advice' aria-live='polite'></div><div data-part='evidence'></div>"
        )

    def parts(self) -> dict[str, str]:
        """Return the figure with the point, and the advice."""
        advice = self.advice
        key = (advice.per_class, advice.similarity, advice.interval)
        if self._drawn[0] != key:
            self._drawn = (key, quadrant_map(advice)._repr_html_())
        return {
            "size": f"{self._per_class:,}",
            "similarity": f"{self._similarity:.2f}",
            "figure": self._drawn[1],
            "advice": _told(advice),
            "evidence": evidence(advice.quadrant),
        }

    def values(self) -> dict[str, Any]:
        """Return where the sliders stand."""
        place = sum(size <= self._per_class for size in PER_CLASS) - 1
        return {
            "size": {"value": str(max(place, 0)), "ariaValueText": f"{self._per_class:,} images"},
            "similarity": {
                "value": str(round(100 * self._similarity)),
                "ariaValueText": f"{self._similarity:.2f}",
            },
        }

    def act(self, control: str, value: Any, files: Sequence[bytes]) -> None:
        """Move the point."""
        if control == "size":
            self._per_class = PER_CLASS[int(value)]
        elif control == "similarity":
            self._similarity = int(value) / 100
        self._moved = True

    def prepare(self) -> None:
        """Measure the dataset, which takes seconds, before the widget is shown."""
        self.measure()

    def plain_html(self) -> str:
        """Return figure and advice."""
        advice = self.advice
        return quadrant_map(advice)._repr_html_() + _told(advice) + evidence(advice.quadrant)

    def __str__(self) -> str:
        """Return the advice as text."""
        return str(self.advice) if self.advice.measure != BY_HAND else _sentence(self.advice)


def _told(advice: Advice) -> str:
    rows: str = advice._repr_html_()
    return rows if advice.measure != BY_HAND else f"<p>{escape(_sentence(advice))}</p>"


def _sentence(advice: Advice) -> str:
    return (
        f"{advice.title}: {advice.per_class:,} images a class, similarity {advice.similarity:.2f}. "
        f"Quadrant {advice.quadrant}, strategy {advice.strategy}, because {advice.why}"
    )


def evidence(quadrant: int) -> str:
    """Return as HTML what was measured for the course in a quadrant; empty where nothing was."""
    try:
        found = reference("real")
    except OSError:
        return ""
    name = QUADRANT_NAMES[quadrant]
    if name not in found.datasets:
        return ""
    rows = []
    for strategy in found.strategies:
        mean, low, high = mean_interval(found.accuracies(name, strategy))
        rows.append((strategy, f"{mean:.3f}", f"{low:.3f} to {high:.3f}"))
    best, *others = found.leaders(name)
    said = f"best {best}" + (f", not told from {', '.join(others)}" if others else "")
    caption = f"Measured for the course, real images, quadrant {name}: {said}"
    return html_table(rows, header=("strategy", "test accuracy", "95 %"), caption=caption)
