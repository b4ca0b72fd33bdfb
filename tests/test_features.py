"""Features: the right numbers, computed once, found again, never taken for others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import labkit
from labkit import features
from labkit.engine import keras
from labkit.errors import DataError
from labkit.features import extract_features, run_over

Net = Callable[..., Any]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images have gone through a network, call by call."""
    seen: list[int] = []
    compute = features._compute

    def count(network: Any, split: Any, key: str) -> Any:
        seen.append(len(split))
        return compute(network, split, key)

    monkeypatch.setattr(features, "_compute", count)
    return seen


def pooled(base: Any) -> Any:
    return keras.Model(base.input, keras.layers.GlobalAveragePooling2D()(base.output))


# The numbers


def test_they_are_those_of_predict(small_net: Net, tiny: Any) -> None:
    base = small_net()
    images = tiny.test.read().astype(np.float32)
    found = extract_features(base, tiny.test, cache=False)
    assert (found.array.shape, found.array.dtype) == ((40, 10), np.float32)
    np.testing.assert_allclose(found.array, pooled(base).predict(images, verbose=0), atol=1e-4)
    np.testing.assert_array_equal(found.labels, tiny.test.labels)
    maps = extract_features(base, tiny.test, cache=False, pool=False)
    assert maps.array.shape == (40, 4, 4, 10)
    np.testing.assert_allclose(maps.array, base.predict(images, verbose=0), atol=1e-4)


def test_they_are_those_of_predict_for_lite0(lite0: Any, tiny_folder: Path) -> None:
    split = labkit.load_dataset(tiny_folder, image_size=64).test
    expected = pooled(lite0).predict(split.read().astype(np.float32), verbose=0)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(
        extract_features(lite0, split, cache=False).array, expected, atol=1e-4
    )


def test_of_a_classifier_the_base_is_taken(small_net: Net, tiny: Any, own_cache: Path) -> None:
    base = small_net()
    model = labkit.build_classifier(base, 2)
    of_base = extract_features(base, tiny.test)
    of_model = extract_features(model, tiny.test)
    assert of_model.cached == 40  # found as those of the base
    np.testing.assert_array_equal(of_base.array, of_model.array)


def test_training_a_head_finds_them(small_net: Net, tiny: Any, own_cache: Path) -> None:
    model = labkit.build_classifier(small_net(), 2)
    labkit.freeze(model)
    labkit.train(model, tiny, epochs=1)
    assert extract_features(model, tiny.validation).cached == len(tiny.validation)


def test_frozen_or_not_they_are_the_same(small_net: Net, tiny: Any, own_cache: Path) -> None:
    base = small_net()
    extract_features(base, tiny.test)
    labkit.unfreeze(base, batch_norm=True)
    assert extract_features(base, tiny.test).cached == 40


# The cache


def test_the_second_time_nothing_is_computed(
    small_net: Net, tiny: Any, own_cache: Path, computed: list[int]
) -> None:
    base = small_net()
    first = extract_features(base, tiny.test)
    second = extract_features(base, tiny.test)
    assert (first.cached, second.cached, computed) == (0, 40, [40])
    np.testing.assert_array_equal(first.array, second.array)
    assert len(first) == 40


def test_a_subset_is_found_and_only_the_rest_is_computed(
    small_net: Net, tiny: Any, own_cache: Path, computed: list[int]
) -> None:
    base = small_net()
    whole = extract_features(base, tiny.train, cache=False).array
    extract_features(base, tiny.train.pick(range(10, 30)))
    part = extract_features(base, tiny.train.pick([12, 25]))
    assert part.cached == 2
    np.testing.assert_allclose(part.array, whole[[12, 25]], atol=1e-5)
    everything = extract_features(base, tiny.train)
    assert everything.cached == 20
    assert computed == [80, 20, 60]
    np.testing.assert_allclose(everything.array, whole, atol=1e-5)


def test_order_is_kept(small_net: Net, tiny: Any, own_cache: Path) -> None:
    base = small_net()
    whole = extract_features(base, tiny.test).array
    order = np.random.default_rng(0).permutation(40)
    mixed = extract_features(base, tiny.test.pick(order))
    np.testing.assert_array_equal(mixed.array, whole[order])
    np.testing.assert_array_equal(mixed.labels, tiny.test.labels[order])


def test_many_images_go_to_several_entries(
    small_net: Net, tiny: Any, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "CHUNK", 32)
    base = small_net()
    extract_features(base, tiny.train)
    assert len(list(own_cache.glob("features/*/*.npz"))) == 3
    assert extract_features(base, tiny.train).cached == 80


