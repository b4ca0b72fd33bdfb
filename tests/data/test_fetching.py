"""Fetching against a local server that misbehaves: nothing half-written is ever used."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import multiprocessing
import shutil
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import local_server as serving
import numpy as np
import pytest
from local_server import LocalServer
from PIL import Image

from labkit.data import fetching
from labkit.data.cards import DatasetCard, FetchPlan, SourceFile, cards_folder, load_card
from labkit.data.checking import check_folder
from labkit.data.fetching import MARKER, RULES, fetch
from labkit.errors import DataError, DownloadError, LabkitError


def picture(seed: int, form: str = "JPEG", size: int = 40) -> bytes:
    numbers = np.random.default_rng(seed)
    coarse = numbers.integers(0, 256, (5, 5, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC).save(stream, form)
    return stream.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(files: dict[str, bytes], *links: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return stream.getvalue()


PETS = {
    "CDLA-Permissive-2.0.pdf": b"%PDF",
    **{f"PetImages/Cat/{n}.jpg": picture(n) for n in range(6)},
    **{f"PetImages/Dog/{n}.jpg": picture(n + 50) for n in range(6)},
    "PetImages/Cat/666.jpg": b"",
    "PetImages/Dog/Thumbs.db": b"\0\1",
}
ARCHIVE = zipped(PETS)
PATH = "/files/kagglecatsanddogs_5340.zip"


class Classroom(NamedTuple):
    """A local server with the archive, a cache of one's own, and the card that points at it."""

    server: LocalServer
    cache: Path
    use: Callable[..., DatasetCard]

    def part(self) -> Path:
        return self.cache / "downloads" / "cats_vs_dogs" / f"{Path(PATH).name}.part"

    def nothing_there(self) -> None:
        """Assert that no dataset and no staging folder is left."""
        datasets = self.cache / "datasets"
        assert not datasets.exists() or not list(datasets.iterdir())


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Classroom]:
    for name in ("LABKIT_MIRROR", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetching, "FIRST_WAIT", 0.005)
    monkeypatch.setattr(fetching, "_READ_SECONDS", 0.4)
    with LocalServer() as server:

        def use(name: str = "cats_vs_dogs", files: dict[str, bytes] | None = None) -> DatasetCard:
            contents = files or {PATH: ARCHIVE}
            server.files |= contents
            sources = tuple(
                SourceFile(server.address + path, hashlib.sha256(data).hexdigest(), len(data))
                for path, data in contents.items()
            )
            card = load_card(name)
            assert card.fetch is not None
            classes = card.classes
            card = replace(card, fetch=replace(card.fetch, files=sources), classes=classes)
            monkeypatch.setattr(fetching, "load_card", lambda asked: card)
            monkeypatch.setattr(fetching, "need_space", lambda *_: None)
            return card

        use()
        yield Classroom(server, tmp_path / "cache", use)


def images(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.parent != folder)
    return sorted(path.relative_to(folder).as_posix() for path in found)


GOOD = sorted([f"{kind}/{n}.jpg" for kind in ("cat", "dog") for n in range(6)])


def test_fetch_makes_class_folders_with_a_manifest(room: Classroom) -> None:
    folder = fetch("cats_vs_dogs", progress=False)
    assert folder == room.cache / "datasets" / "cats_vs_dogs"
    assert images(folder) == GOOD
    marker = json.loads((folder / MARKER).read_text())
    assert marker["images"] == 12
    assert marker["left_out"] == ["PetImages/Cat/666.jpg"]
    with (folder / "manifest.csv").open(newline="") as stream:
        rows = {row["path"]: row for row in csv.DictReader(stream)}
    assert sorted(rows) == GOOD
    for path, row in rows.items():
        assert row["sha256"] == hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert row["label"] == path.split("/")[0]
    assert [finding.kind for finding in check_folder(folder, progress=False).findings] == [
        "no-splits"
    ]
    assert not (room.cache / "downloads" / "cats_vs_dogs").exists()
    assert sorted(p.name for p in folder.parent.iterdir()) == ["cats_vs_dogs"]


