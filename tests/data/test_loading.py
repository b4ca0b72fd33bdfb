"""Loading by name or folder: what comes, what is left out, what is refused and how."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import labkit
from labkit.data.simulated import writing
from labkit.errors import LabkitError

DrawFolder = Callable[..., Path]


def load(root: Path, **options: Any) -> Any:
    return labkit.load_dataset(root, **{"image_size": 32, **options})


def refusal(root: object, **options: Any) -> str:
    with pytest.raises(LabkitError) as error:
        labkit.load_dataset(root, **{"image_size": 32, **options})  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def root(tmp_path: Path, tiny_folder: Path, own_cache: Path) -> Path:
    """A copy of tiny_folder that a test may spoil."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "mine"))


@pytest.fixture
def flat(tmp_path: Path, draw_folder: DrawFolder, own_cache: Path) -> Path:
    return draw_folder(tmp_path / "flat", {"cat": 25, "dog": 25})


def paths(dataset: Any) -> dict[str, set[Path]]:
    return {s: set(getattr(dataset, s).paths) for s in ("train", "validation", "test")}


# Layouts


def test_a_folder_with_splits(root: Path) -> None:
    dataset = load(root)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [80, 24, 40]
    assert load(str(root)).title == f"{root} (real images)"


def test_the_alias_val(root: Path) -> None:
    (root / "validation").rename(root / "val")
    assert len(load(root).validation) == 24


def test_a_missing_validation_split_is_made_from_training_images(root: Path) -> None:
    shutil.rmtree(root / "validation")
    dataset = load(root)
    assert [len(s) for s in (dataset.train, dataset.validation, dataset.test)] == [64, 16, 40]
    assert {p.parts[-3] for p in dataset.validation.paths} == {"train"}


def test_a_flat_folder_is_split(flat: Path) -> None:
    dataset = load(flat)
    assert dataset.test.counts() == dataset.validation.counts() == {"cat": 5, "dog": 5}
    assert len(set().union(*paths(dataset).values())) == 50
    assert paths(dataset) == paths(load(flat, seed=0))
    assert paths(dataset) != paths(load(flat, seed=1))


def test_groups_of_the_manifest_are_never_cut(flat: Path) -> None:
    files = sorted(p.relative_to(flat).as_posix() for p in flat.rglob("*.png"))
    lines = [f"{file},patient{i // 4}\n" for i, file in enumerate(files)]
    (flat / "manifest.csv").write_text("path,group\n" + "".join(lines))
    dataset = load(flat)
    groups = [set(s.groups) for s in (dataset.train, dataset.validation, dataset.test)]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 13


def test_copies_of_a_picture_stay_on_one_side(flat: Path) -> None:
    for number in range(25):
        for copy in "ab":
            shutil.copy(flat / f"cat/{number:03d}.png", flat / f"cat/copy-{copy}-{number}.png")
    dataset = load(flat)
    digests = [set(s.digests) for s in (dataset.train, dataset.validation, dataset.test)]
    assert sum(map(len, digests)) == len(set().union(*digests)) == 50
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 100


# Files that are no images


