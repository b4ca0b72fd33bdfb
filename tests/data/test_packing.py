"""Classroom packs: what goes in comes out; what cannot be trusted is refused, nothing written."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import stat
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.data import packing
from labkit.data.packing import MANIFEST, pack, safe_member, unpack
from labkit.errors import DataError, LabkitError
from labkit.paths import cache_folder

FILES = {
    "train/cat/1.jpg": b"a cat" * 100,
    "train/dog/1.jpg": b"a dog" * 100,
    "train/dog/Grösse 2.png": b"\x89PNG" * 50,
    "manifest.csv": b"path,label\n",
}


def tree(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def made(tmp_path: Path, cache: Path) -> Path:
    """A pack with the sets "mine" and "cats_vs_dogs" (which has a card) and one weights file."""
    mine = fill(tmp_path / "there" / "mine", FILES)
    pets = fill(tmp_path / "there" / "pets", {"cat/1.jpg": b"cat", "dog/1.jpg": b"dog"})
    weights = fill(tmp_path / "there", {"lite0.npz": bytes(range(256)) * 400}) / "lite0.npz"
    pack({"mine": mine, "cats_vs_dogs": pets}, [weights], tmp_path / "class.zip", progress=False)
    return tmp_path / "class.zip"


def datasets(cache: Path) -> dict[str, bytes]:
    """Everything under the cache that is visible to a reader; locks are empty."""
    return {name: data for name, data in tree(cache).items() if not name.startswith("locks/")}


def test_round_trip(made: Path, cache: Path) -> None:
    report = unpack(made, progress=False)
    assert tree(cache_folder("datasets", "mine")) == FILES
    pets = tree(cache_folder("datasets", "cats_vs_dogs"))
    assert pets.pop("card.yaml").startswith(b"name: cats_vs_dogs")
    assert pets == {"cat/1.jpg": b"cat", "dog/1.jpg": b"dog"}
    assert (cache / "weights" / "lite0.npz").read_bytes() == bytes(range(256)) * 400
    assert [(item.kind, item.name, item.state) for item in report.items] == [
        ("dataset", "cats_vs_dogs", "new"),
        ("dataset", "mine", "new"),
        ("weights", "lite0.npz", "new"),
    ]
    assert [item.path for item in report.items] == [
        cache / "datasets" / "cats_vs_dogs",
        cache / "datasets" / "mine",
        cache / "weights" / "lite0.npz",
    ]
    assert "Do not redistribute" in str(report)
    assert not list(cache.rglob(".labkit-staging-*"))


def test_weights_can_go_elsewhere(made: Path, cache: Path, tmp_path: Path) -> None:
    unpack(made, weights_folder=tmp_path / "elsewhere", progress=False)
    assert (tmp_path / "elsewhere" / "lite0.npz").is_file()
    assert not (cache / "weights" / "lite0.npz").exists()


def test_the_report_of_packing_says_what_went_in(tmp_path: Path, cache: Path) -> None:
    mine = fill(tmp_path / "mine", FILES)
    report = pack({"mine": mine}, [], tmp_path / "a.zip", progress=False)
    assert report.bytes == (tmp_path / "a.zip").stat().st_size
    (item,) = report.items
    assert (item.kind, item.name, item.path, item.files) == ("dataset", "mine", mine, 4)
    assert item.bytes == sum(map(len, FILES.values()))
    assert stat.S_IMODE((tmp_path / "a.zip").stat().st_mode) == 0o644


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, cache: Path) -> None:
    for name in ("a", "b"):
        mine = fill(tmp_path / name / "mine", FILES)
        os.utime(mine / "manifest.csv", (1e9, 1e9) if name == "a" else None)
        pack({"mine": mine}, [], tmp_path / f"{name}.zip", progress=False)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_unpacking_twice_changes_nothing(made: Path, cache: Path) -> None:
    unpack(made, progress=False)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.jpg")}
    states = {item.state for item in unpack(made, progress=False).items}
    assert states == {"already there"}
    assert before == {path: path.stat().st_mtime_ns for path in cache.rglob("*.jpg")}


def test_other_content_is_not_overwritten_unless_asked(made: Path, cache: Path) -> None:
    mine = fill(cache / "datasets" / "mine", {**FILES, "train/cat/1.jpg": b"another cat"})
    before = datasets(cache)
    with pytest.raises(DataError, match="is there already and differs from dataset mine"):
        unpack(made, progress=False)
    assert datasets(cache) == before
    states = {i.name: i.state for i in unpack(made, replace=True, progress=False).items}
    assert states["mine"] == "replaced"
    assert tree(mine) == FILES


def test_a_further_file_is_other_content(made: Path, cache: Path) -> None:
    fill(cache / "datasets" / "mine", {**FILES, "train/cat/2.jpg": b"mine"})
    with pytest.raises(DataError, match="differs"):
        unpack(made, progress=False)


def test_what_a_killed_process_left_is_cleared_a_day_later(made: Path, cache: Path) -> None:
    old, new = (cache / "datasets" / f".labkit-staging-{age}" for age in ("old", "new"))
    for folder in (old, new):
        fill(folder, {"half.jpg": b"half"})
    os.utime(old, (1e9, 1e9))
    unpack(made, progress=False)
    assert not old.exists()
    assert new.exists()  # another process may be at work in it


def test_an_empty_folder_is_in_nobodys_way(made: Path, cache: Path) -> None:
    (cache / "datasets" / "mine").mkdir(parents=True)
    unpack(made, progress=False)
    assert tree(cache / "datasets" / "mine") == FILES


def test_a_failing_swap_is_undone(made: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(cache / "datasets" / "cats_vs_dogs", {"cat/old.jpg": b"old"})
    before = datasets(cache)
    real = os.replace

    def fail_at_mine(source: Path, target: Path) -> None:
        if Path(target) == cache / "datasets" / "mine":
            raise OSError(13, "Permission denied")
        real(source, target)

    monkeypatch.setattr(os, "replace", fail_at_mine)
    with pytest.raises(OSError, match="Permission denied"):
        unpack(made, replace=True, progress=False)
    assert datasets(cache) == before


def test_links_in_a_folder_are_packed_as_files_and_loops_end(tmp_path: Path, cache: Path) -> None:
    mine = fill(tmp_path / "mine", {"cat/1.jpg": b"cat"})
    elsewhere = fill(tmp_path / "elsewhere", {"2.jpg": b"two"})
    (mine / "cat" / "2.jpg").symlink_to(elsewhere / "2.jpg")
    (mine / "cat" / "gone.jpg").symlink_to(elsewhere / "gone.jpg")
    (mine / "cat" / "loop").symlink_to(mine)
    (mine / "dog").symlink_to(elsewhere)
    (mine / ".hidden").write_text("not for the class")
    pack({"mine": mine}, [], tmp_path / "a.zip", progress=False)
    unpack(tmp_path / "a.zip", progress=False)
    assert tree(cache / "datasets" / "mine") == {
        "cat/1.jpg": b"cat",
        "cat/2.jpg": b"two",
        "dog/2.jpg": b"two",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda p: ({}, []), "nothing to pack"),
        (lambda p: ({"mine": p / "gone"}, []), "has no folder"),
        (lambda p: ({"mine": p / "empty"}, []), "holds no files"),
        (lambda p: ({"../mine": p / "full"}, []), "cannot be named"),
        (lambda p: ({}, [p / "gone.npz"]), "is not there"),
        (lambda p: ({}, [p / "full" / "a", p / "other" / "a"]), "Two weights files"),
        (lambda p: ({"mine": p / "strange"}, []), "Rename it"),
        (lambda p: ({"mine": p}, []), "would lie inside the dataset"),
    ],
)
def test_what_cannot_be_packed(
    tmp_path: Path,
    cache: Path,
    arguments: Callable[[Path], tuple[dict[str, Path], list[Path]]],
    message: str,
) -> None:
    source = tmp_path / "source"
    fill(source, {"full/a": b"a", "other/a": b"b", "strange/a:b.jpg": b"c"})
    (source / "empty").mkdir()
    sets, weights = arguments(source)
    with pytest.raises(DataError, match=message) as error:
        pack(sets, weights, source / "out.zip", progress=False)
    assert "\n" not in str(error.value)
    assert sorted(path.name for path in source.iterdir()) == ["empty", "full", "other", "strange"]


def test_a_full_disk_leaves_no_pack(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = fill(tmp_path / "mine", FILES)
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(LabkitError, match=r"Too little disk space for the pack a\.zip"):
        pack({"mine": mine}, [], tmp_path / "a.zip", progress=False)
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("where", ["before", "during"])
def test_a_full_disk_leaves_no_dataset(
    made: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if where == "before":
        usage = shutil.disk_usage(made.parent)._replace(free=1000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    else:
        monkeypatch.setattr(packing, "_extract", full)
    with pytest.raises(LabkitError, match="LABKIT_CACHE"):
        unpack(made, progress=False)
    assert datasets(cache) == {}


# Refused: damaged, hostile, foreign, newer


def rewrite(
    made: Path,
    change: Callable[[dict[str, bytes]], None],
    manifest: Callable[[dict[str, object]], None] = lambda _: None,
    info: Callable[[zipfile.ZipInfo], None] = lambda _: None,
) -> Path:
    """Make the pack anew with other members, another manifest or other member attributes."""
    with zipfile.ZipFile(made) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(members[MANIFEST])
    change(members)
    manifest(content)
    if MANIFEST in members:
        members[MANIFEST] = json.dumps(content).encode()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            info(entry)
            archive.writestr(entry, data)
    return made


def listed(name: str, data: bytes) -> Callable[[dict[str, object]], None]:
    """Add a file to the manifest, with the right size and checksum."""

    def change(content: dict[str, object]) -> None:
        digest = hashlib.sha256(data).hexdigest()
        content["files"].append({"path": name, "bytes": len(data), "sha256": digest})  # type: ignore[attr-defined]
        content["total_bytes"] += len(data)  # type: ignore[operator]

    return change


def hostile(name: str) -> Callable[[Path], Path]:
    return lambda made: rewrite(made, lambda m: m.update({name: b"evil"}), listed(name, b"evil"))


CAT = "datasets/mine/train/cat/1.jpg"


def as_link(entry: zipfile.ZipInfo) -> None:
    if entry.filename == CAT:
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16


def as_pipe(entry: zipfile.ZipInfo) -> None:
    if entry.filename == CAT:
        entry.external_attr = (stat.S_IFIFO | 0o644) << 16


def nothing(_: object) -> None:
    """Change nothing."""


def bomb(made: Path) -> Path:
    data = bytes(300_000_000)
    name = "datasets/mine/train/cat/bomb.jpg"
    return rewrite(made, lambda m: m.update({name: data}), listed(name, data))


def twice(made: Path) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(made, "a") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(CAT, b"evil")
    return made


def flip_a_byte(made: Path) -> Path:
    data = bytearray(made.read_bytes())
    data[data.index(b"a cat")] ^= 1
    made.write_bytes(bytes(data))
    return made


def lie_about_size(made: Path) -> Path:
    """Say in the archive's own directory that a stored file is smaller than it is."""
    with zipfile.ZipFile(made) as archive:
        info = archive.getinfo(CAT)
    data = made.read_bytes()
    true, false = info.file_size.to_bytes(4, "little") * 2, (5).to_bytes(4, "little") * 2
    assert data.count(true) >= 2
    made.write_bytes(data.replace(true, false))
    return made


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a changed byte": (flip_a_byte, "damaged|another checksum"),
    "sizes that lie": (lie_about_size, "another size than it lists"),
    "changed content": (lambda m: rewrite(m, lambda f: f.update({CAT: b"x" * 500})), "checksum"),
    "changed size": (lambda m: rewrite(m, lambda f: f.update({CAT: b"x"})), "another size"),
    "a missing file": (lambda m: rewrite(m, lambda f: nothing(f.pop(CAT))), "lacks 1 of its files"),
    "a further file": (
        lambda m: rewrite(m, lambda f: f.update({"datasets/mine/x.jpg": b"x"})),
        "1 files that it does not list",
    ),
    "a file twice": (twice, "more than once"),
    "a path that climbs": (hostile("datasets/mine/../../../evil"), "unsafe path"),
    "a path that climbs at once": (hostile("../evil"), "unsafe path"),
    "an absolute path": (hostile("/tmp/labkit-evil"), "unsafe path"),
    "a drive letter": (hostile("C:/evil"), "unsafe path"),
    "a drive letter inside": (hostile("datasets/mine/C:evil"), "unsafe path"),
    "backslashes": (hostile("datasets\\mine\\..\\evil"), "unsafe path"),
    "a doubled slash": (hostile("datasets/mine//evil"), "unsafe path"),
    "another place": (hostile("bin/evil"), "neither to a dataset nor to the weights"),
    "a hidden dataset": (hostile("datasets/.mine/evil"), "neither to a dataset"),
    "weights in a folder": (hostile("weights/a/evil"), "neither to a dataset"),
    "a link": (lambda m: rewrite(m, nothing, nothing, as_link), "is a link"),
    "a pipe": (lambda m: rewrite(m, nothing, nothing, as_pipe), "is a special file"),
    "a bomb": (bomb, "decompression bomb"),
    "a newer format": (
        lambda m: rewrite(m, nothing, lambda c: c.update(version=2)),
        "newer format 2, and this labkit reads 1",
    ),
    "another program's": (
        lambda m: rewrite(m, nothing, lambda c: c.update(format="other")),
        "of another program",
    ),
    "no list": (lambda m: rewrite(m, nothing, lambda c: nothing(c.pop("files"))), "cannot be read"),
    "sums that are off": (
        lambda m: rewrite(m, nothing, lambda c: c.update(total_bytes=1)),
        "do not add up",
    ),
    "cut short": (
        lambda m: nothing(m.write_bytes(m.read_bytes()[:-200])) or m,  # type: ignore[func-returns-value]
        "zip archive that was cut short",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_pack_that_cannot_be_trusted_writes_nothing(
    made: Path, cache: Path, tmp_path: Path, spoil: Callable[[Path], Path], message: str
) -> None:
    spoil(made)
    with pytest.raises(DataError, match=message) as error:
        unpack(made, progress=False)
    assert str(made) in str(error.value)
    assert "\n" not in str(error.value)
    assert "othing was written" in str(error.value)
    assert datasets(cache) == {}
    assert not list(tmp_path.rglob("*evil*"))


def a_tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"))
    return stream.getvalue()


def a_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("holiday/beach.jpg", b"sand")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (a_zip(), r"zip archive but not a labkit pack.*1 files, first 'holiday/beach\.jpg'"),
        (a_tar(), "a tar archive"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"  <!doctype html><html>Sign in", "a web page"),
        (b"", "an empty file"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"hello", "another kind of file"),
    ],
)
def test_a_foreign_file_is_called_what_it_is(
    tmp_path: Path, cache: Path, data: bytes, what: str
) -> None:
    file = tmp_path / "pack.zip"
    file.write_bytes(data)
    with pytest.raises(DataError, match=what):
        unpack(file, progress=False)
    assert datasets(cache) == {}


