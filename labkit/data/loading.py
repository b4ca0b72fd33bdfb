"""Loads a dataset by its name or folder: the real images if there are any, else drawn ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from labkit.data.cards import DatasetCard, load_card
from labkit.data.dataset import Dataset, Source, Split
from labkit.data.folders import SPLITS, Entry, assign_splits, scan_folder
from labkit.data.pixels import PixelStore, Problem, open_store
from labkit.data.simulated.dials import Dials
from labkit.data.simulated.writing import RECIPES, draw_split
from labkit.errors import DataError, choices
from labkit.paths import cache_folder, real_data_folder

Wanted = Literal["auto", "real", "simulated"]


def load_dataset(
    name_or_folder: str | Path,
    *,
    image_size: int = 128,
    per_class: int | None = None,
    seed: int = 0,
    source: Wanted = "auto",
    dials: Dials | None = None,
) -> Dataset:
    """Load a dataset, ready to train on; nothing is ever downloaded.

    Args:
        name_or_folder: "cats_vs_dogs", "cancer_cells", "dog_breeds", or a folder of images:
            ``<folder>/{train,validation,test}/<class>/`` or ``<folder>/<class>/``.
        image_size: side in pixels; the centre square of each image is scaled to it.
        per_class: training images a class, a random choice; None: all. Validation and test
            split stay whole.
        seed: which images are chosen, and how a folder without splits is split.
        source: "real" (LABKIT_DATA, then the cache), "simulated" (drawn), or "auto": real
            images where there are any, else drawn ones.
        dials: how simulated images are drawn; see labkit.data.simulated.dials.

    Returns:
        The dataset. Files that are no good images are left out and listed in ``problems``.

    Raises:
        DataError: there are no such images, or they cannot be trained on as they are.
    """
    _check(image_size, per_class, source)
    name = str(name_or_folder)
    if isinstance(name_or_folder, str) and name in RECIPES:
        folder = None if source == "simulated" else real_folder(name)
        if source == "real":
            folder = need_real_folder(name)
        card = load_card(name)
    else:
        folder, card = _own_folder(name_or_folder, source), None
    if folder is None:
        entries = _simulated_entries(name, per_class, dials or Dials())
        return _assemble(name, entries, image_size, per_class, seed, "simulated", card)
    return _assemble(name, scan_folder(folder), image_size, per_class, seed, "real", card)


def real_folder(name: str) -> Path | None:
    """Return where the real images of a dataset are: LABKIT_DATA first, then the cache."""
    places = [real_data_folder(), cache_folder("datasets")]
    return next((p / name for p in places if p is not None and (p / name).is_dir()), None)


def need_real_folder(name: str) -> Path:
    """Return where the real images of a dataset are; DataError when there are none."""
    folder = real_folder(name)
    if folder is None:
        raise DataError(
            f"There is no real copy of {name!r} here: set LABKIT_DATA to a folder that has "
            f"{name}/, or run 'labkit data fetch {name}' or 'labkit data unpack'. Without real "
            "images, source='simulated' draws some."
        )
    return folder


def _check(image_size: int, per_class: int | None, source: str) -> None:
    if not isinstance(image_size, int) or not 16 <= image_size <= 1024:
        raise DataError(f"image_size is a whole number from 16 to 1024. Received: {image_size!r}.")
    if per_class is not None and (not isinstance(per_class, int) or per_class < 1):
        raise DataError(f"per_class is a whole number from 1 up. Received: {per_class!r}.")
    if source not in get_args(Wanted):
        raise DataError(f"source is one of {choices(get_args(Wanted))}. Received: {source!r}.")


def _own_folder(name_or_folder: str | Path, source: str) -> Path:
    folder = Path(name_or_folder).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"{str(name_or_folder)!r} is neither a folder nor a dataset. The datasets are "
            f"{choices(RECIPES)}."
        )
    if source == "simulated":
        raise DataError(f"A folder of one's own has no simulated form. Received: {folder}.")
    return folder.resolve()


def _simulated_entries(name: str, per_class: int | None, dials: Dials) -> list[Entry]:
    """Draw the three splits; the training split as large as is asked, in few sizes."""
    usual = RECIPES[name].per_class["train"]
    wanted = per_class or usual
    sizes = (usual // 10, usual // 2, -(-wanted // usual) * usual)
    size = next(size for size in sizes if size >= wanted)
    entries = []
    for split in SPLITS:
        folder = draw_split(name, split, per_class=size if split == "train" else None, dials=dials)
        entries += [replace(entry, split=split) for entry in scan_folder(folder)]
    return entries


def _assemble(
    name: str,
    entries: list[Entry],
    image_size: int,
    per_class: int | None,
    seed: int,
    source: Source,
    card: DatasetCard | None,
) -> Dataset:
    """Decode the files, leave out the bad ones, and make the splits."""
    store = open_store([e.path for e in entries], image_size, name=Path(name).name)
    good = [entry for entry in entries if entry.path in store.row]
    classes = tuple(sorted({entry.label for entry in entries}))
    _check_readable(entries, good, classes, store.problems)
    missing = [s for s in ("test", "validation") if s not in {e.split for e in entries}]
    if missing:
        contents = [store.digests[store.row[entry.path]] for entry in good]
        good = assign_splits(good, contents, seed, missing)
    splits = {s: _split(s, [e for e in good if e.split == s], classes, store) for s in SPLITS}
    _check_apart(splits)
    if per_class is not None:
        splits["train"] = splits["train"].take(per_class, seed=seed)
    return Dataset(
        name=name, classes=classes, source=source, card=card, problems=store.problems, **splits
    )


def _split(name: str, entries: list[Entry], classes: tuple[str, ...], store: PixelStore) -> Split:
    number = {label: i for i, label in enumerate(classes)}
    return Split(
        name=name,
        labels=np.array([number[e.label] for e in entries], np.int64),
        paths=tuple(e.path for e in entries),
        groups=tuple(e.group for e in entries),
        classes=classes,
        rows=np.array([store.row[e.path] for e in entries], np.int64),
        store=store,
    )


def _check_readable(
    entries: list[Entry], good: list[Entry], classes: tuple[str, ...], problems: tuple[Problem, ...]
) -> None:
    """Raise DataError when a class of a split has lost all its images."""
    have = {(entry.split, entry.label) for entry in good}
    for split in {entry.split for entry in entries}:
        for label in classes:
            if (split, label) not in have:
                where = f"class {label!r}" + (f" of the {split} split" if split else "")
                raise DataError(
                    f"No file of {where} is an image that can be read: {len(problems)} files "
                    f"were left out, the first is {problems[0]}."
                )


def _check_apart(splits: dict[str, Split]) -> None:
    """Raise DataError when one picture is in two splits: the result would be too good."""
    seen: dict[str, tuple[str, Path]] = {}
    shared = []
    for name, split in splits.items():
        for digest, path in zip(split.digests, split.paths, strict=True):
            other, first = seen.setdefault(digest, (name, path))
            if other != name:
                shared.append(f"{first} ({other}) and {path} ({name})")
    if shared:
        raise DataError(
            f"The splits overlap: {len(shared)} images are in two of them, the first pair is "
            f"{shared[0]}. Delete one of each; 'labkit data check' lists them all."
        )