def test_without_a_cache_nothing_is_kept_nor_used(
    small_net: Net, tiny: Any, own_cache: Path, computed: list[int]
) -> None:
    base = small_net()
    assert extract_features(base, tiny.test, cache=False).cached == 0
    assert not (own_cache / "features").exists()
    extract_features(base, tiny.test)
    extract_features(base, tiny.test, cache=False)
    assert computed == [40, 40, 40]


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "flipped"])
def test_a_damaged_entry_is_made_anew(
    small_net: Net, tiny: Any, own_cache: Path, damage: str
) -> None:
    base = small_net()
    good = extract_features(base, tiny.test).array
    (file,) = own_cache.glob("features/*/*.npz")
    data = bytearray(file.read_bytes())
    data[-len(data) // 3] ^= 0xFF  # inside the rows: only a checksum can tell
    spoilt = {"cut": data[: len(data) // 2], "text": b"hello", "empty": b"", "flipped": data}
    file.write_bytes(bytes(spoilt[damage]))
    again = extract_features(base, tiny.test)
    assert again.cached == 0
    np.testing.assert_allclose(again.array, good, atol=1e-5)
    assert extract_features(base, tiny.test).cached == 40


def test_tracing_is_done_once_for_all_splits(
    small_net: Net, tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = features.inference_function

    def count(network: Any) -> Any:
        made.append(network.name)
        return make(network)

    monkeypatch.setattr(features, "inference_function", count)
    base = small_net(seed=11)
    arrays = [
        extract_features(base, split, cache=False).array
        for split in (tiny.train, tiny.validation, tiny.test)
    ]
    assert len(made) == 1
    assert [len(array) for array in arrays] == [80, 24, 40]
    for seed in (12, 13, 14):
        extract_features(small_net(seed=seed), tiny.test, cache=False)
    assert len(made) == 4
    assert len(features._READY) == features.KEPT_FUNCTIONS
    again = extract_features(base, tiny.test, cache=False).array  # made anew, as it was dropped
    np.testing.assert_array_equal(again, arrays[2])


# The key


def test_one_changed_weight_is_another_network(small_net: Net, tiny: Any, own_cache: Path) -> None:
    base = small_net()
    before = extract_features(base, tiny.test).array
    for layer, weight in ((base.get_layer("conv1"), 0), (base.get_layer("norm2"), 3)):
        arrays = layer.get_weights()
        arrays[weight].flat[0] += 0.25
        layer.set_weights(arrays)
        after = extract_features(base, tiny.test)
        assert after.cached == 0
        assert not np.array_equal(after.array, before)


def test_other_preprocessing_is_another_network(small_net: Net, tiny: Any, own_cache: Path) -> None:
    base = small_net()
    extract_features(base, tiny.test)
    base.get_layer("preprocessing").scale = 1 / 128
    assert extract_features(base, tiny.test).cached == 0


def test_the_network_s_name_does_not_matter(small_net: Net, tiny: Any, own_cache: Path) -> None:
    extract_features(small_net(), tiny.test)
    again = small_net()
    again.name = "another"
    assert extract_features(again, tiny.test).cached == 40


def test_pooled_features_are_not_taken_for_maps(small_net: Net, tiny: Any, own_cache: Path) -> None:
    base = small_net()
    extract_features(base, tiny.test)
    assert extract_features(base, tiny.test, pool=False).cached == 0
    assert extract_features(base, tiny.test).cached == 40


def test_another_image_is_not_found(small_net: Net, tiny: Any, own_cache: Path) -> None:
    base = small_net()
    extract_features(base, tiny.test)
    assert extract_features(base, tiny.train).cached == 0


def test_a_cut_network_can_be_run(small_net: Net, tiny: Any, own_cache: Path) -> None:
    base = small_net()
    lower = keras.Model(base.input, base.get_layer("relu0").output)
    assert run_over(lower, tiny.test).array.shape == (40, 16, 16, 6)
    assert run_over(lower, tiny.test).cached == 40


# Refusals and other processes


def test_another_image_size_is_refused(small_net: Net, tiny_folder: Path) -> None:
    split = labkit.load_dataset(tiny_folder, image_size=64).test
    with pytest.raises(DataError, match="takes images of 32 x 32 px, these have 64") as error:
        extract_features(small_net(), split)
    assert "load the dataset with image_size=32, or the backbone with image_size=64" in str(
        error.value
    )


ANOTHER_PROCESS = """
import sys, time
from pathlib import Path
import labkit
base = labkit.load_backbone("EfficientNetLite0", image_size=32)
split = labkit.load_dataset(sys.argv[1], image_size=32).test
labkit.extract_features(base, split, cache=False)  # traces; what follows takes no time
print("ready", flush=True)
sys.stdin.readline()
for _ in range(30):
    labkit.extract_features(base, split)
    for file in Path(sys.argv[2]).glob("features/*/*.npz"):
        file.unlink(missing_ok=True)
"""


@pytest.mark.slow
def test_two_processes_write_at_once(tiny: Any, tiny_folder: Path, own_cache: Path) -> None:
    """The other one writes the same entry and deletes it: this one always has whole rows."""
    base = labkit.load_backbone("EfficientNetLite0", image_size=32)
    good = extract_features(base, tiny.test, cache=False).array
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(tiny_folder), str(own_cache)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n", other.communicate()
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
        found = [extract_features(base, tiny.test) for _ in range(30)]
        said = other.communicate(timeout=300)
    assert other.returncode == 0, said
    for features_ in found:
        np.testing.assert_allclose(features_.array, good, atol=1e-5)
    folders = list(own_cache.glob("features/*"))
    assert len(folders) == 1  # the key is the same in both processes
    extract_features(base, tiny.test)
    assert [file.suffix for file in folders[0].iterdir()] == [".npz"]  # nothing temporary is left