def test_bad_files_are_left_out_and_listed(root: Path) -> None:
    place = root / "train" / "blue"
    picture = (place / "000.png").read_bytes()
    bad = {
        "cut.png": picture[: len(picture) // 2],
        "empty.jpg": b"",
        "letter.jpg": b"Dear Sir or Madam,",
        "notes.txt": b"no picture",
    }
    for name, data in bad.items():
        (place / name).write_bytes(data)
    (place / "dangling.jpg").symlink_to(place / "nothing.jpg")
    names = {*bad, "dangling.jpg"}
    if hasattr(os, "mkfifo"):
        os.mkfifo(place / "pipe.jpg")
        names |= {"pipe.jpg"}
    dataset = load(root)
    assert {problem.path.name for problem in dataset.problems} == names
    assert all(problem.reason for problem in dataset.problems)
    assert len(dataset.train) == 80
    assert f"{len(names)} files" in str(dataset)
    assert f"{len(names)} files" in dataset._repr_html_()


def test_a_class_without_a_readable_image(root: Path) -> None:
    for file in (root / "test" / "red").iterdir():
        file.write_bytes(b"gone")
    message = refusal(root)
    assert "class 'red' of the test split" in message
    assert "20 files were left out" in message


def test_images_of_any_mode_in_one_folder(root: Path) -> None:
    image = Image.open(root / "train/blue/000.png")
    for mode in ("L", "LA", "RGBA", "P", "1", "I;16"):
        image.convert("L" if mode == "I;16" else mode).convert(mode).save(
            root / f"train/blue/mode-{mode.replace(';', '')}.png"
        )
    image.convert("CMYK").save(root / "train/blue/mode-cmyk.jpg")
    dataset = load(root)
    assert dataset.problems == ()
    assert dataset.train.read().shape == (87, 32, 32, 3)


# Refusals


def test_an_empty_class(root: Path) -> None:
    (root / "train" / "green").mkdir()
    assert "green is empty: put images in it or delete it" in refusal(root)


def test_one_class_only(tmp_path: Path, draw_folder: DrawFolder) -> None:
    assert "two classes or more" in refusal(draw_folder(tmp_path / "one", {"cat": 3}))


def test_a_missing_folder(tmp_path: Path) -> None:
    message = refusal(tmp_path / "nothing")
    assert "neither a folder nor a dataset" in message
    assert "'cats_vs_dogs', 'cancer_cells', 'dog_breeds'" in message
    assert "'cats_vs_dog'" in refusal("cats_vs_dog")


def test_a_folder_without_anything(tmp_path: Path) -> None:
    assert "two classes or more are needed" in refusal(tmp_path)


def test_other_classes_in_a_split(root: Path) -> None:
    (root / "test" / "red").rename(root / "test" / "Red")
    assert "Every split needs the same class folders" in refusal(root)


def test_splits_that_overlap(root: Path) -> None:
    shutil.copy(root / "train/red/003.png", root / "test/red/new.png")
    message = refusal(root)
    assert "1 images are in two of them" in message
    assert "train/red/003.png (train)" in message
    assert "test/red/new.png (test)" in message
    assert "Delete one of each" in message


def test_the_same_picture_in_another_format_overlaps_too(root: Path) -> None:
    Image.open(root / "train/red/003.png").save(root / "validation/red/new.bmp")
    assert "The splits overlap" in refusal(root)


@pytest.mark.parametrize("size", [15, 1025, 64.0, "64", None])
def test_image_sizes_out_of_range(tiny_folder: Path, size: object) -> None:
    assert f"from 16 to 1024. Received: {size!r}" in refusal(tiny_folder, image_size=size)


def test_other_arguments_out_of_range(tiny_folder: Path) -> None:
    assert "from 1 up. Received: 0" in refusal(tiny_folder, per_class=0)
    assert "from 1 up. Received: 1.5" in refusal(tiny_folder, per_class=1.5)
    assert "'auto', 'real', 'simulated'" in refusal(tiny_folder, source="web")
    assert "has no simulated form" in refusal(tiny_folder, source="simulated")
    assert "40 images of class 'blue', 41 were asked for" in refusal(tiny_folder, per_class=41)


def test_subsets_by_per_class(tiny_folder: Path) -> None:
    chosen = [load(tiny_folder, per_class=n) for n in (3, 10, 40)]
    assert [d.train.counts() for d in chosen] == [{"blue": n, "red": n} for n in (3, 10, 40)]
    sets = [set(d.train.paths) for d in chosen]
    assert sets[0] < sets[1] < sets[2]
    assert {len(d.test) for d in chosen} == {40}
    assert set(load(tiny_folder, per_class=3, seed=1).train.paths) != sets[0]


# By name


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> list[int]:
    """Make the simulated cats and dogs few; return the numbers drawn in each go."""
    recipe = writing.RECIPES["cats_vs_dogs"]
    sizes = {"train": 20, "validation": 5, "test": 6}
    monkeypatch.setitem(writing.RECIPES, "cats_vs_dogs", replace(recipe, per_class=sizes))
    drawn: list[int] = []
    draw = writing._draw_chunk

    def count(pictures: Any, folder: Path) -> int:
        drawn.append(len(pictures))
        return draw(pictures, folder)

    monkeypatch.setattr(writing, "_draw_chunk", count)
    return drawn


def test_a_simulated_dataset_is_drawn_once(few: list[int]) -> None:
    first = labkit.load_dataset("cats_vs_dogs", image_size=32, per_class=2, source="simulated")
    assert sum(few) == 2 * (2 + 5 + 6)
    again = labkit.load_dataset("cats_vs_dogs", image_size=32, per_class=2, source="simulated")
    assert sum(few) == 2 * (2 + 5 + 6)
    assert first.train.digests == again.train.digests
    assert (first.source, len(first.train), len(first.test)) == ("simulated", 4, 12)
    assert first.card is not None
    assert first.title == "cats_vs_dogs (simulated images)"


@pytest.mark.parametrize(("wanted", "drawn"), [(2, 2), (3, 10), (10, 10), (11, 20), (21, 40)])
def test_not_many_more_are_drawn_than_are_asked_for(
    few: list[int], wanted: int, drawn: int
) -> None:
    """Drawing takes longer than some of the experiments, and each size is drawn once."""
    labkit.load_dataset("cats_vs_dogs", image_size=32, per_class=wanted, source="simulated")
    assert sum(few) == 2 * (drawn + 5 + 6)


def test_a_dataset_keeps_its_pixels_when_another_size_is_loaded(few: list[int]) -> None:
    """The lesson's loop over numbers of labels holds several at a time."""
    small = labkit.load_dataset("cats_vs_dogs", image_size=32, per_class=2, source="simulated")
    before = small.test.read()
    large = labkit.load_dataset("cats_vs_dogs", image_size=32, per_class=9, source="simulated")
    np.testing.assert_array_equal(small.test.read(), before)
    np.testing.assert_array_equal(large.test.read(), before)  # the test split is one and the same


def test_dials_draw_other_pictures(few: list[int]) -> None:
    def draw(**dials: float) -> Any:
        return labkit.load_dataset(
            "cats_vs_dogs", image_size=32, per_class=2, source="simulated",
            dials=labkit.Dials(**dials),
        )  # fmt: skip

    assert draw(difficulty=0.1).test.digests != draw(difficulty=0.9).test.digests


def test_auto_draws_where_there_are_no_real_images(few: list[int]) -> None:
    assert labkit.load_dataset("cats_vs_dogs", image_size=32, per_class=2).source == "simulated"


def test_without_a_real_copy(own_cache: Path) -> None:
    message = refusal("cats_vs_dogs", source="real")
    for part in ("no real copy of 'cats_vs_dogs'", "LABKIT_DATA", "labkit data fetch", "simulated"):
        assert part in message


@pytest.mark.parametrize("place", ["LABKIT_DATA", "cache"])
def test_a_real_copy_is_found(
    place: str, tmp_path: Path, own_cache: Path, draw_folder: DrawFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    home = tmp_path / "real" if place == "LABKIT_DATA" else own_cache / "datasets"
    draw_folder(home / "cats_vs_dogs", {"cat": 10, "dog": 10})
    if place == "LABKIT_DATA":
        monkeypatch.setenv("LABKIT_DATA", str(home))
    dataset = labkit.load_dataset("cats_vs_dogs", image_size=32)
    assert (dataset.source, dataset.classes) == ("real", ("cat", "dog"))
    assert {p.parents[1] for p in dataset.train.paths} == {home / "cats_vs_dogs"}


def test_labkit_data_comes_before_the_cache(
    tmp_path: Path, own_cache: Path, draw_folder: DrawFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_folder(own_cache / "datasets" / "cats_vs_dogs", {"cat": 10, "dog": 10})
    draw_folder(tmp_path / "real" / "cats_vs_dogs", {"cat": 15, "dog": 15})
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "real"))
    dataset = labkit.load_dataset("cats_vs_dogs", image_size=32)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 30


def test_labkit_data_that_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "nothing"))
    assert "which is not a folder" in refusal("cats_vs_dogs")


def test_a_name_is_a_dataset_even_beside_a_folder_of_that_name(
    few: list[int], tmp_path: Path, draw_folder: DrawFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_folder(tmp_path / "cats_vs_dogs", {"a": 10, "b": 10})
    monkeypatch.chdir(tmp_path)
    named = labkit.load_dataset("cats_vs_dogs", image_size=32, per_class=2)
    assert named.classes == ("cat", "dog")
    folder = labkit.load_dataset(Path("cats_vs_dogs"), image_size=32)
    assert folder.classes == ("a", "b")


@pytest.mark.real_images
def test_the_real_cats_and_dogs(real_images: Path) -> None:
    dataset = labkit.load_dataset("cats_vs_dogs", image_size=64, per_class=100)
    assert (dataset.source, dataset.classes, dataset.problems) == ("real", ("cat", "dog"), ())
    assert dataset.test.counts() == dataset.validation.counts() == {"cat": 600, "dog": 600}
