"""Looks at a folder of images before anybody trains on it: ``labkit data check PATH``.

Counts, sizes and balance; files that cannot be read; exact and near duplicates across
splits; group leaks; what the manifest says otherwise. One ``Finding`` for each fault.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import stat
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text
from tqdm.auto import tqdm

from labkit.data.folders import SPLITS
from labkit.data.images import EXTENSIONS, LARGEST, read_image
from labkit.errors import DataError, choices

if TYPE_CHECKING:
    import pandas as pd

NEAR = 48
"""Two pictures whose 256-bit perceptual hashes differ in at most this many bits are near
duplicates. Measured on the course's real sets: no two of the 6,000 photographs differ in
fewer than 80 bits and no two of the 3,328 cells in fewer than 60, mirrored ones included; a
picture saved again, scaled, brightened or without its colours differs from itself in 0 to 28,
one cropped by 2 % a side in 36 (median) to 58."""

SAME = 16
"""Up to this many bits it is the same picture, saved again: across splits an error."""

UNBALANCED = 3.0
"""The largest class of the training split may have this many times the images of the smallest."""

SEVERITY: Mapping[str, str] = {
    "empty-file": "error",
    "not-an-image": "error",
    "damaged": "error",
    "too-large": "error",
    "broken-link": "error",
    "duplicate-across-splits": "error",
    "conflicting-labels": "error",
    "group-leak": "error",
    "empty-class": "error",
    "empty-split": "error",
    "one-class": "error",
    "checksum": "error",
    "manifest-mismatch": "error",
    "manifest-missing": "warning",
    "manifest-unreadable": "warning",
    "near-duplicate": "warning",
    "duplicate": "warning",
    "wrong-extension": "warning",
    "imbalance": "warning",
    "stray": "warning",
    "manifest-unlisted": "info",
    "no-validation": "info",
    "no-test": "info",
    "no-splits": "info",
}
"""Every kind of finding and how bad it is: "error" where training would mislead, "warning"
where somebody should look, "info" where the reader should know. A near duplicate across
splits is an error up to ``SAME`` bits."""

_ALIASES = {"val": "validation", "valid": "validation"}
_FORMATS = {
    "BMP": {".bmp"},
    "DIB": {".bmp"},
    "GIF": {".gif"},
    "JPEG": {".jpg", ".jpeg"},
    "MPO": {".jpg", ".jpeg"},
    "PNG": {".png"},
    "PPM": {".ppm"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
}
_LARGEST_FILE = 500_000_000
_LITTER = frozenset({"thumbs.db", "desktop.ini"})
_SHOWN = 10
_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_LAYOUTS = "<folder>/<class>/<image> or <folder>/{train,validation,test}/<class>/<image>"

Words = NDArray[np.uint64]
"""Perceptual hashes, shape (n, 4): 256 bits each."""


@dataclass(frozen=True)
class Finding:
    """One fault: how bad, of which kind (see SEVERITY), in which files, and a sentence.

    ``paths`` are relative to the folder, with forward slashes, sorted.
    """

    severity: str
    kind: str
    paths: tuple[str, ...]
    message: str

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.severity}: {self.kind}: {self.message}"


@dataclass(frozen=True)
class Sizes:
    """Widths and heights of the readable images, in pixels: (smallest, median, largest)."""

    width: tuple[int, int, int]
    height: tuple[int, int, int]

    def __str__(self) -> str:
        """Return both, as in ``width 100 / 160 / 200 px``."""
        shown = ("{:,} / {:,} / {:,} px".format(*values) for values in (self.width, self.height))
        return "width {}, height {} (smallest / median / largest)".format(*shown)


@dataclass(frozen=True)
class FolderCheck:
    """What ``check_folder`` saw. Prints as tables in a terminal and in a notebook.

    ``counts`` gives readable images by split and class; the split of a folder without
    splits is "all". ``ok`` is False where a finding is an error: training would mislead.
    """

    path: Path
    counts: Mapping[str, Mapping[str, int]]
    sizes: Sizes | None
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """True where no finding is an error."""
        return not any(finding.severity == "error" for finding in self.findings)

    @cached_property
    def table(self) -> pd.DataFrame:
        """The counts: a row a class, a column a split, and totals."""
        import pandas as pd

        table = pd.DataFrame(dict(self.counts)).fillna(0).astype(int)
        table.index.name = "class"
        table["total"] = table.sum(axis=1)
        table.loc["total"] = table.sum()
        return table

    @property
    def verdict(self) -> str:
        """One sentence: whether to train on this folder."""
        number = dict.fromkeys(("error", "warning", "info"), 0)
        for finding in self.findings:
            number[finding.severity] += 1
        errors, warnings = number["error"], number["warning"]
        tail = f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}"
        return f"{'fit' if self.ok else 'NOT fit'} to train on: {tail}"

    def __rich__(self) -> Group:
        """Return the tables in rich's form, for ``rich.print``."""
        counts = Table(title=str(self.path), title_justify="left")
        counts.add_column("class")
        for split in self.table.columns:
            counts.add_column(str(split), justify="right")
        for name, row in self.table.iterrows():
            counts.add_row(str(name), *(f"{number:,}" for number in row), end_section=False)
        lines = [Text(f"{s}: {line}", _STYLES[s]) for s, line in self._lines()]
        size = [Text(str(self.sizes))] if self.sizes else []
        return Group(counts, *size, *lines, Text(self.verdict, "bold"))

    def __str__(self) -> str:
        """Return the tables as plain text."""
        console = Console(file=io.StringIO(), width=200, color_system=None)
        with console.capture() as capture:
            console.print(self)
        return "\n".join(line.rstrip() for line in capture.get().splitlines())

    def _repr_html_(self) -> str:
        items = "".join(
            f"<li><b>{severity}</b>: {escape(line)}</li>" for severity, line in self._lines()
        )
        return (
            f"<p><code>{escape(str(self.path))}</code>: <b>{escape(self.verdict)}</b></p>"
            f"{self.table.to_html()}<p>{escape(str(self.sizes or ''))}</p><ul>{items}</ul>"
        )

    def _lines(self) -> Iterator[tuple[str, str]]:
        """Yield severity and text; of each kind the first ten, then how many more."""
        kinds: dict[tuple[str, str], list[Finding]] = defaultdict(list)
        for finding in self.findings:
            kinds[finding.severity, finding.kind].append(finding)
        for (severity, kind), found in kinds.items():
            yield from ((severity, f"{kind}: {finding.message}") for finding in found[:_SHOWN])
            if len(found) > _SHOWN:
                yield severity, f"{kind}: and {len(found) - _SHOWN:,} more"


