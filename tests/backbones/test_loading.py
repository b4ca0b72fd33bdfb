"""Building networks: shapes, preprocessing, weight files, and what they say of pictures."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

import labkit
from labkit.anatomy import all_layers, anatomy
from labkit.backbones.catalogue import backbone_info
from labkit.engine import keras
from labkit.errors import ModelError, WeightsError

NAMES = [info.name for info in labkit.list_backbones()]

# Side of the image, side and channels of the feature map: the smallest image each takes.
FEATURE_MAPS = {
    "EfficientNetLite0": (32, 1, 1280), "Xception": (71, 3, 2048), "VGG16": (32, 1, 512),
    "VGG19": (32, 1, 512), "ResNet50": (32, 1, 2048), "ResNet101": (32, 1, 2048),
    "ResNet152": (32, 1, 2048), "ResNet50V2": (32, 1, 2048), "ResNet101V2": (32, 1, 2048),
    "ResNet152V2": (32, 1, 2048), "InceptionV3": (75, 1, 2048),
    "InceptionResNetV2": (75, 1, 1536), "MobileNet": (32, 1, 1024), "MobileNetV2": (32, 1, 1280),
    "EfficientNetB0": (32, 1, 1280),
}  # fmt: skip

# The module of keras.applications with each network's own preprocess_input.
MODULES = {
    "Xception": "xception", "VGG16": "vgg16", "VGG19": "vgg19", "ResNet50": "resnet",
    "ResNet101": "resnet", "ResNet152": "resnet", "ResNet50V2": "resnet_v2",
    "ResNet101V2": "resnet_v2", "ResNet152V2": "resnet_v2", "InceptionV3": "inception_v3",
    "InceptionResNetV2": "inception_resnet_v2", "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet_v2", "EfficientNetB0": "efficientnet",
}  # fmt: skip


@cache
def headless(name: str) -> Any:
    return labkit.load_backbone(name, weights=None, image_size=FEATURE_MAPS[name][0])


def noise(size: int, n: int = 2) -> np.ndarray:
    return np.random.default_rng(size).integers(0, 256, (n, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_the_base_gives_a_feature_map(name: str) -> None:
    size, side, channels = FEATURE_MAPS[name]
    base = headless(name)
    assert base.name == name
    assert base.input_shape == (None, size, size, 3)
    assert base.output_shape == (None, side, side, channels)
    assert backbone_info(name).smallest_size == size


@pytest.mark.parametrize("name", NAMES)
def test_too_small_images_are_refused(name: str) -> None:
    for size in (FEATURE_MAPS[name][0] - 1, 0, -224, 100.0, "224"):
        with pytest.raises(ModelError, match=re.escape(repr(size))) as error:
            labkit.load_backbone(name, weights=None, image_size=size)  # type: ignore[arg-type]
        assert f"{FEATURE_MAPS[name][0]} x {FEATURE_MAPS[name][0]}" in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_all_of_the_base(name: str) -> None:
    base = headless(name)
    blocks = anatomy(base).blocks
    names = [block.name for block in blocks]
    assert len(set(names)) == len(names) >= 5
    dealt = [id(layer) for block in blocks for layer in block.layers]
    assert len(set(dealt)) == len(dealt)
    assert set(dealt) == {id(layer) for layer in base.operations}
    assert blocks[-1].end.output is base.output
    assert all(block.layers[-1] is block.end for block in blocks)
    # Everything after a cut is computed from it alone: the network can be run in two halves.
    cut = blocks[len(blocks) // 2].end.output
    upper = keras.Model(cut, base.output)
    assert {x.name for b in blocks[len(blocks) // 2 + 1 :] for x in b.layers} == {
        x.name for x in upper.operations if not isinstance(x, keras.layers.InputLayer)
    }


def test_the_names_of_the_blocks(golden: Callable[[str, str], None]) -> None:
    lines = (f"{name}: {' '.join(labkit.block_names(headless(name)))}" for name in NAMES)
    golden("blocks.txt", "\n".join(lines))


@pytest.mark.parametrize("name", MODULES)
def test_preprocessing_is_the_one_of_keras(name: str) -> None:
    """Compare what enters the first convolution, or the padding before it."""
    base = headless(name)
    images = noise(FEATURE_MAPS[name][0])
    if name == "EfficientNetB0":  # normalises with weights: compared as a whole further down
        return
    kinds = (keras.layers.Conv2D, keras.layers.ZeroPadding2D)
    first = next(layer for layer in base.operations if isinstance(layer, kinds))
    ours = keras.Model(base.input, first.input)
    module = getattr(keras.applications, MODULES[name])
    expected = module.preprocess_input(images.copy())
    np.testing.assert_allclose(ours(images).numpy(), expected, atol=1e-4)
    assert ours.count_params() == 0


def test_preprocessing_of_lite0() -> None:
    base = headless("EfficientNetLite0")
    ours = keras.Model(base.input, base.get_layer("stem_conv").input)
    images = noise(32)
    np.testing.assert_allclose(ours(images).numpy(), (images - 127) / 128, atol=1e-5)
    assert ours.count_params() == 0


@pytest.mark.parametrize("name", ["EfficientNetB0", "MobileNetV2", "VGG16", "ResNet50V2"])
def test_keras_s_own_weight_file_gives_keras_s_own_outputs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: a file in the format Keras downloads, their network and ours."""
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
    from keras.src.utils import file_utils

    size = 64
    builder = getattr(keras.applications, name)
    random = builder(weights=None, include_top=False, input_shape=(size, size, 3))
    numbers = np.random.default_rng(0)
    for layer in random.layers:
        if isinstance(layer, keras.layers.Normalization):  # what the published file holds
            held = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 0)
            layer.set_weights([np.array(values, np.float32) for values in held])
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(numbers.normal(0, 0.1, layer.moving_mean.shape))
    file = tmp_path / "published.h5"
    with h5py.File(file, "w") as stream:
        save_weights_to_hdf5_group(stream, random)
    monkeypatch.setattr(file_utils, "get_file", lambda *a, **k: str(file))
    theirs = builder(weights="imagenet", include_top=False, input_shape=(size, size, 3))

    ours = labkit.load_backbone(name, weights=file, image_size=size)

    images = noise(size)
    prepare = getattr(keras.applications, MODULES[name]).preprocess_input
    expected = theirs(prepare(images.copy())).numpy()
    assert np.abs(expected).max() > 1e-3
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours(images).numpy() / scale, expected / scale, atol=1e-4)


