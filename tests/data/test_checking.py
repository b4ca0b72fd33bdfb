"""``check_folder``: sound folders pass, and each planted fault is reported, exactly that one."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rich
from PIL import Image, ImageEnhance, ImageOps

from labkit.data import checking
from labkit.data.checking import NEAR, SEVERITY, FolderCheck, check_folder, perceptual_hashes
from labkit.errors import DataError

SPLITS = ("train", "validation", "test")
Told = set[tuple[str, str, tuple[str, ...]]]


def picture(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """Return a smooth picture that looks like no other seed's."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def save(path: Path, image: Image.Image, form: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, form or None)
    return path


def huge_png(side: int) -> bytes:
    """Return a sound PNG of side x side black pixels, one bit each, in a few hundred kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer, rows = zlib.compressobj(1), []
    for _ in range(side // 1000):
        rows.append(packer.compress(bytes((side // 8 + 2) * 1000)))
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    data = b"".join(rows) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three splits, cats and dogs, four images each; no two alike."""
    seed = 0
    for split in SPLITS:
        for label in ("cat", "dog"):
            for number in range(4):
                seed += 1
                save(tmp_path / "pets" / split / label / f"{number}.jpg", picture(seed))
    return tmp_path / "pets"


@pytest.fixture
def flat(root: Path) -> Path:
    return root / "train"


def check(root: Path) -> FolderCheck:
    return check_folder(root, progress=False)


def told(found: FolderCheck) -> Told:
    return {(finding.severity, finding.kind, finding.paths) for finding in found.findings}