@dataclass(frozen=True)
class _File:
    """A file where an image is expected: where it is and what its folders say."""

    path: str
    split: str
    label: str


@dataclass(frozen=True)
class _Seen:
    """What reading a file gave: ``finding`` where it is no good image, else size and hashes."""

    file: _File
    finding: Finding | None = None
    sha256: str = ""
    size: tuple[int, int] | None = None
    hashes: Words | None = None  # (2, 4): the picture's and its mirror image's


def check_folder(path: Path | str, *, progress: bool = True) -> FolderCheck:
    """Look at every file of a dataset folder and say what is wrong with it.

    The folder is ``<root>/{train,validation,test}/<class>/`` or ``<root>/<class>/``, with or
    without a ``manifest.csv`` (columns path, label, split, group, sha256; all but path may be
    missing). Nothing is changed. Links to folders inside a class are not followed.

    Raises DataError where there is no folder or no class in it.
    """
    root = Path(path).expanduser()
    places, stray = _layout(root)
    files = [file for split, folder in places for file in _files(root, split, folder)]
    seen = _look_at_all(root, files, progress)
    counts = _counts(places, seen)
    findings = [
        *stray,
        *(item.finding for item in seen if item.finding),
        *_class_findings(places, counts),
        *_exact_duplicates(seen),
        *_near_duplicates(seen, progress),
        *_manifest_findings(root, seen),
    ]
    order = list(dict.fromkeys(SEVERITY.values()))
    findings.sort(key=lambda f: (order.index(f.severity), f.kind, f.paths))
    shown = {split or "all": numbers for split, numbers in counts.items()}
    return FolderCheck(root, shown, _sizes(seen), tuple(findings))