def test_random_weights_have_a_momentum_that_catches_up() -> None:
    def momenta(model: Any) -> set[float]:
        normal = keras.layers.BatchNormalization
        return {x.momentum for x in all_layers(model.layers) if isinstance(x, normal)}

    assert momenta(headless("EfficientNetLite0")) == {0.9}
    assert momenta(labkit.load_backbone("EfficientNetLite0", image_size=32)) == {0.99}


# Weight files


def test_saved_weights_come_back(lite0: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.weights.h5"
    lite0.save_weights(file)
    again = labkit.load_backbone("EfficientNetLite0", weights=file, image_size=64)
    images = noise(64)
    np.testing.assert_array_equal(again(images).numpy(), lite0(images).numpy())
    as_text = labkit.load_backbone("EfficientNetLite0", weights=str(file), image_size=64)
    np.testing.assert_array_equal(as_text(images).numpy(), lite0(images).numpy())


def test_a_pth_file_can_be_named(lite0: Any) -> None:
    from labkit.backbones.weights import pretrained_file

    file = pretrained_file(backbone_info("EfficientNetLite0"))
    named = labkit.load_backbone("EfficientNetLite0", weights=file, image_size=64)
    np.testing.assert_array_equal(named(noise(64)).numpy(), lite0(noise(64)).numpy())


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weight file .*nothing\.h5") as error:
        labkit.load_backbone("VGG16", weights=tmp_path / "nothing.h5")
    assert "\n" not in str(error.value)
    with pytest.raises(WeightsError, match="'imagenet', None or an existing file"):
        labkit.load_backbone("VGG16", weights="Imagenet")
    with pytest.raises(WeightsError, match="no weight file"):
        labkit.load_backbone("VGG16", weights=tmp_path)


def _another_network(file: Path) -> None:
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(file)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("text.weights.h5", lambda file: file.write_text("hello")),
        ("empty.weights.h5", lambda file: file.write_bytes(b"")),
        ("other.weights.h5", _another_network),
        ("text.h5", lambda file: file.write_text("hello")),
        ("text.pth", lambda file: file.write_text("hello")),
        ("empty.pth", lambda file: file.write_bytes(b"")),
        ("strange.xyz", lambda file: file.write_text("hello")),
    ],
)
def test_a_file_without_these_weights_is_refused(
    name: str, write: Callable[[Path], object], tmp_path: Path
) -> None:
    file = tmp_path / name
    write(file)
    with pytest.raises(WeightsError) as error:
        labkit.load_backbone("EfficientNetLite0", weights=file, image_size=32)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pth_file_of_lite0_does_not_fit_vgg() -> None:
    from labkit.backbones.weights import pretrained_file

    file = pretrained_file(backbone_info("EfficientNetLite0"))
    with pytest.raises(WeightsError, match="does not hold the weights of VGG16"):
        labkit.load_backbone("VGG16", weights=file, image_size=32)


# What Lite0 sees


def test_lite0_names_the_labelled_pictures_of_foolbox() -> None:
    """20 ImageNet pictures with their classes in the file names: 17 right, 20 in the first 5."""
    package = importlib.util.find_spec("foolbox")
    if package is None or package.origin is None:
        pytest.skip("foolbox, in whose wheel the labelled pictures are, is not installed")
    files = sorted(Path(package.origin).parent.glob("data/imagenet_*_*.*"))
    classes = [int(re.split(r"[_.]", file.name)[2]) for file in files]
    images = [Image.open(f).convert("RGB").resize((224, 224)) for f in files]
    model = labkit.load_imagenet_classifier()
    scores = model(np.stack([np.asarray(i, np.float32) for i in images])).numpy()
    best = np.argsort(-scores, axis=1)[:, :5]
    assert len(files) == 20
    assert (best[:, 0] == classes).sum() == 17
    assert sum(c in b for c, b in zip(classes, best, strict=True)) == 20


def test_lite0_knows_the_cat_chelsea() -> None:
    package = importlib.util.find_spec("skimage")
    folder = Path(package.origin).parent if package and package.origin else Path("absent")
    file = folder / "data" / "chelsea.png"
    if not file.exists():
        pytest.skip("this scikit-image has no picture of the cat Chelsea in its wheel")
    image = np.asarray(Image.open(file).convert("RGB").resize((224, 224)), np.float32)
    scores = labkit.load_imagenet_classifier()(image[None]).numpy()
    assert int(np.argmax(scores)) == 285  # Egyptian cat
    assert float(np.max(scores)) > 0.5


def test_the_base_is_the_classifier_without_its_top(lite0: Any) -> None:
    whole = labkit.load_imagenet_classifier(image_size=64)
    map_of_whole = keras.Model(whole.input, whole.get_layer("top_activation").output)
    np.testing.assert_allclose(map_of_whole(noise(64)).numpy(), lite0(noise(64)).numpy(), atol=1e-5)