def write_manifest(root: Path, **change: Callable[[str], str]) -> list[dict[str, str]]:
    """List all images with right checksums; ``change`` maps a path to another cell's text."""
    rows = []
    for path in sorted(root.rglob("*.jpg")):
        name = path.relative_to(root).as_posix()
        split, label, _ = name.split("/")
        row = {
            "path": name,
            "label": label,
            "split": split,
            "group": f"{split}-{label}",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        rows.append(row | {column: new(name) or row[column] for column, new in change.items()})
    with (root / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def test_a_sound_folder_has_no_findings(root: Path) -> None:
    found = check(root)
    assert found.findings == ()
    assert found.ok
    assert found.counts == {split: {"cat": 4, "dog": 4} for split in SPLITS}
    assert found.sizes == checking.Sizes((96, 96, 96), (80, 80, 80))
    assert found.table.loc["total", "total"] == 24
    assert list(found.table.columns) == [*SPLITS, "total"]


def test_a_sound_manifest_has_no_findings(root: Path) -> None:
    write_manifest(root)
    (root / "README.md").write_text("about")
    assert check(root).findings == ()


def test_a_flat_folder_says_that_splits_will_be_drawn(flat: Path) -> None:
    found = check(flat)
    assert told(found) == {("info", "no-splits", ())}
    assert found.ok
    assert found.counts == {"all": {"cat": 4, "dog": 4}}


def test_short_names_of_validation_are_known(root: Path) -> None:
    (root / "validation").rename(root / "val")
    found = check(root)
    assert found.findings == ()
    assert list(found.counts) == list(SPLITS)


# Planted faults. Each changes the folder of ``root`` and says what has to be reported.


def truncated(root: Path) -> Told:
    path = root / "train/cat/0.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return {("error", "damaged", ("train/cat/0.jpg",))}


def truncated_png(root: Path) -> Told:
    path = save(root / "test/dog/x.png", picture(900))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return {("error", "damaged", ("test/dog/x.png",))}


def empty_file(root: Path) -> Told:
    (root / "train/cat/0.jpg").write_bytes(b"")
    return {("error", "empty-file", ("train/cat/0.jpg",))}


def text_named_jpg(root: Path) -> Told:
    (root / "train/dog/note.jpg").write_text("Grüße, this is no picture\n")
    return {("error", "not-an-image", ("train/dog/note.jpg",))}


def noise_named_png(root: Path) -> Told:
    (root / "train/dog/noise.png").write_bytes(np.random.default_rng(0).bytes(500))
    return {("error", "not-an-image", ("train/dog/noise.png",))}


def huge(root: Path) -> Told:
    (root / "train/cat/huge.png").write_bytes(huge_png(30_000))
    return {("error", "too-large", ("train/cat/huge.png",))}


def large(root: Path) -> Told:
    """More pixels than labkit reads, but fewer than Pillow refuses to open."""
    (root / "train/cat/large.png").write_bytes(huge_png(8_000))
    return {("error", "too-large", ("train/cat/large.png",))}


def wrong_extension(root: Path) -> Told:
    save(root / "test/cat/x.jpg", picture(901), "PNG")
    return {("warning", "wrong-extension", ("test/cat/x.jpg",))}


def image_named_txt(root: Path) -> Told:
    save(root / "test/cat/x.txt", picture(901), "JPEG")
    return {("warning", "wrong-extension", ("test/cat/x.txt",))}


def stray_text(root: Path) -> Told:
    (root / "test/cat/notes.txt").write_text("to do")
    (root / "test/cat/.hidden").write_text("not looked at")
    (root / "test/cat/Thumbs.db").write_bytes(b"\0")
    return {("warning", "stray", ("test/cat/notes.txt",))}


def stray_images(root: Path) -> Told:
    save(root / "a.jpg", picture(902))
    save(root / "train/b.png", picture(903))
    return {("warning", "stray", ("a.jpg",)), ("warning", "stray", ("train/b.png",))}


def stray_folder(root: Path) -> Told:
    save(root / "backup/cat/1.jpg", picture(904))
    return {("warning", "stray", ("backup/",))}


def copied_across(root: Path) -> Told:
    shutil.copy(root / "train/cat/0.jpg", root / "test/cat/copy.jpg")
    return {("error", "duplicate-across-splits", ("test/cat/copy.jpg", "train/cat/0.jpg"))}


def copied_within(root: Path) -> Told:
    shutil.copy(root / "train/cat/0.jpg", root / "train/cat/copy.jpg")
    return {("warning", "duplicate", ("train/cat/0.jpg", "train/cat/copy.jpg"))}


def copied_to_the_other_class(root: Path) -> Told:
    shutil.copy(root / "train/cat/0.jpg", root / "train/dog/copy.jpg")
    return {("error", "conflicting-labels", ("train/cat/0.jpg", "train/dog/copy.jpg"))}


def copied_to_another_class_and_split(root: Path) -> Told:
    shutil.copy(root / "train/cat/0.jpg", root / "test/dog/copy.jpg")
    paths = ("test/dog/copy.jpg", "train/cat/0.jpg")
    return {("error", "duplicate-across-splits", paths), ("error", "conflicting-labels", paths)}


def saved_again(root: Path) -> Told:
    image = Image.open(root / "train/cat/0.jpg")
    image.resize((70, 58)).save(root / "test/cat/again.jpg", quality=60)
    return {("error", "near-duplicate", ("test/cat/again.jpg", "train/cat/0.jpg"))}


def mirrored(root: Path) -> Told:
    image = ImageOps.mirror(Image.open(root / "train/cat/0.jpg"))
    image.save(root / "validation/cat/turned.png")
    return {("error", "near-duplicate", ("train/cat/0.jpg", "validation/cat/turned.png"))}


def saved_again_within(root: Path) -> Told:
    Image.open(root / "train/cat/0.jpg").save(root / "train/cat/again.png")
    return set()  # augmenting the training split is nobody's fault


def emptied_class(root: Path) -> Told:
    shutil.rmtree(root / "test/dog")
    (root / "test/dog").mkdir()
    return {("error", "empty-class", ("test/dog",))}


def missing_class(root: Path) -> Told:
    shutil.rmtree(root / "validation/dog")
    return {("error", "empty-class", ("validation/dog",))}


def new_empty_class(root: Path) -> Told:
    (root / "train/cow").mkdir()
    return {("error", "empty-class", ("train/cow",))}


def one_class(root: Path) -> Told:
    for split in SPLITS:
        shutil.rmtree(root / split / "dog")
    return {("error", "one-class", ("cat",))}


def no_held_out(root: Path) -> Told:
    shutil.rmtree(root / "validation")
    shutil.rmtree(root / "test")
    return {("info", "no-validation", ()), ("info", "no-test", ())}


def no_train(root: Path) -> Told:
    shutil.rmtree(root / "train")
    return {("error", "empty-split", ("train",))}


def empty_split(root: Path) -> Told:
    shutil.rmtree(root / "test")
    (root / "test").mkdir()
    return {("error", "empty-split", ("test",))}


def unbalanced(root: Path) -> Told:
    for number in range(9):
        save(root / f"train/cat/more{number}.jpg", picture(700 + number))
    return {("warning", "imbalance", ("dog",))}


def broken_link(root: Path) -> Told:
    (root / "train/cat/link.jpg").symlink_to(root / "gone.jpg")
    return {("error", "broken-link", ("train/cat/link.jpg",))}


def link_to_itself(root: Path) -> Told:
    (root / "train/cat/link.jpg").symlink_to("link.jpg")
    return {("error", "broken-link", ("train/cat/link.jpg",))}


def sound_links(root: Path) -> Told:
    save(root.parent / "elsewhere/bird.jpg", picture(905))
    (root / "train/cat/link.jpg").symlink_to(root.parent / "elsewhere/bird.jpg")
    return set()


def link_loops(root: Path) -> Told:
    (root / "train/cat/loop").symlink_to(root)
    (root / "train/loop").symlink_to(root)
    return {("warning", "stray", ("train/cat/loop",)), ("warning", "stray", ("train/loop",))}


def pipe(root: Path) -> Told:
    os.mkfifo(root / "train/cat/pipe.jpg")
    return {("error", "not-an-image", ("train/cat/pipe.jpg",))}


def nested(root: Path) -> Told:
    save(root / "train/cat/more/deep.jpg", picture(906))
    return set()  # the loader reads below the class folder, too


def blank_pictures(root: Path) -> Told:
    save(root / "train/cat/white.png", Image.new("RGB", (50, 50), "white"))
    save(root / "test/cat/grey.png", Image.new("RGB", (50, 50), "grey"))
    return set()  # two blank surfaces are no near duplicates


def group_leak(root: Path) -> Told:
    moved = {"train/cat/0.jpg": "patient7", "test/cat/1.jpg": "patient7"}
    write_manifest(root, group=lambda path: moved.get(path, ""))
    return {("error", "group-leak", ("test/cat/1.jpg", "train/cat/0.jpg"))}


def changed_file(root: Path) -> Told:
    write_manifest(root)
    save(root / "train/cat/0.jpg", picture(907))
    return {("error", "checksum", ("train/cat/0.jpg",))}


def truncated_with_manifest(root: Path) -> Told:
    write_manifest(root)
    return truncated(root)


def other_label(root: Path) -> Told:
    write_manifest(root, label=lambda path: "dog" if path == "train/cat/0.jpg" else "")
    return {("error", "manifest-mismatch", ("train/cat/0.jpg",))}


def renamed(root: Path) -> Told:
    write_manifest(root)
    (root / "train/cat/0.jpg").rename(root / "train/cat/0.png")
    return {
        ("warning", "manifest-missing", ("train/cat/0.jpg",)),
        ("info", "manifest-unlisted", ("train/cat/0.png",)),
        ("warning", "wrong-extension", ("train/cat/0.png",)),
    }


def no_path_column(root: Path) -> Told:
    (root / "manifest.csv").write_text("file,label\na,b\n")
    return {("warning", "manifest-unreadable", ("manifest.csv",))}


def binary_manifest(root: Path) -> Told:
    (root / "manifest.csv").write_bytes(b"path,label\n\xff\xfe\x00")
    return {("warning", "manifest-unreadable", ("manifest.csv",))}


FAULTS: Sequence[Callable[[Path], Told]] = [
    truncated, truncated_png, empty_file, text_named_jpg, noise_named_png, huge, large,
    wrong_extension, image_named_txt, stray_text, stray_images, stray_folder, copied_across,
    copied_within, copied_to_the_other_class, copied_to_another_class_and_split, saved_again,
    mirrored, saved_again_within, emptied_class, missing_class, new_empty_class, one_class,
    no_held_out, no_train, empty_split, unbalanced, broken_link, link_to_itself, sound_links,
    link_loops, pipe, nested, blank_pictures, group_leak, changed_file, truncated_with_manifest,
    other_label, renamed, no_path_column, binary_manifest,
]  # fmt: skip


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_reported_exactly(root: Path, plant: Callable[[Path], Told]) -> None:
    expected = plant(root)
    found = check(root)
    assert told(found) == expected
    assert len(found.findings) == len(expected)
    assert found.ok == all(severity != "error" for severity, _, _ in expected)
    assert all("\n" not in finding.message for finding in found.findings)
    assert all(SEVERITY[f.kind] in (f.severity, "warning") for f in found.findings)


def test_all_faults_at_once(root: Path) -> None:
    write_manifest(root)
    expected: Told = set()
    plants = (text_named_jpg, huge, wrong_extension, copied_across, new_empty_class, empty_file)
    for plant in plants:
        expected |= plant(root)
    # copied_across copies the file that empty_file then empties: the copy stays, unlisted.
    expected = {fault for fault in expected if fault[1] != "duplicate-across-splits"}
    unlisted = ("test/cat/copy.jpg", "test/cat/x.jpg", "train/cat/huge.png", "train/dog/note.jpg")
    expected |= {("info", "manifest-unlisted", unlisted)}
    assert told(check(root)) == expected


def test_without_splits_all_duplicates_count(flat: Path) -> None:
    shutil.copy(flat / "cat/0.jpg", flat / "cat/copy.jpg")
    ImageEnhance.Brightness(Image.open(flat / "dog/1.jpg")).enhance(0.9).save(flat / "dog/b.jpg")
    (flat / "cow").mkdir()
    assert told(check(flat)) == {
        ("info", "no-splits", ()),
        ("warning", "duplicate", ("cat/0.jpg", "cat/copy.jpg")),
        ("warning", "near-duplicate", ("dog/1.jpg", "dog/b.jpg")),
        ("error", "empty-class", ("cow",)),
    }


def test_the_reasons_are_told(root: Path) -> None:
    for plant in (text_named_jpg, huge, truncated, wrong_extension):
        plant(root)
    text = str(check(root))
    assert "train/dog/note.jpg is a text file" in text
    assert "train/cat/huge.png has 900,000,000 pixels; at most 50,000,000 are read" in text
    assert "truncated" in text
    assert "test/cat/x.jpg holds a PNG image but is named .jpg" in text
    assert "NOT fit to train on: 3 errors, 1 warning" in text


def test_the_filters_of_warnings_are_left_as_they_were(root: Path) -> None:
    large(root)
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check(root)
    assert caught == []
    assert list(warnings.filters) == before


# What it prints


def test_it_prints_as_tables(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(14):
        (root / f"train/cat/note{number:02}.jpg").write_text("<b>text</b>")
    (root / "train/<i>").mkdir()
    found = check(root)
    text = str(found)
    assert "and 4 more" in text
    assert text.count("is a text file") == 10
    assert "validation" in text
    rich.print(found)
    assert "NOT fit to train on: 15 errors" in capsys.readouterr().out
    html = found._repr_html_()
    assert "<i>" not in html
    assert "the class &lt;i&gt; has no images" in html


# Folders that are none


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "gone", "There is no folder"),
        (lambda root: root / "train/cat/0.jpg", "There is no folder"),
        (lambda root: root / "train/cat", "There are no class folders"),
        (lambda root: root.parent, r"holds datasets, not classes\. Check one at a time: 'pets'"),
    ],
)
def test_what_is_no_dataset(root: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        check(make(root))
    assert "\n" not in str(error.value)


# The perceptual hash


def bits(one: Image.Image, other: Image.Image) -> int:
    some, others = perceptual_hashes(one), perceptual_hashes(other)
    assert some is not None
    assert others is not None
    return int(np.bitwise_count(some[0] ^ others[0]).sum())


def test_near_is_near_and_far_is_far() -> None:
    for seed in range(20):
        image = picture(seed, (160, 120))
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=50)
        assert bits(image, Image.open(stream)) <= checking.SAME
        assert bits(image, image.resize((80, 60))) <= checking.SAME
        assert bits(image, image.crop((2, 2, 158, 118))) <= NEAR
        assert bits(image, picture(seed + 100)) > NEAR