def perceptual_hashes(image: Image.Image) -> Words | None:
    """Return the 256-bit hashes of a picture and of its mirror image, shape (2, 4).

    The hash is imagehash's ``phash`` (the signs of the lowest 16 x 16 frequencies of the
    brightness). None for a plain surface, which has no frequencies to speak of.
    """
    import imagehash

    small = image.convert("L").resize((64, 64), Image.Resampling.LANCZOS)
    if np.asarray(small).std() < 2:
        return None
    pair = (imagehash.phash(form, 16).hash for form in (small, ImageOps.mirror(small)))
    return np.stack([np.packbits(bits).view(np.uint64) for bits in pair])


# Finding the files -----------------------------------------------------------------------


def _layout(root: Path) -> tuple[list[tuple[str, Path]], list[Finding]]:
    """Return (split, class folder) for each class folder, and what lies beside them."""
    if not root.is_dir():
        raise DataError(f"There is no folder {root}. Give the folder that holds the classes.")
    folders = _folders(root)
    splits = {_split_name(f.name): f for f in folders if _split_name(f.name) in SPLITS}
    if not splits:
        return _flat_layout(root, folders)
    findings = list(_beside(root, folders, splits))
    places = []
    for split in (split for split in SPLITS if split in splits):
        classes, loops = _class_folders(root, _folders(splits[split]))
        places += [(split, inner) for inner in classes]
        findings += loops + _stray_images(root, splits[split])
        if not classes:
            findings.append(_finding("empty-split", [split], f"{split} has no class folders"))
    if not places:
        raise DataError(f"There are no class folders in the splits of {root}: expected {_LAYOUTS}.")
    return places, findings


def _beside(root: Path, folders: Sequence[Path], splits: Mapping[str, Path]) -> Iterator[Finding]:
    """Name what lies beside the splits, and the splits that are not there."""
    for folder in folders:
        if folder not in splits.values():
            what = f"the folder {folder.name} is no split and is not read"
            yield _finding("stray", [f"{folder.name}/"], what)
    if "train" not in splits:
        yield _finding("empty-split", ["train"], "there is no train split to train on")
    for split in SPLITS[1:]:
        if split not in splits:
            what = f"there is no {split} split: a part of train will be held out for it"
            yield _finding(f"no-{split}", [], what)
    yield from _stray_images(root, root)


def _flat_layout(root: Path, folders: list[Path]) -> tuple[list[tuple[str, Path]], list[Finding]]:
    classes, loops = _class_folders(root, folders)
    if not classes:
        raise DataError(f"There are no class folders in {root}: expected {_LAYOUTS}.")
    datasets = [f.name for f in classes if any(_split_name(g.name) == "train" for g in _folders(f))]
    if datasets:
        raise DataError(
            f"{root} holds datasets, not classes. Check one at a time: {choices(datasets)}."
        )
    drawn = _finding("no-splits", [], "there are no splits: they will be drawn at random, by class")
    return [("", folder) for folder in classes], [drawn, *loops, *_stray_images(root, root)]


def _class_folders(root: Path, folders: Iterable[Path]) -> tuple[list[Path], list[Finding]]:
    """Keep links that lead back to the folder they are in out of the classes."""
    classes, loops = [], []
    for folder in folders:
        if folder.is_symlink() and root.resolve().is_relative_to(folder.resolve()):
            path = folder.relative_to(root).as_posix()
            loops.append(
                _finding("stray", [path], f"{path} is a link that leads back: not followed")
            )
        else:
            classes.append(folder)
    return classes, loops


def _split_name(folder: str) -> str:
    return _ALIASES.get(folder, folder)


def _folders(folder: Path) -> list[Path]:
    inside = (f for f in folder.iterdir() if not f.name.startswith((".", "_")))
    return sorted(f for f in inside if f.is_dir())


def _stray_images(root: Path, folder: Path) -> list[Finding]:
    """Name the images beside the class folders; a README or a manifest may lie there."""
    images = sorted(f for f in folder.iterdir() if f.suffix.lower() in EXTENSIONS)
    paths = [f.relative_to(root).as_posix() for f in images if not f.name.startswith(".")]
    return [_finding("stray", [p], f"{p} lies outside the class folders: not read") for p in paths]


def _files(root: Path, split: str, folder: Path) -> Iterator[_File]:
    """Yield the files below a class folder. os.walk does not enter links, so no loop holds it."""
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        linked = [name for name in inner if (Path(place) / name).is_symlink()]
        for name in sorted([*names, *linked]):
            if not name.startswith(".") and name.lower() not in _LITTER:
                path = (Path(place) / name).relative_to(root).as_posix()
                yield _File(path, split, folder.name)


