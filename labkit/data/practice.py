"""A small folder of images with planted faults, to practise looking before training."""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image

from labkit.data.dataset import Dataset
from labkit.errors import DataError


def practice_folder(
    dataset: Dataset, folder: Path, *, per_class: int = 20, seed: int = 0
) -> dict[str, str]:
    """Write pictures of a dataset as ``<folder>/{train,test}/<class>/NNN.png`` and plant faults.

    Args:
        dataset: at least two classes; where the pictures are taken from.
        folder: must not exist yet.
        per_class: training pictures a class, at least 4; half as many test pictures.
        seed: which pictures are taken.

    Returns:
        For each kind of fault (see ``labkit.data.checking.SEVERITY``) the file that was added
        to the training split, relative to the folder.

    Raises DataError when the folder exists or the dataset is too small.
    """
    if folder.exists():
        raise DataError(f"{folder} exists: name a folder that can be made anew.")
    for split, count in ((dataset.train, per_class), (dataset.test, per_class // 2)):
        chosen = split.take(count, seed=seed)
        for place, (pixels, label) in enumerate(zip(chosen.read(), chosen.labels, strict=True)):
            file = folder / split.name / split.classes[label] / f"{place % count:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    return _plant(folder, *dataset.classes[:2])


def _plant(folder: Path, first: str, second: str) -> dict[str, str]:
    """Add one file of each fault; return where."""
    planted = {
        "empty-file": f"train/{first}/empty.png",
        "not-an-image": f"train/{second}/notes.jpg",
        "damaged": f"train/{first}/cut.png",
        "duplicate-across-splits": f"train/{first}/copy.png",
        "near-duplicate": f"train/{second}/again.jpg",
        "conflicting-labels": f"train/{second}/same.png",
    }
    place = {kind: folder / path for kind, path in planted.items()}
    place["empty-file"].touch()
    place["not-an-image"].write_text("Ask the laboratory for the missing pictures.\n")
    whole = (folder / "train" / first / "001.png").read_bytes()
    place["damaged"].write_bytes(whole[: len(whole) // 2])
    shutil.copy(folder / "test" / first / "000.png", place["duplicate-across-splits"])
    with Image.open(folder / "test" / second / "000.png") as picture:
        picture.save(place["near-duplicate"], quality=98, subsampling=0)
    shutil.copy(folder / "train" / first / "002.png", place["conflicting-labels"])
    return planted
