"""The published facts: each number is recomputed from the network that it is said of."""

from __future__ import annotations

import dataclasses

import pytest

import labkit
from labkit.anatomy import all_layers
from labkit.backbones.catalogue import backbone_info
from labkit.backbones.loading import build
from labkit.errors import ModelError

# Published with the 1000-class top: keras.io/api/applications, and for Lite0 TensorFlow's
# page on EfficientNet-Lite. Written down here a second time so that a slip in the JSON shows.
PARAMETERS_AND_DEPTH = {
    "EfficientNetLite0": (4_694_024, 99),
    "Xception": (22_910_480, 81),
    "VGG16": (138_357_544, 16),
    "VGG19": (143_667_240, 19),
    "ResNet50": (25_636_712, 107),
    "ResNet101": (44_707_176, 209),
    "ResNet152": (60_419_944, 311),
    "ResNet50V2": (25_613_800, 103),
    "ResNet101V2": (44_675_560, 205),
    "ResNet152V2": (60_380_648, 307),
    "InceptionV3": (23_851_784, 189),
    "InceptionResNetV2": (55_873_736, 449),
    "MobileNet": (4_253_864, 55),
    "MobileNetV2": (3_538_984, 105),
    "EfficientNetB0": (5_330_571, 132),
}


def test_the_catalogue_has_the_course_s_networks() -> None:
    assert {i.name for i in labkit.list_backbones()} == set(PARAMETERS_AND_DEPTH)
    assert [i.name for i in labkit.list_backbones() if i.offline] == ["EfficientNetLite0"]


@pytest.mark.parametrize("name", PARAMETERS_AND_DEPTH)
def test_parameters_and_depth_are_those_of_the_built_network(name: str) -> None:
    info = backbone_info(name)
    model = build(info, info.input_size, include_top=True)
    # Plain operations, such as a flip, are among the layers but hold nothing.
    depth = sum(bool(getattr(layer, "weights", ())) for layer in all_layers(model.layers))
    assert (model.count_params(), depth) == PARAMETERS_AND_DEPTH[name]
    assert (info.parameters, info.depth) == PARAMETERS_AND_DEPTH[name]
    assert model.output_shape == (None, 1000)


@pytest.mark.parametrize("info", labkit.list_backbones(), ids=lambda info: info.name)
def test_facts_are_plausible_and_sourced(info: labkit.BackboneInfo) -> None:
    assert 70 < info.top1 < 83
    assert info.top5 is None or info.top1 + 10 < info.top5 < 97
    assert info.source.startswith("https://")
    # Four bytes a parameter. MB and MiB are both published.
    assert info.parameters * 4 / 2**20 * 0.96 < info.size_mb < info.parameters * 4 / 1e6 * 1.4
    assert info.smallest_size <= info.input_size


def test_facts_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        labkit.list_backbones()[0].top1 = 100.0  # type: ignore[misc]


@pytest.mark.parametrize("name", ["VGG15", "vgg16", "", None, ["VGG16"]])
def test_an_unknown_name_lists_the_known_ones(name: object) -> None:
    with pytest.raises(ModelError) as error:
        labkit.load_backbone(name)  # type: ignore[arg-type]
    assert repr(name) in str(error.value)
    assert all(known in str(error.value) for known in PARAMETERS_AND_DEPTH)
    assert "\n" not in str(error.value)