def test_no_file(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        unpack(tmp_path / "gone.zip", progress=False)


def test_random_damage_is_refused_or_harmless(made: Path, cache: Path) -> None:
    whole = made.read_bytes()
    numbers = random.Random(0)
    refusals = []
    for _ in range(150):
        spoiled = bytearray(whole)
        # Half of the damage goes to the archive's directory at its end, which zipfile trusts.
        first = numbers.choice([0, len(spoiled) - 1000])
        for _ in range(numbers.choice([1, 1, 4])):
            spoiled[numbers.randrange(first, len(spoiled))] = numbers.randrange(256)
        made.write_bytes(bytes(spoiled))
        shutil.rmtree(cache, ignore_errors=True)
        try:
            unpack(made, progress=False)
        except DataError as error:
            refusals.append(str(error))
            assert datasets(cache) == {}
        else:  # a byte that nobody reads, such as a date: all came out as it went in
            assert tree(cache / "datasets" / "mine") == FILES
    assert len(refusals) > 100
    assert not any("\n" in refusal for refusal in refusals)


@pytest.mark.parametrize("name", ["a/b.jpg", "a", "Größe/1 2.jpg", "a..b/c...d"])
def test_safe_names(name: str) -> None:
    assert str(safe_member(name)) == name


@pytest.mark.parametrize(
    "name",
    ["", "/a", "../a", "a/../b", "a//b", "./a", "a/", "C:/a", "a\\b", "a\nb", "a\0b", "//h/a"],
)
def test_unsafe_names(name: str) -> None:
    with pytest.raises(DataError, match="unsafe path"):
        safe_member(name)
