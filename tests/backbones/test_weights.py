"""Weight files: verified before use, and a good one is never replaced by a bad one."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

import labkit
from labkit.backbones import weights
from labkit.backbones.catalogue import BackboneInfo, backbone_info
from labkit.engine import keras
from labkit.errors import WeightsError

GOOD = b"good weights" * 1000


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras's folder of weights, empty."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras" / "models"


def network(**record: object) -> BackboneInfo:
    """An entry of the catalogue that publishes ``record`` about its weight file."""
    import dataclasses

    published = {"url": "https://example.org/", "no_top": {"file": "net.h5", **record}}
    return dataclasses.replace(backbone_info("VGG16"), weights=published)


class Server:
    """Takes the place of ``keras.utils.get_file``: delivers ``data``, keeps count."""

    def __init__(self, data: bytes) -> None:
        self.data, self.calls, self.meanwhile = data, 0, lambda: None

    def __call__(self, name: str, url: str, *, cache_dir: str) -> str:
        self.calls += 1
        self.meanwhile()
        path = Path(cache_dir) / "datasets" / name
        path.parent.mkdir()
        path.write_bytes(self.data)
        return str(path)


def serve(monkeypatch: pytest.MonkeyPatch, data: bytes) -> Server:
    server = Server(data)
    monkeypatch.setattr(keras.utils, "get_file", server)
    return server


MD5 = hashlib.md5(GOOD).hexdigest()
SHA256 = hashlib.sha256(GOOD).hexdigest()
RECORDS: list[dict[str, Any]] = [{"md5": MD5}, {"sha256": SHA256}, {"bytes": len(GOOD)}]


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: next(iter(r)))
def test_a_good_download_is_kept_and_used_again(
    record: dict[str, Any], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(monkeypatch, GOOD)
    for _ in range(2):
        path = weights.pretrained_file(network(**record))
        assert path == models / "net.h5"
        assert path.read_bytes() == GOOD
    assert server.calls == 1
    assert not [f for f in models.iterdir() if f.is_dir()]  # the download's folder is gone


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: next(iter(r)))
@pytest.mark.parametrize("bad", [b"<html>sign in</html>", GOOD[:-1], b""])
def test_a_bad_download_is_refused_and_leaves_nothing(
    record: dict[str, Any], bad: bytes, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, bad)
    kind, expected = next(iter(record.items()))
    found = len(bad) if kind == "bytes" else hashlib.new(kind, bad).hexdigest()
    with pytest.raises(WeightsError) as error:
        weights.pretrained_file(network(**record))
    assert all(str(part) in str(error.value) for part in ("net.h5", expected, found))
    assert [f.name for f in models.iterdir() if f.suffix != ".lock"] == []


def test_a_bad_download_does_not_replace_a_good_copy(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process puts a good copy there while a bad one is coming in."""
    server = serve(monkeypatch, b"garbage")
    server.meanwhile = lambda: (models / "net.h5").write_bytes(GOOD)
    with pytest.raises(WeightsError, match="damaged"):
        weights.pretrained_file(network(md5=MD5))
    assert (models / "net.h5").read_bytes() == GOOD
    assert weights.pretrained_file(network(md5=MD5)).read_bytes() == GOOD
    assert server.calls == 1


@pytest.mark.parametrize("bad", [GOOD[:-1], GOOD + b"x", b"other"])
def test_a_damaged_copy_is_refused_by_name_with_both_checksums(
    bad: bytes, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(monkeypatch, GOOD)
    models.mkdir(parents=True)
    (models / "net.h5").write_bytes(bad)
    with pytest.raises(WeightsError) as error:
        weights.pretrained_file(network(md5=MD5))
    for part in (str(models / "net.h5"), MD5, hashlib.md5(bad).hexdigest(), "Delete it"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    assert (models / "net.h5").read_bytes() == bad  # it is the user's file: left alone
    assert server.calls == 0


def test_without_a_published_checksum_the_first_one_counts(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, GOOD)
    path = weights.pretrained_file(network())
    assert weights.pretrained_file(network()) == path
    path.write_bytes(GOOD[:-1])
    with pytest.raises(WeightsError, match=SHA256):
        weights.pretrained_file(network())


def test_a_folder_that_may_only_be_read_is_no_obstacle(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lab's shared weights: the checksum of the first use cannot be noted there."""
    models.mkdir(parents=True)
    (models / "net.h5").write_bytes(GOOD)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert weights.pretrained_file(network()) == models / "net.h5"


def test_without_a_network_one_line_says_what_to_do(models: Path) -> None:
    """Keras's own download, for real: the tests' network is closed."""
    with pytest.raises(WeightsError) as error:
        labkit.load_backbone("MobileNetV2", image_size=96)
    message = str(error.value)
    file = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"
    assert message.startswith(file)
    assert str(models / file) in message
    assert "'EfficientNetLite0', whose weights need no network" in message
    assert "\n" not in message
    assert [f.name for f in models.iterdir() if f.suffix != ".lock"] == []


def test_the_packaged_weights_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = backbone_info("EfficientNetLite0")
    good = weights.pretrained_file(info)
    package = tmp_path / "cut_package"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / info.weights["file"]).write_bytes(good.read_bytes()[:-1])
    monkeypatch.syspath_prepend(str(tmp_path))
    import dataclasses

    cut = dataclasses.replace(info, weights={**info.weights, "package": "cut_package"})
    with pytest.raises(WeightsError, match=info.weights["sha256"]) as error:
        weights.pretrained_file(cut)
    assert str(package / info.weights["file"]) in str(error.value)
    (package / info.weights["file"]).unlink()
    with pytest.raises(WeightsError, match=r"cut-package.*not installed whole: pip install"):
        weights.pretrained_file(cut)
    absent = dataclasses.replace(info, weights={**info.weights, "package": "no_such_package"})
    with pytest.raises(WeightsError, match="no-such-package"):
        weights.pretrained_file(absent)


def test_keras_s_home_is_the_user_s_own_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_HOME")
    assert weights.weights_folder() == Path.home() / ".keras" / "models"


@pytest.mark.parametrize("info", labkit.list_backbones(), ids=lambda i: i.name)
def test_the_published_checksums_are_those_that_keras_passes(info: BackboneInfo) -> None:
    """Read them from the source of keras.applications, where each is a literal."""
    if info.offline:
        return
    source = "".join(
        file.read_text(encoding="utf-8")
        for file in (Path(keras.__file__).parent / "src" / "applications").glob("*.py")
    )
    for record in (info.weights["top"], info.weights["no_top"]):
        if "md5" in record:
            assert record["md5"] in source


def test_whether_weights_are_here_is_known_without_a_download(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(monkeypatch, GOOD)
    assert weights.has_weights(backbone_info("EfficientNetLite0"))
    assert not weights.has_weights(network())
    models.mkdir(parents=True)
    (models / "net.h5").write_bytes(GOOD)
    assert weights.has_weights(network())
    assert server.calls == 0