def test_a_second_fetch_asks_for_nothing(room: Classroom) -> None:
    first = fetch("cats_vs_dogs", progress=False)
    asked = len(room.server.log)
    assert fetch("cats_vs_dogs", progress=False) == first
    assert len(room.server.log) == asked


def test_a_folder_can_be_given(room: Classroom, tmp_path: Path) -> None:
    assert fetch("cats_vs_dogs", folder=tmp_path / "here" / "pets", progress=False) == (
        tmp_path / "here" / "pets"
    )
    assert images(tmp_path / "here" / "pets") == GOOD


def test_files_that_somebody_put_there_are_left_alone(room: Classroom) -> None:
    mine = room.cache / "datasets" / "cats_vs_dogs" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(DataError, match="already holds files"):
        fetch("cats_vs_dogs", progress=False)
    assert mine.read_text() == "mine"
    assert room.server.log == []


def test_a_cut_line_is_resumed_where_it_was_cut(room: Classroom) -> None:
    third = len(ARCHIVE) // 3
    room.server.script[PATH] = [serving.cut(third), serving.cut(third), serving.serve]
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD
    assert [asked for _, asked in room.server.log] == [
        None,
        f"bytes={third}-",
        f"bytes={2 * third}-",
    ]


def test_a_killed_process_is_resumed_by_the_next(room: Classroom) -> None:
    room.part().parent.mkdir(parents=True)
    room.part().write_bytes(ARCHIVE[:1000])
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD
    assert room.server.log == [(PATH, "bytes=1000-")]


def test_a_finished_part_is_not_asked_for_again(room: Classroom) -> None:
    room.part().parent.mkdir(parents=True)
    room.part().write_bytes(ARCHIVE)
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD
    assert room.server.log == []


@pytest.mark.parametrize("rubbish", [b"x" * 500, b"x" * (len(ARCHIVE) + 5), b"x" * len(ARCHIVE)])
def test_a_part_of_another_file_is_thrown_away(room: Classroom, rubbish: bytes) -> None:
    room.part().parent.mkdir(parents=True)
    room.part().write_bytes(rubbish)
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD


PASSING = {
    "ignores Range": [serving.cut(2000), serving.ignore_range],
    "sends another range": [serving.cut(2000), serving.wrong_range, serving.serve],
    "is overloaded": [serving.status(503), serving.status(429, Retry_After="0"), serving.serve],
    "answers 416": [serving.cut(2000), serving.status(416), serving.serve],
    "is slow": [serving.slow],
    "stalls": [serving.stall, serving.serve],
    "names no length": [serving.without_length],
    "names no length and cuts": [serving.short_without_length, serving.without_length],
    "hangs up at once": [serving.cut(0), serving.cut(0), serving.serve],
}


@pytest.mark.parametrize("script", PASSING.values(), ids=PASSING.keys())
def test_a_passing_fault_is_survived(room: Classroom, script: list[serving.Behaviour]) -> None:
    room.server.script[PATH] = list(script)
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD


LASTING = {
    "wrong bytes": (serving.wrong_bytes, "has another checksum than the card", 1),
    "403": (serving.status(403), "answered 403 Forbidden", 1),
    "404": (serving.status(404), "answered 404 Not Found", 1),
    "503 for good": (serving.status(503), "answered 503 Service Unavailable (5 attempts", 5),
    "too short a length": (serving.lie(10), "offers 10 bytes where the card says", 1),
    "too long a length": (serving.lie(10**9), "offers 1,000,000,000 bytes where the card", 1),
    "endless": (serving.endless, "sends more than the", 1),
    "always cut at once": (serving.cut(0), "could not be reached (5 attempts", 5),
    "never past the middle": (
        lambda handler, data: (handler.head(200, len(data)), handler.wfile.write(data[:900]))[0],
        "cut the line after 0.0 of 0.0 MB",
        5,
    ),
}


@pytest.mark.parametrize(("behaviour", "message", "requests"), LASTING.values(), ids=LASTING.keys())
def test_a_lasting_fault_is_one_line_and_leaves_no_dataset(
    room: Classroom, behaviour: serving.Behaviour, message: str, requests: int
) -> None:
    room.server.script[PATH] = [behaviour]
    with pytest.raises(DownloadError) as error:
        fetch("cats_vs_dogs", progress=False)
    text = str(error.value)
    assert message in text
    assert "\n" not in text
    assert room.server.address in text
    assert "labkit data unpack" in text
    assert "LABKIT_MIRROR" in text
    assert len(room.server.log) == requests
    room.nothing_there()
    assert not room.part().with_suffix("").exists()  # no unverified archive under its own name