# Looking at one file ---------------------------------------------------------------------


def _look_at_all(root: Path, files: Sequence[_File], progress: bool) -> list[_Seen]:
    # The filters of warnings belong to all threads: set them here, once, and restore them.
    with (
        warnings.catch_warnings(),
        ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool,
    ):
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        looked = pool.map(lambda file: _look(root, file), files)
        return list(_bar(looked, len(files), "Checking", progress))


def _bar(items: Iterable[Any], total: int, what: str, progress: bool) -> Any:
    return tqdm(items, what, total, leave=False, delay=1, disable=not progress)


def _look(root: Path, file: _File) -> _Seen:
    path = root / file.path
    try:
        status = path.stat()
    except OSError as error:
        kind = "broken-link" if path.is_symlink() else "damaged"
        return _bad(file, kind, f"cannot be opened ({error.strerror})")
    if stat.S_ISDIR(status.st_mode):
        return _bad(file, "stray", "is a link to a folder: not followed")
    if not stat.S_ISREG(status.st_mode):
        return _bad(file, "not-an-image", "is no regular file")
    if status.st_size > _LARGEST_FILE:
        return _bad(file, "too-large", f"has {status.st_size / 1e6:,.0f} MB: not read")
    try:
        return _examine(file, path.read_bytes())
    except OSError as error:
        return _bad(file, "damaged", f"cannot be read ({error.strerror})")


def _examine(file: _File, data: bytes) -> _Seen:
    suffix = PurePosixPath(file.path).suffix.lower()
    if not data:
        return _bad(file, "empty-file", "is empty")
    header = _header(data)
    if header is None:
        what = "is a text file" if _is_text(data) else "is not an image that can be read"
        kind = "not-an-image" if suffix in EXTENSIONS else "stray"
        return _bad(file, kind, what)
    form, pixels = header
    if pixels > LARGEST:
        what = f"has {pixels:,} pixels; at most {LARGEST:,} are read"
        return _bad(file, "too-large", what)
    try:
        image = read_image(data)
    except DataError as problem:
        return _bad(file, "damaged", f"cannot be used: {problem}")
    finding = None
    if suffix not in _FORMATS.get(form, {suffix}):
        what = f"{file.path} holds a {form} image but is named {suffix or 'without extension'}"
        finding = _finding("wrong-extension", [file.path], what)
    digest = hashlib.sha256(data).hexdigest()
    return _Seen(file, finding, digest, image.size, perceptual_hashes(image))


