"""Draws a simulated split into a folder of the cache, once.

A drawn split is a folder like a real one, ``<class>/<number>.png`` with a
``manifest.csv``, so that everything later treats both alike. What was drawn before with
the same numbers, dials and drawing code is used again.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import filelock
import joblib
import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from labkit.data.images import Pixels
from labkit.data.packing import staging_folder
from labkit.data.simulated.cells import draw_cell
from labkit.data.simulated.cells_patients import CELLS, Patient, deal
from labkit.data.simulated.dials import Dials, random_numbers
from labkit.data.simulated.pets import BREEDS, CATS_AND_DOGS, draw_breed, draw_pet
from labkit.paths import cache_folder

_CHUNK = 25


@dataclass(frozen=True)
class Picture:
    """One picture that is to be drawn.

    Attributes:
        file: where it goes inside the split's folder, ``<label>/<number>.png``.
        drawn: the class that is drawn; another than the label's under label noise.
        group: the patient of a cell; "" for pets, each of which is another animal.
        laboratory: where a cell was stained; "" for pets.
        cue: 1.0 where a spurious thing is drawn beside the animal.
        draw: draws the pixels.
    """

    file: str
    drawn: str
    group: str
    laboratory: str
    cue: float
    draw: Callable[[], Pixels]


@dataclass(frozen=True)
class Recipe:
    """How one simulated dataset is made.

    Attributes:
        classes: names of the classes; the first is the one that ``Dials.balance`` counts.
        per_class: images a class of each split, where nothing else is asked.
        plan: lists the pictures of a split.
    """

    classes: tuple[str, ...]
    per_class: dict[str, int]
    plan: Callable[[str, str, dict[str, int], Dials], list[Picture]]


def draw_split(
    name: str, split: str, *, per_class: int | None = None, dials: Dials | None = None
) -> Path:
    """Return a folder with a simulated split, drawing it unless it is in the cache.

    Args:
        name: a key of RECIPES.
        split: "train", "validation" or "test".
        per_class: images a class; None: as many as the recipe says.
        dials: how it is drawn; None: the course's setting.

    Returns:
        A folder ``<class>/<number>.png`` with ``manifest.csv``.
    """
    recipe, dials = RECIPES[name], dials or Dials()
    per_class = per_class or recipe.per_class[split]
    key = json.dumps([code_digest(), split, per_class, asdict(dials)])
    folder = cache_folder("simulated", name) / (
        f"{split}-{per_class}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    )
    with filelock.FileLock(f"{folder}.lock"):
        if not folder.exists():
            counts = _counts(recipe.classes, per_class, dials.balance)
            pictures = recipe.plan(name, split, counts, dials)
            _write(pictures, folder, f"{name} {split}, simulated")
    return folder


def draw_samples(name: str, per_class: int, dials: Dials | None = None) -> list[tuple[str, Pixels]]:
    """Draw a few images of each class, as (class, pixels); nothing is kept."""
    recipe = RECIPES[name]
    counts = dict.fromkeys(recipe.classes, per_class)
    pictures = recipe.plan(name, "test", counts, dials or Dials())
    drawn = [(picture.drawn, picture.draw()) for picture in pictures]
    return sorted(drawn, key=lambda pair: pair[0])


def _counts(classes: tuple[str, ...], per_class: int, balance: float) -> dict[str, int]:
    """Share the images out; with balance 0.5 every class gets the same number."""
    if balance == 0.5 or len(classes) != 2:
        return dict.fromkeys(classes, per_class)
    first = round(2 * per_class * balance)
    return dict(zip(classes, (first, 2 * per_class - first), strict=True))


def _plan_pets(name: str, split: str, counts: dict[str, int], dials: Dials) -> list[Picture]:
    draw_one = draw_pet if name == "cats_vs_dogs" else draw_breed
    first, pictures = next(iter(counts)), []
    for drawn, count in counts.items():
        for i in range(count):
            numbers = random_numbers(name, dials.drawing, split, drawn, i)
            label = _label(drawn, counts, numbers, split, dials)
            cue = _cue(drawn == first, numbers, split, dials)

            def draw(drawn: str = drawn, i: int = i, cue: float = cue) -> Pixels:
                picture_numbers = random_numbers(name, dials.drawing, split, drawn, i, "picture")
                return draw_one(drawn, picture_numbers, dials, cue=cue)

            pictures.append(Picture(f"{label}/{drawn}-{i:05d}.png", drawn, "", "", cue, draw))
    return pictures


def _plan_cells(name: str, split: str, counts: dict[str, int], dials: Dials) -> list[Picture]:
    pictures = []
    for i, (drawn, who) in enumerate(deal(split, counts, dials.drawing, dials)):
        label = _label(drawn, counts, random_numbers(name, dials.drawing, split, i), split, dials)

        def draw(drawn: str = drawn, i: int = i, who: Patient = who) -> Pixels:
            return draw_cell(
                drawn, random_numbers(name, dials.drawing, split, i, "picture"), dials, who
            )

        file = f"{label}/{i:05d}.png"
        pictures.append(Picture(file, drawn, who.name, who.laboratory, 0.0, draw))
    return pictures


def _label(
    drawn: str, counts: dict[str, int], numbers: np.random.Generator, split: str, dials: Dials
) -> str:
    """Return the class that the dataset says; the test split's labels are always right."""
    wrong = numbers.random() < dials.label_noise and split != "test"
    others = [name for name in counts if name != drawn]
    return others[int(numbers.integers(len(others)))] if wrong else drawn