def test_close_pairs_are_those_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.random.default_rng(0)
    hashes = numbers.integers(0, 2**63, (600, 2, 4), dtype=np.uint64)
    planted = {(3, 500), (10, 11), (299, 301), (255, 256)}
    for i, j in planted:
        hashes[j, 0] = hashes[i, 0] ^ np.uint64(0b111)
    hashes[400, 1] = hashes[20, 0]
    splits = np.arange(600) % 2
    found = set(checking._close_pairs(hashes, None, False))
    assert found == {(i, j, 12, False) for i, j in planted} | {(20, 400, 0, True)}
    across = {(i, j) for i, j, _, _ in checking._close_pairs(hashes, splits, False)}
    assert across == {(i, j) for i, j in planted if i % 2 != j % 2}


# The real images


@pytest.fixture(scope="module", params=["cats_vs_dogs", "cancer_cells"])
def real(request: pytest.FixtureRequest) -> Path:
    if not os.environ.get("LABKIT_DATA"):
        pytest.skip("LABKIT_DATA is not set: the real images are not here")
    return Path(os.environ["LABKIT_DATA"]) / request.param


@pytest.mark.slow
@pytest.mark.real_images
def test_the_real_folder_passes(real: Path) -> None:
    found = check(real)
    assert found.ok
    assert found.findings == ()
    assert (
        found.table.loc["total", "total"] == {"cats_vs_dogs": 6000, "cancer_cells": 3328}[real.name]
    )


