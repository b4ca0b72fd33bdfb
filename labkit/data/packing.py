"""A classroom pack: one zip archive with datasets, their cards and backbone weights.

``pack`` writes it with a manifest of SHA-256 checksums; ``unpack`` needs no network,
checks every byte before anything is visible, and refuses what it cannot trust.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from filelock import FileLock
from tqdm.auto import tqdm

from labkit.data.cards import card_path, list_cards, load_card
from labkit.errors import DataError, LabkitError
from labkit.paths import atomic_write, cache_folder, file_sha256

MANIFEST = "labkit-pack.json"
FORMAT_VERSION = 1
LARGEST_RATIO = 100
"""A pack may unpack to this many times its own size, and 100 MB more; see _refuse_bomb."""

_LARGEST_MANIFEST = 256_000_000
_CHUNK = 1 << 20
_STAGING, _DAY = ".labkit-staging-", 86_400
# What zipfile raises on bytes that are no sound archive.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    UnicodeDecodeError,
)
# Photographs and weights do not get smaller: storing them is faster in both directions.
_WORTH_DEFLATING = frozenset(
    {".bmp", ".csv", ".json", ".md", ".ppm", ".tif", ".tiff", ".txt", ".yaml"}
)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_KNOWN_STARTS = {
    b"\x1f\x8b": "a gzip archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"BZh": "a bzip2 archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89HDF": "an HDF5 file, perhaps weights",
    b"<": "a web page, perhaps an error or login page saved by the browser",
}


@dataclass(frozen=True)
class Packed:
    """One thing in a pack: ``kind`` is "dataset" or "weights"; ``state`` what became of it.

    ``state`` is "packed", or after unpacking "new", "replaced" or "already there".
    """

    kind: str
    name: str
    path: Path
    files: int
    bytes: int
    state: str
    licence: str = ""

    def __str__(self) -> str:
        """Return one line: what, how much, where."""
        line = (
            f"{self.kind} {self.name}: {self.files:,} files, {self.bytes / 1e6:,.1f} MB, "
            f"{self.state}, {self.path}"
        )
        return f"{line}\n    licence: {self.licence}" if self.licence else line


@dataclass(frozen=True)
class PackReport:
    """What ``pack`` wrote, or what ``unpack`` put where: ``items``; ``path`` is the archive."""

    path: Path
    bytes: int
    items: tuple[Packed, ...]

    def __str__(self) -> str:
        """Return the archive and then a line for each thing in it."""
        return "\n".join([f"{self.path} ({self.bytes / 1e6:,.1f} MB)", *map(str, self.items)])


@dataclass(frozen=True)
class _Member:
    """A file of a pack: its path inside, its size and checksum, and what it is a part of."""

    path: PurePosixPath
    bytes: int
    sha256: str

    @property
    def kind(self) -> str:
        return "dataset" if self.path.parts[0] == "datasets" else "weights"

    @property
    def name(self) -> str:
        return self.path.parts[1]


def pack(
    datasets: Mapping[str, Path],
    weights: Iterable[Path],
    output: Path,
    *,
    progress: bool = True,
) -> PackReport:
    """Write datasets (name to folder) and weights files into one archive, a .zip.

    Every file of a folder goes in except hidden ones, and the dataset's card. The same
    content gives the same bytes. Raises DataError for a missing or empty folder, a name that
    another system cannot hold, or nothing to pack; LabkitError on a full disk.
    """
    sources = _sources(datasets, list(weights), output)
    total = sum(path.stat().st_size for path in sources.values())
    need_space(output.absolute().parent, total, f"the pack {output.name}")
    members = []
    with (
        atomic_write(output) as stream,
        zipfile.ZipFile(stream, "w") as archive,
        _bar(total, "Packing", progress) as bar,
    ):
        for name, path in sources.items():
            members.append(_add(archive, name, path, bar))
        manifest = {
            "format": "labkit-pack",
            "version": FORMAT_VERSION,
            "total_bytes": sum(member.bytes for member in members),
            "files": [{"path": str(m.path), "bytes": m.bytes, "sha256": m.sha256} for m in members],
        }
        archive.writestr(_entry(MANIFEST, deflate=True), json.dumps(manifest, indent=1))
    output.chmod(0o644)  # a temporary file is private; a pack is there to be handed out
    places = {**datasets, **{path.name: path for path in sources.values()}}
    items = [_item(key, part, places[key[1]], "packed") for key, part in _parts(members).items()]
    return PackReport(output, output.stat().st_size, tuple(items))


def unpack(
    file: Path,
    *,
    weights_folder: Path | None = None,
    replace: bool = False,
    progress: bool = True,
) -> PackReport:
    """Put a pack's datasets and weights into the cache (or the weights into a given folder).

    All is checked first; on any error nothing has changed. A dataset that is there already
    with the same content stays as it is; with other content it is replaced only where
    ``replace`` is true. Raises DataError for a damaged, hostile, foreign or newer archive.
    """
    roots = {
        "dataset": cache_folder("datasets"),
        "weights": weights_folder or cache_folder("weights"),
    }
    with _opened(file) as archive:
        members = _checked_members(archive, file)
        total = sum(member.bytes for member in members)
        with contextlib.ExitStack() as held:
            for _, name in sorted({key for key in _parts(members) if key[0] == "dataset"}):
                held.enter_context(dataset_lock(name))
            states = _states(members, roots, file, replace)
            wanted = [m for m in members if states[m.kind, m.name] != "already there"]
            need_space(roots["dataset"], sum(m.bytes for m in wanted), f"unpacking {file.name}")
            with _bar(total, "Unpacking", progress) as bar:
                _extract_and_swap(archive, file, wanted, roots, bar)
    items = [
        _item(key, part, roots[key[0]] / key[1], states[key])
        for key, part in _parts(members).items()
    ]
    return PackReport(file, file.stat().st_size, tuple(items))


def safe_member(name: str) -> PurePosixPath:
    """Return an archive member's name as a relative path that stays inside its folder.

    Raises DataError for an absolute path, "..", a drive letter, a backslash or a
    control character.
    """
    path = PurePosixPath(name)
    hostile = (
        not name
        or path.is_absolute()
        or str(path) != name
        or ".." in path.parts
        or any(ord(sign) < 32 or sign in '\\:*?"<>|' for sign in name)
    )
    if hostile:
        raise DataError(f"it holds a file with the unsafe path {name!r}")
    return path


def need_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise LabkitError unless ``needed`` bytes (and 50 MB to spare) are free in a folder."""
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed + 50_000_000:
        raise LabkitError(
            f"Too little disk space for {purpose}: {needed / 1e6:,.0f} MB are needed in {folder} "
            f"and {free / 1e6:,.0f} MB are free. Free some space, or set LABKIT_CACHE to a folder "
            "on a larger disk."
        )


