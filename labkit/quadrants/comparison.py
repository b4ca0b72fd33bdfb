"""What a comparison of strategies has found: tables, verdicts, the figure."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from labkit.errors import DataError
from labkit.quadrants.runs import CONTENDERS, Contender, Run
from labkit.quadrants.statistics import Difference, paired_difference
from labkit.results import mean_interval
from labkit.tables import html_table, text_table

if TYPE_CHECKING:
    import pandas as pd

    from labkit.plots import Picture

_HEADER = ("dataset", "strategy", "accuracy", "95 % interval", "seconds", "CPU seconds",
           "peak MB", "chosen")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Comparison:
    """Strategies compared over paired runs; prints as a table with verdicts.

    Attributes:
        runs: every run that was made.
        about: what the numbers rest on: images, settings, versions.
    """

    runs: tuple[Run, ...]
    about: dict[str, str] = field(default_factory=dict)

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets, in the order in which they were given."""
        return list(dict.fromkeys(run.dataset for run in self.runs))

    @property
    def strategies(self) -> list[Contender]:
        """The strategies that were compared: frozen, partial, full, scratch."""
        found = {run.strategy for run in self.runs}
        return [strategy for strategy in CONTENDERS if strategy in found]

    def accuracies(self, dataset: str, strategy: str) -> list[float]:
        """Return the test accuracies of one strategy on one dataset, in the order of seeds."""
        return [run.accuracy for run in self._of(dataset, strategy)]

    def _of(self, dataset: str, strategy: str) -> list[Run]:
        found = [r for r in self.runs if (r.dataset, r.strategy) == (dataset, strategy)]
        return sorted(found, key=lambda run: run.seed)

    @property
    def table(self) -> pd.DataFrame:
        """A row a dataset and strategy: mean accuracy, 95 % t interval, seconds, peak memory.

        Of the runs' peaks the lowest: a later run of a process carries what earlier ones left.
        """
        import pandas as pd

        rows = []
        for dataset, strategy in itertools.product(self.datasets, self.strategies):
            runs = self._of(dataset, strategy)
            mean, low, high = mean_interval([run.accuracy for run in runs])
            rows.append({
                "dataset": dataset, "strategy": strategy, "runs": len(runs), "mean": mean,
                "low": low, "high": high, "seconds": float(np.mean([r.seconds for r in runs])),
                "cpu_seconds": float(np.mean([r.cpu_seconds for r in runs])),
                "memory_mb": min(r.memory_mb for r in runs), "chosen": _chosen(runs),
                "n_train": runs[0].n_train, "n_test": runs[0].n_test,
            })  # fmt: skip
        return pd.DataFrame(rows)

    def difference(self, dataset: str, first: str, second: str) -> Difference:
        """Compare two strategies on one dataset over their common seeds, by a paired t interval."""
        ours = {run.seed: run.accuracy for run in self._of(dataset, first)}
        theirs = {run.seed: run.accuracy for run in self._of(dataset, second)}
        seeds = [seed for seed in ours if seed in theirs]
        return paired_difference(
            first, second, [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]
        )

    def _differences(self) -> Iterator[tuple[str, Difference]]:
        for dataset in self.datasets:
            for first, second in itertools.combinations(self.strategies, 2):
                yield dataset, self.difference(dataset, first, second)

    @property
    def differences(self) -> pd.DataFrame:
        """A row a dataset and pair: mean paired difference, its 95 % interval, the verdict."""
        import pandas as pd

        return pd.DataFrame(
            [{"dataset": dataset, **asdict(found), "verdict": found.verdict}
             for dataset, found in self._differences()]
        )  # fmt: skip

    @property
    def verdicts(self) -> dict[str, list[str]]:
        """For each dataset, a sentence for each pair of strategies."""
        said: dict[str, list[str]] = {dataset: [] for dataset in self.datasets}
        for dataset, found in self._differences():
            said[dataset].append(found.verdict)
        return said

    def leaders(self, dataset: str) -> list[Contender]:
        """Return the best strategy on a dataset, and those that cannot be told from it."""
        means = {s: float(np.mean(self.accuracies(dataset, s))) for s in self.strategies}
        best = max(means, key=lambda strategy: means[strategy])
        others = [s for s in self.strategies
                  if s != best and not self.difference(dataset, best, s).is_clear]  # fmt: skip
        return [best, *others]

    def plot(self) -> Picture:
        """Return a figure, a panel a dataset, that shows each strategy with its interval."""
        from labkit.quadrants.figure import comparison_figure

        return comparison_figure(self)

    def to_json(self) -> str:
        """Return everything as JSON; ``from_json`` reads it again."""
        runs = [asdict(run) for run in self.runs]
        return json.dumps({"about": self.about, "runs": runs}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Read what ``to_json`` wrote; DataError when it is something else."""
        try:
            found = json.loads(text)
            return cls(tuple(Run(**run) for run in found["runs"]), dict(found["about"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"This is no comparison that to_json wrote: {error}.") from error

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (str(row["dataset"]), str(row["strategy"]), f"{row['mean']:.3f}",
             _interval(row["low"], row["high"]), f"{row['seconds']:.1f}",
             f"{row['cpu_seconds']:.1f}", f"{row['memory_mb']:.0f}", str(row["chosen"]))
            for row in self.table.to_dict("records")
        ]  # fmt: skip

    def __str__(self) -> str:
        """Return table, verdicts and what they rest on as text."""
        lines = [text_table(self._rows(), header=_HEADER)]
        for dataset, verdicts in self.verdicts.items():
            lines += ["", f"{dataset}:", *(f"  {verdict}" for verdict in verdicts)]
        return "\n".join([*lines, "", *(f"{k}: {v}" for k, v in self.about.items())])

    def _repr_html_(self) -> str:
        verdicts = [
            (dataset, verdict) for dataset, all_ in self.verdicts.items() for verdict in all_
        ]
        return (
            html_table(self._rows(), header=_HEADER)
            + html_table(verdicts, header=("dataset", "verdict"))
            + html_table(self.about.items(), caption="what this rests on")
        )


def _chosen(runs: Sequence[Run]) -> str:
    """Return what the validation split chose over the runs: ``top 3 (4), 2 (1)``."""
    texts = []
    for name in dict.fromkeys(key for run in runs for key in run.choices):
        values = [run.choices[name] for run in runs if name in run.choices]
        counts = sorted({value: values.count(value) for value in values}.items(),
                        key=lambda item: -item[1])  # fmt: skip
        texts.append(f"{name} " + ", ".join(f"{value:g} ({count})" for value, count in counts))
    return "; ".join(texts)


def _interval(low: float, high: float) -> str:
    return "one run" if np.isnan(low) else f"{low:.3f} to {high:.3f}"