def test_after_a_fault_the_next_fetch_succeeds(room: Classroom) -> None:
    room.server.script[PATH] = [serving.wrong_bytes, serving.serve]
    with pytest.raises(DownloadError):
        fetch("cats_vs_dogs", progress=False)
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD


def test_nobody_there(room: Classroom) -> None:
    room.server.shutdown()
    room.server.server_close()
    with pytest.raises(DownloadError, match=r"could not be reached \(5 attempts"):
        fetch("cats_vs_dogs", progress=False)


def test_a_gzip_file_is_not_unpacked_on_the_way(room: Classroom) -> None:
    files = {f"images/beagle_{n}.jpg": picture(n) for n in range(3)}
    classes = load_card("dog_breeds").classes
    files |= {f"images/{kind.name}_1.jpg": picture(60 + i) for i, kind in enumerate(classes)}
    path = "/pets/images.tar.gz"
    room.use("dog_breeds", {path: tarred(files)})
    room.server.script[path] = [serving.labelled_gzip]
    assert "beagle/beagle_2.jpg" in images(fetch("dog_breeds", progress=False))


# Mirrors and proxies


def test_a_mirror_is_asked_first(room: Classroom, monkeypatch: pytest.MonkeyPatch) -> None:
    mirrored = f"/mirror/cats_vs_dogs/{Path(PATH).name}"
    room.server.files[mirrored] = ARCHIVE
    monkeypatch.setenv("LABKIT_MIRROR", f"{room.server.address}/mirror/")
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD
    assert [path for path, _ in room.server.log] == [mirrored]


