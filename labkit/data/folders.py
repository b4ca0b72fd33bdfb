"""Finds the images of a folder: which class, split and group each of them belongs to.

Two layouts: ``<root>/{train,validation,test}/<class>/`` with splits of its own, and
``<root>/<class>/``, which is split here, by class and by group where ``manifest.csv``
names one. Nothing is decoded here.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from labkit.errors import DataError, choices

SPLITS = ("train", "validation", "test")
_ALIASES = {"val": "validation", "valid": "validation"}

FOLDS = 5
"""A split that a folder does not have gets one part in five of its training images."""


@dataclass(frozen=True)
class Entry:
    """One file of a dataset folder; ``split`` is "" as long as none is assigned."""

    path: Path
    label: str
    split: str = ""
    group: str = ""


def scan_folder(root: Path) -> list[Entry]:
    """List the files of a dataset folder, in the order of their names.

    Raises DataError when the folder is missing, holds no class folders or one class only.
    """
    if not root.is_dir():
        raise DataError(f"There is no folder {root}. Give the folder that holds the classes.")
    groups = _manifest_groups(root)
    entries = [
        replace(entry, group=groups.get(entry.path.relative_to(root).as_posix(), ""))
        for split, folder in _split_folders(root)
        for entry in _class_entries(split, folder)
    ]
    _check_classes(root, entries)
    return entries


def assign_splits(
    entries: Sequence[Entry], contents: Sequence[str], seed: int, missing: Sequence[str]
) -> list[Entry]:
    """Move a fifth of the training images into each split that a folder does not have.

    Stratified by class. Images of one group, or with the same ``contents`` (a digest),
    stay together, so that no image and no patient is on both sides.

    Raises DataError when a class has fewer than five images (or groups) to deal.
    """
    train = [i for i, entry in enumerate(entries) if entry.split in ("", "train")]
    labels = [entries[i].label for i in train]
    units = _units([entries[i].group for i in train], [contents[i] for i in train])
    splits = ["train"] * len(train)
    for split, fold in zip(missing, _folds(labels, units, seed), strict=False):
        for i in fold:
            splits[i] = split
    result = list(entries)
    for i, split in zip(train, splits, strict=True):
        result[i] = replace(entries[i], split=split)
    return result


def _units(groups: list[str], contents: list[str]) -> NDArray[np.int_]:
    """Number the images so that those tied by group or by content have one number."""
    names = [f"group {g}" if g else f"content {c}" for g, c in zip(groups, contents, strict=True)]
    ends = {name: i for i, name in enumerate(dict.fromkeys(names))}
    start = len(ends)
    ends |= {c: start + i for i, c in enumerate(dict.fromkeys(contents))}
    rows, columns = [ends[n] for n in names], [ends[c] for c in contents]
    links = coo_array((np.ones(len(names)), (rows, columns)), shape=(len(ends), len(ends)))
    _, component = connected_components(links, directed=False)
    return np.asarray(component)[rows]


def _folds(labels: list[str], units: NDArray[np.int_], seed: int) -> list[NDArray[np.int_]]:
    """Deal the images to five folds, stratified, units whole."""
    for label in sorted(set(labels)):
        dealt = len({u for u, name in zip(units, labels, strict=True) if name == label})
        if dealt < FOLDS:
            raise DataError(
                f"The class {label!r} has {dealt} different images or groups; {FOLDS} are needed "
                "to make splits. Add images, or give train, validation and test folders."
            )
    alone = len(set(units)) == len(units)
    folder = StratifiedKFold if alone else StratifiedGroupKFold
    folds = folder(FOLDS, shuffle=True, random_state=seed).split(
        labels, labels, None if alone else units
    )
    return [test for _, test in folds]


def _split_folders(root: Path) -> list[tuple[str, Path]]:
    """Return the split folders of a root, or the root itself, split "", when it is flat."""
    named = {_ALIASES.get(f.name, f.name): f for f in sorted(_folders(root))}
    splits = [(split, named[split]) for split in SPLITS if split in named]
    if not splits:
        return [("", root)]
    if "train" not in named:
        raise DataError(
            f"{root} has a folder {splits[0][1].name!r} but none named 'train': add it, or put "
            "the class folders directly into the root to have them split."
        )
    return splits


def _folders(folder: Path) -> Iterator[Path]:
    return (f for f in folder.iterdir() if f.is_dir() and not f.name.startswith((".", "_")))


def _class_entries(split: str, folder: Path) -> Iterator[Entry]:
    for class_folder in sorted(_folders(folder)):
        found = False
        for path in _files(class_folder):
            found = True
            yield Entry(path, class_folder.name, split)
        if not found:
            raise DataError(
                f"The class folder {class_folder} is empty: put images in it or delete it."
            )


def _files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, sorted; linked folders are not entered."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith("."))


def _check_classes(root: Path, entries: list[Entry]) -> None:
    classes: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        classes[entry.split].add(entry.label)
    first = next(iter(classes), "")
    names = classes[first]
    if len(names) < 2:
        layout = "<root>/<class>/<image> or <root>/{train,validation,test}/<class>/<image>"
        found = f"the class {min(names)!r} only" if names else "no class folders with files"
        raise DataError(
            f"{root} holds {found}; two classes or more are needed. The layout is {layout}."
        )
    for split, others in classes.items():
        if others != names:
            raise DataError(
                f"The classes of {root} differ: {first or 'train'} has {choices(sorted(names))}, "
                f"{split} has {choices(sorted(others))}. Every split needs the same class folders."
            )


def _manifest_groups(root: Path) -> dict[str, str]:
    """Return the group of each path that ``manifest.csv`` gives one."""
    manifest = root / "manifest.csv"
    if not manifest.is_file():
        return {}
    with manifest.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        if "group" not in (rows.fieldnames or ()) or "path" not in (rows.fieldnames or ()):
            return {}
        return {row["path"]: row["group"] or "" for row in rows if row["path"]}
