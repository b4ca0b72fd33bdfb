"""LearningRateExplorer: recorded fine-tuning runs, a small and a far too large rate among them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit import plots
from labkit.errors import DataError
from labkit.results import mean_interval
from labkit.tables import html_table, text_table
from labkit.widgets.panel import Panel, checkbox, slider

RECORDED = Path(__file__).with_name("learning_rates.json")


@dataclass(frozen=True, eq=False)
class Recording:
    """Runs of fine-tuning at several learning rates.

    Attributes:
        about: what was run: backbone, dataset, source of the images, numbers, versions.
        steps: after which training steps it was measured.
        runs: rate, seed, and for each of "new", "source" and "kept" a number a step, 0..1.
    """

    about: dict[str, Any]
    steps: tuple[int, ...]
    runs: tuple[dict[str, Any], ...]

    @classmethod
    def read(cls, file: Path) -> Recording:
        """Read what ``benchmarks/learning_rates.py`` wrote; DataError when it is something else."""
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            return cls(dict(found["about"]), tuple(found["steps"]), tuple(found["runs"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file} is no recording of learning rates: {error}") from error

    @cached_property
    def rates(self) -> list[float]:
        """The learning rates, the smallest first."""
        return sorted({run["rate"] for run in self.runs})

    def values(self, rate: float, measure: str) -> NDArray[np.float64]:
        """Return a measure of the runs at one rate, shape (steps, seeds)."""
        return np.array([run[measure] for run in self.runs if run["rate"] == rate]).T


class LearningRateExplorer(Panel):
    """Shows what fine-tuning at several learning rates did to the new and to the old task.

    The runs are recorded, not computed: what they were is said below the figure.
    """

    title = "Learning rates"

    def __init__(self, recording: Recording | Path | str | None = None) -> None:
        """Show recorded runs.

        Args:
            recording: the runs, or a file of them; None: those that come with labkit.
        """
        self._given = recording
        self._rate, self._all = 0, False
        self._drawn: dict[Any, str] = {}
        super().__init__()

    @cached_property
    def recording(self) -> Recording:
        """The runs that are shown."""
        given = RECORDED if self._given is None else self._given
        return given if isinstance(given, Recording) else Recording.read(Path(given))

    def page(self) -> str:
        """Return the slider of rates, the figure, the numbers."""
        last = len(self.recording.rates) - 1
        return (
            "<h3>What does the learning rate do to the new task, and to the old one?</h3>"
            f"<div class='labkit-row'>{slider('rate', 'Learning rate', 0, last)}"
            "<strong data-part='rate' aria-live='polite'></strong>"
            f"{checkbox('all', 'show all rates')}</div>"
            "<div data-part='figure'></div><div data-part='numbers'></div>"
            f"<p><small>{escape(self._source())}</small></p>"
        )

    def parts(self) -> dict[str, str]:
        """Return figure and numbers of the chosen rate."""
        rate = self.recording.rates[self._rate]
        key = (rate, self._all)
        if key not in self._drawn:
            self._drawn[key] = self._figure([rate] if not self._all else self.recording.rates)
        numbers = html_table(self._rows([rate]), header=self._header(), caption=f"Rate {rate:g}")
        return {"rate": f"{rate:g}", "figure": self._drawn[key], "numbers": numbers}

    def values(self) -> dict[str, Any]:
        """Return where the slider stands."""
        rate = self.recording.rates[self._rate]
        return {"rate": {"value": str(self._rate), "ariaValueText": f"{rate:g}"}, "all": self._all}

    def act(self, control: str, value: Any, files: Sequence[bytes]) -> None:
        """Show another rate, or all of them."""
        if control == "rate":
            self._rate = min(max(int(value), 0), len(self.recording.rates) - 1)
        elif control == "all":
            self._all = bool(value)

    def _figure(self, rates: Sequence[float]) -> str:
        curves = {
            title: {f"{rate:g}": self.recording.values(rate, measure) for rate in rates}
            for measure, title in self._titles().items()
        }
        about = self.recording.about
        title = f"{about['backbone']} fine-tuned, {about['dataset']}"
        places = [f"{rate:g}" for rate in self.recording.rates]
        return plots.forgetting_curves(
            curves, self.recording.steps, title=title, order=places
        )._repr_html_()

    def _titles(self) -> dict[str, str]:
        about = self.recording.about
        return {
            "new": f"new task, {about['n_new']} test images",
            "source": f"old task, {about['n_source']} ImageNet pictures",
            "kept": f"old answers kept, {about['n_kept']} images",
        }

    def _header(self) -> tuple[str, ...]:
        return (
            "measure",
            "rate",
            "before",
            f"after {self.recording.steps[-1]} steps",
            "95 % over seeds",
        )

    def _rows(self, rates: Sequence[float]) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for measure, title in self._titles().items():
            for rate in rates:
                values = self.recording.values(rate, measure)
                mean, low, high = mean_interval(values[-1].tolist())
                low, high = max(low, 0.0), min(high, 1.0)
                rows.append((title, f"{rate:g}", f"{values[0].mean():.3f}", f"{mean:.3f}",
                             f"{low:.3f} to {high:.3f}"))  # fmt: skip
        return rows

    def _source(self) -> str:
        about, seeds = self.recording.about, len({run["seed"] for run in self.recording.runs})
        versions = ", ".join(f"{name} {v}" for name, v in about.get("versions", {}).items())
        return (
            f"Recorded runs, not formulas: {about['backbone']} at {about['image_size']} px, all "
            f"blocks trained from a trained head with {about['optimizer']}, batches of "
            f"{about['batch']}, {about['n_train']} {about['source']} images, {seeds} seeds; "
            f"recorded on {about['day']} with {versions}. Old answers kept: the share of test "
            "images whose answer among the 1000 ImageNet classes is still the one of before."
        )

    def plain_html(self) -> str:
        """Return the figure and the numbers of all rates."""
        try:
            rates = self.recording.rates
            table = html_table(self._rows(rates), header=self._header())
            return f"{self._figure(rates)}{table}<p><small>{escape(self._source())}</small></p>"
        except DataError as error:
            return f"<p>{escape(str(error))}</p>"

    def __str__(self) -> str:
        """Return the numbers of all rates as text."""
        try:
            rows = self._rows(self.recording.rates)
            return "\n".join([text_table(rows, header=self._header()), "", self._source()])
        except DataError as error:
            return str(error)
