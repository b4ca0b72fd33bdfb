"""Real public sets from the network: downloaded, verified, unpacked into class folders.

Nothing half-written is ever used: a download goes to a ``.part`` file that the next attempt
resumes, is verified by SHA-256, and a dataset's folder appears only when it is whole.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any
from urllib.parse import quote

import requests
import urllib3
from PIL import Image
from tqdm.auto import tqdm

from labkit.data.cards import DatasetCard, FetchPlan, SourceFile, list_cards, load_card
from labkit.data.images import EXTENSIONS
from labkit.data.packing import (
    dataset_lock,
    full_disk_named,
    need_space,
    safe_member,
    staging_folder,
    swap_in,
)
from labkit.errors import DataError, DownloadError, LabkitError, choices
from labkit.paths import cache_folder

MARKER = "fetched.json"
"""Written last into a fetched folder: which files it was made of and what was left out."""

ATTEMPTS = 5
FIRST_WAIT = 1.0
"""Seconds before the second attempt."""

_CHUNK = 1 << 18
_LARGEST_FILE = 200_000_000
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 60.0
_LONGEST_WAIT = 60.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_OTHER_WAYS = (
    "Without a network, `labkit data unpack FILE` with a classroom pack works, "
    "or a mirror: set LABKIT_MIRROR to its address or folder."
)
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile)


def fetch(name: str, *, folder: Path | None = None, progress: bool = True) -> Path:
    """Download a dataset that has files to fetch on its card; return its folder.

    The folder is ``<cache>/datasets/<name>``, or ``folder``, laid out as
    ``<split>/<class>/<image>`` or ``<class>/<image>`` with a manifest.csv. A set that was
    fetched before is returned at once. ``LABKIT_MIRROR`` (an address or a folder) is tried
    first for ``<mirror>/<name>/<file>``; proxies are those of the environment.

    Raises DataError for a name without files to fetch, DownloadError where a file could not
    be had whole and verified, LabkitError where the disk is too small.
    """
    card = load_card(name)
    plan = _plan(card)
    target = Path(folder).expanduser().absolute() if folder else cache_folder("datasets") / name
    with dataset_lock(name):
        if _is_fetched(target, card):
            return target
        downloads = cache_folder("downloads", name)
        _check_space(plan, downloads, target.parent, name)
        archives = [_download(file, name, downloads, progress) for file in plan.files]
        with staging_folder(target.parent) as stage:
            new = stage / "new"
            new.mkdir()
            with _damage_named(name):
                rows, left_out = _unpack(plan, archives, stage, new, progress)
            _check_classes(rows, card)
            _write_records(new, card, rows, left_out)
            swap_in(new, target, stage / "old")
        shutil.rmtree(downloads, ignore_errors=True)
    return target


def _plan(card: DatasetCard) -> FetchPlan:
    if card.fetch is None:
        able = [name for name in list_cards() if load_card(name).fetch]
        raise DataError(
            f"{card.name} has no public archive to fetch. Put a copy into a folder that "
            f"LABKIT_DATA names, or use its simulated form. To fetch: {choices(able)}."
        )
    return card.fetch


def _is_fetched(target: Path, card: DatasetCard) -> bool:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return bool(_marker(card).items() <= json.loads((target / MARKER).read_text()).items())
    if target.is_dir() and any(target.iterdir()):
        raise DataError(
            f"{target} already holds files that `labkit data fetch` did not put there (from a "
            "classroom pack, perhaps). Use it as it is, or move it away first."
        )
    return False


def _marker(card: DatasetCard) -> dict[str, Any]:
    plan = _plan(card)
    files = {file.filename: file.sha256 for file in plan.files}
    return {"name": card.name, "rule": plan.rule, "files": files}


def _check_space(plan: FetchPlan, downloads: Path, place: Path, name: str) -> None:
    """Check both disks; where they are one, it has to hold archive and images together."""
    place.mkdir(parents=True, exist_ok=True)
    missing = sum(file.bytes - _have(downloads, file) for file in plan.files)
    if downloads.stat().st_dev == place.stat().st_dev:
        need_space(place, missing + plan.unpacked_bytes, f"fetching {name}")
    else:
        need_space(downloads, missing, f"the download of {name}")
        need_space(place, plan.unpacked_bytes, f"the images of {name}")


def _have(downloads: Path, file: SourceFile) -> int:
    sizes = (_size(downloads / name) for name in (file.filename, f"{file.filename}.part"))
    return min(max(sizes), file.bytes)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


# Downloading -----------------------------------------------------------------------------


class _PassingError(Exception):
    """A failure that another attempt may not meet; ``wait`` is what the server asks for, in s."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class ResumingDownloader:
    """A pooch downloader on requests that resumes after a cut and tries again.

    Attempts that fail without having got a single byte further count; ``ATTEMPTS`` of them
    in a row end it. Between them it waits ``FIRST_WAIT``, then twice as long each time, or
    as long as the server asks. The ``.part`` file stays for the next run.
    """

    file: SourceFile
    part: Path
    progress: bool = True

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Download ``url`` to ``output_file``; raises DownloadError."""
        failures = 0
        with requests.Session() as session, _bar(self.file, self.progress) as bar:
            while True:
                before = _size(self.part)
                try:
                    self._receive(session, url, bar)
                    break
                except _PassingError as problem:
                    failures = 1 if _size(self.part) > before else failures + 1
                    if failures >= ATTEMPTS:
                        raise DownloadError(
                            f"{url} {problem} ({ATTEMPTS} attempts; what was received is "
                            "kept and resumed next time)"
                        ) from None
                    time.sleep(max(problem.wait, FIRST_WAIT * 2 ** (failures - 1)))
        os.replace(self.part, output_file)

    def _receive(self, session: requests.Session, url: str, bar: Any) -> None:
        have = _size(self.part)
        if have == self.file.bytes:
            return  # whole already; whether it is the right one, its checksum will say
        if have > self.file.bytes:
            have = 0
        # "identity": a .gz file must come as it is, not unpacked on the way.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with session.get(
                url, headers=headers, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)
            ) as response:
                have = self._start(url, response, have)
                bar.reset(total=self.file.bytes)
                bar.update(have)
                self._write(url, response, have, bar)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self._named(url, error) from None

    def _start(self, url: str, response: requests.Response, have: int) -> int:
        """Check status and length; return the byte at which what follows has to be written."""
        status = response.status_code
        if status in _PASSING:
            raise _PassingError(f"answered {status} {response.reason}", _retry_after(response))
        if status == 416 or (status == 206 and not _continues(response, have)):
            self.part.unlink(missing_ok=True)
            raise _PassingError("could not resume the download")
        if status not in (200, 206):
            raise DownloadError(f"{url} answered {status} {response.reason}")
        if status == 200:
            have = 0  # The server does not know Range and starts over: so do we.
        length = response.headers.get("Content-Length", "")
        if length.isdigit() and int(length) != self.file.bytes - have:
            raise DownloadError(
                f"{url} offers {int(length) + have:,} bytes where the card says "
                f"{self.file.bytes:,} (another file, or the login page of a network)"
            )
        return have

    def _write(self, url: str, response: requests.Response, have: int, bar: Any) -> None:
        with self.part.open("ab" if have else "wb") as stream:
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                have += len(chunk)
                if have > self.file.bytes:
                    break
                stream.write(chunk)
                bar.update(len(chunk))
        if have > self.file.bytes:
            self.part.unlink()
            raise DownloadError(f"{url} sends more than the {self.file.bytes:,} bytes on the card")
        if have < self.file.bytes:
            raise _PassingError(_cut(have, self.file.bytes))

    def _named(self, url: str, error: Exception) -> Exception:
        """Say in a few words what requests and urllib3 say in many."""
        if isinstance(error, requests.exceptions.SSLError):
            return DownloadError(f"{url} has a certificate that is not trusted")
        if isinstance(error, requests.exceptions.ProxyError):
            return DownloadError(f"{url} could not be reached through the proxy of this machine")
        if isinstance(error, requests.exceptions.InvalidSchema | requests.exceptions.InvalidURL):
            return DownloadError(f"{url} is not an address that can be fetched")
        if isinstance(error, requests.exceptions.ConnectTimeout):
            return _PassingError(f"did not answer within {_CONNECT_SECONDS:.0f} s")
        if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
            return _PassingError(f"sent nothing for {_READ_SECONDS:g} s")
        if have := _size(self.part):
            return _PassingError(_cut(have, self.file.bytes))
        return _PassingError("could not be reached")


def _cut(have: int, total: int) -> str:
    return f"cut the line after {have / 1e6:,.1f} of {total / 1e6:,.1f} MB"


def _continues(response: requests.Response, have: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _retry_after(response: requests.Response) -> float:
    seconds = response.headers.get("Retry-After", "")
    return min(float(seconds), _LONGEST_WAIT) if seconds.isdigit() else 0.0


def _download(file: SourceFile, name: str, downloads: Path, progress: bool) -> Path:
    """Return the verified file, from the mirror or from the address on the card."""
    mirror = os.environ.get("LABKIT_MIRROR", "").strip()
    problems = []
    if mirror:
        try:
            return _from_mirror(mirror, file, name, downloads, progress)
        except DownloadError as problem:
            problems.append(f"the mirror: {problem}")
            _say(f"LABKIT_MIRROR does not help: {problem}. Going on with {file.url}.")
    try:
        return _retrieve(file.url, file, downloads, progress)
    except DownloadError as problem:
        problems.append(str(problem))
    raise DownloadError(f"{name} could not be fetched: {'; '.join(problems)}. {_OTHER_WAYS}")


def _from_mirror(mirror: str, file: SourceFile, name: str, downloads: Path, progress: bool) -> Path:
    if "://" in mirror:
        address = f"{mirror.rstrip('/')}/{name}/{quote(file.filename)}"
        return _retrieve(address, file, downloads, progress)
    path = Path(mirror).expanduser() / name / file.filename
    if not path.is_file():
        raise DownloadError(f"{path} is not there")
    return _retrieve(str(path), file, downloads, progress, _copy)


def _copy(path: str, output_file: str, pooch: object) -> None:
    try:
        shutil.copyfile(path, output_file)
    except OSError as error:
        if error.filename == path:
            raise DownloadError(f"{path} cannot be read ({error.strerror})") from None
        raise


def _retrieve(
    address: str,
    file: SourceFile,
    downloads: Path,
    progress: bool,
    downloader: Callable[[str, str, object], None] | None = None,
) -> Path:
    import pooch

    pooch.get_logger().setLevel("WARNING")  # what it says at INFO, the progress bar shows
    part = downloads / f"{file.filename}.part"
    downloader = downloader or ResumingDownloader(file, part, progress)
    while True:
        resumed = part.exists()
        try:
            with full_disk_named(downloads):
                path = pooch.retrieve(
                    address,
                    f"sha256:{file.sha256}",
                    file.filename,
                    downloads,
                    downloader=downloader,
                )
            return Path(path)
        except ValueError:  # pooch's word for another checksum; it has deleted the file
            # What was resumed may have been begun with another file: once more, from its start.
            part.unlink(missing_ok=True)
            if not resumed or downloader is _copy:
                raise DownloadError(
                    f"{address} has another checksum than the card (damaged, or changed since)"
                ) from None


def _bar(file: SourceFile, progress: bool) -> Any:
    return tqdm(
        total=file.bytes,
        desc=f"Downloading {file.filename}",
        unit="B",
        unit_scale=True,
        leave=False,
        disable=not progress,
    )


def _say(message: str) -> None:
    tqdm.write(message, file=sys.stderr)


# Unpacking -------------------------------------------------------------------------------

Row = tuple[str, str, str, str, str]
"""A line of manifest.csv: path, label, split ("" where the set is not split), group, sha256."""

Rule = Callable[[PurePosixPath], tuple[str, str] | None]
"""From a path in the archive to (class, group), or None for a file that is no image of the set."""


def _parent_folder(path: PurePosixPath) -> tuple[str, str] | None:
    return (path.parent.name.lower(), "") if path.parent.name else None


def _numbered_folder(path: PurePosixPath) -> tuple[str, str] | None:
    found = re.fullmatch(r"\d+_(\w+)", path.parent.name)
    slide = re.search(r"CRC-Prim-HE-(\d+)", path.name)
    return (found[1].lower(), f"slide_{slide[1]}" if slide else "") if found else None


def _breed_in_name(path: PurePosixPath) -> tuple[str, str] | None:
    breed = path.stem.rpartition("_")[0]
    return (breed, "") if breed else None


def _dog_breed_in_name(path: PurePosixPath) -> tuple[str, str] | None:
    # Oxford-IIIT Pet writes the breeds of dogs in lower case and those of cats with capitals.
    return _breed_in_name(path) if path.name.islower() else None


RULES: dict[str, Rule] = {
    "parent_folder": _parent_folder,
    "numbered_folder": _numbered_folder,
    "breed_in_name": _breed_in_name,
    "dog_breed_in_name": _dog_breed_in_name,
}


def _unpack(
    plan: FetchPlan, archives: Sequence[Path], stage: Path, new: Path, progress: bool
) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    left_out: list[str] = []
    with tqdm(desc="Unpacking", unit=" images", leave=False, disable=not progress) as bar:
        if plan.rule == "patch_camelyon":
            for row in _patches(archives, stage, new):
                rows.append(row)
                bar.update()
            return rows, left_out
        budget = 3 * plan.unpacked_bytes
        for archive in archives:
            for path, place, data in _images(archive, RULES[plan.rule]):
                bar.update()
                budget -= len(data)
                if budget < 0:
                    raise DataError(f"{archive.name} unpacks to far more than its card says")
                if _is_image(data):
                    rows.append(_write_image(new, path.name, place, data))
                else:
                    left_out.append(str(path))
    return rows, left_out


def _images(archive: Path, rule: Rule) -> Iterator[tuple[PurePosixPath, tuple[str, str], bytes]]:
    """Yield path, (class, group) and bytes of each file of the set, one at a time."""
    for name, stream in _members(archive):
        path = safe_member(name)
        wanted = path.suffix.lower() in EXTENSIONS and not path.name.startswith(".")
        if wanted and (place := rule(path)):
            data = stream.read(_LARGEST_FILE + 1)
            if len(data) > _LARGEST_FILE:
                raise DataError(f"{name} in {archive.name} is too large for an image")
            yield path, place, data


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and stream of each file of a zip or tar archive; links are refused."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if (info.external_attr >> 16) & 0o170000 == 0o120000:
                    raise DataError(f"it holds a link, {info.filename!r}")
                if not info.is_dir():
                    with zipped.open(info) as stream:
                        yield info.filename, stream
        return
    with tarfile.open(archive, "r|*") as tar:  # "|": one pass, nothing kept in memory
        for member in tar:
            if member.isdir():
                continue
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                raise DataError(f"it holds a link or a special file, {member.name!r}")
            yield member.name.removeprefix("./"), content


def _is_image(data: bytes) -> bool:
    """Look at the header only; `labkit data check` decodes."""
    try:
        Image.open(io.BytesIO(data)).close()
    except Exception:  # Pillow raises many types on damaged headers
        return False
    return True


def _write_image(new: Path, name: str, place: tuple[str, str], data: bytes) -> Row:
    label, group = place
    target = new / label / name
    target.parent.mkdir(exist_ok=True)
    try:
        with target.open("xb") as stream:
            stream.write(data)
    except FileExistsError:
        raise DataError(f"it holds two files that become {label}/{name}") from None
    return f"{label}/{name}", label, "", group, hashlib.sha256(data).hexdigest()


def _patches(archives: Sequence[Path], stage: Path, new: Path) -> Iterator[Row]:
    """Write PatchCamelyon's arrays, (n, 96, 96, 3) and (n, 1, 1, 1), as PNG files."""
    import h5py

    for split, short in (("train", "train"), ("validation", "valid"), ("test", "test")):
        with contextlib.ExitStack() as open_files:
            images, labels = (
                open_files.enter_context(h5py.File(_gunzip(archives, f"{short}_{key}", stage)))[key]
                for key in "xy"
            )
            for start in range(0, len(images), 256):
                batch = zip(images[start : start + 256], labels[start : start + 256], strict=True)
                for number, (pixels, label) in enumerate(batch, start):
                    name = "tumor" if label.item() else "no_tumor"
                    yield _write_patch(new, split, name, f"{short}_{number:06d}.png", pixels)
        for unpacked in stage.glob("*.h5"):
            unpacked.unlink()