@pytest.mark.real_images
def test_faults_planted_in_a_copy_are_reported_exactly(real: Path, tmp_path: Path) -> None:
    with (real / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    copy = tmp_path / "copy"
    kept: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        some = kept.setdefault((row["split"], row["label"]), [])
        if len(some) < 20:
            some.append(row["path"])
            (copy / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(real / row["path"], copy / row["path"])
    assert check(copy).findings == ()
    (_, first), (_, second) = [key for key in kept if key[0] == "train"]
    paths = {split: kept[split, first] for split in SPLITS}
    cut, copied, renamed_file = paths["train"][:3]
    (copy / cut).write_bytes((copy / cut).read_bytes()[:1500])
    twin = f"test/{first}/twin{Path(copied).suffix}"
    shutil.copyfile(copy / copied, copy / twin)
    other = ".png" if renamed_file.endswith(".jpg") else ".jpg"
    named = Path(renamed_file).with_suffix(other).as_posix()
    (copy / renamed_file).rename(copy / named)
    (copy / f"train/{second}/note.jpg").write_text("no picture")
    (copy / f"test/{second}/huge.png").write_bytes(huge_png(30_000))
    (copy / "train/zebra").mkdir()
    image = Image.open(copy / paths["train"][5]).convert("RGB")
    again = f"validation/{first}/again.jpg"
    image.resize((image.width * 3 // 4, image.height * 3 // 4)).save(copy / again, quality=70)
    assert told(check(copy)) == {
        ("error", "damaged", (cut,)),
        ("error", "duplicate-across-splits", tuple(sorted((twin, copied)))),
        ("error", "near-duplicate", tuple(sorted((again, paths["train"][5])))),
        ("error", "not-an-image", (f"train/{second}/note.jpg",)),
        ("error", "too-large", (f"test/{second}/huge.png",)),
        ("error", "empty-class", ("train/zebra",)),
        ("warning", "wrong-extension", (named,)),
    }
