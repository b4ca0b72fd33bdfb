"""Which strategy wins in which quadrant? The course's reference results, with intervals.

Cats and dogs stand for images similar to ImageNet, cells for dissimilar ones; 1,000 training
images a class are large, 25 small. ``python -m benchmarks.quadrants --source real`` trains
what is not in the cache yet and writes ``labkit/quadrants/reference/real.json``; it may be
stopped and started again. Not one of the benchmarks that ``labkit bench`` runs: it takes hours.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

LARGE, SMALL = 1000, 25
SEEDS = {
    "real": {1: 5, 2: 5, 3: 5, 4: 10},  # in quadrant 4 strategies differ the least
    "simulated": {1: 5, 2: 5, 3: 5, 4: 5},
}
SIZE, BACKBONE = 96, "EfficientNetLite0"
EPOCHS = {"large": 3, "small": 8}
RATES = (3e-4,)  # of 1e-4 and 3e-4 the better on validation images of the first seed
FOLDER = Path(__file__).parents[1] / "labkit" / "quadrants" / "reference"


@contextmanager
def enough_cells() -> Iterator[None]:
    """Let real cells have 1,000 training images a class, which takes some from validation.

    Microscope fields are moved whole, so that none is in two splits; those that stay hold
    both classes about evenly. The test split is left alone.
    """
    from labkit.data.loading import load_dataset, real_folder

    assert real_folder("cancer_cells") is not None, "no real images: set LABKIT_DATA"
    data = load_dataset("cancer_cells", image_size=SIZE, source="real")
    staying = _fields_that_stay(data)
    root = os.environ["LABKIT_DATA"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "cats_vs_dogs").symlink_to(Path(root).resolve() / "cats_vs_dogs")
        for split in (data.train, data.validation, data.test):
            for path, field in zip(split.paths, split.groups, strict=True):
                moved = split.name == "validation" and field not in staying
                name = "train" if moved else split.name
                target = Path(folder, "cancer_cells", name, path.parent.name, path.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(path.resolve())
        os.environ["LABKIT_DATA"] = folder
        try:
            yield
        finally:
            os.environ["LABKIT_DATA"] = root


def _fields_that_stay(data: Any) -> set[str]:
    """Return the validation fields that training can spare, the most even ones first."""
    train, rest = data.train.counts(), data.validation.counts()
    short = min(train, key=train.__getitem__)
    spare = train[short] + rest[short] - LARGE
    counts: dict[str, Counter[str]] = {}
    for field, label in zip(data.validation.groups, data.validation.labels, strict=True):
        counts.setdefault(field, Counter())[data.classes[label]] += 1

    def evenness(field: str) -> float:
        numbers = [counts[field][name] for name in data.classes]
        return min(numbers) / max(numbers)

    staying: set[str] = set()
    for field in sorted(counts, key=evenness, reverse=True):
        if counts[field][short] <= spare and evenness(field) >= 0.5:
            staying.add(field)
            spare -= counts[field][short]
    return staying


def datasets(source: Any) -> dict[str, Any]:
    """Load what stands for each quadrant, by its name."""
    import labkit
    from labkit.quadrants.reference import QUADRANT_NAMES

    drawn = LARGE if source == "simulated" else None
    pets, cells = (
        labkit.load_dataset(name, image_size=SIZE, source=source, per_class=drawn)
        for name in ("cats_vs_dogs", "cancer_cells")
    )
    return dict(zip(QUADRANT_NAMES.values(), (cells, pets, cells, pets), strict=True))


def compare_one(name: str, source: Any, seeds: int) -> Any:
    """Compare all strategies in one quadrant."""
    import labkit

    size = "large" if "large" in name else "small"
    return labkit.compare(
        {name: datasets(source)[name]}, labkit.load_backbone(BACKBONE, image_size=SIZE),
        seeds=seeds, epochs=EPOCHS[size], learning_rates=RATES,
        per_class=LARGE if size == "large" else SMALL,
    )  # fmt: skip


def together(found: list[Any]) -> Any:
    """Put the comparisons of all quadrants together."""
    from labkit.quadrants.comparison import Comparison

    about = dict(found[0].about)
    about["settings"] = "; ".join(dict.fromkeys(part.about["settings"] for part in found))
    drawn = "; ".join(part.about["images"].split(";")[0] for part in found)
    about["images"] = f"{drawn}; {SIZE} px; training images drawn anew for each seed"
    about["machine"] = (
        f"{platform.machine()}, {os.cpu_count()} cores that other programs used as well: "
        "CPU seconds tell more than seconds"
    )
    return Comparison(tuple(run for part in found for run in part.runs), about)


def as_file(found: Any) -> str:
    """Return a comparison as JSON with no more digits than mean something."""
    data = json.loads(found.to_json())
    digits = {"accuracy": 6, "validation": 6, "seconds": 1, "cpu_seconds": 1, "memory_mb": 0}
    for run in data["runs"]:
        run |= {key: round(run[key], places) for key, places in digits.items()}
    return json.dumps(data) + "\n"


def main(
    source: Annotated[str, typer.Option(help="real or simulated")] = "real",
    only: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Measure, each quadrant in a process of its own, and write the reference file."""
    from labkit.quadrants.reference import QUADRANT_NAMES

    seeds = {name: SEEDS[source][number] for number, name in QUADRANT_NAMES.items()}
    if only:
        compare_one(only, source, seeds[only])
        return
    with enough_cells() if source == "real" else nullcontext():
        for name in seeds:
            command = [sys.executable, "-m", "benchmarks.quadrants", "--source", source]
            command += ["--only", name]
            subprocess.run(command, check=True)
        found = together([compare_one(name, source, seeds[name]) for name in seeds])
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{source}.json").write_text(as_file(found), encoding="utf-8")
    print(found)


if __name__ == "__main__":
    typer.run(main)