def _gunzip(archives: Sequence[Path], ending: str, stage: Path) -> Path:
    """HDF5 is read at random, so it cannot be read through gzip: unpack one split at a time."""
    source = next(path for path in archives if path.name.endswith(f"{ending}.h5.gz"))
    target = stage / source.stem
    with gzip.open(source) as packed, target.open("wb") as stream:
        shutil.copyfileobj(packed, stream, _CHUNK)
    return target


def _write_patch(new: Path, split: str, label: str, file: str, pixels: Any) -> Row:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=3)
    target = new / split / label / file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(stream.getvalue())
    digest = hashlib.sha256(stream.getbuffer()).hexdigest()
    return f"{split}/{label}/{file}", label, split, "", digest


def _check_classes(rows: Sequence[Row], card: DatasetCard) -> None:
    found, expected = {row[1] for row in rows}, {kind.name for kind in card.classes}
    if found != expected:
        differing = choices(sorted(found ^ expected)[:5])
        raise DataError(
            f"The archive of {card.name} does not hold the classes of its card; they differ in "
            f"{differing}. Nothing was kept; correct datasets/{card.name}.yaml."
        )


def _write_records(new: Path, card: DatasetCard, rows: Sequence[Row], left_out: list[str]) -> None:
    with (new / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["path", "label", "split", "group", "sha256"])
        writer.writerows(sorted(rows))
    content = _marker(card) | {"images": len(rows), "left_out": sorted(left_out)}
    (new / MARKER).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _damage_named(name: str) -> Iterator[None]:
    """Name what is wrong inside an archive that has the right checksum: the card's fault."""
    try:
        yield
    except (*_DAMAGE, KeyError, StopIteration) as error:
        raise _unusable(name, str(error) or type(error).__name__) from None
    except DataError as problem:
        raise _unusable(name, str(problem)) from None


def _unusable(name: str, reason: str) -> LabkitError:
    return DataError(
        f"The archive of {name} cannot be unpacked: {reason}. Nothing was kept; correct "
        f"datasets/{name}.yaml, which names another file than it describes."
    )
