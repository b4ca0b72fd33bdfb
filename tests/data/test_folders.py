"""Folders of images: layouts, splits that keep together what belongs together, refusals."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from labkit.data.folders import Entry, assign_splits, scan_folder
from labkit.errors import DataError


def lay(root: Path, *files: str) -> Path:
    """Make empty files; what is in them is not looked at here."""
    for name in files:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def scanned(root: Path) -> list[tuple[str, str, str]]:
    return [(e.path.relative_to(root).as_posix(), e.label, e.split) for e in scan_folder(root)]


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as error:
        scan_folder(root)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_splits_of_its_own(tmp_path: Path) -> None:
    root = lay(tmp_path, "train/dog/2.jpg", "train/cat/1.jpg", "test/cat/3.jpg", "test/dog/4.jpg")
    assert scanned(root) == [
        ("train/cat/1.jpg", "cat", "train"),
        ("train/dog/2.jpg", "dog", "train"),
        ("test/cat/3.jpg", "cat", "test"),
        ("test/dog/4.jpg", "dog", "test"),
    ]


@pytest.mark.parametrize("alias", ["validation", "val", "valid"])
def test_names_of_the_validation_split(tmp_path: Path, alias: str) -> None:
    root = lay(tmp_path, *(f"{s}/{c}/1.jpg" for s in ("train", alias) for c in ("a", "b")))
    assert {split for _, _, split in scanned(root)} == {"train", "validation"}


def test_a_flat_folder(tmp_path: Path) -> None:
    root = lay(tmp_path, "b/1.jpg", "a/2.jpg", "a/deeper/3.jpg", "notes.txt")
    assert scanned(root) == [
        ("a/2.jpg", "a", ""), ("a/deeper/3.jpg", "a", ""), ("b/1.jpg", "b", "")
    ]  # fmt: skip


def test_hidden_things_are_passed_over(tmp_path: Path) -> None:
    root = lay(tmp_path, "a/1.jpg", "b/1.jpg", ".git/x", "_old/x.jpg", "a/.DS_Store", "a/.t/x.jpg")
    assert [path for path, _, _ in scanned(root)] == ["a/1.jpg", "b/1.jpg"]


def test_a_link_to_a_folder_above_does_not_go_round(tmp_path: Path) -> None:
    root = lay(tmp_path, "a/1.jpg", "b/1.jpg")
    (root / "a" / "loop").symlink_to(root)
    assert [path for path, _, _ in scanned(root)] == ["a/1.jpg", "b/1.jpg"]


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    assert "There is no folder" in refusal(tmp_path / "nothing")
    assert "no class folders" in refusal(lay(tmp_path / "none", "1.jpg"))
    one = refusal(lay(tmp_path / "one", "cat/1.jpg"))
    assert "the class 'cat' only; two classes or more" in one
    assert "<root>/<class>/<image>" in one
    root = lay(tmp_path / "empty", "a/1.jpg", "b/1.jpg")
    (root / "c").mkdir()
    assert "empty/c is empty: put images in it or delete it" in refusal(root)
    lost = refusal(lay(tmp_path / "lost", "test/a/1.jpg", "test/b/1.jpg"))
    assert "none named 'train'" in lost
    root = lay(tmp_path / "differ", "train/a/1", "train/b/1", "test/a/1", "test/c/1")
    assert "train has 'a', 'b', test has 'a', 'c'" in refusal(root)


def test_a_manifest_names_groups(tmp_path: Path) -> None:
    root = lay(tmp_path, "a/1.jpg", "b/2.jpg", "b/3.jpg")
    (root / "manifest.csv").write_text(
        "\ufeffpath,label,group\na/1.jpg,a,p1\nb/2.jpg,b,\n", "utf-8"
    )
    assert [e.group for e in scan_folder(root)] == ["p1", "", ""]


@pytest.mark.parametrize("text", ["", "path,label\na/1.jpg,a\n", "group\np1\n", "\n\n"])
def test_a_manifest_without_groups_is_no_obstacle(tmp_path: Path, text: str) -> None:
    root = lay(tmp_path, "a/1.jpg", "b/2.jpg")
    (root / "manifest.csv").write_text(text)
    assert [e.group for e in scan_folder(root)] == ["", ""]


# Making splits


def entries(n: int, groups: list[str] | None = None) -> list[Entry]:
    groups = groups or [""] * n
    return [Entry(Path(f"{i}.jpg"), "ab"[i % 2], "", g) for i, g in enumerate(groups)]


BOTH = ("test", "validation")


@pytest.mark.filterwarnings("error")
def test_splits_are_stratified() -> None:
    dealt = assign_splits(entries(200), [str(i) for i in range(200)], 0, BOTH)
    assert Counter((e.split, e.label) for e in dealt) == {
        ("train", "a"): 60, ("train", "b"): 60, ("validation", "a"): 20, ("validation", "b"): 20,
        ("test", "a"): 20, ("test", "b"): 20,
    }  # fmt: skip
    assert [e.path for e in dealt] == [e.path for e in entries(200)]


def test_the_seed_decides() -> None:
    contents = [str(i) for i in range(100)]
    first = assign_splits(entries(100), contents, 1, BOTH)
    assert first == assign_splits(entries(100), contents, 1, BOTH)
    assert first != assign_splits(entries(100), contents, 2, BOTH)


def test_only_missing_splits_are_made() -> None:
    given_ones = [Entry(Path(f"t{i}.jpg"), "ab"[i % 2], "test") for i in range(10)]
    train = [Entry(Path(f"{i}.jpg"), "ab"[i % 2], "train") for i in range(50)]
    dealt = assign_splits(given_ones + train, [str(i) for i in range(60)], 0, ["validation"])
    assert dealt[:10] == given_ones
    assert Counter(e.split for e in dealt) == {"train": 40, "validation": 10, "test": 10}


@settings(max_examples=40, deadline=None)
@given(
    groups=st.lists(st.integers(0, 25).map(lambda g: f"p{g}" if g < 20 else ""), min_size=120,
                    max_size=160),
    copies=st.integers(0, 20),
    seed=st.integers(0, 5),
)  # fmt: skip
def test_groups_and_copies_are_never_cut(groups: list[str], copies: int, seed: int) -> None:
    contents = [f"c{i % (len(groups) - copies)}" for i in range(len(groups))]
    try:
        dealt = assign_splits(entries(len(groups), groups), contents, seed, BOTH)
    except DataError:  # so many ties that a class has fewer than five units
        assume(False)
    for key in (lambda i: groups[i] or f"alone {i}", lambda i: contents[i]):
        where: dict[str, set[str]] = {}
        for i, entry in enumerate(dealt):
            where.setdefault(key(i), set()).add(entry.split)
        assert all(len(splits) == 1 for splits in where.values())


def test_too_little_to_split() -> None:
    with pytest.raises(DataError, match="'a' has 4 different images or groups; 5 are needed"):
        assign_splits(entries(8), [str(i) for i in range(8)], 0, BOTH)
    with pytest.raises(DataError, match="'a' has 2 different"):
        assign_splits(
            entries(40, [f"p{i % 4}" for i in range(40)]), [str(i) for i in range(40)], 0, BOTH
        )


def test_paths_do_not_matter_to_the_deal() -> None:
    numbers = np.random.default_rng(0)
    contents = [str(i) for i in numbers.permutation(60)]
    here = assign_splits(entries(60), contents, 0, BOTH)
    moved = [Entry(Path("/elsewhere") / e.path, e.label) for e in entries(60)]
    there = assign_splits(moved, contents, 0, BOTH)
    assert [e.split for e in here] == [e.split for e in there]