def _cue(first: bool, numbers: np.random.Generator, split: str, dials: Dials) -> float:
    """Return 1.0 where a picture shows the spurious cue; in the test split it tells nothing."""
    strength = 0.0 if split == "test" else dials.spurious
    share = (1 + strength) / 2 if first else (1 - strength) / 2
    return float(dials.spurious > 0 and numbers.random() < share)


def _write(pictures: list[Picture], folder: Path, title: str) -> None:
    """Draw the pictures into a temporary folder, in all cores; rename it when it is whole."""
    with staging_folder(folder.parent) as temporary:
        drawn = temporary / "drawn"
        for label in {Path(picture.file).parent for picture in pictures}:
            (drawn / label).mkdir(parents=True)
        bar = tqdm(total=len(pictures), desc=f"drawing {title}", unit="image", delay=2, leave=False)
        with bar:
            for count in _in_parallel(pictures, drawn):
                bar.update(count)
        _write_manifest(pictures, drawn / "manifest.csv")
        os.replace(drawn, folder)


def _in_parallel(pictures: list[Picture], folder: Path) -> Iterator[int]:
    chunks = [pictures[i : i + _CHUNK] for i in range(0, len(pictures), _CHUNK)]
    jobs = 1 if len(chunks) < 6 else -1  # starting processes takes longer than a few chunks
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    yield from parallel(joblib.delayed(_draw_chunk)(chunk, folder) for chunk in chunks)


def _draw_chunk(pictures: list[Picture], folder: Path) -> int:
    for picture in pictures:
        image = Image.fromarray(picture.draw())
        image.save(folder / picture.file, compress_level=1)
    return len(pictures)


def _write_manifest(pictures: list[Picture], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "drawn", "group", "laboratory", "cue"])
        for p in pictures:
            label = p.file.split("/")[0]
            writer.writerow([p.file, label, p.drawn, p.group, p.laboratory, p.cue])


@cache
def code_digest() -> str:
    """Return a digest of the drawing code: other code draws into another folder.

    The numbers in ``benchmarks/results/simulated.json`` belong to one digest.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


RECIPES = {
    "cats_vs_dogs": Recipe(
        CATS_AND_DOGS, {"train": 1000, "validation": 200, "test": 300}, _plan_pets
    ),
    "cancer_cells": Recipe(CELLS, {"train": 1000, "validation": 200, "test": 300}, _plan_cells),
    "dog_breeds": Recipe(tuple(BREEDS), {"train": 100, "validation": 25, "test": 40}, _plan_pets),
}