@contextlib.contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Turn the system's "no space left" into a LabkitError that says where and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise LabkitError(
            f"The disk is full: {folder} could not be filled, and nothing half-written was kept. "
            "Free some space, or set LABKIT_CACHE to a folder on a larger disk."
        ) from error


@contextlib.contextmanager
def dataset_lock(name: str) -> Iterator[None]:
    """Let one process at a time write the dataset; the others wait, and are told so."""
    lock = FileLock(cache_folder("locks") / f"{name}.lock")
    with contextlib.suppress(TimeoutError):  # filelock.Timeout is one
        lock.acquire(timeout=0.1)
    if not lock.is_locked:
        tqdm.write(f"Another process is writing {name}: waiting until it is done.", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def staging_folder(beside: Path) -> Iterator[Path]:
    """Make a private folder in ``beside`` to build something in; it is gone afterwards."""
    beside.mkdir(parents=True, exist_ok=True)
    for left in beside.glob(f"{_STAGING}*"):  # by a process that was killed
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _DAY:
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_STAGING, dir=beside))
    try:
        with full_disk_named(beside):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def swap_in(new: Path, target: Path, aside: Path) -> Callable[[], None]:
    """Rename ``new`` to ``target``, what was there to ``aside``; return how to undo it."""
    had = os.path.lexists(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside.parent.mkdir(parents=True, exist_ok=True)
    if had:
        os.replace(target, aside)
    try:
        os.replace(new, target)
    except OSError:
        if had:
            os.replace(aside, target)
        raise

    def undo() -> None:
        os.replace(target, new)
        if had:
            os.replace(aside, target)

    return undo


def _sources(datasets: Mapping[str, Path], weights: list[Path], output: Path) -> dict[str, Path]:
    sources: dict[str, Path] = {}
    for name, folder in sorted(datasets.items()):
        if not _NAME.fullmatch(name):
            raise DataError(f"A dataset cannot be named {name!r}: use letters, digits, _ and -.")
        if output.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"The pack {output} would lie inside the dataset {folder}: move it.")
        sources |= {f"datasets/{name}/{path}": folder / path for path in _files(name, folder)}
        if name in list_cards():
            sources[f"datasets/{name}/card.yaml"] = card_path(name)
    for path in sorted(weights):
        if not path.is_file():
            raise DataError(f"The weights file {path} is not there: load the backbone once first.")
        if f"weights/{path.name}" in sources:
            raise DataError(f"Two weights files are named {path.name}: rename one of them.")
        sources[f"weights/{path.name}"] = path
    if not sources:
        raise DataError("There is nothing to pack: name at least one dataset or weights file.")
    for inside, path in sources.items():
        try:
            safe_member(inside)
        except DataError as problem:
            raise DataError(f"{path} cannot be packed: {problem}. Rename it.") from None
    return sources