def test_a_folder_is_a_mirror(
    room: Classroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mirror" / "cats_vs_dogs" / Path(PATH).name
    file.parent.mkdir(parents=True)
    file.write_bytes(ARCHIVE)
    monkeypatch.setenv("LABKIT_MIRROR", str(tmp_path / "mirror"))
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD
    assert room.server.log == []
    assert file.read_bytes() == ARCHIVE


@pytest.mark.parametrize("fault", ["missing", "wrong"])
@pytest.mark.parametrize("kind", ["address", "folder"])
def test_a_bad_mirror_is_named_and_the_origin_helps(
    room: Classroom,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    fault: str,
) -> None:
    wrong = {"missing": None, "wrong": bytes(len(ARCHIVE))}[fault]
    file = tmp_path / "mirror" / "cats_vs_dogs" / Path(PATH).name
    monkeypatch.setenv("LABKIT_MIRROR", str(tmp_path / "mirror"))
    if kind == "address":
        monkeypatch.setenv("LABKIT_MIRROR", f"{room.server.address}/mirror")
    if wrong is not None:
        room.server.files[f"/mirror/cats_vs_dogs/{file.name}"] = wrong
        file.parent.mkdir(parents=True)
        file.write_bytes(wrong)
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD
    assert "LABKIT_MIRROR does not help" in capsys.readouterr().err


def test_when_mirror_and_origin_fail_both_are_named(
    room: Classroom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_MIRROR", str(tmp_path / "mirror"))
    room.server.script[PATH] = [serving.status(403)]
    with pytest.raises(DownloadError) as error:
        fetch("cats_vs_dogs", progress=False)
    assert "mirror/cats_vs_dogs/kagglecatsanddogs_5340.zip is not there" in str(error.value)
    assert "answered 403" in str(error.value)


def test_the_proxy_of_the_environment_is_used(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The local server plays the proxy: it is asked for the whole address of the far host.
    card = room.use()
    assert card.fetch is not None
    far = replace(card.fetch.files[0], url=f"http://far.invalid{PATH}")
    away = replace(card, fetch=replace(card.fetch, files=(far,)))
    monkeypatch.setattr(fetching, "load_card", lambda name: away)
    monkeypatch.setenv("HTTP_PROXY", room.server.address)
    monkeypatch.setenv("http_proxy", room.server.address)
    room.server.files[far.url] = ARCHIVE
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD
    assert room.server.log == [(far.url, None)]


# Disk and processes


def test_too_small_a_disk_is_said_before_anything_is_asked(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("LABKIT_CACHE", str(room.cache))
    usage = shutil.disk_usage(room.cache.parent)._replace(free=300_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(LabkitError) as error:
        fetch("cats_vs_dogs", progress=False)
    assert "1,725 MB are needed" in str(error.value)
    assert "300 MB are free" in str(error.value)
    assert room.server.log == []


def test_a_disk_that_fills_up_leaves_nothing(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetching, "_write_image", full)
    with pytest.raises(LabkitError, match="The disk is full"):
        fetch("cats_vs_dogs", progress=False)
    room.nothing_there()


def test_a_dying_process_leaves_no_dataset(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "_write_records", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("cats_vs_dogs", progress=False)
    room.nothing_there()


def _fetch_in_child(results: multiprocessing.Queue[list[str]]) -> None:
    results.put(images(fetch("cats_vs_dogs", progress=False)))


@pytest.mark.skipif(sys.platform == "win32", reason="the card is handed over by forking")
def test_two_processes_download_once(room: Classroom) -> None:
    room.server.script[PATH] = [serving.slow]
    context = multiprocessing.get_context("fork")  # keeps the card that points at the server
    results: multiprocessing.Queue[list[str]] = context.Queue()
    children = [context.Process(target=_fetch_in_child, args=(results,)) for _ in range(2)]
    for child in children:
        child.start()
    found = [results.get(timeout=30) for _ in children]
    for child in children:
        child.join(30)
    assert found == [GOOD, GOOD]
    assert len(room.server.log) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="the card is handed over by forking")
def test_a_process_killed_in_the_middle_harms_nobody(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "_CHUNK", 500)
    room.server.script[PATH] = [serving.slow, serving.serve]
    context = multiprocessing.get_context("fork")
    child = context.Process(target=fetch, args=("cats_vs_dogs",), kwargs={"progress": False})
    child.start()
    deadline = time.monotonic() + 20
    while not (room.part().exists() and room.part().stat().st_size > 1000):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    child.kill()
    child.join(20)
    room.nothing_there()
    have = room.part().stat().st_size
    assert 1000 < have < len(ARCHIVE)
    assert images(fetch("cats_vs_dogs", progress=False)) == GOOD
    assert [asked for _, asked in room.server.log] == [None, f"bytes={have}-"]


def test_two_threads_download_once(room: Classroom) -> None:
    room.server.script[PATH] = [serving.slow]
    threads = [
        threading.Thread(target=fetch, args=("cats_vs_dogs",), kwargs={"progress": False})
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(room.server.log) == 1


# What becomes of the archives


@pytest.mark.parametrize(
    ("rule", "path", "place"),
    [
        ("parent_folder", "PetImages/Cat/7.jpg", ("cat", "")),
        ("parent_folder", "7.jpg", None),
        ("numbered_folder", "Kather/01_TUMOR/1_CRC-Prim-HE-03_9.tif", ("tumor", "slide_03")),
        ("numbered_folder", "Kather/readme.tif", None),
        ("breed_in_name", "images/Egyptian_Mau_14.jpg", ("Egyptian_Mau", "")),
        ("breed_in_name", "images/pug_1.jpg", ("pug", "")),
        ("dog_breed_in_name", "images/great_pyrenees_9.jpg", ("great_pyrenees", "")),
        ("dog_breed_in_name", "images/Bengal_9.jpg", None),
    ],
)
def test_rules(rule: str, path: str, place: tuple[str, str] | None) -> None:
    assert RULES[rule](PurePosixPath(path)) == place


def test_every_rule_of_a_card_exists() -> None:
    schema = json.loads((cards_folder() / "card.schema.json").read_text())
    names = schema["properties"]["fetch"]["properties"]["rule"]["enum"]
    assert {*RULES, "patch_camelyon"} == set(names)


def test_the_slide_of_a_histology_tile_becomes_its_group(room: Classroom) -> None:
    card = load_card("colorectal_histology")
    files = {
        f"Kather/0{i}_{kind.name.upper()}/{n}_CRC-Prim-HE-0{n}_1.tif": picture(10 * i + n, "TIFF")
        for i, kind in enumerate(card.classes)
        for n in (1, 2)
    }
    room.use("colorectal_histology", {"/k/tiles.zip": zipped(files)})
    folder = fetch("colorectal_histology", progress=False)
    with (folder / "manifest.csv").open(newline="") as stream:
        assert {row["group"] for row in csv.DictReader(stream)} == {"slide_01", "slide_02"}
    assert len(images(folder)) == 16


def test_patches_of_camelyon_become_png_files(room: Classroom) -> None:
    h5py = pytest.importorskip("h5py")
    numbers = np.random.default_rng(0)
    files, expected = {}, {}
    for split, short in (("train", "train"), ("validation", "valid"), ("test", "test")):
        arrays = {
            "x": numbers.integers(0, 256, (5, 96, 96, 3), dtype=np.uint8),
            "y": np.array([0, 1, 1, 0, 1], dtype=np.uint8).reshape(5, 1, 1, 1),
        }
        for key, array in arrays.items():
            stream = io.BytesIO()
            with h5py.File(stream, "w") as file:
                file[key] = array
            name = f"/pcam/camelyonpatch_level_2_split_{short}_{key}.h5.gz"
            files[name] = gzip.compress(stream.getvalue())
        for i, label in enumerate(arrays["y"].ravel()):
            kind = "tumor" if label else "no_tumor"
            expected[f"{split}/{kind}/{short}_{i:06d}.png"] = arrays["x"][i]
    room.use("patch_camelyon", files)
    folder = fetch("patch_camelyon", progress=False)
    assert images(folder) == sorted(expected)
    for path, pixels in expected.items():
        np.testing.assert_array_equal(np.asarray(Image.open(folder / path)), pixels)
    assert check_folder(folder, progress=False).ok


HOSTILE = {
    "leaves the folder": zipped({**PETS, "PetImages/Cat/../../../evil.jpg": picture(1)}),
    "absolute": zipped({**PETS, "/tmp/Cat/evil.jpg": picture(1)}),
    "backslash": zipped({**PETS, "PetImages/Cat/..\\evil.jpg": picture(1)}),
    "twice": zipped({**PETS, "Other/Cat/1.jpg": picture(1)}),
    "no zip": b"this is no archive at all, but has the right checksum",
    "other classes": zipped({**PETS, "PetImages/Cow/1.jpg": picture(1)}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_archive_that_is_not_as_described_leaves_nothing(
    room: Classroom, tmp_path: Path, data: bytes
) -> None:
    room.use("cats_vs_dogs", {PATH: data})
    with pytest.raises(DataError) as error:
        fetch("cats_vs_dogs", progress=False)
    assert "datasets/cats_vs_dogs.yaml" in str(error.value)
    assert "\n" not in str(error.value)
    room.nothing_there()
    assert not list(tmp_path.rglob("evil*"))


def test_a_link_in_an_archive_is_refused(room: Classroom) -> None:
    path = "/pets/images.tar.gz"
    room.use("dog_breeds", {path: tarred({"images/pug_1.jpg": picture(1)}, "images/pug_2.jpg")})
    with pytest.raises(DataError, match=r"a link or a special file, 'images/pug_2\.jpg'"):
        fetch("dog_breeds", progress=False)
    room.nothing_there()


def test_an_archive_that_swells_is_stopped(
    room: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = room.use()
    assert card.fetch is not None
    small = replace(card, fetch=FetchPlan(card.fetch.rule, 1000, card.fetch.files))
    monkeypatch.setattr(fetching, "load_card", lambda name: small)
    with pytest.raises(DataError, match="unpacks to far more than its card says"):
        fetch("cats_vs_dogs", progress=False)
    room.nothing_there()


def test_a_set_without_an_archive_says_what_else_there_is() -> None:
    with pytest.raises(DataError) as error:
        fetch("cancer_cells", progress=False)
    assert "'patch_camelyon'" in str(error.value)
    assert "LABKIT_DATA" in str(error.value)


def test_an_unknown_set_lists_the_cards() -> None:
    with pytest.raises(DataError, match="no dataset card"):
        fetch("imagenet", progress=False)