def _header(data: bytes) -> tuple[str, int] | None:
    """Return format and number of pixels from the first bytes, undecoded; None for no image."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.format or "", image.width * image.height
    except Image.DecompressionBombError as error:
        # Pillow refuses to open a very large picture; only its message has the number.
        number = re.search(r"(\d+) pixels", str(error))
        return "", int(number[1]) if number else LARGEST + 1
    except Exception:  # Pillow's readers raise many types on damaged headers
        return None


def _is_text(data: bytes) -> bool:
    start = data[:4096]
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        text = start[: error.start].decode("utf-8") if error.start > len(start) - 4 else ""
    return bool(text) and all(sign.isprintable() or sign.isspace() for sign in text)


def _bad(file: _File, kind: str, what: str) -> _Seen:
    return _Seen(file, _finding(kind, [file.path], f"{file.path} {what}"))


def _finding(kind: str, paths: Iterable[str], message: str, severity: str = "") -> Finding:
    return Finding(severity or SEVERITY[kind], kind, tuple(sorted(paths)), message)


# Looking at all of them ------------------------------------------------------------------


def _counts(places: Sequence[tuple[str, Path]], seen: Sequence[_Seen]) -> dict[str, dict[str, int]]:
    """Count readable images by split and class; a class without any counts zero."""
    classes = sorted({folder.name for _, folder in places})
    counts = {split: dict.fromkeys(classes, 0) for split in dict.fromkeys(s for s, _ in places)}
    for item in seen:
        if item.size:
            counts[item.file.split][item.file.label] += 1
    return counts


def _sizes(seen: Sequence[_Seen]) -> Sizes | None:
    sizes = np.array([item.size for item in seen if item.size])
    if not len(sizes):
        return None
    width, height = (
        (int(column.min()), int(np.median(column)), int(column.max())) for column in sizes.T
    )
    return Sizes(width, height)


def _class_findings(
    places: Sequence[tuple[str, Path]], counts: Mapping[str, Mapping[str, int]]
) -> Iterator[Finding]:
    classes = list(next(iter(counts.values())))
    totals = {name: sum(numbers[name] for numbers in counts.values()) for name in classes}
    if len(classes) == 1:
        yield _finding("one-class", [classes[0]], f"{classes[0]} is the only class: add another")
    for name in classes:
        if not totals[name]:
            folders = [f"{s}/{f.name}" if s else f.name for s, f in places if f.name == name]
            yield _finding(
                "empty-class", folders, f"the class {name} has no images that can be read"
            )
    for split, numbers in counts.items():
        for name, number in numbers.items():
            if not number and totals[name]:
                where = f"{split}/{name}"
                yield _finding("empty-class", [where], f"the class {name} has no images in {split}")
    yield from _balance(counts)


def _balance(counts: Mapping[str, Mapping[str, int]]) -> Iterator[Finding]:
    split = "train" if "train" in counts else next(iter(counts))
    numbers = {name: number for name, number in counts[split].items() if number}
    if len(numbers) > 1:
        largest, smallest = (
            max(numbers, key=numbers.__getitem__),
            min(numbers, key=numbers.__getitem__),
        )
        if numbers[largest] > UNBALANCED * numbers[smallest]:
            what = (
                f"{largest} has {numbers[largest]:,} images and {smallest} {numbers[smallest]:,}: "
                "judge by the recall of each class, not by accuracy"
            )
            yield _finding("imbalance", [smallest], f"{split}: {what}" if split else what)


def _exact_duplicates(seen: Sequence[_Seen]) -> Iterator[Finding]:
    same: dict[str, list[_File]] = defaultdict(list)
    for item in seen:
        if item.sha256:
            same[item.sha256].append(item.file)
    for files in same.values():
        if len(files) < 2:
            continue
        paths = sorted(file.path for file in files)
        shown = _joined(paths)
        across, labels = len({f.split for f in files}) > 1, {f.label for f in files}
        if across:
            yield _finding("duplicate-across-splits", paths, f"{shown} are the same file")
        if len(labels) > 1:
            yield _finding(
                "conflicting-labels", paths, f"{shown} are the same file: one label is wrong"
            )
        if not across and len(labels) == 1:
            yield _finding(
                "duplicate", paths, f"{shown} are the same file: it counts more than once"
            )


def _near_duplicates(seen: Sequence[_Seen], progress: bool) -> Iterator[Finding]:
    """Report pairs across splits; without splits all, because a random split may part them.

    Inside a split they are nobody's fault: augmentation makes them, and neighbouring crops do.
    """
    items = [item for item in seen if item.hashes is not None]
    if len(items) < 2:
        return
    hashes = np.stack([item.hashes for item in items if item.hashes is not None])
    splits = np.unique([item.file.split for item in items], return_inverse=True)[1]
    flat = not items[0].file.split
    for i, j, bits, mirrored in _close_pairs(hashes, None if flat else splits, progress):
        one, other = items[i], items[j]
        if one.sha256 == other.sha256:
            continue
        paths = sorted((one.file.path, other.file.path))
        what = "look mirrored" if mirrored else "look the same"
        if one.file.label != other.file.label:
            what += " and have different labels"
        severity = "error" if bits <= SAME and not flat else ""
        message = f"{_joined(paths)} {what} ({bits} of 256 bits differ)"
        yield _finding("near-duplicate", paths, message, severity)


def _close_pairs(
    hashes: NDArray[np.uint64], splits: NDArray[Any] | None, progress: bool
) -> Iterator[tuple[int, int, int, bool]]:
    """Yield (i, j, differing bits, mirrored) for i < j at most NEAR bits apart.

    ``hashes`` has shape (n, 2, 4). Compared in tiles, so that memory stays under 50 MB.
    """
    plain, mirror = hashes[:, 0], hashes[:, 1]
    n, high, wide = len(plain), 256, 4096
    tiles = [(top, left) for top in range(0, n, high) for left in range(top, n, wide)]
    for top, left in _bar(tiles, len(tiles), "Comparing", progress):
        rows, columns = np.arange(top, min(top + high, n)), np.arange(left, min(left + wide, n))
        wanted = rows[:, None] < columns[None]
        if splits is not None:
            wanted &= splits[rows][:, None] != splits[columns][None]
        if not wanted.any():
            continue
        straight = _distances(plain[rows], plain[columns])
        mirrored = _distances(plain[rows], mirror[columns])
        best = np.minimum(straight, mirrored)
        for i, j in np.argwhere(wanted & (best <= NEAR)):
            turned = bool(mirrored[i, j] < straight[i, j])
            yield int(rows[i]), int(columns[j]), int(best[i, j]), turned


def _distances(some: Words, others: Words) -> NDArray[np.uint16]:
    """Count the differing bits of every pair; shapes (a, 4) and (b, 4) give (a, b)."""
    total = np.zeros((len(some), len(others)), dtype=np.uint16)
    for word in range(some.shape[1]):
        total += np.bitwise_count(some[:, None, word] ^ others[None, :, word])
    return total


def _joined(paths: Sequence[str]) -> str:
    shown = " and ".join(paths[:3])
    return f"{shown} and {len(paths) - 3:,} more" if len(paths) > 3 else shown


# The manifest ----------------------------------------------------------------------------


def _manifest_findings(root: Path, seen: Sequence[_Seen]) -> Iterator[Finding]:
    try:
        rows = _manifest(root / "manifest.csv")
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        reason = "it has no column named path" if isinstance(error, KeyError) else str(error)
        yield _finding(
            "manifest-unreadable", ["manifest.csv"], f"manifest.csv is not used: {reason}"
        )
        return
    if not rows:
        return
    here = {item.file.path: item for item in seen}
    images = {path for path, item in here.items() if item.sha256 or item.finding}
    if missing := sorted(rows.keys() - images):
        what = f"{len(missing):,} of the {len(rows):,} files that manifest.csv lists are not here"
        yield _finding("manifest-missing", missing, f"{what}, first {missing[0]}")
    if unlisted := sorted(images - rows.keys()):
        what = f"{len(unlisted):,} files are not listed in manifest.csv, first {unlisted[0]}"
        yield _finding("manifest-unlisted", unlisted, what)
    both = {path: (here[path], rows[path]) for path in sorted(images & rows.keys())}
    yield from _contradictions(both)
    yield from _group_leaks(both)


def _manifest(path: Path) -> dict[str, dict[str, str]]:
    """Return the rows by path; an absent manifest has none."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = [{k: v or "" for k, v in row.items() if k} for row in csv.DictReader(stream)]
    return {row["path"].replace("\\", "/").removeprefix("./"): row for row in rows}