def _files(name: str, folder: Path) -> list[str]:
    if not folder.is_dir():
        raise DataError(f"The dataset {name} has no folder {folder}: fetch or unpack it first.")
    found, seen = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        # A link may lead back up: go into each real folder once.
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(inner for inner in folders if not inner.startswith("."))
        for file in sorted(files):
            path = Path(place) / file
            if not file.startswith(".") and path.is_file():
                found.append(path.relative_to(folder).as_posix())
    if not found:
        raise DataError(f"The folder {folder} of the dataset {name} holds no files.")
    return found


def _entry(name: str, deflate: bool) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # its date is 1980 in every pack: same content, same bytes
    entry.compress_type = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry


def _add(archive: zipfile.ZipFile, name: str, path: Path, bar: Any) -> _Member:
    entry = _entry(name, deflate=path.suffix.lower() in _WORTH_DEFLATING)
    entry.file_size = path.stat().st_size  # tells zipfile whether it needs the 64-bit form
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source, archive.open(entry, "w") as target:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            target.write(chunk)
            size += len(chunk)
            bar.update(len(chunk))
    return _Member(PurePosixPath(name), size, digest.hexdigest())


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    if not file.is_file():
        raise DataError(f"There is no file {file}.")
    if not zipfile.is_zipfile(file):
        raise DataError(
            f"{file} is not a labkit pack but {_what_it_is(file)}. Nothing was written."
        )
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except _DAMAGE as error:
        raise _refused(file, f"it is damaged ({str(error) or 'cut short'})") from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # seeking to where no file can be
            raise
        raise _refused(file, "it is damaged (its directory points outside of it)") from None


def _what_it_is(file: Path) -> str:
    with file.open("rb") as stream:
        start = stream.read(512)
    if not start:
        return "an empty file"
    if start[257:262] == b"ustar":
        return "a tar archive"
    if start.startswith(b"PK"):
        return "a zip archive that was cut short: copy it again"
    for magic, kind in _KNOWN_STARTS.items():
        if start.lstrip().startswith(magic):
            return kind
    return "another kind of file"


def _refused(file: Path, reason: str) -> DataError:
    return DataError(
        f"The pack {file} is refused: {reason}. Nothing was written; get the pack again from "
        "where it was made."
    )


def _checked_members(archive: zipfile.ZipFile, file: Path) -> list[_Member]:
    infos = {info.filename: info for info in archive.infolist()}
    if MANIFEST not in infos:
        first = next(iter(infos), "nothing")
        raise DataError(
            f"{file} is a zip archive but not a labkit pack: it has no {MANIFEST} (it holds "
            f"{len(infos):,} files, first {first!r}). Nothing was written."
        )
    try:
        if repeated := [n for n, k in Counter(archive.namelist()).items() if k > 1]:
            raise DataError(f"it holds {repeated[0]!r} more than once")
        members = _manifest(archive, infos.pop(MANIFEST))
        listed = {str(member.path): member for member in members}
        if missing := sorted(listed.keys() - infos.keys()):
            raise DataError(f"it lacks {len(missing):,} of its files, first {missing[0]!r}")
        if extra := sorted(infos.keys() - listed.keys()):
            raise DataError(
                f"it holds {len(extra):,} files that it does not list, first {extra[0]!r}"
            )
        for name, info in infos.items():
            _check_entry(info, listed[name])
        _refuse_bomb(sum(member.bytes for member in members), file.stat().st_size)
    except DataError as problem:
        raise _refused(file, str(problem)) from None
    return members


def _manifest(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> list[_Member]:
    _check_attributes(info)
    _refuse_bomb(info.file_size, info.compress_size)
    with archive.open(info) as stream:
        text = stream.read(_LARGEST_MANIFEST)
    try:
        manifest = json.loads(text)
        if manifest["format"] != "labkit-pack":
            raise DataError(f"its {MANIFEST} is of another program")
        if manifest["version"] > FORMAT_VERSION:
            raise DataError(
                f"it is of the newer format {manifest['version']}, and this labkit reads "
                f"{FORMAT_VERSION}: update labkit"
            )
        members = [
            _Member(safe_member(entry["path"]), int(entry["bytes"]), str(entry["sha256"]))
            for entry in manifest["files"]
        ]
        if manifest["total_bytes"] != sum(member.bytes for member in members):
            raise DataError(f"the sizes in its {MANIFEST} do not add up")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(f"its {MANIFEST} cannot be read") from None
    for member in members:
        _check_place(member.path)
    return members


def _check_place(path: PurePosixPath) -> None:
    parts = path.parts
    in_dataset = len(parts) >= 3 and parts[0] == "datasets" and _NAME.fullmatch(parts[1])
    is_weights = len(parts) == 2 and parts[0] == "weights" and _NAME.fullmatch(parts[1])
    if not (in_dataset or is_weights):
        raise DataError(f"the file {str(path)!r} belongs neither to a dataset nor to the weights")


def _check_entry(info: zipfile.ZipInfo, member: _Member) -> None:
    _check_attributes(info)
    if info.file_size != member.bytes:
        raise DataError(f"{info.filename!r} has another size than it lists")


def _check_attributes(info: zipfile.ZipInfo) -> None:
    # What is no regular file in the Unix part of the attributes is a link, a device or a pipe.
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        what = "link" if kind == stat.S_IFLNK else "special file"
        raise DataError(f"{info.filename!r} is a {what}")
    if info.flag_bits & 0x1:
        raise DataError(f"{info.filename!r} is encrypted")


def _refuse_bomb(unpacked: int, packed: int) -> None:
    """Refuse an archive that would fill the disk: images shrink little, bombs a thousandfold."""
    if unpacked > LARGEST_RATIO * packed + 100_000_000:
        raise DataError(
            f"its {packed / 1e6:,.1f} MB would become {unpacked / 1e6:,.0f} MB, as in a "
            "decompression bomb"
        )


def _parts(members: Iterable[_Member]) -> dict[tuple[str, str], list[_Member]]:
    parts: dict[tuple[str, str], list[_Member]] = {}
    for member in members:
        parts.setdefault((member.kind, member.name), []).append(member)
    return parts


def _item(key: tuple[str, str], members: list[_Member], path: Path, state: str) -> Packed:
    kind, name = key
    licence = load_card(name).licence if kind == "dataset" and name in list_cards() else ""
    return Packed(kind, name, path, len(members), sum(m.bytes for m in members), state, licence)


def _states(
    members: list[_Member], roots: Mapping[str, Path], file: Path, replace: bool
) -> dict[tuple[str, str], str]:
    states = {}
    for (kind, name), part in _parts(members).items():
        target = roots[kind] / name
        if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
            states[kind, name] = "new"
        elif _same(target, part):
            states[kind, name] = "already there"
        elif replace:
            states[kind, name] = "replaced"
        else:
            raise DataError(
                f"{target} is there already and differs from {kind} {name} in {file}. Nothing was "
                "written; move it away, or ask to replace it."
            )
    return states


def _same(target: Path, part: list[_Member]) -> bool:
    if target.is_file():
        return file_sha256(target) == part[0].sha256
    # The pack adds the card; a folder without it holds the same dataset.
    cut = len(PurePosixPath("datasets/name").parts)
    listed = {"/".join(m.path.parts[cut:]): m for m in part}
    try:
        there = set(_files(target.name, target))
    except DataError:
        return False
    return there | {"card.yaml"} == set(listed) | {"card.yaml"} and all(
        file_sha256(target / name) == listed[name].sha256 for name in there - {"card.yaml"}
    )


def _extract_and_swap(
    archive: zipfile.ZipFile,
    file: Path,
    members: list[_Member],
    roots: Mapping[str, Path],
    bar: Any,
) -> None:
    with contextlib.ExitStack() as stages:
        stage = {
            kind: stages.enter_context(staging_folder(roots[kind]))
            for kind in {member.kind for member in members}
        }
        for member in members:
            target = stage[member.kind].joinpath("new", *member.path.parts[1:])
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with target.open("xb") as stream:
                    _extract(archive, member, stream, bar)
            except (DataError, FileExistsError) as problem:
                raise _refused(file, str(problem)) from None
        undo: list[Callable[[], None]] = []
        try:
            for kind, name in _parts(members):
                new, aside = stage[kind] / "new" / name, stage[kind] / "old" / name
                undo.append(swap_in(new, roots[kind] / name, aside))
        except BaseException:
            for step in reversed(undo):
                step()
            raise


def _extract(archive: zipfile.ZipFile, member: _Member, target: IO[bytes], bar: Any) -> None:
    digest, size = hashlib.sha256(), 0
    with archive.open(str(member.path)) as source:
        while chunk := source.read(_CHUNK):
            size += len(chunk)
            if size > member.bytes:
                raise DataError(f"{str(member.path)!r} is larger than it lists")
            digest.update(chunk)
            target.write(chunk)
            bar.update(len(chunk))
    if digest.hexdigest() != member.sha256:
        raise DataError(f"{str(member.path)!r} has another checksum than it lists")


def _bar(total: int, what: str, progress: bool) -> Any:
    # Shown after two seconds: a small pack needs none.
    return tqdm(
        total=total,
        desc=what,
        unit="B",
        unit_scale=True,
        delay=2,
        leave=False,
        disable=not progress,
    )