def _contradictions(both: Mapping[str, tuple[_Seen, Mapping[str, str]]]) -> Iterator[Finding]:
    """Compare checksum, label and split; a file that cannot be read is reported elsewhere."""
    for path, (item, row) in both.items():
        expected = row.get("sha256", "").lower()
        if item.sha256 and expected and expected != item.sha256:
            what = f"{path} has another SHA-256 than manifest.csv says: it was changed"
            yield _finding("checksum", [path], what)
        told = [
            f"{column} {row[column]}"
            for column, folder in (("label", item.file.label), ("split", item.file.split))
            if folder and row.get(column) and _split_name(row[column]) != folder
        ]
        if told:
            what = f"{path}: manifest.csv says {' and '.join(told)}, its folder says otherwise"
            yield _finding("manifest-mismatch", [path], what)


def _group_leaks(both: Mapping[str, tuple[_Seen, Mapping[str, str]]]) -> Iterator[Finding]:
    """Find groups (a patient, a slide, an animal) with images in more than one split."""
    places: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path, (item, row) in both.items():
        if row.get("group") and item.size:
            places[row["group"]][item.file.split].append(path)
    for group, splits in sorted(places.items()):
        if len(splits) > 1:
            numbers = ", ".join(
                f"{len(paths):,} images in {split}" for split, paths in splits.items()
            )
            paths = [path for part in splits.values() for path in part]
            what = f"the group {group} is in more than one split ({numbers}): move it into one"
            yield _finding("group-leak", paths, what)
